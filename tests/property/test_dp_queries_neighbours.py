"""One row more, in any order: no statistic moves by more than is charged for."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dp_queries_support import exactly
from sfumato import dp
from sfumato.dp.calibration import _sensitivity
from sfumato.dp.mechanisms import Law, threshold_for
from sfumato.dp.queries import QUERIES
from sfumato.dp.queries.base import GRID, Choice, Found, Sum
from sfumato.dp.queries.mean import halves
from sfumato.dp.queries.questions import Question
from sfumato.dp.queries.variance import thirds

BOUNDS = (-3.0, 1e6)
QUESTIONS = [
    dp.count(),
    dp.count("x"),
    dp.sum("x", BOUNDS),
    dp.sum("x", (-7.5, 0.1), missing=-1.0),
    dp.mean("x", BOUNDS),
    dp.mean("x", BOUNDS, rows=5),
    dp.variance("x", BOUNDS),
    dp.quantiles("x", (-10, 10), (0.0, 0.137, 0.5, 1.0)),
    dp.histogram("g", categories=["a", "b"], other="else", missing="none"),
    dp.contingency({"g": ["a"], "x": {"edges": [-1, 0, 1]}}, margins=[["g"], ["x"], ["g", "x"]]),
    dp.covariance({"x": (-1, 1), "y": (-2, 5)}),
    dp.correlation({"x": (-1, 1), "y": (-2, 5)}),
    dp.group_by({"g": ["a", "b"]}, "mean", of="x", bounds=BOUNDS),
    dp.group_by({"g": ["a", "b"]}, "sum", of="x", bounds=BOUNDS),
    dp.group_by({"g": ["a", "b"]}),
    dp.top_k("g", 1, categories=["a", "b"]),
    dp.bounds("x"),
]
numbers = st.one_of(st.none(), st.floats(allow_nan=True, allow_infinity=True), st.floats(-10, 10))
rows = st.tuples(numbers, numbers, st.sampled_from(["a", "b", "c", None]))
TYPES = {"x": pl.Float64, "y": pl.Float64, "g": pl.String}


def frame(people: Any) -> pl.DataFrame:
    return pl.DataFrame(people, schema=TYPES, orient="row")


def test_every_query_is_tried_here() -> None:
    assert {given.query for given in QUESTIONS} == set(QUERIES)


@settings(max_examples=60, deadline=None)
@given(st.lists(rows, max_size=8), rows, st.sampled_from(QUESTIONS), st.randoms(use_true_random=False))
def test_one_row_moves_a_statistic_by_no_more_than_is_charged(
    people: Any, one: Any, asked: Question, order: Any
) -> None:
    _, before = exactly(frame(people), asked)
    more = [*people, one]
    order.shuffle(more)
    _, after = exactly(frame(more), asked)
    needs = QUERIES.resolve(asked.query).needs(asked.params)
    for need, old, new in zip(needs, before, after, strict=True):
        moved = np.array([int(a) - int(b) for a, b in zip(new, old, strict=True)], dtype=object)
        if isinstance(need, Sum):
            assert sum(abs(step) for step in moved) <= _sensitivity(need.l1, 1)
            assert sum(step**2 for step in moved) <= _sensitivity(need.l2, 1) ** 2
            assert sum(step != 0 for step in moved) <= need.coordinates
            assert not need.whole or all(step % GRID == 0 for step in moved)
        elif isinstance(need, Choice):
            assert max(map(abs, moved)) <= need.sensitivity
            assert not need.one_way or all(step >= 0 for step in moved)
        else:
            assert isinstance(need, Found)


@settings(max_examples=200, deadline=None)
@given(st.floats(0, 1))
def test_what_a_row_adds_to_a_mean_or_variance_is_one_row(place: float) -> None:
    for parts in (halves(np.array([place])), thirds(np.array([place]))):
        assert parts.sum() == GRID
        assert parts.min() >= 0


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from(["gaussian", "laplace"]), st.floats(0.5, 200), st.integers(1, 20), st.floats(1e-12, 1e-3)
)
def test_a_threshold_hides_a_group_of_one(kind: Any, scale: float, groups: int, delta: float) -> None:
    from scipy.stats import laplace, norm

    law = Law(kind, scale * GRID)
    room = threshold_for(law, groups * GRID, groups, delta) - groups * GRID
    tail = norm.sf(room / law.scale) if kind == "gaussian" else laplace.sf(room / law.scale)
    assert -math.expm1(groups * math.log1p(-tail)) <= delta


@pytest.mark.parametrize("many", [2**10, 2**14])
def test_sums_of_floats_give_nothing_away(many: int) -> None:
    """Casacuberta, Shoemate, Vadhan & Wagaman 2022, section 5: rounding in a sum of floats, by its order.

    A large number and many small ones: the float sum loses every small one that comes after, or keeps them
    all; one row more can move it by a multiple of what it holds.
    """
    small, large = 1.0, 2.0**52
    high = 2.0**53
    one = frame([(large, None, None)] + [(small, None, None)] * many)
    other = frame([(small, None, None)] * many + [(large, None, None), (high, None, None)])
    asked = dp.sum("x", (0, high))
    (first,), (second,) = exactly(one, asked)[1], exactly(other, asked)[1]
    assert int(second[0]) - int(first[0]) == GRID // 2
    shuffled = one.sample(fraction=1.0, shuffle=True, seed=3)
    assert exactly(shuffled, asked)[1][0] == first[0]


def test_large_whole_numbers_are_summed_exactly() -> None:
    one = pl.DataFrame({"x": [3, 5, 1_000_000_007 % 2**29] * 1000})
    cells, _ = exactly(one, dp.sum("x", (0, 2**29)))
    assert cells.table["value"].item() == one["x"].sum()
