"""Attention of one new token of each prefix to those before it, compiled.

A column of each array is a prefix: what is done for one is done for many at once.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(cache=True)
def picked(
    table: NDArray[np.float32], columns: NDArray[np.int64], found: NDArray[np.float32]
) -> None:  # pragma: no cover - compiled
    """Some columns of a table, into as many rows of ``found``."""
    for row in range(table.shape[0]):
        line, new = table[row], found[row]
        for place in range(len(columns)):
            new[place] = line[columns[place]]


@njit(cache=True)
def turn(
    state: NDArray[np.float32],
    size: int,
    positions: NDArray[np.int64],
    cos: NDArray[np.float32],
    sin: NDArray[np.float32],
) -> None:  # pragma: no cover - compiled
    """Rotary positions (Su et al. 2021) for the first numbers of each head, in place.

    Args:
        state: shape (heads times size, prefixes).
        positions: shape (prefixes,).
        cos: of the turns of each position, and like them ``sin``, shape (numbers, positions).
    """
    half = cos.shape[0] // 2
    for begin in range(0, state.shape[0], size):
        for low in range(half):
            one, other = state[begin + low], state[begin + low + half]
            for row in range(len(positions)):
                at = positions[row]
                first, second = one[row], other[row]
                one[row] = first * cos[low, at] - second * sin[low, at]
                other[row] = second * cos[low + half, at] + first * sin[low + half, at]


@njit(cache=True, fastmath={"contract"})
def scored(
    query: NDArray[np.float32], known: NDArray[np.float32], heads: int
) -> NDArray[np.float32]:  # pragma: no cover - compiled
    """The products of a query and all keys, shape (places, heads, prefixes).

    Args:
        query: shape (width, prefixes).
        known: keys and, after them, values, shape (places, twice the width, prefixes).
    """
    places, prefixes = known.shape[0], known.shape[2]
    size = len(query) // heads
    found = np.zeros((places, heads, prefixes), dtype=np.float32)
    for place in range(places):
        for head in range(heads):
            scores = found[place, head]
            for part in range(head * size, head * size + size):
                one, other = query[part], known[place, part]
                for row in range(prefixes):
                    scores[row] += one[row] * other[row]
    return found


@njit(cache=True, fastmath={"contract"})
def mixed(
    shares: NDArray[np.float32], known: NDArray[np.float32]
) -> NDArray[np.float32]:  # pragma: no cover - compiled
    """The sums of values by their shares, shape (width, prefixes).

    Args:
        shares: shape (places, heads, prefixes).
        known: keys and, after them, values, shape (places, twice the width, prefixes).
    """
    places, heads, prefixes = shares.shape
    width = known.shape[1] // 2
    size = width // heads
    found = np.zeros((width, prefixes), dtype=np.float32)
    for part in range(width):
        total = found[part]
        for place in range(places):
            share, value = shares[place, part // size], known[place, width + part]
            for row in range(prefixes):
                total[row] += share[row] * value[row]
    return found
