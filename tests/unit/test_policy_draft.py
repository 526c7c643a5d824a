"""Drafts: complete, on the safe side, and ready to run as they stand."""

from __future__ import annotations

from math import prod
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from sfumato.core.values import Inventory, Role
from sfumato.demos.alcohol import people
from sfumato.engines.sources import FileSource
from sfumato.inventory import take_inventory
from sfumato.pipeline.snapshot import Snapshot
from sfumato.pipeline.verbs import check, plan
from sfumato.policy.draft import LARGEST_DRAFT, draft
from sfumato.policy.load import LoadedPolicy, load_policy
from sfumato.project import Project


def drafted(
    folder: Path, table: pl.DataFrame, target: str | None
) -> tuple[LoadedPolicy, Snapshot, Inventory]:
    table.write_csv(folder / "people.csv")
    inventory = take_inventory(table, target=target)
    text = draft(inventory, FileSource.find("people.csv", folder), place="people.csv")
    (folder / "policy.yaml").write_text(text)
    loaded = load_policy(folder / "policy.yaml")
    return loaded, Snapshot.open(loaded.policy, folder, Project.open(folder / "keys")), inventory


@pytest.fixture(scope="module")
def survey(tmp_path_factory: pytest.TempPathFactory) -> tuple[LoadedPolicy, Snapshot, Inventory]:
    return drafted(tmp_path_factory.mktemp("draft"), people(), "employ")


def test_a_draft_decides_every_column_and_says_why(survey) -> None:
    loaded, _, inventory = survey
    assert list(loaded.policy.columns) == [column.name for column in inventory.columns]
    assert all(column.why for column in loaded.policy.columns.values())


def test_a_draft_has_no_problems_and_can_be_planned(survey) -> None:
    loaded, snapshot, _ = survey
    assert check(loaded, snapshot) == ()
    assert plan(loaded, snapshot).plan.anonymity.smallest_class >= 5


def test_no_direct_identifier_and_nothing_that_gives_the_target_away_leaves(survey) -> None:
    loaded, _, inventory = survey
    for column in inventory.columns:
        if column.role is Role.DIRECT_IDENTIFIER or column.determines_target:
            assert loaded.policy.columns[column.name].done == "drop"


def test_the_target_leaves_as_a_sensitive_column(survey) -> None:
    target = survey[0].policy.columns["employ"]
    assert (target.role, target.sensitive, target.done) == ("insensitive", True, "keep")


def test_of_two_columns_that_say_the_same_the_first_stays(survey) -> None:
    columns = survey[0].policy.columns
    assert [columns[name].done for name in ("age", "agesq", "educ", "educsq")] == ["generalize", "drop"] * 2


def test_many_quasi_identifiers_are_thinned_to_what_can_be_searched(tmp_path: Path) -> None:
    draw = np.random.Generator(np.random.PCG64(3))
    target = draw.integers(0, 2, 600)
    useful = {f"useful{i}": target * 20 + draw.integers(0, 40, 600) for i in range(4)}
    noise = {f"noise{i}": draw.integers(0, 60, 600) for i in range(16)}
    loaded, snapshot, _ = drafted(tmp_path, pl.DataFrame({"y": target, **useful, **noise}), "y")
    assert check(loaded, snapshot) == ()
    heights = plan(loaded, snapshot).plan.anonymity.heights
    assert prod(heights.values()) <= LARGEST_DRAFT
    assert set(useful) <= set(heights)
    left_out = [column for column in loaded.policy.columns.values() if "Left out of the draft" in column.why]
    assert left_out
    assert all(column.done == "drop" for column in left_out)
