"""Microaggregation whose classes are t-close too (after Soria-Comas et al. 2015).

Two starts, of which the better one is kept: classes that ignore the sensitive values, merged with near ones
until they are close (their algorithm 1); and classes that take as many rows from each of s equal strata of
the sensitive values, where s is the least that bounds the distance of any such class by t (their algorithm
3; the bound here is worked out on the values at hand, ties included, and so is never above theirs). Then
rows of near classes change places where that saves spread and leaves both classes close.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sfumato.anonymity.microaggregation.cluster import cluster, near_centres
from sfumato.anonymity.microaggregation.points import checked, loss
from sfumato.core.errors import InputError

#: A distance this little below t counts as above it, for whoever checks may round.
_MARGIN = 1 - 1e-12


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
    from sfumato.anonymity.microaggregation.closeness_kernels import Asked, improve, merge, stratify

    centred = checked(points, k)
    if sensitive.shape != (len(points),) or not 0 <= t <= 1:
        raise InputError("usage", "t-closeness needs a sensitive value for each point, and t from 0 to 1")
    codes = np.unique(sensitive, return_inverse=True)[1].astype(np.int64)
    below = np.cumsum(np.bincount(codes))
    sums = np.concatenate([[0], np.cumsum(below)])
    asked = Asked(below, sums, t * len(codes) * (len(below) - 1) * _MARGIN)
    starts = [merge(centred, cluster(points, k), codes, asked)]
    strata, each = _strata(below, k, t)
    if 2 * strata * each <= len(codes):
        order = np.argsort(codes, kind="stable")
        stratum = np.empty(len(codes), dtype=np.int64)
        stratum[order] = np.arange(len(codes)) * strata // len(codes)
        taken = stratify(centred, stratum, strata, each)
        starts.append(merge(centred, taken, codes, asked))
    for classes in starts:
        for turn in range(passes):
            near = near_centres(_centres(centred, classes), turn)
            if not improve(centred, classes, codes, asked, near, k):
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
