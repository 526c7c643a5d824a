"""Special uniques on Adult, beside the package suda 0.2.0; unicity of the CDNOW log of purchases.

Data: ``adult_full/`` in the folder that SFUMATO_BENCH_DATA names. The package is run in an environment of
its own, whose Python SFUMATO_SUDA names; it counts every unique set of columns, minimal or not, so only
the share of people with any is comparable. CDNOW's log (69,659 purchases of 23,570 customers) is taken
from the file that SFUMATO_CDNOW names, else from the package lifetimes where it is installed. CPU
seconds are the median of five with kernels warm, counting the tuples included.
"""

from __future__ import annotations

import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from benchmarks.report import data_folder, keep
from sfumato.contracts import COUNT, PERSON, ROW, Comparison
from sfumato.core.values import ColumnProfile, Finding, Inventory, Plan, Role
from sfumato.evidence import probe
from sfumato.evidence.attacks.minimal_uniques import Owned, minimal_uniques

COLUMNS = (
    "age", "workclass", "education", "marital_status", "occupation", "race", "sex", "native_country",
    "hours_per_week",
)  # fmt: skip
#: People of the first 30,000 rows whom at most three of the columns single out, counted by the package too.
KNOWN = 0.3929
REPEATS = 5

_PEER = """
import json, sys, time
import pandas as pd, suda
frame, columns = pd.read_csv(sys.argv[1], dtype=str, keep_default_na=False), sys.argv[2:]
found = {}
for size in (1, 2, 3):
    start = time.process_time()
    marked = suda.suda(frame.copy(), max_msu=size, columns=columns)
    found[size] = [float((marked["suda"] > 0).mean()), time.process_time() - start]
print(json.dumps(found))
"""


def main() -> int:
    """Print both parts; 1 if a share is not what is known."""
    wrong = False
    folder = data_folder()
    if folder is None or not (folder / "adult_full").is_dir():
        print("SFUMATO_BENCH_DATA names no folder with adult_full", file=sys.stderr)
    else:
        wrong |= _special_uniques(pl.read_csv(folder / "adult_full" / "adult.csv.gz").select(COLUMNS))
    log = _cdnow()
    if log is None:
        print("no CDNOW log: SFUMATO_CDNOW names none and lifetimes is not installed", file=sys.stderr)
    else:
        wrong |= _unicity(log)
    return int(wrong)


def _special_uniques(adult: pl.DataFrame) -> bool:
    first = adult[:30_000]
    # Whoever is counted twice differs in age, so that classes grow as with more people.
    again = adult.with_columns(age=pl.col("age") + 3)
    tables = {
        "30k": first,
        "100k": pl.concat([adult, again, again[:2_316].with_columns(age=pl.lit(0, pl.Int64))]),
    }
    peer, rows, wrong = _peer(first), [], False
    for name, table in tables.items():
        for size in (1, 2, 3, 5):
            shares, seconds = _timed(lambda table=table, size=size: _searched(table, size))
            row: dict[str, Any] = {"rows": name, "size": size, "share": shares, "CPU s": seconds}
            theirs = peer.get(str(size)) if name == "30k" else None
            if peer:
                row |= {
                    "suda 0.2.0": theirs[0] if theirs else "",
                    "their CPU s": theirs[1] if theirs else "",
                    "times": theirs[1] / seconds if theirs else "",
                }
                wrong |= theirs is not None and abs(theirs[0] - shares) > 1e-9
            if (name, size) == ("30k", 3):
                wrong |= abs(shares - KNOWN) > 5e-5
            rows.append(row)
    keep("suda", rows, "Adult, 9 columns as they are: people singled out by at most so many")
    return wrong


def _searched(table: pl.DataFrame, size: int) -> float:
    counted = table.group_by(COLUMNS).len(COUNT)
    found = minimal_uniques(Owned.of(counted, COLUMNS), size)
    assert found.size == size
    assert len(found.scores) == len(found.owned.owners)
    return found.share(size)


def _timed(work: Callable[[], Any]) -> tuple[Any, float]:
    seconds, found = [], None
    for _ in range(REPEATS + 1):
        start = time.process_time()
        found = work()
        seconds.append(time.process_time() - start)
    return found, statistics.median(seconds[1:])


def _peer(table: pl.DataFrame) -> dict[str, list[float]]:
    python = os.environ.get("SFUMATO_SUDA")
    if not python:
        return {}
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "table.csv"
        table.fill_null("missing").write_csv(path)
        done = subprocess.run(
            [python, "-c", _PEER, str(path), *COLUMNS], capture_output=True, text=True, check=True
        )
    found: dict[str, list[float]] = json.loads(done.stdout.splitlines()[-1])
    return found


def _cdnow() -> pl.DataFrame | None:
    """The log: customer, date, CDs and dollars of each purchase."""
    named = os.environ.get("SFUMATO_CDNOW")
    package = importlib.util.find_spec("lifetimes")
    if named is None and package is not None and package.origin:
        named = str(Path(package.origin).parent / "datasets" / "CDNOW_master.txt")
    if named is None or not Path(named).is_file():
        return None
    lines = [line.split() for line in Path(named).read_text().splitlines()[1:] if line.strip()]
    customer, day, many, dollars = (list(column) for column in zip(*lines, strict=True))
    return pl.DataFrame(
        {
            PERSON: pl.Series(customer).cast(pl.UInt64),
            "day": pl.Series(day).str.to_date("%Y%m%d"),
            "cds": pl.Series(many).cast(pl.Int64),
            "dollars": pl.Series(dollars).cast(pl.Float64),
        }
    ).with_row_index(ROW)


def _unicity(log: pl.DataFrame) -> bool:
    month, year = (pl.col("day").dt.truncate(every) for every in ("1mo", "1y"))
    releases = {
        "as it is": log,
        "month, CDs to 3, tens of dollars": log.with_columns(
            month, pl.col("cds").clip(0, 3), (pl.col("dollars") // 10).clip(0, 10)
        ),
        "year, CDs to 3": log.with_columns(year, pl.col("cds").clip(0, 3), dollars=0.0),
        "year": log.with_columns(year, cds=0, dollars=0.0),
    }
    rows, by_release = [], []
    for name, released in releases.items():
        comparison = _linked(log, released)
        findings, seconds = _timed(lambda comparison=comparison: _attacked(comparison))
        found = {(f.metric, f.target): f.value for f in findings}
        points = [found["unicity.points", target] for target in ("1 point", "2 points", "4 points")]
        by_release.append(points[-1])
        firsts = [found["unicity.first", target] for target in ("1 first row", "3 first rows")]
        rows.append(
            {
                "release": name,
                **dict(zip(("1 point", "2 points", "4 points"), points, strict=True)),
                **dict(zip(("first row", "first 3 rows"), firsts, strict=True)),
                "top 3": found["unicity.top", "top 3"],
                "CPU s": seconds,
            }
        )
    people, purchases = log[PERSON].n_unique(), log.height
    keep(
        "unicity", rows, f"CDNOW, {purchases} purchases of {people} customers: people alone, before and after"
    )
    return by_release != sorted(by_release, reverse=True)


def _attacked(comparison: Comparison) -> list[Finding]:
    kind = probe("unicity")
    found: list[Finding] = kind().run(comparison, kind.Params())
    return found


def _linked(log: pl.DataFrame, released: pl.DataFrame) -> Comparison:
    columns = ("day", "cds", "dollars")
    firsts = log.with_row_index("at").unique(PERSON, keep="first", maintain_order=True)["at"].to_list()
    profiles = tuple(
        ColumnProfile(
            name=name, dtype="date" if name == "day" else "number", missing=0, distinct=2,
            role=Role.QUASI_IDENTIFIER, why="", distinction=0.1, separation=0.5, unique=0.0,
        )
        for name in columns
    )  # fmt: skip
    return Comparison(
        inventory=Inventory(rows=log.height, examined=log.height, target=None, columns=profiles),
        plan=Plan(
            dataset="cdnow", policy_digest="", inventory_digest="", rows=log.height, holdout_rows=0, steps=()
        ),
        original=log[firsts].select(columns),
        released=released[firsts].select(columns),
        kept=np.ones(len(firsts), dtype=bool),
        control=log[:0].select(columns),
        describe=lambda frame: frame,
        count=lambda names: released.group_by(names).len(COUNT),
        count_original=lambda names: log.group_by(names).len(COUNT),
        centers={},
        key=bytes(32),
        design="none",
        alike=lambda _: np.array([log.height]),
        alike_original=lambda _: np.array([log.height]),
        histories=lambda names: released.select(ROW, PERSON, *names),
        histories_original=lambda names: log.select(ROW, PERSON, *names),
        people=log[PERSON][firsts].to_numpy(),
    )


if __name__ == "__main__":
    raise SystemExit(main())
