"""How much noise a batch of questions needs, and what it costs: known without the data."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sfumato.core.errors import InputError
from sfumato.dp.mechanisms import Law, choice_event, gaussian_sigma, laplace_event
from sfumato.dp.queries import QUERIES
from sfumato.dp.queries.base import GRID, Choice, Found, Need, Sum
from sfumato.dp.queries.questions import Question

if TYPE_CHECKING:
    from dp_accounting import DpEvent

    from sfumato.dp.accounting import Relation

#: Sensitivities in grid steps are rounded up to a multiple: a discrete Laplace is then charged as finely.
_MULTIPLE = 64


@dataclass(frozen=True)
class Calibrated:
    """How much noise each need of each question gets, and what all of it costs: known without the data.

    ``laws`` has for each question, in the order of its needs, the law of a sum or the scale of a choice;
    ``events`` what each question costs, ``event`` all together; ``shares`` the questions' parts.
    """

    laws: tuple[tuple[Law | float, ...], ...]
    events: tuple[DpEvent, ...]
    event: DpEvent
    shares: tuple[float, ...]


def calibrate(
    asked: Sequence[Question],
    *,
    epsilon: float | None,
    noise: float | None,
    delta: float,
    relation: Relation = "add-remove",
    rows: int = 1,
) -> Calibrated:
    """The noise of a batch of questions, and what it costs, without any data.

    Args:
        rows: the most rows of one subject; 1 where the unit is the row.

    Raises:
        InputError: ``usage``: not exactly one of epsilon and noise, or a delta that does not suit.
    """
    if not asked:
        raise InputError("usage", "no query is asked", remedy="name at least one")
    if (epsilon is None) == (noise is None):
        raise InputError(
            "usage", "either epsilon or noise says how much may be told", remedy="name one of them"
        )
    if not all(math.isfinite(given) and given > 0 for given in (epsilon, noise) if given is not None):
        raise InputError("usage", "epsilon and noise are positive", remedy="choose one such as 1.0")
    needs = [QUERIES.resolve(each.query).needs(each.params) for each in asked]
    total = math.fsum(each.params.weight for each in asked)
    shares = tuple(each.params.weight / total for each in asked)
    parts = [
        [share * need.share / math.fsum(other.share for other in own) for need in own]
        for share, own in zip(shares, needs, strict=True)
    ]
    stated = math.fsum(need.delta for own in needs for need in own if isinstance(need, Found))
    if stated and stated * (1 if relation == "add-remove" else 2) >= delta:
        raise InputError(
            "usage",
            f"the thresholds alone need a delta of {stated:g}, and the release has {delta:g}",
            remedy="lower the delta of the group-by",
        )
    if delta == 0:
        laws, events = _pure(needs, parts, epsilon, noise, relation, rows)
    else:
        laws, events = _concentrated(needs, parts, epsilon, noise, delta, relation, rows)
    return Calibrated(
        tuple(tuple(own) for own in laws),
        tuple(_merged(own) for own in events),
        _merged([event for own in events for event in own]),
        shares,
    )


def _pure(
    needs: Sequence[Sequence[Need]],
    parts: Sequence[Sequence[float]],
    epsilon: float | None,
    noise: float | None,
    relation: Relation,
    rows: int,
) -> tuple[list[list[Law | float]], list[list[DpEvent]]]:
    """Laplace noise: each need has its part of epsilon, less what sums of floats may round up."""
    total = 1 / noise if noise is not None else (epsilon or 0.0) / (1 if relation == "add-remove" else 2)
    laws: list[list[Law | float]] = []
    events: list[list[DpEvent]] = []
    for own, shares in zip(needs, parts, strict=True):
        laws.append([])
        events.append([])
        for need, share in zip(own, shares, strict=True):
            each = total * share * (1 - 1e-12)
            assert not isinstance(need, Found)
            if isinstance(need, Sum):
                step, most = (GRID, rows) if need.whole else (1, _sensitivity(need.l1, rows))
                laws[-1].append(Law("laplace", most / each * step))
                moved = 1 if need.coordinates == 1 == rows else 2
                events[-1].append(laplace_event(most / each, most, coordinates=moved))
            else:
                scale = need.picks * need.sensitivity * rows * (1 if need.one_way else 2) / each
                laws[-1].append(scale)
                events[-1].append(_choice(need, scale, rows, pure=True))
    return laws, events


def _concentrated(
    needs: Sequence[Sequence[Need]],
    parts: Sequence[Sequence[float]],
    epsilon: float | None,
    noise: float | None,
    delta: float,
    relation: Relation,
    rows: int,
) -> tuple[list[list[Law | float]], list[list[DpEvent]]]:
    """Gaussian noise: of a batch with multiplier z, a part s has z / sqrt(s); choices have as much rho."""
    from sfumato.dp.accounting import noise_for

    def event_of(multiplier: float) -> DpEvent:
        return _merged(
            [
                event
                for own, shares in zip(needs, parts, strict=True)
                for need, share in zip(own, shares, strict=True)
                for event in _events(need, multiplier / math.sqrt(share), rows)
            ]
        )

    if noise is None:
        assert epsilon is not None
        noise = noise_for(event_of, epsilon, delta, relation=relation)
    laws = [
        [_law(need, noise / math.sqrt(share), rows) for need, share in zip(own, shares, strict=True)]
        for own, shares in zip(needs, parts, strict=True)
    ]
    events = [
        [
            event
            for need, share in zip(own, shares, strict=True)
            for event in _events(need, noise / math.sqrt(share), rows)
        ]
        for own, shares in zip(needs, parts, strict=True)
    ]
    return laws, events


def _law(need: Need, multiplier: float, rows: int) -> Law | float:
    if isinstance(need, Choice):
        # epsilon² / 8 for each pick adds up to 1 / (2 multiplier²).
        reach = need.sensitivity * rows * (1 if need.one_way else 2)
        return reach * multiplier * math.sqrt(need.picks) / 2
    most = _sensitivity(need.l2, rows) if isinstance(need, Sum) else rows * GRID
    return Law("gaussian", gaussian_sigma(multiplier, most))


def _events(need: Need, multiplier: float, rows: int) -> list[DpEvent]:
    from dp_accounting import GaussianDpEvent

    from sfumato.dp.events import StatedDpEvent

    if isinstance(need, Choice):
        scale = _law(need, multiplier, rows)
        assert isinstance(scale, float)
        return [_choice(need, scale, rows, pure=False)]
    noise = GaussianDpEvent(multiplier)
    return [noise, StatedDpEvent(0.0, need.delta)] if isinstance(need, Found) else [noise]


def _choice(need: Choice, scale: float, rows: int, *, pure: bool) -> DpEvent:
    return choice_event(scale, need.sensitivity * rows, picks=need.picks, one_way=need.one_way, pure=pure)


def _sensitivity(norm: float, rows: int) -> int:
    """What the rows of one person add at most, in grid steps."""
    return math.ceil(norm * GRID / _MULTIPLE) * _MULTIPLE * rows


def _merged(events: Sequence[DpEvent]) -> DpEvent:
    """Gaussians as the one that costs the same, concentrated and stated ones added up, others as they are."""
    from dp_accounting import ComposedDpEvent, GaussianDpEvent
    from dp_accounting.dp_event import ZCDpEvent

    from sfumato.dp.events import StatedDpEvent

    gaussians = [event for event in events if isinstance(event, GaussianDpEvent)]
    others = [event for event in events if isinstance(event, ZCDpEvent)]
    stated = [event for event in events if isinstance(event, StatedDpEvent)]
    merged = [event for event in events if not isinstance(event, GaussianDpEvent | ZCDpEvent | StatedDpEvent)]
    if gaussians:
        merged.append(GaussianDpEvent(math.fsum(event.noise_multiplier**-2 for event in gaussians) ** -0.5))
    if others:
        merged.append(ZCDpEvent(math.fsum(event.rho for event in others)))
    if stated:
        epsilon, delta = (
            math.fsum(event.epsilon for event in stated),
            math.fsum(event.delta for event in stated),
        )
        merged.append(StatedDpEvent(epsilon, delta))
    return merged[0] if len(merged) == 1 else ComposedDpEvent(merged)
