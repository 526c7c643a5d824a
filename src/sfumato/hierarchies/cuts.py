"""Bounds between bins of about as many people each, rounded so that no bound is anybody's value.

The bound near a quantile is sought among the values of people on both sides of it, and the roundest number
there is taken. Only where these people are as a whole, and not where any one of them is, decides it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from decimal import ROUND_FLOOR, ROUND_HALF_EVEN, Decimal

import numpy as np
from numpy.typing import NDArray

#: From a bound of a window (not included) to the other (included), near a third: the roundest between.
Roundest = Callable[[float, float, float], float]

_EPOCH = dt.date(1970, 1, 1).toordinal()
#: The first and the last day of the calendar, in days since 1970.
LIMITS = (1 - _EPOCH, dt.date.max.toordinal() - _EPOCH)
#: Months in the calendar units that a date may begin: decade, five years, year, half-year, quarter, month.
_UNITS = (120, 60, 12, 6, 3, 1)


def find_cuts(
    values: NDArray[np.float64], people: NDArray[np.int64], bins: int, least: int, roundest: Roundest
) -> list[float]:
    """Bounds of at most ``bins`` bins with at least ``least`` people each, growing.

    A value lies in the bin whose lower bound is the last not above it.

    Args:
        values: distinct and growing, shape (v,).
        people: how many have each, shape (v,).
        bins: how many bins there should be.
        least: people in each bin; a bound is sought among as many.
        roundest: :func:`roundest_number` or :func:`roundest_day`.

    >>> find_cuts(np.arange(18.0, 91), np.full(73, 10), 4, 10, roundest_number)
    [40.0, 50.0, 70.0]
    """
    below = np.concatenate([[0], np.cumsum(people)])
    total, before = int(below[-1]), 0
    cuts: list[float] = []
    if total < 2 * least:
        return cuts
    for number in range(1, bins):
        rank = total * number / bins
        for window in windows(below, rank, max(least / 2, total / bins / 4), least):
            cut = roundest(*(float(values[i]) for i in window))
            left = int(below[np.searchsorted(values, cut)])
            if left - before >= least and total - left >= least:
                cuts.append(cut)
                before = left
                break
    return cuts


def coarser(
    values: NDArray[np.float64], people: NDArray[np.int64], cuts: Sequence[float], bins: int
) -> list[float]:
    """Those of the bounds that are nearest to the quantiles of fewer bins, growing.

    >>> coarser(np.arange(8.0), np.full(8, 5), [2.0, 4.0, 6.0], 2)
    [4.0]
    """
    below = np.concatenate([[0], np.cumsum(people)])
    left = [int(below[i]) for i in np.searchsorted(values, cuts)]
    ranks = [below[-1] * number / bins for number in range(1, bins)]
    nearest = {min(range(len(cuts)), key=lambda i: abs(left[i] - rank)) for rank in ranks if cuts}
    return [cuts[i] for i in sorted(nearest)]


def windows(below: NDArray[np.int64], rank: float, reach: float, least: int) -> list[tuple[int, int, int]]:
    """Where the bound at a rank may lie: value numbers (from, not included; to; near), the best first.

    ``below[i]`` people have a smaller value than number i. So that no few decide a bound, ``least`` people
    lie above the lower end of a window and ``least`` below its upper end, both within it.
    """
    low, near, high = (_at(below, where) for where in (rank - reach, rank, rank + reach))
    lower = min(low, _at(below, below[high] - least))
    upper = max(high, _at(below, below[low + 1] + least - 1))
    if low < high:
        return [(lower, upper, near)]
    # So many have one value that the quantile is within it: right below or right above.
    sides = [(rank - below[near], (lower, near, near)), (below[near + 1] - rank, (near, upper, near))]
    return [window for _, window in sorted(sides) if window[0] < window[1]]


def _at(below: NDArray[np.int64], rank: float) -> int:
    """The number of the value that the person at a rank has (from 0), the first or last beyond the ends."""
    return int(np.clip(np.searchsorted(below, rank, side="right") - 1, 0, len(below) - 2))


def roundest_number(low: float, high: float, near: float) -> float:
    """The number above ``low``, at most ``high``, with the largest step of 1, 2 or 5 times a power of ten.

    Of several the one closest to ``near``.

    >>> roundest_number(37, 58, 44), roundest_number(0.1234, 0.1267, 0.125), roundest_number(-3, 8, 5)
    (50.0, 0.125, 0.0)
    """
    least, most, about = (Decimal(repr(float(number))) for number in (low, high, near))
    if least < 0 <= most:
        return 0.0
    power = max(least.adjusted(), most.adjusted()) + 1
    while True:
        for digit in (5, 2, 1):
            step = Decimal(digit).scaleb(power)
            first = (least / step).to_integral_value(ROUND_FLOOR) + 1
            last = (most / step).to_integral_value(ROUND_FLOOR)
            if first <= last:
                wanted = (about / step).to_integral_value(ROUND_HALF_EVEN)
                return float(step * min(max(wanted, first), last))
        power -= 1


def roundest_day(low: float, high: float, near: float) -> float:
    """The day after ``low``, at most ``high``, that begins the largest calendar unit; days since 1970.

    >>> days = [dt.date(1987, 3, 5), dt.date(1991, 6, 1), dt.date(1988, 1, 1)]
    >>> date_of(int(roundest_day(*((day - dt.date(1970, 1, 1)).days for day in days))))
    datetime.date(1990, 1, 1)
    """
    for unit in _UNITS:
        first = _month(low) // unit + 1
        last = _month(high) // unit
        if first <= last:
            nearest = min(
                {first, last, *(min(max(_month(near) // unit + more, first), last) for more in (0, 1))},
                key=lambda number: (abs(_first_day(number * unit) - near), number),
            )
            return float(_first_day(nearest * unit))
    return float(min(max(near, low + 1), high))


def date_of(days: int) -> dt.date:
    """The date of a number of days since 1970."""
    return dt.date.fromordinal(days + _EPOCH)


def _month(days: float) -> int:
    """Months since the year 0 of the month that a day lies in."""
    day = date_of(int(days))
    return day.year * 12 + day.month - 1


def _first_day(month: int) -> int:
    return dt.date(month // 12, month % 12 + 1, 1).toordinal() - _EPOCH
