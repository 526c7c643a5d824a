"""The whole battery on one release: weaker protection shows, and a leak is stopped by the gate."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import sfumato as sf
from evidence_support import as_is, compare, profile
from sfumato.core.values import Finding, Role
from sfumato.evidence.run import measure
from sfumato.gate import decide
from sfumato.policy.load import policy_from
from sfumato.policy.measured import BATTERY
from sfumato.policy.model import Policy

#: More of it is worse for people, and an attack can tell two releases of different k apart by it.
WORSE_WITH_LESS_K = (
    "risk.worst_class",
    "risk.marketer",
    "linkage.success",
    "singling_out.risk",
    "membership.auc",
    "trajectory.at_risk",
)
THRESHOLDS = [
    {"metric": "linkage.excess", "at_most": 0.1},
    {"metric": "singling_out.excess", "at_most": 0.1},
    {"metric": "linkability.excess", "at_most": 0.1},
    {"metric": "membership.tpr_at_1", "at_most": 0.1},
]


def people(rows: int, seed: int) -> pl.DataFrame:
    draw = np.random.default_rng(seed)
    age = draw.integers(18, 80, rows)
    return pl.DataFrame(
        {
            "age": age,
            "height": draw.normal(170, 9, rows).round().astype(int),
            "town": draw.integers(0, 40, rows),
            "work": draw.choice(list("abcdefgh"), rows),
            "ill": draw.choice(["no", "flu", "asthma"], rows, p=[0.7, 0.2, 0.1]),
        }
    )


def at(found: list[Finding] | tuple[Finding, ...], metric: str) -> Finding:
    """An attack's figure on the release, or on the largest number of columns where it has steps."""
    steps = [f for f in found if f.metric == metric]
    return next((f for f in steps if f.target == "release"), steps[-1])


def with_k(tmp_path: Path, k: int) -> Any:
    quasi = {"role": "quasi-identifier", "why": "known"}
    policy = {
        "sfumato": 1,
        "dataset": {"name": "people", "source": {"path": "people.csv"}},
        "columns": dict.fromkeys(("age", "height", "town", "work"), quasi)
        | {"ill": {"role": "insensitive", "sensitive": True, "why": "told in confidence"}},
        "anonymity": {"method": "partition", "models": [{"model": "k-anonymity", "k": k}]},
        "evidence": {"holdout": 0.3, "attacks": [*BATTERY, "trajectory"], "utility": []},
        "approvals": [
            {"by": "the test", "what": "column ill", "why": "nobody else knows it"},
            {"by": "the test", "what": "gate risk.worst_class", "why": "to compare"},
        ],
        "gate": [{"metric": "risk.worst_class", "at_most": 0.5, "least_n": 1}],
    }
    return sf.run(policy, people(6000, 1), output=tmp_path / str(k), project=tmp_path / "keys")


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any]:
    return tuple(with_k(tmp_path_factory.mktemp(f"k{k}"), k) for k in (2, 20))  # type: ignore[return-value]


@pytest.mark.parametrize("metric", WORSE_WITH_LESS_K)
def test_two_people_hide_worse_than_twenty(both: tuple[Any, Any], metric: str) -> None:
    two, twenty = (at(run.findings, metric) for run in both)
    assert two.value is not None
    assert twenty.value is not None
    assert two.value > twenty.value


def gate() -> Policy:
    return policy_from(
        {
            "sfumato": 1,
            "dataset": {"name": "d", "source": {"path": "x.csv"}},
            "columns": {"age": {"role": "quasi-identifier", "why": "known"}},
            "gate": THRESHOLDS,
        }
    )


def coarse(frame: pl.DataFrame) -> pl.DataFrame:
    """A method that leaves a decade, a size and nothing of town and work."""
    return frame.with_columns(
        pl.col("age") // 31 * 31,
        (pl.col("height") > 170).cast(pl.Int64) * 20 + 160,
        pl.lit(0, pl.Int64).alias("town"),
        pl.lit("*").alias("work"),
    )


def measured(released: pl.DataFrame, original: pl.DataFrame, describe: Any = as_is) -> list[Finding]:
    profiles = {"ill": profile("ill", Role.INSENSITIVE, sensitive=True, dtype="text")}
    comparison = compare(original, describe, released=released, control=people(3000, 7), profiles=profiles)
    return measure(comparison, {name: {} for name in BATTERY})


def refused(found: list[Finding]) -> set[str]:
    return {reason.metric for reason in decide(gate(), found).reasons if not reason.passed}


def test_nothing_but_the_floor_refuses_new_people_or_a_coarse_table() -> None:
    original = people(3000, 2)
    assert refused(measured(coarse(original), original, coarse)) == set()
    # New people are alone in their classes, which is all that class risks can say of them.
    assert refused(measured(people(3000, 3), original)) == {"risk.worst_class"}


def test_a_release_of_which_half_is_copied_is_stopped_by_every_attack() -> None:
    original, others = people(3000, 2), people(3000, 3)
    copied = pl.Series(np.arange(3000) % 2 == 0)
    columns = [original[name].zip_with(copied, others[name]) for name in original.columns]
    stopped = refused(measured(pl.DataFrame(columns), original))
    assert stopped >= {threshold["metric"] for threshold in THRESHOLDS}


@pytest.mark.parametrize(
    ("rows", "others"),
    [(range(17, 18), set()), (range(0, 3000, 20), set()), (range(0, 3000, 2), {"linkage.excess"})],
)
def test_rows_left_as_they_were_are_stopped_by_the_floor(rows: range, others: set[str]) -> None:
    """Means hide a single person; the worst class does not. Many are linked besides."""
    original = people(3000, 2).with_columns(
        pl.when(pl.int_range(pl.len()) == 17).then(104).otherwise(pl.col("age")).alias("age")
    )
    left = pl.Series(np.isin(np.arange(3000), list(rows)))
    columns = [original[name].zip_with(left, coarse(original)[name]) for name in original.columns]
    found = measured(pl.DataFrame(columns), original, coarse)
    assert refused(found) >= {"risk.worst_class", *others}
    linked = at(found, "linkage.success")
    assert linked.value is not None
    assert linked.value > 0.9 * len(rows) / 3000
    if len(rows) > 1:
        assert "raw terms too" in linked.note
        assert at(found, "linkage.excess").low > 0.5 * len(rows) / 3000  # type: ignore[operator]
