"""The optimal lattice search against the published results of ARX 3.9.2 on Adult, digit by digit.

Data: ``arx/adult`` in the folder that SFUMATO_BENCH_DATA names (ARX's own ``data/`` folder: adult.csv
and adult_hierarchy_*.csv, 30,162 rows, nine quasi-identifiers, 12,960 nodes). CPU seconds are from the
distinct tuples in memory to the solution, all threads, kernels warm.
"""

from __future__ import annotations

import statistics
import time
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.report import data_folder, keep
from sfumato.anonymity.lattice import Problem, search
from sfumato.anonymity.measures.loss import Loss
from sfumato.anonymity.models.k_anonymity import KAnonymity
from sfumato.classes.table import COUNT, FIRST, TupleTable, Units
from sfumato.contracts import ROW
from sfumato.engines.local import LocalEngine
from sfumato.engines.sources import FileSource
from sfumato.hierarchies.file import FileHierarchy
from sfumato.hierarchies.ladder import Ladder

COLUMNS = ("sex", "age", "race", "marital-status", "education", "native-country", "workclass")
COLUMNS += ("occupation", "salary-class")

#: Suppression limit -> node, suppressed rows, classes, score, raw loss, granularity, ARX's CPU seconds.
ARX = {
    0.0: ((0, 4, 1, 1, 3, 2, 2, 1, 0), 0, 24, 0.573151, 0.761313, 0.291721, 0.030),
    0.02: ((0, 3, 0, 2, 2, 1, 1, 2, 0), 506, 222, 0.313713, 0.505471, 0.604409, 0.887),
    0.05: ((0, 3, 0, 0, 2, 1, 1, 2, 0), 1346, 397, 0.241932, 0.428591, 0.698371, 1.048),
    1.0: ((0, 3, 0, 0, 2, 1, 1, 1, 0), 2553, 602, 0.220412, 0.385182, 0.751425, 3.888),
}


def problem(folder: Path, limit: float) -> Problem:
    """ARX's Adult as a search problem, k = 5 and the loss measure."""
    engine = LocalEngine()
    frame = engine.scan(FileSource.find("adult.csv", folder, separator=";"))
    measures = [pl.len().alias(COUNT), pl.col(ROW).min().alias(FIRST)]
    table = TupleTable(COLUMNS, engine.aggregate(frame, COLUMNS, measures).sort(FIRST))
    ladders, positions = [], []
    for column in COLUMNS:
        kind = FileHierarchy(FileHierarchy.Params(path=f"adult_hierarchy_{column}.csv"), folder)
        found = table.values(column)
        ladders.append(Ladder.build(kind, found["value"].alias(column), found["first"]))
        index = {value: i for i, value in enumerate(found["value"])}
        positions.append([index[value] for value in table.tuples[column]])
    models = [KAnonymity(KAnonymity.Params(k=5))]
    return Problem(
        ladders, np.array(positions), Units(table.counts), models, int(limit * table.rows + 1e-9), Loss
    )


def main() -> int:
    """Compare every row; 1 if any figure differs."""
    folder = data_folder()
    if folder is None:
        print("anchors: not run; SFUMATO_BENCH_DATA names no folder")
        return 0
    rows, wrong = [], 0
    for limit, (node, suppressed, classes, score, raw, granular, seconds) in ARX.items():
        asked, times = problem(folder / "arx" / "adult", limit), []
        search(asked)
        for _ in range(3):
            start = time.process_time()
            found = search(asked)
            times.append(time.process_time() - start)
        exact = (found.levels, found.suppressed, found.classes) == (node, suppressed, classes) and (
            round(found.score, 6),
            round(found.raw_loss, 6),
            round(found.granularity, 6),
        ) == (score, raw, granular)
        wrong += not exact
        median = statistics.median(times)
        rows.append(
            {
                "limit": f"{limit:.0%}",
                "node": ",".join(map(str, found.levels)),
                "suppressed": found.suppressed,
                "classes": found.classes,
                "score": f"{found.score:.6f}",
                "as ARX": "exactly" if exact else "NO",
                "checked": found.checked,
                "CPU s": round(median, 3),
                "ARX CPU s": seconds,
                "ratio": round(median / seconds, 2),
            }
        )
    keep("anchors", rows, "Adult, 9 quasi-identifiers, k=5, loss; ARX 3.9.2 as published")
    return int(wrong > 0)
