"""A policy on a small table, and the plan it must give, worked out by hand.

Twelve people, two quasi-identifiers, 3-anonymity, at most two suppressed. Ages in fives and tens,
towns kept or hidden. With ages in tens and towns kept, the classes are 20-29 in A (4), 30-39 in A
(3), 20-29 in B (3) and 30-39 in B (2): the last one goes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl
import pytest

import sfumato as sf

PEOPLE = pl.DataFrame(
    {
        "age": [21, 23, 26, 28, 31, 34, 38, 22, 25, 29, 33, 36],
        "town": ["A"] * 7 + ["B"] * 5,
        "ill": [0, 1] * 6,
    }
)

POLICY: dict[str, Any] = {
    "sfumato": 1,
    "dataset": {"name": "golden", "source": {"path": "unused.csv"}},
    "columns": {
        "age": {
            "role": "quasi-identifier",
            "hierarchy": {"kind": "intervals", "widths": [5, 10]},
            "why": "known",
        },
        "town": {"role": "quasi-identifier", "hierarchy": {"kind": "suppress"}, "why": "known"},
        "ill": {"role": "insensitive", "sensitive": True, "why": "asked in confidence"},
    },
    "anonymity": {"models": [{"model": "k-anonymity", "k": 3}], "suppression": 0.2},
    "approvals": [
        {"by": "A. Tester", "what": "column ill", "why": "made-up data of twelve rows"},
        {"by": "A. Tester", "what": "gate risk.worst_class", "why": "made-up data of twelve rows"},
    ],
    "gate": [{"metric": "risk.worst_class", "at_most": 0.34, "least_n": 1}],
}


def test_the_plan_is_the_one_worked_out_by_hand(tmp_path: Path) -> None:
    anonymity = sf.plan(POLICY, PEOPLE, project=tmp_path / "keys").plan.anonymity
    assert anonymity.levels == {"age": 2, "town": 0}
    assert anonymity.heights == {"age": 4, "town": 2}
    assert (anonymity.classes, anonymity.smallest_class) == (3, 3)
    assert (anonymity.rows, anonymity.suppressed_rows) == (12, 2)
    # Shares of the twelve ages: 7 in 20-29, 5 in 30-39. Kept are 7 rows of the one and 3 of the other.
    age = (7 * 7 / 12 + 3 * 5 / 12 + 2) / 12
    town = (10 / 2 + 2) / 12
    assert anonymity.raw_loss == pytest.approx((age + town) / 2)
    lost = [(age - 1 / 12) / (1 - 1 / 12), (town - 1 / 2) / (1 - 1 / 2)]
    assert anonymity.score == pytest.approx(((1 + lost[0]) * (1 + lost[1])) ** 0.5 - 1)
    finest = (1 / 12 + 1 / 2) / 2
    assert anonymity.granularity == pytest.approx(1 - (anonymity.raw_loss - finest) / (1 - finest))
    assert anonymity.lattice == 8
    assert anonymity.optimal


def test_the_rows_are_those_of_the_plan(tmp_path: Path) -> None:
    result = sf.run(POLICY, PEOPLE, output=tmp_path / "out", project=tmp_path / "keys")
    counted = result.data.group_by("age", "town").len().sort("age", "town")
    assert counted.rows() == [("20-29", "A", 4), ("20-29", "B", 3), ("30-39", "A", 3)]


def test_the_order_of_rows_is_not_that_of_the_source(tmp_path: Path) -> None:
    many = pl.concat([PEOPLE] * 50)
    result = sf.run(POLICY, many, output=tmp_path / "out", project=tmp_path / "keys")
    assert result.data["ill"].to_list() != many["ill"].to_list()
    assert result.data["ill"].sum() == many["ill"].sum()


def test_two_projects_give_two_orders(tmp_path: Path) -> None:
    many = pl.concat([PEOPLE] * 50)
    one, two = (
        sf.run(POLICY, many, output=tmp_path / name, project=tmp_path / f"{name}-keys").data for name in "ab"
    )
    assert not one.equals(two)
    assert one.sort(pl.all()).equals(two.sort(pl.all()))
