"""Classes that are t-close: merged, taken from strata, and improved; compiled.

Import it inside functions, for it loads numba. The functions are no closures: those that numba keeps
on disk are found again only if they are not.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from sfumato.anonymity.microaggregation.distances import apart

#: Swaps of a row with one near class that are checked for closeness.
_TRIES = 3

#: A change must save this share of all that is lost, so that rounding never makes rows go in circles.
_GAIN = 1e-12


class Asked(NamedTuple):
    """What closeness asks: ``below`` counts the table's rows up to each value, ``sums`` adds those up.

    The earth that a class moves, times its rows, is at most ``limit`` times its rows.
    """

    below: NDArray[np.int64]
    sums: NDArray[np.int64]
    limit: float


class Layout(NamedTuple):
    """Points of classes under change, with sensitive ``codes``.

    Class c has the points ``members[c, :sizes[c]]``, the codes ``held[c, :sizes[c]]`` in their order, the
    mean ``centres[c]``, and moves ``earth[c]``.
    """

    points: NDArray[np.float64]
    codes: NDArray[np.int64]
    classes: NDArray[np.int64]
    members: NDArray[np.int32]
    sizes: NDArray[np.int64]
    centres: NDArray[np.float64]
    held: NDArray[np.int64]
    earth: NDArray[np.int64]


@numba.njit(cache=True)
def moved(
    asked: Any, held: Any, weight: Any, low: Any, high: Any, shift: Any
) -> Any:  # pragma: no cover - compiled
    """The earth moved over the values from ``low`` to below ``high``, times rows, table's rows and steps.

    Between two of its members a class has a constant share, which the table's passes once: found by
    bisection, with the table's shares summed up beforehand.

    Args:
        asked: what closeness asks.
        held: the codes of a class, sorted.
        weight: the rows that it is to have.
        low, high: the values, at most the last but one.
        shift: the rows more that it is to have up to each of these values.
    """
    below, sums, rows = asked.below, asked.sums, asked.below[-1]
    found, j = 0, np.searchsorted(held, low, side="right")
    while low < high:
        stop = min(high, held[j]) if j < len(held) else high
        share = rows * (j + shift)
        left, right = low, stop
        while left < right:
            middle = (left + right) // 2
            if below[middle] * weight < share:
                left = middle + 1
            else:
                right = middle
        found += share * (left - low) - weight * (sums[left] - sums[low])
        found += weight * (sums[stop] - sums[left]) - share * (stop - left)
        low = stop
        while j < len(held) and held[j] <= low:
            j += 1
    return found


@numba.njit(cache=True)
def whole(asked: Any, held: Any) -> Any:  # pragma: no cover - compiled
    """:func:`moved` over all values."""
    return moved(asked, held, len(held), 0, len(asked.below) - 1, 0)


@numba.njit(cache=True)
def sorted_codes(codes: Any, members: Any) -> Any:  # pragma: no cover - compiled
    held = codes[members]
    # Not np.sort: compiled, it takes the square of the many equal codes.
    return held[np.argsort(held, kind="mergesort")]


@numba.njit(cache=True)
def woven(one: Any, other: Any) -> Any:  # pragma: no cover - compiled
    """Two sorted arrays as one."""
    found = np.empty(len(one) + len(other), dtype=np.int64)
    i = 0
    for j in range(len(other)):
        while i < len(one) and one[i] <= other[j]:
            found[i + j] = one[i]
            i += 1
        found[i + j] = other[j]
    found[i + len(other) :] = one[i:]
    return found


@numba.njit(cache=True)
def nearest_class(centres: Any, sizes: Any, at: Any) -> Any:  # pragma: no cover - compiled
    """The class whose merger with another adds least to the sum of squares (Ward 1963); -1 if none is."""
    goal, least = -1, np.inf
    for other in range(len(sizes)):
        if sizes[other] > 0 and other != at:
            gap = apart(centres, other, centres, at)
            gap *= sizes[other] * sizes[at] / (sizes[other] + sizes[at])
            if gap < least:
                goal, least = other, gap
    return goal


@numba.njit(cache=True)
def merge(points: Any, classes: Any, codes: Any, asked: Any) -> Any:  # pragma: no cover - compiled
    """Classes that are not close join the nearest one, the first of them first, until all are."""
    count = classes.max() + 1
    order = np.argsort(classes, kind="mergesort")
    sizes = np.bincount(classes)
    ends = np.cumsum(sizes)
    centres = np.zeros((count, points.shape[1]))
    held = [sorted_codes(codes, order[ends[c] - sizes[c] : ends[c]]) for c in range(count)]
    for c in range(count):
        for i in order[ends[c] - sizes[c] : ends[c]]:
            centres[c] += points[i]
        centres[c] /= sizes[c]
    goals = np.arange(count)
    for c in range(count):
        at = c
        while sizes[at] > 0 and not whole(asked, held[at]) <= asked.limit * sizes[at]:
            goal = nearest_class(centres, sizes, at)
            if goal < 0:
                break
            joint = sizes[goal] + sizes[at]
            centres[goal] = (centres[goal] * sizes[goal] + centres[at] * sizes[at]) / joint
            held[goal] = woven(held[goal], held[at])
            sizes[goal], sizes[at] = joint, 0
            goals[at] = goal
            at = goal
    numbers = np.cumsum(sizes > 0) - 1
    found = np.empty(len(points), dtype=np.int64)
    for i in range(len(points)):
        c = classes[i]
        while goals[c] != c:
            c = goals[c]
        found[i] = numbers[c]
    return found


@numba.njit(cache=True)
def take_nearest(
    points: Any, free: Any, stratum: Any, seed: Any, near: Any, gaps: Any
) -> Any:  # pragma: no cover - compiled
    """Fill ``near``, (strata, each), with the free points of each stratum nearest to one of them."""
    each = near.shape[1]
    near[:], gaps[:] = -1, np.inf
    for i in free:
        gap, s = apart(points, i, points, seed), stratum[i]
        if near[s, each - 1] >= 0 and gap >= gaps[s, each - 1]:
            continue
        slot = each - 1
        while slot > 0 and gaps[s, slot - 1] > gap:
            near[s, slot], gaps[s, slot] = near[s, slot - 1], gaps[s, slot - 1]
            slot -= 1
        near[s, slot], gaps[s, slot] = i, gap


@numba.njit(cache=True)
def stratify(points: Any, stratum: Any, strata: Any, each: Any) -> Any:  # pragma: no cover - compiled
    """MDAV whose classes take the nearest rows of each stratum, the last one all that are left."""
    n, d = points.shape
    classes = np.full(n, -1, dtype=np.int64)
    free = np.arange(n)
    near, gaps = np.empty((strata, each), dtype=np.int64), np.empty((strata, each))
    centre = np.zeros((1, d))
    for made in range(n // (strata * each)):
        if made == n // (strata * each) - 1:
            classes[free] = made
            break
        if made % 2 == 0:
            centre[:] = 0.0
            for i in free:
                centre[0] += points[i]
            centre /= len(free)
        # Every second class is begun opposite to the last one's seed.
        seed, most = -1, -1.0
        for i in free:
            gap = apart(points, i, centre, 0)
            if gap > most:
                seed, most = i, gap
        centre[0] = points[seed]
        take_nearest(points, free, stratum, seed, near, gaps)
        for i in near.flat:
            classes[i] = made
        free = free[classes[free] < 0]
    return classes


@numba.njit(cache=True)
def settle(p: Any, asked: Any, c: Any) -> Any:  # pragma: no cover - compiled
    """Work out what follows from the members of a class."""
    size = p.sizes[c]
    p.centres[c] = 0.0
    for i in p.members[c, :size]:
        p.centres[c] += p.points[i]
    p.centres[c] /= size
    p.held[c, :size] = sorted_codes(p.codes, p.members[c, :size])
    p.earth[c] = whole(asked, p.held[c, :size])


@numba.njit(cache=True)
def laid_out(points: Any, classes: Any, codes: Any, asked: Any, k: Any) -> Any:  # pragma: no cover
    count = classes.max() + 1
    room = max(2 * np.bincount(classes).max(), 2 * k)
    p = Layout(
        points,
        codes,
        classes,
        np.full((count, room), -1, dtype=np.int32),
        np.zeros(count, dtype=np.int64),
        np.zeros((count, points.shape[1])),
        np.zeros((count, room), dtype=np.int64),
        np.zeros(count, dtype=np.int64),
    )
    for i in range(len(points)):
        p.members[classes[i], p.sizes[classes[i]]] = i
        p.sizes[classes[i]] += 1
    for c in range(count):
        settle(p, asked, c)
    return p


@numba.njit(cache=True)
def fits_less(p: Any, asked: Any, c: Any, gone: Any) -> Any:  # pragma: no cover - compiled
    """Whether a class is close without a row of this code."""
    size, held, last = p.sizes[c], p.held[c, : p.sizes[c]], len(asked.below) - 1
    found = moved(asked, held, size - 1, 0, min(gone, last), 0)
    found += moved(asked, held, size - 1, min(gone, last), last, -1)
    return found <= asked.limit * (size - 1)


@numba.njit(cache=True)
def fits_more(p: Any, asked: Any, c: Any, come: Any) -> Any:  # pragma: no cover - compiled
    """Whether a class is close with one more row, of this code."""
    size, held, last = p.sizes[c], p.held[c, : p.sizes[c]], len(asked.below) - 1
    found = moved(asked, held, size + 1, 0, min(come, last), 0)
    found += moved(asked, held, size + 1, min(come, last), last, 1)
    return found <= asked.limit * (size + 1)


@numba.njit(cache=True)
def fits_other(p: Any, asked: Any, c: Any, gone: Any, come: Any) -> Any:  # pragma: no cover - compiled
    """Whether a class is close with a row of another code in place of one: only between them earth moves."""
    size, low, high = p.sizes[c], min(gone, come), max(gone, come)
    reach = asked.below[-1] * (high - low)
    if p.earth[c] + reach <= asked.limit * size:
        return True
    if p.earth[c] - reach > asked.limit * size:
        return False
    held = p.held[c, :size]
    found = p.earth[c] - moved(asked, held, size, low, high, 0)
    found += moved(asked, held, size, low, high, 1 if come < gone else -1)
    return found <= asked.limit * size


@numba.njit(cache=True)
def best_move(p: Any, asked: Any, a: Any, b: Any, x: Any, k: Any, least: Any) -> Any:  # pragma: no cover
    """What it adds that ``x`` moves from ``a`` to ``b``; ``least`` if it adds more or may not be."""
    if p.sizes[a] <= k or p.sizes[b] >= p.members.shape[1]:
        return least
    own, far = apart(p.points, x, p.centres, a), apart(p.points, x, p.centres, b)
    change = far * p.sizes[b] / (p.sizes[b] + 1.0) - own * p.sizes[a] / (p.sizes[a] - 1.0)
    if change < least and fits_less(p, asked, a, p.codes[x]) and fits_more(p, asked, b, p.codes[x]):
        return change
    return least


@numba.njit(cache=True)
def pulls(p: Any, a: Any, b: Any, to_a: Any, to_b: Any) -> Any:  # pragma: no cover - compiled
    """How far the members of ``b`` lie from the means of both."""
    for w in range(p.sizes[b]):
        to_a[w] = apart(p.points, p.members[b, w], p.centres, a)
        to_b[w] = apart(p.points, p.members[b, w], p.centres, b)


@numba.njit(cache=True)
def best_swap(
    p: Any, asked: Any, a: Any, b: Any, x: Any, least: Any, to_a: Any, to_b: Any, changes: Any
) -> Any:  # pragma: no cover - compiled
    """The place in ``b`` of the row to swap ``x`` with, -1 for none."""
    own, far = apart(p.points, x, p.centres, a), apart(p.points, x, p.centres, b)
    for w in range(p.sizes[b]):
        gap = apart(p.points, x, p.points, p.members[b, w])
        changes[w] = far - to_b[w] + to_a[w] - own
        changes[w] -= gap / p.sizes[a] + gap / p.sizes[b]
    # Those that save most are looked at first, and only a few of them.
    passed = -np.inf
    for _ in range(_TRIES):
        save, w = least, -1
        for other in range(p.sizes[b]):
            if passed < changes[other] < save:
                save, w = changes[other], other
        if w < 0:
            break
        passed = save
        mine, theirs = p.codes[x], p.codes[p.members[b, w]]
        if fits_other(p, asked, a, mine, theirs) and fits_other(p, asked, b, theirs, mine):
            return w
    return -1


@numba.njit(cache=True)
def change_places(p: Any, a: Any, u: Any, b: Any, w: Any) -> Any:  # pragma: no cover - compiled
    """Swap two members; with ``w`` of -1 the one moves to the end of ``b``."""
    x = p.members[a, u]
    if w < 0:
        p.members[b, p.sizes[b]] = x
        p.sizes[a] -= 1
        p.members[a, u] = p.members[a, p.sizes[a]]
        p.sizes[b] += 1
    else:
        p.members[a, u], p.members[b, w] = p.members[b, w], x
        p.classes[p.members[a, u]] = a
    p.classes[x] = b


@numba.njit(cache=True)
def improve(
    points: Any, classes: Any, codes: Any, asked: Any, near: Any, k: Any
) -> Any:  # pragma: no cover - compiled
    """Moves and swaps between near classes that save and leave both close; how many there were."""
    p = laid_out(points, classes, codes, asked, k)
    scale = 0.0
    for i in range(len(points)):
        scale += apart(points, i, p.centres, classes[i])
    room = p.members.shape[1]
    to_a, to_b, changes = np.empty(room), np.empty(room), np.empty(room)
    done = 0
    for a in range(len(p.sizes)):
        for b in near[a]:
            pulls(p, a, b, to_a, to_b)
            u = 0
            while u < p.sizes[a]:
                x = p.members[a, u]
                least = best_move(p, asked, a, b, x, k, -_GAIN * scale)
                w = best_swap(p, asked, a, b, x, least, to_a, to_b, changes)
                if w >= 0 or least < -_GAIN * scale:
                    change_places(p, a, u, b, w)
                    settle(p, asked, a)
                    settle(p, asked, b)
                    pulls(p, a, b, to_a, to_b)
                    done += 1
                u += 1
    return done
