"""Microaggregation at scale: parts of the space, MDAV in each, and a local search over all.

The table is split at medians into parts of a few hundred points (a k-d tree; Thaeter & Reischuk 2021 split
first too), which costs near-linear time, and MDAV makes classes in each. Then points change places between
near classes as long as that saves something (:mod:`~sfumato.anonymity.microaggregation.exchange`), classes
that their neighbours can house better are dissolved, and those of 2k are split.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

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

#: A pass that saves less than this share of what is lost is the last one.
_WORTH = 0.01


def cluster(points: NDArray[np.float64], k: int, passes: int = 6) -> NDArray[np.int64]:
    """Classes of k to 2k - 1 points with a small sum of squares within them, in near-linear time.

    Args:
        points: shape (n, d), finite; standardised, or the widest column decides alone.
        k: the fewest points of a class.
        passes: the most passes of the local search; it stops when one saves less than 1 % of what is lost.

    Returns:
        The class of each point, shape (n,), numbers from 0 without gaps.

    Raises:
        InputError: as :func:`~sfumato.anonymity.microaggregation.points.checked`.

    >>> cluster(np.array([[0.0], [9.0], [1.0], [8.0]]), 2)
    array([0, 1, 0, 1])
    """
    centred = checked(points, k)
    from sfumato.anonymity.microaggregation.cluster_kernels import begin, split

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
    from sfumato.anonymity.microaggregation.cluster_kernels import halve
    from sfumato.anonymity.microaggregation.exchange import dissolve, exchange, fill, within

    least, left = 1e-12 * total / len(points), np.inf
    for turn in range(passes):
        count = int(classes.max()) + 1
        if count < 2:
            break
        laid = fill(points, classes, count, 2 * k)
        left, last = within(laid), left
        # The first pass dissolves no class, so that it saves nothing does not say that the next will not.
        if turn > 1 and left > (1 - _WORTH) * last:
            break
        near = near_centres(laid.centres, turn)
        if turn:
            dissolve(laid, near)
        dirty = np.ones(count, dtype=bool)
        for _ in range(_ROUNDS):
            _, dirty = exchange(laid, near, k, k <= _DEEP, least, dirty)
        classes = halve(points, laid.members, laid.sizes, k)
    return classes


def near_centres(centres: NDArray[np.float64], turn: int) -> NDArray[np.int64]:
    """The numbers of the classes nearest to each, shape (classes, near); itself never."""
    count, d = centres.shape
    width = min(_NEAR, count - 1)
    if d > _FLAT:
        from sfumato.anonymity.microaggregation.cluster_kernels import among, split

        # Cut elsewhere each time, so that neighbours parted once meet the next time.
        order, starts = split(centres, _PART, 1, (0.5, 0.35, 0.65)[turn % 3])
        near: NDArray[np.int64] = among(centres, order, starts, width)
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
