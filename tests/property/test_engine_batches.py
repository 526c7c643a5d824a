"""What leaves does not hang on how the rows come: not on batches, files or, with a key, on their order."""

from __future__ import annotations

import itertools
import random
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sfumato.core.errors import InputError
from sfumato.core.keyed import derive
from sfumato.pipeline.fitted import Fitted
from sfumato.pipeline.fitting import fit
from sfumato.pipeline.snapshot import IDENTITY, Snapshot
from sfumato.policy.load import policy_from
from sfumato.project import Project

RELEASE_KEY = derive(bytes(32), "batches")

POLICY: dict[str, Any] = {
    "sfumato": 1,
    "dataset": {"name": "people", "source": {"path": "unused.csv"}},
    "columns": {
        "id": {"role": "direct-identifier", "action": {"do": "pseudonymize", "domain": "d"}, "why": "x"},
        "age": {
            "role": "quasi-identifier",
            "hierarchy": {"kind": "intervals", "widths": [10, 20, 40], "to": 120},
            "why": "x",
        },
        "town": {"role": "quasi-identifier", "why": "x"},
        "pay": {"role": "quasi-identifier", "action": {"do": "round", "to": 20}, "why": "x"},
        "seen": {"role": "quasi-identifier", "action": {"do": "truncate-date", "to": "year"}, "why": "x"},
    },
    "anonymity": {"models": [{"model": "k-anonymity", "k": 3}], "suppression": 0.2},
    "evidence": {"holdout": 0.25},
}


def people(rows: int = 150) -> pl.DataFrame:
    draw = random.Random(11)
    return pl.DataFrame(
        {
            "id": [f"p{i}" for i in range(rows)],
            "age": [draw.choice([None, *range(18, 90)]) for _ in range(rows)],
            "town": [draw.choice(["N", "S", None]) for _ in range(rows)],
            "pay": [draw.choice([None, 20.0, 35.5, 61.0]) for _ in range(rows)],
            "seen": pl.Series([f"20{draw.randint(10, 12)}-03-04" for _ in range(rows)]).str.to_date(),
        }
    )


def snapshot(project: Project, data: pl.DataFrame | None, folder: Path, **dataset: Any) -> Snapshot:
    """A snapshot under a fixed key, as if all of these sources were one."""
    policy = policy_from({**POLICY, "dataset": {**POLICY["dataset"], **dataset}})
    opened = Snapshot.open(policy, folder, project, data)
    opened.__dict__["release_key"] = RELEASE_KEY
    return opened


def fitted(opened: Snapshot) -> Fitted:
    return fit(opened, opened.part(held_out=False), opened.engine.rows(opened.part(held_out=True)))


def written(opened: Snapshot, folder: Path) -> pl.DataFrame:
    """The rows as they leave, read back from the file."""
    plan = fitted(opened)
    folder.mkdir()
    (path,) = opened.engine.write(
        plan.rows(opened.part(held_out=False)),
        plan.released,
        folder,
        "people",
        "parquet",
        derive(opened.release_key, "order"),
        IDENTITY,
    )
    return pl.read_parquet(path)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    return Project.open(tmp_path_factory.mktemp("project") / ".sfumato")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Fitted, pl.DataFrame]:
    """A recoding that suppresses somebody: who is held out is drawn, and some draws leave no rare row."""
    for attempt in range(20):
        project = Project.open(tmp_path_factory.mktemp(f"whole{attempt}") / ".sfumato")
        opened = snapshot(project, people(), Path())
        plan, rows = fitted(opened), opened.part(held_out=False).collect()
        if plan.recode(rows).height < rows.height:
            return plan, rows
    raise AssertionError("none of 20 draws suppresses anybody")


@settings(max_examples=40, deadline=None)
@given(cuts=st.lists(st.integers(0, 120), max_size=6), seed=st.integers(0, 2**16))
def test_recoding_is_the_same_for_any_split_and_order(
    whole: tuple[Fitted, pl.DataFrame], cuts: list[int], seed: int
) -> None:
    plan, rows = whole
    edges = [0, *sorted(min(cut, rows.height) for cut in cuts), rows.height]
    parts = [rows[start:stop] for start, stop in itertools.pairwise(edges)]
    expected = plan.recode(rows)
    assert 0 < expected.height < rows.height
    recoded = [plan.recode(part) for part in parts]
    assert all(part.schema == expected.schema for part in recoded)
    assert pl.concat(recoded).equals(expected, null_equal=True)
    order = random.Random(seed).sample(range(rows.height), rows.height)
    shuffled = plan.recode(rows[order])
    assert shuffled.sort(IDENTITY).equals(expected.sort(IDENTITY), null_equal=True)
    # A batch alone and the lazy frame over all of them agree.
    lazily = plan.rows(rows.lazy()).collect()
    assert lazily.equals(expected, null_equal=True)


def test_a_batch_of_rows_that_were_not_fitted_is_refused(whole: tuple[Fitted, pl.DataFrame]) -> None:
    """The broken twin: a recoding that took any rows would be no recoding of this snapshot."""
    plan, rows = whole
    strange = rows[:1].with_columns(age=pl.lit(119, dtype=pl.Int64))
    with pytest.raises(InputError) as caught:
        plan.recode(strange)
    assert caught.value.code == "snapshot"


@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 2**16), files=st.integers(1, 4))
def test_with_a_key_the_same_rows_leave_in_the_same_order_whatever_the_files(
    project: Project, tmp_path_factory: pytest.TempPathFactory, seed: int, files: int
) -> None:
    folder = tmp_path_factory.mktemp("files")
    table = people()
    expected = written(snapshot(project, table, folder, key="id"), folder / "one")
    draw = random.Random(seed)
    shuffled = table[draw.sample(range(table.height), table.height)]
    edges = sorted(draw.sample(range(1, table.height), files - 1))
    for number, (start, stop) in enumerate(zip([0, *edges], [*edges, table.height], strict=True)):
        shuffled[start:stop].write_csv(folder / f"part{number}.csv")
    split = snapshot(project, None, folder, key="id", source={"path": "part*.csv"})
    assert written(split, folder / "two").equals(expected, null_equal=True)


def test_without_a_key_another_order_is_another_release(project: Project, tmp_path: Path) -> None:
    """The broken twin of the test above: then a row's place is its identity."""
    table = people()
    first = written(snapshot(project, table, tmp_path), tmp_path / "one")
    other = written(snapshot(project, table.reverse(), tmp_path), tmp_path / "two")
    assert not first.equals(other, null_equal=True)
