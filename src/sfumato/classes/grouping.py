"""Putting equal codes together: the kernel under every search and check."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Combined keys stay below this, so that no sum of them overflows 64 bits.
LARGEST_KEY = 2**62


def combine(codes: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    """One integer for each tuple of codes, equal exactly for equal tuples.

    Args:
        codes: one array of shape (n,) a column, each of numbers from 0.

    Returns:
        Shape (n,). Where the mixed radix would overflow, the part so far is numbered afresh, so the
        result is exact for any number of columns.
    """
    if not codes:
        raise ValueError("no columns to combine")
    key = codes[0].astype(np.int64, copy=True)
    span = int(key.max(initial=0)) + 1
    for column in codes[1:]:
        width = int(column.max(initial=0)) + 1
        if span * width >= LARGEST_KEY:
            distinct, key = np.unique(key, return_inverse=True)
            span = len(distinct)
        key = key * width + column
        span *= width
    return key


def group(keys: NDArray[np.int64], counts: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Classes of equal keys.

    Args:
        keys: shape (n,).
        counts: shape (n,), the rows that each key stands for.

    Returns:
        The class number of each key, shape (n,), numbered by first occurrence, and the rows of each
        class, shape (classes,).

    >>> group(np.array([7, 3, 7]), np.array([1, 2, 4]))
    (array([0, 1, 0]), array([5, 2]))
    """
    classes, sizes = _kernel()(np.ascontiguousarray(keys), np.ascontiguousarray(counts))
    return classes, sizes


def group_sums(
    parts: NDArray[np.int64], chosen: NDArray[np.int64], counts: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """:func:`group` on the sums of some rows of a matrix, without laying the sums out.

    Args:
        parts: shape (parts, n); the sums of chosen parts must be equal exactly for equal tuples.
        chosen: the numbers of the parts to add up.
        counts: shape (n,).

    >>> parts = np.array([[0, 0, 1], [0, 10, 10]])
    >>> group_sums(parts, np.array([0, 1]), np.array([1, 2, 4]))
    (array([0, 1, 2]), array([1, 2, 4]))
    """
    classes, sizes = _sums_kernel()(parts, chosen, counts)
    return classes, sizes


@cache
def _kernel() -> Any:
    """The compiled hash grouping; numba is loaded when a search first needs it."""
    import numba

    @numba.njit(cache=True)
    def find(table: Any, firsts: Any, key: Any, found: Any) -> Any:  # pragma: no cover - compiled
        """The number of a key's class, ``found`` if it is a new one, which is then entered."""
        # Fibonacci hashing spreads consecutive keys; linear probing ends, for half the slots are free.
        mask = len(table) - 1
        spread = np.uint64(key) * np.uint64(0x9E3779B97F4A7C15)
        slot = np.int64(spread >> np.uint64(20)) & mask
        while True:
            at = table[slot]
            if at < 0:
                table[slot] = found
                firsts[found] = key
                return found
            if firsts[at] == key:
                return at
            slot = (slot + 1) & mask

    @numba.njit(cache=True)
    def kernel(keys: Any, counts: Any) -> Any:  # pragma: no cover - compiled
        n = len(keys)
        slots = 16
        while slots < 2 * n:
            slots *= 2
        table = np.full(slots, -1, dtype=np.int32)
        classes = np.empty(n, dtype=np.int64)
        firsts = np.empty(n, dtype=np.int64)
        sizes = np.zeros(n, dtype=np.int64)
        found = 0
        for i in range(n):
            at = find(table, firsts, keys[i], found)
            found += at == found
            classes[i] = at
            sizes[at] += counts[i]
        return classes, sizes[:found]

    return kernel


@cache
def _sums_kernel() -> Any:
    """The same over sums of parts."""
    import numba

    grouped = _kernel()

    @numba.njit(cache=True)
    def kernel(parts: Any, chosen: Any, counts: Any) -> Any:  # pragma: no cover - compiled
        keys = parts[chosen[0]].copy()
        for j in range(1, len(chosen)):
            keys += parts[chosen[j]]
        return grouped(keys, counts)

    return kernel
