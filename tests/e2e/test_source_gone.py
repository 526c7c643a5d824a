"""A source that is taken away while it is read is told of, whenever that is."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from sfumato.core.errors import EXIT_WRONG_INPUT, InputError
from sfumato.pipeline import verbs
from sfumato.pipeline.outcome import Watch
from sfumato.pipeline.snapshot import Snapshot
from sfumato.policy.load import load_policy
from sfumato.project import Project

POLICY = """
sfumato: 1
dataset: {name: gone, source: {path: people.csv}}
columns:
  a: {role: quasi-identifier, hierarchy: {kind: suppress}, why: known}
  b: {role: quasi-identifier, hierarchy: {kind: suppress}, why: known}
anonymity: {models: [{model: k-anonymity, k: 5}]}
evidence: {holdout: {share: 0.2}, attacks: [linkage]}
"""


class Taking(Watch):
    def __init__(self, source: Path, stage: int) -> None:
        self.source, self.left = source, stage

    def stage(self, name: str) -> None:
        if not self.left:
            self.source.unlink()
        self.left -= 1


@pytest.mark.parametrize("stage", range(6))
def test_it_is_told_at_every_stage(tmp_path: Path, stage: int) -> None:
    source, policy = tmp_path / "people.csv", tmp_path / "policy.yaml"
    pl.DataFrame({"a": [1, 2] * 100, "b": [1, 2, 3, 4] * 50}).write_csv(source)
    policy.write_text(POLICY)
    loaded = load_policy(policy)
    with pytest.raises(InputError, match="taken away") as told:
        verbs.run(
            loaded,
            Snapshot.open(loaded.policy, tmp_path, Project.open(tmp_path / ".sfumato")),
            tmp_path / "out",
            Taking(source, stage),
        )
    assert told.value.exit_code == EXIT_WRONG_INPUT
    assert not (tmp_path / "out" / "release").exists()
