"""The game of an audit: canaries in or out by coins, scores of what came out, guesses fixed beforehand."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from sfumato.core.errors import InputError
from sfumato.core.keyed import derive, generator
from sfumato.evidence.audits.onerun import (
    Guesses,
    coins,
    curve_blowup,
    epsilon_lower,
    p_value,
    refutes,
)
from sfumato.evidence.audits.outcome import GROSS, HALVED, IDEAL, Audit, Kind, Power
from sfumato.evidence.intervals import LEVEL

#: The scores of all canaries in a training or mechanism with a share of its noise: coins, share, draws.
Twin = Callable[[NDArray[np.bool_], float, np.random.Generator], NDArray[np.float64]]
Curve = Sequence[tuple[float, float]]

#: The twins an audit's power is measured on, with their share of the noise.
TWINS = ((IDEAL, 1.0), (HALVED, 0.5), (GROSS, 0.25))
_PILOTS, _SIZES, _FEWEST = 8, 30, 10


@dataclass(frozen=True)
class Claim:
    """What is claimed of a canary that is there or not: a point of a privacy curve, or the curve with it."""

    epsilon: float
    delta: float
    curve: Curve = ()

    def __post_init__(self) -> None:
        if not (np.isfinite(self.epsilon) and self.epsilon >= 0 and 0 <= self.delta < 1):
            raise InputError("usage", "a claim has an epsilon of at least 0 and a delta from 0 to below 1")

    def refuted(self, guesses: Guesses, level: float) -> bool:
        """Whether so many right guesses are too many, for the point or the curve."""
        counted = (guesses.canaries, guesses.made, guesses.right)
        if p_value(*counted, self.epsilon, self.delta) <= 1 - level:
            return True
        return self.beyond_curve(guesses, level)

    def beyond_curve(self, guesses: Guesses, level: float) -> bool:
        """Whether the curve as a whole is refuted; each of both tests refutes from a number of right guesses
        on that a true claim reaches with a chance of 1 - level, so both together do."""
        if not self.curve:
            return False
        blowup = curve_blowup((*self.curve, (self.epsilon, self.delta)))
        return refutes(blowup, guesses.canaries, guesses.made, guesses.right, level=level)


@dataclass(frozen=True)
class Game:
    """Who is in, over all runs, and how what came out is judged.

    Args:
        canaries: in each run. runs: how many.
        key: of coins, ties and twins; the noise under audit comes from elsewhere.
    """

    canaries: int
    runs: int
    key: bytes

    def __post_init__(self) -> None:
        if self.canaries < 1 or self.runs < 1:
            raise InputError("usage", "an audit needs canaries and runs")

    @cached_property
    def inside(self) -> NDArray[np.bool_]:
        """Who is in, shape (runs, canaries)."""
        found = coins(self.runs * self.canaries, generator(derive(self.key, "coins")))
        return found.reshape(self.runs, self.canaries)

    def planned(self, twin: Twin | None, delta: float) -> int:
        """How many guesses to make: as prove most on a twin with half of the noise, or a tenth of all.

        Nothing of the data is in it, so it is fixed beforehand whenever it is asked.
        """
        total = self.inside.size
        if twin is None:
            return max(1, total // 10)
        draw = generator(derive(self.key, "plan"))
        sizes = np.unique(np.geomspace(min(_FEWEST, total), total, _SIZES).astype(np.int64))
        bounds = np.zeros(len(sizes))
        for _ in range(_PILOTS):
            inside = coins(total, draw)
            found = twin(inside, dict(TWINS)[HALVED], draw)
            right = [Guesses.of(found, inside, int(size), draw).right for size in sizes]
            bounds += epsilon_lower(total, sizes, np.array(right), delta)
        return int(sizes[int(np.argmax(bounds))])

    def guessed(self, scores: NDArray[np.float64], made: int) -> Guesses:
        """The guesses from the scores of all runs, shape (runs, canaries)."""
        draw = generator(derive(self.key, "ties"))
        return Guesses.of(np.asarray(scores, dtype=np.float64).ravel(), self.inside.ravel(), made, draw)

    def powers(self, twin: Twin, claim: Claim, made: int, trials: int, level: float) -> Iterator[Power]:
        """How often the same guessing refutes the claim on twins, one of them with all its noise."""

        def caught(share: float, draw: np.random.Generator) -> bool:
            inside = coins(self.inside.size, draw)
            return claim.refuted(Guesses.of(twin(inside, share, draw), inside, made, draw), level)

        return powers(caught, trials, self.key)


def powers(caught: Callable[[float, np.random.Generator], bool], trials: int, key: bytes) -> Iterator[Power]:
    """How often an audit catches each of the twins."""
    for name, share in TWINS if trials else ():
        draw = generator(derive(key, "twin", name))
        yield Power(twin=name, caught=sum(caught(share, draw) for _ in range(trials)), trials=trials)


def judged(
    guesses: Guesses,
    claim: Claim,
    *,
    kind: Kind,
    what: str,
    method: str,
    relation: str = "add-remove",
    level: float = LEVEL,
    powers: Sequence[Power] = (),
    notes: Sequence[str] = (),
) -> Audit:
    """The audit that counted guesses make; the estimate holds for Gaussian mechanisms only."""
    delta = claim.delta
    return Audit(
        kind=kind,
        what=what,
        method=method,
        claimed_epsilon=claim.epsilon,
        claimed_delta=delta,
        relation=relation,
        level=level,
        epsilon_lower=guesses.epsilon_lower(delta, level),
        epsilon_estimate=guesses.gaussian_estimate(delta, level) if delta else None,
        estimate_assumes="a Gaussian mechanism" if delta else "",
        refuted_curve=claim.beyond_curve(guesses, level),
        p_value=guesses.p_value(claim.epsilon, delta),
        tested=guesses.canaries,
        guesses=guesses.made,
        right=guesses.right,
        powers=tuple(powers),
        notes=tuple(notes),
    )
