"""Two releases of people who are mostly the same: what both give away together, and how long it takes to say.

The first part, with our own recodings: 24,000 people of adult
who are in both of two samples, each released k-anonymous on seven columns, occupation sensitive. The second
times the attack alone on a million people.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

import sfumato as sf
from benchmarks.report import data_folder, keep
from sfumato.evidence.attacks.composition import Column, Joint, compose

QUASI = ("sex", "age", "race", "marital-status", "education", "native-country", "workclass")
SENSITIVE = "occupation"
SHARED, OTHERS = 24_000, 3_000
MILLION = 1_000_000


def main() -> int:
    """Both parts; the first needs ``SFUMATO_BENCH_DATA``."""
    folder, rows = data_folder(), []
    if folder is not None:
        for method in ("partition", "lattice"):
            rows += [_released(folder, method, k) for k in (5, 20)]
        keep("composition", rows, "adult, 7 columns: occupation told by one and by both, people below k (%)")
    keep("composition_million", [_timed()], "the attack on 1M people in two releases of 100k classes (CPU s)")
    return 0


def _released(folder: Path, method: str, k: int) -> dict[str, Any]:
    table = pl.read_csv(folder / "arx" / "adult" / "adult.csv", separator=";").with_row_index("id")
    order = np.random.default_rng(24).permutation(table.height)
    parts = [order[: SHARED + OTHERS], np.r_[order[:SHARED], order[SHARED + OTHERS : SHARED + 2 * OTHERS]]]
    policy: dict[str, Any] = {
        "sfumato": 1,
        "dataset": {"name": "adult", "source": {"path": "unused.csv"}, "key": "id"},
        "columns": {name: {"role": "quasi-identifier", "why": "known"} for name in QUASI}
        | {SENSITIVE: {"role": "insensitive", "sensitive": True, "why": "told"}},
        "anonymity": {"method": method, "models": [{"model": "k-anonymity", "k": k}], "suppression": 0.05},
        "approvals": [{"by": "a benchmark", "what": f"column {SENSITIVE}", "why": "the sensitive column"}],
    }
    with tempfile.TemporaryDirectory() as place:
        found = [
            sf.run(
                policy,
                table[np.sort(part).tolist()],
                output=Path(place, str(i)),
                project=Path(place, "keys"),
            )
            for i, part in enumerate(parts)
        ]
    figures = {(finding.metric, finding.target): finding for finding in found[1].findings}
    told = figures["composition.disclosed", SENSITIVE]
    below = figures["composition.below_k", "release"]
    return {
        "method": method,
        "k": k,
        "one": 100 * (told.baseline or 0.0),
        "both": 100 * (told.value or 0.0),
        "below k": 100 * (below.value or 0.0),
        "people": told.n,
        "anchor": "1.0 / 4.3 / 36.7" if k == 5 else "0.0 / 0.1 / 60",
    }


def _timed() -> dict[str, Any]:
    draw = np.random.default_rng(1)
    values = draw.integers(0, 50, MILLION)
    classes = [draw.integers(0, 100_000, MILLION) for _ in range(2)]
    classes[1][draw.random(MILLION) < 0.1] = -1
    joint = Joint((classes[0], classes[1]), 5, {"s": Column((0, 1), (values, values))})
    compose(Joint((classes[0][:9], classes[1][:9]), 5, {"s": Column((0, 1), (values[:9], values[:9]))}), "")
    taken = []
    for _ in range(3):
        begun = time.process_time()
        compose(Joint(joint.classes, 5, joint.columns), "two releases")
        taken.append(time.process_time() - begun)
    return {"people": MILLION, "cpu s": float(np.median(taken))}


if __name__ == "__main__":
    raise SystemExit(main())
