"""Choosing among runs: the charge against the exact best of small mechanisms, and how often it runs."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from dp_accounting import dp_event as dp

from sfumato.core.errors import InputError, RefusedError
from sfumato.dp.accounting import delta_of, epsilon_of, rdp_of
from sfumato.dp.budget import Budget
from sfumato.dp.events import StatedDpEvent
from sfumato.dp.selection import Prepaid, best_of, choosing, draw_runs

RUN = dp.LaplaceDpEvent(4.0)
SHAPES = [0.0, 1.0, 3.0, math.inf]


def generating(mean: float, shape: float) -> Callable[[Any], Any]:
    """The probability generating function of the number of runs, from the sum over numbers."""
    from scipy import stats
    from scipy.special import gammaln

    runs = np.arange(0, 4000)
    if shape == math.inf:
        chances = stats.poisson.pmf(runs, mean)
    else:
        low, high = 1e-9, 1.0 - 1e-12
        for _ in range(200):
            stop = (low + high) / 2
            with np.errstate(divide="ignore"):
                grown = (
                    -np.log(runs)
                    if shape == 0
                    else gammaln(runs + shape) - gammaln(runs + 1) - gammaln(shape)
                )
            chances = np.exp(runs * np.log1p(-stop) + grown)
            chances[0] = 0
            chances /= chances.sum()
            low, high = (stop, high) if (chances * runs).sum() > mean else (low, stop)
    return lambda x: (chances[:, None] * np.asarray(x)[None, :] ** runs[:, None]).sum(0)


def best(p: np.ndarray, of: Callable[[Any], Any]) -> np.ndarray:
    """The distribution of the best outcome; the last one stands for no run at all."""
    upto = of(np.concatenate([[0.0], np.cumsum(p)]))
    return np.concatenate([np.diff(upto), [max(0.0, float(of(np.array([0.0]))[0]))]])


def divergence(p: np.ndarray, q: np.ndarray, order: float) -> float:
    seen = (p > 0) & (q > 0)
    return math.log((p[seen] ** order * q[seen] ** (1 - order)).sum()) / (order - 1)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("mean", [3.0, 20.0])
@pytest.mark.parametrize("noise", [0.5, 0.9])
def test_the_charge_covers_the_exact_best(shape: float, mean: float, noise: float) -> None:
    buckets = 4
    event = dp.RandomizedResponseDpEvent(noise, buckets)
    whole = choosing(event, mean=mean, shape=shape)
    of = generating(mean, shape)
    single = []
    for one, other in ((0, 3), (3, 0), (1, 2)):
        p = np.full(buckets, noise / buckets)
        q = p.copy()
        p[one] += 1 - noise
        q[other] += 1 - noise
        chosen, changed = best(p, of), best(q, of)
        for order in (2.0, 8.0, 32.0):
            found = rdp_of(whole, order, "replace-one")
            assert found is not None
            assert divergence(chosen, changed, order) <= found[0] * (1 + 1e-9)
        for epsilon in (0.5, 2.0):
            exact = np.maximum(chosen - math.exp(epsilon) * changed, 0).sum()
            assert exact <= delta_of(whole, epsilon, relation="replace-one") + 1e-9
        single.append(divergence(chosen, changed, 8.0))
    # The broken twin: one run charged for all of them is not enough.
    once = rdp_of(event, 8.0, "replace-one")
    assert once is not None
    assert max(single) > once[0] or (noise, mean) == (0.9, 20.0)


def test_pure_runs_cost_by_the_theorem() -> None:
    run = StatedDpEvent(0.5)
    assert epsilon_of(choosing(run, mean=1e4, shape=1.0), 0.0).epsilon == pytest.approx(1.5)
    assert epsilon_of(choosing(run, mean=1e4, shape=0.0), 0.0).epsilon == pytest.approx(1.0)
    assert epsilon_of(choosing(run, mean=10, shape=math.inf), 0.0).epsilon == math.inf


def test_stated_deltas_have_no_theorem() -> None:
    with pytest.raises(InputError) as caught:
        epsilon_of(choosing(StatedDpEvent(0.5, 1e-9), mean=5), 1e-5)
    assert caught.value.code == "event-unsupported"


@pytest.mark.parametrize(("mean", "shape"), [(0.5, 1.0), (math.inf, 1.0), (5, 0.5), (5, -1), (5, math.nan)])
def test_what_cannot_be_drawn_is_refused(mean: float, shape: float) -> None:
    with pytest.raises(InputError):
        choosing(RUN, mean=mean, shape=shape)


def test_charged_once_before_the_first_run() -> None:
    budget, entries = Budget(2.0, 1e-5), []

    def run(paid: Budget) -> tuple[float, str]:
        entries.append(len(budget.statement().entries))
        receipt = paid.spend(RUN, place="score")
        paid.settle(receipt, {"score": 1})
        assert paid.replay("score") is None
        return float(len(entries)), f"run {len(entries)}"

    chosen = best_of(run, budget=budget, event=RUN, mean=5.0, place="choice of model", by="Ann")
    assert chosen is not None
    assert set(entries) == {1}
    assert chosen.outcome == f"run {len(entries)}"
    statement = budget.statement()
    assert [each.place for each in statement.entries] == ["choice of model"]
    assert statement.share > Budget(2.0, 1e-5).spend(RUN, place="one run").share


def test_refused_before_any_run() -> None:
    def run(paid: Budget) -> tuple[float, None]:
        raise AssertionError

    with pytest.raises(RefusedError):
        best_of(run, budget=Budget(0.3, 1e-5), event=RUN, mean=5.0, place="choice")


def test_a_run_does_no_more_than_was_declared() -> None:
    def run(paid: Budget) -> tuple[float, None]:
        assert isinstance(paid, Prepaid)
        assert paid.affords(RUN)
        paid.spend(RUN, place="once")
        assert not paid.affords(RUN)
        paid.spend(RUN, place="twice")
        return 0.0, None

    with pytest.raises(RefusedError, match="not declared"):
        best_of(run, budget=Budget(2.0, 1e-5), event=RUN, mean=5.0, place="choice")
    parts = Prepaid(
        Budget(2.0, 1e-5),
        Budget(2.0, 1e-5).spend(RUN, place="both"),
        dp.ComposedDpEvent([RUN, dp.GaussianDpEvent(9.0)]),
    )
    parts.spend(dp.GaussianDpEvent(9.0), place="training")
    parts.spend(RUN, place="score")
    assert not parts.affords(RUN)


def test_a_score_that_is_none_loses() -> None:
    scores = iter([math.nan, 1.0, math.nan, *[0.5] * 10_000])
    for _ in range(50):
        chosen = best_of(
            lambda _: (next(scores), None), budget=Budget(9.0, 1e-5), event=RUN, mean=8.0, place="choice"
        )
        assert chosen is not None
        if not math.isnan(chosen.score):
            return
    raise AssertionError("fifty times a single run has a chance of 8^-50")


def test_one_run_is_one_run() -> None:
    assert {draw_runs(1.0, shape) for shape in (0.0, 1.0, 4.0) for _ in range(20)} == {1}
