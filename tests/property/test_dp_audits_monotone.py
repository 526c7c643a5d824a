"""The bound moves as it must with each of its arguments, for any."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from sfumato.evidence.audits.onerun import epsilon_lower, p_value

SIZES = st.tuples(st.integers(1, 1000), st.integers(0, 3000))
EPSILON = st.floats(0, 8)
DELTA = st.one_of(st.just(0.0), st.floats(1e-12, 0.2))
#: Rounding of figures that may be as large as one.
TRACE = 1e-9


@given(SIZES, EPSILON, DELTA)
@settings(max_examples=100, deadline=None)
def test_more_right_guesses_are_less_likely(sizes: tuple[int, int], epsilon: float, delta: float) -> None:
    r, more = sizes
    found = p_value(r + more, r, np.arange(r + 2), epsilon, delta)
    assert ((found >= 0) & (found <= 1)).all()
    assert (np.diff(found) <= TRACE).all()
    assert found[0] == 1.0
    assert found[-1] == 0.0


@given(SIZES, st.floats(0, 1), EPSILON, EPSILON, DELTA)
@settings(max_examples=100, deadline=None)
def test_a_weaker_claim_allows_more(
    sizes: tuple[int, int], share: float, one: float, other: float, delta: float
) -> None:
    r, more = sizes
    v, m = round(share * r), r + more
    low, high = sorted((one, other))
    assert p_value(m, r, v, low, delta) <= p_value(m, r, v, high, delta) + TRACE
    assert p_value(m, r, v, low, 0.0) <= p_value(m, r, v, low, delta) + TRACE
    assert p_value(m, r, v, low, delta) <= p_value(m + 10, r, v, low, delta) + TRACE


@given(SIZES, DELTA)
@settings(max_examples=40, deadline=None)
def test_the_bound_rises_with_right_guesses_and_is_refuted_just_below(
    sizes: tuple[int, int], delta: float
) -> None:
    r, more = sizes
    v = np.arange(r + 1)
    found = epsilon_lower(r + more, r, v, delta)
    assert (np.diff(found) >= -1e-6).all()
    below = np.maximum(found - 1e-6, 0)
    held = p_value(r + more, r, v, below, delta)
    assert (held[found > 1e-6] <= 0.05 + 1e-9).all()


@given(st.integers(1, 400), st.floats(0, 3))
@settings(max_examples=40, deadline=None)
def test_the_bound_never_passes_the_truth_of_randomized_response_more_often_than_it_says(
    r: int, epsilon: float
) -> None:
    """Exact: the chance, under randomized response, of all numbers of right guesses with a bound too high."""
    from scipy.stats import binom

    too_high = epsilon_lower(r, r, np.arange(r + 1), 0.0) > epsilon + 1e-9
    chance = binom.pmf(np.arange(r + 1), r, 1 / (1 + np.exp(-epsilon)))[too_high].sum()
    assert chance <= 0.05 + 1e-9
