"""The compiled inner loops of the membership attack; imported only when it runs."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

#: Rows compared at a time, so that their scores stay in the processor's cache.
BLOCK = 2048

#: Rows less likely than the best by a factor exp(12) add nothing to a density.
NEGLIGIBLE = np.float32(12.0)

_ONE, _ZERO = np.float32(1.0), np.float32(0.0)


@njit(cache=True)
def nearest(
    people: NDArray[np.float32], rows: NDArray[np.float32], numeric: NDArray[np.bool_]
) -> NDArray[np.float32]:  # pragma: no cover - compiled
    """The distance of each person to the nearest row: the sum over columns of Gower's (1971).

    Args:
        people: coordinates, shape (people, columns).
        rows: coordinates, shape (columns, rows).
        numeric: which columns are numbers, at most 1 apart; others are equal or 1 apart.

    Returns:
        Shape (people,), infinity if there are no rows.
    """
    n, d = people.shape
    m = rows.shape[1]
    found = np.full(n, np.inf, np.float32)
    buffer = np.empty(BLOCK, np.float32)
    for i in range(n):
        least = np.float32(np.inf)
        for start in range(0, m, BLOCK):
            stop = min(start + BLOCK, m)
            apart = buffer[: stop - start]
            apart[:] = _ZERO
            for j in range(d):
                at, column = people[i, j], rows[j, start:stop]
                if numeric[j]:
                    for k in range(stop - start):
                        away = abs(column[k] - at)
                        apart[k] += away if away < _ONE else _ONE
                else:
                    for k in range(stop - start):
                        apart[k] += _ZERO if column[k] == at else _ONE
            for k in range(stop - start):
                least = apart[k] if apart[k] < least else least
        found[i] = least
    return found


@njit(cache=True)
def log_density(
    people: NDArray[np.float32],
    rows: NDArray[np.float32],
    sizes: NDArray[np.float64],
    numeric: NDArray[np.bool_],
    narrow: NDArray[np.float32],
    wide: NDArray[np.float32],
    widths: tuple[np.float32, np.float32],
) -> NDArray[np.float64]:  # pragma: no cover - compiled
    """The log of the sum over rows of size times exp(what agrees), by person.

    Args:
        people, rows, numeric: as for :func:`nearest`.
        sizes: how many each row counts for, shape (rows,).
        narrow, wide: what it adds that a value is the row's, within either width, shape (people, columns);
            what a number adds falls linearly to nothing at the width.
        widths: of the two.

    Returns:
        Shape (people,), minus infinity if there are no rows.
    """
    n, d = people.shape
    m = rows.shape[1]
    steep, flat = _ONE / widths[0], _ONE / widths[1]
    found = np.full(n, -np.inf)
    buffer = np.empty(BLOCK, np.float32)
    for i in range(n):
        best, mass = _ZERO, 0.0
        for start in range(0, m, BLOCK):
            stop = min(start + BLOCK, m)
            score = buffer[: stop - start]
            score[:] = _ZERO
            for j in range(d):
                at, column, near, far = people[i, j], rows[j, start:stop], narrow[i, j], wide[i, j]
                if numeric[j]:
                    slope, gentle = near * steep, far * flat
                    for k in range(stop - start):
                        away = abs(column[k] - at)
                        first, second = near - slope * away, far - gentle * away
                        gain = first if first > second else second
                        score[k] += gain if gain > _ZERO else _ZERO
                else:
                    for k in range(stop - start):
                        score[k] += near if column[k] == at else _ZERO
            top = best
            for k in range(stop - start):
                top = score[k] if score[k] > top else top
            if top > best:
                mass *= np.exp(best - top)
                best = top
            for k in range(stop - start):
                if score[k] > best - NEGLIGIBLE:
                    mass += sizes[start + k] * np.exp(score[k] - best)
        if mass > 0:
            found[i] = best + np.log(mass)
    return found
