"""The utility measures on Adult: what they cost, and whether they see that every dependence is gone.

Data: ``adult_full/`` in the folder that SFUMATO_BENCH_DATA names, 48,842 rows of 15 columns. SDMetrics is run
in an environment of its own, whose Python SFUMATO_SDMETRICS names; without it that part is left out. CPU
seconds, kernels warm; ours with the noise floor.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl
from threadpoolctl import threadpool_limits

from benchmarks.report import data_folder, keep
from sfumato.contracts import COUNT, Comparison
from sfumato.core.values import Inventory, Plan
from sfumato.evidence import probe

REPEATS = 3
#: The measures that are to cost less than a CPU second together, and those that teach models.
QUICK = ("marginals", "correlations", "tails")
OTHERS = ("distributions", "regression", "propensity", "learning")
SHOWN = {
    "marginals": "marginals.three",
    "correlations": "correlations.error",
    "tails": "tails.combinations",
    "distributions": "distributions.tv",
    "regression": "regression.overlap",
    "propensity": "propensity.pmse_ratio",
    "learning": "learning.skill_ratio",
}
PEER = """
import json, sys, time
import pandas as pd
from sdmetrics.reports.single_table import QualityReport
real, metadata = pd.read_csv(sys.argv[1]), json.load(open(sys.argv[2]))
for path in sys.argv[3:]:
    fake, start = pd.read_csv(path), time.process_time()
    report = QualityReport()
    report.generate(real, fake, metadata, verbose=False)
    print(json.dumps([float(report.get_score()), time.process_time() - start]))
"""


def compared(original: pl.DataFrame, released: pl.DataFrame, control: pl.DataFrame) -> Comparison:
    """A release of other rows in the same terms."""
    none = Plan(dataset="adult", policy_digest="", inventory_digest="", rows=0, holdout_rows=0, steps=())
    return Comparison(
        inventory=Inventory(rows=0, examined=0, target="income", columns=()),
        plan=none,
        original=original,
        released=released,
        kept=np.ones(original.height, dtype=bool),
        control=control,
        describe=lambda frame: frame,
        count=lambda columns: released.group_by(columns).len(COUNT),
        count_original=lambda columns: original.group_by(columns).len(COUNT),
        centers={},
        key=bytes(32),
        design="holdout",
    )


def releases(frame: pl.DataFrame) -> dict[str, pl.DataFrame]:
    """The same people drawn again, and every column shuffled by itself."""
    draw = np.random.default_rng(0)
    return {
        "resample": frame[draw.integers(0, frame.height, frame.height)],
        "shuffled": pl.DataFrame([frame[c].gather(draw.permutation(frame.height)) for c in frame.columns]),
    }


def main() -> int:
    """Measure; 1 if the quick measures cost a second, or a measure of dependence is blind."""
    folder = data_folder()
    if folder is None:
        print("SFUMATO_BENCH_DATA names no folder", file=sys.stderr)
        return 0
    frame = pl.read_csv(folder / "adult_full" / "adult.csv.gz").drop("split")
    # The quick measures see everybody; those that teach models need people to test on.
    control = frame[39_073:]
    rows, total, blind = [], 0.0, 0
    for name in (*QUICK, *OTHERS):
        original = frame if name in QUICK else frame[:39_073]
        made = {which: compared(original, release, control) for which, release in releases(original).items()}
        found, spent = _measured(name, made, REPEATS if name in QUICK else 1)
        total += spent if name in QUICK else 0.0
        blind += name != "distributions" and abs(found["shuffled"] - found["resample"]) < 0.05
        rows.append({"measure": SHOWN[name], **found, "CPU s": spent})
    rows.append({**dict.fromkeys(rows[0], ""), "measure": "quick ones together", "CPU s": total})
    rows += _peer(frame)
    keep("utility", rows, "Adult, 15 columns; a resample against every dependence destroyed")
    return int(total >= 1 or blind > 0)


def _measured(name: str, made: dict[str, Comparison], repeats: int) -> tuple[dict[str, object], float]:
    part, found, spent = probe(name), {}, []
    with threadpool_limits(1):
        for which, comparison in made.items():
            if name in QUICK:
                part().run(comparison, part.Params())
            for _ in range(repeats):
                start = time.process_time()
                findings = part().run(comparison, part.Params())
                spent.append(time.process_time() - start)
            (shown,) = (f for f in findings if (f.metric, f.target) == (SHOWN[name], "release"))
            found |= {which: shown.value, f"{which} floor": shown.baseline}
    return found, statistics.median(spent)


def _peer(frame: pl.DataFrame) -> list[dict[str, object]]:
    """SDMetrics' QualityReport on 30,000 rows, as its anchor was taken."""
    python = os.environ.get("SFUMATO_SDMETRICS")
    if not python:
        return []
    frame = frame[:30_000]
    kinds = {
        c: {"sdtype": "numerical" if frame[c].dtype.is_numeric() else "categorical"} for c in frame.columns
    }
    with tempfile.TemporaryDirectory() as place:
        here = Path(place)
        frame.write_csv(here / "real.csv")
        (here / "metadata.json").write_text(json.dumps({"columns": kinds}))
        paths = []
        for which, release in releases(frame).items():
            release.write_csv(here / f"{which}.csv")
            paths.append(str(here / f"{which}.csv"))
        command = [python, "-c", PEER, str(here / "real.csv"), str(here / "metadata.json"), *paths]
        lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    (resample, first), (shuffled, second) = (json.loads(line) for line in lines[-2:])
    row = {"measure": "SDMetrics QualityReport, 30,000 rows", "resample": resample, "resample floor": ""}
    return [{**row, "shuffled": shuffled, "shuffled floor": "", "CPU s": statistics.mean([first, second])}]


if __name__ == "__main__":
    raise SystemExit(main())
