"""What an attack does to single people: groups, the surest hundredth, and what custody keeps of them."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from evidence_support import compare
from sfumato.core.values import Finding
from sfumato.evidence.attacks.people import FEW, LEAST_PEOPLE, SUREST, by_person, surest_share
from sfumato.evidence.report import Metric, Report
from sfumato.pipeline.comparing import PeopleAtRisk

REPORT = Report(
    "attack",
    {
        "attack.success": Metric("low", "share", "people found"),
        "attack.disparity": Metric("low", "difference", "largest difference between groups"),
    },
)


def found(people: pl.DataFrame, success: np.ndarray, confidence: np.ndarray, **more: object) -> list[Finding]:
    comparison = compare(people, groups=("sex",), **more)
    rows = np.arange(people.height)
    return by_person(
        REPORT, "attack.success", comparison, rows, success, confidence, disparity="attack.disparity"
    )


def people(women: int, men: int) -> pl.DataFrame:
    return pl.DataFrame({"sex": ["f"] * women + ["m"] * men})


def test_groups_have_their_own_figures_and_a_difference() -> None:
    success = np.r_[np.ones(100), np.zeros(4000)]
    found_ = {(f.metric, f.target): f for f in found(people(200, 3900), success, success)}
    assert found_["attack.success", "sex=f"].value == pytest.approx(0.5)
    assert found_["attack.success", "sex=m"].value == 0
    gap = found_["attack.disparity", "sex"]
    assert gap.value == pytest.approx(0.5)
    assert gap.low is not None
    assert 0.4 < gap.low < 0.5
    assert gap.n == 200


def test_the_surest_hundredth_is_not_the_mean_of_everybody() -> None:
    success = np.r_[np.ones(41), np.zeros(4059)]
    surest = next(f for f in found(people(2000, 2100), success, success) if f.target == SUREST)
    assert (surest.value, surest.n) == (1.0, 41)
    blind = next(f for f in found(people(2000, 2100), success, np.zeros(4100)) if f.target == SUREST)
    assert blind.value == pytest.approx(0.01)


def test_few_people_tell_nothing() -> None:
    figures = found(people(LEAST_PEOPLE - 1, 500), np.zeros(LEAST_PEOPLE + 499), np.zeros(LEAST_PEOPLE + 499))
    (women,) = [f for f in figures if f.target == "sex=f"]
    assert (women.status, women.note, women.value) == ("no-power", FEW, None)
    assert [f.status for f in figures if f.metric == "attack.disparity"] == ["no-power"]
    assert [f.status for f in figures if f.target == SUREST] == ["no-power"]


def test_those_who_tie_at_the_edge_count_in_part() -> None:
    assert surest_share(np.zeros(4), np.array([1.0, 0, 0, 0]), 2) == pytest.approx(0.25)


def test_custody_keeps_risks_under_ids_that_say_nothing() -> None:
    kept, again = PeopleAtRisk(), PeopleAtRisk()
    for one in (kept, again):
        one.record("a", np.array([7, 3]), np.array([0.1, 0.9]))
        one.record("b", np.array([3]), np.array([0.5]))
    table = kept.table
    assert table.columns == ["metric", "evidence_id", "risk"]
    assert table["risk"].to_list() == [0.9, 0.1, 0.5]
    # One id a person for all attacks of a run, and another in the next run.
    assert table["evidence_id"][0] == table["evidence_id"][2]
    assert not set(table["evidence_id"]) & set(again.table["evidence_id"])
    assert PeopleAtRisk().table.is_empty()


def test_an_attack_hands_over_what_single_people_risk() -> None:
    kept = PeopleAtRisk()
    found(people(50, 50), np.r_[np.ones(10), np.zeros(90)], np.zeros(100), record=kept.record)
    assert kept.table["risk"].sum() == 10
    assert kept.table.height == 100
