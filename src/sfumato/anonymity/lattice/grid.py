"""The lattice over a problem: the classes of a node, and whether they hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from math import prod
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from sfumato.anonymity.holding import holding
from sfumato.anonymity.lattice.least import most_rows
from sfumato.anonymity.lattice.merging import Merged, Merging
from sfumato.anonymity.lattice.problem import Problem
from sfumato.anonymity.measures.columns import Classes, Columns
from sfumato.classes.contingency import Contingency
from sfumato.classes.table import ClassTable, Units

#: A node: for each column an index into the levels that the grid has of it.
Node = tuple[int, ...]


@dataclass(frozen=True)
class Checked:
    """The classes of a node: which of them stay, and which of them a finer node may still keep.

    A class that is not ``open`` fails a model that its parts would fail too, so every finer node
    suppresses all of its rows; ``least`` are the rows that it suppresses at least, ``hopeless`` says that
    they are too many. ``merged`` has the class of each unit of ``base``, the units put together from
    which the classes were made.
    """

    base: Merged
    merged: NDArray[np.int64]
    sizes: NDArray[np.int64]
    stays: NDArray[np.bool_]
    open: NDArray[np.bool_]
    least: int
    hopeless: bool

    @cached_property
    def numbers(self) -> NDArray[np.int64]:
        """The class of each unit, shape (units,)."""
        return self.base.numbers(self.merged)

    @cached_property
    def suppressed(self) -> int:
        """The rows of the classes that do not stay."""
        return self.least if self.stays is self.open else int(self.sizes[~self.stays].sum())


class Grid:
    """A problem laid out for checking nodes.

    A level that puts together the same values as the one below it only costs more, so ``levels`` has
    for each column those that differ.
    """

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.columns = columns = Columns.of(
            problem.ladders, problem.positions, problem.units.counts, problem.weights, problem.target
        )
        self.levels = tuple(_different(columns, column) for column in range(len(columns.heights)))
        self._all_levels = [len(levels) for levels in self.levels] == columns.heights.tolist()
        self.top: Node = tuple(len(levels) - 1 for levels in self.levels)
        self.bottom: Node = (0,) * len(self.top)
        widths = [
            [int(columns.widths[columns.firsts[column] + level]) for level in levels]
            for column, levels in enumerate(self.levels)
        ]
        self._merging = Merging(self._matrix(widths), widths, problem.units)
        self._members, counts = self._tuples()
        self._counts = np.ascontiguousarray(counts, dtype=np.int64)
        values = problem.positions + columns.offsets[:, None]
        self._values = np.ascontiguousarray(values[:, self._members].T, dtype=np.int32)
        self._nobody = np.zeros(len(columns.people))
        self._kept: WeakKeyDictionary[Merged, tuple[NDArray[np.int64], NDArray[np.int32]]]
        self._kept = WeakKeyDictionary()
        strict = [model for model in problem.models if model.absorbing and not model.whole]
        if problem.limit == 0:
            strict = [model for model in problem.models if model.absorbing or model.monotone]
        plain = problem.units.population is None
        self._counting = [model for model in strict if model.on is None and plain]
        self._strict = [model for model in strict if model not in self._counting]
        self._others = [model for model in problem.models if model not in self._counting]

    @property
    def size(self) -> int:
        """The nodes of the lattice that differ."""
        return prod(len(levels) for levels in self.levels)

    def named(self, node: Node) -> tuple[int, ...]:
        """The levels of a node as the ladders number them."""
        if self._all_levels:
            return node
        return tuple(levels[i] for levels, i in zip(self.levels, node, strict=True))

    def _matrix(self, widths: Sequence[Sequence[int]]) -> NDArray[np.unsignedinteger]:
        """The label of each unit at each level, and its value of each sensitive column."""
        problem, columns = self.problem, self.columns
        sensitive = list(problem.units.sensitive.values())
        widest = max([*(max(column) for column in widths), *(len(column.overall) for column in sensitive), 1])
        rows = sum(map(len, widths)) + len(sensitive)
        dtype = np.uint16 if widest <= 2**16 else np.uint32
        matrix = np.empty((rows, problem.positions.shape[1]), dtype=dtype)
        row = 0
        for column, levels in enumerate(self.levels):
            for level in levels:
                labels = columns.labels[columns.at([level] * len(self.levels), column)]
                dense = (labels - labels.min(initial=labels.max(initial=0))).astype(dtype)
                np.take(dense, problem.positions[column], out=matrix[row])
                row += 1
        for known in sensitive:
            matrix[row] = known.codes
            row += 1
        return matrix

    def _tuples(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """A unit of each tuple of the columns, and the rows of the tuple: they go or stay together."""
        units = self.problem.units
        if not units.sensitive or self.problem.subjects is not None:
            return np.arange(len(units.counts)), units.counts
        numbers, sizes = self._merging.group(self.bottom, self._merging.all)
        return np.flatnonzero(np.diff(np.maximum.accumulate(numbers), prepend=-1)), sizes

    def group(self, node: Node) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The class of each unit and the rows of each class."""
        base = self._merging.of(node)
        numbers, sizes = self._merging.group(node, base)
        return base.numbers(numbers), sizes

    def check(self, node: Node) -> Checked:
        """Make a node's classes and hold the models against them, those that rule out most first."""
        limit = self.problem.limit
        base = self._merging.of(node)
        numbers, sizes = self._merging.group(node, base)
        holds = holding(self._counting, ClassTable(sizes))
        least = int(sizes[~holds].sum())
        if least > limit or not self._others:
            return Checked(base, numbers, sizes, holds, holds, least, least > limit)
        # Of classes that fail already nobody needs to know what is in them.
        table = _table(base.units, numbers, sizes, holds)
        may = holding(self._strict, table)
        least += int(table.sizes[~may].sum())
        if least > limit or len(self._strict) == len(self._others):
            may = _within(holds, may)
            return Checked(base, numbers, sizes, may, may, least, least > limit)
        most = np.where(may, most_rows(self._others, table), 0)
        # What counts people fails if those who may be kept are too few.
        most *= holding(self._counting, ClassTable(most))
        stays, open_ = _within(holds, holding(self._others, table)), _within(holds, most > 0)
        least = int(sizes.sum() - most.sum())
        return Checked(base, numbers, sizes, stays, open_, least, least > limit)

    def people(self, checked: Checked) -> NDArray[np.int64]:
        """The people of each class, which are its rows where everybody has one."""
        return checked.sizes

    def gone(self, checked: Checked, holds: NDArray[np.bool_]) -> NDArray[np.float64]:
        """The rows by value of the classes that do not hold, as ``people`` of the columns."""
        if holds.all():
            return self._nobody
        starts, order = self._laid(checked.base)
        found: NDArray[np.float64] = _kernel()(
            self._values, self.columns.people, starts, order, holds, checked.merged, self._counts
        )
        return found

    def _laid(self, base: Merged) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """The tuples in the order of the merged units they went to, and where each unit's begin."""
        if base not in self._kept:
            places = self._members if base.places is None else base.places[self._members]
            self._kept[base] = _sorting()(places, len(base.units.counts))
        return self._kept[base]

    def classes(self, node: Node, checked: Checked) -> Classes:
        """A checked node as measures see it."""
        return Classes(
            self.named(node),
            checked.numbers,
            checked.sizes,
            checked.stays,
            self.gone(checked, checked.stays),
        )


def moved(node: Node, column: int, level: int) -> Node:
    """The node with one column at another level."""
    return (*node[:column], level, *node[column + 1 :])


def _different(columns: Columns, column: int) -> tuple[int, ...]:
    """The levels of a column that put together other values than the level kept before them."""
    kept: list[int] = []
    widths = columns.widths[columns.firsts[column] :].tolist()
    last: NDArray[np.int64] | None = None
    for level in range(int(columns.heights[column])):
        labels = columns.labels[columns.at([level] * len(columns.heights), column)]
        if last is not None:
            width = int(labels.max(initial=0)) + 1
            if len(np.unique(last * width + labels)) == widths[level] == widths[kept[-1]]:
                continue
        kept.append(level)
        last = labels
    return tuple(kept)


def _table(
    units: Units, numbers: NDArray[np.int64], sizes: NDArray[np.int64], holds: NDArray[np.bool_]
) -> ClassTable:
    """The classes that hold, as a table of their own."""
    classes = int(np.count_nonzero(holds))
    if classes < len(holds):
        places = np.cumsum(holds) - 1
        places[~holds] = -1
        numbers, sizes = places[numbers], sizes[holds]
    sensitive = {
        name: Contingency.of(column, numbers, units.counts, classes)
        for name, column in units.sensitive.items()
    }
    if units.population is None:
        return ClassTable(sizes, sensitive)
    inside = numbers >= 0
    population = np.bincount(numbers[inside], units.population[inside], classes)
    return ClassTable(sizes, sensitive, population.astype(np.int64))


def _within(holds: NDArray[np.bool_], verdict: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The verdict on the classes that hold, for all classes."""
    found = holds.copy()
    found[holds] = verdict
    return found


@cache
def _sorting() -> Any:
    """Where the tuples of each unit begin, and the tuples in that order."""
    import numba

    @numba.njit(cache=True)
    def kernel(places: Any, units: Any) -> Any:  # pragma: no cover - compiled
        starts = np.zeros(units + 1, dtype=np.int64)
        for unit in places:
            starts[unit + 1] += 1
        for unit in range(units):
            starts[unit + 1] += starts[unit]
        free = starts.copy()
        order = np.empty(len(places), dtype=np.int32)
        for i in range(len(places)):
            order[free[places[i]]] = i
            free[places[i]] += 1
        return starts, order

    return kernel


@cache
def _kernel() -> Any:
    """Counting the rows of suppressed units by value; numba is loaded when a search first needs it."""
    import numba

    @numba.njit(cache=True)
    def kernel(  # pragma: no cover - compiled
        values: Any, people: Any, starts: Any, order: Any, holds: Any, numbers: Any, counts: Any
    ) -> Any:
        units = np.empty(len(numbers), dtype=np.int32)
        going, leaving = 0, 0
        for unit in range(len(numbers)):
            # Without a branch: which units go cannot be guessed.
            units[going] = unit
            going += not holds[numbers[unit]]
        for unit in units[:going]:
            leaving += starts[unit + 1] - starts[unit]
        # The fewer tuples are counted, and the others are the rest of the people.
        fewer = 2 * leaving > len(order)
        if fewer:
            going = 0
            for unit in range(len(numbers)):
                units[going] = unit
                going += holds[numbers[unit]]
        found = np.zeros(len(people), dtype=np.int64)
        for unit in units[:going]:
            for at in range(starts[unit], starts[unit + 1]):
                i = order[at]
                for j in range(values.shape[1]):
                    found[values[i, j]] += counts[i]
        return people - found if fewer else found.astype(np.float64)

    return kernel
