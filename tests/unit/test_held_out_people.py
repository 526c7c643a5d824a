"""Who is held out depends on the dataset and its people, and on nothing else of a policy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

from sfumato.contracts import ROW
from sfumato.pipeline.snapshot import Snapshot
from sfumato.policy.load import policy_from
from sfumato.project import Project

TABLE = pl.DataFrame({"id": list(range(500, 900)), "a": [1, 2] * 200})


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return Project.open(tmp_path_factory.mktemp("keys") / "k")


def held_out(
    project: Project, share: float | None, table: pl.DataFrame = TABLE, by: str = ROW, **policy: Any
) -> set[int]:
    dataset = {"name": "d", "source": {"path": "x.csv"}} | policy.pop("dataset", {})
    columns = {"a": {"role": "insensitive", "why": "w"}}
    evidence = {} if share is None else {"evidence": {"holdout": {"share": share}}}
    written = {"sfumato": 1, "dataset": dataset, "columns": columns, **evidence, **policy}
    snapshot = Snapshot.open(policy_from(written), Path(), project, table)
    return set(snapshot.part(held_out=True).collect()[by].to_list())


def test_a_smaller_share_is_a_part_of_a_larger_one(project: Project) -> None:
    some, more, half = (held_out(project, share) for share in (0.2, 0.3, 0.5))
    assert some < more < half
    # A draw of 20 % of 4,000 people: further off once in a hundred thousand million keys.
    many = held_out(project, 0.2, pl.DataFrame({"a": range(4000)}))
    assert len(many) == pytest.approx(800, abs=175)
    assert held_out(project, None) == held_out(project, 0) == set()


def test_another_policy_holds_out_the_same_people(project: Project) -> None:
    other = {
        "columns": {"a": {"role": "quasi-identifier", "why": "known"}},
        "gate": [{"metric": "risk.worst_class", "at_most": 0.1}],
        "anonymity": {"models": [{"model": "k-anonymity", "k": 50}]},
    }
    assert held_out(project, 0.2, **other) == held_out(project, 0.2)


def test_who_is_released_as_a_sample_is_not_among_them(project: Project) -> None:
    assert held_out(project, 0.2) < held_out(project, 0.2, sampling={"share": 0.5})


def test_people_with_a_key_are_held_out_of_every_source(project: Project) -> None:
    keyed = {"dataset": {"key": "id"}}
    there = held_out(project, 0.2, by="id", **keyed)
    fewer = TABLE.sample(fraction=0.5, shuffle=True, seed=1)
    assert held_out(project, 0.2, fewer, "id", **keyed) == there & set(fewer["id"])


def test_another_dataset_and_another_project_hold_out_others(project: Project, tmp_path: Path) -> None:
    there = held_out(project, 0.2)
    assert held_out(project, 0.2, dataset={"name": "e"}) != there
    assert held_out(Project.open(tmp_path / "k"), 0.2) != there
