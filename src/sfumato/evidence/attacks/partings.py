"""The chance that a part of a class would have kept a promise about a sensitive column.

Who of a class is in the part is known, who of them has which value is not: with every way to deal the values
as likely, the part is a draw without replacement (multivariate hypergeometric).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

#: A share that a whole number of people has by definition may be a little more by rounding.
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Promise:
    """At least ``least`` values of a column in a class, none with more than a share ``most`` of people."""

    least: int = 1
    most: float = 1.0

    def both(self, other: Promise) -> Promise:
        """The stricter of two."""
        return Promise(max(self.least, other.least), min(self.most, other.most))

    def cap(self, people: int) -> int:
        """How many of some people may have one value."""
        return int((self.most + _ROUNDING) * people)

    def holds(
        self, people: NDArray[np.int64], values: NDArray[np.int64], most: NDArray[np.int64]
    ) -> NDArray[np.bool_]:
        """Of classes, by their people, their values, and the people of the most frequent one."""
        return np.asarray((values >= self.least) & (most <= (self.most + _ROUNDING) * people), dtype=bool)

    def kept_by(self, shares: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Whether probabilities, shape (people, values), keep it; impossible values do not count."""
        possible = (shares > _ROUNDING).sum(axis=1) >= self.least
        return np.asarray(possible & (shares.max(axis=1) <= self.most + _ROUNDING), dtype=bool)


def breaks(contents: Iterable[int], drawn: int, promise: Promise) -> float:
    """The chance that ``drawn`` of a class, whose values have so many people each, break a promise.

    >>> round(breaks((2, 1, 1, 1, 1, 1), 2, Promise(most=0.5)) * 21, 9)
    1.0
    """
    return _breaks(tuple(sorted(contents)), drawn, promise.cap(drawn), promise.least, -1)


def breaks_given(contents: Iterable[int], drawn: int, promise: Promise, people: int, inside: bool) -> float:
    """:func:`breaks` where somebody, inside the part or not, has a value that so many ``people`` have."""
    rest = sorted(contents)
    rest.remove(people)
    cap = promise.cap(drawn)
    if inside:
        return _breaks(tuple(rest), drawn - 1, cap, promise.least, people - 1)
    return _breaks(tuple(sorted([*rest, people - 1])), drawn, cap, promise.least, -1)


@lru_cache(maxsize=100_000)
def _breaks(contents: tuple[int, ...], drawn: int, cap: int, least: int, own: int) -> float:
    """The chance that a draw has fewer than ``least`` values, or one of them more than ``cap`` times.

    With ``own`` not negative somebody is in the part beside the draw, whose value so many others have. Only
    chances are added up, so that the least of them is right.
    """
    # Chances by the values seen so far, ``least`` standing for more, and the people drawn.
    found = np.zeros((least + 1, drawn + 1))
    found[0, 0] = 1.0
    left, broken = sum(contents) + max(0, own), 0.0
    if own >= 0:
        # Somebody known to be there has it, so it counts whether it is drawn again or not.
        after, broken = _with_value(found, left, own, drawn, cap - 1)
        found = np.zeros_like(found)
        found[1] = after.sum(axis=0)
        left -= own
    for people in contents:
        found, more = _with_value(found, left, people, drawn, cap)
        broken += more
        left -= people
    return float(min(1.0, broken + found[:least, drawn].sum()))


def _with_value(
    found: NDArray[np.float64], left: int, people: int, drawn: int, cap: int
) -> tuple[NDArray[np.float64], float]:
    """The chances with one more value, of so many of the people left, and the chance that it has too many."""
    after, broken = np.zeros_like(found), 0.0
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
        if many > cap:
            broken += float((found[:, at] * chance).sum())
        elif many == 0:
            after[:, at] += found[:, at] * chance
        else:
            after[1:, at + many] += found[:-1, at] * chance
            after[-1, at + many] += found[-1, at] * chance
    return after, broken


@lru_cache(maxsize=64)
def _log_factorials(most: int) -> NDArray[np.float64]:
    """The logarithms of 0! to the factorial of ``most``."""
    return np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, most + 1)))])
