"""Privacy filters: when releases chosen as one goes must stop, so that their total stays within a budget.

Composition theorems are of mechanisms fixed beforehand. Where the next question depends on earlier answers
(what is asked, and how much is spent on it), a total that is only computed afterwards proves nothing. A
filter proves it: charge what each mechanism costs *in the filter's coin*, refuse the one that would overdraw,
and whatever was accepted is (epsilon, delta)-private together.

- "basic": the coin is epsilon and delta, each summed (Rogers, Roth, Ullman & Vadhan 2016, Theorem 5.1).
- "rdp": the coin is the Rényi divergence at *one* order, fixed when the budget is declared (Feldman & Zrnic
  2021, Theorem 3.1). At one order the sum is a martingale argument; the best of several orders would be
  chosen by the answers, and the theorem has nothing to say about that. The order is that at which most
  Gaussian noise fits, and is written down with the declaration.
- "zcdp": the coin is rho (Whitehouse, Ramdas, Rogers & Wu 2023, Theorem 1), a line through all orders: the
  best order may be taken at the end. Mechanisms without a rho (sampled ones) cannot be charged.

The last two keep back a tenth of delta for mechanisms that state a delta of their own; these sum, and the
total is approximate RDP or zCDP (Whitehouse et al. 2023, Definition 2).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Literal, Protocol, get_args

from sfumato.core.errors import InputError

if TYPE_CHECKING:
    from dp_accounting import DpEvent

    from sfumato.dp.stated import Relation

FilterName = Literal["basic", "rdp", "zcdp"]

#: The share of a budget's delta that is kept for mechanisms which state a delta of their own.
STATED_SHARE = 0.1
#: Sums of floats may end a hair above what they are sums to.
_HAIR = 1e-9
#: Below 2 the divergence of a sample with little noise is a series that need not converge.
_ORDERS: tuple[float, ...] = (
    *(1 + tenth / 10 for tenth in range(10, 100)),
    *range(11, 64),
    *(int(2 ** (eighth / 8)) for eighth in range(48, 129)),
)


@dataclass(frozen=True)
class Cost:
    """What an event comes to in a filter's coin, and the delta that is charged beside."""

    coin: float
    delta: float


class Filter(Protocol):
    """A rule that accepts a sequence of costs or not; ``limit`` is the most in its coin and in delta."""

    name: FilterName
    limit: Cost
    order: float | None

    def cost(self, event: DpEvent, delta: float | None = None) -> Cost:
        """What an event costs; ``event-unsupported`` where the filter has no coin for it."""


def accepts(limit: Cost, costs: Iterable[Cost]) -> bool:
    """Whether costs, the new one among them, stay within the limit together.

    >>> accepts(Cost(1.0, 0.0), [Cost(0.1, 0.0)] * 10), accepts(Cost(1.0, 0.0), [Cost(0.1, 0.0)] * 11)
    (True, False)
    """
    costs = list(costs)
    coins, deltas = math.fsum(cost.coin for cost in costs), math.fsum(cost.delta for cost in costs)
    return coins <= limit.coin * (1 + _HAIR) and deltas <= limit.delta * (1 + _HAIR)


def make_filter(
    name: FilterName, epsilon: float, delta: float, relation: Relation, *, order: float | None = None
) -> Filter:
    """The filter of a budget.

    Args:
        order: for "rdp": the order that was fixed when the budget was declared; by default it is fixed now.

    Raises:
        InputError: ``usage``: a filter that is none, or that the budget is too small for.
    """
    if name not in get_args(FilterName):
        raise InputError("usage", f"{name!r} is no privacy filter", remedy="choose basic, rdp or zcdp")
    if name == "basic" or (name == "rdp" and delta == 0):
        # At the order infinity, the only one that a budget without delta has, RDP is basic composition.
        return Basic(epsilon, delta, relation)
    if delta == 0:
        raise InputError(
            "usage", "zCDP proves nothing without a delta", remedy='declare a delta, or filter="basic"'
        )
    if name == "rdp":
        return Renyi(epsilon, delta, relation, order)
    return Concentrated(epsilon, delta, relation)


class Basic:
    """Sums of epsilon and of delta."""

    name: FilterName = "basic"
    order: float | None = None

    def __init__(self, epsilon: float, delta: float, relation: Relation) -> None:
        self.limit = Cost(epsilon, delta)
        self._relation = relation

    def cost(self, event: DpEvent, delta: float | None = None) -> Cost:
        """Of a pure event its epsilon; of any other what accounting proves at the delta that is named.

        A named delta is charged only where it saves something: a hundredth of the epsilon at least.
        """
        from sfumato.dp.accounting import least_epsilon
        from sfumato.dp.stated import stated_cost

        stated = stated_cost(event, self._relation)
        if delta is None and stated is None:
            raise InputError(
                "event-unsupported",
                "basic composition has no epsilon for this event unless a delta is named",
                remedy='name the delta of the spend, or declare the budget with filter="rdp"',
            )
        if delta is not None:
            at_delta = Cost(least_epsilon(event, delta, self._relation)[0], delta)
            if stated is None or at_delta.coin < 0.99 * stated[0]:
                return at_delta
        assert stated is not None
        return Cost(*stated)


class Renyi:
    """Sums of the Rényi divergence at an order fixed beforehand."""

    name: FilterName = "rdp"

    def __init__(self, epsilon: float, delta: float, relation: Relation, order: float | None) -> None:
        chosen = order or best_order(epsilon, (1 - STATED_SHARE) * delta)
        most = divergence_within(chosen, epsilon, (1 - STATED_SHARE) * delta)
        self.order: float | None = chosen
        self.limit = Cost(max(most, 0.0), STATED_SHARE * delta)
        self._relation = relation

    def cost(self, event: DpEvent, delta: float | None = None) -> Cost:
        """The divergence at the order, and the deltas that the event states."""
        from sfumato.dp.accounting import rdp_of

        del delta
        assert self.order is not None
        found = rdp_of(event, self.order, self._relation)
        if found is None:
            raise InputError(
                "event-unsupported",
                f'no Rényi divergence of this event is known for "{self._relation}"',
                remedy='declare the budget with filter="basic" and name the delta of the spend',
            )
        return Cost(*found)


class Concentrated:
    """Sums of rho."""

    name: FilterName = "zcdp"
    order: float | None = None

    def __init__(self, epsilon: float, delta: float, relation: Relation) -> None:
        self.limit = Cost(rho_within(epsilon, (1 - STATED_SHARE) * delta), STATED_SHARE * delta)
        self._relation = relation

    def cost(self, event: DpEvent, delta: float | None = None) -> Cost:
        """The rho of the event, and the deltas that it states."""
        from sfumato.dp.divergences import rho_of

        del delta
        found = rho_of(event, self._relation)
        if found is None:
            raise InputError(
                "event-unsupported",
                "this event has no zCDP: sampling and choosing have none",
                remedy='declare the budget with filter="rdp"',
            )
        return Cost(*found)


def divergence_within(order: float, epsilon: float, delta: float) -> float:
    """The largest Rényi divergence at an order that proves (epsilon, delta); below zero if there is none.

    Canonne, Kamath & Steinke 2020, Proposition 12, turned round.
    """
    return epsilon - math.log1p(-1 / order) + math.log(delta * order) / (order - 1)


@lru_cache(maxsize=256)
def best_order(epsilon: float, delta: float) -> float:
    """The order at which the most Gaussian noise fits in (epsilon, delta): the largest divergence / order.

    Raises:
        InputError: ``usage``: nothing fits at any order.

    >>> best_order(1.0, 1e-6)
    22
    """
    best = max(_ORDERS, key=lambda order: divergence_within(order, epsilon, delta) / order)
    if divergence_within(best, epsilon, delta) <= 0:
        raise _too_small(epsilon, delta)
    return best


@lru_cache(maxsize=256)
def rho_within(epsilon: float, delta: float) -> float:
    """The largest rho that proves (epsilon, delta), at the best of many orders.

    Raises:
        InputError: ``usage``: none does.
    """
    rho = max(divergence_within(order, epsilon, delta) / order for order in _ORDERS)
    if rho <= 0:
        raise _too_small(epsilon, delta)
    return rho


def _too_small(epsilon: float, delta: float) -> InputError:
    return InputError(
        "usage",
        f"an epsilon of {epsilon:g} at a delta of {delta:g} leaves no room for noise that is not pure",
        remedy='declare a larger epsilon or delta, or filter="basic" for pure mechanisms',
    )
