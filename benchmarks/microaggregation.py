"""Microaggregation of three numeric columns of Adult at k = 5 against sdcMicro's MDAV.

Data: ``adult_full`` in the folder that SFUMATO_BENCH_DATA names: age, fnlwgt and hours-per-week of the
30,162 complete rows of the train split, z-scored. More rows are drawn from them with replacement and normal
noise of 0.095 standard deviations, with which MDAV loses on 100,000 rows about what the peer's did. Ten
million are measured with ``--large``. CPU seconds of all threads, kernels warm.
"""

from __future__ import annotations

import resource
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from benchmarks.report import data_folder, keep
from sfumato.anonymity.microaggregation import cluster, loss, mdav

COLUMNS = ["age", "fnlwgt", "hours_per_week"]

#: Rows -> the peer's CPU seconds and loss, and what is to be reached.
PEER = {30_162: (1.85, 0.004137, 0.4, 0.0038), 100_000: (28.3, 0.001832, 1.5, 0.00166)}


def points(folder: Path, rows: int) -> np.ndarray:
    """z-scores of the survey, or of as many rows drawn from it."""
    survey = pl.read_csv(folder / "adult_full" / "adult.csv.gz", null_values="?")
    found = survey.filter(pl.col("split") == "train").drop_nulls().select(COLUMNS).to_numpy().astype(float)
    if rows != len(found):
        draw = np.random.default_rng(0)
        spread = found.std(axis=0)
        found = found[draw.integers(0, len(found), rows)]
        found = found + draw.normal(size=found.shape) * spread * 0.095
    return (found - found.mean(axis=0)) / found.std(axis=0)


def measured(name: str, held: np.ndarray, repeats: int) -> dict[str, Any]:
    method = {"cluster": cluster, "mdav": mdav}[name]
    times = []
    for _ in range(repeats):
        start = time.process_time()
        classes = method(held, 5)
        times.append(time.process_time() - start)
    sizes = np.bincount(classes)
    peer = PEER.get(len(held), ("-",) * 4)
    return {
        "rows": len(held),
        "method": name,
        "CPU s": round(statistics.median(times), 3),
        "SSE/SST": f"{loss(held, classes):.6f}",
        "smallest": int(sizes.min()),
        "largest": int(sizes.max()),
        "sdcMicro CPU s": peer[0],
        "sdcMicro SSE/SST": peer[1],
        "to reach, CPU s": peer[2],
        "to reach, SSE/SST": peer[3],
        "peak MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


def main() -> int:
    """Measure; 1 if a class has fewer than five rows."""
    folder = data_folder()
    if folder is None:
        print("microaggregation: not run; SFUMATO_BENCH_DATA names no folder")
        return 0
    warm = points(folder, 2_000)
    for method in (cluster, mdav):
        method(warm, 5)
    rows = []
    for size, repeats in ((30_162, 5), (100_000, 3), (1_000_000, 1)):
        held = points(folder, size)
        rows.append(measured("cluster", held, repeats))
        if size <= 100_000:
            rows.append(measured("mdav", held, 1))
    if "--large" in sys.argv:
        rows.append(measured("cluster", points(folder, 10_000_000), 1))
    keep("microaggregation", rows, "Adult, 3 numeric columns, k=5; sdcMicro's MDAV")
    return int(any(row["smallest"] < 5 for row in rows))


if __name__ == "__main__":
    sys.exit(main())
