"""A model trained under differential privacy through the whole way: it leaves, and what tests it stays."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

import sfumato as sf
from sfumato.core.errors import InputError, PolicyError, RefusedError
from sfumato.dp.training.saved import loaded

pytestmark = pytest.mark.usefixtures("quick_documents")

TRAINING: dict[str, Any] = {
    "model": "logistic-regression",
    "target": "ill",
    "classes": [0, 1],
    "bounds": {"age": [0, 100]},
    "categories": {"region": ["north", "south"]},
    "size": 6000,
    "why": "the study's question",
}


def policy(training: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    asked = {"budget": {"epsilon": 3.0, "delta": 1e-6}, "epsilon": 2.0, "delta": 1e-6}
    return {
        "sfumato": 1,
        "dataset": {"name": "clinic", "source": {"path": "unused.csv"}} | changes.pop("dataset", {}),
        "dp": asked | {"training": TRAINING | (training or {})} | changes.pop("dp", {}),
        **changes,
    }


@pytest.fixture(scope="module")
def table() -> pl.DataFrame:
    draw, n = np.random.default_rng(5), 6000
    age, region = draw.integers(18, 90, n), draw.choice(["north", "south", "zz-island"], n, p=[0.5, 0.4, 0.1])
    ill = draw.random(n) < 1 / (1 + np.exp(-(age - 55) / 8))
    pay = np.clip(age * 0.5 + draw.normal(0, 3, n), 0, 60)
    return pl.DataFrame({"age": age, "region": region, "ill": ill.astype(int), "pay": pay})


def run(tmp_path: Path, table: pl.DataFrame, written: dict[str, Any]) -> sf.Result:
    return sf.run(written, table, output=tmp_path / "out", project=tmp_path / "keys")


def test_a_model_leaves_and_foretells(tmp_path: Path, table: pl.DataFrame) -> None:
    result = run(tmp_path, table, policy())
    assert result.passed
    assert result.folder is not None
    assert sf.verify(result.folder).intact
    old, young = result.model.predict_proba(
        pl.DataFrame({"age": [85, 20], "region": ["north", "south"]}).select("age", "region")
    )[:, 1]
    assert old > 0.8
    assert young < 0.2
    (area,) = (finding for finding in result.kept if finding.metric == "model.auc")
    assert area.value is not None
    assert area.before is not None
    assert area.value > 0.9 * area.before
    with pytest.raises(InputError, match="a model left, and no rows"):
        _ = result.data


def test_what_tests_it_stays_in_the_house(tmp_path: Path, table: pl.DataFrame) -> None:
    """Nobody charged those figures; and nothing that was not declared is in the file."""
    result = run(tmp_path, table, policy())
    assert result.folder is not None
    assert result.kept
    evidence = json.loads((result.folder / "evidence.json").read_text())
    assert not [finding for finding in evidence["findings"] if finding["metric"].startswith("model.")]
    for path in result.folder.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert b"zz-island" not in content
            for finding in result.kept:
                assert repr(finding.value).encode() not in content


def test_a_number_can_be_learned_too(tmp_path: Path, table: pl.DataFrame) -> None:
    asked = {"model": "linear-regression", "target": "pay", "range": [0, 60], "classes": []}
    result = run(tmp_path, table, policy(asked))
    assert result.passed
    (error,) = (finding for finding in result.kept if finding.metric == "model.error")
    assert error.value is not None
    assert error.baseline is not None
    assert error.value < 0.8 * error.baseline


def test_training_again_is_charged_again(tmp_path: Path, table: pl.DataFrame) -> None:
    run(tmp_path, table, policy())
    with pytest.raises(RefusedError) as caught:
        run(tmp_path, table, policy())
    assert caught.value.code == "budget-spent"


@pytest.mark.parametrize(
    ("training", "words"),
    [
        ({"bounds": {}, "categories": {}}, "at least one column"),
        ({"bounds": {"ill": [0, 1]}}, "declared twice"),
        ({"classes": [1]}, "two classes"),
        ({"range": [0, 1]}, "two classes"),
        ({"target": "illl"}, "illl"),
        ({"size": 0}, "size"),
    ],
)
def test_trainings_that_cannot_be_meant(
    tmp_path: Path, table: pl.DataFrame, training: dict[str, Any], words: str
) -> None:
    with pytest.raises(PolicyError) as caught:
        run(tmp_path, table, policy(training))
    assert words in str(caught.value)


def test_training_without_a_delta_is_refused(tmp_path: Path, table: pl.DataFrame) -> None:
    with pytest.raises(PolicyError, match="a delta above 0"):
        run(tmp_path, table, policy(dp={"delta": 0.0}))


def test_a_file_that_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "x.safetensors").write_bytes(b"\x02\x00\x00\x00\x00\x00\x00\x00{}")
    with pytest.raises(InputError) as caught:
        loaded(tmp_path / "x.safetensors")
    assert caught.value.code == "source-unreadable"


def test_the_gate_can_demand_that_training_is_audited(tmp_path: Path, table: pl.DataFrame) -> None:
    gate = [{"metric": "audit.excess", "at_most": 0.0}]
    result = run(tmp_path, table, policy(gate=gate, dp={"audit": True}))
    found = result.finding("audit.excess")
    # On so few made-up people it may be that even a gross fault would not be seen: then it does not pass.
    assert result.passed == (found.status == "measured")
    asked = {"model": "linear-regression", "target": "pay", "range": [0, 60], "classes": []}
    refused = run(tmp_path, table, policy(asked, gate=gate, dp={"audit": True}))
    assert not refused.passed
    assert refused.finding("audit.excess").status == "not-measured"


def test_people_with_several_rows_teach_with_one(tmp_path: Path, table: pl.DataFrame) -> None:
    several = pl.concat([table, table]).with_columns(pl.int_range(pl.len()).mod(table.height).alias("who"))
    written = policy(dataset={"subject": "who"}, dp={"rows_per_subject": 1})
    result = run(tmp_path, several, written)
    assert result.passed
    assert result.plan.private is not None
    assert result.plan.private.unit == "subject"
    with pytest.raises(PolicyError, match="one row of each person"):
        run(tmp_path, several, policy(dataset={"subject": "who"}, dp={"rows_per_subject": 2}))
