"""What a mechanism did, as far as its cost goes: events of ``dp_accounting``, as JSON and in words.

Two events of our own stand beside the library's. :class:`StatedDpEvent` is a mechanism known by its epsilon
and delta alone (exponential mechanism, threshold). :class:`DiscreteGaussianDpEvent` is OpenDP's Gaussian
noise on whole numbers, which must not be charged as the continuous one: the Rényi divergences are no larger
(Canonne, Kamath & Steinke 2020, Theorem 4), but the delta of an epsilon can be.

Every event is checked before it is charged (:func:`checked`): a negative count or a probability above one
would make a release cheaper than nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from functools import singledispatch
from numbers import Integral, Real
from typing import Any

import attr
from dp_accounting import dp_event as dp

from sfumato.core.errors import InputError


@attr.s(frozen=True, slots=True, auto_attribs=True)
class StatedDpEvent(dp.DpEvent):  # type: ignore[misc]  # the library has no types
    """A mechanism that is (epsilon, delta)-differentially private, and nothing more is known of it.

    The guarantee holds for the relation that it is charged under as "add-remove"; for "replace-one" the cost
    of two steps is charged (:mod:`sfumato.dp.accounting`).
    """

    epsilon: float
    delta: float = 0.0


@attr.s(frozen=True, slots=True, auto_attribs=True)
class DiscreteGaussianDpEvent(dp.DpEvent):  # type: ignore[misc]
    """Discrete Gaussian noise on one whole number (Canonne, Kamath & Steinke 2020, Definition 1).

    ``sigma`` is the parameter of the distribution, ``sensitivity`` the most that one person changes the
    number by. It stands too for a vector of whole numbers of which one person changes a single one (a
    histogram under "add-remove"). Any other vector is a ``ZCDpEvent`` with a rho of
    (L2 sensitivity)² / (2 sigma²).
    """

    sigma: float
    sensitivity: int = 1


def to_json(event: dp.DpEvent) -> dict[str, Any]:
    """The event as a JSON object: ``kind`` and the fields of its class.

    Raises:
        InputError: ``event-unsupported``: an event that nothing is known of, or with impossible figures.

    >>> to_json(dp.PoissonSampledDpEvent(0.04, dp.GaussianDpEvent(2.1)))  # doctest: +NORMALIZE_WHITESPACE
    {'kind': 'PoissonSampledDpEvent', 'sampling_probability': 0.04,
     'event': {'kind': 'GaussianDpEvent', 'noise_multiplier': 2.1}}
    """
    written: dict[str, Any] = _written(checked(event))
    return written


def from_json(document: Mapping[str, Any]) -> dp.DpEvent:
    """The event that :func:`to_json` wrote.

    Raises:
        InputError: ``event-unsupported``: it is none, or one with impossible figures.

    >>> from_json({"kind": "GaussianDpEvent", "noise_multiplier": 2.1})
    GaussianDpEvent(noise_multiplier=2.1)
    """
    try:
        event = _read(document)
    except (KeyError, TypeError, ValueError, AttributeError):
        raise _unsupported("this is no event that sfumato wrote") from None
    return checked(event)


def checked(event: dp.DpEvent) -> dp.DpEvent:
    """The event itself, if all its figures are possible.

    Raises:
        InputError: ``event-unsupported``.
    """
    kind = type(event).__name__
    if _KINDS.get(kind) is not type(event):
        raise _unsupported(f"an event of the kind {kind} has no proven cost here")
    for name, value in attr.asdict(event, recurse=False).items():
        if isinstance(value, dp.DpEvent):
            checked(value)
        elif name == "events":
            for each in value:
                checked(each)
        elif not _FIELDS[name](value):
            raise _unsupported(f"{name} of a {kind} cannot be as it is written")
    if isinstance(event, dp.SampledWithoutReplacementDpEvent) and not (
        0 < event.source_dataset_size >= event.sample_size
    ):
        raise _unsupported("a sample without replacement is larger than what it is drawn from")
    return event


def composed(events: list[dp.DpEvent]) -> dp.DpEvent:
    """Several events as one; the one itself if there is but one, nothing if there is none."""
    if not events:
        return dp.NoOpDpEvent()
    return events[0] if len(events) == 1 else dp.ComposedDpEvent(list(events))


def leaves(event: dp.DpEvent) -> list[dp.DpEvent]:
    """The events of a composition, each once: counts and the composing events left out."""
    return [leaf for leaf, _ in _counted(event, 1)]


def simplified(event: dp.DpEvent) -> dp.DpEvent:
    """A composition that costs the same and has fewer parts: Gaussians are one, equal events are counted.

    >>> simplified(dp.ComposedDpEvent([dp.GaussianDpEvent(3.0), dp.GaussianDpEvent(4.0)]))
    GaussianDpEvent(noise_multiplier=2.4)
    """
    precision, counts, kept = 0.0, dict[str, int](), dict[str, dp.DpEvent]()
    for leaf, count in _counted(event, 1):
        if isinstance(leaf, dp.GaussianDpEvent) and leaf.noise_multiplier:
            # The privacy loss of Gaussians together is that of one at their whole distance.
            precision += count / leaf.noise_multiplier**2
        elif not isinstance(leaf, dp.NoOpDpEvent):
            key = repr(leaf)
            counts[key], kept[key] = counts.get(key, 0) + count, leaf
    gaussian = [dp.GaussianDpEvent(1 / math.sqrt(precision))] if precision else []
    return composed([*gaussian, *(_times(leaf, counts[key]) for key, leaf in kept.items())])


def _counted(event: dp.DpEvent, count: int) -> Iterator[tuple[dp.DpEvent, int]]:
    if isinstance(event, dp.SelfComposedDpEvent):
        yield from _counted(event.event, count * event.count)
    elif isinstance(event, dp.ComposedDpEvent):
        for each in event.events:
            yield from _counted(each, count)
    else:
        yield event, count


def _times(event: dp.DpEvent, count: int) -> dp.DpEvent:
    return event if count == 1 else dp.SelfComposedDpEvent(event, count)


def words(event: dp.DpEvent) -> str:
    """The event in words, for people.

    >>> words(dp.SelfComposedDpEvent(dp.PoissonSampledDpEvent(0.04, dp.GaussianDpEvent(2.1)), 500))
    'Gaussian noise, multiplier 2.1, sampled 0.04, 500 times'
    """
    return _words(event)


@singledispatch
def _words(event: dp.DpEvent) -> str:
    return type(event).__name__.removesuffix("DpEvent")


@_words.register
def _(event: dp.NoOpDpEvent) -> str:
    del event
    return "nothing of people"


@_words.register
def _(event: dp.NonPrivateDpEvent) -> str:
    del event
    return "no differential privacy"


@_words.register
def _(event: dp.GaussianDpEvent) -> str:
    return f"Gaussian noise, multiplier {event.noise_multiplier:.6g}"


@_words.register
def _(event: DiscreteGaussianDpEvent) -> str:
    return f"discrete Gaussian noise, sigma {event.sigma:.6g}, sensitivity {event.sensitivity}"


@_words.register
def _(event: dp.LaplaceDpEvent) -> str:
    return f"Laplace noise, multiplier {event.noise_multiplier:.6g}"


@_words.register
def _(event: dp.DiscreteLaplaceDpEvent) -> str:
    return f"discrete Laplace noise, parameter {event.noise_parameter:.6g}, sensitivity {event.sensitivity}"


@_words.register
def _(event: dp.RandomizedResponseDpEvent) -> str:
    return f"randomized response over {event.num_buckets} answers, at random with {event.noise_parameter:.6g}"


@_words.register
def _(event: StatedDpEvent) -> str:
    delta = f", delta {event.delta:.3g}" if event.delta else ""
    return f"a mechanism of epsilon {event.epsilon:.6g}{delta}"


@_words.register
def _(event: dp.ZCDpEvent) -> str:
    xi = f", xi {event.xi:.6g}" if event.xi else ""
    return f"concentrated noise, rho {event.rho:.6g}{xi}"


@_words.register
def _(event: dp.MixtureOfGaussiansDpEvent) -> str:
    return f"a mixture of {len(event.sensitivities)} Gaussians, deviation {event.standard_deviation:.6g}"


@_words.register
def _(event: dp.TruncatedSubsampledGaussianDpEvent) -> str:
    return (
        f"Gaussian noise, multiplier {event.noise_multiplier:.6g}, sampled {event.sampling_probability:.6g}, "
        f"at most {event.truncated_batch_size} of {event.dataset_size} a batch"
    )


@_words.register
def _(event: dp.PoissonSampledDpEvent) -> str:
    return f"{_words(event.event)}, sampled {event.sampling_probability:.6g}"


@_words.register
def _(event: dp.SampledWithoutReplacementDpEvent) -> str:
    return f"{_words(event.event)}, on {event.sample_size} drawn from {event.source_dataset_size}"


@_words.register
def _(event: dp.RepeatAndSelectDpEvent) -> str:
    return f"the best of a random number of runs, {event.mean:.6g} on average, each: {_words(event.event)}"


@_words.register
def _(event: dp.SelfComposedDpEvent) -> str:
    return _words(event.event) if event.count == 1 else f"{_words(event.event)}, {event.count} times"


@_words.register
def _(event: dp.ComposedDpEvent) -> str:
    return "; ".join(_words(each) for each in event.events) or "nothing of people"


def _written(value: Any) -> Any:
    if isinstance(value, dp.DpEvent):
        fields = attr.asdict(value, recurse=False).items()
        return {"kind": type(value).__name__, **{name: _written(field) for name, field in fields}}
    if isinstance(value, list | tuple):
        return [_written(each) for each in value]
    if value == math.inf:
        return "inf"
    return int(value) if isinstance(value, Integral) else float(value)


def _read(value: Any) -> Any:
    if isinstance(value, Mapping):
        fields = {name: _read(field) for name, field in value.items() if name != "kind"}
        return _KINDS[value["kind"]](**fields)
    if isinstance(value, list):
        return [_read(each) for each in value]
    return math.inf if value == "inf" else value


def _unsupported(what: str) -> InputError:
    return InputError(
        "event-unsupported",
        what,
        remedy="charge an event of dp_accounting that has a proof, or StatedDpEvent with epsilon and delta",
    )


def _real(low: float, high: float = math.inf) -> Callable[[Any], bool]:
    def holds(value: Any) -> bool:
        return _number(value) and math.isfinite(value) and low <= value <= high

    return holds


def _whole(low: int) -> Callable[[Any], bool]:
    def holds(value: Any) -> bool:
        return _number(value) and math.isfinite(value) and value == int(value) and value >= low

    return holds


def _number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _all(one: Callable[[Any], bool]) -> Callable[[Any], bool]:
    def holds(values: Any) -> bool:
        return len(values) > 0 and all(one(value) for value in values)

    return holds


#: What a field of an event may be.
_FIELDS: Mapping[str, Callable[[Any], bool]] = {
    "noise_multiplier": _real(0),
    "noise_parameter": _real(0),
    "num_buckets": _whole(1),
    "sensitivity": _whole(0),
    "sigma": _real(0),
    "epsilon": _real(0),
    "delta": _real(0, 1),
    "rho": _real(0),
    "xi": _real(0),
    "count": _whole(1),
    "mean": _real(1),
    "shape": lambda value: value == math.inf or _real(0)(value),
    "sampling_probability": _real(0, 1),
    "sample_size": _whole(1),
    "source_dataset_size": _whole(1),
    "dataset_size": _whole(1),
    "truncated_batch_size": _whole(1),
    "standard_deviation": _real(0),
    "sensitivities": _all(_real(0)),
    "sampling_probs": _all(_real(0, 1)),
}

_KINDS: Mapping[str, type[dp.DpEvent]] = {
    kind.__name__: kind
    for kind in (
        dp.NoOpDpEvent,
        dp.NonPrivateDpEvent,
        dp.GaussianDpEvent,
        dp.LaplaceDpEvent,
        dp.DiscreteLaplaceDpEvent,
        dp.RandomizedResponseDpEvent,
        dp.ZCDpEvent,
        dp.MixtureOfGaussiansDpEvent,
        dp.TruncatedSubsampledGaussianDpEvent,
        dp.PoissonSampledDpEvent,
        dp.SampledWithoutReplacementDpEvent,
        dp.RepeatAndSelectDpEvent,
        dp.SelfComposedDpEvent,
        dp.ComposedDpEvent,
        StatedDpEvent,
        DiscreteGaussianDpEvent,
    )
}
