"""What a pipeline under audit did: the batches and noise it drew, what it charged, what it let pass.

The pipeline writes it down itself, or a trace of the training does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

#: Which noises pay for each other, and what each costs: the sensitivity over the deviation, or epsilon.
_GAUSSIAN, _PURE = "Gaussian", "pure"


@dataclass(frozen=True)
class Charge:
    """An event, and how many draws of noise had been made when it was charged."""

    event: Any
    after: int


@dataclass
class Record:
    """One run of a pipeline, in the order in which it happened.

    Attributes:
        batches: the numbers of the rows in each sample; ``population`` how many rows there were.
        draws: one event of ``dp_accounting`` for each noise that was added.
        charges: what was spent.
        free: what the pipeline used or gave away without charging for it, by name.
        sums: for each step the norm of the clipped sum over the bound, and the number of rows in it.
        added: the noise itself over the bound, an array a step.
    """

    batches: list[NDArray[np.int64]] = field(default_factory=list)
    population: int = 0
    draws: list[Any] = field(default_factory=list)
    charges: list[Charge] = field(default_factory=list)
    free: dict[str, Any] = field(default_factory=dict)
    sums: list[tuple[float, int]] = field(default_factory=list)
    added: list[NDArray[np.float64]] = field(default_factory=list)

    def batch(self, rows: ArrayLike, of: int) -> None:
        """A sample of rows was drawn from so many."""
        self.batches.append(np.asarray(rows, dtype=np.int64))
        self.population = of

    def noise(self, event: Any) -> None:
        """Noise was drawn: an event without its sampling, as ``GaussianDpEvent(1.1)``."""
        self.draws.append(event)

    def charge(self, event: Any) -> None:
        """An event was spent."""
        self.charges.append(Charge(event, len(self.draws)))

    def let_pass(self, name: str, value: Any) -> None:
        """Something was used or given away that nothing was charged for: a scale, a vocabulary, a count."""
        self.free[name] = value

    def step(self, chosen: ArrayLike, summed: ArrayLike, noisy: ArrayLike, clip: float, of: int) -> None:
        """One step of a private training: the sample, the clipped sum before noise and after it.

        The multiplier that is written down is what the noise drawn looks like, not what was asked for.
        """
        from dp_accounting import GaussianDpEvent

        before, after = (np.asarray(part, dtype=np.float64) for part in (summed, noisy))
        self.batch(chosen, of)
        self.sums.append((float(np.linalg.norm(before)) / clip, len(self.batches[-1])))
        self.added.append((after - before) / clip)
        if (after != before).any():
            self.noise(GaussianDpEvent(float(np.sqrt((self.added[-1] ** 2).mean()))))


def noises(event: Any) -> Iterator[tuple[str, float, int]]:
    """The noises in an event, samplings taken off: what family, what it costs, how many times."""
    kind = type(event).__name__
    if kind == "SelfComposedDpEvent":
        yield from ((family, cost, count * event.count) for family, cost, count in noises(event.event))
    elif kind == "ComposedDpEvent":
        for part in event.events:
            yield from noises(part)
    elif hasattr(event, "event"):
        yield from noises(event.event)
    elif (found := _cost(kind, event)) is not None:
        yield (*found, 1)


def _cost(kind: str, event: Any) -> tuple[str, float] | None:
    if kind == "GaussianDpEvent":
        return _GAUSSIAN, 1 / max(event.noise_multiplier, 1e-300)
    if kind == "DiscreteGaussianDpEvent":
        return _GAUSSIAN, event.sensitivity / max(event.sigma, 1e-300)
    if kind == "ZCDpEvent":
        return _GAUSSIAN, float(np.sqrt(2 * event.rho))
    if kind == "LaplaceDpEvent":
        return _PURE, 1 / max(event.noise_multiplier, 1e-300)
    if kind == "DiscreteLaplaceDpEvent":
        return _PURE, event.noise_parameter * event.sensitivity
    if kind == "StatedDpEvent":
        return _PURE, event.epsilon
    return None


def expanded(events: Sequence[Any]) -> dict[str, list[float]]:
    """The costs of all noises in events, dearest first, by family."""
    found: dict[str, list[float]] = {}
    for event in events:
        for family, cost, count in noises(event):
            found.setdefault(family, []).extend([cost] * count)
    return {family: sorted(costs, reverse=True) for family, costs in found.items()}
