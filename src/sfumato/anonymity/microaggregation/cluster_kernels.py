"""Parts of the space, classes in each, and classes cut in two, compiled.

Import it inside functions, for it loads numba.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from sfumato.anonymity.microaggregation.distances import apart
from sfumato.anonymity.microaggregation.mdav_kernels import fixed


@numba.njit(cache=True)
def select(keys: Any, order: Any, low: Any, high: Any, at: Any) -> Any:  # pragma: no cover - compiled
    """Hoare's selection: order[low:high] so that nothing before ``at`` has a larger key than after."""
    high -= 1
    while low < high:
        a, b, c = keys[order[low]], keys[order[(low + high) // 2]], keys[order[high]]
        pivot = max(min(a, b), min(max(a, b), c))
        i, j = low, high
        while i <= j:
            while keys[order[i]] < pivot:
                i += 1
            while keys[order[j]] > pivot:
                j -= 1
            if i <= j:
                order[i], order[j] = order[j], order[i]
                i += 1
                j -= 1
        if at <= j:
            high = j
        elif at >= i:
            low = i
        else:
            return


@numba.njit(cache=True)
def widest(points: Any, order: Any, low: Any, high: Any) -> Any:  # pragma: no cover - compiled
    axis, most = 0, -1.0
    for j in range(points.shape[1]):
        mean, squares = 0.0, 0.0
        for i in range(low, high):
            mean += points[order[i], j]
            squares += points[order[i], j] ** 2
        spread = squares - mean * mean / (high - low)
        if spread > most:
            axis, most = j, spread
    return axis


@numba.njit(cache=True)
def split(points: Any, part: Any, step: Any, share: Any) -> Any:  # pragma: no cover - compiled
    """The points in the order of parts of at most ``part`` of them, and where parts start and end.

    A part is cut where its widest column has this share of it, at a multiple of ``step``.
    """
    columns = points.T.copy()
    order = np.arange(len(points))
    starts = [0]
    stack = [(0, len(points))]
    while stack:
        low, high = stack.pop()
        if high - low <= part:
            starts.append(high)
            continue
        middle = low + int((high - low) * share) // step * step
        select(columns[widest(points, order, low, high)], order, low, high, middle)
        stack.append((middle, high))
        stack.append((low, middle))
    return order, np.array(starts)


@numba.njit(cache=True)
def begin(points: Any, starts: Any, k: Any) -> Any:  # pragma: no cover - compiled
    """MDAV in each part."""
    classes = np.empty(len(points), dtype=np.int64)
    made = 0
    for p in range(len(starts) - 1):
        found = fixed(points[starts[p] : starts[p + 1]], k)
        classes[starts[p] : starts[p + 1]] = found + made
        made += found.max() + 1
    return classes


@numba.njit(cache=True)
def longest(points: Any, members: Any) -> Any:  # pragma: no cover - compiled
    """The places of points along their principal direction, by power iteration."""
    count, d = len(members), points.shape[1]
    held = np.empty((count, d))
    for u in range(count):
        held[u] = points[members[u]]
    for j in range(d):
        held[:, j] -= held[:, j].mean()
    along = held[np.argmax((held * held).sum(axis=1))].copy()
    for _ in range(8):
        size = np.sqrt((along * along).sum())
        if size == 0:
            break
        along /= size
        turned = np.zeros(d)
        for u in range(count):
            turned += held[u] * (held[u] * along).sum()
        along = turned
    places = np.empty(count)
    for u in range(count):
        places[u] = (held[u] * along).sum()
    return places


@numba.njit(cache=True)
def halve(points: Any, members: Any, sizes: Any, k: Any) -> Any:  # pragma: no cover - compiled
    """Class numbers without the empty ones, each class of 2k cut in two across its length."""
    classes = np.empty(len(points), dtype=np.int64)
    made = 0
    for c in range(len(sizes)):
        if sizes[c] == 0:
            continue
        held = members[c, : sizes[c]]
        if sizes[c] >= 2 * k:
            order = np.argsort(longest(points, held), kind="mergesort")
            classes[held[order[k:]]] = made
            made += 1
            held = held[order[:k]]
        classes[held] = made
        made += 1
    return classes


@numba.njit(cache=True)
def among(centres: Any, order: Any, starts: Any, width: Any) -> Any:  # pragma: no cover - compiled
    """The nearest centres of each one's own part."""
    near = np.empty((len(centres), width), dtype=np.int64)
    gaps = np.empty(width)
    for p in range(len(starts) - 1):
        for i in order[starts[p] : starts[p + 1]]:
            held = 0
            for other in order[starts[p] : starts[p + 1]]:
                if other == i:
                    continue
                gap = apart(centres, i, centres, other)
                if held == width and gap >= gaps[width - 1]:
                    continue
                slot = min(held, width - 1)
                while slot > 0 and gaps[slot - 1] > gap:
                    gaps[slot], near[i, slot] = gaps[slot - 1], near[i, slot - 1]
                    slot -= 1
                gaps[slot], near[i, slot] = gap, other
                held = min(held + 1, width)
    return near
