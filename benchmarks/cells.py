"""Cells blanked for 5-anonymity on seven keys of Adult with raw age against sdcMicro.

Data: ``arx/adult`` in the folder that SFUMATO_BENCH_DATA names. sdcMicro's localSuppression blanks 7.46 % of
the cells, reading a blank as any value; read as a value of its own it leaves 2,432 rows in classes below
five. Our bound, for that second reading, is what each row needs at least to look like four others at all.
"""

from __future__ import annotations

import statistics
import sys
import time

import numpy as np
import polars as pl

from benchmarks.report import data_folder, keep
from sfumato.anonymity.cells import Suppression, smallest_tuples, suppress_cells

KEYS = ["age", "sex", "race", "marital-status", "education", "native-country", "workclass"]


def compatible(codes: np.ndarray, found: Suppression) -> np.ndarray:
    """The rows that could be each piece's if a blank may be any value, shape (pieces,)."""
    shown = np.where(found.blanks, -1, codes[:, found.units])
    tuples, places = np.unique(shown, axis=1, return_inverse=True)
    rows = np.bincount(places, found.counts)
    sums = np.empty(tuples.shape[1])
    for i in range(tuples.shape[1]):
        one = tuples[:, i : i + 1]
        sums[i] = rows[((tuples == one) | (tuples < 0) | (one < 0)).all(axis=0)].sum()
    return sums[places]


def main() -> int:
    """Measure; 1 if a row is in a class below five."""
    folder = data_folder()
    if folder is None:
        print("cells: not run; SFUMATO_BENCH_DATA names no folder")
        return 0
    table = pl.read_csv(folder / "arx" / "adult" / "adult.csv", separator=";")
    tuples = table.group_by(KEYS, maintain_order=True).len()
    codes = np.stack([tuples[c].rank("dense").cast(pl.Int64).to_numpy() - 1 for c in KEYS])
    counts = tuples["len"].cast(pl.Int64).to_numpy()
    suppress_cells(codes[:, :500], counts[:500], 5)
    times = []
    for _ in range(3):
        start = time.process_time()
        found = suppress_cells(codes, counts, 5)
        times.append(time.process_time() - start)
    cells = len(KEYS) * int(counts.sum())
    own, any_value = smallest_tuples(codes, found), compatible(codes, found)
    rows = [
        {
            "tool": "sfumato",
            "CPU s": round(statistics.median(times), 2),
            "cells": f"{found.cells / cells:.2%}",
            "no fewer than (blank = a value)": "-" if found.bound is None else f"{found.bound / cells:.2%}",
            "rows below 5, blank = a value": int(found.counts[own < 5].sum()),
            "rows below 5, blank = any value": int(found.counts[any_value < 5].sum()),
        },
        {
            "tool": "sdcMicro",
            "CPU s": 202,
            "cells": "7.46%",
            "no fewer than (blank = a value)": "-",
            "rows below 5, blank = a value": 2432,
            "rows below 5, blank = any value": "-",
        },
    ]
    keep("cells", rows, "Adult, 7 keys with raw age, 30,162 rows, k=5")
    return int(own.min() < 5)


if __name__ == "__main__":
    sys.exit(main())
