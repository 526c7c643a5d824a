"""What events cost: the epsilon of a delta, always an upper bound.

By privacy loss distributions (:mod:`sfumato.dp.losses`), by Rényi divergences
(:mod:`sfumato.dp.divergences`) or by basic composition (:mod:`sfumato.dp.stated`), whichever proves least;
never by the central limit of ``gdp``, which is no bound.

The figures of an event are of "add-remove", a person's data are there or not: a noise multiplier is noise /
the most that one person adds. Under "replace-one" they are other data, and the number of people is public;
this is a removal and an addition, and up to twice as dear.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Literal, get_args

from dp_accounting import dp_event as dp

from sfumato.core.canonical import canonical_json
from sfumato.core.errors import InputError
from sfumato.dp.events import from_json, simplified, to_json
from sfumato.dp.gaussian import gaussian_delta, gaussian_epsilon
from sfumato.dp.stated import Relation, stated_cost

if TYPE_CHECKING:
    from sfumato.dp.divergences import Divergences

Method = Literal["pld", "rdp", "basic"]

#: The tolerance of a noise multiplier, in its logarithm.
_TOLERANCE = 5e-5


@dataclass(frozen=True)
class Accounted:
    """What an event costs at a delta: at most ``epsilon``, proven by ``method``.

    ``replace_epsilon`` is the cost at the same delta if neighbours differ by one person's data and not by one
    person; the same figure if that is what was asked for.
    """

    epsilon: float
    delta: float
    method: Method
    replace_epsilon: float


def epsilon_of(event: dp.DpEvent, delta: float, *, relation: Relation = "add-remove") -> Accounted:
    """The least proven epsilon of an event (a schedule declared beforehand) at a delta.

    Args:
        event: what was done; compositions are events too.
        delta: from 0 (pure events only, else the epsilon is infinite) to below 1.
        relation: which data are neighbours.

    Raises:
        InputError: ``event-unsupported``: no bound is known under the relation; ``usage``: a delta outside.

    >>> event = dp.SelfComposedDpEvent(dp.PoissonSampledDpEvent(0.04, dp.GaussianDpEvent(1.0)), 500)
    >>> cost = epsilon_of(event, 1e-5)
    >>> print(f"{cost.epsilon:.3f} by {cost.method}, {cost.replace_epsilon:.3f} if one person is replaced")
    5.879 by pld, 9.324 if one person is replaced
    """
    epsilon, method = least_epsilon(event, delta, relation)
    replaced = epsilon if relation == "replace-one" else least_epsilon(event, delta, "replace-one")[0]
    return Accounted(epsilon, delta, method, replaced)


def least_epsilon(
    event: dp.DpEvent, delta: float, relation: Relation, *, rough: bool = False
) -> tuple[float, Method]:
    """As :func:`epsilon_of` for one relation: the epsilon and what proves it; a rough one is larger."""
    if not 0 <= delta < 1:
        raise InputError("usage", f"delta is {delta}", remedy="choose one from 0 to below 1, such as 1e-6")
    _known(relation)
    return _epsilon(canonical_json(to_json(event)), float(delta), relation, rough)


def delta_of(event: dp.DpEvent, epsilon: float, *, relation: Relation = "add-remove") -> float:
    """The least proven delta of an event at an epsilon; the counterpart of :func:`epsilon_of`.

    >>> print(f"{delta_of(dp.GaussianDpEvent(1.0), 1.0):.6f}")
    0.126937
    """
    from sfumato.dp.divergences import divergences
    from sfumato.dp.losses import LEAST_DELTA, curve

    if not epsilon >= 0:
        raise InputError("usage", f"epsilon is {epsilon}", remedy="choose one that is not negative")
    _known(relation)
    event = simplified(from_json(to_json(event)))
    if isinstance(event, dp.GaussianDpEvent) and event.noise_multiplier:
        return gaussian_delta(event.noise_multiplier, epsilon, relation)
    found = []
    stated = stated_cost(event, relation)
    if stated is not None:
        found.append(stated[1] if stated[0] <= epsilon else 1.0)
    renyi = divergences(event, relation)
    if renyi is not None:
        found.append(renyi.delta(epsilon))
    losses = curve(event, relation, _about(renyi, LEAST_DELTA))
    if losses is not None:
        found.append(min(1.0, losses.delta(epsilon) + LEAST_DELTA))
    if not found:
        raise _no_bound(relation)
    return min(found)


def noise_for(
    make_event: Callable[[float], dp.DpEvent],
    epsilon: float,
    delta: float,
    *,
    relation: Relation = "add-remove",
) -> float:
    """The least noise multiplier whose event costs at most epsilon, to 1e-4 of itself, on the safe side.

    Args:
        make_event: the event of a noise multiplier; more noise must not cost more.

    Raises:
        InputError: ``usage``: epsilon is not positive, or no noise brings the event to it.

    >>> print(f"{noise_for(dp.GaussianDpEvent, 1.0, 1e-5):.3f}")
    3.731
    """
    if not 0 < epsilon < math.inf:
        raise InputError("usage", f"epsilon is {epsilon}", remedy="choose a positive one")

    def excess(place: float, *, rough: bool = False) -> float:
        """Above zero where the noise is too little; about a line in the logarithm of the noise."""
        cost = least_epsilon(make_event(math.exp(place)), delta, relation, rough=rough)[0]
        return math.log(max(cost, 1e-300) / epsilon) if cost < math.inf else math.inf

    # A rough figure is never too small, and most often near enough.
    place = _falls_to_zero(lambda place: excess(place, rough=True), 0.0, math.log(2))
    if excess(place) > -_TOLERANCE / 2:
        return math.exp(place)
    return math.exp(_falls_to_zero(excess, place, 10 * _TOLERANCE))


def rdp_of(event: dp.DpEvent, order: float, relation: Relation) -> tuple[float, float] | None:
    """The Rényi divergence of an event at one order, and the delta that it states beside; None if unknown.

    The event is delta-approximately (order, divergence)-RDP: but for a part of probability delta, its outputs
    are those of a mechanism of that divergence.
    """
    from sfumato.dp.divergences import divergences, orders_for

    event = from_json(to_json(event))
    orders = sorted({*orders_for(event), order}) if _chooses(event) else [order]
    found = divergences(event, relation, orders)
    return None if found is None else (float(found.rdp[orders.index(order)]), found.stated)


def _chooses(event: dp.DpEvent) -> bool:
    """Whether the divergence at one order depends on those at others."""
    inner = [*getattr(event, "events", ()), *([event.event] if hasattr(event, "event") else ())]
    return isinstance(event, dp.RepeatAndSelectDpEvent) or any(_chooses(each) for each in inner)


@lru_cache(maxsize=4096)
def _epsilon(key: bytes, delta: float, relation: Relation, rough: bool) -> tuple[float, Method]:
    from sfumato.dp.divergences import divergences
    from sfumato.dp.losses import LEAST_DELTA, curve

    event = simplified(from_json(json.loads(key)))
    if isinstance(event, dp.GaussianDpEvent) and event.noise_multiplier and delta:
        return gaussian_epsilon(event.noise_multiplier, delta, relation), "pld"
    found: list[tuple[float, Method]] = []
    renyi = divergences(event, relation)
    losses = None
    if delta >= LEAST_DELTA:
        losses = curve(event, relation, _about(renyi, delta), rough=rough)
    if losses is not None:
        found.append((losses.epsilon(delta), "pld"))
    if renyi is not None:
        found.append((renyi.epsilon(delta), "rdp"))
    stated = stated_cost(event, relation)
    if stated is not None:
        found.append((stated[0] if stated[1] <= delta else math.inf, "basic"))
    if not found:
        found.append((_part_by_part(event, delta, relation), "basic"))
    return min(found, key=lambda each: each[0])


def _part_by_part(event: dp.DpEvent, delta: float, relation: Relation) -> float:
    """Basic composition of what nothing carries whole: each part by what bounds it, at its share of delta."""
    parts = _parts(event)
    if len(parts) < 2:
        raise _no_bound(relation)
    return math.fsum(least_epsilon(part, delta / len(parts), relation)[0] for part in parts)


def _parts(event: dp.DpEvent) -> Sequence[dp.DpEvent]:
    if isinstance(event, dp.SelfComposedDpEvent):
        return [dp.SelfComposedDpEvent(part, event.count) for part in _parts(event.event)]
    return event.events if isinstance(event, dp.ComposedDpEvent) else ()


def _about(renyi: Divergences | None, delta: float) -> float:
    """About how large an epsilon will be."""
    return 1.0 if renyi is None else renyi.about(delta)


def _falls_to_zero(function: Callable[[float], float], start: float, step: float) -> float:
    """Where a falling function reaches zero, to within the tolerance and not above zero there.

    Regula falsi that keeps both ends close (Illinois), for one value is dear.
    """
    (low, above), (high, below) = _bracket(function, start, step)
    while high - low > _TOLERANCE:
        part = above / (above - below) if math.isfinite(above) and below < 0 else 0.5
        margin = min(0.4, 0.4 * _TOLERANCE / (high - low))
        place = low + (high - low) * min(max(part, margin), 1 - margin)
        value = function(place)
        if value > 0:
            low, above, below = place, value, below / 2
        else:
            high, below, above = place, value, above / 2
    return high


def _bracket(
    function: Callable[[float], float], place: float, step: float
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Two places a step apart, the function above zero at the first alone."""
    value = function(place)
    step = step if value > 0 else -step
    for _ in range(64):
        further, beyond = place + step, function(place + step)
        if (beyond > 0) != (value > 0):
            return ((place, value), (further, beyond)) if value > 0 else ((further, beyond), (place, value))
        place, value = further, beyond
    raise InputError(
        "usage",
        "no noise brings the event to this epsilon"
        if value > 0
        else "the event costs so little with any noise",
        remedy="choose another epsilon, or look at what the event does with its noise",
    )


def _known(relation: str) -> None:
    if relation not in get_args(Relation):
        raise InputError(
            "usage",
            f"{relation!r} is no neighbouring relation",
            remedy='choose "add-remove" or "replace-one"',
        )


def _no_bound(relation: Relation) -> InputError:
    other = "replace-one" if relation == "add-remove" else "add-remove"
    return InputError(
        "event-unsupported",
        f'no bound of this event is known for "{relation}"',
        remedy=f'declare the budget for "{other}", or charge an epsilon that was proven (StatedDpEvent)',
    )


__all__ = [
    "Accounted",
    "Method",
    "Relation",
    "delta_of",
    "epsilon_of",
    "least_epsilon",
    "noise_for",
    "rdp_of",
]
