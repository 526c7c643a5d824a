"""What a measure knows of a table, and of the classes that a node makes of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from sfumato.core.errors import InputError
from sfumato.hierarchies.ladder import Ladder


@dataclass(frozen=True)
class Columns:
    """Generalized columns laid out flat: values one column after another, then levels, then labels.

    ``values`` of all columns are numbered through (column j from ``offsets[j]``), ``levels`` likewise
    (column j from ``firsts[j]``). A cell is a value at a level: ``cells`` has the value of each cell,
    ``leaves`` the leaves under its label, ``labels`` the number of its label (through all levels, those
    of a level side by side), and level i has the cells from ``starts[i]``. ``people`` are the rows with
    each value. ``sizes`` are the leaves of each column, ``weights`` how much each counts (1 in all).

    ``positions`` (columns, units), ``counts`` (units,) and the codes of the ``target`` (units,) are the
    tuples themselves.
    """

    sizes: NDArray[np.float64]
    weights: NDArray[np.float64]
    heights: NDArray[np.int64]
    offsets: NDArray[np.int64]
    firsts: NDArray[np.int64]
    cells: NDArray[np.int64]
    leaves: NDArray[np.float64]
    labels: NDArray[np.int64]
    starts: NDArray[np.int64]
    people: NDArray[np.float64]
    positions: NDArray[np.int64]
    counts: NDArray[np.int64]
    target: NDArray[np.int64] | None = None

    @classmethod
    def of(
        cls,
        ladders: Sequence[Ladder],
        positions: NDArray[np.int64],
        counts: NDArray[np.int64],
        weights: Mapping[str, float] | None = None,
        target: NDArray[np.int64] | None = None,
    ) -> Columns:
        """The columns of a table of tuples.

        Args:
            ladders: one a column.
            positions: each tuple's place in each ladder's values, shape (columns, units).
            counts: the rows of each tuple, shape (units,).
            weights: how much each column counts, by name, any scale; all the same if None.
            target: the code of each tuple's value of what is to be learned, shape (units,).

        Raises:
            InputError: ``usage`` for weights that do not fit.
        """
        lengths = np.array([len(ladder.values) for ladder in ladders], dtype=np.int64)
        heights = np.array([ladder.height for ladder in ladders], dtype=np.int64)
        offsets = _starts(lengths)
        cells, labels, leaves, number = [], [], [], 0
        for ladder, offset in zip(ladders, offsets, strict=True):
            for codes, shares in zip(ladder.codes, ladder.shares, strict=True):
                cells.append(offset + np.arange(len(codes)))
                dense = np.unique(codes, return_inverse=True)[1].astype(np.int64)
                labels.append(number + dense)
                number += int(dense.max(initial=-1)) + 1
                leaves.append(_whole(np.minimum(shares, 1) * ladder.size))
        people = [
            np.bincount(at, counts, length) for at, length in zip(positions, lengths.tolist(), strict=True)
        ]
        return cls(
            sizes=np.array([ladder.size for ladder in ladders], dtype=np.float64),
            weights=_normalized([ladder.column for ladder in ladders], weights),
            heights=heights,
            offsets=offsets,
            firsts=_starts(heights),
            cells=np.concatenate(cells),
            leaves=np.concatenate(leaves),
            labels=np.concatenate(labels),
            starts=_starts(np.repeat(lengths, heights)),
            people=np.concatenate(people),
            positions=positions,
            counts=counts,
            target=target,
        )

    @cached_property
    def rows(self) -> int:
        """People in all; 1 for nobody, so that means are defined."""
        return max(1, int(self.counts.sum()))

    @cached_property
    def owners(self) -> NDArray[np.int64]:
        """The column of each level, shape (levels,)."""
        return np.repeat(np.arange(len(self.heights)), self.heights)

    @cached_property
    def steps(self) -> NDArray[np.int64]:
        """The place of each level in its column, from 0, shape (levels,)."""
        return np.arange(int(self.heights.sum())) - self.firsts[self.owners]

    @cached_property
    def volumes(self) -> NDArray[np.float64]:
        """Leaves under each cell's label, at least those of the labels below it together, shape (cells,).

        A missing value is a leaf that its domain may not count, so a label's own figure can be less.
        """
        found = self.leaves.copy()
        ends = [*self.starts[1:].tolist(), len(self.cells)]
        spans = list(zip(self.starts.tolist(), ends, strict=True))
        for level, ((low, middle), (_, high)) in enumerate(pairwise(spans), start=1):
            if self.steps[level] == 0 or low == middle:
                continue
            below, above = self.labels[low:middle], self.labels[middle:high]
            _, one_each = np.unique(below, return_index=True)
            summed = np.bincount(above[one_each] - above.min(), found[low:middle][one_each])
            found[middle:high] = np.maximum(found[middle:high], summed[above - above.min()])
        return found

    @cached_property
    def domains(self) -> NDArray[np.float64]:
        """What a suppressed cell may be, in leaves: of each column, shape (columns,)."""
        found = self.sizes.copy()
        for column, height in enumerate(self.heights.tolist()):
            top = self.at([height - 1] * len(found), column)
            _, one_each = np.unique(self.labels[top], return_index=True)
            found[column] = max(found[column], self.volumes[top][one_each].sum())
        return found

    def sums(self, cells: NDArray[np.float64], people: NDArray[np.float64]) -> NDArray[np.float64]:
        """The sum over people, shape (values,), of what their cell has, shape (cells,): for each level."""
        if not len(cells):
            return np.zeros(len(self.starts))
        found: NDArray[np.float64] = np.add.reduceat(cells * people[self.cells], self.starts)
        return found

    def least(self, cells: NDArray[np.float64]) -> NDArray[np.float64]:
        """The least that a cell has, shape (cells,): for each level, over the values that occur."""
        if not len(cells):
            return np.zeros(len(self.starts))
        occurring = np.where(self.people[self.cells] > 0, cells, np.inf)
        found = np.minimum.reduceat(occurring, self.starts)
        return np.where(np.isfinite(found), found, 0.0)

    def suppressed(self, gone: NDArray[np.float64]) -> float:
        """The rows that are gone, from their values."""
        return float(gone[: len(gone) if len(self.offsets) < 2 else self.offsets[1]].sum())

    def spread(self, people: NDArray[np.float64]) -> NDArray[np.float64]:
        """n log2 n - sum of c log2 c over the c people of each label: for each level, shape (levels,).

        It is n times the entropy of the labels, and never falls when people are added.
        """
        of_cell = people[self.cells]
        counts = np.bincount(self.labels, of_cell, len(self._label_levels))
        of_label = np.bincount(self._label_levels, _xlog2x(counts), len(self.starts))
        totals = np.add.reduceat(of_cell, self.starts) if len(of_cell) else np.zeros(len(self.starts))
        return np.maximum(_xlog2x(totals) - of_label, 0)

    @cached_property
    def _label_levels(self) -> NDArray[np.int64]:
        found = np.zeros(int(self.labels.max(initial=-1)) + 1, dtype=np.int64)
        lengths = np.diff(np.append(self.starts, len(self.cells)))
        found[self.labels] = np.repeat(np.arange(len(self.starts)), lengths)
        return found

    @cached_property
    def widths(self) -> NDArray[np.int64]:
        """Labels that occur at each level, shape (levels,)."""
        return np.bincount(self._label_levels, minlength=len(self.starts))

    def at(self, levels: Sequence[int], column: int) -> slice:
        """The cells of a column at its level of a node."""
        start = int(self.starts[self.firsts[column] + levels[column]])
        end = int(self.offsets[column + 1]) if column + 1 < len(self.offsets) else len(self.people)
        return slice(start, start + end - int(self.offsets[column]))


class Additive:
    """A measure that columns say all of: its score is the total of their costs."""

    nested: ClassVar[bool] = False

    def __init__(self, columns: Columns) -> None:
        self._columns = columns
        self._weights = columns.weights[columns.owners]

    def costs(self, gone: NDArray[np.float64], more: int = 0) -> NDArray[np.float64]:
        """What each level costs, shape (levels,), if these rows are gone and so many more."""
        raise NotImplementedError

    def total(self, cost: float, suppressed: int) -> float:  # noqa: ARG002 - the costs have it
        """The score from the sum of costs."""
        return max(0.0, cost)

    def score(self, classes: Classes) -> float:
        """The score of a node."""
        levels = self._columns.firsts + np.array(classes.levels)
        return self.total(float(self.costs(classes.gone)[levels].sum()), classes.suppressed)

    def floor(self, classes: Classes) -> float:  # noqa: ARG002 - columns have said it all
        """Nothing beyond the costs."""
        return 0.0


@dataclass(frozen=True)
class Classes:
    """A node and the classes it makes: ``numbers`` of each unit's class, ``sizes`` in rows, who stays.

    ``gone`` are the rows that do not stay by value, as ``people`` of :class:`Columns`.
    """

    levels: tuple[int, ...]
    numbers: NDArray[np.int64]
    sizes: NDArray[np.int64]
    stays: NDArray[np.bool_]
    gone: NDArray[np.float64]

    @property
    def suppressed(self) -> int:
        """The rows of the classes that do not stay."""
        return int(self.sizes[~self.stays].sum())

    @property
    def members(self) -> NDArray[np.int64]:
        """One unit of each class, the first, shape (classes,)."""
        return np.flatnonzero(np.diff(np.maximum.accumulate(self.numbers), prepend=-1))


def target_weights(
    ladders: Sequence[Ladder],
    positions: NDArray[np.int64],
    counts: NDArray[np.int64],
    target: NDArray[np.int64],
    floor: float = 0.05,
) -> dict[str, float]:
    """Weights by what each column says about a target, so that generalization falls elsewhere.

    A column's weight is the mutual information of its values with the target, less what chance gives
    on average ((values - 1)(targets - 1) / 2 rows, Miller 1955), as a share of that of all; none gets
    less than ``floor`` of an equal share, so that nothing is free to take.

    Args:
        ladders: one a column.
        positions: shape (columns, units).
        counts: shape (units,).
        target: the code of each unit's target, shape (units,).
        floor: from 0 to 1.

    Returns:
        Weights by column, 1 in all.
    """
    rows = max(1, int(counts.sum()))
    wide = int(target.max(initial=0)) + 1
    told = []
    for ladder, at in zip(ladders, positions, strict=True):
        joint = np.bincount(at * wide + target, counts, len(ladder.values) * wide).reshape(-1, wide)
        values, targets = joint.sum(axis=1), joint.sum(axis=0)
        bits = _xlog2x(joint).sum() + _xlog2x(np.array([float(rows)])).sum()
        bits -= _xlog2x(values).sum() + _xlog2x(targets).sum()
        chance = ((values > 0).sum() - 1) * ((targets > 0).sum() - 1) / (2 * rows * np.log(2))
        told.append(max(0.0, float(bits) / rows - float(chance)))
    total = sum(told)
    shares = [one / total if total > 0 else 1 / len(told) for one in told]
    return {
        ladder.column: (1 - floor) * share + floor / len(told)
        for ladder, share in zip(ladders, shares, strict=True)
    }


def _xlog2x(counts: NDArray[Any]) -> NDArray[np.float64]:
    found: NDArray[np.float64] = counts * np.log2(np.maximum(counts, 1e-300))
    return found


def _starts(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(lengths)[:-1]]).astype(np.int64)


def _whole(leaves: NDArray[np.float64]) -> NDArray[np.float64]:
    """Leaves as whole numbers where they are, so that sums over rows are exact in any order."""
    near = np.rint(leaves)
    return np.where(np.abs(leaves - near) < 1e-6, near, leaves)


def _normalized(columns: Sequence[str], weights: Mapping[str, float] | None) -> NDArray[np.float64]:
    if weights is None:
        return np.full(len(columns), 1 / max(1, len(columns)))
    found = np.array([weights.get(column, np.nan) for column in columns], dtype=np.float64)
    if len(weights) != len(columns) or not (np.isfinite(found).all() and (found >= 0).all() and found.any()):
        raise InputError(
            "usage",
            "weights need one number for each quasi-identifier and no other column, 0 or more, not all 0",
            where="anonymity",
            remedy="name " + ", ".join(columns),
        )
    shares: NDArray[np.float64] = found / found.sum()
    return shares
