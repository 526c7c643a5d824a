"""Comparisons made by hand, so that the probes can be tested without the rest of the way."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from sfumato.contracts import COUNT, Comparison
from sfumato.core.values import ColumnProfile, Finding, Inventory, Plan, Role, Step

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
