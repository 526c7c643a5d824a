"""Errors and times of private statistics beside diffprivlib's.

Data: ``adult_full/`` in the folder that SFUMATO_BENCH_DATA names. diffprivlib 0.6.6 (with scikit-learn < 1.6)
is run in an environment of its own, whose Python SFUMATO_DP_PEERS names; without it ours stand alone. Errors
are root mean squares over repeated releases, each with all of epsilon for the one question. diffprivlib's
mean, variance and count take the number of rows to be public (its count is cut off at it, ours is not); our
mean is shown with and without. Its quantile fails on heaps of equal numbers, which are spread by up to .01
for it. Times are CPU seconds of one release on a million rows, the noise calibrated before; diffprivlib is
given codes for categories, ours finds them itself.
"""

from __future__ import annotations

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
from sfumato import dp
from sfumato.dp.calibration import calibrate
from sfumato.dp.queries import QUERIES
from sfumato.dp.queries.base import Noise
from sfumato.dp.queries.questions import Question

AGE, WEIGHT, PAY = (17.0, 90.0), (0.0, 1_500_000.0), (0.0, 100_000.0)
REPEATS = 50
EPSILONS = (1.0, 0.1)

PEER = r"""
import json, sys, time, warnings
import numpy as np
warnings.simplefilter("ignore")
from diffprivlib import tools
data, out, repeats, epsilons = np.load(sys.argv[1]), sys.argv[2], int(sys.argv[3]), json.loads(sys.argv[4])
sizes = [int(size) for size in data["sizes"]]
def apart(x):
    # Its quantile fails on heaps of equal numbers.
    return x + np.random.default_rng(0).uniform(-0.01, 0.01, len(x))
def asked(age, weight, gain, codes, epsilon):
    edges = [np.arange(size + 1) - 0.5 for size in sizes]
    return {
        "count": lambda: [tools.count_nonzero(np.ones(len(age)), epsilon=epsilon)],
        "mean age": lambda: [tools.mean(age, epsilon=epsilon, bounds=(17, 90))],
        "mean gain": lambda: [tools.mean(gain, epsilon=epsilon, bounds=(0, 100000))],
        "variance age": lambda: [tools.var(age, epsilon=epsilon, bounds=(17, 90))],
        "median weight": lambda: [tools.quantile(apart(weight), 0.5, epsilon=epsilon, bounds=(0, 1500000))],
        "quartile age": lambda: [tools.quantile(apart(age), 0.25, epsilon=epsilon, bounds=(17, 90))],
        "histogram": lambda: tools.histogram(
            codes[0], epsilon=epsilon, bins=edges[0], range=(edges[0][0], edges[0][-1])
        )[0].tolist(),
        "contingency": lambda: tools.histogramdd(codes.T, epsilon=epsilon, bins=edges)[0].ravel().tolist(),
    }
found = {"values": {}, "seconds": {}}
for epsilon in epsilons:
    for name, ask in asked(data["age"], data["weight"], data["gain"], data["codes"], epsilon).items():
        many = 10 if name in ("histogram", "contingency") else repeats
        found["values"][f"{name} {epsilon}"] = [ask() for _ in range(many)]
for name, ask in asked(*(data["big_" + part] for part in ("age", "weight", "gain", "codes")), 1.0).items():
    times = []
    for _ in range(3):
        start = time.process_time(); ask(); times.append(time.process_time() - start)
    found["seconds"][name] = sorted(times)[1]
json.dump(found, open(out, "w"))
"""


def main() -> int:
    """Print and keep the errors and times; 1 if a figure is far from what its noise should give."""
    folder = data_folder()
    if folder is None:
        print("SFUMATO_BENCH_DATA names no folder: nothing to measure", file=sys.stderr)
        return 0
    table = pl.read_csv(folder / "adult_full" / "adult.csv.gz", infer_schema_length=None)
    table = table.rename({name: name.replace("_", "-") for name in table.columns})
    big = table.sample(1_000_000, with_replacement=True, seed=1)
    peer = _peer(table, big)
    rows = _errors(table, peer)
    keep("dp_queries", rows, f"root mean square errors, Adult, {table.height} rows, {REPEATS} releases each")
    keep(
        "dp_queries_times",
        _times(big, peer),
        "CPU seconds of one release on 1,000,000 rows of Adult, epsilon 1",
    )
    return int(any(row["ours / expected"] > 1.6 for row in rows if row["ours / expected"] is not None))


def _domains(table: pl.DataFrame) -> dict[str, list[Any]]:
    """The categories of three columns; of these data they are public (the names file has them)."""
    names = ("education", "occupation", "sex")
    return {name: table[name].cast(pl.String).fill_null("?").unique().sort().to_list() for name in names}


def _questions(table: pl.DataFrame) -> dict[str, Question]:
    domains, rows = _domains(table), table.height
    return {
        "count": dp.count(),
        "mean age": dp.mean("age", AGE),
        "mean age, n public": dp.mean("age", AGE, rows=rows),
        "mean gain": dp.mean("capital-gain", PAY),
        "mean gain, n public": dp.mean("capital-gain", PAY, rows=rows),
        "variance age": dp.variance("age", AGE),
        "median weight": dp.quantile("fnlwgt", WEIGHT, steps=5_000, interval=False),
        "median weight, interval too": dp.quantile("fnlwgt", WEIGHT, steps=5_000),
        "quartile age": dp.quantile("age", AGE, 0.25, interval=False),
        "histogram": dp.histogram("education", categories=domains["education"]),
        "contingency": dp.contingency(domains),
    }


def _once(table: pl.DataFrame, given: Question, epsilon: float, delta: float) -> Callable[[], pl.DataFrame]:
    """One release without its ledger: what is drawn is what ``ask`` draws."""
    kind = QUERIES.resolve(given.query)
    laws = calibrate([given], epsilon=epsilon, noise=None, delta=delta).laws[0]

    def ask() -> pl.DataFrame:
        noise = Noise(kind.needs(given.params), laws, 1, delta == 0, 0.95)
        return kind.answer(table, given.params, noise).table

    return ask


def _truth(table: pl.DataFrame, name: str) -> np.ndarray[Any, Any]:
    domains, kind = _domains(table), name.split(",")[0]
    if kind in ("histogram", "contingency"):
        columns = domains if kind == "contingency" else {"education": domains["education"]}
        codes = _codes(table, columns)
        flat = np.ravel_multi_index(tuple(codes), tuple(len(each) for each in columns.values()))
        return np.bincount(flat, minlength=int(np.prod([len(each) for each in columns.values()])))
    numbers = {
        "count": lambda: table.height,
        "mean age": lambda: table["age"].mean(),
        "mean gain": lambda: table["capital-gain"].mean(),
        "variance age": lambda: table["age"].var(ddof=0),
        "median weight": lambda: table["fnlwgt"].quantile(0.5, "higher"),
        "quartile age": lambda: table["age"].quantile(0.25, "higher"),
    }
    return np.array([numbers[kind]()], dtype=float)


def _codes(table: pl.DataFrame, domains: dict[str, list[Any]]) -> np.ndarray[Any, Any]:
    return np.array(
        [
            table[name].cast(pl.String).fill_null("?").replace_strict(values, range(len(values))).to_numpy()
            for name, values in domains.items()
        ]
    )


def _errors(table: pl.DataFrame, peer: dict[str, Any] | None) -> list[dict[str, Any]]:
    found = []
    for name, given in _questions(table).items():
        truth = _truth(table, name)
        for epsilon in EPSILONS:
            pure, gaussian = (
                _size([ask()["value"].to_numpy() for _ in range(_repeats(truth))], truth)
                for ask in (_once(table, given, epsilon, delta) for delta in (0.0, 1e-6))
            )
            theirs = None
            if peer is not None:
                theirs = _size(peer["values"][f"{name.split(',')[0]} {epsilon}"], truth)
            found.append(
                {
                    "question": name,
                    "epsilon": epsilon,
                    "ours, pure": pure,
                    "ours, delta 1e-6": gaussian,
                    "diffprivlib": theirs,
                    "pure / diffprivlib": pure / theirs if theirs else None,
                    # A discrete Laplace of that epsilon has the standard deviation sqrt(2) / epsilon, about.
                    "ours / expected": pure * epsilon / 2**0.5
                    if name in ("count", "histogram", "contingency")
                    else None,
                }
            )
    return found


def _repeats(truth: np.ndarray[Any, Any]) -> int:
    return REPEATS if len(truth) == 1 else 10


def _size(values: Any, truth: np.ndarray[Any, Any]) -> float:
    """The root mean square of the errors of all figures of all releases; no figure counts as the worst."""
    errors = np.array([np.asarray(value, dtype=float) - truth for value in values])
    return float(np.sqrt(np.mean(errors**2)))


def _times(big: pl.DataFrame, peer: dict[str, Any] | None) -> list[dict[str, Any]]:
    found = []
    for name, given in _questions(big).items():
        ask = _once(big, given, 1.0, 1e-6)
        ask()
        seconds = []
        for _ in range(3):
            start = time.process_time()
            ask()
            seconds.append(time.process_time() - start)
        theirs = None if peer is None else peer["seconds"][name.split(",")[0]]
        ours = statistics.median(seconds)
        found.append(
            {
                "question": name,
                "ours": ours,
                "diffprivlib": theirs,
                "ratio": ours / theirs if theirs else None,
            }
        )
    return found


def _peer(table: pl.DataFrame, big: pl.DataFrame) -> dict[str, Any] | None:
    python = os.environ.get("SFUMATO_DP_PEERS")
    if not python:
        return None
    domains = _domains(table)
    with tempfile.TemporaryDirectory() as folder:
        given, out = Path(folder) / "data.npz", Path(folder) / "out.json"
        arrays: dict[str, Any] = {"sizes": np.array([len(values) for values in domains.values()])}
        for prefix, frame in (("", table), ("big_", big)):
            arrays[prefix + "age"] = frame["age"].to_numpy().astype(float)
            arrays[prefix + "weight"] = frame["fnlwgt"].to_numpy().astype(float)
            arrays[prefix + "gain"] = frame["capital-gain"].to_numpy().astype(float)
            arrays[prefix + "codes"] = _codes(frame, domains)
        np.savez(given, **arrays)
        told = [python, "-c", PEER, str(given), str(out), str(REPEATS), json.dumps(EPSILONS)]
        subprocess.run(told, check=True)
        found: dict[str, Any] = json.loads(out.read_text())
    return found


if __name__ == "__main__":
    raise SystemExit(main())
