"""Bins of a column of numbers, and the shape inside each: what both ways of looking at a column share.

Whatever is known of a column comes as *cells*: stretches of the line with how many people each holds. Without
differential privacy a cell is a value that occurs; under it, an interval of a fixed grid with a noisy count.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: A bin's shape has so many pieces at most.
_PIECES = 32


@dataclass(frozen=True)
class Cells:
    """Stretches of the line that ascend and do not overlap, with both ends in, shape (cells,) each.

    ``exact`` says of a cell that its value (``low`` is ``high``) may come out as it is.
    """

    low: NDArray[Any]
    high: NDArray[Any]
    count: NDArray[np.float64]
    exact: NDArray[np.bool_]


@dataclass(frozen=True)
class Bins:
    """Where codes begin, and the pieces from which a code's values are drawn.

    ``starts`` has shape (codes - 1,): the first value of every code but the first. Piece p holds whole
    numbers, or floats, from ``low[p]`` to ``high[p]``, drawn evenly; ``weight[p]`` is its share of people and
    ``code[p]``, ascending, its code. Every code has a piece.
    """

    starts: NDArray[Any]
    low: NDArray[Any]
    high: NDArray[Any]
    weight: NDArray[np.float64]
    code: NDArray[np.int64]


def binned(cells: Cells, bins: int, values: int, least: float) -> Bins:
    """Codes for cells: a code of its own for each spike, and as many people in each of the others.

    Args:
        cells: one at least; their counts sum to ``least`` or more.
        bins: about how many codes, where there are more than ``values`` cells.
        values: up to so many cells have a code each.
        least: the fewest people in a code, and in a piece.

    >>> low = np.arange(6)
    >>> found = binned(Cells(low, low, np.array([90.0, 1, 2, 30, 4, 5]), np.ones(6, bool)), 8, 2, 5)
    >>> found.starts, found.low
    (array([3, 5]), array([0, 3, 5]))
    """
    code = _codes(cells, bins, values, least)
    firsts = np.flatnonzero(np.diff(code, prepend=-1))
    ends = np.append(firsts[1:], len(code))
    pieces = [_pieces(cells, int(a), int(b), least) for a, b in zip(firsts, ends, strict=True)]
    low, high, weight = (np.concatenate(part) for part in zip(*pieces, strict=True))
    starts = _between(cells.high[firsts[1:] - 1], cells.low[firsts[1:]])
    return Bins(starts, low, high, weight, np.repeat(np.arange(len(pieces)), [len(p[0]) for p in pieces]))


def _between(low: NDArray[Any], high: NDArray[Any]) -> NDArray[Any]:
    """Values above ``low`` and not above ``high``, halfway."""
    half = (high - low) // 2 + (high > low) if low.dtype.kind == "i" else (high - low) / 2
    return np.where(low + half > low, low + half, high)


def _codes(cells: Cells, bins: int, values: int, least: float) -> NDArray[np.int64]:
    """The code of each cell, ascending."""
    own = cells.exact & (cells.count >= least)
    if np.count_nonzero(own) > values or cells.count[~own].sum() > 0.05 * cells.count.sum():
        own = _spikes(cells, own, bins)
    rest = np.where(own, 0.0, cells.count)
    share = max(rest.sum() / max(bins - np.count_nonzero(own), 4), least)
    # In each stretch between two spikes, as many people in each bin.
    stretch = 2 * np.cumsum(own) - own
    order = np.zeros(len(own), dtype=np.int64)
    for place in np.unique(stretch[~own]):
        here = np.flatnonzero(stretch == place) if place % 2 == 0 else np.zeros(0, dtype=np.int64)
        people = rest[here].sum()
        many = max(1, round(people / share))
        middle = np.cumsum(rest[here]) - rest[here] / 2
        order[here] = np.minimum((middle * many / max(people, 1e-300)).astype(np.int64), many - 1)
    code = np.cumsum((np.diff(stretch, prepend=stretch[:1]) != 0) | (np.diff(order, prepend=order[:1]) != 0))
    return _merged(code, cells.count, least)


def _spikes(cells: Cells, own: NDArray[np.bool_], bins: int) -> NDArray[np.bool_]:
    """Values with as many people as a bin should have; without them the bins become finer, and so again."""
    spikes = np.zeros(len(own), dtype=bool)
    while True:
        left = bins - np.count_nonzero(spikes)
        if left < 4:
            return spikes
        more = own & ~spikes & (cells.count >= cells.count[~spikes].sum() / left)
        if not more.any():
            return spikes
        # The largest first, as far as codes go.
        places = np.flatnonzero(more)
        spikes[places[np.argsort(-cells.count[places], kind="stable")[: left - 3]]] = True


def _merged(code: NDArray[np.int64], count: NDArray[np.float64], least: float) -> NDArray[np.int64]:
    """Codes of fewer than ``least`` people joined to a neighbour, numbered anew from 0."""
    firsts = np.flatnonzero(np.diff(code, prepend=code[:1] - 1))
    people = np.add.reduceat(count, firsts)
    kept: list[int] = []
    held = 0.0
    for place, many in enumerate(people.tolist()):
        if not kept or (held >= least and many >= least):
            kept.append(place)
            held = many
        else:
            held += many
    starts = np.zeros(len(code), dtype=np.int64)
    starts[firsts[kept[1:]]] = 1
    return np.cumsum(starts)


def _pieces(
    cells: Cells, begin: int, end: int, least: float
) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.float64]]:
    """The pieces of the code that holds some cells: values of many as they are, the others in stretches."""
    low, high, count = cells.low[begin:end], cells.high[begin:end], cells.count[begin:end]
    own = cells.exact[begin:end] & (count >= least)
    rest = np.flatnonzero(~own & (count > 0))
    people = count[rest].sum()
    found = [(low[own], high[own], count[own])]
    if 0 < people >= least or not own.any():
        many = int(min(_PIECES, max(1, people // max(least, people / _PIECES))))
        middle = np.cumsum(count[rest]) - count[rest] / 2
        group = np.minimum((middle * many / max(people, 1e-300)).astype(np.int64), many - 1)
        ends = np.flatnonzero(np.diff(group, append=many))
        begins = np.append(0, ends[:-1] + 1)
        if not len(rest):
            found.append((low[:1], high[-1:], np.ones(1)))
        else:
            left, right = _inner(cells, begin + rest, begins, ends)
            found.append((left, right, np.add.reduceat(count[rest], begins)))
    pieces = [np.concatenate(part) for part in zip(*found, strict=True)]
    order = np.lexsort((pieces[1], pieces[0]))
    return pieces[0][order], pieces[1][order], pieces[2][order].astype(np.float64)


def _inner(
    cells: Cells, rest: NDArray[np.int64], begins: NDArray[np.int64], ends: NDArray[np.int64]
) -> tuple[NDArray[Any], NDArray[Any]]:
    """The ends of stretches; one that is a person's own value goes halfway to its neighbour within."""
    first, last = rest[begins], rest[ends]
    left, right = cells.low[first], cells.high[last]
    alone = cells.low == cells.high
    inward, outward = rest[np.minimum(begins + 1, ends)], rest[np.maximum(ends - 1, begins)]
    whole = left.dtype.kind == "i"
    half = (cells.low[inward] - left) // 2 if whole else (cells.low[inward] - left) / 2
    back = (right - cells.high[outward]) // 2 if whole else (right - cells.high[outward]) / 2
    left, right = (
        np.where(alone[first], left + half, left),
        np.where(alone[last], right - back, right),
    )
    return np.minimum(left, right), np.maximum(left, right)
