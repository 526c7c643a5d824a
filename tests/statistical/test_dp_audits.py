"""Audits catch broken twins and leave true claims alone, at the rates that they declare.

Every test here fails by chance with probability at most ALPHA; n is the number of simulated audits.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom, norm

from sfumato.evidence.audits.game import Claim
from sfumato.evidence.audits.onerun import Guesses, coins, gaussian_mu
from sfumato.evidence.audits.outcome import GROSS, HALVED
from sfumato.evidence.audits.own import house
from sfumato.evidence.audits.repeated import mechanism
from sfumato.evidence.audits.sampling import poisson_p_values

ALPHA = 1e-6
DELTA = 1e-5

pytestmark = pytest.mark.statistical


@pytest.mark.parametrize(("epsilon", "delta"), [(1.0, 0.0), (1.0, 0.05), (3.0, 1e-5)])
def test_true_claims_are_called_violated_no_more_often_than_declared(epsilon: float, delta: float) -> None:
    n, m, r, level = 3000, 200, 60, 0.95
    draw = np.random.default_rng(0)
    claim = Claim(epsilon, delta)
    right = 1 / (1 + np.exp(-epsilon))
    alarms = 0
    for _ in range(n):
        inside = coins(m, draw)
        # The worst that keeps the claim: randomized response, and the truth with chance delta.
        honest = draw.random(m) < delta + (1 - delta) * right
        sure = draw.random(m) < 0.5
        scores = np.where(inside == honest, 1.0, -1.0) * np.where(sure, 2.0, 1.0)
        alarms += claim.refuted(Guesses.of(scores, inside, r, draw), level)
    assert alarms <= binom.ppf(1 - ALPHA, n, 1 - level)


def test_all_or_nothing_with_delta_keeps_the_declared_rate() -> None:
    """Everybody's coin told at once with chance delta: the mechanism that the term with delta is for."""
    n, m, delta, level = 3000, 100, 0.04, 0.95
    draw = np.random.default_rng(1)
    claim, careless = Claim(0.5, delta), Claim(0.5, 0.0)
    alarms = broken = 0
    for _ in range(n):
        inside = coins(m, draw)
        told = draw.random() < delta
        right = np.ones(m, dtype=bool) if told else draw.random(m) < 1 / (1 + np.exp(-0.5))
        guesses = Guesses.of(np.where(inside == right, 1.0, -1.0), inside, m, draw)
        alarms += claim.refuted(guesses, level)
        broken += careless.refuted(guesses, level)
    assert alarms <= binom.ppf(1 - ALPHA, n, 1 - level)
    # The broken twin forgets delta: its rate is that of the tail and delta together.
    assert broken > alarms


def test_a_gaussian_and_its_curve_are_left_alone_and_a_quarter_of_the_noise_is_not() -> None:
    n, m, r, level = 400, 1000, 100, 0.95
    draw = np.random.default_rng(2)
    mu = gaussian_mu(1.0, DELTA)
    points = np.linspace(0, 2.5, 20)
    deltas = norm.cdf(mu / 2 - points / mu) - np.exp(points) * norm.cdf(-mu / 2 - points / mu)
    claim = Claim(1.0, DELTA, [*zip(points, deltas, strict=True)])
    caught = {
        share: sum(
            claim.refuted(Guesses.of(inside + draw.normal(0, share / mu, m), inside, r, draw), level)
            for inside in (coins(m, draw) for _ in range(n))
        )
        for share in (1.0, 0.25)
    }
    assert caught[1.0] <= binom.ppf(1 - ALPHA, n, 1 - level)
    assert caught[0.25] > 0.8 * n


def test_repeated_runs_leave_a_true_laplace_alone_though_the_event_is_chosen() -> None:
    n, level = 300, 0.95
    draw = np.random.default_rng(3)
    alarms = sum(
        mechanism(
            lambda table: table + draw.laplace(0, 1.0), 1.0, 0.0, epsilon=1.0, runs=400, trials=0, seed=seed
        ).violated
        for seed in range(n)
    )
    assert alarms <= binom.ppf(1 - ALPHA, n, 1 - level)


@pytest.mark.parametrize(
    ("name", "runs"), [("gaussian", 20_000), ("laplace", 4000), ("choice", 20_000), ("threshold", 3000)]
)
def test_a_quarter_of_the_noise_is_caught_in_each_of_our_mechanisms(name: str, runs: int) -> None:
    """As many runs as prove about twice the claim and more; half of them are tested."""
    assert house(name, epsilon=1.0, delta=DELTA, runs=runs, trials=0, quieter=0.25).violated


def test_our_mechanisms_keep_their_claims() -> None:
    """At a level of 1 - ALPHA / 4 each, so that all four together alarm by chance with ALPHA."""
    for name in ("gaussian", "laplace", "choice", "threshold"):
        found = house(name, epsilon=1.0, delta=DELTA, runs=2000, trials=0, level=1 - ALPHA / 4)
        assert not found.violated, found.verdict


def test_power_is_stated_and_grows_with_the_fault() -> None:
    draw = np.random.default_rng(4)
    found = mechanism(
        lambda table: table + draw.laplace(0, 1.0), 1.0, 0.0, epsilon=1.0, runs=2000, trials=20, level=0.99999
    )
    shares = {power.twin: power.share for power in found.powers}
    assert shares[GROSS] == 1.0
    assert shares[HALVED] <= shares[GROSS]
    assert "which would find" in found.verdict


def test_poisson_samples_pass_the_tests_of_sampling_at_the_declared_rate() -> None:
    n, population, steps, rate, alpha = 50, 150, 12, 0.15, 0.05
    draw = np.random.default_rng(5)
    alarms = {}
    for _ in range(n):
        batches = [np.flatnonzero(draw.random(population) < rate) for _ in range(steps)]
        for fault, chance in poisson_p_values(batches, population, rate, draw):
            alarms[fault] = alarms.get(fault, 0) + (chance <= alpha)
    assert len(alarms) == 5
    assert max(alarms.values()) <= binom.ppf(1 - ALPHA, n, alpha)
