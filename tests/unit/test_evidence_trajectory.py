"""How k falls as columns become known: small tables counted by hand, and orders."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from evidence_support import compare, local, one, people, profile, suppress_small
from sfumato.contracts import PERSON, ROW
from sfumato.core.values import Role
from sfumato.evidence.attacks import trajectory
from sfumato.evidence.attacks.trajectory import OVERLAP, Trajectory, worst_order
from sfumato.evidence.attacks.uniqueness import Uniqueness


def steps(comparison, **params):
    return Trajectory().run(comparison, Trajectory.Params(**params))


#: The age tells four of eight apart, with the town six, with the sex all.
EIGHT = pl.DataFrame(
    {
        "sex": [0, 0, 0, 0, 1, 1, 0, 1],
        "town": [0, 0, 0, 0, 0, 1, 2, 2],
        "age": [1, 2, 3, 4, 5, 5, 6, 6],
    }
)


def test_each_step_counted_by_hand() -> None:
    found = steps(compare(EIGHT))
    shares = [
        one(found, "trajectory.unique", target).value for target in ("1 column", "2 columns", "3 columns")
    ]
    assert shares == [4 / 8, 6 / 8, 1.0]
    assert one(found, "trajectory.unique", "1 column").assumes == "an attacker who knows age"
    assert one(found, "trajectory.worst_class", "1 column").value == 1.0
    assert one(found, "trajectory.median_class", "1 column").value == 1.0
    assert one(found, "trajectory.unique").value == 1.0


def test_the_worst_order_is_greedy_and_ties_follow_the_columns() -> None:
    # With the age, sex and town tell as many apart.
    assert worst_order(EIGHT, EIGHT.columns) == ("age", "sex", "town")
    same = pl.DataFrame({"b": [1, 1, 2], "a": [1, 1, 2]})
    assert worst_order(same, ["b", "a"]) == ("b", "a")


def test_more_columns_are_never_safer_and_the_worst_order_is_worst_at_first() -> None:
    found = steps(compare(people(2000, 6, 7)))
    targets = ["1 column", *(f"{n} columns" for n in range(2, 7))]
    for metric in trajectory.REPORT.table:
        values = [one(found, metric, target).value for target in targets]
        assert values == sorted(values)
        assert values[-1] == pytest.approx(one(found, metric).value)


def test_all_columns_known_are_the_class_risks() -> None:
    given = compare(people(500, 4, 5))
    found, risks = steps(given), Uniqueness().run(given, Uniqueness.Params())
    for metric in ("unique", "at_risk", "worst_class"):
        assert one(found, f"trajectory.{metric}").value == one(risks, f"risk.{metric}").value


def test_k_of_two_and_of_twenty_are_ordered() -> None:
    frame = pl.DataFrame({f"c{j}": np.random.default_rng(j).zipf(1.7, 4000) % 30 for j in range(3)})
    worst = [
        one(steps(compare(frame, kept=suppress_small(frame, frame.columns, k))), "trajectory.at_risk").value
        for k in (2, 5, 20)
    ]
    assert worst[0] > 0.0
    assert worst[1:] == [0.0, 0.0]


def test_the_mean_over_orders_is_that_of_single_columns() -> None:
    # One of two columns tells everybody apart: on average half of people are alone with one column.
    frame = pl.DataFrame({"a": range(100), "b": [0] * 100})
    found = one(steps(compare(frame), orders=1000), "trajectory.unique_random", "1 column")
    assert found.low < 0.5 < found.high
    assert found.value == pytest.approx(0.5, abs=0.06)


def test_only_columns_that_the_attacker_may_know_are_steps() -> None:
    frame = pl.DataFrame({"q": [1, 1, 2, 2], "x": range(4)})
    found = steps(compare(frame, profiles={"x": profile("x", Role.INSENSITIVE)}))
    assert {finding.target for finding in found} == {"release", "1 column"}
    nobody = steps(compare(frame[["x"]], profiles={"x": profile("x", Role.INSENSITIVE)}))
    assert {finding.status for finding in nobody} == {"not-measured"}


def test_few_steps_of_many_columns() -> None:
    found = steps(compare(people(300, 8, 4)), steps=2)
    assert {finding.target for finding in found} == {"release", "1 column", "2 columns"}
    assert one(found, "trajectory.unique").assumes.count("c") >= 8


def test_labels_that_overlap_are_told_apart_as_labels() -> None:
    found = steps(local(people(40, 2, 9), [i // 5 for i in range(40)]))
    assert one(found, "trajectory.worst_class").value == pytest.approx(1 / 5)
    assert one(found, "trajectory.worst_class").note == OVERLAP


def test_people_of_several_rows_are_counted_once() -> None:
    rows = pl.DataFrame({"a": [1] * 6 + [2] * 6})
    whose = np.array([7] * 6 + [8] * 3 + [9] * 3, dtype=np.uint64)
    with_people = rows.with_columns(pl.Series(PERSON, whose))

    def histories(columns):
        return with_people.select(PERSON, *columns).with_row_index(ROW)

    given = compare(
        rows[[0, 6, 9]], histories=histories, histories_original=histories, people=whose[[0, 6, 9]]
    )
    assert one(steps(given), "trajectory.unique").value == pytest.approx(1 / 3)
    # Who has six rows and who have three are alike only to those who see no links.
    linked = replace(given, alike=lambda _: np.array([1, 2]), alike_original=lambda _: np.array([1, 2]))
    assert one(steps(linked), "trajectory.unique").value == pytest.approx(1 / 3)
    same = replace(linked, histories=lambda columns: histories(columns).with_columns(a=pl.lit(0)))
    assert one(steps(same), "trajectory.unique").value == pytest.approx(1 / 3)
    apart = replace(same, alike=None, alike_original=None)
    assert one(steps(apart), "trajectory.unique").value == 0.0
