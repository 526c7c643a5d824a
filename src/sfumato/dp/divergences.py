"""Rényi divergences of events (Mironov 2017), and their rho (zCDP: Bun & Steinke 2016).

``dp_accounting`` computes them; what stands here are the events that it lacks and replacing one person's
data by another's, which moves a sum twice as far as leaving the person out. The library takes the noise
multiplier of a Gaussian or Laplace for that of the replacement; under the meaning that its events have (and
that its own PLD has) this is half of what replacing costs. Here the distance is doubled first.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from dp_accounting import dp_event as dp
from dp_accounting.privacy_accountant import NeighboringRelation
from dp_accounting.rdp.rdp_privacy_accountant import DEFAULT_RDP_ORDERS, RdpAccountant, compute_epsilon

from sfumato.dp.events import DiscreteGaussianDpEvent, StatedDpEvent, leaves
from sfumato.dp.stated import Relation, stated_cost, summed

#: The library's name of each relation.
RELATIONS = {
    "add-remove": NeighboringRelation.ADD_OR_REMOVE_ONE,
    "replace-one": NeighboringRelation.REPLACE_ONE,
}
#: Small budgets need large orders, which only closed forms can afford.
_LARGE_ORDERS = (1536, 2048, 3072, 4096, 6144, 8192, 16384, 32768, 65536)
#: Below it the divergence of a sample with little noise is a series that need not converge.
_LEAST_SAMPLED = 2.0
#: A divergence so small that it drowns in rounding comes out as zero or below, of which the library makes an
#: epsilon of zero: each event costs at least this.
_ROUNDING = 1e-12
_ORDERS_ARE_FREE = (
    dp.GaussianDpEvent,
    dp.LaplaceDpEvent,
    dp.DiscreteLaplaceDpEvent,
    dp.ZCDpEvent,
    StatedDpEvent,
    DiscreteGaussianDpEvent,
    dp.NoOpDpEvent,
)


class _Excluded(logging.Filter):
    """An order whose series did not converge is left out, and the bound is larger: nothing to warn of."""

    def filter(self, record: logging.LogRecord) -> bool:
        return "failed to converge" not in str(record.msg)


logging.getLogger("absl").addFilter(_Excluded())


class Divergences(RdpAccountant):  # type: ignore[misc]  # the library has no types
    """The Rényi divergences of what was composed, at some orders.

    ``stated`` is the sum of the deltas that events state beside their divergence: an (epsilon, delta)
    mechanism is, but for delta, one of epsilon alone (Kairouz, Oh & Viswanath 2015, Theorem 2).
    """

    def __init__(self, orders: Sequence[float], relation: Relation) -> None:
        super().__init__(list(orders), RELATIONS[relation])
        self._rdp: Any
        self._relation = relation
        self._chooses = False
        self.stated = 0.0

    def epsilon(self, delta: float) -> float:
        """The least epsilon at a delta, over the orders (Canonne, Kamath & Steinke 2020, Proposition 12)."""
        left = delta - self.stated
        if left <= 0:
            return 0.0 if self.stated <= delta and not self._rdp.any() else math.inf
        return float(compute_epsilon(self._orders, self._rdp, left)[0])

    def about(self, delta: float) -> float:
        """About how large an epsilon is at a delta, stated deltas left out."""
        return float(compute_epsilon(self._orders, self._rdp, delta)[0])

    def delta(self, epsilon: float) -> float:
        """The least delta at an epsilon, over the orders."""
        return min(1.0, float(self.get_delta(epsilon)) + self.stated)

    def _maybe_compose(self, event: dp.DpEvent, count: int, do_compose: bool) -> Any:
        if isinstance(event, dp.RepeatAndSelectDpEvent):
            return self._choose(event, count, do_compose)
        if isinstance(event, dp.NoOpDpEvent | dp.ComposedDpEvent | dp.SelfComposedDpEvent):
            return super()._maybe_compose(event, count, do_compose)
        before = self._rdp
        self._rdp = np.zeros_like(before)
        error = self._of_leaf(event, count, do_compose)
        added = np.maximum(self._rdp, 0) + count * _ROUNDING if do_compose else 0
        self._rdp = before + added
        return error

    def _of_leaf(self, event: dp.DpEvent, count: int, do_compose: bool) -> Any:
        own = self._own(event)
        if own is not None:
            return self._compose_stated(event, own, count, do_compose)
        if self._relation == "add-remove":
            return super()._maybe_compose(_moving(event, 1), count, do_compose)
        if isinstance(event, dp.PoissonSampledDpEvent) or (isinstance(event, dp.ZCDpEvent) and event.xi):
            return self._by_triangle(event, count, do_compose)
        return super()._maybe_compose(_moving(event, 2), count, do_compose)

    def _own(self, event: dp.DpEvent) -> tuple[float, float] | None:
        """Epsilon and delta of an event that is charged by them here, None for the library's."""
        noiseless = isinstance(event, dp.LaplaceDpEvent) and not event.noise_multiplier
        if noiseless or isinstance(
            event, StatedDpEvent | dp.DiscreteLaplaceDpEvent | dp.PoissonSampledDpEvent
        ):
            return stated_cost(event, self._relation)
        return None

    def _compose_stated(
        self, event: dp.DpEvent, cost: tuple[float, float], count: int, do_compose: bool
    ) -> Any:
        epsilon, delta = cost
        if self._chooses and delta:
            return self.CompositionErrorDetails(event, "the theorems of choosing know no stated delta")
        if do_compose:
            self._rdp += count * pure_divergence(epsilon, self._orders)
            self.stated = min(1.0, self.stated + count * delta)
        return None

    def _choose(self, event: dp.RepeatAndSelectDpEvent, count: int, do_compose: bool) -> Any:
        before, self._chooses = self._chooses, True
        try:
            return super()._maybe_compose(event, count, do_compose)
        finally:
            self._chooses = before

    def _by_triangle(self, event: dp.DpEvent, count: int, do_compose: bool) -> Any:
        """A removal and an addition: Mironov 2017, Proposition 11 with p = q = 2.

        D_a(P, Q) <= (a - 1/2) / (a - 1) D_2a(P, R) + D_(2a-1)(R, Q), with R the data without the person.
        """
        orders = self._orders
        steps = Divergences((*(2 * orders), *(2 * orders - 1)), "add-remove")
        error = steps._maybe_compose(event, 0, False)
        if error is None and do_compose:
            steps._maybe_compose(event, count, True)
            out, back = np.split(steps.rdp, 2)
            self._rdp += (orders - 0.5) / (orders - 1) * out + back
        return error


def divergences(event: dp.DpEvent, relation: Relation, orders: Sequence[float] = ()) -> Divergences | None:
    """The divergences of an event, at the orders that suit it unless some are given; None if unknown."""
    found = Divergences(orders or orders_for(event), relation)
    return found.compose(event) if found.supports(event) else None


def orders_for(event: dp.DpEvent) -> tuple[float, ...]:
    """The orders at which an event is worth computing."""
    if all(isinstance(leaf, _ORDERS_ARE_FREE) for leaf in leaves(event)):
        return (*DEFAULT_RDP_ORDERS, *_LARGE_ORDERS)
    return tuple(order for order in DEFAULT_RDP_ORDERS if order >= _LEAST_SAMPLED)


def pure_divergence(epsilon: float, orders: Any) -> Any:
    """The largest Rényi divergences of an epsilon-private mechanism, those of randomized response.

    Mironov 2017, Proposition 5 gives them; that no epsilon-private mechanism has larger ones is Kairouz, Oh &
    Viswanath 2015, Theorem 2, and the data processing inequality.

    >>> [round(float(each), 6) for each in pure_divergence(1.0, [1.5, 2.0, 1000.0])]
    [0.627333, 0.735326, 0.999686]
    """
    orders = np.asarray(orders, dtype=np.float64)
    if epsilon == math.inf:
        return np.full_like(orders, math.inf)
    answer = -math.log1p(math.exp(-epsilon))
    lie = answer - epsilon
    kept = orders * answer + (1 - orders) * lie
    turned = orders * lie + (1 - orders) * answer
    return np.maximum(np.logaddexp(kept, turned) / (orders - 1), 0.0)


def rho_of(event: dp.DpEvent, relation: Relation) -> tuple[float, float] | None:
    """The rho of an event and the delta that it states beside; None where it has none (sampled, chosen).

    A Gaussian has 1 / (2 multiplier²) (Bun & Steinke 2016, Proposition 1.6), the discrete one the same
    (Canonne, Kamath & Steinke 2020, Theorem 4), an epsilon has epsilon tanh(epsilon / 2), the mean privacy
    loss of randomized response (Harrison & Manurangsi 2024; Bun & Steinke's epsilon² / 2 is a little more).
    What moves twice as far costs four times as much (Bun & Steinke, Proposition 1.9).

    >>> rho_of(dp.GaussianDpEvent(2.0), "add-remove"), rho_of(dp.GaussianDpEvent(2.0), "replace-one")
    ((0.125, 0.0), (0.5, 0.0))
    """
    if isinstance(event, dp.SelfComposedDpEvent):
        once = rho_of(event.event, relation)
        return None if once is None else (event.count * once[0], min(1.0, event.count * once[1]))
    if isinstance(event, dp.ComposedDpEvent):
        return summed([rho_of(each, relation) for each in event.events])
    moves = 2 if relation == "replace-one" else 1
    if isinstance(event, dp.GaussianDpEvent):
        return _half_square(moves, event.noise_multiplier), 0.0
    if isinstance(event, DiscreteGaussianDpEvent):
        return _half_square(moves * event.sensitivity, event.sigma), 0.0
    if isinstance(event, dp.ZCDpEvent) and not event.xi:
        return moves**2 * event.rho, 0.0
    stated = stated_cost(event, relation)
    if stated is None:
        return None
    epsilon, delta = stated
    return (epsilon * math.tanh(epsilon / 2) if math.isfinite(epsilon) else math.inf), delta


def _half_square(distance: float, noise: float) -> float:
    return (distance / noise) ** 2 / 2 if noise else math.inf


def _moving(event: dp.DpEvent, times: int) -> dp.DpEvent:
    """The library's event of what one person moves so many times as far."""
    if isinstance(event, DiscreteGaussianDpEvent):
        if not event.sigma:
            return dp.NonPrivateDpEvent()
        return dp.ZCDpEvent(_half_square(times * event.sensitivity, event.sigma))
    if isinstance(event, dp.GaussianDpEvent):
        return dp.GaussianDpEvent(event.noise_multiplier / times)
    if isinstance(event, dp.LaplaceDpEvent):
        return dp.LaplaceDpEvent(event.noise_multiplier / times)
    if isinstance(event, dp.ZCDpEvent):
        return dp.ZCDpEvent(times**2 * event.rho, event.xi)
    if isinstance(event, dp.SampledWithoutReplacementDpEvent):
        inner = _moving_all(event.event, times)
        return dp.SampledWithoutReplacementDpEvent(event.source_dataset_size, event.sample_size, inner)
    return event


def _moving_all(event: dp.DpEvent, times: int) -> dp.DpEvent:
    if isinstance(event, dp.SelfComposedDpEvent):
        return dp.SelfComposedDpEvent(_moving_all(event.event, times), event.count)
    if isinstance(event, dp.ComposedDpEvent):
        return dp.ComposedDpEvent([_moving_all(each, times) for each in event.events])
    return _moving(event, times)
