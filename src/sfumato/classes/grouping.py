"""Putting equal codes together: the kernel under every search and check."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Combined keys stay below this, so that no sum of them overflows 64 bits.
LARGEST_KEY = 2**62

#: With at most so many combinations for each tuple, a table of all of them is faster than hashing.
_DIRECT = 8

#: Keys of such a table fit 32 bits, with which twice as many are made at once.
_LARGEST_TABLE = 2**31


def combine(codes: Sequence[NDArray[Any]]) -> NDArray[np.int64]:
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
    classes, sizes = _hashed()(np.ascontiguousarray(keys), np.ascontiguousarray(counts))
    return classes, sizes


def group_rows(
    codes: NDArray[Any], rows: Sequence[int], widths: Sequence[int], counts: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """:func:`group` of the tuples that some rows of a matrix of codes make.

    Args:
        codes: shape (rows, n), each row of numbers from 0.
        rows: the rows that make the tuples; none puts all together.
        widths: above all codes of each of them.
        counts: shape (n,).

    >>> codes = np.array([[0, 1, 1], [0, 0, 2]], dtype=np.uint16)
    >>> group_rows(codes, [0, 1], [2, 3], np.array([1, 2, 4]))
    (array([0, 1, 2]), array([1, 2, 4]))
    >>> group_rows(codes, [0], [2], np.array([1, 2, 4]))
    (array([0, 1, 1]), array([1, 6]))
    """
    span = prod(widths)
    if span >= LARGEST_KEY:
        return group(combine([codes[row] for row in rows]), counts)
    chosen, radices = np.array(rows, dtype=np.int64), np.array(widths, dtype=np.int64)
    if span > min(_DIRECT * max(len(counts), 1024), _LARGEST_TABLE):
        return group(_keys()(codes, chosen, radices), counts)
    classes, sizes = _direct()(codes, chosen, radices, span, counts)
    return classes, sizes


# No kernel calls another: numba finds a cached kernel again only if it closes over none.


@cache
def _hashed() -> Any:
    """The compiled hash grouping; numba is loaded when a search first needs it."""
    import numba

    @numba.njit(cache=True)
    def kernel(keys: Any, counts: Any) -> Any:  # pragma: no cover - compiled
        n = len(keys)
        slots = 16
        while slots < 2 * n:
            slots *= 2
        mask = slots - 1
        table = np.full(slots, -1, dtype=np.int32)
        classes = np.empty(n, dtype=np.int64)
        firsts = np.empty(n, dtype=np.int64)
        sizes = np.zeros(n, dtype=np.int64)
        found = 0
        for i in range(n):
            key = keys[i]
            # Fibonacci hashing spreads consecutive keys; linear probing ends, for half the slots are free.
            spread = np.uint64(key) * np.uint64(0x9E3779B97F4A7C15)
            slot = np.int64(spread >> np.uint64(20)) & mask
            at = table[slot]
            while at >= 0 and firsts[at] != key:
                slot = (slot + 1) & mask
                at = table[slot]
            if at < 0:
                at = found
                table[slot] = found
                firsts[found] = key
                found += 1
            classes[i] = at
            sizes[at] += counts[i]
        return classes, sizes[:found].copy()

    return kernel


@cache
def _keys() -> Any:
    """Mixed-radix keys of some rows of a matrix, which must not overflow."""
    import numba

    @numba.njit(cache=True)
    def kernel(codes: Any, rows: Any, widths: Any) -> Any:  # pragma: no cover - compiled
        keys = np.zeros(codes.shape[1], dtype=np.int64)
        for j in range(len(rows)):
            row, width = codes[rows[j]], widths[j]
            if width > 1:
                for i in range(len(keys)):
                    keys[i] = keys[i] * width + np.int64(row[i])
        return keys

    return kernel


@cache
def _direct() -> Any:
    """Grouping of tuples whose keys are below a small bound."""
    import numba

    @numba.njit(cache=True)
    def kernel(codes: Any, rows: Any, widths: Any, span: Any, counts: Any) -> Any:  # pragma: no cover
        n = len(counts)
        keys = np.zeros(n, dtype=np.uint32)
        for j in range(len(rows)):
            row, width = codes[rows[j]], np.uint32(widths[j])
            if width > 1:
                for i in range(n):
                    keys[i] = np.uint32(keys[i] * width + row[i])
        table = np.full(span, -1, dtype=np.int32)
        classes = np.empty(n, dtype=np.int64)
        sizes = np.zeros(min(n, span), dtype=np.int64)
        found = 0
        for i in range(n):
            at = table[keys[i]]
            if at < 0:
                at = found
                table[keys[i]] = found
                found += 1
            classes[i] = at
            sizes[at] += counts[i]
        return classes, sizes[:found].copy()

    return kernel
