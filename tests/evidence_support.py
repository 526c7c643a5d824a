"""Comparisons made by hand, so that the probes can be tested without the rest of the way."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl

from sfumato.contracts import COUNT, Comparison
from sfumato.core.keyed import derive
from sfumato.core.values import AnonymityPlan, ColumnProfile, Finding, Inventory, Plan, Role, Step
from sfumato.evidence.made import laid_beside

KEY = bytes(range(32))
Describe = Callable[[pl.DataFrame], pl.DataFrame]


def as_is(frame: pl.DataFrame) -> pl.DataFrame:
    """The method that changes nothing."""
    return frame


def starred(frame: pl.DataFrame) -> pl.DataFrame:
    """The method that says nothing of anybody."""
    return frame.with_columns(pl.lit("*").alias(column) for column in frame.columns)


def profile(name: str, role: Role = Role.QUASI_IDENTIFIER, **more: Any) -> ColumnProfile:
    figures = {"dtype": "integer", "missing": 0, "distinct": 2, "distinction": 0.1, "separation": 0.5}
    return ColumnProfile(**{"name": name, "role": role, "why": "", "unique": 0.0, **figures, **more})


def step(column: str, role: Role = Role.QUASI_IDENTIFIER, **more: Any) -> Step:
    return Step(
        **{
            "column": column,
            "role": role,
            "sensitive": False,
            "action": "keep",
            "params": {},
            "why": "",
            **more,
        }
    )


def inventory(
    columns: Sequence[str], profiles: Mapping[str, ColumnProfile] | None = None, target: str | None = None
) -> Inventory:
    given = profiles or {}
    every = tuple(given.get(column, profile(column)) for column in columns)
    return Inventory(rows=0, examined=0, target=target, columns=every)


def plan(steps: Sequence[Step] = ()) -> Plan:
    return Plan(
        dataset="d", policy_digest="", inventory_digest="", rows=0, holdout_rows=0, steps=tuple(steps)
    )


def compare(
    original: pl.DataFrame,
    describe: Describe = as_is,
    *,
    kept: np.ndarray | None = None,
    control: pl.DataFrame | None = None,
    released: pl.DataFrame | None = None,
    profiles: Mapping[str, ColumnProfile] | None = None,
    target: str | None = None,
    steps: Sequence[Step] = (),
    **more: Any,
) -> Comparison:
    """A comparison in which everybody is in the sample; columns are quasi-identifiers unless profiled."""
    kept = np.ones(original.height, dtype=bool) if kept is None else kept
    released = describe(original) if released is None else released
    control = original.clear() if control is None else control
    leaving = released.filter(pl.Series(kept, dtype=pl.Boolean))
    return Comparison(
        inventory=inventory(original.columns, profiles, target),
        plan=plan(steps),
        original=original,
        released=released,
        kept=kept,
        control=control,
        describe=describe,
        count=lambda columns: leaving.group_by(columns).len(COUNT),
        count_original=lambda columns: original.group_by(columns).len(COUNT),
        **{"centers": {}, "key": KEY, "design": "holdout" if control.height else "none", **more},
    )


def made(
    original: pl.DataFrame,
    rows: pl.DataFrame,
    describe: Describe = as_is,
    *,
    control: pl.DataFrame | None = None,
    key: bytes = KEY,
    **more: Any,
) -> Comparison:
    """A comparison of made rows, any number of them, with the people who taught their generator."""
    released, kept = laid_beside(rows, original.height, derive(key, "made"))
    given = compare(original, describe, kept=kept, control=control, released=released, key=key, **more)
    taught = describe(original)
    return replace(
        given,
        made=True,
        count=lambda columns: rows.group_by(columns).len(COUNT),
        count_taught=lambda columns: taught.group_by(columns).len(COUNT),
    )


def planned(comparison: Comparison, models: Sequence[Mapping[str, Any]], **more: Any) -> Comparison:
    """A comparison whose plan says that a recoding kept some models."""
    figures = {
        **dict.fromkeys(("classes", "smallest_class", "suppressed_rows"), 0),
        **dict.fromkeys(("suppressed_share", "score", "raw_loss", "granularity"), 0.0),
    }
    given = {"method": "lattice", "levels": {}, "heights": {}, "rows": comparison.original.height, **figures}
    anonymity = AnonymityPlan(**{**given, "models": tuple(models), "optimal": True, **more})
    return replace(comparison, plan=comparison.plan.model_copy(update={"anonymity": anonymity}))


def local(
    frame: pl.DataFrame,
    classes: Sequence[int],
    columns: Sequence[str] | None = None,
    **more: Any,
) -> Comparison:
    """A release in which each class of people has labels of its own, in columns of integers or texts.

    A class gets ``low..high`` of its numbers, ``{a|b}`` of its texts, the value itself if there is one
    only, and ``*`` if a missing value is among others. A negative class is suppressed.
    """
    numbers = pl.Series(classes, dtype=pl.Int64)
    kept = (numbers >= 0).to_numpy()
    columns = frame.columns if columns is None else columns
    found = {}
    for column in columns:
        labels: list[str | None] = [None] * frame.height
        for number in set(classes) - {number for number in classes if number < 0}:
            rows = (numbers == number).arg_true().to_list()
            for row in rows:
                labels[row] = label_of(frame[column][rows])
        found[column] = pl.Series(labels, dtype=pl.String)
    released = frame.with_columns(**found)
    centers = {
        column: {
            label: middle for label in released[column].unique() if (middle := middle_of(label)) is not None
        }
        for column in columns
        if frame[column].dtype.is_numeric()
    }
    return compare(
        frame,
        **{"released": released, "kept": kept, "covers": covers, "overlapping": tuple(columns),
           "centers": centers, **more},
    )  # fmt: skip


def by_cuts(frame: pl.DataFrame, k: int = 5) -> list[int]:
    """Classes of at least k people: halves of halves, by one column after the other."""
    classes = np.zeros(frame.height, dtype=int)
    parts, found = [np.arange(frame.height)], 0
    while parts:
        rows = parts.pop()
        for column in frame.columns:
            values = frame[column][rows].rank("dense").fill_null(0).to_numpy()
            left = values <= np.median(values)
            if min(left.sum(), (~left).sum()) >= k:
                parts += [rows[left], rows[~left]]
                break
        else:
            classes[rows], found = found, found + 1
    return classes.tolist()


def label_of(values: pl.Series) -> str | None:
    """The tightest label of some values."""
    distinct = values.unique().sort(nulls_last=True).to_list()
    if len(distinct) == 1:
        return None if distinct[0] is None else str(distinct[0])
    if None in distinct:
        return "*"
    if values.dtype.is_numeric():
        return f"{distinct[0]}..{distinct[-1]}"
    return "{" + "|".join(map(str, distinct)) + "}"


def middle_of(label: str | None) -> float | None:
    """The middle of a label of numbers."""
    if label in (None, "*"):
        return None
    low, _, high = label.partition("..")
    return (float(low) + float(high or low)) / 2


def covers(column: str, labels: pl.Series, values: pl.Series) -> np.ndarray:
    """What the labels of :func:`local` cover."""
    return np.array([[covers_one(label, value) for value in values] for label in labels], dtype=bool).reshape(
        len(labels), len(values)
    )


def covers_one(label: str | None, value: Any) -> bool:
    if label is None or value is None:
        return label == "*" or (label is None and value is None)
    if label == "*" or str(label) == str(value):
        return True
    if label.startswith("{"):
        return str(value) in label[1:-1].split("|")
    low, dots, high = label.partition("..")
    return bool(dots) and isinstance(value, int | float) and float(low) <= value <= float(high)


def one(findings: Sequence[Finding], metric: str, target: str = "release") -> Finding:
    """The only finding of a metric and target."""
    (found,) = [finding for finding in findings if (finding.metric, finding.target) == (metric, target)]
    return found


def people(rows: int, columns: int, values: int, seed: int = 0) -> pl.DataFrame:
    """Rows of independent uniform integers."""
    draw = np.random.default_rng(seed)
    return pl.DataFrame({f"c{j}": draw.integers(0, values, rows) for j in range(columns)})


def suppress_small(frame: pl.DataFrame, columns: Sequence[str], k: int) -> np.ndarray:
    """Who stays if every class of fewer than ``k`` is suppressed."""
    return frame.select(pl.len().over(columns) >= k).to_series().to_numpy()
