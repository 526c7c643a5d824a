"""Tuples merged once for many nodes.

All nodes that share the levels of some columns can make their classes from the tuples that these levels
leave, and those are fewer: nodes are grouped from tuples merged on the columns of the most values.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sfumato.classes.grouping import group_rows
from sfumato.classes.table import Units

#: Columns on which units are merged, and merged units that are kept, as a multiple of those there are.
_COLUMNS = 3
_KEPT = 64

#: Merging costs as much as some nodes: it is done when so many have asked for it.
_ASKED = 4

#: Fewer tuples than these are not worth merging; nor is a level that leaves more than such a share.
_FEW = 256
_SHARE = 0.8


@dataclass(frozen=True, eq=False)
class Merged:
    """Units put together: ``matrix`` has their labels, ``places`` where each of the first units went."""

    matrix: NDArray[np.unsignedinteger]
    units: Units
    places: NDArray[np.int64] | None = None

    def numbers(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """What is said of each merged unit, for each of the first units."""
        return numbers if self.places is None else numbers[self.places]


class Merging:
    """Units with the label of each at the levels of a grid.

    Args:
        matrix: shape (levels of all columns and sensitive columns, units).
        widths: the labels of each level, by column.
        units: the people.
    """

    def __init__(
        self, matrix: NDArray[np.unsignedinteger], widths: Sequence[Sequence[int]], units: Units
    ) -> None:
        self._widths = widths
        self._firsts = np.cumsum([0, *(len(column) for column in widths)]).tolist()[:-1]
        by_values = sorted(range(len(widths)), key=lambda column: (-widths[column][0], column))
        self._merged = by_values[:_COLUMNS]
        self.all = Merged(matrix, units)
        self._kept: dict[tuple[tuple[int, int], ...], Merged] = {}
        self._asked: Counter[tuple[tuple[int, int], ...]] = Counter()
        self._room = _KEPT * len(units.counts)

    def of(self, node: Sequence[int]) -> Merged:
        """Units from which the classes of a node can be made."""
        found = self.all
        key: tuple[tuple[int, int], ...] = ()
        for column in self._merged:
            if len(found.units.counts) <= _FEW:
                break
            if node[column] > 0:
                key = (*key, (column, node[column]))
                self._asked[key] += 1
                if self._asked[key] < _ASKED:
                    break
                found = self._kept[key] if key in self._kept else self._keep(key, found)
        return found

    def group(self, node: Sequence[int], base: Merged) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The class of each merged unit and the rows of each class."""
        rows = [first + level for first, level in zip(self._firsts, node, strict=True)]
        widths = [column[level] for column, level in zip(self._widths, node, strict=True)]
        return group_rows(base.matrix, rows, widths, base.units.counts)

    def _keep(self, key: tuple[tuple[int, int], ...], base: Merged) -> Merged:
        levels = [0] * len(self._widths)
        for column, level in key:
            levels[column] = level
        found = self._merge(levels, base)
        size = 0 if found is base else len(found.units.counts)
        if self._room < size:
            self._kept.clear()
            self._room = _KEPT * len(self.all.units.counts)
        self._room -= size
        self._kept[key] = found
        return found

    def _merge(self, levels: Sequence[int], base: Merged) -> Merged:
        rows = [first + level for first, level in zip(self._firsts, levels, strict=True)]
        widths = [column[level] for column, level in zip(self._widths, levels, strict=True)]
        units = base.units
        # People who differ in a sensitive value stay apart.
        rows += range(len(base.matrix) - len(units.sensitive), len(base.matrix))
        widths += [len(column.overall) for column in units.sensitive.values()]
        numbers, counts = group_rows(base.matrix, rows, widths, units.counts)
        if len(counts) > _SHARE * len(numbers):
            return base
        members = np.flatnonzero(np.diff(np.maximum.accumulate(numbers), prepend=-1))
        population = units.population
        merged = Units(
            counts,
            {name: replace(column, codes=column.codes[members]) for name, column in units.sensitive.items()},
            None if population is None else np.bincount(numbers, population, len(counts)).astype(np.int64),
        )
        return Merged(np.ascontiguousarray(base.matrix[:, members]), merged, base.numbers(numbers))
