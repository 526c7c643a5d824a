"""What a partition works on, what it finds, and what its classes cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sfumato.classes.grouping import combine, group
from sfumato.classes.table import ClassTable, Units
from sfumato.contracts import PrivacyModel
from sfumato.hierarchies.ladder import Ladder


@dataclass(frozen=True)
class Axis:
    """One column that a partition cuts.

    A class gets the finest label of the ladder that covers its values; or, if the axis is ``free``,
    the interval from its smallest to its largest number, or the set of its values where there are no
    ``numbers``, shape (values,), NaN for a missing value. An interval that a missing value would have
    to join becomes one that says nothing.
    """

    ladder: Ladder
    free: bool = False
    numbers: NDArray[np.float64] | None = None

    @property
    def worth(self) -> float:
        """The most that the column can lose in :func:`granularity`, on the scale of shares."""
        return 1 - 1 / self.ladder.size


@dataclass(frozen=True)
class Problem:
    """Units as positions in each axis's values.

    ``positions`` has shape (columns, units). The ``models`` must hold for every class, and at most
    ``limit`` rows may be left out.
    """

    axes: Sequence[Axis]
    positions: NDArray[np.int64]
    units: Units
    models: Sequence[PrivacyModel]
    limit: int = 0


@dataclass(frozen=True)
class Assignment:
    """Rows put into classes: ``counts`` rows of unit ``units`` go to class ``classes``, shape (pieces,).

    Classes are numbered from 0 without gaps. The rows of a unit may be dealt to several classes; those
    that no piece has are left out.
    """

    units: NDArray[np.int64]
    classes: NDArray[np.int64]
    counts: NDArray[np.int64]

    @classmethod
    def whole(cls, numbers: NDArray[np.int64], counts: NDArray[np.int64]) -> Assignment:
        """Every unit wholly in one class; a negative number leaves it out.

        >>> Assignment.whole(np.array([4, -1, 4]), np.array([1, 2, 3])).classes
        array([0, 0])
        """
        (staying,) = np.nonzero((numbers >= 0) & (counts > 0))
        classes, _ = group(numbers[staying], counts[staying])
        return cls(staying, classes, counts[staying])

    @property
    def size(self) -> int:
        """The number of classes."""
        return int(self.classes.max(initial=-1)) + 1

    def table(self, units: Units) -> ClassTable:
        """The classes, for the privacy models; population counts have no place in classes of one's own."""
        sensitive = {
            name: type(column)(column.codes[self.units], column.overall, column.tree)
            for name, column in units.sensitive.items()
        }
        return Units(self.counts, sensitive).classes(self.classes, self.size)


@dataclass(frozen=True)
class Cover:
    """What the labels of classes cover, shape (columns, classes) each.

    ``shares`` is the share of the column's leaves under a class's label (of the range of its numbers for
    intervals, in which a single number has 1 / leaves). ``levels`` is the level of the label in the
    ladder of an axis that is not free (its height for a label that says nothing), -1 for one that is.
    """

    shares: NDArray[np.float64]
    levels: NDArray[np.int64]


def cover(problem: Problem, assignment: Assignment) -> Cover:
    """The tightest labels that cover the members of each class."""
    shares = np.empty((len(problem.axes), assignment.size))
    levels = np.full(shares.shape, -1, dtype=np.int64)
    order = np.argsort(assignment.classes, kind="stable")
    starts = np.searchsorted(assignment.classes[order], np.arange(assignment.size))
    for j, axis in enumerate(problem.axes):
        at = problem.positions[j, assignment.units[order]]
        if not axis.free:
            levels[j], shares[j] = _labels(axis.ladder, at, starts)
        elif axis.numbers is not None:
            shares[j] = _intervals(axis, at, starts)
        else:
            pairs = np.unique(combine([assignment.classes[order], at]), return_index=True)[1]
            distinct = np.bincount(assignment.classes[order][pairs], minlength=assignment.size)
            shares[j] = distinct / axis.ladder.size
    return Cover(shares, levels)


def granularity(problem: Problem, assignment: Assignment, found: Cover | None = None) -> float:
    """What is left of the detail, from 1 (untouched) to 0; a row left out has lost all of it.

    The scale of ARX's granularity; 1 - NCP where all columns weigh the same. Columns that all have a
    single value have nothing to lose: 1.
    """
    shares = (cover(problem, assignment) if found is None else found).shares
    rows = problem.units.rows
    kept = np.bincount(assignment.classes, assignment.counts, assignment.size)
    means = (shares * kept).sum(axis=1) / rows + (1 - kept.sum() / rows)
    finest = np.array([1 / axis.ladder.size for axis in problem.axes])
    worth = (1 - finest).sum()
    return float(1 - (means - finest).sum() / worth) if worth > 0 else 1.0


def certainty_penalty(problem: Problem, assignment: Assignment, found: Cover | None = None) -> float:
    """NCP (Xu et al. 2006): the mean over cells of (leaves covered - 1) / (leaves - 1), or 1 if left out."""
    shares = (cover(problem, assignment) if found is None else found).shares
    rows = problem.units.rows
    kept = np.bincount(assignment.classes, assignment.counts, assignment.size)
    worth = np.array([axis.worth for axis in problem.axes])[:, None]
    lost = np.divide(shares - (1 - worth), worth, out=np.zeros_like(shares), where=worth > 0)
    return float(((lost * kept).sum(axis=1) / rows + (1 - kept.sum() / rows)).mean())


def _labels(
    ladder: Ladder, at: NDArray[np.int64], starts: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The finest level at which all members of each class have one label, and its share.

    Where even the top level parts them, the level above it, whose label says nothing.
    """
    levels = np.full(len(starts), ladder.height, dtype=np.int64)
    for level in range(ladder.height - 1, -1, -1):
        codes = ladder.codes[level][at]
        one = np.minimum.reduceat(codes, starts) == np.maximum.reduceat(codes, starts)
        levels[one] = level
    shares = np.stack([*ladder.shares, np.ones(len(ladder.values))])
    return levels, shares[levels, at[starts]]


def _intervals(axis: Axis, at: NDArray[np.int64], starts: NDArray[np.int64]) -> NDArray[np.float64]:
    assert axis.numbers is not None
    numbers = axis.numbers[at]
    low, high = np.fmin.reduceat(numbers, starts), np.fmax.reduceat(numbers, starts)
    missing = np.add.reduceat(np.isnan(numbers).astype(np.int64), starts)
    members = np.diff(np.append(starts, len(at)))
    span = float(np.nanmax(axis.numbers) - np.nanmin(axis.numbers)) if not np.isnan(axis.numbers).all() else 0
    width = (high - low) / span if span > 0 else np.zeros(len(starts))
    mixed = (missing > 0) & (missing < members)
    finest = 1 / axis.ladder.size
    return np.where(mixed, 1.0, finest + (1 - finest) * np.where(missing == members, 0.0, width))
