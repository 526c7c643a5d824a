"""Attacks that know the algorithm, on releases that the whole way makes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import sfumato as sf
from sfumato.contracts import Comparison
from sfumato.evidence import probe

pytestmark = pytest.mark.usefixtures("bare_documents")

COLUMNS: dict[str, Any] = {
    "age": {
        "role": "quasi-identifier",
        "why": "known",
        "hierarchy": {"kind": "intervals", "widths": [5, 10, 20], "from": 20, "to": 60},
    },
    "region": {"role": "quasi-identifier", "why": "known"},
    "illness": {"role": "insensitive", "sensitive": True, "why": "told in confidence"},
}
ALPHA = {"model": "alpha-k", "on": "illness", "alpha": 0.7, "k": 5}
ATTACKS = ("definetti", "minimality", "downcoding")


def people(rows: int = 600) -> pl.DataFrame:
    draw = np.random.default_rng(5)
    return pl.DataFrame(
        {
            "age": draw.integers(20, 60, rows),
            "region": draw.choice(list("nesw"), rows),
            "illness": draw.choice(["none", "flu", "asthma"], rows, p=[0.5, 0.3, 0.2]),
        }
    )


def measured(tmp_path: Path, share: float, anonymity: dict[str, Any]) -> dict[str, sf.Finding]:
    policy = {
        "sfumato": 1,
        "dataset": {"name": "people", "source": {"path": "in memory"}},
        "columns": COLUMNS,
        "approvals": [{"by": "A. Officer", "what": "column illness", "why": "nobody else knows it"}],
        "anonymity": anonymity,
        "evidence": {"attacks": list(ATTACKS), "holdout": {"share": share}},
    }
    found = sf.run(policy, people(), output=tmp_path / "out", project=tmp_path / "keys")
    return {one.metric: one for one in found.findings if one.target == "release" and one.source in ATTACKS}


@pytest.mark.parametrize("share", [0.2, 0.0])
def test_one_level_for_all_rows(tmp_path: Path, share: float) -> None:
    found = measured(tmp_path, share, {"models": [ALPHA], "suppression": 0.05})
    for metric in ("definetti.excess", "minimality.posterior", "downcoding.recovered"):
        assert found[metric].status == "measured", found[metric].note
    assert found["minimality.posterior"].baseline <= 0.7
    assert found["downcoding.proven"].status == "not-measured"


@pytest.mark.parametrize(
    "model",
    [
        {"model": "l-diversity", "on": "illness", "kind": "recursive", "c": 3, "l": 3},
        {"model": "t-closeness", "on": "illness", "t": 0.3, "distance": "ordered"},
        {
            "model": "t-closeness", "on": "illness", "t": 0.3,
            "distance": "hierarchical", "hierarchy": {"kind": "suppress"},
        },
    ],
)  # fmt: skip
def test_models_of_the_whole_spread(tmp_path: Path, model: dict[str, Any]) -> None:
    k = {"model": "k-anonymity", "k": 5}
    found = measured(tmp_path, 0.2, {"models": [model, k], "suppression": 0.05})
    posterior = found["minimality.posterior"]
    assert posterior.status == "measured", posterior.note
    assert posterior.baseline <= posterior.value <= posterior.high


def test_the_attack_measures_distances_on_the_model_s_hierarchy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    kind = probe("minimality")
    run = kind.run

    def looking(self: Any, comparison: Comparison, params: Any) -> Any:
        assert comparison.tree is not None
        seen.append(comparison.tree("illness", pl.Series(["asthma", "flu", "none"])))
        return run(self, comparison, params)

    monkeypatch.setattr(kind, "run", looking)
    groups = [{"well": ["none"], "ill": ["flu", "asthma"]}]
    tree = {"kind": "order", "values": ["none", "flu", "asthma"], "groups": groups}
    model = {"model": "t-closeness", "on": "illness", "t": 0.3, "distance": "hierarchical", "hierarchy": tree}
    measured(tmp_path, 0.2, {"models": [model, {"model": "k-anonymity", "k": 5}], "suppression": 0.05})
    alike = [[label[0] == label[1], label[1] == label[2]] for label in seen[0]]
    assert alike == [[False, False], [True, False], [True, True]]


@pytest.mark.parametrize("share", [0.2, 0.0])
def test_labels_of_a_class(tmp_path: Path, share: float) -> None:
    k = {"model": "k-anonymity", "k": 5}
    found = measured(tmp_path, share, {"models": [k], "method": "partition", "labels": "free"})
    assert found["downcoding.proven"].value > 0.1
    assert found["definetti.excess"].status == "measured"
    assert found["minimality.posterior"].status == "not-measured"


def test_a_method_that_chooses_nothing_minimal(tmp_path: Path) -> None:
    k = {"model": "k-anonymity", "k": 5}
    found = measured(tmp_path, 0.2, {"models": [k], "method": "microaggregation"})
    for metric in ("minimality.posterior", "downcoding.recovered"):
        assert "microaggregation" in found[metric].note
