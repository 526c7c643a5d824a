"""Figures at few false alarms: right by hand, and their intervals hold what they promise.

Simulations declare their error rate: a test of an interval that does cover fails with probability at
most ALPHA.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import binom, norm

from sfumato.evidence.intervals import clopper_pearson
from sfumato.evidence.roc import Scored, least_outside

ALPHA = 1e-6
KEY = bytes(32)


def scored(members, others, key: bytes = KEY) -> Scored:
    return Scored(np.asarray(members, dtype=float), np.asarray(others, dtype=float), key)


def test_members_above_the_threshold_are_recognized_and_ties_in_part() -> None:
    others = np.arange(1000.0)
    assert scored([988.5, 989.5, 2000.0], others).claimed(0.01).tolist() == [0.0, 1.0, 1.0]
    # Ten false alarms are allowed: five are above, and five of the twenty at the threshold are drawn.
    tied = np.concatenate([np.full(5, 2.0), np.full(20, 1.0), np.zeros(975)])
    assert scored([2.0, 1.0, 0.0], tied).claimed(0.01).tolist() == [1.0, 0.25, 0.0]
    assert scored(np.zeros(7), np.zeros(1000)).claimed(0.01) == pytest.approx(0.01)
    lowest = np.concatenate([np.ones(5), np.full(995, -np.inf)])
    assert scored([1.0, -np.inf], lowest).claimed(0.01) == pytest.approx([1.0, 5 / 995])


def test_intervals_hold_the_threshold_s_own_uncertainty() -> None:
    draw = np.random.default_rng(0)
    runs, rate = 400, 0.01
    truth = float(norm.sf(norm.isf(rate) - 1))
    misses = broken = 0
    for _ in range(runs):
        given = scored(draw.normal(1, 1, 3000), draw.normal(0, 1, 600))
        figure = given.recognized(rate)
        misses += not figure.low <= truth <= figure.high
        plain = clopper_pearson(round(given.claimed(rate).sum()), 3000)
        broken += not plain.low <= truth <= plain.high
    assert misses <= binom.ppf(1 - ALPHA, runs, 0.05)
    # The broken twin takes the threshold for known.
    assert broken > binom.ppf(1 - ALPHA, runs, 0.05)


def test_the_area_s_interval_covers() -> None:
    draw = np.random.default_rng(1)
    truth, runs = float(norm.cdf(1 / math.sqrt(2))), 400
    figures = [scored(draw.normal(1, 1, 150), draw.normal(0, 1, 90)).auc() for _ in range(runs)]
    assert sum(not f.low <= truth <= f.high for f in figures) <= binom.ppf(1 - ALPHA, runs, 0.05)


def test_the_advantage_of_chance_is_nothing_and_that_of_a_fitted_threshold_is_not() -> None:
    draw = np.random.default_rng(2)
    runs, fair, broken = 200, [], []
    for _ in range(runs):
        members, others = draw.normal(size=200), draw.normal(size=200)
        fair.append(scored(members, others).advantage())
        levels = np.concatenate([members, others])
        broken.append(max((members >= at).mean() - (others >= at).mean() for at in levels))
    assert abs(np.mean([figure.value for figure in fair])) < 0.02
    assert np.mean(broken) > 0.05
    assert sum(figure.low > 0 for figure in fair) <= binom.ppf(1 - ALPHA, runs, 0.025)


def test_the_surest_hundredth_is_of_as_many_members_as_others() -> None:
    draw = np.random.default_rng(3)
    figure, n = scored(draw.normal(size=9000), draw.normal(size=2000)).surest()
    assert n == 40
    assert figure.low < 0.5 < figure.high
    figure, n = scored(np.ones(2000), np.zeros(5000)).surest()
    assert (figure.value, n) == (1.0, 40)
    assert scored([1.0], [0.0]).surest()[1] == 0


def test_too_few_people_have_no_figure_and_a_stricter_level_has_no_low_end() -> None:
    members = np.ones(100)
    for rate, least in ((0.01, 437), (0.001, 4380)):
        assert least_outside(rate) == least
        assert math.isnan(scored(members, np.zeros(least - 1)).recognized(rate).value)
        figure = scored(members, np.zeros(least)).recognized(rate)
        assert figure.value == 1.0
        assert figure.low > 0.9
        assert scored(members, np.zeros(least)).recognized(rate, 0.99).low == 0.0
    for figure in (
        scored([], members).auc(),
        scored([], members).advantage(),
        scored(members, []).advantage(),
    ):
        assert math.isnan(figure.value)
    assert math.isnan(scored([], members).recognized(0.01).value)
