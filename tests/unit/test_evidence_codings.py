"""Registers that write values otherwise: what can be read is read, and what could be two things is not."""

from __future__ import annotations

from datetime import date, datetime

import numpy as np
import polars as pl
import pytest

from evidence_support import compare, one, profile, step
from sfumato.core.values import Role
from sfumato.evidence.attacks.attempts import NEAREST, WEIGHED
from sfumato.evidence.attacks.codings import recode
from sfumato.evidence.attacks.external import TARGET, TRUSTED, link_register

WORK = ["Private", "Self-emp-not-inc", "Self-emp-inc", "State-gov", "Federal-gov", "Zürich", "<=50K", ">50K"]


@pytest.mark.parametrize(
    ("held", "original", "read"),
    [
        (["PRIVATE", " state gov", "Fed-gov", "Zurich", "Self emp inc"], WORK,
         ["Private", "State-gov", "Federal-gov", "Zürich", "Self-emp-inc"]),
        (["<= 50k", ">50K", "50K", "Self-emp", "Mars"], WORK, ["<=50K", ">50K", None, None, None]),
        (["Prviate", "Privat", "Privates", "Pxxxate"], WORK, ["Private", "Private", "Private", None]),
        (["US", "nev mar"], ["United-States", "Never-married"], ["United-States", "Never-married"]),
        ([1, 2, 7], ["1", "02", "x"], ["1", "02", None]),
        ([1.0, 2.0], ["1", "2"], ["1", "2"]),
        (["1,200", "1'000", "7.0", "7,5", "x", None], [1200, 1000], [1200, 1000, 7, None, None, None]),
        (["1.234,5", "3,5", "1,234.5"], [0.5], [1234.5, 3.5, 1234.5]),
        (["9007199254740993"], [1], [9007199254740993]),
        (["yes", "No", "TRUE", "maybe"], [True], [True, False, True, None]),
        (["01.02.2020", "13.05.2021"], [date(2020, 2, 1)], [date(2020, 2, 1), date(2021, 5, 13)]),
        (["01/02/2020", "05/13/2021"], [date(2020, 1, 2)], [date(2020, 1, 2), date(2021, 5, 13)]),
        (["2020-02-01 10:00:00"], [datetime(2020, 2, 1, 10)], [datetime(2020, 2, 1, 10)]),
        ([None, None], ["a"], [None, None]),
    ],
)  # fmt: skip
def test_a_value_is_read_as_the_only_one_it_can_be(held: list, original: list, read: list) -> None:
    assert recode(pl.Series(held), pl.Series(original)).to_list() == read


def test_a_register_in_other_codings_finds_whom_its_owner_would() -> None:
    draw = np.random.default_rng(0)
    towns = ["New York", "San José", "Winterthur", "Schaffhausen", "Kreuzlingen", "Frauenfeld"]
    everybody = pl.DataFrame(
        {
            "id": range(1000),
            "age": draw.integers(18, 90, 1000),
            "home town": draw.choice(towns, 1000),
            "income": draw.integers(1000, 9000, 1000),
        }
    )
    given = compare(
        everybody[:500],
        control=everybody[500:],
        profiles={"id": profile("id", Role.DIRECT_IDENTIFIER)},
        steps=[step("id", Role.DIRECT_IDENTIFIER, action="pseudonymize")],
    )
    typed = pl.Series([["new york", "San Jose", "Wintertur", "SCHAFFHAUSEN", "Kreuzl.", "Frauenfled"][
        towns.index(town)] for town in everybody["home town"]])  # fmt: skip
    register = pl.DataFrame(
        {
            "id": everybody["id"],
            "Age": everybody["age"].cast(pl.Float64).cast(pl.String),
            "HOME_TOWN": typed,
            "Income": [f"{income:,}" for income in everybody["income"]],
        }
    )
    for target in (TARGET, TRUSTED, f"{TARGET}, {WEIGHED}", f"{TARGET}, {NEAREST}"):
        plain, other = (
            one(link_register(given, held, "id"), "linkage.success", target) for held in (everybody, register)
        )
        assert other.value == plain.value
        assert plain.value > 0.98
        assert plain.before == plain.value
        assert one(link_register(given, register, "id"), "linkage.excess", target).value > 0.9
