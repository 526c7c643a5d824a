"""The loss measure: how much of each column's domain a cell covers (Iyengar 2002, as ARX scores it)."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from sfumato.anonymity.measures.columns import Additive, Classes, Columns


class Loss(Additive):
    """Geometric mean over columns of the normalized mean share of leaves that a cell covers.

    With D the leaves of a column and s the mean share of leaves under its cells' labels (a
    suppressed cell covers all of them), v = (s - 1/D) / (1 - 1/D), and the score is
    prod(1 + v)^weight - 1, the weights 1 in all: 0 for untouched data, 1 for none left.
    """

    summary: ClassVar[str] = "how much of each column's domain the labels cover, geometric mean over columns"

    def __init__(self, columns: Columns) -> None:
        super().__init__(columns)
        sizes = columns.sizes[columns.owners]
        # A column of one leaf cannot lose anything.
        self._room = columns.rows * np.maximum(sizes - 1, 1)
        self._base = columns.sums(columns.leaves, columns.people) - columns.rows
        lengths = np.diff(np.append(columns.starts, len(columns.cells)))
        self._rest = np.repeat(sizes, lengths) - columns.leaves
        self._least = columns.least(self._rest)

    def costs(self, gone: NDArray[np.float64], more: int = 0) -> NDArray[np.float64]:
        """Weighted logarithms of 1 + v, shape (levels,)."""
        lost = self._base + self._columns.sums(self._rest, gone) + more * self._least
        found: NDArray[np.float64] = self._weights * np.log1p(np.maximum(lost, 0) / self._room)
        return found

    def total(self, cost: float, suppressed: int) -> float:  # noqa: ARG002 - the cells have it
        """The score from the sum of costs."""
        return float(np.expm1(cost))


def shares(columns: Columns, classes: Classes) -> NDArray[np.float64]:
    """The mean share of leaves that a cell covers, a suppressed one all, shape (columns,)."""
    found = []
    for column, size in enumerate(columns.sizes):
        at = columns.at(classes.levels, column)
        values = columns.cells[at]
        kept = columns.people[values] - classes.gone[values]
        found.append(float((kept * columns.leaves[at]).sum() / size) + classes.suppressed)
    return np.array(found) / columns.rows


def raw_loss(shares: NDArray[np.float64]) -> float:
    """The plain mean share over columns: 1 when everything is suppressed."""
    return float(np.mean(shares))


def granularity(shares: NDArray[np.float64], sizes: NDArray[np.float64]) -> float:
    """What is left of the detail, from 1 (untouched) to 0: raw loss on the scale between the two."""
    finest = float(np.mean(1 / np.maximum(sizes, 1)))
    return 1.0 if finest >= 1 else 1 - (raw_loss(shares) - finest) / (1 - finest)
