"""Steps of a language model for one new token of each prefix, compiled.

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
    # Unsigned, so that none counts from the end.
    wanted = columns.astype(np.uint32)
    alike = (columns == columns[0]).all()
    for row in range(table.shape[0]):
        line, new = table[row], found[row]
        if alike:
            new[: len(wanted)] = line[wanted[0]]
        else:
            for place in range(len(wanted)):
                new[place] = line[wanted[place]]


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


@njit(cache=True, fastmath={"contract", "reassoc", "arcp"})
def normed(
    state: NDArray[np.float32], least: float, found: NDArray[np.float32]
) -> None:  # pragma: no cover - compiled
    """Numbers less their mean, by their deviation (layer norm without weights), and then a row of ones.

    Args:
        state: shape (width, prefixes).
        least: what is added to the variance.
        found: shape (width + 1, prefixes), written.
    """
    width, prefixes = state.shape
    mean, spread = np.zeros(prefixes, dtype=np.float32), np.zeros(prefixes, dtype=np.float32)
    for part in range(width):
        line = state[part]
        for row in range(prefixes):
            mean[row] += line[row]
    for row in range(prefixes):
        mean[row] /= np.float32(width)
    for part in range(width):
        line = state[part]
        for row in range(prefixes):
            spread[row] += (line[row] - mean[row]) * (line[row] - mean[row])
    for row in range(prefixes):
        spread[row] = np.float32(1) / np.sqrt(spread[row] / np.float32(width) + np.float32(least))
    for part in range(width):
        line, new = state[part], found[part]
        for row in range(prefixes):
            new[row] = (line[row] - mean[row]) * spread[row]
    found[width] = 1


@njit(cache=True, fastmath={"contract", "arcp", "nsz"})
def attended(
    query: NDArray[np.float32], known: NDArray[np.float32], there: NDArray[np.bool_], heads: int
) -> None:  # pragma: no cover - compiled
    """Values by the softmax of the products of a query and their keys, in the query's place.

    Args:
        query: shape (width or more, prefixes).
        known: keys and, after them, values, shape (places, twice the width, prefixes).
        there: which of them are there at all, shape (places, prefixes); without rows if all are. The first
            always is.
    """
    places, prefixes = known.shape[0], known.shape[2]
    width = known.shape[1] // 2
    size = width // heads
    scores = np.empty((places, prefixes), dtype=np.float32)
    most, total = np.empty(prefixes, dtype=np.float32), np.empty(prefixes, dtype=np.float32)
    powers = np.empty(prefixes, dtype=np.int32)
    twos = powers.view(np.float32)
    for head in range(heads):
        first = head * size
        for place in range(places):
            line = scores[place]
            line[:] = 0
            # A head has an even number of numbers: two in a go are fewer stores.
            for part in range(first, first + size, 2):
                one, other = query[part], query[part + 1]
                key, next_key = known[place, part], known[place, part + 1]
                for row in range(prefixes):
                    line[row] += one[row] * key[row] + other[row] * next_key[row]
            if len(there):
                here = there[place]
                for row in range(prefixes):
                    line[row] = line[row] if here[row] else np.float32(-np.inf)
            if place == 0:
                most[:] = line
            for row in range(prefixes):
                most[row] = line[row] if line[row] > most[row] else most[row]
        total[:] = 0
        for place in range(places):
            line = scores[place]
            # The exponential: of a whole power of two, and a polynomial for the rest (as Cephes has it).
            for row in range(prefixes):
                under = max(line[row] - most[row], np.float32(-87))
                whole = np.int32(under * np.float32(1.4426950408889634) - np.float32(0.5))
                rest = under - np.float32(whole) * np.float32(0.693359375)
                rest += np.float32(whole) * np.float32(2.12194440e-4)
                found = np.float32(1.3981999507e-3) + rest * np.float32(1.9875691500e-4)
                found = np.float32(4.1665795894e-2) + rest * (np.float32(8.3334519073e-3) + rest * found)
                found = np.float32(0.5) + rest * (np.float32(1.6666665459e-1) + rest * found)
                line[row] = np.float32(1) + rest * (np.float32(1) + rest * found)
                powers[row] = (whole + np.int32(127)) << np.int32(23)
            for row in range(prefixes):
                line[row] *= twos[row]
                total[row] += line[row]
        for part in range(first, first + size):
            seen = query[part]
            seen[:] = 0
            for place in range(places):
                line, value = scores[place], known[place, width + part]
                for row in range(prefixes):
                    seen[row] += line[row] * value[row]
            for row in range(prefixes):
                seen[row] /= total[row]


@njit(cache=True)
def chosen(
    shares: NDArray[np.float32], which: NDArray[np.int64], uniform: NDArray[np.float64]
) -> NDArray[np.int64]:  # pragma: no cover - compiled
    """For each of ``which`` columns of shares one of the rows, by shares that need not add up to one."""
    total = np.zeros(shares.shape[1])
    for line in shares:
        for column in range(len(total)):
            total[column] += line[column]
    found, heap, wanted = np.zeros(len(which), dtype=np.int64), np.zeros(len(which)), np.empty(len(which))
    for row in range(len(which)):
        # Below the sum, even by rounding: else the last would be drawn, which may be forbidden.
        most = total[which[row]]
        wanted[row] = min(uniform[row] * most, np.nextafter(most, 0.0))
    for line in shares:
        for row in range(len(which)):
            heap[row] += line[which[row]]
            found[row] += heap[row] <= wanted[row]
    return found


@njit(cache=True)
def numbered(
    keys: NDArray[np.int64],
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:  # pragma: no cover - compiled
    """For each key the number of its like, counted from 0 as they come, and where each of them is first."""
    bits = 4
    while (1 << bits) < 2 * len(keys):
        bits += 1
    room = np.full(1 << bits, -1, dtype=np.int32)
    last, shift = np.uint64((1 << bits) - 1), np.uint64(64 - bits)
    numbers, firsts = np.empty(len(keys), dtype=np.int32), np.empty(len(keys), dtype=np.int64)
    count = 0
    for place in range(len(keys)):
        # Multiplicative hashing (Knuth 1973), and the next free place.
        at = (np.uint64(keys[place]) * np.uint64(0x9E3779B97F4A7C15)) >> shift
        while room[at] >= 0 and keys[firsts[room[at]]] != keys[place]:
            at = (at + np.uint64(1)) & last
        if room[at] < 0:
            room[at], firsts[count] = count, place
            count += 1
        numbers[place] = room[at]
    return numbers, firsts[:count]


@njit(cache=True, fastmath={"contract", "reassoc", "nsz"})
def weighted(
    met: NDArray[np.float32],
    heads: int,
    asking: NDArray[np.int32],
    asked: NDArray[np.int32],
    places: NDArray[np.int64],
    found: NDArray[np.float32],
) -> None:  # pragma: no cover - compiled
    """Add for each pair the values, by the exponentials of the products of query and key, to a row.

    Args:
        met: queries, keys and values, shape (met, three times the width).
        asking: which of them asks, shape (pairs,).
        asked: and which is asked.
        places: the row that it is added to.
        found: shape (rows, width).
    """
    width = met.shape[1] // 3
    size = width // heads
    products, weights = np.empty(width, dtype=np.float32), np.empty(width, dtype=np.float32)
    for pair in range(len(asking)):
        query, key = met[asking[pair], :width], met[asked[pair], width : 2 * width]
        value, into = met[asked[pair], 2 * width :], found[places[pair]]
        for part in range(width):
            products[part] = query[part] * key[part]
        for first in range(0, width, size):
            score = np.float32(0)
            for part in range(first, first + size):
                score += products[part]
            weights[first : first + size] = np.exp(score)
        for part in range(width):
            into[part] += weights[part] * value[part]
