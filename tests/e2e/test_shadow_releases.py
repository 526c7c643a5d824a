"""Shadow releases through the whole way: asked for in a policy, made by it, charged to nobody."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import sfumato as sf
from sfumato.core.values import Finding

pytestmark = pytest.mark.usefixtures("quick_documents")

AT_1 = "shadow_membership.tpr_at_1"
QUASI = {"role": "quasi-identifier", "why": "known"}
ANYTHING = {
    "approvals": [{"by": "the test", "what": "gate risk.worst_class", "why": "to compare"}],
    "gate": [{"metric": "risk.worst_class", "at_most": 1.0, "least_n": 1}],
}
PRIVATE: dict[str, Any] = {
    "budget": {"epsilon": 3.0, "delta": 1e-5},
    "epsilon": 1.0,
    "delta": 1e-6,
    "size": 1000,
    "bounds": {"age": [18, 80], "pay": [0, 20_000]},
    "categories": {"town": [f"t{i}" for i in range(30)], "home": ["rent", "own"]},
}


def people(rows: int = 2000, seed: int = 0) -> pl.DataFrame:
    draw = np.random.default_rng(seed)
    return pl.DataFrame(
        {
            "id": [f"p{number}" for number in range(rows)],
            "age": draw.integers(18, 80, rows),
            "pay": np.exp(draw.normal(8, 0.5, rows)).round(0),
            "town": draw.choice([f"t{i}" for i in range(30)], rows),
            "home": draw.choice(["rent", "own"], rows),
        }
    )


def policy(shadows: int | None = 4, **more: Any) -> dict[str, Any]:
    columns = {name: {**QUASI, "action": "keep"} for name in ("age", "pay", "town", "home")}
    attacks: list[Any] = ["membership", *([{"shadow-membership": {"shadows": shadows}}] if shadows else [])]
    return {
        "sfumato": 1,
        "dataset": {"name": "people", "source": {"path": "unused.csv"}, "key": "id"},
        "columns": {"id": {"role": "direct-identifier", "action": "drop", "why": "no use"}, **columns},
        "evidence": {"holdout": 0.5, "attacks": attacks, "utility": []},
        **more,
    }


def ran(tmp_path: Path, written: dict[str, Any], table: pl.DataFrame | None = None) -> sf.Result:
    return sf.run(
        written, people() if table is None else table, output=tmp_path / "out", project=tmp_path / "keys"
    )


def told(result: sf.Result, metric: str = AT_1) -> Finding:
    every = (*result.findings, *result.kept)
    return next(one for one in every if one.metric == metric and one.target == "release")


def spent(tmp_path: Path) -> tuple[float, int]:
    from sfumato.dp.budget import Budget
    from sfumato.project import Project

    statement = Budget.open("people", Project.open(tmp_path / "keys")).statement()
    return statement.share, len(statement.entries)


def test_rows_that_leave_as_they_are_are_found(tmp_path: Path) -> None:
    found = told(ran(tmp_path, policy(**ANYTHING)))
    assert found.value is not None
    assert found.value > 0.99
    assert found.assumes.startswith("the method")


def test_coarse_rows_are_found_less(tmp_path: Path) -> None:
    ladders = {"age": [10, 30], "pay": [1000, 5000]}
    columns = {
        name: {**QUASI, "hierarchy": {"kind": "intervals", "widths": widths}}
        for name, widths in ladders.items()
    }
    given = policy(**ANYTHING, anonymity={"models": [{"model": "k-anonymity", "k": 10}], "suppression": 0.1})
    given["columns"] = {"id": given["columns"]["id"], **columns, "home": QUASI}
    found = told(ran(tmp_path, given), "shadow_membership.auc")
    assert found.value == pytest.approx(0.5, abs=0.06)


def test_with_nobody_held_out_it_runs_on_a_twin(tmp_path: Path) -> None:
    given = policy(**ANYTHING)
    found = told(ran(tmp_path, {**given, "evidence": {**given["evidence"], "holdout": 0}}))
    assert found.value is not None
    assert found.value > 0.99
    assert "twin" in found.note


def test_of_people_with_several_rows_no_shadow_is_made(tmp_path: Path) -> None:
    given = policy(**ANYTHING)
    given["dataset"] = {"name": "people", "source": {"path": "unused.csv"}, "subject": "id"}
    twice = pl.concat([people(1200), people(1200, 1)])
    assert told(ran(tmp_path, given, twice)).status == "not-measured"


def test_a_copula_gives_nobody_away(tmp_path: Path) -> None:
    result = ran(tmp_path, policy(synthesis={"method": "copula", "why": "to train on"}))
    found = told(result, "shadow_membership.auc")
    assert found.value == pytest.approx(0.5, abs=0.06)
    assert told(result).low is not None
    assert told(result).low <= 0.01  # type: ignore[operator]


@pytest.mark.parametrize("method", ["copula", "aim"])
def test_under_a_budget_shadows_cost_nothing_and_find_nobody(tmp_path: Path, method: str) -> None:
    asked = {"synthesis": {"method": method, "why": "to train on", "dp": PRIVATE}}
    result = ran(tmp_path / "with", policy(**asked))
    # Noise is drawn anew each time: bounds of five deviations.
    found = told(result, "shadow_membership.auc")
    assert found in result.kept
    assert found.value == pytest.approx(0.5, abs=0.08)
    assert told(result).low is not None
    assert told(result).low < 0.03  # type: ignore[operator]
    ran(tmp_path / "without", policy(shadows=None, **asked))
    share, entries = spent(tmp_path / "with")
    assert (share, entries) == (pytest.approx(spent(tmp_path / "without")[0]), 1)
