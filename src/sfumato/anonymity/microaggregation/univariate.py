"""Optimal microaggregation of one column (Hansen & Mukherjee 2003).

Classes of an optimal solution are runs of the sorted values, of k to 2k - 1 rows; so the best is a shortest
path over cuts, found in O(n k) after the sort.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sfumato.anonymity.microaggregation.points import checked
from sfumato.anonymity.partition.problem import Assignment


def univariate(values: NDArray[np.float64], k: int) -> NDArray[np.int64]:
    """Classes of at least k rows with the least sum of squares within them.

    Of equal solutions the one with smaller classes at the upper end wins. Classes are numbered by value.

    Args:
        values: shape (n,), finite.
        k: the fewest rows of a class.

    Returns:
        The class of each row, shape (n,).

    Raises:
        InputError: as :func:`~sfumato.anonymity.microaggregation.points.checked`.

    >>> univariate(np.array([9.0, 1.0, 2.0, 8.0, 3.0]), 2)
    array([1, 0, 0, 1, 0])
    """
    centred = checked(np.asarray(values)[:, None], k)[:, 0]
    order = np.argsort(centred, kind="stable")
    classes = np.empty(len(centred), dtype=np.int64)
    classes[order] = _kernel()(centred[order], k)
    return classes


def univariate_units(values: NDArray[np.float64], counts: NDArray[np.int64], k: int) -> Assignment:
    """:func:`univariate` over units that stand for several rows each.

    The rows of a unit may go to different classes, as equal rows may.

    Args:
        values: shape (units,).
        counts: shape (units,), the rows of each; a unit of none gets no class.
    """
    units = np.repeat(np.arange(len(values)), counts)
    classes = univariate(values[units], k)
    pairs, rows = np.unique(np.stack([units, classes]), axis=1, return_counts=True)
    return Assignment(pairs[0], pairs[1], rows.astype(np.int64))


@cache
def _kernel() -> Any:
    import numba

    @numba.njit(cache=True)
    def kernel(values: Any, k: Any) -> Any:  # pragma: no cover - compiled
        n = len(values)
        best = np.full(n + 1, np.inf)
        cut = np.full(n + 1, -1, dtype=np.int64)
        best[0] = 0.0
        for stop in range(k, n + 1):
            # A run grows to the left; its mean and squares are kept as Welford does, for sums over the
            # whole column would lose the digits of small differences.
            mean, squares = 0.0, 0.0
            for count in range(1, min(2 * k - 1, stop) + 1):
                step = values[stop - count] - mean
                mean += step / count
                squares += step * (values[stop - count] - mean)
                start = stop - count
                if count >= k and best[start] + squares < best[stop]:
                    best[stop] = best[start] + squares
                    cut[stop] = start
        classes = np.empty(n, dtype=np.int64)
        found, stop = 0, n
        while stop > 0:
            classes[cut[stop] : stop] = found
            stop = cut[stop]
            found += 1
        return found - 1 - classes

    return kernel
