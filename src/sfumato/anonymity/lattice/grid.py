"""The lattice over a problem: the classes of a node, and whether they hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sfumato.anonymity.holding import holding
from sfumato.anonymity.lattice.least import least_rows
from sfumato.anonymity.lattice.merging import Merged, Merging
from sfumato.anonymity.lattice.problem import Problem
from sfumato.anonymity.measures.columns import Classes, Columns
from sfumato.classes.table import ClassTable

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
        return int(self.sizes[~self.stays].sum())


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
        self.top: Node = tuple(len(levels) - 1 for levels in self.levels)
        self.bottom: Node = (0,) * len(self.top)
        widths = [
            [int(columns.widths[columns.firsts[column] + level]) for level in levels]
            for column, levels in enumerate(self.levels)
        ]
        self._merging = Merging(self._matrix(widths), widths, problem.units)
        self._counts = np.ascontiguousarray(problem.units.counts, dtype=np.int64)
        self._positions = np.ascontiguousarray(problem.positions, dtype=np.int32)
        self._nobody = np.zeros(len(columns.people))
        strict = [model for model in problem.models if model.absorbing and not model.whole]
        if problem.limit == 0:
            strict = [model for model in problem.models if model.absorbing or model.monotone]
        self._strict = strict
        plain = problem.units.population is None
        self._counting = [model for model in strict if model.on is None and plain]

    @property
    def size(self) -> int:
        """The nodes of the lattice that differ."""
        return prod(len(levels) for levels in self.levels)

    def named(self, node: Node) -> tuple[int, ...]:
        """The levels of a node as the ladders number them."""
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

    def group(self, node: Node) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The class of each unit and the rows of each class."""
        base = self._merging.of(node)
        numbers, sizes = self._merging.group(node, base)
        return base.numbers(numbers), sizes

    def check(self, node: Node) -> Checked:
        """Make a node's classes and hold the models against them, those that rule out most first."""
        models, limit = self.problem.models, self.problem.limit
        base = self._merging.of(node)
        numbers, sizes = self._merging.group(node, base)
        table = ClassTable(sizes)
        units = base.units
        if self._counting:
            holds = holding(self._counting, table)
            least = int(sizes[~holds].sum())
            if least > limit or len(self._counting) == len(models):
                return Checked(base, numbers, sizes, holds, holds, least, least > limit)
            # Of classes that fail already nobody needs to know what is in them.
            units = replace(units, counts=np.where(holds[numbers], units.counts, 0))
        if units.sensitive or units.population is not None:
            table = replace(units.classes(numbers, len(sizes)), sizes=sizes)
        open_ = holds if self._counting and self._counting == self._strict else holding(self._strict, table)
        least = int(sizes[~open_].sum())
        if least > limit or len(self._strict) == len(models):
            return Checked(base, numbers, sizes, open_, open_, least, least > limit)
        least = max(least, least_rows(models, table, ~open_))
        return Checked(base, numbers, sizes, holding(models, table), open_, least, least > limit)

    def people(self, checked: Checked) -> NDArray[np.int64]:
        """The people of each class, shape (classes,): a row is a person."""
        return checked.sizes

    def gone(self, checked: Checked, holds: NDArray[np.bool_]) -> NDArray[np.float64]:
        """The rows by value of the classes that do not hold, as ``people`` of the columns."""
        if holds.all():
            return self._nobody
        stays = holds[checked.numbers]
        # The fewer units are counted, and the others are the rest of the people.
        fewer = stays if 2 * np.count_nonzero(stays) < len(stays) else ~stays
        found: NDArray[np.float64] = _kernel()(
            self._positions, self.columns.offsets, np.flatnonzero(fewer), self._counts, len(self._nobody)
        )
        return self.columns.people - found if fewer is stays else found

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
    last: NDArray[np.int64] | None = None
    for level in range(int(columns.heights[column])):
        labels = columns.labels[columns.at([level] * len(columns.heights), column)]
        if last is not None:
            width = int(labels.max(initial=0)) + 1
            together = len(np.unique(last * width + labels))
            if together == len(np.unique(labels)) == len(np.unique(last)):
                continue
        kept.append(level)
        last = labels
    return tuple(kept)


@cache
def _kernel() -> Any:
    """Counting the rows of suppressed units by value; numba is loaded when a search first needs it."""
    import numba

    @numba.njit(cache=True)
    def kernel(  # pragma: no cover - compiled
        positions: Any, offsets: Any, chosen: Any, counts: Any, values: Any
    ) -> Any:
        found = np.zeros(values)
        for j in range(len(positions)):
            for i in chosen:
                found[offsets[j] + positions[j, i]] += counts[i]
        return found

    return kernel
