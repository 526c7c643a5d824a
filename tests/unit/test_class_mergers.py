"""Failing classes joined to near ones, and rows of people counted as people's: known answers."""

from __future__ import annotations

import numpy as np
import polars as pl

from sfumato.anonymity.models.k_anonymity import KAnonymity
from sfumato.anonymity.of_people import WHOSE, OfPeople, Owners, of_people
from sfumato.anonymity.partition import merging
from sfumato.anonymity.partition.merging import merged, mergers
from sfumato.anonymity.partition.problem import Assignment, Axis, Problem
from sfumato.classes.contingency import Sensitive
from sfumato.classes.table import Units
from sfumato.contracts import PrivacyModel
from sfumato.hierarchies.ladder import Ladder

K2 = KAnonymity(KAnonymity.Params(k=2))


def free(values: list[object], numbers: list[float] | None = None) -> Axis:
    at = None if numbers is None else np.array(numbers)
    return Axis(Ladder.fixed(pl.Series("c", values)), True, at)


def problem(axes: list[Axis], positions: list[list[int]]) -> Problem:
    return Problem(axes, np.array(positions), Units(np.ones(len(positions[0]), dtype=np.int64)), [])


def test_a_failing_class_joins_the_nearest_by_number() -> None:
    asked = problem([free([0, 1, 9, 10], [0.0, 1.0, 9.0, 10.0])], [[0, 1, 2, 3]])
    found = Assignment.whole(np.arange(4), asked.units.counts)
    together = merged(asked, found, np.array([False, False, True, False])).classes
    assert together[2] == together[3]
    assert len(set(together.tolist())) == 3


def test_a_failing_class_joins_the_one_with_its_values() -> None:
    asked = problem([free(["a", "b", "c", "d"])], [[0, 1, 2, 3, 1]])
    found = Assignment.whole(np.array([0, 0, 1, 1, 2]), asked.units.counts)
    together = merged(asked, found, np.array([False, False, True])).classes
    assert together[4] == together[0] != together[2]


def test_a_class_takes_part_in_one_merger() -> None:
    """Three fail: two of them join, and the third is left for the next round."""
    sizes = np.array([1, 1, 1])
    goals = mergers(sizes, sizes > 0, lambda one, others: np.abs(others - one).astype(float), np.arange(3))
    assert len(set(goals.tolist())) == 2


def test_of_many_classes_only_near_ones_are_looked_at(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(merging, "NEAR", 2)
    seen: list[int] = []

    def costs(one: int, others: np.ndarray) -> np.ndarray:
        seen.extend(others.tolist())
        return np.ones(len(others))

    line = np.arange(9)[::-1]
    mergers(np.ones(9, dtype=np.int64), np.arange(9) == 4, costs, line)
    assert sorted(seen) == [2, 3, 5, 6]


def test_rows_of_one_person_are_one() -> None:
    people = np.array([0, 0, 0, 1, 2])
    owners = Owners.of_rows(people, {})
    units = Units(np.ones(5, dtype=np.int64), {WHOSE: owners.column})
    table = units.classes(np.array([0, 0, 1, 1, 1]), 2)
    model = OfPeople(K2, owners, whole_people=False)  # type: ignore[arg-type]
    assert table.sizes.tolist() == [2, 3]
    assert owners.table(table, None).sizes.tolist() == [1, 3]
    assert model.holds(table).tolist() == [False, True]
    assert model.absorbing and model.monotone and model.explain() == K2.explain()


def test_a_person_counts_with_every_value_of_their_rows() -> None:
    """Two people with two rows each, as units of a search: the values of all rows count."""
    sensitive = Sensitive(np.array([0, 1, 0, 0]), np.array([2, 1]))
    owners = Owners(np.array([0, 2, 4]), np.arange(4), np.array([0, 0, 1, 1]), {"s": sensitive})
    units = Units(np.ones(2, dtype=np.int64), {WHOSE: owners.column})
    table = owners.table(units.classes(np.zeros(2, dtype=np.int64), 1), "s")
    assert table.sizes.tolist() == [2]
    assert table.sensitive["s"].counts.tolist() == [2, 1]


def test_a_search_is_told_the_fewest_units_of_a_class() -> None:
    models: list[PrivacyModel] = [K2]  # type: ignore[list-item]
    owners = Owners.of_rows(np.arange(3), {})
    assert [type(model) for model in of_people(models, owners, 2, whole_people=True)] == [
        KAnonymity,
        OfPeople,
    ]
    assert [type(model) for model in of_people(models, owners, 1, whole_people=True)] == [OfPeople]
