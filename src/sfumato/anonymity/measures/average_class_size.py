"""Average class size: rows for each class (LeFevre et al. 2006, C_AVG not divided by k)."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from sfumato.anonymity.measures.columns import Classes, Columns


class AverageClassSize:
    """Rows of the table for each class; the suppressed rows, alike to a reader, make one class."""

    summary: ClassVar[str] = "rows for each class, the suppressed ones together being one"
    nested: ClassVar[bool] = True

    def __init__(self, columns: Columns) -> None:
        self._rows = columns.rows
        self._units = max(1, int((columns.counts > 0).sum()))
        self._costs = -np.log(np.maximum(columns.widths, 1))

    def costs(self, gone: NDArray[np.float64], more: int = 0) -> NDArray[np.float64]:  # noqa: ARG002
        """Minus the logarithm of a level's labels, shape (levels,): classes are at most their product."""
        return self._costs

    def total(self, cost: float, suppressed: int) -> float:  # noqa: ARG002 - not more by it
        """Never more classes than tuples, nor than combinations of labels."""
        classes = min(self._units, float(np.exp(min(-cost, 700.0))) * (1 + 1e-9))
        return self._rows / classes

    def score(self, classes: Classes) -> float:
        """The score of a node."""
        staying = int((classes.stays & (classes.sizes > 0)).sum())
        return self._rows / max(1, staying + (classes.suppressed > 0))

    def floor(self, classes: Classes) -> float:
        """Merging and suppressing only add to the score."""
        return self.score(classes)
