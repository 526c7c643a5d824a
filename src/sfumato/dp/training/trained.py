"""What a training is asked to do, what it did, and what came of it: frozen, and public but for the trace."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sfumato.core.canonical import canonical_json
from sfumato.dp.accounting import Relation, epsilon_of

KNOWN_SEED = "not private: the seed is known"
TRACED = "not private: every step was traced, before noise too"
FAST_NOISE = (
    "the noise is PyTorch's: not from a cryptographic source, and floating-point numbers that can give noise"
    " away; secure=True has neither fault"
)
ROWS_COUNTED = (
    "the sampling rate follows from the number of examples, as if everybody knew it; declare size to keep it"
)


def sampled_gaussian(rate: float, noise_multiplier: float, steps: int) -> Any:
    """The event of a training: Gaussian noise on a Poisson sample, so many times.

    >>> sampled_gaussian(1.0, 2.0, 1)
    GaussianDpEvent(noise_multiplier=2.0)
    """
    from dp_accounting import dp_event

    noise = dp_event.GaussianDpEvent(noise_multiplier)
    step = noise if rate >= 1 else dp_event.PoissonSampledDpEvent(rate, noise)
    return step if steps == 1 else dp_event.SelfComposedDpEvent(step, steps)


@dataclass(frozen=True)
class Settings:
    """What the cost and the way of a training follow from; a resumed one must have the same."""

    rate: float
    noise_multiplier: float
    clip: float
    steps: int
    delta: float
    relation: Relation
    unit: str
    lr: float
    optimizer: str
    average: float | None
    secure: bool
    seeded: bool

    @property
    def event(self) -> Any:
        """What is charged, before the first step."""
        return sampled_gaussian(self.rate, self.noise_multiplier, self.steps)

    def digest(self) -> str:
        """SHA-256 of all settings."""
        return hashlib.sha256(canonical_json(asdict(self))).hexdigest()


@dataclass
class Record:
    """What was in fact drawn, tallied where it is drawn and not copied from what was asked for.

    ``drawn`` counts Poisson samples by sampling rate, ``noised`` noisy sums by noise multiplier (standard
    deviation over bound), ``lost`` the steps that were charged and, the process killed, may have been made.
    """

    drawn: dict[float, int] = field(default_factory=dict)
    noised: dict[float, int] = field(default_factory=dict)
    lost: int = 0

    def sampled(self, rate: float) -> None:
        """A Poisson sample was drawn."""
        self.drawn[rate] = self.drawn.get(rate, 0) + 1

    def added(self, noise_multiplier: float) -> None:
        """Noise was added to a sum."""
        self.noised[noise_multiplier] = self.noised.get(noise_multiplier, 0) + 1

    @property
    def steps(self) -> int:
        """Steps made, as the noise tells."""
        return sum(self.noised.values())

    @property
    def event(self) -> Any:
        """The cost of what was drawn; of no known cost if a step had not one sample and one noise."""
        from dp_accounting import dp_event

        if len(self.drawn) != 1 or len(self.noised) != 1 or sum(self.drawn.values()) != self.steps:
            return dp_event.NonPrivateDpEvent()
        return sampled_gaussian(next(iter(self.drawn)), next(iter(self.noised)), self.steps)

    def covered(self, settings: Settings) -> bool:
        """Whether what was drawn, and what may have been, is no more than what was charged."""
        steps = self.steps + self.lost
        return (
            set(self.drawn) <= {settings.rate}
            and set(self.noised) <= {settings.noise_multiplier}
            and sum(self.drawn.values()) == self.steps
            and steps <= settings.steps
        )


@dataclass(frozen=True)
class Progress:
    """A training on its way; nothing in it is of people but through the noise.

    ``gradient`` is the L2 norm of the step's noisy mean gradient.
    """

    step: int
    steps: int
    gradient: float
    settings: Settings = field(repr=False)

    @cached_property
    def epsilon(self) -> float:
        """The cost of the steps so far, at the delta of the training. Takes up to a second."""
        so_far = sampled_gaussian(self.settings.rate, self.settings.noise_multiplier, self.step)
        return epsilon_of(so_far, self.settings.delta, relation=self.settings.relation).epsilon


@dataclass(frozen=True)
class Step:
    """All that happened in one step, **secret**: for audits of the training itself.

    ``chosen`` are the numbers of the examples in the Poisson sample, ``summed`` the clipped sum before noise
    and ``noisy`` after it, both flat and in the order of the trained parameters; ``broken`` counts examples
    whose gradient was no number and added nothing.
    """

    step: int
    chosen: NDArray[np.int64]
    summed: NDArray[np.float64]
    noisy: NDArray[np.float64]
    broken: int


@dataclass(frozen=True)
class Trained:
    """A trained module and what its training cost.

    Attributes:
        module: in evaluation mode, with the averaged weights if an average was asked for.
        event: what was charged.
        epsilon, delta: the cost under the budget's relation; ``replace_epsilon`` if one unit is replaced.
        unit: what the epsilon is about, "row" or "subject". Rows of the table as it was given: what was
            fitted to them beforehand is not in it.
        private: false if the noise is known to somebody (a seed, a trace); the notices say so.
        record: what was in fact drawn.
        history: noisy gradients' norms, a step each; from noisy quantities alone.
    """

    module: Any
    event: Any
    epsilon: float
    delta: float
    replace_epsilon: float
    noise_multiplier: float
    rate: float
    clip: float
    steps: int
    unit: str
    private: bool
    notices: tuple[str, ...]
    record: Record
    history: tuple[float, ...]

    def __repr__(self) -> str:
        cost = f"epsilon {self.epsilon:.4g} at delta {self.delta:.3g} for each {self.unit}"
        notices = "; ".join(self.notices)
        head = cost if self.private else "not private"
        return f"Trained({head}, {self.steps} steps{': ' + notices if notices else ''})"
