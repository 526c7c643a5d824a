"""Further tables of the same people: whose their rows are, who is held out with them, what keys they have."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest

from sfumato.core.errors import InputError
from sfumato.pipeline.fitting import fit
from sfumato.pipeline.snapshot import UNIT, Snapshot
from sfumato.pipeline.tables import TaughtTables
from sfumato.policy.checks import undecided
from sfumato.policy.load import policy_from
from sfumato.project import Project

USE: dict[str, Any] = {"role": "quasi-identifier", "why": "use"}
TABLES: dict[str, Any] = {
    "purchases": {"source": {"path": "p.csv"}, "key": "who", "id": "number", "columns": {"spent": USE}},
    "items": {
        "source": {"path": "i.csv"},
        "key": "number",
        "of": "purchases",
        "columns": {"day": USE | {"action": {"do": "truncate-date", "to": "month"}}},
    },
}


@pytest.fixture
def snapshot(tmp_path: Path) -> Snapshot:
    draw = np.random.default_rng(2)
    names = [f"P{number}" for number in draw.permutation(500)]
    people = pl.DataFrame({"id": names, "age": draw.integers(18, 80, 500)})
    bought = pl.DataFrame(
        {"number": np.arange(900), "who": draw.choice(names, 900), "spent": draw.random(900)}
    )
    days = pl.date_range(pl.date(2024, 1, 1), pl.date(2024, 12, 31), eager=True).sample(
        1500, with_replacement=True, seed=4
    )
    items = pl.DataFrame({"number": draw.integers(0, 900, 1500), "day": days})
    policy = policy_from(
        {
            "sfumato": 1,
            "dataset": {"name": "people", "source": {"path": "x.csv"}, "subject": "id"},
            "columns": {"age": USE},
            "tables": TABLES,
            "synthesis": {"method": "copula", "why": "use"},
            "evidence": {"holdout": 0.3},
        }
    )
    given = {"purchases": bought, "items": items}
    return Snapshot.open(policy, tmp_path, Project.open(tmp_path / "keys"), people, given)


def units(frame: pl.LazyFrame) -> set[int]:
    return set(frame.select(UNIT).unique().collect()[UNIT].to_list())


def test_whoever_is_held_out_is_so_with_every_row(snapshot: Snapshot) -> None:
    inside, outside = (units(snapshot.part(held_out=held_out)) for held_out in (False, True))
    assert not inside & outside
    assert len(outside) == pytest.approx(150, abs=45)
    for table, rows in zip(snapshot.below.values(), (900, 1500), strict=True):
        parts = [table.part(held_out=held_out) for held_out in (False, True)]
        assert sum(part.select(pl.len()).collect().item() for part in parts) == rows
        assert units(parts[0]) <= inside
        assert units(parts[1]) <= outside
        assert units(parts[1])


def test_rows_two_tables_down_are_the_persons_above(snapshot: Snapshot) -> None:
    purchases, items = (snapshot.below[name].frame.collect() for name in ("purchases", "items"))
    whose = purchases.select("number", pl.col(UNIT).alias("above"))
    both = items.join(whose, on="number", how="left")
    assert both[UNIT].equals(both["above"])
    people = snapshot.frame.select("id", UNIT).collect()
    named = purchases.join(people, left_on="who", right_on="id", suffix=" of people")
    assert named[UNIT].equals(named[f"{UNIT} of people"])


def test_no_two_tables_share_a_key_and_each_action_is_done(snapshot: Snapshot) -> None:
    keys = {snapshot.release_key, *(table.release_key for table in snapshot.below.values())}
    assert len(keys) == 3
    fitted = fit(snapshot, snapshot.part(held_out=False), 0)
    assert [step.column for step in fitted.whole_plan.steps] == [
        "id",
        "age",
        "purchases.number",
        "purchases.who",
        "purchases.spent",
        "items.number",
        "items.day",
    ]
    below = fitted.below["items"]
    months = below.rows(below.snapshot.part(held_out=False)).select("day").unique().collect()
    assert months.height == 12
    assert {profile.name for profile in snapshot.whole_inventory.columns} == {
        "id",
        "age",
        "purchases.spent",
        "items.day",
    }


def test_what_nobody_decided_about_is_told_of_every_table(snapshot: Snapshot) -> None:
    below = {**snapshot.columns_below, "items": ("number", "day", "note")}
    assert undecided(snapshot.policy, (*snapshot.columns, "name"), below) == ("name", "items.note")


def test_how_well_people_were_foretold_stays_in_custody() -> None:
    table = {
        "table": "people",
        "domain": {"columns": [{"column": "people.age", "codes": 9}]},
        "model": {"epochs": 3, "loss": 0.4, "validation loss": 0.5, "gap": 0.1},
    }
    model: Any = SimpleNamespace(facts={"tables": [table, table | {"table": "items", "model": None}]})
    facts = TaughtTables(model, "people").facts
    assert facts["model"] == {"people: epochs": 3}
    assert facts["domain"]["columns"][0] == {"column": "age", "codes": 9}


def test_every_table_is_of_the_sources_digest(snapshot: Snapshot) -> None:
    digests = {snapshot.digest}
    for name, table in snapshot.given.items():
        given = {**snapshot.given, name: table.head(table.height - 1)}
        other = Snapshot.open(snapshot.policy, snapshot.folder, snapshot.project, snapshot.source, given)  # type: ignore[arg-type]
        digests.add(other.digest)
    assert len(digests) == 3


def test_a_row_of_nobody_is_refused_before_anything_is_fitted(snapshot: Snapshot) -> None:
    lost = snapshot.given["items"].with_columns(pl.lit(10**6).alias("number"))
    given = {**snapshot.given, "items": lost}
    other = Snapshot.open(snapshot.policy, snapshot.folder, snapshot.project, snapshot.source, given)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="about 1,500 rows name a row that is not in purchases"):
        fit(other, other.part(held_out=False), 0)


def test_two_names_that_differ_in_blanks_alone_are_refused(snapshot: Snapshot) -> None:
    first, second = snapshot.source["id"][0], snapshot.source["id"][1]  # type: ignore[index]
    twice = pl.col("id").replace({second: f"{first} "})
    people = snapshot.source.with_columns(twice)  # type: ignore[union-attr]
    other = Snapshot.open(snapshot.policy, snapshot.folder, snapshot.project, people, snapshot.given)
    with pytest.raises(InputError, match="share a name with another") as caught:
        fit(other, other.part(held_out=False), 0)
    assert str(first) not in str(caught.value)
