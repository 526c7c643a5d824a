"""Synthesizers beside those of others on Adult: like with like, in one run, paired over five seeds.

TabularARGN (mostlyai-engine) and the synthesizers of SDV run in environments of their own, in the folder that
``SFUMATO_SYNTH_PEERS`` names: ``mostly`` and ``sdv`` (benchmarks/README.md says how to make them). Ours and
theirs each learn in a fresh process with one thread, through ``peer_run.py``; what they make is judged here.
What is kept grows with each seed, so that a run that was cut short leaves what it has.
"""

from __future__ import annotations

import io
import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import redirect_stdout
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from scipy.stats import t as student

from benchmarks.report import data_folder, keep
from benchmarks.synthesis.evaluator import Adult

DELTA = 1e-5
_RUN = Path(__file__).with_name("peer_run.py")
#: Two at a time, and each in one thread.
_AT_ONCE = 2
_ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "LOKY_MAX_CPU_COUNT"), "1"
)
#: Figure, and whether more of it is better.
FIGURES = {"AUC": True, "TV1": False, "TV2": False, "told": False, "fit CPU s": False, "s per 10k": False}


@dataclass(frozen=True)
class Side:
    """A synthesizer, and the environment that it is in; ours is in none."""

    said: str
    kind: str
    place: str = ""
    epochs: int | None = None
    epsilon: float | None = None

    @property
    def python(self) -> Path:
        """The Python that has it."""
        return (
            Path(os.environ["SFUMATO_SYNTH_PEERS"], self.place, "bin", "python")
            if self.place
            else Path(sys.executable)
        )


_ARGN3 = Side("TabularARGN, epsilon 3", "argn", "mostly", epsilon=3.0)
PAIRS = (
    (Side("autoregressive", "autoregressive"), Side("TabularARGN medium", "argn", "mostly")),
    (Side("copula", "copula"), Side("SDV Gaussian copula", "sdv-copula", "sdv")),
    (Side("vae", "vae"), Side("TVAE, 100 epochs", "tvae", "sdv", epochs=100)),
    (Side("gan", "gan"), Side("CTGAN, 20 epochs", "ctgan", "sdv", epochs=20)),
    (Side("aim, epsilon 3", "aim", epsilon=3.0), _ARGN3),
    (Side("autoregressive, epsilon 3", "autoregressive", epsilon=3.0), _ARGN3),
)

#: By synthesizer and seed, the figures and what else was said.
Found = dict[tuple[Side, int], dict[str, Any]]


def measured(side: Side, adult: Adult, seed: int, folder: Path, public: Mapping[str, Any]) -> dict[str, Any]:
    """The figures of one synthesizer and seed.

    Raises:
        RuntimeError: its process failed.
    """
    with tempfile.TemporaryDirectory(dir=folder) as place:
        paths = {name: str(Path(place, f"{name}.parquet")) for name in ("train", "made")}
        adult.train.write_parquet(paths["train"])
        rows = adult.train.height
        task = {**asdict(side), **paths, "seed": seed, "rows": rows, "delta": DELTA, "public": public}
        Path(place, "task.json").write_text(json.dumps(task))
        ran = subprocess.run(
            [side.python, _RUN, Path(place, "task.json")],
            capture_output=True,
            text=True,
            env={**os.environ, **_ONE_THREAD},
        )
        if ran.returncode:
            raise RuntimeError(ran.stderr[-2000:])
        said = json.loads(ran.stdout.splitlines()[-1])
        judged = adult.judge(_typed(pl.read_parquet(paths["made"]), adult.train), seed)
    return {
        "AUC": judged.auc,
        "TV1": judged.tv1,
        "TV2": judged.tv2,
        "told": judged.told,
        "fit CPU s": said.pop("fit"),
        "s per 10k": said.pop("sample") / rows * 10_000,
        **said,
    }


def _typed(made: pl.DataFrame, real: pl.DataFrame) -> pl.DataFrame:
    """Made rows with the columns of real ones, whole numbers where theirs are."""
    whole = [name for name, dtype in real.schema.items() if dtype.is_integer()]
    return made.select(real.columns).with_columns(pl.col(whole).cast(pl.Float64).round().cast(pl.Int64))


def known(table: pl.DataFrame) -> dict[str, dict[str, list[Any]]]:
    """Bounds and categories, taken as public knowledge of the survey: those of all its rows."""
    numbers = [name for name, dtype in table.schema.items() if dtype.is_numeric()]
    return {
        "bounds": {name: [table[name].min(), table[name].max()] for name in numbers},
        "categories": {
            name: table[name].unique().sort().to_list() for name in table.columns if name not in numbers
        },
    }


def compared(found: Found, seeds: Sequence[int]) -> list[dict[str, Any]]:
    """A row for each pair and figure: means, and ours less theirs with its 95 % t-interval."""
    rows = []
    for ours, peer in PAIRS:
        both = [seed for seed in seeds if (ours, seed) in found and (peer, seed) in found]
        for figure, more in FIGURES.items() if len(both) > 1 else ():
            own, other = (
                np.array([found[side, seed][figure] for seed in both], float) for side in (ours, peer)
            )
            middle, low, high = interval(own - other)
            better, worse = (low > 0, high < 0) if more else (high < 0, low > 0)
            rows.append(
                {
                    "ours": ours.said,
                    "peer": peer.said,
                    "seeds": len(both),
                    "figure": figure,
                    "of ours": float(own.mean()),
                    "of the peer": float(other.mean()),
                    "difference": middle,
                    "low": low,
                    "high": high,
                    "better": "yes" if better else "NO" if worse else "open",
                }
            )
    return rows


def interval(differences: np.ndarray) -> tuple[float, float, float]:
    """The mean of two or more differences, and its 95 % t-interval.

    >>> [round(end, 3) for end in interval(np.array([1.0, 2.0, 3.0]))]
    [2.0, -0.484, 4.484]
    """
    n, middle = len(differences), float(differences.mean())
    half = float(student.ppf(0.975, n - 1) * differences.std(ddof=1) / math.sqrt(n))
    return middle, middle - half, middle + half


def _kept(found: Found, seeds: Sequence[int]) -> list[dict[str, Any]]:
    rows = compared(found, seeds)
    if rows:
        versions = sorted({each["version"] for each in found.values()})
        asked = len({side for pair in PAIRS for side in pair}) * len(seeds)
        keep(
            "synthesis_peers",
            rows,
            f"Adult, ours less the peer's, paired over seeds, 95 % t-intervals; delta {DELTA:g}; "
            f"{len(found)} of {asked} runs are done; {', '.join(versions)}",
        )
    each = [{"run": side.said, "seed": seed, **figures} for (side, seed), figures in found.items()]
    columns = list(dict.fromkeys(name for row in each for name in row))
    keep("synthesis_peers_runs", [{name: row.get(name, "") for name in columns} for row in each], "each run")
    return rows


def main() -> int:
    """Compare every pair on every seed; 1 unless each figure is better beyond doubt."""
    if data_folder() is None:
        print("synthesis_peers: not run; SFUMATO_BENCH_DATA names no folder")
        return 0
    if "SFUMATO_SYNTH_PEERS" not in os.environ:
        print("synthesis_peers: not run; SFUMATO_SYNTH_PEERS names no folder with the peers' environments")
        return 0
    lacking = {str(side.python) for pair in PAIRS for side in pair if not side.python.exists()}
    if lacking:
        print(f"synthesis_peers: not run; there is no {', no '.join(sorted(lacking))}")
        return 0
    seeds = range(int(os.environ.get("SFUMATO_BENCH_SEEDS", "5")))
    data = {seed: Adult.read(seed) for seed in seeds}
    public = known(pl.concat([data[0].train, data[0].test]))
    tasks = dict.fromkeys((side, seed) for pair in PAIRS for seed in seeds for side in pair)
    found: Found = {}
    failed = False
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(_AT_ONCE) as pool:
        jobs = {
            pool.submit(measured, side, data[seed], seed, Path(folder), public): (side, seed)
            for side, seed in tasks
        }
        for job in as_completed(jobs):
            try:
                found[jobs[job]] = job.result()
            except RuntimeError as error:
                failed = True
                print(f"synthesis_peers: {jobs[job][0].said}, seed {jobs[job][1]}: {error}", file=sys.stderr)
                continue
            print(f"{jobs[job][0].said}, seed {jobs[job][1]}", flush=True)
            with redirect_stdout(io.StringIO()):
                _kept(found, seeds)
        rows = _kept(found, seeds) if found else []
    return int(failed or any(row["better"] != "yes" for row in rows))


if __name__ == "__main__":
    sys.exit(main())
