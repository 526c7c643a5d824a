"""Optimal microaggregation of one column whose equal values stay together.

As Hansen & Mukherjee (2003), a shortest path over cuts of the sorted values; a cut may lie between two
different values only, so the class is a function of the value, whoever has it.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sfumato.anonymity.microaggregation.points import check_rows


def univariate_distinct(values: NDArray[np.float64], counts: NDArray[np.int64], k: int) -> NDArray[np.int64]:
    """Classes of at least k rows with the least sum of squares within them, equal values in one class.

    Args:
        values: shape (values,), finite, ascending, each once.
        counts: shape (values,), the rows of each, above 0.
        k: the fewest rows of a class.

    Returns:
        The class of each value, shape (values,), numbered from 0 by value.

    Raises:
        InputError: ``anonymity-impossible`` for fewer than k rows.

    >>> univariate_distinct(np.array([1.0, 2.0, 3.0, 8.0, 9.0]), np.array([1, 1, 1, 1, 4]), 2)
    array([0, 0, 0, 1, 1])
    """
    check_rows(int(counts.sum()), k)
    # About the mean, so that a large offset costs no digits.
    centred = values - np.average(values, weights=counts)
    found: NDArray[np.int64] = _kernel()(centred, counts.astype(np.int64), k)
    return found


@cache
def _kernel() -> Any:
    import numba

    @numba.njit(cache=True)
    def kernel(values: Any, counts: Any, k: Any) -> Any:  # pragma: no cover - compiled
        n = len(values)
        best = np.full(n + 1, np.inf)
        cut = np.full(n + 1, -1, dtype=np.int64)
        best[0] = 0.0
        for stop in range(1, n + 1):
            rows, mean, squares, enough = 0, 0.0, 0.0, -1
            for start in range(stop - 1, -1, -1):
                rows += counts[start]
                step = values[start] - mean
                mean += step * counts[start] / rows
                squares += counts[start] * step * (values[start] - mean)
                if rows < k:
                    continue
                if enough < 0:
                    enough = rows
                elif rows - enough >= k:
                    # The part before the shortest run of k rows is a class of its own: cut there instead.
                    break
                if best[start] + squares < best[stop]:
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
