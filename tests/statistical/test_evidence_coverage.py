"""Intervals hold what they promise: 95 % coverage, exactly where it can be summed, else simulated.

Simulations declare their error rate: a test of an interval that does cover fails with probability at
most ALPHA.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binom

from evidence_support import by_cuts, compare, local, one, people
from sfumato.evidence.attacks.linkage import EXACT, FLAWED, Linkage
from sfumato.evidence.intervals import (
    auc,
    clopper_pearson,
    newcombe,
    percentile,
    resample_counts,
    weighted_auc,
    wilson,
)
from sfumato.evidence.report import Figure

ALPHA = 1e-6
SHARES = (0.01, 0.05, 0.2, 0.5, 0.9)


def covered(figures: list[Figure], p: float, n: int) -> float:
    """The coverage of one interval a count, by the binomial distribution."""
    weights = binom.pmf(np.arange(n + 1), n, p)
    return float(sum(w for w, figure in zip(weights, figures, strict=True) if figure.low <= p <= figure.high))


def wald(share: float, n: int) -> Figure:
    half = 1.96 * math.sqrt(share * (1 - share) / n)
    return Figure(share, share - half, share + half)


def test_the_exact_interval_never_covers_less() -> None:
    for n in (5, 30, 100):
        figures = [clopper_pearson(count, n) for count in range(n + 1)]
        assert min(covered(figures, p, n) for p in np.linspace(0.001, 0.999, 97)) >= 0.95


def test_the_score_interval_covers_on_average_and_the_textbook_one_does_not() -> None:
    shares = np.linspace(0.005, 0.995, 199)
    for n in (20, 100):
        scores = [covered([wilson(count / n, n) for count in range(n + 1)], p, n) for p in shares]
        broken = [covered([wald(count / n, n) for count in range(n + 1)], p, n) for p in shares]
        assert np.mean(scores) > 0.949
        assert min(scores) > 0.82
        assert np.mean(broken) < 0.94
        assert min(broken) < 0.5


def least_hits(runs: int, coverage: float = 0.95) -> int:
    """The fewest hits that a covering interval has, but for an error of ALPHA."""
    return int(binom.ppf(ALPHA, runs, coverage))


@pytest.mark.statistical
def test_the_score_interval_covers_means_of_shared_ties() -> None:
    runs, n, draw = 500, 300, np.random.default_rng(0)
    values, weights = np.array([1, 1 / 2, 1 / 3, 1 / 7, 0]), np.array([0.1, 0.2, 0.2, 0.3, 0.2])
    means = draw.choice(values, (runs, n), p=weights).mean(axis=1)
    truth = float(values @ weights)
    figures = [wilson(float(mean), n) for mean in means]
    assert sum(figure.low <= truth <= figure.high for figure in figures) >= least_hits(runs)


@pytest.mark.statistical
def test_the_difference_of_shares_covers() -> None:
    runs, draw = 1000, np.random.default_rng(1)
    for p, q, m, n in ((0.01, 0.01, 200, 200), (0.3, 0.25, 100, 400), (0.98, 0.9, 150, 50)):
        pairs = zip(draw.binomial(m, p, runs), draw.binomial(n, q, runs), strict=True)
        figures = [newcombe(wilson(a / m, m), wilson(b / n, n)) for a, b in pairs]
        assert sum(figure.low <= p - q <= figure.high for figure in figures) >= least_hits(runs, 0.94)


@pytest.mark.statistical
def test_the_resampled_area_covers_and_a_shrunken_twin_does_not() -> None:
    # Two normal populations one unit apart: the area is Phi(1 / sqrt 2). The percentile bootstrap falls
    # a little short of its level on 200 people, so it is held to 92 %.
    runs, n, draw = 300, 200, np.random.default_rng(2)
    truth = 0.5 * (1 + math.erf(0.5))
    hits = broken = 0
    for run in range(runs):
        positive = draw.random(n) < 0.3
        scores = draw.normal(size=n) + positive
        key = run.to_bytes(32, "big")
        resampled = np.concatenate([weighted_auc(positive, scores, w) for w in resample_counts(n, 200, key)])
        figure = percentile(auc(positive, scores), resampled)
        hits += figure.low <= truth <= figure.high
        broken += abs(figure.value - truth) <= (figure.high - figure.low) / 4
    assert hits >= least_hits(runs, 0.92)
    assert broken < least_hits(runs, 0.92)


@pytest.mark.statistical
def test_the_excess_over_strangers_covers_zero_where_nobody_is_released() -> None:
    # The "release" is of other people, so there is nothing to find.
    runs = 60
    hits = {EXACT: 0, FLAWED: 0}
    for run in range(runs):
        three = people(900, 3, 6, seed=run)
        given = compare(
            three[:300], released=three[300:600], control=three[600:], key=run.to_bytes(32, "big")
        )
        found = Linkage().run(given, Linkage.Params())
        for target in hits:
            excess = one(found, "linkage.excess", target)
            hits[target] += excess.low <= 0 <= excess.high
    assert min(hits.values()) >= least_hits(runs)


@pytest.mark.statistical
def test_the_excess_over_strangers_covers_zero_where_labels_overlap() -> None:
    runs = 30
    hits = {EXACT: 0, FLAWED: 0}
    for run in range(runs):
        three = people(450, 3, 12, seed=run)
        others = local(
            three[150:300], by_cuts(three[150:300]), control=three[300:], key=run.to_bytes(32, "big")
        )
        found = Linkage().run(replace(others, original=three[:150]), Linkage.Params())
        for target in hits:
            excess = one(found, "linkage.excess", target)
            hits[target] += excess.low <= 0 <= excess.high
    assert min(hits.values()) >= least_hits(runs)
