"""Microaggregation whose classes are t-close too (after Soria-Comas et al. 2015).

Two starts, of which the better one is kept: classes that ignore the sensitive values, merged with near ones
until they are close (their algorithm 1); and classes that take as many rows from each of s equal strata of
the sensitive values, where s is the least that bounds the distance of any such class by t (their algorithm
3; the bound here is worked out on the values at hand, ties included, and so is never above theirs). Then
rows of near classes change places where that saves spread and leaves both classes close.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sfumato.anonymity.microaggregation.cluster import cluster, near_centres
from sfumato.anonymity.microaggregation.points import checked, loss
from sfumato.core.errors import InputError

#: A distance this little below t counts as above it, for whoever checks may round.
_MARGIN = 1 - 1e-12

#: Swaps of a row with one near class that are checked for closeness.
_TRIES = 3


def close(
    points: NDArray[np.float64], sensitive: NDArray[np.int64], k: int, t: float, passes: int = 6
) -> NDArray[np.int64]:
    """Classes of at least k points in each of which sensitive values are spread nearly as in the table.

    The earth mover's distance, with the distinct values equally far from one to the next, between a
    class's values and the whole table's is at most t. Takes O(n^2 / k) distances.

    Args:
        points: shape (n, d), finite; without the sensitive column.
        sensitive: shape (n,), numbers of values in their own order.
        k: the fewest points of a class.
        t: from 0 (every class as the table) to 1.
        passes: the most passes of the local search.

    Returns:
        The class of each point, shape (n,), numbers from 0 without gaps.

    Raises:
        InputError: ``usage`` for a wrong t or shape, else as for
            :func:`~sfumato.anonymity.microaggregation.mdav.mdav`.

    >>> close(np.array([[0.0], [1.0], [8.0], [9.0]]), np.array([0, 0, 1, 1]), 2, 0.2)
    array([0, 1, 0, 1])
    """
    centred = checked(points, k)
    if sensitive.shape != (len(points),) or not 0 <= t <= 1:
        raise InputError("usage", "t-closeness needs a sensitive value for each point, and t from 0 to 1")
    codes = np.unique(sensitive, return_inverse=True)[1].astype(np.int64)
    below = np.cumsum(np.bincount(codes))
    merge, stratify, improve = _kernels()
    limit = t * len(codes) * (len(below) - 1) * _MARGIN
    sums = np.concatenate([[0], np.cumsum(below)])
    starts = [merge(centred, cluster(points, k), codes, below, sums, limit)]
    strata, each = _strata(below, k, t)
    if 2 * strata * each <= len(codes):
        order = np.argsort(codes, kind="stable")
        stratum = np.empty(len(codes), dtype=np.int64)
        stratum[order] = np.arange(len(codes)) * strata // len(codes)
        taken = stratify(centred, stratum, strata, each)
        starts.append(merge(centred, taken, codes, below, sums, limit))
    for classes in starts:
        for turn in range(passes):
            near = near_centres(_centres(centred, classes), turn)
            if not improve(centred, classes, codes, below, sums, limit, near, k, _TRIES):
                break
    best: NDArray[np.int64] = min(starts, key=lambda classes: loss(centred, classes))
    return best


def strata_bound(below: NDArray[np.int64], strata: int) -> float:
    """The largest distance of a class that has equally many rows of each of equal strata of the values.

    A class's share of rows up to a value is known but for those of the value's own stratum, who are at
    worst all at one place of it.

    Args:
        below: the rows with each value or a smaller one, shape (values,).
        strata: their number.
    """
    values = len(below)
    if values < 2:
        return 0.0
    share = below[:-1] / below[-1]
    stratum = np.ceil(share * strata - 1e-9) - 1
    under, over = share - stratum / strata, (stratum + 1) / strata - share
    # At the upper edge of a stratum nobody of it is above.
    under[over < 1e-9] = 0.0
    worst = 0.0
    for one in np.unique(stratum):
        inside = stratum == one
        kept, lost = np.cumsum(under[inside]), np.cumsum(over[inside])
        worst += float(np.maximum(lost[-1], (kept + lost[-1] - lost).max()))
    return worst / (values - 1)


def _strata(below: NDArray[np.int64], k: int, t: float) -> tuple[int, int]:
    """The number of strata and the rows from each that make the smallest classes with a bound of t."""
    rows, least = int(below[-1]), 1
    while least < rows and strata_bound(below, least) > t * _MARGIN:
        least += 1
    return min(
        ((strata, -(-k // strata)) for strata in range(least, max(least, k) + 1)),
        key=lambda pair: (pair[0] * pair[1], pair[0]),
    )


def _centres(points: NDArray[np.float64], classes: NDArray[np.int64]) -> NDArray[np.float64]:
    sizes = np.bincount(classes)
    return np.stack([np.bincount(classes, column) / sizes for column in points.T], axis=1)


@cache
def _kernels() -> tuple[Any, Any, Any]:
    """``merge``, ``stratify`` and ``improve``."""
    import numba

    @numba.njit(cache=True)
    def moved(held: Any, below: Any, sums: Any) -> Any:  # pragma: no cover - compiled
        """The earth moved for sorted codes of a class, times its rows, the table's rows and the steps.

        Between two of its members a class has a constant share, which the table's passes once: found by
        bisection, with the table's shares summed up beforehand.
        """
        count, rows, last = len(held), below[-1], len(below) - 1
        found = 0
        for j in range(count + 1):
            low = 0 if j == 0 else min(held[j - 1], last)
            high = last if j == count else min(held[j], last)
            if low >= high:
                continue
            left, right = low, high
            while left < right:
                middle = (left + right) // 2
                if below[middle] * count < rows * j:
                    left = middle + 1
                else:
                    right = middle
            found += rows * j * (left - low) - count * (sums[left] - sums[low])
            found += count * (sums[high] - sums[left]) - rows * j * (high - left)
        return found

    @numba.njit(cache=True)
    def holds(codes: Any, members: Any, below: Any, sums: Any, limit: Any) -> Any:  # pragma: no cover
        held = codes[members]
        # Not np.sort: compiled, it takes the square of the many equal codes.
        return moved(held[np.argsort(held, kind="mergesort")], below, sums) <= limit * len(members)

    @numba.njit(cache=True)
    def gap_of(points: Any, i: Any, centre: Any) -> Any:  # pragma: no cover - compiled
        found = 0.0
        for j in range(points.shape[1]):
            step = points[i, j] - centre[j]
            found += step * step
        return found

    @numba.njit(cache=True)
    def merge(
        points: Any, classes: Any, codes: Any, below: Any, sums: Any, limit: Any
    ) -> Any:  # pragma: no cover
        """Classes that are not close join the nearest one, the first of them first, until all are."""
        count = classes.max() + 1
        members = [np.flatnonzero(classes == c) for c in range(0)]
        order = np.argsort(classes, kind="mergesort")
        ends = np.cumsum(np.bincount(classes))
        centres = np.zeros((count, points.shape[1]))
        for c in range(count):
            low = 0 if c == 0 else ends[c - 1]
            members.append(order[low : ends[c]])
            for i in members[c]:
                centres[c] += points[i]
            centres[c] /= len(members[c])
        there = np.ones(count, dtype=np.bool_)
        for c in range(count):
            at = c
            while there[at] and not holds(codes, members[at], below, sums, limit):
                goal, least = -1, np.inf
                for other in range(count):
                    if there[other] and other != at:
                        gap = 0.0
                        for j in range(points.shape[1]):
                            step = centres[other, j] - centres[at, j]
                            gap += step * step
                        # What the merger adds to the sum of squares (Ward 1963).
                        gap *= (
                            len(members[other]) * len(members[at]) / (len(members[other]) + len(members[at]))
                        )
                        if gap < least:
                            goal, least = other, gap
                if goal < 0:
                    break
                joint = np.concatenate((members[goal], members[at]))
                centres[goal] = (centres[goal] * len(members[goal]) + centres[at] * len(members[at])) / len(
                    joint
                )
                members[goal] = joint
                there[at] = False
                at = goal
        found = np.empty(len(points), dtype=np.int64)
        made = 0
        for c in range(count):
            if there[c]:
                found[members[c]] = made
                made += 1
        return found

    @numba.njit(cache=True)
    def stratify(points: Any, stratum: Any, strata: Any, each: Any) -> Any:  # pragma: no cover - compiled
        """MDAV whose classes take the nearest rows of each stratum, the last one all that are left."""
        n, d = points.shape
        classes = np.full(n, -1, dtype=np.int64)
        free = np.arange(n)
        gaps = np.empty(n)
        centre = np.zeros(d)
        for made in range(n // (strata * each)):
            if made == n // (strata * each) - 1:
                classes[free] = made
                break
            if made % 2 == 0:
                centre[:] = 0.0
                for i in free:
                    centre += points[i]
                centre /= len(free)
            # Every second class is begun opposite to the last one's seed.
            seed, most = -1, -1.0
            for i in free:
                gap = gap_of(points, i, centre)
                if gap > most:
                    seed, most = i, gap
            centre[:] = points[seed]
            for u in range(len(free)):
                gaps[u] = gap_of(points, free[u], centre)
            wanted = np.full(strata, each)
            for u in np.argsort(gaps[: len(free)], kind="mergesort"):
                i = free[u]
                if wanted[stratum[i]] > 0:
                    wanted[stratum[i]] -= 1
                    classes[i] = made
            free = free[classes[free] < 0]
        return classes

    @numba.njit(cache=True)
    def improve(
        points: Any,
        classes: Any,
        codes: Any,
        below: Any,
        sums: Any,
        limit: Any,
        near: Any,
        k: Any,
        tries: Any,
    ) -> Any:  # pragma: no cover - compiled
        """Moves and swaps between near classes that save and leave both close; how many there were."""
        d = points.shape[1]
        count = classes.max() + 1
        sizes = np.bincount(classes)
        members = np.full((count, max(2 * sizes.max(), 2 * k)), -1, dtype=np.int32)
        sizes[:] = 0
        centres = np.zeros((count, d))
        for i in range(len(points)):
            members[classes[i], sizes[classes[i]]] = i
            sizes[classes[i]] += 1
            centres[classes[i]] += points[i]
        for c in range(count):
            centres[c] /= sizes[c]
        scale = 0.0
        for i in range(len(points)):
            scale += gap_of(points, i, centres[classes[i]])
        done = 0
        for a in range(count):
            for v in range(near.shape[1]):
                b = near[a, v]
                for u in range(sizes[a]):
                    if sizes[a] <= u:
                        break
                    x = members[a, u]
                    own, far = gap_of(points, x, centres[a]), gap_of(points, x, centres[b])
                    best, at = -1e-12 * scale, -2
                    if sizes[a] > k and sizes[b] < members.shape[1]:
                        change = far * sizes[b] / (sizes[b] + 1.0) - own * sizes[a] / (sizes[a] - 1.0)
                        if change < best:
                            one, other = members[a, : sizes[a]].copy(), np.empty(sizes[b] + 1, dtype=np.int32)
                            one[u] = one[sizes[a] - 1]
                            other[:-1] = members[b, : sizes[b]]
                            other[-1] = x
                            if holds(codes, one[:-1], below, sums, limit) and holds(
                                codes, other, below, sums, limit
                            ):
                                best, at = change, -1
                    # The swaps that save most are looked at first, and only a few of them.
                    passed = -np.inf
                    for _ in range(tries):
                        save, w = best, -1
                        for other_w in range(sizes[b]):
                            y = members[b, other_w]
                            gap = gap_of(points, x, points[y])
                            change = far - gap_of(points, y, centres[b]) + gap_of(points, y, centres[a]) - own
                            change -= gap / sizes[a] + gap / sizes[b]
                            if passed < change < save:
                                save, w = change, other_w
                        if w < 0:
                            break
                        y, passed = members[b, w], save
                        members[a, u], members[b, w] = y, x
                        fits = codes[x] == codes[y] or (
                            holds(codes, members[a, : sizes[a]], below, sums, limit)
                            and holds(codes, members[b, : sizes[b]], below, sums, limit)
                        )
                        members[a, u], members[b, w] = x, y
                        if fits:
                            best, at = save, w
                            break
                    if at == -2:
                        continue
                    done += 1
                    if at == -1:
                        members[b, sizes[b]] = x
                        sizes[a] -= 1
                        members[a, u] = members[a, sizes[a]]
                        sizes[b] += 1
                        classes[x] = b
                    else:
                        y = members[b, at]
                        members[a, u], members[b, at] = y, x
                        classes[x], classes[y] = b, a
                    centres[a] = 0.0
                    for i in members[a, : sizes[a]]:
                        centres[a] += points[i]
                    centres[a] /= sizes[a]
                    centres[b] = 0.0
                    for i in members[b, : sizes[b]]:
                        centres[b] += points[i]
                    centres[b] /= sizes[b]
        return done

    return merge, stratify, improve
