"""Several tables: keys lead to made rows, children go by their parents, and few are counted on people."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from sfumato.core.errors import InputError
from sfumato.synth.coded import Field
from sfumato.synth.copula import CopulaModel
from sfumato.synth.encoding.columns import Numbers, Values
from sfumato.synth.relations import SyntheticTables, fit, load
from sfumato.synth.relations.context import nearest, stand_ins, telling
from sfumato.synth.relations.people import coded

KEYS = [
    ("purchases", "customer", "customers", "id"),
    ("purchases", "sku", "products", "sku"),
    ("items", "purchase", "purchases", "number"),
]
PEOPLE = 800


def shop() -> dict[str, pl.DataFrame]:
    """The young buy often, the old pay more; a gift has a card."""
    draw = np.random.default_rng(3)
    age = draw.integers(18, 80, PEOPLE)
    who = np.repeat(np.arange(PEOPLE), draw.poisson(np.where(age < 40, 4, 1)))
    gift = draw.random(len(who)) < 0.4
    of = np.repeat(np.arange(len(who)), draw.integers(0, 4, len(who)))
    return {
        "customers": pl.DataFrame({"age": age, "id": [f"C{i}" for i in range(PEOPLE)]}),
        "purchases": pl.DataFrame(
            {
                "number": np.arange(len(who)) + 4000,
                "amount": (age[who] * 3 + draw.normal(0, 15, len(who))).round(2),
                "customer": [f"C{i}" for i in who],
                "gift": gift,
                "sku": draw.integers(100, 106, len(who)),
            }
        ),
        "items": pl.DataFrame(
            {"purchase": of + 4000, "card": np.where(draw.random(len(of)) < 0.9, gift[of], ~gift[of])}
        ),
        "products": pl.DataFrame({"sku": np.arange(100, 106), "price": [1.5, 2.0, None, 3.0, 4.0, 5.0]}),
    }


def taught(**changes: Any) -> SyntheticTables:
    asked = {"subject": "customers", "public": ["products"], "method": "copula", **changes}
    return fit(shop(), KEYS, **asked)


@pytest.fixture(scope="module")
def model() -> SyntheticTables:
    return taught()


@pytest.fixture(scope="module")
def made(model: SyntheticTables) -> dict[str, Any]:
    return model.sample(1000)


def test_tables_look_as_they_did(made: dict[str, Any]) -> None:
    assert list(made) == list(shop())
    for name, table in shop().items():
        assert made[name].schema == table.schema
    assert made["customers"].height == 1000
    assert made["products"].equals(shop()["products"])


def test_every_key_leads_to_a_made_row(made: dict[str, Any]) -> None:
    for child, column, parent, other in KEYS:
        assert made[child].height > 100
        assert made[child][column].is_in(made[parent][other].implode()).all()
        assert made[parent][other].is_unique().all()


def test_no_key_is_one_that_was(made: dict[str, Any]) -> None:
    before = shop()
    assert not made["customers"]["id"].is_in(before["customers"]["id"].implode()).any()
    assert made["purchases"]["number"].min() == 10_001
    assert not made["purchases"]["number"].is_in(before["purchases"]["number"].implode()).any()


def test_names_of_made_rows_are_beyond_those_of_made_rows() -> None:
    first = taught().sample(50)
    again = fit(
        {"customers": first["customers"]}, subject="customers", ids={"customers": "id"}, method="copula"
    )
    names = again.sample(50)["customers"]["id"]
    assert names.str.starts_with("synthetic-synthetic-").all()


def bonds(tables: dict[str, pl.DataFrame]) -> tuple[float, float, float]:
    """Age with amount, gift with card; purchases of the young for each of the old."""
    bought = tables["purchases"].join(tables["customers"], left_on="customer", right_on="id")
    items = tables["items"].join(tables["purchases"], left_on="purchase", right_on="number")
    young = (bought["age"] < 40).sum() / (tables["customers"]["age"] < 40).sum()
    old = (bought["age"] >= 40).sum() / (tables["customers"]["age"] >= 40).sum()
    with_amount = bought.select(pl.corr("age", "amount")).item()
    return with_amount, items.select(pl.corr("gift", "card")).item(), young / old


@pytest.mark.parametrize(("method", "near"), [("copula", 0.2), ("aim", 0.06)])
def test_children_go_by_their_parents(method: str, near: float) -> None:
    before, after = bonds(shop()), bonds(taught(method=method).sample(1000))
    assert before[0] > 0.95
    assert before[0] - after[0] < near
    assert abs(before[1] - after[1]) < near
    assert after[2] / before[2] > 1 - 2.5 * near


def test_a_model_that_cannot_be_told_is_chosen_from(
    model: SyntheticTables, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CopulaModel, "conditional", False)
    found = bonds(model.sample(1000))
    assert found[0] > 0.8
    assert found[1] > 0.6


def test_without_the_parent_nothing_is_left_of_it() -> None:
    found = bonds(taught(context=0).sample(1000))
    assert abs(found[0]) < 0.15


def test_rows_hang_on_parents_as_often_as_they_did(made: dict[str, Any]) -> None:
    def shares(tables: dict[str, pl.DataFrame]) -> np.ndarray[Any, Any]:
        counts = tables["purchases"]["customer"].value_counts()["count"].to_numpy()
        several = np.bincount(np.minimum(counts, 6), minlength=7)
        several[0] = tables["customers"].height - len(counts)
        return several / several.sum()

    assert np.abs(shares(shop()) - shares(made)).sum() / 2 < 0.06


def test_a_person_with_very_many_rows_is_not_told_of() -> None:
    tables = shop()
    many = pl.DataFrame(
        {
            "number": np.arange(500) + 9000,
            "amount": 7777.77,
            "customer": "C5",
            "gift": True,
            "sku": 103,
        }
    )
    tables["purchases"] = pl.concat([tables["purchases"], many.cast({"sku": pl.Int64})])
    model = fit(tables, KEYS, subject="customers", public=["products"], method="copula")
    made = model.sample(2000)["purchases"]
    assert made["customer"].value_counts()["count"].max() < 15
    assert made["amount"].max() < 400
    said = model.facts["tables"][1]
    assert said["people_cut"] == "fewer than 10"
    assert said["most"] < 15


def items_of(tables: dict[str, Any]) -> pl.Series:
    """How many items each of the people has who has any."""
    both = tables["items"].join(tables["purchases"], left_on="purchase", right_on="number")
    return both["customer"].value_counts()["count"].sort(descending=True)


def test_nobody_has_more_two_tables_down_than_ten_people_have(model: SyntheticTables) -> None:
    reached = items_of(shop())[9]
    assert items_of(model.sample(20_000)).max() <= reached
    # The broken twin: with a bound for each purchase alone somebody has more in all.
    parts = tuple(replace(part, reach=None) for part in model.parts)
    assert items_of(replace(model, parts=parts).sample(20_000)).max() > reached


def test_a_value_must_be_had_by_people_and_not_by_rows() -> None:
    people = np.concatenate([np.arange(40), np.full(300, 40), np.arange(12)])
    values = pl.Series("x", ["a"] * 40 + ["mine"] * 300 + ["b"] * 12)
    coding, fact = coded(values, people, 64, 10)
    assert isinstance(coding, Values)
    assert coding.values == ("a", "b")
    assert not coding.rare
    assert fact["rare"] == "fewer than 10"
    kept, _ = coded(values, people, 64, 1)
    assert isinstance(kept, Values)
    assert "mine" in kept.values
    missing, _ = coded(values.replace({"mine": None}), people, 64, 10)
    assert missing.field.missing is None


def test_a_number_must_be_had_by_people_and_not_by_rows() -> None:
    draw = np.random.default_rng(0)
    people = np.concatenate([draw.integers(0, 60, 2000), np.full(200, 60)])
    values = pl.Series(
        "x", np.concatenate([draw.integers(0, 1000, 2000), np.full(100, 333), np.full(100, 4000)])
    )
    coding, _ = coded(values, people, 64, 10)
    assert isinstance(coding, Numbers)
    bins = coding.bins
    for low, high in zip(bins.low.tolist(), bins.high.tolist(), strict=True):
        # The ends of a stretch lie halfway to its second and last but one value.
        assert len(np.unique(people[values.is_between(low - 15, high + 15).to_numpy()])) >= 10
    assert not ((bins.low == 333) & (bins.high == 333)).any()
    assert bins.high.max() < 1000
    made = coding.decode(coding.encode(values), draw)
    assert abs(float(made[:2000].mean()) - float(values[:2000].mean())) < 20  # type: ignore[arg-type]


@pytest.mark.parametrize("numbers", [[5.0] * 60, [0.5, 1.5, 2.5] * 20, list(range(60)), [None] * 60])
def test_any_numbers_are_coded(numbers: list[Any]) -> None:
    values = pl.Series("x", numbers, dtype=pl.Float64)
    coding, _ = coded(values, np.arange(60) // 3, 64, 10)
    made = coding.decode(coding.encode(values), np.random.default_rng(0))
    assert made.dtype == pl.Float64
    assert made.is_null().all() == values.is_null().all()


def test_few_with_one_number_far_out_do_not_stretch_it() -> None:
    values = pl.Series("x", [1] * 50 + [10**6] * 50)
    coding, fact = coded(values, np.append(np.arange(50), np.full(50, 50)), 64, 10)
    assert coding.decode(coding.encode(values), np.random.default_rng(0)).max() == 1
    assert fact["rare"] == "fewer than 10"


def test_the_same_key_gives_the_same(model: SyntheticTables, made: dict[str, Any]) -> None:
    again = taught()
    assert again.content() == model.content()
    other = again.sample(1000, key=bytes(32))
    for name, table in again.sample(1000).items():
        assert table.equals(made[name])
        assert name == "products" or not table.equals(other[name])


def test_saved_and_loaded_it_makes_the_same(
    model: SyntheticTables, made: dict[str, Any], tmp_path: Path
) -> None:
    place = tmp_path / "shop.safetensors"
    model.save(place)
    back = load(place)
    assert back.facts == model.facts
    for name, table in back.sample(1000).items():
        assert table.equals(made[name])
    assert b"C17" not in place.read_bytes()
    place.write_bytes(b"nothing")
    with pytest.raises(InputError, match="safetensors"):
        load(place)


def test_public_tables_of_any_type_are_saved(tmp_path: Path) -> None:
    people = pl.DataFrame({"id": range(40), "kind": ["a", "b"] * 20})
    public = pl.DataFrame(
        {
            "kind": pl.Series(["a", "b", "c"], dtype=pl.Categorical),
            "open": [True, None, False],
            "since": pl.Series(["2020-01-01", None, "2021-05-06"]).str.to_date(),
            "at": pl.Series(["2020-01-01 10:00", None, "2021-05-06 11:30"]).str.to_datetime(),
            "x": [0.1, float("nan"), None],
        }
    )
    model = fit(
        {"kinds": public, "people": people},
        [("people", "kind", "kinds", "kind")],
        subject="people",
        ids={"people": ["id"]},
        public=["kinds"],
        method="independent",
    )
    model.save(tmp_path / "x")
    found = load(tmp_path / "x").sample(5)
    assert found["kinds"].equals(public)
    assert found["people"]["id"].to_list() == [101, 102, 103, 104, 105]


def test_tables_of_pandas_come_back_as_such() -> None:
    tables: dict[str, Any] = {name: table.to_pandas() for name, table in shop().items()}
    # Gaps make floats of keys there.
    tables["purchases"].loc[:50, "sku"] = None
    made = fit(tables, KEYS, subject="customers", public=["products"], method="independent").sample(200)
    assert all(isinstance(table, pd.DataFrame) for table in made.values())
    assert made["purchases"]["sku"].isna().any()
    assert made["purchases"]["sku"].dropna().isin(tables["products"]["sku"]).all()


def test_one_table_alone_and_nobody() -> None:
    model = fit(
        {"customers": shop()["customers"]}, subject="customers", ids={"customers": "id"}, method="copula"
    )
    assert model.sample(3)["customers"]["id"].to_list()[0] == "synthetic-0000001"
    assert all(table.height == 0 for name, table in taught().sample(0).items() if name != "products")


def test_a_child_without_rows_and_its_children_stay_so() -> None:
    tables = shop()
    tables["purchases"], tables["items"] = tables["purchases"].clear(), tables["items"].clear()
    made = fit(tables, KEYS, subject="customers", public=["products"], method="copula").sample(30)
    assert made["customers"].height == 30
    for name in ("purchases", "items"):
        assert made[name].height == 0
        assert made[name].schema == tables[name].schema


def test_a_child_with_nothing_but_its_key() -> None:
    tables = shop()
    visits = {"customers": tables["customers"], "visits": tables["purchases"].select("customer")}
    made = fit(
        visits, [("visits", "customer", "customers", "id")], subject="customers", method="copula"
    ).sample(500)
    assert abs(made["visits"].height / 500 - tables["purchases"].height / PEOPLE) < 0.3


def test_one_row_for_each_with_the_key_of_the_parent() -> None:
    tables = shop()
    more = {
        "customers": tables["customers"],
        "profiles": tables["customers"].select("id", old=pl.col("age") > 50),
        "notes": tables["purchases"].select("customer", "gift"),
    }
    keys = [("profiles", "id", "customers", "id"), ("notes", "customer", "profiles", "id")]
    made = fit(more, keys, subject="customers", method="copula").sample(300)
    assert made["profiles"]["id"].to_list() == made["customers"]["id"].to_list()
    assert made["notes"]["customer"].is_in(made["profiles"]["id"].implode()).all()


def test_kept_values_come_out_where_asked() -> None:
    tables = shop()
    tables["purchases"] = tables["purchases"].with_columns(
        note=pl.Series(["rare one"] * 3 + ["often"] * (tables["purchases"].height - 3))
    )
    asked: dict[str, Any] = {"subject": "customers", "public": ["products"], "method": "independent"}
    kept = fit(tables, KEYS, rare={"purchases": {"note": "keep"}}, **asked).sample(3000)["purchases"]
    merged = fit(tables, KEYS, **asked).sample(3000)["purchases"]
    assert "rare one" in kept["note"].to_list()
    assert merged["note"].unique().to_list() == ["often"]


def changed(name: str, **columns: pl.Expr | pl.Series) -> dict[str, pl.DataFrame]:
    tables = shop()
    tables[name] = tables[name].with_columns(**columns)
    return tables


def first(column: str, value: Any) -> pl.Expr:
    return pl.when(pl.int_range(pl.len()) < 3).then(pl.lit(value)).otherwise(pl.col(column))


@pytest.mark.parametrize(
    ("tables", "says"),
    [
        (changed("purchases", customer=first("customer", "C-none")), "name a row that is not in customers"),
        (changed("purchases", customer=first("customer", None)), "name no row of customers: fewer than 10"),
        (changed("purchases", sku=first("sku", 99)), "name a row that is not in products"),
        (changed("purchases", number=first("number", 4001)), "share a key"),
        (changed("customers", id=first("id", None)), "have no key"),
        (changed("customers", id=pl.int_range(pl.len())), "another type"),
        (changed("items", purchase=pl.lit(4001)), "fewer people than 10"),
        (changed("customers", id=pl.lit("C1")), "share a key"),
    ],
)
def test_keys_that_lead_nowhere_are_refused(tables: dict[str, pl.DataFrame], says: str) -> None:
    with pytest.raises(InputError, match=says) as refused:
        fit(tables, KEYS, subject="customers", public=["products"], method="independent")
    assert "C-none" not in str(refused.value)


@pytest.mark.parametrize(
    ("keys", "asked", "says"),
    [
        (KEYS, {"public": []}, "two tables of people"),
        (KEYS[:2], {}, "none leads up"),
        ([*KEYS, ("customers", "id", "purchases", "customer")], {}, "names rows of another"),
        ([*KEYS, KEYS[0]], {}, "two keys"),
        ([("purchases", "buyer", "customers", "id")], {}, "no such column"),
        ([("sales", "customer", "customers", "id")], {}, "no such table"),
        (["customers"], {}, "four parts"),
        (KEYS, {"public": ["products", "customers"]}, "cannot be public"),
        ([*KEYS, ("products", "sku", "purchases", "number")], {}, "not"),
        (KEYS, {"ids": {"purchases": "sku"}}, "leads to another"),
        (KEYS, {"ids": {"purchases": "sku2"}}, "no such column"),
        (KEYS, {"subject": "people"}, "no such table"),
        (KEYS, {"rare": {"product": "keep"}}, "no such table"),
        (KEYS, {"most": {"purchases": 20}}, "there is no budget"),
        (KEYS, {"bounds": {"purchases": {"amount": (0, 9)}}}, "there is no budget"),
        (KEYS, {"size": 800}, "there is no budget"),
        (KEYS, {"context": -1}, "from 0"),
        (KEYS, {"params": {"x": 1}}, "parameter"),
    ],
)
def test_what_cannot_be_meant_is_refused(keys: Any, asked: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says):
        fit(shop(), keys, **{"subject": "customers", "public": ["products"], "method": "copula", **asked})


def test_too_few_numbers_and_too_few_people(model: SyntheticTables) -> None:
    small = pl.DataFrame({"id": pl.Series(range(20), dtype=pl.UInt8), "x": [1, 2] * 10})
    taught = fit({"t": small}, subject="t", ids={"t": "id"}, method="independent")
    assert taught.sample(155)["t"]["id"].max() == 255
    with pytest.raises(InputError, match="enough numbers"):
        taught.sample(156)
    with pytest.raises(InputError, match="from 0"):
        model.sample(-1)
    dated = small.with_columns(id=pl.date_range(pl.date(2020, 1, 1), pl.date(2020, 1, 20)))
    with pytest.raises(InputError, match="whole numbers or text"):
        fit({"t": dated}, subject="t", ids={"t": "id"}, method="independent")


def test_what_tells_of_children_is_found() -> None:
    draw = np.random.default_rng(0)
    given = draw.integers(0, 4, (2000, 3)).astype(np.int32)
    codes = np.where(draw.random((2000, 1)) < 0.7, given[:, 1:2], 0).astype(np.int32)
    above = [Field(name, name, 4, False) for name in "abc"]
    assert telling([Field("x", "x", 4, True)], codes, above, given, 2000, 1) == [1]
    assert telling([Field("x", "x", 4, True)], codes, above, given, 2000, 0) == []


def test_a_code_that_no_child_had_counts_as_another() -> None:
    codes = np.array([1, 1, 4, 5], dtype=np.int32)
    assert stand_ins(Field("x", "x", 6, True, 5), codes) == [1, 1, 1, 4, 4, 5]
    assert stand_ins(Field("x", "x", 6, False), codes) == [1, 1, 1, 1, 4, 5]


def test_what_is_nearest_agrees_in_the_first_fields() -> None:
    fields = [Field("a", "a", 3, False), Field("b", "b", 60, True)]
    pool = np.array([[0, 0], [0, 55], [1, 5]], dtype=np.int32)
    given = np.array([[0, 59], [1, 59], [2, 0]], dtype=np.int32)
    found = nearest(fields, pool, given, np.random.default_rng(0))
    assert found[:2].tolist() == [1, 2]
    assert 0 <= found[2] < 3
