"""Privacy loss distributions of events (PLD), on a grid and rounded so that they only ever cost more.

Koskela, Jälkö & Honkela 2020; the rounding is "connect the dots" (Doroshenko, Ghazi, Kamath, Kumar &
Manurangsi 2022). ``dp_accounting`` computes them; what stands here are the events that it lacks, and
replacing one person's data by another's:

- noise on a sum is charged at twice the distance, which is exact (Gaussians, sampled too, are the library's);
- a stated (epsilon, delta) becomes (2 epsilon, (1 + e^epsilon) delta);
- where one event of a composition has neither (a sample of Laplace noise; the discrete Gaussian, of which
  one replacement may move two numbers), the whole goes by a removal and an addition:
  delta(2 epsilon) <= (1 + e^epsilon) times the delta(epsilon) of "add-remove" (Vadhan 2017, Lemma 2.2).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from dp_accounting import dp_event as dp
from dp_accounting.pld import common, privacy_loss_distribution
from dp_accounting.pld.pld_privacy_accountant import PLDAccountant

from sfumato.dp.divergences import RELATIONS
from sfumato.dp.events import DiscreteGaussianDpEvent, StatedDpEvent, leaves
from sfumato.dp.stated import Relation, moved, sampled

#: A delta below this drowns in the rounding of the Fourier transforms.
LEAST_DELTA = 1e-12
#: Above this epsilon a distribution takes more memory than its figure is worth.
_LARGEST_EPSILON = 500.0
_STEP = 1e-4
#: Up to this epsilon, and this width of one event's losses, the grid is as fine as it gets; above, its number
#: of points stays.
_FINE_UP_TO = 20.0
_FINE_WIDTH = 20.0
#: The discrete Gaussian's distribution has some 25 sigma points; above, its divergences must do.
_LARGEST_SIGMA = 20_000.0

#: What takes long on a fine grid gets a coarser one, which costs a little epsilon.
_SLOW = (dp.MixtureOfGaussiansDpEvent, dp.TruncatedSubsampledGaussianDpEvent)
_OWN = (StatedDpEvent, DiscreteGaussianDpEvent, dp.LaplaceDpEvent, dp.DiscreteLaplaceDpEvent)


class Losses(PLDAccountant):  # type: ignore[misc]  # the library has no types
    """The distribution of privacy losses of what was composed."""

    def __init__(self, relation: Relation, step: float) -> None:
        super().__init__(RELATIONS[relation], step)
        self._pld: Any
        self._relation = relation
        self._fine = {"value_discretization_interval": step}

    def _maybe_compose(self, event: dp.DpEvent, count: int, do_compose: bool) -> Any:
        probability, inner = 1.0, event
        if isinstance(event, dp.PoissonSampledDpEvent):
            probability, inner = event.sampling_probability, event.event
        if not isinstance(inner, _OWN):
            return super()._maybe_compose(event, count, do_compose)
        if isinstance(inner, DiscreteGaussianDpEvent) and inner.sigma > _LARGEST_SIGMA:
            return self.CompositionErrorDetails(event, "too many points")
        if self._relation == "replace-one" and (
            probability < 1 or isinstance(inner, DiscreteGaussianDpEvent)
        ):
            return self.CompositionErrorDetails(event, "known for add-remove alone")
        if do_compose and probability:
            self._add(inner, probability, count)
        return None

    def _add(self, event: dp.DpEvent, probability: float, count: int) -> None:
        once = self._distribution(event, probability)
        if once is None:
            self._contains_non_dp_event = True
        else:
            self._pld = self._pld.compose(once if count == 1 else once.self_compose(count))

    def _distribution(self, event: dp.DpEvent, probability: float) -> Any:
        """The distribution of one event, None if it has no noise."""
        make = privacy_loss_distribution
        moves = 2 if self._relation == "replace-one" else 1
        chances = {"sampling_prob": probability, "use_connect_dots": True, **self._fine}
        if isinstance(event, StatedDpEvent):
            cost = sampled(moved((event.epsilon, event.delta), self._relation), probability)
            if cost[1] >= 1:
                return None
            return make.from_privacy_parameters(common.DifferentialPrivacyParameters(*cost), **self._fine)
        if isinstance(event, dp.LaplaceDpEvent):
            noise = event.noise_multiplier / moves
            return make.from_laplace_mechanism(noise, **chances) if noise else None
        if isinstance(event, DiscreteGaussianDpEvent):
            if not event.sensitivity:
                return make.identity(**self._fine)
            return (
                make.from_discrete_gaussian_mechanism(event.sigma, event.sensitivity, **chances)
                if event.sigma
                else None
            )
        if not event.noise_parameter:
            return None
        distance = moves * event.sensitivity
        if not distance:
            return make.identity(**self._fine)
        return make.from_discrete_laplace_mechanism(event.noise_parameter, distance, **chances)


@dataclass(frozen=True)
class Curve:
    """The deltas of epsilons; ``twice`` where they are made of those of a removal and an addition."""

    losses: Losses
    twice: bool

    def delta(self, epsilon: float) -> float:
        """The least delta at an epsilon."""
        if not self.twice:
            return float(self.losses.get_delta(epsilon))
        return self._delta_of_two(epsilon)

    def epsilon(self, delta: float) -> float:
        """The least epsilon at a delta."""
        if not self.twice:
            return float(self.losses.get_epsilon(delta))
        low, high = 0.0, 2 * float(self.losses.get_epsilon(LEAST_DELTA))
        if not self._delta_of_two(high) <= delta:
            return math.inf
        while high - low > 1e-6 * max(1.0, high):
            middle = (low + high) / 2
            low, high = (low, middle) if self._delta_of_two(middle) <= delta else (middle, high)
        return high

    def _delta_of_two(self, epsilon: float) -> float:
        if epsilon > 2 * _LARGEST_EPSILON:
            return 1.0
        return min(1.0, (1 + math.exp(epsilon / 2)) * float(self.losses.get_delta(epsilon / 2)))


def curve(event: dp.DpEvent, relation: Relation, about: float, *, rough: bool = False) -> Curve | None:
    """The curve of an event under a relation; None where there is none, or it would be too large.

    Args:
        about: about how large the epsilon will be; the grid is as fine as that allows.
        rough: a grid ten times as coarse, for a figure a little above that is found ten times as fast.
    """
    if _LARGEST_EPSILON < about < math.inf:
        return None
    step = _STEP * max(1.0, _widest(event), about / _FINE_UP_TO if about < math.inf else 1.0)
    if rough:
        step *= 10
    if any(isinstance(leaf, _SLOW) for leaf in leaves(event)):
        step *= 20
    losses = Losses(relation, step)
    if losses.supports(event):
        return Curve(losses.compose(event), twice=False)
    if relation == "add-remove":
        return None
    losses = Losses("add-remove", step)
    return Curve(losses.compose(event), twice=True) if losses.supports(event) else None


def _widest(event: dp.DpEvent) -> float:
    """How much wider the losses of a Gaussian are than what a fine grid is for: all but e^-50 of them."""
    noises = [_noise(leaf) for leaf in leaves(event)]
    return max((1 / (2 * noise**2) + 10 / noise for noise in noises if noise), default=0.0) / _FINE_WIDTH


def _noise(event: dp.DpEvent) -> float:
    if isinstance(event, dp.PoissonSampledDpEvent):
        return _noise(event.event)
    return float(event.noise_multiplier) if isinstance(event, dp.GaussianDpEvent) else 0.0
