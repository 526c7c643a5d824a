"""Figures of a test that tells two kinds of people apart by a score: at few false alarms, and over all.

A mean over everybody says little of an attack that is sure of a few. So the first figure is the share of
members recognized at a fixed small share of false alarms (Carlini et al. 2022, arXiv 2112.03570, sec. II).
The threshold is found on the people who are not members, and its own uncertainty is in the interval.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sfumato.core.keyed import derive, generator
from sfumato.evidence import intervals
from sfumato.evidence.attacks.people import SUREST_SHARE, surest_share
from sfumato.evidence.intervals import LEVEL, newcombe, wilson
from sfumato.evidence.report import Figure


@dataclass(frozen=True)
class Scored:
    """Scores of people inside and outside, greater for inside, shape (people,) each.

    Args:
        key: breaks ties in intervals, halves people, and evens out their numbers.
    """

    members: NDArray[np.float64]
    others: NDArray[np.float64]
    key: bytes

    def claimed(self, rate: float) -> NDArray[np.float64]:
        """How far each member is recognized at a share of false alarms: 1, 0, or a part for ties.

        Those outside who tie at the threshold are false alarms as far as there is room, and members who
        tie with them are recognized as often.
        """
        ordered = np.sort(self.others)[::-1]
        allowed = rate * len(ordered)
        threshold = ordered[min(int(allowed), len(ordered) - 1)]
        above, at = (ordered > threshold).sum(), (ordered == threshold).sum()
        part = (allowed - above) / at
        return np.asarray((self.members > threshold) + part * (self.members == threshold), dtype=np.float64)

    def recognized(self, rate: float, level: float = LEVEL) -> Figure:
        """The share of members recognized at a share of false alarms, with an exact interval.

        The threshold at the r-th largest score of n outside has a true share of false alarms that is
        distributed as Beta(r, n + 1 - r), whatever the scores. The interval's low end takes the largest r
        whose threshold is surely too strict, the high end the smallest that is surely too lax, and at each
        the exact limit of the share of members (Clopper & Pearson 1934), every error a quarter of all.
        With fewer people outside than :func:`least_outside` no threshold is surely strict: no figure.

        >>> scored = Scored(np.arange(1000.0) + 900, np.arange(1000.0), bytes(32))
        >>> [round(part, 2) for part in scored.recognized(0.01)]
        [0.91, 0.88, 0.94]
        """
        if not len(self.members) or len(self.others) < least_outside(rate):
            return Figure(math.nan, math.nan, math.nan)
        members, others = self._untied()
        ordered = np.sort(others)[::-1]
        # Above no rank at all is nobody: the low end at a level for which there are too few outside.
        strict, lax = (
            intervals.clopper_pearson(
                int((members > ordered[rank - 1]).sum()) if rank else 0, len(members), (1 + level) / 2
            )
            for rank in _thresholds(len(others), rate, level)
        )
        value = float(self.claimed(rate).mean())
        return Figure(value, min(value, strict.low), max(value, lax.high))

    def auc(self, level: float = LEVEL) -> Figure:
        """The area under the curve, ties counted half, with a conservative interval.

        Its variance is at most that of a share of as many people as the smaller group has (Birnbaum &
        Klose 1957, *Annals of Mathematical Statistics* 28:933-945), so the score interval is wide enough.
        """
        if not len(self.members) or not len(self.others):
            return Figure(math.nan, math.nan, math.nan)
        truth = np.repeat([True, False], [len(self.members), len(self.others)])
        value = intervals.auc(truth, np.concatenate([self.members, self.others]))
        return wilson(value, min(len(self.members), len(self.others)), level)

    def advantage(self, level: float = LEVEL) -> Figure:
        """Recognized members less false alarms at the best threshold (Yeom et al. 2018, arXiv 1709.01604).

        The threshold is found on one half of the people and used on the other, both ways round, for a
        maximum over thresholds is above 0 by chance.
        """
        halves = [_halves(part, derive(self.key, "halves")) for part in (self.members, self.others)]
        if min(len(half) for part in halves for half in part) == 0:
            return Figure(math.nan, math.nan, math.nan)
        (first, second), (first_out, second_out) = halves
        found = [0, 0]
        for taught, taught_out, tested, tested_out in (
            (first, first_out, second, second_out),
            (second, second_out, first, first_out),
        ):
            threshold = _best_threshold(taught, taught_out)
            found[0] += int((tested >= threshold).sum())
            found[1] += int((tested_out >= threshold).sum())
        shares = (
            wilson(count / len(part), len(part), level)
            for count, part in zip(found, (self.members, self.others), strict=True)
        )
        return newcombe(*shares)

    def surest(self, level: float = LEVEL) -> tuple[Figure, int]:
        """The share of members among the surest hundredth of as many members as others, and its size."""
        size = min(len(self.members), len(self.others))
        members, others = (
            part if len(part) == size else generator(derive(self.key, "even")).permutation(part)[:size]
            for part in (self.members, self.others)
        )
        surest = round(SUREST_SHARE * 2 * size)
        if not surest:
            return Figure(math.nan, math.nan, math.nan), 0
        right = np.repeat([1.0, 0.0], [size, size])
        return wilson(surest_share(np.concatenate([members, others]), right, surest), surest, level), surest

    def _untied(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Ranks among all people, ties broken by draws."""
        scores = np.concatenate([self.members, self.others])
        draws = generator(derive(self.key, "ties")).random(len(scores))
        ranks = np.empty(len(scores), dtype=np.int64)
        ranks[np.lexsort((draws, scores))] = np.arange(len(scores))
        return ranks[: len(self.members)], ranks[len(self.members) :]


def least_outside(rate: float) -> int:
    """The fewest people outside with whom a threshold for so few false alarms has an interval.

    >>> least_outside(0.01), least_outside(0.001)
    (437, 4380)
    """
    return math.ceil(math.log((1 - LEVEL) / 4) / math.log1p(-rate))


def _thresholds(others: int, rate: float, level: float) -> tuple[int, int]:
    """The ranks of the surely strict and of the surely lax threshold; 0 and the last where there is none."""
    from scipy.special import betainc

    ranks = np.arange(1, others + 1)
    below = betainc(ranks, others + 1 - ranks, rate)
    error = (1 - level) / 4
    strict, lax = np.flatnonzero(1 - below <= error), np.flatnonzero(below <= error)
    return int(ranks[strict[-1]]) if len(strict) else 0, int(ranks[lax[0]]) if len(lax) else others


def _halves(scores: NDArray[np.float64], key: bytes) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    shuffled = generator(key).permutation(scores)
    return shuffled[::2], shuffled[1::2]


def _best_threshold(members: NDArray[np.float64], others: NDArray[np.float64]) -> float:
    """The threshold of the greatest difference between the shares at or above it."""
    levels = np.unique(np.concatenate([members, others]))
    shares = [
        1 - np.searchsorted(np.sort(part), levels, side="left") / len(part) for part in (members, others)
    ]
    return float(levels[np.argmax(shares[0] - shares[1])])
