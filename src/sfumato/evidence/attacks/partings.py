"""The chance that a part of a class would have kept a promise about a sensitive column.

Who of a class is in the part is known, who of them has which value is not: with every way to deal the values
as likely, the part is a draw without replacement (multivariate hypergeometric).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sfumato.evidence.attacks.spreads import Close, Scale, Tail, well_spread_chances

#: A share that a whole number of people has by definition may be a little more by rounding.
_ROUNDING = 1e-9
#: Steps in which what an entropy may lack is added up, each value's rounded down.
_BINS = 1000


@dataclass(frozen=True)
class Promise:
    """At least ``least`` values of a column in a class, none with more than a share ``most`` of people.

    Their entropy is at least that of ``even`` equally frequent ones. ``tails`` and ``close`` ask more of
    which values are how frequent.
    """

    least: int = 1
    most: float = 1.0
    even: float = 1.0
    tails: tuple[Tail, ...] = ()
    close: tuple[Close, ...] = ()

    def both(self, other: Promise) -> Promise:
        """The stricter of two."""
        return Promise(
            max(self.least, other.least),
            min(self.most, other.most),
            max(self.even, other.even),
            (*self.tails, *other.tails),
            (*self.close, *other.close),
        )

    @property
    def adds_up(self) -> bool:
        """Whether the chance that it is broken adds up value by value, as :func:`breaks` does."""
        return not self.tails and not self.close

    @property
    def heaviest(self) -> float:
        """No value with at most this share of people breaks it, but for too few values or their distance.

        Values of which none has more than 1 / l have an entropy of ln l at least.
        """
        return min(self.most, 1 / self.even, *(tail.heaviest for tail in self.tails))

    def cap(self, people: int) -> int:
        """How many of some people may have one value."""
        return int((self.most + _ROUNDING) * people)

    def holds(
        self,
        people: NDArray[np.int64],
        values: NDArray[np.int64],
        most: NDArray[np.int64],
        spread: NDArray[np.float64],
    ) -> NDArray[np.bool_]:
        """Of classes, by their people, their values, the people of the most frequent one, and the spread."""
        even = spread <= people * (np.log(np.maximum(people, 1) / self.even) + _ROUNDING)
        shares = most <= (self.most + _ROUNDING) * people
        return np.asarray((values >= self.least) & shares & (even | (self.even <= 1)), dtype=bool)

    def kept_by(
        self, shares: NDArray[np.float64], values: NDArray[np.int64], scale: Scale
    ) -> NDArray[np.bool_]:
        """Whether probabilities of values, shape (people, values), keep it; impossible ones do not count."""
        possible = (shares > _ROUNDING).sum(axis=1) >= self.least
        entropy = -np.where(shares > 0, shares * np.log(np.maximum(shares, _ROUNDING)), 0.0).sum(axis=1)
        even = entropy >= math.log(self.even) - _ROUNDING
        kept = possible & even & (shares.max(axis=1) <= self.most + _ROUNDING)
        if not self.adds_up:
            kept &= well_spread_chances(scale, values, shares, self.tails, self.close)
        return np.asarray(kept, dtype=bool)


def breaks(contents: Iterable[int], drawn: int, promise: Promise) -> float:
    """The chance that ``drawn`` of a class, whose values have so many people each, break a promise.

    >>> round(breaks((2, 1, 1, 1, 1, 1), 2, Promise(most=0.5)) * 21, 9)
    1.0
    """
    whole = tuple(sorted(contents))
    return _breaks(whole, drawn, _terms(promise, drawn, len(whole)), -1)


def breaks_given(contents: Iterable[int], drawn: int, promise: Promise, people: int, inside: bool) -> float:
    """:func:`breaks` where somebody, inside the part or not, has a value that so many ``people`` have."""
    rest = sorted(contents)
    terms = _terms(promise, drawn, len(rest))
    rest.remove(people)
    if inside:
        return _breaks(tuple(rest), drawn - 1, terms, people - 1)
    return _breaks(tuple(sorted([*rest, people - 1])), drawn, terms, -1)


class _Terms(NamedTuple):
    """What a part of a class may have: people of one value, values, and evenness.

    The entropy of n people of each of V values is ln V less the mean of n ln (n / m) - n + m over them, where
    m = people / V: never negative, so that it only grows with each value. ``lack`` is how much that may come
    to, infinite where nothing is asked of an entropy; ``mean`` is m.
    """

    cap: int
    least: int
    lack: float = math.inf
    mean: float = 1.0

    @property
    def bins(self) -> int:
        """The steps of what is lacking, none where it does not matter."""
        return 0 if self.lack == math.inf else _BINS

    def step(self, people: int) -> int:
        """The steps that so many people of one value take, more than there are if they are too many."""
        if not self.bins:
            return 0
        taken = self.mean - people + (people * math.log(people / self.mean) if people else 0.0)
        if taken > self.lack + _ROUNDING:
            return self.bins + 1
        return int(taken / max(self.lack, _ROUNDING) * self.bins + 1e-6) if taken > _ROUNDING else 0


def _terms(promise: Promise, people: int, values: int) -> _Terms:
    if promise.even <= 1 or not people:
        return _Terms(promise.cap(people), promise.least)
    lack = people * math.log(values / promise.even)
    return _Terms(promise.cap(people), promise.least, lack, people / values)


@lru_cache(maxsize=100_000)
def _breaks(contents: tuple[int, ...], drawn: int, terms: _Terms, own: int) -> float:
    """The chance that a draw has too few values, too many people of one, or too little entropy.

    With ``own`` not negative somebody is in the part beside the draw, whose value so many others have. Only
    chances are added up, so that the least of them is right.
    """
    if terms.lack < -_ROUNDING:
        return 1.0
    # Chances by the values seen so far, ``least`` standing for more, the people drawn, and what is lacking.
    found = np.zeros((terms.least + 1, drawn + 1, terms.bins + 1))
    found[0, 0, 0] = 1.0
    left, broken = sum(contents) + max(0, own), 0.0
    if own >= 0:
        # Somebody known to be there has it, so it counts whether it is drawn again or not.
        after, broken = _with_value(found, left, own, terms, 1)
        found = np.zeros_like(found)
        found[1] = after.sum(axis=0)
        left -= own
    for people in contents:
        found, more = _with_value(found, left, people, terms, 0)
        broken += more
        left -= people
    return float(min(1.0, broken + found[: terms.least, drawn].sum()))


def _with_value(
    found: NDArray[np.float64], left: int, people: int, terms: _Terms, known: int
) -> tuple[NDArray[np.float64], float]:
    """The chances with one more value, of so many of the people left, and the chance that it breaks it.

    ``known`` people of the value are there beside the draw.
    """
    after, broken = np.zeros_like(found), 0.0
    drawn, bins = found.shape[1] - 1, found.shape[2] - 1
    logs = _log_factorials(left)
    for many in range(min(people, drawn) + 1):
        before = np.arange(drawn - many + 1)
        wanted = drawn - before
        # Of those wanted the value has ``many``, the rest of the people left the others.
        others = left - people - (wanted - many)
        can = (others >= 0) & (wanted <= left)
        at, wanted, others = before[can], wanted[can], others[can]
        chance = np.exp(
            logs[people] - logs[many] - logs[people - many]
            + logs[left - people] - logs[wanted - many] - logs[others]
            - logs[left] + logs[wanted] + logs[left - wanted]
        )  # fmt: skip
        moved = found[:, at] * chance[:, None]
        step = terms.step(many + known)
        kept = max(0, bins + 1 - step) if many + known <= terms.cap else 0
        broken += float(moved[:, :, kept:].sum())
        if not kept:
            continue
        moved = moved[:, :, :kept]
        if many == 0:
            after[:, at, step:] += moved
        else:
            after[1:, at + many, step:] += moved[:-1]
            after[-1, at + many, step:] += moved[-1]
    return after, broken


@lru_cache(maxsize=64)
def _log_factorials(most: int) -> NDArray[np.float64]:
    """The logarithms of 0! to the factorial of ``most``."""
    return np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, most + 1)))])
