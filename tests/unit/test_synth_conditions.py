"""Conditions hold in every row, groups have the shares asked for, and what cannot be is an error."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl
import pytest

from sfumato.core.errors import InputError
from sfumato.synth.copula import CopulaModel
from sfumato.synth.fitting import fit
from sfumato.synth.synthetic import Synthetic


def people(rows: int = 800) -> pl.DataFrame:
    draw = np.random.default_rng(4)
    age = draw.integers(18, 90, rows)
    return pl.DataFrame(
        {
            "age": age,
            "sex": np.where(draw.random(rows) < 0.2, "F", "M"),
            "town": [["a", "b", "c", None][i] for i in draw.integers(0, 4, rows)],
            "income": (age * 100 * draw.lognormal(0, 0.3, rows)).round(2),
            "member": draw.random(rows) < 0.3,
        }
    )


@pytest.fixture(scope="module", params=["conditional", "by choosing"])
def taught(request: pytest.FixtureRequest) -> Any:
    found = fit(people(), "copula")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(CopulaModel, "conditional", request.param == "conditional")
        yield found


CASES: list[tuple[Mapping[str, Any], pl.Expr]] = [
    ({"sex": "F"}, pl.col("sex") == "F"),
    ({"age": (30, 40)}, pl.col("age").is_between(30, 40)),
    ({"age": {"from": 80}}, pl.col("age") >= 80),
    ({"age": 35}, pl.col("age") == 35),
    ({"income": (2000.5, 2100.25)}, pl.col("income").is_between(2000.5, 2100.25)),
    ({"town": ["a", None]}, (pl.col("town") == "a") | pl.col("town").is_null()),
    ({"town": None}, pl.col("town").is_null()),
    ({"member": True, "sex": ["F"], "age": (20, 60)}, pl.col("member") & (pl.col("sex") == "F")),
]


@pytest.mark.parametrize(("where", "holds"), CASES, ids=str)
def test_every_row_meets_them(taught: Synthetic, where: Mapping[str, Any], holds: pl.Expr) -> None:
    made = taught.sample(70, where=where)
    assert made.height == 70
    assert made.select(holds.all()).item()


def test_the_others_follow_what_is_given(taught: Synthetic) -> None:
    young, old = (taught.sample(400, where={"age": ages})["income"].mean() for ages in ((18, 30), (70, 90)))
    assert young < 0.6 * old


def test_groups_have_the_shares_asked_for(taught: Synthetic) -> None:
    made = taught.sample(101, balance={"sex": "even", "member": {True: 3, False: 1}})
    counts = dict(made.group_by("sex").len().iter_rows())
    assert sorted(counts.values()) == [50, 51]
    assert 74 <= made["member"].sum() <= 77
    both = taught.sample(60, where={"age": (30, 50)}, balance={"sex": {"F": 0.5, "M": 0.5}})
    assert both["sex"].to_list().count("F") == 30
    assert both["age"].is_between(30, 50).all()
    assert taught.sample(0, balance={"sex": "even"}).height == 0


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"where": {"age": (200, 300)}}, "usage"),
        ({"where": {"sex": "X"}}, "usage"),
        ({"where": {"ages": 3}}, "unknown-name"),
        ({"where": {"age": (1, 2, 3)}}, "usage"),
        ({"where": {"age": (40, 30)}}, "usage"),
        ({"where": {"age": "old"}}, "usage"),
        ({"where": {"sex": []}}, "usage"),
        ({"where": {"sex": ("F", "M")}}, "usage"),
        ({"where": {"age": {"until": 3}}}, "usage"),
        ({"balance": {"age": "even"}}, "usage"),
        ({"balance": {"sex": {"F": -1}}}, "usage"),
        ({"balance": {"sexes": "even"}}, "unknown-name"),
        ({"where": {"sex": "F"}, "balance": {"sex": "even"}}, "usage"),
    ],
    ids=str,
)
def test_what_cannot_be_is_an_error(taught: Synthetic, asked: dict[str, Any], code: str) -> None:
    with pytest.raises(InputError) as error:
        taught.sample(5, **asked)
    assert error.value.code == code


def test_dates_are_dates_or_words() -> None:
    days = [dt.date(2020, 1, 1) + dt.timedelta(i % 300) for i in range(900)]
    zoned = pl.Series(days).cast(pl.Datetime("ns")).dt.replace_time_zone("Europe/Berlin")
    taught = fit(pl.DataFrame({"day": days, "zoned": zoned}), "independent")
    for given in ((dt.date(2020, 2, 1), dt.date(2020, 2, 3)), ("2020-02-01", "2020-02-03")):
        made = taught.sample(30, where={"day": given, "zoned": given})
        assert made["day"].is_between(dt.date(2020, 2, 1), dt.date(2020, 2, 3)).all()
        assert set(made["zoned"].dt.month().to_list()) == {2}
    with pytest.raises(InputError, match="ISO"):
        taught.sample(3, where={"day": "soon"})


def test_a_row_too_rare_to_be_met_ends_in_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    table = pl.DataFrame({"a": ["x"] * 400 + ["y"] * 400, "b": ["u"] * 400 + ["v"] * 400})
    taught = fit(table, "copula")
    monkeypatch.setattr(CopulaModel, "conditional", False)
    monkeypatch.setattr("sfumato.synth.synthetic._MOST_DRAWN", 200)
    monkeypatch.setattr("sfumato.synth.synthetic._MOST_A_ROW", 2)
    with pytest.raises(InputError, match="no row could be made"):
        taught.sample(50, where={"a": "x", "b": "v"})
