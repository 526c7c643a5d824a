"""Ambiguity: how many different tuples a row could have been (Nergiz & Clifton 2007)."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from sfumato.anonymity.measures.columns import Classes, Columns


class Ambiguity:
    """The mean over rows of the tuples that their labels cover, all of the domain for a suppressed row."""

    summary: ClassVar[str] = "tuples of the domain that a row's labels cover, mean over rows"
    nested: ClassVar[bool] = True

    def __init__(self, columns: Columns) -> None:
        self._columns = columns
        self._logs = np.log(np.maximum(columns.volumes, 1))
        self._base = columns.sums(self._logs, columns.people)
        lengths = np.diff(np.append(columns.starts, len(columns.cells)))
        domains = np.log(columns.domains)
        self._rest = np.repeat(domains[columns.owners], lengths) - self._logs
        self._domain = float(domains.sum())
        self._least = columns.least(self._rest)

    def costs(self, gone: NDArray[np.float64], more: int = 0) -> NDArray[np.float64]:
        """Mean logarithms of the leaves under a label, shape (levels,)."""
        columns = self._columns
        found: NDArray[np.float64] = (
            self._base + columns.sums(self._rest, gone) + more * self._least
        ) / columns.rows
        return found

    def total(self, cost: float, suppressed: int) -> float:  # noqa: ARG002 - the cells have it
        """The geometric mean of what rows cover, which is at most the mean."""
        return float(np.exp(min(cost, 700.0))) * (1 - 1e-9)

    def score(self, classes: Classes) -> float:
        """The score of a node."""
        columns, members = self._columns, classes.members
        covered = np.zeros(len(members))
        for column, at in enumerate(columns.positions):
            covered += self._logs[columns.at(classes.levels, column)][at[members]]
        tuples = np.exp(np.minimum(np.where(classes.stays, covered, self._domain), 700.0))
        return float((tuples * classes.sizes).sum() / columns.rows)

    def floor(self, classes: Classes) -> float:
        """Merging and suppressing only add to the score."""
        return self.score(classes) * (1 - 1e-9)
