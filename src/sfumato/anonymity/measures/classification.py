"""The classification metric: rows that a learner would get wrong in their class (Iyengar 2002)."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from sfumato.anonymity.measures.columns import Classes, Columns
from sfumato.core.errors import InputError


class Classification:
    """The share of rows that are suppressed or have another target than most of their class.

    Raises:
        InputError: ``policy-mismatch`` without a target.
    """

    summary: ClassVar[str] = "the share of rows suppressed or with another target than most of their class"
    nested: ClassVar[bool] = True

    def __init__(self, columns: Columns) -> None:
        if columns.target is None:
            raise InputError(
                "policy-mismatch",
                "the measure classification needs a target column",
                where="anonymity",
                remedy="name the dataset's target, or choose another measure",
            )
        self._target, self._counts, self._rows = columns.target, columns.counts, columns.rows
        self._targets = int(columns.target.max(initial=0)) + 1
        self._costs = np.zeros(len(columns.starts))

    def costs(self, gone: NDArray[np.float64], more: int = 0) -> NDArray[np.float64]:  # noqa: ARG002
        """Nothing, shape (levels,): one column alone says nothing of the classes."""
        return self._costs

    def total(self, cost: float, suppressed: int) -> float:
        """At least the suppressed rows."""
        return cost + suppressed / self._rows

    def score(self, classes: Classes) -> float:
        """The score of a node."""
        pairs = classes.numbers * self._targets + self._target
        joint = np.bincount(pairs, self._counts, len(classes.sizes) * self._targets)
        most = joint.reshape(-1, self._targets).max(axis=1)
        return float((classes.sizes - np.where(classes.stays, most, 0)).sum() / self._rows)

    def floor(self, classes: Classes) -> float:
        """Merging and suppressing only add to the score."""
        return self.score(classes)
