"""The shop's demo on some of its customers: a policy like any other, whose release verifies."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import polars as pl
import pytest

import sfumato as sf
from sfumato.core.errors import InputError
from sfumato.demos import run_demo
from sfumato.demos.shop import prepare, read_log
from sfumato.pipeline.outcome import Outcome, Watch
from sfumato.project import Project

pytestmark = pytest.mark.usefixtures("quick_documents")
CUSTOMERS = 6000


@pytest.fixture(scope="module")
def log() -> pl.DataFrame:
    found = read_log()
    few = found["customer"].unique().sort().head(CUSTOMERS)
    return found.filter(pl.col("customer").is_in(few.implode()))


@pytest.fixture
def walked(tmp_path: Path, log: pl.DataFrame, monkeypatch: pytest.MonkeyPatch) -> Outcome:
    monkeypatch.setattr("sfumato.synth.sequences.events._LEAST_STEPS", 300)
    monkeypatch.setattr("sfumato.synth.sequences.events._TRIED", 512)
    monkeypatch.setattr("sfumato.evidence.attacks.density._TREES", 4)
    monkeypatch.setattr("sfumato.evidence.learners.BAGS", 1)
    monkeypatch.setattr("sfumato.demos.shop.read_log", lambda: log)
    found = run_demo("shop", tmp_path / "out", Watch())
    assert isinstance(found, Outcome)
    return found


def test_the_demo_is_a_policy_that_goes_the_whole_way(walked: Outcome, log: pl.DataFrame) -> None:
    assert walked.release is not None
    folder = walked.release.folder
    assert sf.verify(folder).intact
    assert walked.plan.synthesis is not None
    assert walked.plan.synthesis.people is not None
    assert walked.plan.synthesis.people > 2300
    evidence = json.loads((folder / "evidence.json").read_text())
    measured = {one["metric"] for one in evidence["findings"]}
    assert {"copies.excess", "retelling.close_excess", "membership.auc", "learning.auc"} <= measured
    assert (folder.parent / "custody" / "synthesizer.safetensors.age").stat().st_mode & 0o077 == 0
    # The floor is met; what the policy asks besides takes all of the customers to show.
    floor = [reason for reason in walked.decision.reasons if reason.metric.startswith(("copies", "retell"))]  # type: ignore[union-attr]
    assert all(reason.passed for reason in floor)
    path = folder / "data" / "cdnow-shop.csv"
    assert path.is_file() == walked.decision.passed  # type: ignore[union-attr]
    if path.is_file():
        made = pl.read_csv(path, try_parse_dates=True)
        assert made.columns == log.columns
        assert (
            made.select(pl.col("day").to_physical().diff().over("customer")).drop_nulls().to_series() >= 0
        ).all()
    assert Project.open(folder.parent / ".sfumato").fingerprint


def test_the_log_is_read_by_its_path() -> None:
    log = read_log()
    assert "lifetimes" not in sys.modules
    assert (log.height, log["customer"].n_unique()) == (69_659, 23_570)
    assert [str(log["day"].min()), str(log["day"].max())] == ["1997-01-01", "1998-06-30"]


def test_its_files_are_not_written_over_others(
    tmp_path: Path, log: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sfumato.demos.shop.read_log", lambda: log)
    prepare(tmp_path)
    assert prepare(tmp_path) == tmp_path / "policy.yaml"
    (tmp_path / "policy.yaml").write_text("mine")
    with pytest.raises(InputError) as caught:
        prepare(tmp_path)
    assert caught.value.code == "output-exists"
