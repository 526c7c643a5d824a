"""How the values of a sensitive column are spread over classes of people."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Sensitive:
    """A sensitive column of distinct tuples, and what everybody knows of its values beforehand.

    ``codes`` has the number of each tuple's value, shape (tuples,). Values are numbered from 0 in their
    own order (numbers and dates ascending, texts by code point, missing last), so that an ordered
    distance is one of numbers. ``overall`` has the people of the whole table with each value, shape
    (values,). ``tree`` has a row of label codes for each level of a hierarchy of the values, the value
    itself first and one label for all last, shape (levels, values); None where there is none.
    """

    codes: NDArray[np.int64]
    overall: NDArray[np.int64]
    tree: NDArray[np.int64] | None = None


@dataclass(frozen=True)
class Contingency:
    """People of each class by sensitive value, without the zeros.

    The entries of class c are ``starts[c]:starts[c + 1]`` of ``values`` (ascending in a class) and
    ``counts`` (all above 0); ``starts`` has shape (classes + 1,). ``overall`` and ``tree`` as in
    :class:`Sensitive`.
    """

    starts: NDArray[np.int64]
    values: NDArray[np.int64]
    counts: NDArray[np.int64]
    overall: NDArray[np.int64]
    tree: NDArray[np.int64] | None = None

    @classmethod
    def of(
        cls, column: Sensitive, numbers: NDArray[np.int64], counts: NDArray[np.int64], classes: int
    ) -> Contingency:
        """The contingency of classes of tuples.

        Args:
            column: the sensitive column.
            numbers: the class of each tuple, shape (tuples,).
            counts: the people of each tuple, shape (tuples,); tuples of none are left out.
            classes: the number of classes.

        >>> column = Sensitive(np.array([1, 0, 1]), np.array([2, 5]))
        >>> found = Contingency.of(column, np.array([0, 1, 0]), np.array([3, 2, 1]), 2)
        >>> found.starts, found.values, found.counts
        (array([0, 1, 2]), array([1, 0]), array([4, 2]))
        """
        # Two kernels that do not call each other: only such ones are found in the compiler's cache again.
        order = _sorting()(np.flatnonzero(counts > 0), column.codes, len(column.overall))
        order = _sorting()(order, numbers, classes)
        starts, values, found = _summing()(order, column.codes, numbers, counts, classes)
        return cls(starts, values, found, column.overall, column.tree)


@cache
def _sorting() -> Any:
    """A stable counting sort of an order by keys."""
    import numba

    @numba.njit(cache=True)
    def kernel(order: Any, keys: Any, width: Any) -> Any:  # pragma: no cover - compiled
        places = np.zeros(width + 1, dtype=np.int64)
        for i in order:
            places[keys[i] + 1] += 1
        for key in range(width):
            places[key + 1] += places[key]
        found = np.empty_like(order)
        for i in order:
            found[places[keys[i]]] = i
            places[keys[i]] += 1
        return found

    return kernel


@cache
def _summing() -> Any:
    """The sums over equal neighbours of an order by class and value."""
    import numba

    @numba.njit(cache=True)
    def kernel(order: Any, codes: Any, numbers: Any, counts: Any, classes: Any) -> Any:  # pragma: no cover
        starts = np.zeros(classes + 1, dtype=np.int64)
        values = np.empty(len(order), dtype=np.int64)
        sums = np.empty(len(order), dtype=np.int64)
        found, last_class, last_value = 0, -1, -1
        for i in order:
            if numbers[i] != last_class or codes[i] != last_value:
                last_class, last_value = numbers[i], codes[i]
                values[found], sums[found] = last_value, 0
                found += 1
                starts[last_class + 1] += 1
            sums[found - 1] += counts[i]
        return np.cumsum(starts), values[:found].copy(), sums[:found].copy()

    return kernel
