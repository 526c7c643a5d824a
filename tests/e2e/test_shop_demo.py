"""The shop's demo on few customers: what leaves, what stays, and that it verifies."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from sfumato.demos.shop import ShopOutcome, walk
from sfumato.demos.shop_log import CUSTOMER, DAY, read_log
from sfumato.pipeline.outcome import Watch
from sfumato.project import Project
from sfumato.release.verify import verify


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ShopOutcome]:
    folder = tmp_path_factory.mktemp("shop") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sfumato.synth.sequences.events._LEAST_STEPS", 200)
        patch.setattr("sfumato.synth.sequences.events._TRIED", 256)
        return folder, walk(folder, Watch(), customers=1500)


def test_a_release_is_written_and_verifies(walked: tuple[Path, ShopOutcome]) -> None:
    folder, outcome = walked
    project = Project.open(folder / ".sfumato")
    assert verify(folder / "release", key_pem=project.public_key_pem()).intact
    assert json.loads(json.dumps(outcome.summary()))["counts"]["taught"] > 1000
    evidence = json.loads((folder / "release" / "evidence.json").read_text())
    assert {"copies.excess", "membership.auc", "learning.auc"} <= {
        one["metric"] for one in evidence["findings"]
    }
    assert "does not make them private" in "\n".join(outcome.told())
    assert (folder / "custody" / "private.json.age").stat().st_mode & 0o077 == 0


def test_the_made_log_looks_like_the_first(walked: tuple[Path, ShopOutcome]) -> None:
    folder, outcome = walked
    path = folder / "release" / "data" / "purchases.csv"
    assert path.is_file() == outcome.decision.passed
    if path.is_file():
        made = pl.read_csv(path, try_parse_dates=True)
        assert made.columns == read_log().columns
        assert (
            made.select(pl.col(DAY).diff().over(CUSTOMER)).drop_nulls().to_series() >= pl.duration(days=0)
        ).all()
