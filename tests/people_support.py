"""Small tables of people with several rows as tasks for every method, and what a release shows of them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable
from typing import Any

import polars as pl

from sfumato.classes.table import FIRST, TupleTable
from sfumato.contracts import COUNT, ROW
from sfumato.core.values import Role, Step
from sfumato.engines.local import DRAW
from sfumato.pipeline.methods import METHODS
from sfumato.pipeline.methods.task import Anonymized, Task, models_of, scales_of
from sfumato.policy.model import Anonymity
from sfumato.policy.parts import Part

PERSON, IDENTITY = "person", "identity"
QUASI = ("a", "b")
HALVES = {"kind": "intervals", "widths": [2, 4], "from": 0, "to": 8}

#: The methods with labels of their own, in all their kinds.
METHODS_OF_CLASSES: dict[str, dict[str, Any]] = {
    "partition": {"method": "partition", "labels": "hierarchy"},
    "free": {"method": "partition", "labels": "free"},
    "microaggregation": {"method": "microaggregation"},
    "cells": {"method": "cells"},
}


def parts(models: Iterable[dict[str, Any]]) -> tuple[Part, ...]:
    """Models as a policy has them."""
    return tuple(
        Part(name=model["model"], params={key: value for key, value in model.items() if key != "model"})
        for model in models
    )


def task(
    rows: pl.DataFrame,
    asked: dict[str, Any],
    linked: bool | None,
    population: pl.DataFrame | None = None,
) -> Task:
    """Rows with columns a, b, s and person; each row is a person of its own if ``linked`` is None."""
    rows = rows.with_row_index(ROW)
    wanted = Anonymity(**(asked | {"models": parts(asked["models"])}))
    models = models_of(wanted)
    whose = () if linked is None else (PERSON,)
    others = (*(("s",) if any(model.on for model in models) else ()), *whose)
    measures = [pl.len().alias(COUNT), pl.col(ROW).min().alias(FIRST)]
    tuples = rows.group_by([*QUASI, *others]).agg(measures).sort(*whose, FIRST)
    table = TupleTable(QUASI, tuples, others)
    steps = tuple(
        Step(
            column=name, role=Role.QUASI_IDENTIFIER, sensitive=False, action="generalize", params={},
            why="known", state={"hierarchy": HALVES, "level": None},
        )
        for name in QUASI
    )  # fmt: skip
    drawn = rows.with_columns(pl.col(ROW).alias(IDENTITY), pl.col(ROW).alias(DRAW))
    return Task(
        wanted,
        table,
        steps,
        ".",
        scales_of(wanted, table, ".", *whose),
        models,
        population,
        None,
        frozenset(QUASI),
        lambda units: drawn.join(units, on=units.columns, how="semi", nulls_equal=True),
        DRAW,
        IDENTITY,
        None if linked is None else PERSON,
        bool(linked),
    )


def recoded(given: Task) -> Anonymized:
    """What the task's method makes of it."""
    found: Anonymized = METHODS.resolve(given.asked.method)(given, None)
    return found


def shown(found: Anonymized, rows: pl.DataFrame) -> pl.DataFrame:
    """The rows that leave, with their labels as text."""
    batch = rows.with_row_index(ROW).with_columns(pl.col(ROW).alias(IDENTITY))
    labelled, kept = found.recoding.label(batch)
    return labelled.filter(kept).with_columns(pl.col(QUASI).cast(pl.String))


def people_of_classes(rows: pl.DataFrame, linked: bool) -> list[dict[Any, set[Any]]]:
    """For each class the people whom nothing in the labels tells apart, with the values of s they have."""
    whole: dict[Any, Counter[Hashable]] = defaultdict(Counter)
    for person, *labels in rows.select(PERSON, *QUASI).iter_rows():
        whole[person][tuple(labels)] += 1
    found: dict[Hashable, dict[Any, set[Any]]] = defaultdict(lambda: defaultdict(set))
    for person, value, *labels in rows.select(PERSON, "s", *QUASI).iter_rows():
        which = frozenset(whole[person].items()) if linked else tuple(labels)
        found[which][person].add(value)
    return list(found.values())
