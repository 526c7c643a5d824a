"""Events that have an epsilon of their own, and what two neighbouring steps make of it."""

from __future__ import annotations

import math
from typing import Literal

from dp_accounting import dp_event as dp

from sfumato.dp.events import StatedDpEvent

Relation = Literal["add-remove", "replace-one"]

#: Above this epsilon e^epsilon is no float, and no figure of it means anything.
_HUGE = 700.0


def stated_cost(event: dp.DpEvent, relation: Relation) -> tuple[float, float] | None:
    """Epsilon and delta by basic composition, for events that have an epsilon of their own; else None.

    Sampling amplifies: a q-sample of an (epsilon, delta) mechanism is (ln(1 + q (e^epsilon - 1)), q delta)
    (Balle, Barthe & Gaboardi 2018, Theorems 8 and 9: Poisson for "add-remove", without replacement for
    "replace-one"). The best of a random number of epsilon-mechanisms is (2 + shape) epsilon (Papernot &
    Steinke 2022, Theorem 2 with lambda to infinity; for the geometric number, of shape 1, Liu & Talwar 2019).

    >>> stated_cost(dp.SelfComposedDpEvent(dp.LaplaceDpEvent(2.0), 3), "add-remove")
    (1.5, 0.0)
    >>> stated_cost(dp.LaplaceDpEvent(2.0), "replace-one")
    (1.0, 0.0)
    """
    if isinstance(event, dp.PoissonSampledDpEvent):
        inner = stated_cost(event.event, "add-remove")
        return None if inner is None else moved(sampled(inner, event.sampling_probability), relation)
    if isinstance(event, dp.SampledWithoutReplacementDpEvent):
        inner = stated_cost(event.event, relation) if relation == "replace-one" else None
        return None if inner is None else sampled(inner, event.sample_size / event.source_dataset_size)
    if isinstance(event, dp.SelfComposedDpEvent):
        once = stated_cost(event.event, relation)
        return None if once is None else (event.count * once[0], min(1.0, event.count * once[1]))
    if isinstance(event, dp.ComposedDpEvent):
        return summed([stated_cost(each, relation) for each in event.events])
    if isinstance(event, dp.RepeatAndSelectDpEvent):
        once = stated_cost(event.event, relation)
        if once is None or once[1] or event.shape == math.inf:
            return None
        return (2 + event.shape) * once[0], 0.0
    return _of_leaf(event, relation)


def summed(costs: list[tuple[float, float] | None]) -> tuple[float, float] | None:
    """The sums of costs and of their deltas; None if one of them is unknown."""
    known = [cost for cost in costs if cost is not None]
    if len(known) < len(costs):
        return None
    return math.fsum(cost[0] for cost in known), min(1.0, math.fsum(cost[1] for cost in known))


def sampled(cost: tuple[float, float], probability: float) -> tuple[float, float]:
    """What a cost comes to where people are in the sample with a probability only."""
    epsilon, delta = cost
    if epsilon > _HUGE:
        return (epsilon if probability else 0.0), probability * delta
    return math.log1p(probability * math.expm1(epsilon)), probability * delta


def moved(cost: tuple[float, float], relation: Relation) -> tuple[float, float]:
    """The cost under "add-remove" itself; of two steps, where one person's data are replaced.

    Vadhan 2017, Lemma 2.2: delta + e^epsilon delta at 2 epsilon.
    """
    epsilon, delta = cost
    if relation == "add-remove":
        return cost
    if not delta:
        return 2 * epsilon, 0.0
    return 2 * epsilon, 1.0 if epsilon > _HUGE else min(1.0, (1 + math.exp(epsilon)) * delta)


def _of_leaf(event: dp.DpEvent, relation: Relation) -> tuple[float, float] | None:
    if isinstance(event, dp.NoOpDpEvent):
        return 0.0, 0.0
    if isinstance(event, dp.NonPrivateDpEvent):
        return math.inf, 1.0
    if isinstance(event, StatedDpEvent):
        return moved((event.epsilon, event.delta), relation)
    if isinstance(event, dp.LaplaceDpEvent):
        return moved((1 / event.noise_multiplier if event.noise_multiplier else math.inf, 0.0), relation)
    if isinstance(event, dp.DiscreteLaplaceDpEvent):
        # A parameter of zero is noise without bounds, which nothing draws: nothing is promised of it.
        epsilon = event.noise_parameter * event.sensitivity if event.noise_parameter else math.inf
        return moved((epsilon, 0.0), relation)
    if isinstance(event, dp.RandomizedResponseDpEvent) and relation == "replace-one":
        return _of_response(event), 0.0
    return None


def _of_response(event: dp.RandomizedResponseDpEvent) -> float:
    if event.num_buckets == 1:
        return 0.0
    noise = event.noise_parameter
    return math.log1p(event.num_buckets * (1 - noise) / noise) if noise else math.inf
