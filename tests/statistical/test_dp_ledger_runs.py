"""The number of runs is drawn from the distribution that is charged: chi-squared, alpha 1e-6, n 10,000."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from scipy.special import gammaln

from sfumato.dp.selection import draw_runs

pytestmark = pytest.mark.statistical

ALPHA, DRAWS = 1e-6, 10_000


def chances(mean: float, shape: float, upto: int) -> np.ndarray:
    """The chances of 0, 1, ... runs (Papernot & Steinke 2022, Definition 1); the last of all beyond."""
    runs = np.arange(0, 5000)
    if shape == math.inf:
        found = stats.poisson.pmf(runs, mean)
    else:
        stop = _stopping(mean, shape)
        with np.errstate(divide="ignore"):
            grown = -np.log(runs) if shape == 0 else gammaln(runs + shape) - gammaln(runs + 1)
        found = np.exp(grown + runs * math.log1p(-stop))
        found[0] = 0
        found /= found.sum()
    return np.append(found[:upto], 1 - found[:upto].sum())


def _stopping(mean: float, shape: float) -> float:
    from scipy.optimize import brentq

    def off(stop: float) -> float:
        if shape == 0:
            return (1 / stop - 1) / -math.log(stop) - mean
        return shape * (1 - stop) / (stop * (1 - stop**shape)) - mean

    return float(brentq(off, 1e-9, 1 - 1e-9))


@pytest.mark.parametrize(
    ("mean", "shape"), [(4.0, 1.0), (4.0, 0.0), (4.0, 3.0), (3.7, math.inf), (1.5, math.inf)]
)
def test_runs_are_drawn_as_charged(mean: float, shape: float) -> None:
    upto = 12
    drawn = np.minimum([draw_runs(mean, shape) for _ in range(DRAWS)], upto)
    expected = chances(mean, shape, upto) * DRAWS
    counted = np.bincount(drawn, minlength=upto + 1)
    possible = expected > 0
    assert not counted[~possible].any()
    assert stats.chisquare(counted[possible], expected[possible]).pvalue > ALPHA


def test_a_fixed_number_of_runs_would_be_found() -> None:
    expected = chances(4.0, 1.0, 12) * DRAWS
    counted = np.bincount(np.full(DRAWS, 4), minlength=13)
    assert stats.chisquare(counted[1:], expected[1:]).pvalue < ALPHA
