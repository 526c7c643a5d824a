"""Discernibility: how many others each row is confused with (Bayardo & Agrawal 2005)."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from sfumato.anonymity.measures.columns import Classes, Columns


class Discernibility:
    """The sum over classes of size squared; a suppressed row is confused with the whole table."""

    summary: ClassVar[str] = "rows that each row is confused with, all for a suppressed one, summed over rows"
    nested: ClassVar[bool] = True

    def __init__(self, columns: Columns) -> None:
        self._rows = int(columns.counts.sum())
        self._units = max(1, int((columns.counts > 0).sum()))
        self._costs = -np.log(np.maximum(columns.widths, 1))

    def costs(self, gone: NDArray[np.float64], more: int = 0) -> NDArray[np.float64]:  # noqa: ARG002
        """Minus the logarithm of a level's labels, shape (levels,): classes are at most their product."""
        return self._costs

    def total(self, cost: float, suppressed: int) -> float:
        """Classes of one size make the least sum of squares; two are taken at least, so that it rises."""
        classes = max(2.0, min(self._units, float(np.exp(min(-cost, 700.0))) * (1 + 1e-9)))
        return (self._rows - suppressed) ** 2 / classes + suppressed * self._rows

    def score(self, classes: Classes) -> float:
        """The score of a node."""
        stays = classes.sizes[classes.stays].astype(np.float64)
        return float((stays**2).sum()) + classes.suppressed * self._rows

    def floor(self, classes: Classes) -> float:
        """Merging and suppressing only add to the score."""
        return self.score(classes)
