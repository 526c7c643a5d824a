"""Constraints hold in every row that is made, and what breaks them in the source is told."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import polars as pl
import pytest

from sfumato.core.errors import InputError
from sfumato.dp.budget import Budget
from sfumato.synth.constraints import Rules, parsed
from sfumato.synth.fitting import fit

PLACES = [("Paris", "FR"), ("Lyon", "FR"), ("Bonn", "DE"), ("Ulm", "DE")]


def people(rows: int = 600) -> pl.DataFrame:
    draw = np.random.default_rng(3)
    low = draw.integers(0, 50, rows)
    begin = [dt.date(2020, 1, 1) + dt.timedelta(int(day)) for day in draw.integers(0, 400, rows)]
    place = draw.integers(0, 4, rows)
    part, other = draw.gamma(2, 100, rows).round(2), draw.gamma(2, 10, rows).round(2)
    return pl.DataFrame(
        {
            "id": np.arange(rows) + 1000,
            "low": low,
            "middle": low + draw.integers(0, 9, rows),
            "begin": begin,
            "end": [b + dt.timedelta(int(d)) for b, d in zip(begin, draw.integers(0, 30, rows), strict=True)],
            "total": (part + other).round(2),
            "part": part,
            "other": other,
            "city": [PLACES[p][0] for p in place],
            "country": [PLACES[p][1] for p in place],
        }
    ).with_columns(high=pl.col("middle") + 2)


RULES: list[Any] = [
    {"unique": "id"},
    "middle <= high",
    "low <= middle",
    "begin <= end",
    "total = part + other",
    {"together": ["city", "country"]},
    {"range": "low", "from": 5},
]


def test_all_hold_in_every_row() -> None:
    source = people()
    made = fit(source, "copula", constraints=RULES).sample(2000)
    assert made.schema == source.schema
    assert (made["low"] <= made["middle"]).all()
    assert (made["middle"] <= made["high"]).all()
    assert (made["begin"] <= made["end"]).all()
    assert ((made["part"] + made["other"]).round(2) == made["total"].round(2)).all()
    assert set(made.select("city", "country").iter_rows()) == set(PLACES)
    assert made["id"].to_list() == list(range(1, 2001))
    assert made["low"].min() == 5


def test_without_them_they_do_not_hold() -> None:
    made = fit(people(), "independent").sample(2000)
    assert not (made["low"] <= made["middle"]).all()
    assert set(made.select("city", "country").iter_rows()) != set(PLACES)


def test_rows_that_break_them_are_told_in_round_figures() -> None:
    source = people()
    twisted = source.with_columns(
        middle=pl.when(pl.int_range(600) < 123).then(-1).otherwise("middle"),
        country=pl.when(pl.int_range(600) < 3).then(pl.lit("US")).otherwise("country"),
    )
    told = {
        fact["constraint"]: fact["broken"]
        for fact in fit(twisted, "independent", constraints=RULES).facts["constraints"]
    }
    assert told["low <= middle"] == "about 120"
    assert told["city with country"] == "fewer than 10"
    assert told["begin <= end"] == "none"


def test_a_column_that_two_would_compute_is_drawn_again() -> None:
    source = people().select("low", "middle", "high")
    taught = fit(source, "independent", constraints=["low <= high", "middle <= high"])
    assert [str(rule) for rule in taught.rules.looked] == ["middle <= high"]
    made = taught.sample(500)
    assert (made["low"] <= made["high"]).all()
    assert (made["middle"] <= made["high"]).all()


def test_what_holds_in_no_row_is_an_error() -> None:
    source = people().select("low", "high").with_columns(far=pl.col("low") + 1000)
    with pytest.raises(InputError) as error:
        fit(source, "independent", constraints=["low <= high", "far <= high"]).sample(5)
    assert error.value.code == "usage"


def test_under_privacy_combinations_are_declared() -> None:
    source = people().select("low", "middle", "city", "country")
    terms: dict[str, Any] = {
        "epsilon": 5.0,
        "delta": 1e-5,
        "size": 600,
        "bounds": {"low": (0, 50), "middle": (0, 60)},
    }
    with pytest.raises(InputError, match="cannot be learned"):
        fit(source, "independent", constraints=[{"together": ["city", "country"]}], **terms)
    rules = ["low <= middle", {"together": ["city", "country"], "values": PLACES}]
    taught = fit(source, "copula", constraints=rules, **terms)
    made = taught.sample(500)
    assert (made["low"] <= made["middle"]).all()
    assert set(made.select("city", "country").iter_rows()) <= set(PLACES)
    assert {fact["broken"] for fact in taught.facts["constraints"]} == {"not counted"}


def test_a_refused_constraint_charges_nothing() -> None:
    budget = Budget(1.0, 1e-5)
    with pytest.raises(InputError):
        fit(people(), "independent", budget=budget, constraints=[{"together": ["city", "country"]}])
    assert budget.statement().share == 0


@pytest.mark.parametrize(
    "given",
    [
        "low < middle",
        {"at_most": ["low"]},
        {"range": "low", "until": 3},
        3,
        "low <= nowhere",
        "low <= low",
        "city <= country",
        "total = part + city",
        {"together": ["city"]},
        {"unique": "begin"},
        {"range": "city", "from": 1},
        {"together": ["city", "country"], "values": [["Paris"]]},
    ],
    ids=str,
)
def test_what_is_no_constraint_is_refused(given: Any) -> None:
    with pytest.raises(InputError):
        fit(people(50), "independent", constraints=[given])


def test_the_target_is_not_computed() -> None:
    with pytest.raises(InputError, match="target"):
        fit(people(50), "independent", target="total", constraints=["total = part + other"])


def test_missing_values_pass() -> None:
    source = people().select("low", "middle").with_columns(low=pl.when(pl.col("low") > 9).then("low"))
    made = fit(source, "copula", constraints=["low <= middle"]).sample(500)
    assert made["low"].null_count() > 0
    assert made.select((pl.col("low") <= pl.col("middle")).fill_null(True).all()).item()


def test_they_are_json() -> None:
    rules = Rules.of(RULES, people(), target=None, private=False, least=10)
    again = Rules.from_document(rules.document())
    assert again == rules
    assert parsed({"sum": "a", "of": ["b = c", "d"]}, ["a", "b = c", "d"]).columns == ("a", "b = c", "d")


def test_what_can_never_be_is_in_no_row() -> None:
    """A structural zero holds also where the columns have nothing in common for the synthesizer."""
    draw = np.random.default_rng(3)
    sex = draw.choice(["F", "M"], 2000)
    table = pl.DataFrame({"sex": sex, "pregnant": (draw.random(2000) < 0.3) & (sex == "F")})
    never = {"never": {"sex": "M", "pregnant": True}}
    broken = pl.col("sex").eq("M") & pl.col("pregnant")
    free = fit(table, "independent").sample(2000).filter(broken)
    kept = fit(table, "independent", constraints=[never])
    assert free.height > 100
    assert kept.sample(2000).filter(broken).is_empty()
    assert kept.facts["constraints"] == [{"constraint": "never sex and pregnant", "broken": "none"}]
    assert Rules.from_document(kept.rules.document()).document() == kept.rules.document()


@pytest.mark.parametrize("never", [{"sex": "M"}, {"sex": "M", "age": "old"}, {"sex": "M", "size": 3}])
def test_structural_zeros_that_cannot_be_meant(never: dict[str, object]) -> None:
    table = pl.DataFrame({"sex": ["F", "M"] * 20, "age": [30, 40] * 20})
    with pytest.raises(InputError):
        fit(table, "independent", constraints=[{"never": never}])
