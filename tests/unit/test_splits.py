"""Splits of published toys and of tables that break tools."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from sfumato.anonymity.holding import holding
from sfumato.anonymity.models.k_anonymity import KAnonymity
from sfumato.anonymity.models.l_diversity import LDiversity
from sfumato.anonymity.partition.problem import Assignment, Axis, Problem, certainty_penalty, cover
from sfumato.anonymity.partition.splits import split
from sfumato.classes.contingency import Sensitive
from sfumato.classes.table import Units
from sfumato.core.errors import InputError
from sfumato.hierarchies.ladder import Ladder


def numbers(values: np.ndarray) -> tuple[Axis, np.ndarray]:
    distinct, at = np.unique(values, return_inverse=True)
    return Axis(Ladder.fixed(pl.Series("n", distinct)), True, distinct.astype(float)), at


def sets(values: list[str]) -> tuple[Axis, np.ndarray]:
    distinct, at = np.unique(values, return_inverse=True)
    return Axis(Ladder.fixed(pl.Series("s", distinct)), True), at


def problem(columns: list[tuple[Axis, np.ndarray]], k: int, counts: np.ndarray | None = None) -> Problem:
    counts = np.ones(len(columns[0][1]), dtype=np.int64) if counts is None else counts
    models = [KAnonymity(KAnonymity.Params(k=k))]
    return Problem([axis for axis, _ in columns], np.array([at for _, at in columns]), Units(counts), models)


def members(found: Assignment) -> set[frozenset[int]]:
    return {frozenset(found.units[found.classes == c].tolist()) for c in range(found.size)}


def test_the_patients_of_lefevre_et_al() -> None:
    """Mondrian's own example (2006, figures 1 and 3): three classes of two, men and women apart."""
    asked = problem(
        [
            numbers(np.array([25, 25, 26, 27, 27, 28])),
            sets(["Male", "Female", "Male", "Male", "Female", "Male"]),
            numbers(np.array([53711, 53712, 53711, 53710, 53712, 53711])),
        ],
        2,
    )
    assert members(split(asked)) == {frozenset({0, 2}), frozenset({1, 4}), frozenset({3, 5})}


def test_a_million_distinct_values() -> None:
    n = 1_000_000
    values = (np.arange(n, dtype=np.int64) * 7919) % n
    asked = problem([numbers(values)], 1000)
    found = split(asked, passes=0)
    assert holding(asked.models, found.table(asked.units)).all()
    assert found.size > 500
    assert certainty_penalty(asked, found) < 0.002


def test_many_distinct_values_in_sets_share_bits_and_still_hold() -> None:
    rng = np.random.default_rng(1)
    values = [f"v{i}" for i in rng.integers(0, 3000, 4000)]
    asked = problem([sets(values), numbers(rng.integers(0, 9, 4000))], 3)
    for strict in (True, False):
        found = split(asked, strict=strict)
        assert holding(asked.models, found.table(asked.units)).all()
        assert certainty_penalty(asked, found) < 0.05


def test_columns_of_nothing_but_missing_values() -> None:
    missing = Axis(Ladder.fixed(pl.Series("m", [None], dtype=pl.Float64)), True, np.array([np.nan]))
    asked = problem([(missing, np.zeros(6, dtype=np.int64)), numbers(np.arange(6))], 3)
    found = split(asked)
    assert found.size == 2
    assert (cover(asked, found).shares[0] == 1).all()


def test_missing_numbers_are_split_off() -> None:
    axis = Axis(Ladder.fixed(pl.Series("n", [1.0, 2.0, 3.0, None])), True, np.array([1.0, 2.0, 3.0, np.nan]))
    asked = problem([(axis, np.array([0, 1, 2, 3, 3, 3]))], 3)
    assert members(split(asked)) == {frozenset({0, 1, 2}), frozenset({3, 4, 5})}


def test_one_class_where_nothing_can_be_cut() -> None:
    asked = problem([numbers(np.zeros(4, dtype=np.int64))], 3)
    assert split(asked).size == 1


def test_fewer_people_than_k_are_refused() -> None:
    with pytest.raises(InputError, match="one class") as caught:
        split(problem([numbers(np.arange(4))], 5))
    assert caught.value.code == "anonymity-impossible"


def test_no_people_make_no_classes() -> None:
    found = split(problem([numbers(np.arange(3))], 2, np.zeros(3, dtype=np.int64)))
    assert (found.size, len(found.units)) == (0, 0)


def test_no_columns_make_one_class() -> None:
    models = [KAnonymity(KAnonymity.Params(k=2))]
    found = split(Problem([], np.zeros((0, 3), dtype=np.int64), Units(np.array([1, 2, 0])), models))
    assert found.classes.tolist() == [0, 0]


def test_thirty_columns_of_dates() -> None:
    rng = np.random.default_rng(0)
    days = rng.integers(0, 4000, (30, 300)) * 86_400_000_000
    asked = problem([numbers(column) for column in days], 4)
    found = split(asked)
    assert holding(asked.models, found.table(asked.units)).all()
    assert found.size > 30


def test_a_unit_of_millions_stays_together_only_if_strict() -> None:
    """Two people beside five million: the crowd can lend them one."""
    columns = [numbers(np.array([0, 1, 9]))]
    asked = problem(columns, 3, np.array([5_000_000, 2, 3_000_000]))
    together = split(asked)
    assert sorted(together.table(asked.units).sizes.tolist()) == [3_000_000, 5_000_002]
    dealt = split(asked, strict=False)
    assert sorted(dealt.table(asked.units).sizes.tolist()) == [3, 3_000_000, 4_999_999]
    assert certainty_penalty(asked, dealt) < certainty_penalty(asked, together)


def test_alike_people_of_unlike_sensitive_values_stay_together_if_strict() -> None:
    axis, at = numbers(np.array([0, 0, 1, 1]))
    sensitive = {"s": Sensitive(np.array([0, 1, 0, 1]), np.array([4, 4]))}
    models = [KAnonymity(KAnonymity.Params(k=2)), LDiversity(LDiversity.Params(on="s", l=2))]
    asked = Problem([axis], at[None, :], Units(np.full(4, 2), sensitive), models)
    assert members(split(asked)) == {frozenset({0, 1}), frozenset({2, 3})}


def test_weights_say_where_detail_is_kept() -> None:
    grid = np.array([[x, y] for x in range(4) for y in range(4)])
    asked = problem([numbers(grid[:, 0]), numbers(grid[:, 1])], 4)
    kept = cover(asked, split(asked, weights=np.array([1.0, 0.0]))).shares
    assert kept[0].max() < kept[1].min()


def test_the_target_is_told_apart_where_it_is_given() -> None:
    """Two columns alike but for what they say of the target."""
    grid = np.array([[x, y] for x in range(4) for y in range(4)])
    asked = problem([numbers(grid[:, 0]), numbers(grid[:, 1])], 8)
    for informative in (0, 1):
        target = (grid[:, informative] >= 2).astype(np.int64)
        found = split(asked, target=target, focus=5.0, passes=0)
        assert all(len(set(target[found.units[found.classes == c]].tolist())) == 1 for c in range(found.size))


def test_progress_ends_with_everybody() -> None:
    told: list[tuple[int, int]] = []
    split(problem([numbers(np.arange(9))], 2), progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (9, 9)
    assert [done for done, _ in told] == sorted(done for done, _ in told)


def test_same_input_same_classes() -> None:
    rng = np.random.default_rng(5)
    asked = problem([numbers(rng.integers(0, 50, 500)), sets([f"{i}" for i in rng.integers(0, 9, 500)])], 3)
    one, two = split(asked, strict=False), split(asked, strict=False)
    assert one.classes.tolist() == two.classes.tolist()
    assert one.counts.tolist() == two.counts.tolist()
