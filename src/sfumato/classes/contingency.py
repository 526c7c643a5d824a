"""How the values of a sensitive column are spread over classes of people."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

#: With at most so many classes times values for each tuple, a table of all is faster than sorting.
_DENSE = 4


class Nodes(NamedTuple):
    """The labels of all levels of a tree of values, as nodes of one numbering.

    ``leaves`` has the node of each value, ``parents`` the one above each node (the root is its own),
    ``shares`` the people of the table under each as a share, ``heights`` its level over that of the root.
    They are of the ``tree`` and the ``overall`` people of a :class:`Sensitive`.
    """

    tree: NDArray[np.int64]
    overall: NDArray[np.int64]

    leaves: NDArray[np.int64]
    parents: NDArray[np.int64]
    shares: NDArray[np.float64]
    heights: NDArray[np.float64]

    @classmethod
    def of(cls, tree: NDArray[np.int64], overall: NDArray[np.int64]) -> Nodes:
        """The nodes of a tree."""
        numbers, first = [], 0
        for level in tree:
            labels, codes = np.unique(level, return_inverse=True)
            numbers.append(codes + first)
            first += len(labels)
        parents = np.arange(first)
        shares, heights = np.zeros(first), np.zeros(first)
        top = max(1, len(tree) - 1)
        for i, nodes in enumerate(numbers):
            shares += np.bincount(nodes, overall / max(1, overall.sum()), first)
            heights[nodes] = i / top
            if i + 1 < len(numbers):
                parents[nodes] = numbers[i + 1]
        return cls(tree, overall, numbers[0], parents, shares, heights)


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

    @cached_property
    def nodes(self) -> Nodes | None:
        """The tree as nodes, made once for all classes."""
        return None if self.tree is None else Nodes.of(self.tree, self.overall)


@dataclass(frozen=True)
class Contingency:
    """People of each class by sensitive value, without the zeros.

    The entries of class c are ``starts[c]:starts[c + 1]`` of ``values`` (ascending in a class) and
    ``counts`` (all above 0); ``starts`` has shape (classes + 1,). ``overall`` and ``tree`` as in
    :class:`Sensitive`; ``known`` are the nodes of a tree, if they have been made.
    """

    starts: NDArray[np.int64]
    values: NDArray[np.int64]
    counts: NDArray[np.int64]
    overall: NDArray[np.int64]
    tree: NDArray[np.int64] | None = None
    known: Nodes | None = None

    @property
    def nodes(self) -> Nodes | None:
        """The tree as nodes, None where there is none."""
        if self.tree is None:
            return None
        known = self.known
        if known is not None and known.tree is self.tree and known.overall is self.overall:
            return known
        return Nodes.of(self.tree, self.overall)

    @classmethod
    def of(
        cls, column: Sensitive, numbers: NDArray[np.int64], counts: NDArray[np.int64], classes: int
    ) -> Contingency:
        """The contingency of classes of tuples.

        Args:
            column: the sensitive column.
            numbers: the class of each tuple, shape (tuples,); those below 0 are in none and left out.
            counts: the people of each tuple, shape (tuples,); tuples of none are left out.
            classes: the number of classes.

        >>> column = Sensitive(np.array([1, 0, 1]), np.array([2, 5]))
        >>> found = Contingency.of(column, np.array([0, 1, 0]), np.array([3, 2, 1]), 2)
        >>> found.starts, found.values, found.counts
        (array([0, 1, 2]), array([1, 0]), array([4, 2]))
        """
        # No kernel calls another: only such ones are found in the compiler's cache again.
        width = len(column.overall)
        if classes * width <= _DENSE * max(len(numbers), 1024):
            starts, values, found = _tabling()(column.codes, numbers, counts, classes, width)
        else:
            order = _sorting()(np.flatnonzero((counts > 0) & (numbers >= 0)), column.codes, width)
            order = _sorting()(order, numbers, classes)
            starts, values, found = _summing()(order, column.codes, numbers, counts, classes)
        return cls(starts, values, found, column.overall, column.tree, column.nodes)


@cache
def _tabling() -> Any:
    """The entries of a table of all classes by all values."""
    import numba

    @numba.njit(cache=True)
    def kernel(codes: Any, numbers: Any, counts: Any, classes: Any, width: Any) -> Any:  # pragma: no cover
        # Those in no class come first.
        people = np.zeros((classes + 1) * width, dtype=np.int64)
        for i in range(len(numbers)):
            people[(max(numbers[i], -1) + 1) * width + codes[i]] += counts[i]
        starts = np.zeros(classes + 1, dtype=np.int64)
        values = np.empty(classes * width, dtype=np.int64)
        found = 0
        for c in range(classes):
            for value in range(width):
                values[found], people[found] = value, people[(c + 1) * width + value]
                found += people[found] > 0
            starts[c + 1] = found
        return starts, values[:found].copy(), people[:found].copy()

    return kernel


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
