"""The chance that a part of a class breaks a promise about which values it has, and who has them then.

The part is a draw from the class without replacement. Where there are few draws, all are tried; where there
are many, they are sampled by splitting, which finds chances far below one in the number of draws.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sfumato.classes.spread import TOLERANCE
from sfumato.core.keyed import derive, generator
from sfumato.evidence.attacks.partings import Promise
from sfumato.evidence.attacks.spreads import Scale, flow

#: Times that draws are sampled, independently. That all are on one side of their distribution's median has
#: a chance of 2 / 2**RUNS, so the least and the greatest have a median between them in 96.9 % of cases.
RUNS = 6
#: Draws that are all tried.
FEW = 200_000
#: Draws sampled at a time, at least and at most, and people in them where there may be more.
_LEAST, _MOST, _PEOPLE = 64, 512, 16_000
#: Swaps of each draw at a level, at most.
_SWAPS = 300
#: Levels that halve the chance, which counts as none if it takes more.
_LEVELS = 40
#: So small a chance is not looked for by sampling.
UNSEEN = 1e-12
#: Values among which to choose takes as long as a swap, and tries of a value of a draw that do.
_WIDTH, _QUICKER = 32, 10
#: What stands for no entropy being asked.
_NO_EVEN = -1.0


@dataclass(frozen=True)
class Failing:
    """That a part breaks a promise.

    ``chance`` is of shape (1 + RUNS,), all runs together and each; ``inside`` the people of each value that
    the part has then on average, shape (1 + RUNS, values). ``exact`` says that every draw was tried.
    ``work`` is what it took, in swaps or as much.
    """

    chance: NDArray[np.float64]
    inside: NDArray[np.float64]
    exact: bool
    work: int

    def given(self, people: NDArray[np.int64], drawn: int, *, inside: bool) -> NDArray[np.float64]:
        """The chances if somebody, inside the part or not, has a value, shape (1 + RUNS, values).

        ``people`` of the class have each.
        """
        whole = int(people.sum())
        if inside:
            ratio = (self.inside / drawn) / (people / whole)
        else:
            ratio = ((people - self.inside) / max(1, whole - drawn)) / (people / whole)
        return np.asarray(np.clip(self.chance[:, None] * ratio, 0.0, 1.0), dtype=np.float64)


class Terms(NamedTuple):
    """A promise as the loops over draws read it.

    ``leaves`` to ``bounds`` are of distances (:class:`sfumato.evidence.attacks.spreads.Flow`, one after the
    other, with their roots and what they may be), the others of how many people have a value.
    """

    leaves: NDArray[np.int64]
    parents: NDArray[np.int64]
    costs: NDArray[np.float64]
    roots: NDArray[np.int64]
    rests: NDArray[np.float64]
    bounds: NDArray[np.float64]
    counts_matter: bool
    cap: int
    least: int
    even: float
    factors: NDArray[np.float64]
    ranks: NDArray[np.int64]


def failing(
    values: NDArray[np.int64],
    people: NDArray[np.int64],
    drawn: int,
    promise: Promise,
    scale: Scale,
    key: bytes,
) -> Failing:
    """That ``drawn`` of a class, whose ``values`` have so many ``people`` each, break a promise."""
    terms = _terms(values, drawn, promise, scale)
    if draws_of(people, drawn) <= FEW:
        return _enumerated(people, drawn, terms)
    return _sampled(people, drawn, terms, key)


def draws_of(people: NDArray[np.int64], drawn: int) -> float:
    """How many draws of so many differ in how many people have a value.

    >>> draws_of(np.array([2, 1, 1]), 2)
    4.0
    """
    ways = np.zeros(drawn + 1)
    ways[0] = 1.0
    for many in people.tolist():
        upto = np.cumsum(ways)
        ways = upto.copy()
        ways[many + 1 :] -= upto[: max(0, drawn - many)]
    return float(ways[drawn])


def _enumerated(people: NDArray[np.int64], drawn: int, terms: Terms) -> Failing:
    from sfumato.evidence.attacks.failing_kernels import enumerate_draws

    logs = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, int(people.sum()) + 1)))])
    found = np.zeros(len(people))
    chance = min(1.0, enumerate_draws(people, drawn, logs, terms, found))
    inside = found / chance if chance > 0 else found
    work = int(draws_of(people, drawn)) * len(people) // _QUICKER
    return Failing(np.full(1 + RUNS, chance), np.tile(inside, (1 + RUNS, 1)), True, work)


def _sampled(people: NDArray[np.int64], drawn: int, terms: Terms, key: bytes) -> Failing:
    from sfumato.evidence.attacks.failing_kernels import split_draws

    particles = min(_MOST, max(_LEAST, _PEOPLE // drawn))
    swaps = min(_SWAPS, max(drawn, 20))
    chances, inside, work = np.zeros(1 + RUNS), np.zeros((1 + RUNS, len(people))), 0
    for run in range(1, 1 + RUNS):
        draw = generator(derive(key, f"run {run}"))
        chances[run], tried = split_draws(draw, people, drawn, terms, particles, swaps, _LEVELS, inside[run])
        work += tried * (1 + len(people) // _WIDTH)
        if not chances[1]:
            # So unlikely that the other runs would be as long and find as little.
            break
    chances[0] = chances[1:].mean()
    if chances[0] > 0:
        inside[0] = chances[1:] @ inside[1:] / chances[1:].sum()
    return Failing(chances, inside, False, work)


def _terms(values: NDArray[np.int64], drawn: int, promise: Promise, scale: Scale) -> Terms:
    flows = [flow(scale, one.distance, values, drawn) for one in promise.close]
    first = np.cumsum([0, *(len(one.parents) for one in flows)]).astype(np.int64)
    empty = np.zeros((0, drawn + 1))
    return Terms(
        leaves=np.array([one.leaves + at for one, at in zip(flows, first, strict=False)], dtype=np.int64)
        .reshape(len(flows), len(values)),
        parents=np.concatenate(
            [np.zeros(0, dtype=np.int64), *(one.parents + at for one, at in zip(flows, first, strict=False))]
        ),
        costs=np.concatenate([empty, *(one.costs for one in flows)]),
        roots=first[1:] - 1,
        rests=np.array([one.rest for one in flows], dtype=np.float64),
        bounds=np.array([one.t + TOLERANCE for one in promise.close], dtype=np.float64),
        counts_matter=promise != Promise(close=promise.close),
        cap=promise.cap(drawn),
        least=promise.least,
        even=math.log(promise.even) - TOLERANCE if promise.even > 1 else _NO_EVEN,
        factors=np.array([one.factor * (1 - TOLERANCE) for one in promise.tails], dtype=np.float64),
        ranks=np.array([one.rank for one in promise.tails], dtype=np.int64),
    )  # fmt: skip
