"""Attacks that know the algorithm, on releases of Adult made by full-domain and by local recoding.

Data: the folder ``arx/adult`` in the folder that SFUMATO_BENCH_DATA names; occupation is the secret, a fifth
of the people is held out. No peer offers these attacks, so the figures stand beside what each says without
knowing the algorithm: the class alone for deFinetti and minimality, what labels cover for downcoding. CPU
seconds are the median of three, kernels warm.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import polars as pl
from threadpoolctl import threadpool_limits

from benchmarks.report import data_folder, keep
from sfumato.contracts import Comparison
from sfumato.core.values import Finding
from sfumato.evidence import probe
from sfumato.pipeline.comparing import compare, counted
from sfumato.pipeline.fitting import fit
from sfumato.pipeline.snapshot import Snapshot
from sfumato.policy.load import policy_from
from sfumato.project import Project

SECRET = "occupation"
QUASI = ("sex", "age", "race", "marital-status", "education", "native-country", "workclass", "salary-class")
REPEATS = 3
K = {"model": "k-anonymity"}
RELEASES: dict[str, dict[str, Any]] = {
    "one level, k 2": {"models": [K | {"k": 2}], "suppression": 0.05},
    "one level, k 20": {"models": [K | {"k": 20}], "suppression": 0.05},
    "one level, l 3": {
        "models": [K | {"k": 5}, {"model": "l-diversity", "on": SECRET, "l": 3}],
        "suppression": 0.05,
    },
    "one level, alpha .4, none suppressed": {
        "models": [{"model": "alpha-k", "on": SECRET, "alpha": 0.4, "k": 5}]
    },
    "one level, t .2, none suppressed": {
        "models": [K | {"k": 5}, {"model": "t-closeness", "on": SECRET, "t": 0.2}]
    },
    "one level, t .2": {
        "models": [K | {"k": 5}, {"model": "t-closeness", "on": SECRET, "t": 0.2}],
        "suppression": 0.05,
    },
    "one level, (4, 3)": {
        "models": [K | {"k": 5}, {"model": "l-diversity", "on": SECRET, "kind": "recursive", "c": 4, "l": 3}],
        "suppression": 0.05,
    },
    "free labels, k 2": {"method": "partition", "labels": "free", "models": [K | {"k": 2}]},
    "free labels, k 20": {"method": "partition", "labels": "free", "models": [K | {"k": 20}]},
}
FIGURES = {
    "definetti": ("success", "gain", "excess"),
    "minimality": ("posterior", "gain", "beyond"),
    "downcoding": ("proven", "recovered", "gain", "choice"),
}


def main() -> int:
    """Print the figures; 1 if classes of 20 give more away than classes of 2."""
    folder = data_folder()
    if folder is None or not (folder / "arx" / "adult").is_dir():
        print("SFUMATO_BENCH_DATA names no folder with arx/adult", file=sys.stderr)
        return 0
    rows, found = [], {}
    for name, anonymity in RELEASES.items():
        comparison = _comparison(folder / "arx" / "adult", anonymity)
        for attack, figures in FIGURES.items():
            findings, seconds = _timed(comparison, attack)
            row: dict[str, Any] = {"release": name, "attack": attack, "CPU s": seconds}
            for figure in figures:
                one = _one(findings, f"{attack}.{figure}")
                found[name, one.metric] = one.value
                row |= {figure: _shown(one.value)}
            first = _one(findings, f"{attack}.{figures[0 if attack != 'downcoding' else 1]}")
            rows.append({**row, "baseline": _shown(first.baseline), "control": _shown(first.control)})
    wide = [{key: row.get(key, "") for key in dict.fromkeys(k for r in rows for k in r)} for row in rows]
    keep("knowing_attacks", wide, f"Adult, {comparison.original.height} people, secret {SECRET}")
    pairs = (
        ("one level", "definetti.success"),
        ("free labels", "definetti.success"),
        ("free labels", "downcoding.recovered"),
    )
    return int(any(found[f"{way}, k 2", metric] <= found[f"{way}, k 20", metric] for way, metric in pairs))


def _comparison(folder: Path, anonymity: dict[str, Any]) -> Comparison:
    table = pl.read_csv(folder / "adult.csv", separator=";")
    columns: dict[str, Any] = {
        name: {"role": "quasi-identifier", "why": "known", "hierarchy": {"kind": "file", "path": str(path)}}
        for name in QUASI
        if (path := folder / f"adult_hierarchy_{name}.csv").exists()
    }
    columns[SECRET] = {"role": "insensitive", "sensitive": True, "why": "the secret"}
    policy = {
        "sfumato": 1,
        "dataset": {"name": "adult", "source": {"path": "adult.csv", "separator": ";"}},
        "columns": columns,
        "approvals": [{"by": "the benchmark", "what": f"column {SECRET}", "why": "it is the secret here"}],
        "anonymity": anonymity,
        "evidence": {"holdout": {"share": 0.2}},
    }
    with tempfile.TemporaryDirectory() as keys:
        snapshot = Snapshot.open(policy_from(policy), folder, Project.open(Path(keys)), table)
        inside, outside = snapshot.part(held_out=False), snapshot.part(held_out=True)
        fitted = fit(snapshot, inside, snapshot.engine.rows(outside))
        rows = fitted.rows(inside).collect()
        return compare(fitted, inside, lambda names: counted(rows.lazy(), names), outside)


def _timed(comparison: Comparison, attack: str) -> tuple[list[Finding], float]:
    part, taken = probe(attack), []
    with threadpool_limits(1):
        for _ in range(REPEATS):
            start = time.process_time()
            findings = part().run(comparison, part.Params())
            taken.append(time.process_time() - start)
    return findings, statistics.median(taken)


def _one(findings: list[Finding], metric: str) -> Finding:
    target = "release" if metric.startswith("downcoding") else SECRET
    found = [one for one in findings if one.metric == metric]
    return next((one for one in found if one.target == target), found[0])


def _shown(value: float | None) -> float | str:
    return "-" if value is None else value


if __name__ == "__main__":
    raise SystemExit(main())
