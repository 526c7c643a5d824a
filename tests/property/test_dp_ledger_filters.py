"""No sequence of accepted spends costs more than the budget, however chosen; broken filters are caught."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
from dp_accounting import dp_event as dp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sfumato.core.errors import RefusedError
from sfumato.dp import budget as budgets
from sfumato.dp.accounting import least_epsilon
from sfumato.dp.budget import Budget
from sfumato.dp.events import DiscreteGaussianDpEvent, StatedDpEvent, composed

EVENTS = st.one_of(
    st.floats(1.0, 40.0).map(dp.GaussianDpEvent),
    st.floats(2.0, 60.0).map(dp.LaplaceDpEvent),
    st.floats(0.01, 0.5).map(StatedDpEvent),
    st.builds(DiscreteGaussianDpEvent, st.floats(4.0, 40.0), st.integers(1, 2)),
    st.builds(
        lambda noise, count: dp.SelfComposedDpEvent(dp.GaussianDpEvent(noise), count),
        st.floats(4.0, 60.0),
        st.integers(2, 30),
    ),
)
BUDGETS = st.tuples(
    st.sampled_from([0.3, 1.0, 4.0]),
    st.sampled_from([1e-5, 1e-8]),
    st.sampled_from(["basic", "rdp", "zcdp"]),
    st.sampled_from(["add-remove", "replace-one"]),
)
SETTINGS = settings(
    max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)


def accepted(budget: Budget, events: list[Any]) -> list[Any]:
    """Offer events until they run out: what is refused makes the next one smaller, as an adversary would."""
    taken = []
    for event in events:
        for _ in range(4):
            try:
                budget.spend(event, place="property", delta=1e-9 if budget.filter == "basic" else None)
            except RefusedError:
                event = _weaker(event)
            else:
                taken.append(event)
    return taken


def _weaker(event: Any) -> Any:
    noise = {"GaussianDpEvent": 1.5, "LaplaceDpEvent": 1.5}.get(type(event).__name__)
    return type(event)(event.noise_multiplier * noise) if noise else dp.GaussianDpEvent(80.0)


def total(budget: Budget, events: list[Any]) -> float:
    return least_epsilon(composed(events), budget.delta, budget.relation)[0]


@SETTINGS
@given(BUDGETS, st.lists(EVENTS, min_size=1, max_size=8))
def test_what_is_accepted_stays_within_the_budget(declared: tuple[Any, ...], events: list[Any]) -> None:
    epsilon, delta, name, relation = declared
    budget = Budget(epsilon, delta, filter=name, relation=relation)
    taken = accepted(budget, events)
    if taken:
        assert total(budget, taken) <= epsilon * (1 + 1e-6)
    assert len(budget.statement().entries) == len(taken)


@SETTINGS
@given(st.lists(st.floats(0.01, 1.0), max_size=30))
def test_pure_spends_sum_to_the_budget_and_no_more(epsilons: list[float]) -> None:
    budget, spent = Budget(1.0, 0.0, filter="basic"), []
    for epsilon in epsilons:
        fits = math.fsum([*spent, epsilon]) <= 1.0
        assert budget.affords(StatedDpEvent(epsilon)) == fits or math.isclose(
            math.fsum([*spent, epsilon]), 1.0
        )
        if budget.affords(StatedDpEvent(epsilon)):
            budget.spend(StatedDpEvent(epsilon), place="count")
            spent.append(epsilon)
    assert math.fsum(spent) <= 1.0 + 1e-9


def forgets(accepts: Callable[..., bool]) -> Callable[..., bool]:
    """A ledger that forgets a spend: the first is not counted any more."""
    return lambda limit, costs: accepts(limit, list(costs)[1:] if len(list(costs)) > 1 else costs)


def looks_at_the_last(accepts: Callable[..., bool]) -> Callable[..., bool]:
    """A filter that compares each spend alone with the budget."""
    return lambda limit, costs: accepts(limit, list(costs)[-1:])


@pytest.mark.parametrize("twin", [forgets, looks_at_the_last])
@pytest.mark.parametrize("name", ["basic", "rdp", "zcdp"])
def test_broken_twins_are_caught(twin: Any, name: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same property, on the same kind of spends, fails for a filter that is broken."""

    def overdrawn() -> bool:
        budget = Budget(1.0, 1e-5, filter=name)
        taken = accepted(
            budget, [dp.GaussianDpEvent(4.0), dp.GaussianDpEvent(5.0), dp.LaplaceDpEvent(3.0)] * 4
        )
        return total(budget, taken) > 1.0

    assert not overdrawn()
    monkeypatch.setattr(budgets, "accepts", twin(budgets.accepts))
    assert overdrawn()
