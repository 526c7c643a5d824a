"""Bounds of one-run audits: known answers, brute force over all small mechanisms, and what breaks them."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from scipy.optimize import linprog
from scipy.stats import binom, norm

from sfumato.core.errors import InputError
from sfumato.evidence.audits.game import Claim, Game
from sfumato.evidence.audits.onerun import (
    Guesses,
    curve_blowup,
    epsilon_lower,
    gaussian_blowup,
    gaussian_epsilon,
    gaussian_estimate,
    gaussian_mu,
    p_value,
    refutes,
)


def published(m: int, r: int, v: int, epsilon: float, delta: float) -> float:
    """Theorem 5.2 of Steinke, Nasr & Jagielski, as it stands there."""
    right = 1 / (1 + math.exp(-epsilon))
    sums = np.cumsum(binom.pmf(v - np.arange(1, v + 1), r, right)) / np.arange(1, v + 1)
    return float(min(1.0, binom.sf(v - 1, r, right) + 2 * delta * m * sums.max(initial=0)))


def programme(m: int, r: int, v: int, curve: list[tuple[float, float]]) -> float:
    """The largest P[at least v right] under the inequalities of every set of right guesses."""
    n = r + 1
    goal = np.zeros(n + len(curve) * r)
    goal[v:n] = -1
    rows, limits = [], []
    for i, (epsilon, delta) in enumerate(curve):
        for k in range(1, n):
            row = np.zeros(len(goal))
            row[k], row[k - 1], row[n + i * r + k - 1] = k, -math.exp(epsilon) * (r - k + 1), -1
            rows.append(row)
            limits.append(0.0)
        row = np.zeros(len(goal))
        row[n + i * r : n + (i + 1) * r] = 1
        rows.append(row)
        limits.append(m * delta)
    one = np.zeros((1, len(goal)))
    one[0, :n] = 1
    return float(-linprog(goal, np.array(rows), limits, one, [1]).fun)


def test_without_delta_it_is_the_binomial_tail_of_randomized_response() -> None:
    for r, v, epsilon in product((1, 7, 100), (0, 1, 5, 7, 100, 101), (0.0, 0.5, 3.0)):
        right = 1 / (1 + math.exp(-epsilon))
        assert p_value(2 * r, r, v, epsilon, 0.0) == pytest.approx(binom.sf(v - 1, r, right), abs=1e-12)


def test_the_closed_form_solves_the_linear_programme() -> None:
    draw = np.random.default_rng(0)
    for _ in range(60):
        r = int(draw.integers(1, 20))
        m, v = r + int(draw.integers(0, 20)), int(draw.integers(1, r + 1))
        epsilon, delta = 4 * draw.random(), float(10 ** -draw.uniform(1, 6))
        found = p_value(m, r, v, epsilon, delta)
        assert found == pytest.approx(programme(m, r, v, [(epsilon, delta)]), abs=1e-6)
        if found < 0.3:
            assert found <= published(m, r, v, epsilon, delta) + 1e-12


def all_ways_to_guess(delta: float, epsilon: float, m: int) -> list[float]:
    """Brute force: the chances of each number of right guesses in m independent canaries, each revealed with
    chance delta and answered by randomized response otherwise; the mechanism is (epsilon, delta)."""
    right = delta + (1 - delta) / (1 + math.exp(-epsilon))
    chances = [0.0] * (m + 1)
    for outcome in product((True, False), repeat=m):
        chances[sum(outcome)] += math.prod(right if hit else 1 - right for hit in outcome)
    return chances


@pytest.mark.parametrize("delta", [0.0, 0.01, 0.1])
@pytest.mark.parametrize("epsilon", [0.0, 0.7, 2.0])
def test_no_mechanism_that_keeps_the_claim_goes_above_the_bound(epsilon: float, delta: float) -> None:
    for m in (1, 2, 5, 8):
        chances = all_ways_to_guess(delta, epsilon, m)
        for v in range(m + 1):
            assert sum(chances[v:]) <= p_value(m, m, v, epsilon, delta) + 1e-12
        # All canaries told at once, with the delta of one: allowed, for each canary is told with that chance.
        right = 1 / (1 + math.exp(-epsilon))
        for v in range(1, m + 1):
            tail = delta + (1 - delta) * binom.sf(v - 1, m, right)
            assert tail <= p_value(m, m, v, epsilon, delta) + 1e-12


def test_a_bound_that_forgets_delta_would_be_broken() -> None:
    epsilon, delta, m = 0.5, 0.05, 8
    right = 1 / (1 + math.exp(-epsilon))
    tail = delta + (1 - delta) * binom.sf(m - 1, m, right)
    assert tail > p_value(m, m, m, epsilon, 0.0)


def test_orthogonal_canaries_of_a_gaussian_prove_what_the_papers_say() -> None:
    draw = np.random.default_rng(0)
    mu = gaussian_mu(4.0, 1e-5)
    for m, r, anchor in ((1000, 100, 1.45), (10_000, 200, 2.20)):
        found = []
        for _ in range(40):
            inside = draw.integers(0, 2, m).astype(bool)
            scores = inside + draw.normal(0, 1 / mu, m)
            found.append(Guesses.of(scores, inside, r, draw).epsilon_lower(1e-5))
        assert np.mean(found) == pytest.approx(anchor, abs=0.12)


def test_a_curve_refutes_more_than_a_point_and_never_less_than_it_may() -> None:
    draw = np.random.default_rng(1)
    for _ in range(25):
        r = int(draw.integers(1, 14))
        m, v, mu = (
            r + int(draw.integers(0, 20)),
            int(draw.integers(max(1, r // 2), r + 1)),
            draw.uniform(0.2, 2),
        )
        curve = [
            (e, float(norm.cdf(mu / 2 - e / mu) - math.exp(e) * norm.cdf(-mu / 2 - e / mu)))
            for e in np.linspace(0, 5, 12)
        ]
        truth = programme(m, r, v, curve)
        assert not refutes(curve_blowup(curve), m, r, v, level=min(1.0, 1 - truth + 1e-6))
    curve = [(e, 1e-5 if e >= 4 else 0.1 * math.exp(-2 * e)) for e in np.linspace(0, 5, 30)]
    assert refutes(curve_blowup(curve), 1000, 100, 95)
    assert p_value(1000, 100, 95, 4.0, 1e-5) > 0.05


def test_gaussian_figures_are_those_of_the_analytic_mechanism() -> None:
    # Balle & Wang: sigma 3.730 for epsilon 1 and delta 1e-5.
    assert 1 / gaussian_mu(1.0, 1e-5) == pytest.approx(3.7304, abs=1e-3)
    assert gaussian_epsilon(gaussian_mu(3.0, 1e-6), 1e-6) == pytest.approx(3.0, abs=1e-6)
    assert gaussian_epsilon(0.0, 1e-5) == 0.0
    assert gaussian_estimate(1000, 100, 50, 1e-5) == 0.0
    assert 2.0 < gaussian_estimate(1000, 100, 90, 1e-5) < 3.0
    assert gaussian_blowup(0.0)(0.3) == pytest.approx(0.3)


def test_guesses_are_made_at_both_ends_and_ties_are_no_help() -> None:
    draw = np.random.default_rng(2)
    inside = np.arange(100) >= 50
    assert Guesses.of(np.arange(100.0), inside, 20, draw) == Guesses(100, 20, 20)
    assert Guesses.of(-np.arange(100.0), inside, 20, draw).right == 0
    assert Guesses.of(np.arange(100.0), inside, 21, draw).right == 21
    coins = draw.integers(0, 2, 2000).astype(bool)
    assert abs(Guesses.of(np.zeros(2000), coins, 1000, draw).right - 500) < 100
    unsaid = np.where(inside, np.nan, -1.0)
    assert Guesses.of(unsaid, inside, 50, draw).right >= 25
    for bad in (0, 101):
        with pytest.raises(InputError):
            Guesses.of(np.arange(100.0), inside, bad, draw)
    with pytest.raises(InputError):
        Guesses.of(np.arange(99.0), inside, 5, draw)


def test_a_game_is_the_same_for_the_same_key_and_plans_without_data() -> None:
    game = Game(50, 4, bytes(32))
    assert game.inside.shape == (4, 50)
    assert (game.inside == Game(50, 4, bytes(32)).inside).all()
    assert game.planned(None, 1e-5) == 20

    def twin(inside, share, draw):
        return inside + draw.normal(0, share, len(inside))

    assert game.planned(twin, 1e-5) == game.planned(twin, 1e-5)
    for canaries, runs in ((0, 1), (1, 0)):
        with pytest.raises(InputError):
            Game(canaries, runs, bytes(32))
    for epsilon, delta in ((-1.0, 0.0), (math.inf, 0.0), (1.0, 1.0), (1.0, -0.1)):
        with pytest.raises(InputError):
            Claim(epsilon, delta)


def test_far_tails_keep_their_sense() -> None:
    assert p_value(10**6, 10**5, 10**5, 1.0, 1e-9) < 1e-3
    assert p_value(10**6, 10**5, 10, 1.0, 1e-9) == 1.0
    assert p_value(1000, 1000, 1000, 0.0, 0.0) < 1e-290
    assert math.isfinite(epsilon_lower(10**6, 10**5, 10**5, 1e-9))
    assert epsilon_lower(10, 1, 1, 0.0) == 0.0
