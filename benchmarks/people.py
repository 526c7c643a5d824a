"""Several rows a person: every method on the same 100,000 rows of 30,000 people, beside the lattice.

Data: ARX's adult in the folder that SFUMATO_BENCH_DATA names. Each of its people gets one to six rows; from
row to row a person grows older, and now and then marital status or work class is that of somebody else.
CPU seconds are from the distinct tuples in memory to the fitted recoding, all threads, kernels warm. ``k``
is the fewest people of a class, counted again on the labels as they would be written, and ``rows as
people`` what a search that takes rows for people gives them. The lattice may suppress up to 5 % of the
rows, and so may all methods where rows are linked; where they are not, the others keep all.
"""

from __future__ import annotations

import statistics
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from benchmarks.report import data_folder, keep
from sfumato.classes.table import FIRST, TupleTable
from sfumato.contracts import COUNT, ROW
from sfumato.core.values import Role, Step
from sfumato.engines.local import DRAW
from sfumato.pipeline.methods import METHODS
from sfumato.pipeline.methods.task import Anonymized, Task, models_of
from sfumato.policy.model import Anonymity
from sfumato.policy.parts import Part

COLUMNS = ("sex", "age", "race", "marital-status", "education", "native-country", "workclass")
CHANGING = ("marital-status", "workclass")
K, PERSON, IDENTITY = 5, "person", "identity"
#: Name -> what is asked, and of how many columns: microaggregation is for few, and for numbers.
METHOD: dict[str, tuple[dict[str, Any], int]] = {
    "lattice": ({"method": "lattice"}, 7),
    "partition": ({"method": "partition"}, 7),
    "partition, free": ({"method": "partition", "labels": "free"}, 7),
    "cells": ({"method": "cells"}, 7),
    "lattice, 3 columns": ({"method": "lattice"}, 3),
    "microaggregation, 3 columns": ({"method": "microaggregation"}, 3),
}


def people(folder: Path, many: int = 30_000) -> pl.DataFrame:
    """The rows of so many people, one to six each."""
    draw = np.random.default_rng(0)
    frame = pl.read_csv(folder / "arx/adult/adult.csv", separator=";", infer_schema=False).head(many)
    each = draw.choice([1, 2, 3, 4, 5, 6], frame.height, p=[0.2, 0.2, 0.15, 0.15, 0.15, 0.15])
    whose = np.repeat(np.arange(frame.height), each)
    rows = frame[whose].select(COLUMNS)
    turn = np.arange(len(whose)) - np.repeat(np.cumsum(each) - each, each)
    oldest = int(frame["age"].cast(pl.Int64).max())  # type: ignore[arg-type]
    age = np.minimum(rows["age"].cast(pl.Int64).to_numpy() + turn, oldest).astype(str)
    changed = [
        pl.Series(name, np.where(draw.random(len(whose)) < 0.1, draw.permutation(rows[name]), rows[name]))
        for name in CHANGING
    ]
    rows = rows.with_columns(
        pl.Series("age", age), *changed, pl.Series(PERSON, draw.permutation(many)[whose])
    )
    # Ages between two people of the source may be nobody's there, and hence not in the hierarchy.
    known = set(frame["age"])
    return rows.filter(pl.col("age").is_in(list(known))).with_row_index(ROW)


def task(
    folder: Path, rows: pl.DataFrame, columns: tuple[str, ...], linked: bool | None, asked: Anonymity
) -> Task:
    """What a method is given; rows are taken for people if ``linked`` is None."""
    others = () if linked is None else (PERSON,)
    measures = [pl.len().alias(COUNT), pl.col(ROW).min().alias(FIRST)]
    tuples = rows.group_by([*columns, *others]).agg(measures).sort(*others, FIRST)
    steps = tuple(_step(name) for name in columns)
    drawn = rows.with_columns(pl.col(ROW).alias(IDENTITY), pl.col(ROW).alias(DRAW))
    return Task(
        asked,
        TupleTable(columns, tuples, others),
        steps,
        str(folder / "arx/adult"),
        {},
        models_of(asked),
        None,
        None,
        frozenset(columns),
        lambda units: drawn.join(units, on=units.columns, how="semi", nulls_equal=True),
        DRAW,
        IDENTITY,
        None if linked is None else PERSON,
        bool(linked),
    )


def _step(name: str) -> Step:
    return Step(
        column=name,
        role=Role.QUASI_IDENTIFIER,
        sensitive=False,
        action="generalize",
        params={},
        why="known",
        state={"hierarchy": {"kind": "file", "path": f"adult_hierarchy_{name}.csv"}, "level": None},
    )


def fewest(found: Anonymized, rows: pl.DataFrame, linked: bool) -> int:
    """The fewest people whom nothing in the labels tells apart, counted by dictionaries."""
    labelled, kept = found.recoding.label(rows.with_columns(pl.col(ROW).alias(IDENTITY)))
    labels = labelled.filter(kept).select(PERSON, *found.recoding.columns)
    if not linked:
        return int(labels.group_by(found.recoding.columns).agg(pl.col(PERSON).n_unique())[PERSON].min())  # type: ignore[arg-type]
    whole: dict[int, Counter[tuple[str, ...]]] = defaultdict(Counter)
    for person, *shown in labels.iter_rows():
        whole[person][tuple(shown)] += 1
    return min(Counter(frozenset(rows.items()) for rows in whole.values()).values())


def main() -> int:
    """Recode by every method, linked and not; 1 if a class has fewer people than promised."""
    folder = data_folder()
    if folder is None:
        print("people: not run; SFUMATO_BENCH_DATA names no folder")
        return 0
    rows, found, wrong = people(folder), [], 0
    for linked in (False, True):
        for name, (method, width) in METHOD.items():
            columns = COLUMNS[:width]
            free = linked or method["method"] == "lattice"
            asked = Anonymity(
                models=(Part(name="k-anonymity", params={"k": K}),), suppression=0.05 if free else 0, **method
            )
            given, fit = task(folder, rows, columns, linked, asked), METHODS.resolve(asked.method)
            times: list[float] = []
            # The first run warms the kernels up.
            while len(times) < 2 or (len(times) < 4 and sum(times) < 6):
                start = time.process_time()
                answer = fit(given, None)
                times.append(time.process_time() - start)
            k = fewest(answer, rows, linked)
            wrong += k < K
            counted = fit(task(folder, rows, columns, None, asked), None)
            found.append(
                {
                    "rows": "linked" if linked else "not linked",
                    "method": name,
                    "granularity": round(answer.plan.granularity, 4),
                    "classes": answer.plan.classes,
                    "k": k,
                    "suppressed rows": answer.plan.suppressed_rows,
                    "CPU s": round(statistics.median(times[1:]), 2),
                    "rows as people: granularity": round(counted.plan.granularity, 4),
                    "their k": fewest(counted, rows, linked),
                }
            )
    keep("people", found, f"{rows.height:,} rows of {rows[PERSON].n_unique():,} people, k={K} people")
    return int(wrong > 0)


if __name__ == "__main__":
    raise SystemExit(main())
