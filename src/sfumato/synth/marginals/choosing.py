"""Which pairs are worth counting."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sfumato.synth.marginals.drawing import Draws
from sfumato.synth.marginals.start import Start
from sfumato.synth.marginals.tables import Tables

Pair = tuple[int, int]

#: Scores are in parts of a row.
UNIT = 64
#: A pair with the target counts so many times, where no target stands beside every pair.
_TARGET = 2.0


def scored(
    truth: Sequence[NDArray[np.int64]], known: Sequence[NDArray[Any]], deviation: float
) -> NDArray[np.int64]:
    """By how many rows each table differs from what is known, less what its noise would be (AIM, line 7).

    In parts of a row; one row more or less moves no score by more than one row.
    """
    return np.array(
        [
            np.abs(UNIT * real - np.rint(UNIT * np.asarray(guess, dtype=np.float64)).astype(np.int64)).sum()
            - round(UNIT * math.sqrt(2 / math.pi) * deviation * real.size)
            for real, guess in zip(truth, known, strict=True)
        ],
        dtype=np.int64,
    )


def by_sketch(start: Start, sketch: Tables, pairs: Sequence[Pair]) -> list[Pair]:
    """Pairs, those first that are furthest from independent in the sketch, the noise taken off."""
    alone = [np.bincount(group, share) for group, share in zip(sketch.groups, start.shares, strict=True)]
    scores = []
    for first, second in pairs:
        off = sketch.block(sketch.shares, first, second)[0] - np.outer(alone[first], alone[second])
        noise = 1 / sketch.block(sketch.precision, first, second)[0, 0]
        square = (float((off**2).sum()) - off.size * float(noise)) * off.size
        times = _TARGET if start.target in (first, second) else 1.0
        scores.append(times * math.copysign(math.sqrt(abs(square)), square))
    return [pairs[place] for place in np.argsort(-np.array(scores), kind="stable")]


def singly(
    draws: Draws,
    truth: Sequence[NDArray[np.int64]],
    many: int,
    rho: float,
    deviation: float,
    says: Callable[[], Sequence[NDArray[Any]]],
    count: Callable[[int], None],
    may: Callable[[int], bool],
) -> list[int]:
    """Choose by the exponential mechanism, have it counted, and again.

    Args:
        truth: the exact table of each candidate.
        many: how often, at most.
        rho: what one choice costs.
        deviation: of the noise that a table will have.
        says: what is known of each candidate's table before a choice, in rows.
        count: counts a candidate.
        may: whether a candidate can be taken, from what was taken before; once it cannot, it never can.

    Returns:
        The candidates chosen, the first first.
    """
    left, taken = list(range(len(truth))), list[int]()
    while len(taken) < many:
        left = [each for each in left if may(each)]
        if not left:
            break
        known = says()
        scores = scored([truth[each] for each in left], [known[each] for each in left], deviation)
        best = left.pop(draws.choose(scores, UNIT, rho))
        taken.append(best)
        count(best)
    return taken
