"""Local recoding of shapes that break tools."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from sfumato.anonymity.holding import holding
from sfumato.anonymity.models.k_anonymity import KAnonymity
from sfumato.anonymity.models.l_diversity import LDiversity
from sfumato.anonymity.partition.local import local_recoding
from sfumato.anonymity.partition.local_bound import granularity_bound
from sfumato.anonymity.partition.problem import Assignment, Axis, Problem, granularity
from sfumato.classes.contingency import Sensitive
from sfumato.classes.table import Units
from sfumato.core.errors import InputError
from sfumato.hierarchies.ladder import Ladder


def axis(*levels: list[int]) -> Axis:
    """An axis with given codes; shares are those of the data's values."""
    codes = tuple(np.array(level) for level in levels)
    shares = tuple(np.bincount(level)[level] / len(level) for level in codes)
    values = pl.Series("c", np.arange(len(codes[0])))
    return Axis(Ladder("c", values, codes, (values,) * len(codes), shares, len(values)))


def suppress(values: int) -> Axis:
    return axis(list(range(values)), [0] * values)


def problem(axes, positions, counts, k: int = 5, limit: int = 0) -> Problem:
    models = [KAnonymity(KAnonymity.Params(k=k))]
    return Problem(axes, np.array(positions, dtype=np.int64), Units(np.array(counts)), models, limit)


def sound(asked: Problem) -> Assignment:
    """The recoding found, after a check that it keeps all rows and holds."""
    found = local_recoding(asked)
    assert holding(asked.models, found.table(asked.units)).all()
    kept = np.bincount(found.units, found.counts, len(asked.units.counts))
    assert (kept == asked.units.counts).all()
    return found


def test_rows_that_are_too_few_are_refused() -> None:
    with pytest.raises(InputError, match="no classes"):
        local_recoding(problem([suppress(2)], [[0, 1]], [2, 2]))


def test_rows_that_are_too_few_are_left_out_within_the_limit() -> None:
    assert local_recoding(problem([suppress(2)], [[0, 1]], [2, 2], limit=4)).size == 0


def test_no_rows_make_no_classes() -> None:
    assert local_recoding(problem([suppress(1)], np.zeros((1, 0)), np.zeros(0, dtype=np.int64))).size == 0
    assert local_recoding(problem([suppress(2)], [[0, 1]], [0, 0])).size == 0


def test_an_axis_free_of_labels_is_refused() -> None:
    free = Axis(suppress(2).ladder, free=True, numbers=np.array([1.0, 2.0]))
    with pytest.raises(InputError, match="free"):
        local_recoding(problem([free], [[0, 1]], [5, 5]))


def test_a_column_that_is_missing_throughout_costs_nothing() -> None:
    asked = problem([suppress(1), suppress(2)], [[0, 0], [0, 1]], [5, 6])
    assert granularity(asked, sound(asked)) == 1


def test_no_variation_at_all_makes_one_class() -> None:
    assert sound(problem([suppress(1)], [[0]], [7])).size == 1


def test_units_of_nobody_are_left_alone() -> None:
    asked = problem([suppress(3)], [[0, 1, 2]], [5, 0, 6])
    assert set(sound(asked).units) == {0, 2}


def test_a_rich_unit_lends_rows_to_a_poor_one() -> None:
    """One row is alone; it needs four others, of the millions that look alike."""
    asked = problem([suppress(2)], [[0, 1]], [1, 3_000_000])
    found = sound(asked)
    assert found.size == 2
    assert sorted(found.table(asked.units).sizes) == [5, 2_999_996]


def test_a_top_level_that_parts_values_has_a_label_for_all_above_it() -> None:
    found = sound(problem([axis([0, 1])], [[0, 1]], [3, 4]))
    assert found.size == 1


def test_a_million_distinct_values() -> None:
    values = 1_000_000
    counts = np.ones(2_000, dtype=np.int64)
    positions = np.random.default_rng(0).permutation(values)[:2_000]
    asked = problem([suppress(values), suppress(4)], [positions, np.arange(2_000) % 4], counts)
    found = sound(asked)
    assert granularity(asked, found) == pytest.approx(1 - (1 - 1 / values) / (2 - 1 / values - 1 / 4))


def test_thirty_columns() -> None:
    random = np.random.default_rng(0)
    asked = problem([suppress(3)] * 30, random.integers(0, 3, (30, 400)), np.ones(400, dtype=np.int64))
    assert granularity(asked, sound(asked)) > 0.1


def test_one_class_may_hold_everything() -> None:
    asked = problem([suppress(10)] * 2, [np.arange(10), np.arange(10)], np.ones(10, dtype=np.int64), k=10)
    assert sound(asked).size == 1


@pytest.mark.parametrize("k", [2, 30, 400, 1_000])
def test_sizes_from_small_to_large(k: int) -> None:
    random = np.random.default_rng(k)
    asked = problem([suppress(4), suppress(6)], random.integers(0, 4, (2, 1_500)), [1] * 1_500, k=k)
    found = sound(asked)
    assert granularity(asked, found) <= granularity_bound(asked, k) + 1e-12


def test_rows_are_left_out_only_where_nothing_else_helps() -> None:
    """No class can have two values of a column that has one."""
    asked = problem([suppress(2)], [[0, 1]], [5, 5])
    units = Units(asked.units.counts, {"s": Sensitive(np.array([0, 0]), np.array([10]))})
    models = [LDiversity(LDiversity.Params(on="s", l=2))]
    with pytest.raises(InputError, match="no classes"):
        local_recoding(Problem(asked.axes, asked.positions, units, models))
    assert local_recoding(Problem(asked.axes, asked.positions, units, models, 10)).size == 0


def test_progress_is_told() -> None:
    told: list[tuple[int, int]] = []
    random = np.random.default_rng(1)
    asked = problem([suppress(4)] * 3, random.integers(0, 4, (3, 200)), [1] * 200)
    local_recoding(asked, progress=lambda done, total: told.append((done, total)))
    assert told
    assert all(done <= total for done, total in told)


def test_too_many_levels_for_a_bound_are_refused() -> None:
    random = np.random.default_rng(0)
    with pytest.raises(InputError, match="combinations"):
        granularity_bound(problem([suppress(3)] * 20, random.integers(0, 3, (20, 50)), [1] * 50), 5)
