"""What nodes of a top-down partition cover, and what their labels lose by it: compiled kernels.

Values of narrow sets are bits, and those of several axes share a word: what they cover is united at once.
``covers`` are the lowest and highest ranks and the words of bits, each with a row per cover. The module
loads numba: import it inside functions. The functions are no closures: those that numba keeps on disk are
found again only if they are not. Those that are short and called often are put into their callers.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

#: The lowest rank of a cover of nothing.
NONE = np.int32(2147483647)


@numba.njit(cache=True)
def ones(word: Any) -> Any:  # pragma: no cover - compiled
    """The number of bits set."""
    word = word - ((word >> np.uint64(1)) & np.uint64(0x5555555555555555))
    word = (word & np.uint64(0x3333333333333333)) + ((word >> np.uint64(2)) & np.uint64(0x3333333333333333))
    word = (word + (word >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return np.int64((word * np.uint64(0x0101010101010101)) >> np.uint64(56))


@numba.njit(cache=True, inline="always")
def loss(space: Any, j: Any, low: Any, high: Any) -> Any:  # pragma: no cover - compiled
    """What a label of axis j loses that covers ranks from low to high; the axis is no set."""
    at, share = space[1][j], 1.0
    if space[0][j] == 0:
        top = space[3][at + high]
        if low == high:
            share = 0.0
        elif not np.isnan(top):
            share = top - space[3][at + low]
    else:
        for level in range(len(space[4])):
            if space[4][level, at + low] == space[4][level, at + high]:
                share = space[5][level, at + low]
                break
    return share * space[2][j]


@numba.njit(cache=True, inline="always")
def total(
    space: Any, bits: Any, axes: Any, covers: Any, row: Any, own: Any, distinct: Any
) -> Any:  # pragma: no cover - compiled
    """What a cover loses over some axes: narrow sets, wide ones and others.

    ``distinct`` is the number of values of axis ``own`` if that is a wide set.
    """
    found = 0.0
    for j in axes[0]:
        found += (ones(covers[2][row, bits[0][j]] & bits[3][j]) - 1) * space[2][j]
    for j in axes[1]:
        several = distinct
        if j != own:
            several = 0
            for w in range(bits[0][j], bits[1][j]):
                several += ones(covers[2][row, w])
        found += (several - 1) * space[2][j]
    for j in axes[2]:
        found += loss(space, j, covers[0][row, j], covers[1][row, j])
    return found


@numba.njit(cache=True, inline="always")
def add(others: Any, covers: Any, one: Any, other: Any, into: Any) -> Any:  # pragma: no cover - compiled
    """The union of two covers; ``others`` are the axes that are not sets."""
    for w in range(covers[2].shape[1]):
        covers[2][into, w] = covers[2][one, w] | covers[2][other, w]
    for j in others:
        covers[0][into, j] = min(covers[0][one, j], covers[0][other, j])
        covers[1][into, j] = max(covers[1][one, j], covers[1][other, j])


@numba.njit(cache=True, inline="always")
def clear(others: Any, covers: Any, row: Any) -> Any:  # pragma: no cover - compiled
    """A cover of nothing."""
    for w in range(covers[2].shape[1]):
        covers[2][row, w] = 0
    for j in others:
        covers[0][row, j] = NONE
        covers[1][row, j] = -1


@numba.njit(cache=True)
def united(marks: Any, counts: Any, part: Any, present: Any) -> Any:  # pragma: no cover - compiled
    """The people of a node, and the values of narrow sets that it has."""
    rows = 0
    present[:] = 0
    for p in part:
        rows += counts[p]
        for w in range(marks.shape[1]):
            present[w] |= marks[p, w]
    return rows


@numba.njit(cache=True)
def gathered(
    bits: Any,
    axes: Any,
    points: Any,
    marks: Any,
    hits: Any,
    order: Any,
    groups: Any,
    number: Any,
    spread: Any,
    covers: Any,
) -> Any:  # pragma: no cover - compiled
    """What each group covers, and how many people of each target value it has."""
    firsts, ends = bits[0], bits[1]
    lows, highs, masks = covers
    _, wide, others = axes
    spread[:number] = 0
    for g in range(number):
        clear(others, covers, g)
    for w in range(marks.shape[1]):
        for i in range(len(order)):
            masks[groups[i], w] |= marks[order[i], w]
    for j in wide:
        for i in range(len(order)):
            x = points[order[i], j]
            w = firsts[j] + ((x >> 6) & (ends[j] - firsts[j] - 1))
            masks[groups[i], w] |= np.uint64(1) << np.uint64(x & 63)
    for j in others:
        for i in range(len(order)):
            x, g = points[order[i], j], groups[i]
            lows[g, j] = min(lows[g, j], x)
            highs[g, j] = max(highs[g, j], x)
    for t in range(hits.shape[1]):
        for i in range(len(order)):
            spread[groups[i], t] += hits[order[i], t]


@numba.njit(cache=True)
def purity(first: Any, second: Any, sign: Any, rows: Any) -> Any:  # pragma: no cover - compiled
    """People times the chance that two of them have the same target value, of a sum of counts."""
    found = 0.0
    for t in range(len(first)):
        found += (first[t] + sign * second[t]) ** 2
    return found / rows


@numba.njit(cache=True)
def costs(
    space: Any,
    bits: Any,
    axes: Any,
    points: Any,
    marks: Any,
    counts: Any,
    hits: Any,
    focus: Any,
    first: Any,
    begins: Any,
    ends: Any,
) -> Any:  # pragma: no cover - compiled
    """The people of each class times what its labels lose, less what telling the target apart counts."""
    d = points.shape[1]
    found = np.zeros(len(begins))
    groups = np.zeros(len(first), dtype=np.int32)
    spread = np.zeros((1, hits.shape[1]))
    words = max(marks.shape[1], bits[1].max())
    covers = np.empty((1, d), np.int32), np.empty((1, d), np.int32), np.zeros((1, words), np.uint64)
    for c in range(len(begins)):
        part = first[begins[c] : ends[c]]
        gathered(bits, axes, points, marks, hits, part, groups, 1, spread, covers)
        rows = 0
        for p in part:
            rows += counts[p]
        found[c] = rows * total(space, bits, axes, covers, 0, -1, 0)
        if focus > 0:
            found[c] -= focus * purity(spread[0], spread[0], 0, rows)
    return found
