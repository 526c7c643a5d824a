"""The three attacks of WP216 on Adult, beside Anonymeter 1.1.0 (Giomi et al. 2023) run from outside.

Data: ``adult_full/`` in the folder that SFUMATO_BENCH_DATA names: a training part, a CTGAN's synthetic data
made from it, and a control. Anonymeter is run in an environment of its own, whose Python SFUMATO_ANONYMETER
names; without it its columns are left out. Ours say the risk and the excess over equally many people who
are not in the release, Anonymeter's risk is its own figure over its control. CPU seconds: ours the
median of three with kernels warm and the same attack on the original in it; Anonymeter's once, the first
release with its compilation in it, so its first line is no fair ratio.
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
from typing import Any

import numpy as np
import polars as pl
from threadpoolctl import threadpool_limits

from benchmarks.report import data_folder, keep
from sfumato.contracts import COUNT, Comparison
from sfumato.core.values import ColumnProfile, Inventory, Plan, Role
from sfumato.evidence import probe

ROWS = 9_700
ATTACKS = 500
REPEATS = 3
SECRET = "income"

_PEER = """
import json, sys, time, warnings
warnings.filterwarnings("ignore")
import pandas as pd
from anonymeter.evaluators import InferenceEvaluator, LinkabilityEvaluator, SinglingOutEvaluator
folder, attacks, secret = sys.argv[1], int(sys.argv[2]), sys.argv[3]
ori, control = (pd.read_csv(f"{folder}/{n}.csv") for n in ("original", "control"))
columns = list(ori.columns)
found = {}
for name in sys.argv[4:]:
    syn = pd.read_csv(f"{folder}/{name}.csv")
    half = len(columns) // 2
    made = {
        "univariate": lambda: SinglingOutEvaluator(ori, syn, n_attacks=attacks, control=control),
        "multivariate": lambda: SinglingOutEvaluator(ori, syn, n_attacks=attacks, n_cols=4, control=control),
        "linkability": lambda: LinkabilityEvaluator(ori, syn, (columns[:half], columns[half:]),
                                                    n_attacks=attacks, control=control),
        "inference": lambda: InferenceEvaluator(ori, syn, [c for c in columns if c != secret], secret,
                                                n_attacks=attacks, control=control),
    }
    for attack, make in made.items():
        start = time.process_time()
        try:
            evaluator = make()
            if attack.endswith("variate"):
                evaluator.evaluate(mode=attack)
            elif attack == "linkability":
                evaluator.evaluate(n_jobs=1)
            else:
                evaluator.evaluate(n_jobs=1)
            risk = evaluator.risk().value
        except Exception as failure:
            risk = type(failure).__name__
        found[f"{name} {attack}"] = [risk, time.process_time() - start]
print(json.dumps(found))
"""


def main() -> int:
    """Print both sides; 1 if an exact copy is not found out or other people are."""
    folder = data_folder()
    if folder is None or not (folder / "adult_full").is_dir():
        print("SFUMATO_BENCH_DATA names no folder with adult_full", file=sys.stderr)
        return 0
    original, control, releases = _data(folder / "adult_full")
    peer = _peer(original, control, releases)
    rows, wrong = [], False
    for name, released in releases.items():
        comparison = _comparison(original, released, control)
        for attack, metric, theirs in (
            ("singling-out", "singling_out", ("univariate", "multivariate")),
            ("linkability", "linkability", ("linkability",)),
            ("attribute-inference", "attribute_inference", ("inference",)),
        ):
            row, excess = _ours(comparison, name, attack, metric)
            wrong |= excess is None or (name == "other people" and excess > 0.05)
            wrong |= name == "copy" and metric != "attribute_inference" and (excess or 0) < 0.9
            rows.append({**row, **_theirs(peer, name, theirs, row["CPU s"])})
    keep("wp216", rows, f"{ROWS} rows of Adult, {ATTACKS} attacks, excess over equally many strangers")
    return int(wrong)


def _data(folder: Path) -> tuple[pl.DataFrame, pl.DataFrame, dict[str, pl.DataFrame]]:
    train, control, synthetic = (
        pl.read_csv(folder / f"anonymeter_{name}.csv.gz")
        for name in ("train_rebuilt", "control", "syn_ctgan")
    )
    train = train.sample(2 * ROWS, seed=1, shuffle=True)
    original, others = train[:ROWS], train[ROWS:]
    half = pl.concat([original[: ROWS // 2], others[ROWS // 2 :]])
    releases = {"copy": original, "half a copy": half, "other people": others, "CTGAN": synthetic[:ROWS]}
    return original, control[:ROWS], releases


def _comparison(original: pl.DataFrame, released: pl.DataFrame, control: pl.DataFrame) -> Comparison:
    profiles = tuple(
        ColumnProfile(
            name=name, dtype="text", missing=0, distinct=2, role=Role.QUASI_IDENTIFIER, why="",
            sensitive=name == SECRET, distinction=0.1, separation=0.5, unique=0.0,
        )
        for name in original.columns
    )  # fmt: skip
    return Comparison(
        inventory=Inventory(rows=ROWS, examined=ROWS, target=None, columns=profiles),
        plan=Plan(
            dataset="adult", policy_digest="", inventory_digest="", rows=ROWS, holdout_rows=0, steps=()
        ),
        original=original,
        released=released,
        kept=np.ones(ROWS, dtype=bool),
        control=control,
        describe=lambda frame: frame,
        count=lambda columns: released.group_by(columns).len(COUNT),
        count_original=lambda columns: original.group_by(columns).len(COUNT),
        centers={},
        key=bytes(32),
        design="holdout",
    )


def _ours(comparison: Comparison, name: str, attack: str, metric: str) -> tuple[dict[str, Any], float | None]:
    kind = probe(attack)
    size = {"singling-out": {"predicates": ATTACKS}}.get(attack, {"people": ATTACKS})
    seconds = []
    with threadpool_limits(1, user_api="blas"):
        for _ in range(REPEATS + 1):
            start = time.process_time()
            findings = kind().run(comparison, kind.Params(**size))
            seconds.append(time.process_time() - start)
    found = {finding.metric: finding for finding in findings if finding.target == "release"}
    risk = found[f"{metric}.{'success' if metric == 'attribute_inference' else 'risk'}"]
    excess = found[f"{metric}.excess"]
    row = {
        "release": name,
        "attack": attack,
        "risk": risk.value,
        "excess": excess.value if excess.value is not None else excess.status,
        "low": excess.low if excess.low is not None else "",
        "high": excess.high if excess.high is not None else "",
        "CPU s": statistics.median(seconds[1:]),
    }
    return row, excess.value


def _peer(
    original: pl.DataFrame, control: pl.DataFrame, releases: dict[str, pl.DataFrame]
) -> dict[str, list[Any]]:
    python = os.environ.get("SFUMATO_ANONYMETER")
    if not python:
        return {}
    with tempfile.TemporaryDirectory() as place:
        for name, frame in {"original": original, "control": control, **releases}.items():
            frame.write_csv(Path(place) / f"{name}.csv")
        command = [python, "-c", _PEER, place, str(ATTACKS), SECRET, *releases]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, list[Any]] = json.loads(done.stdout.splitlines()[-1])
    return found


def _theirs(peer: dict[str, list[Any]], name: str, attacks: tuple[str, ...], ours: float) -> dict[str, Any]:
    if not peer:
        return {}
    each = [peer[f"{name} {attack}"] for attack in attacks]
    risks = [risk if isinstance(risk, str) else f"{risk:.3f}" for risk, _ in each]
    seconds = sum(cpu for _, cpu in each)
    return {"Anonymeter": " / ".join(risks), "their CPU s": seconds, "times": seconds / ours}


if __name__ == "__main__":
    raise SystemExit(main())
