"""Microaggregation at scale: parts of the space, MDAV in each, and a local search over all.

The table is split at medians into parts of a few hundred points (a k-d tree; Thaeter & Reischuk 2021 split
first too), which costs near-linear time, and MDAV makes classes in each. Then points change places between
near classes as long as that saves something (:mod:`~sfumato.anonymity.microaggregation.exchange`), classes
that their neighbours can house better are dissolved, and those of 2k are split.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sfumato.anonymity.microaggregation import exchange, mdav
from sfumato.anonymity.microaggregation.points import checked

#: A part has at most this many classes.
_PART = 256

#: Near classes that a class may change points with.
_NEAR = 8

#: In more dimensions than this, a tree of centres looks at nearly all of them.
_FLAT = 8

#: Chains of three cost the cube of k; beyond this k the search looks at pairs, and not at all of them.
_DEEP = 16

#: Rounds that only look at what the last one changed, before the near classes are found anew.
_ROUNDS = 3


def cluster(points: NDArray[np.float64], k: int, passes: int = 6) -> NDArray[np.int64]:
    """Classes of k to 2k - 1 points with a small sum of squares within them, in near-linear time.

    Args:
        points: shape (n, d), finite; standardised, or the widest column decides alone.
        k: the fewest points of a class.
        passes: the most passes of the local search; it stops when one saves next to nothing.

    Returns:
        The class of each point, shape (n,), numbers from 0 without gaps.

    Raises:
        InputError: as :func:`~sfumato.anonymity.microaggregation.points.checked`.

    >>> cluster(np.array([[0.0], [9.0], [1.0], [8.0]]), 2)
    array([0, 1, 0, 1])
    """
    centred = checked(points, k)
    split, begin, _, _ = _kernels()
    order, starts = split(centred, _PART * k, k, 0.5)
    laid = centred[order]
    found = begin(laid, starts, k)
    total = float((laid**2).sum())
    if k > 1 and total > 0:
        found = _improved(laid, found, k, passes, total)
    classes = np.empty(len(found), dtype=np.int64)
    classes[order] = found
    return classes


def _improved(
    points: NDArray[np.float64], classes: NDArray[np.int64], k: int, passes: int, total: float
) -> NDArray[np.int64]:
    """Classes after the local search; ``total`` is the sum of squares of all points."""
    fill, swap, dissolve = exchange.kernels()
    least = 1e-12 * total / len(points)
    for turn in range(passes):
        count = int(classes.max()) + 1
        if count < 2:
            break
        members, sizes, centres, radii = fill(points, classes, count, 2 * k)
        near = near_centres(centres, turn)
        gone = dissolve(points, classes, members, sizes, centres, radii, near) if turn else 0
        dirty, saved = np.ones(count, dtype=bool), 0.0
        for _ in range(_ROUNDS):
            gain, dirty = swap(
                points, classes, members, sizes, centres, radii, near, k, k <= _DEEP, least, dirty
            )
            saved += gain
        classes = _kernels()[2](points, members, sizes, k)
        if turn and gone == 0 and saved < 1e-4 * total:
            break
    return classes


def near_centres(centres: NDArray[np.float64], turn: int) -> NDArray[np.int64]:
    """The numbers of the classes nearest to each, shape (classes, near); itself never."""
    count, d = centres.shape
    width = min(_NEAR, count - 1)
    if d > _FLAT:
        split, _, _, among = _kernels()
        # Cut elsewhere each time, so that neighbours parted once meet the next time.
        near: NDArray[np.int64] = among(
            centres, *split(centres, _PART, 1, (0.5, 0.35, 0.65)[turn % 3]), width
        )
        return near
    from scipy.spatial import cKDTree

    # Where many classes have one centre, one of them stands for all; else they would be all that is near.
    order = np.lexsort(centres.T)
    new = np.ones(count, dtype=bool)
    new[1:] = (centres[order][1:] != centres[order][:-1]).any(axis=1)
    (firsts,) = np.nonzero(new)
    groups = np.cumsum(new) - 1
    found = np.empty((count, width), dtype=np.int64)
    others = min(width - (len(firsts) < count), len(firsts) - 1)
    if others > 0:
        distinct = order[firsts]
        at = cKDTree(centres[distinct]).query(centres[distinct], others + 1)[1][:, 1:]
        found[order, :others] = distinct[at][groups]
    for j in range(others, width):
        found[order, j] = np.roll(order, -(j - others + 1))
    return found


@cache
def _kernels() -> tuple[Any, Any, Any, Any]:
    """``split``, ``begin``, ``halve`` and ``among``."""
    import numba

    fixed = mdav.kernels()[0]

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
                    gap = 0.0
                    for j in range(centres.shape[1]):
                        step = centres[i, j] - centres[other, j]
                        gap += step * step
                    if held == width and gap >= gaps[width - 1]:
                        continue
                    slot = min(held, width - 1)
                    while slot > 0 and gaps[slot - 1] > gap:
                        gaps[slot], near[i, slot] = gaps[slot - 1], near[i, slot - 1]
                        slot -= 1
                    gaps[slot], near[i, slot] = gap, other
                    held = min(held + 1, width)
        return near

    return split, begin, halve, among
