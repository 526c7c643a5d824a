"""Non-uniform entropy: bits that a reader of the release lacks to know the values (Gionis & Tassa 2009)."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from sfumato.anonymity.measures.columns import Additive, Columns


class Entropy(Additive):
    """The sum over cells of -log2(rows with the value / rows with the label), as ARX scores it.

    A suppressed cell adds -log2(suppressed rows with the label / suppressed rows): what the label had
    told of it. Weighted, a column's part is times its weight as a multiple of an equal one.
    """

    summary: ClassVar[str] = "bits lacking to know the values from the labels, summed over cells"

    def __init__(self, columns: Columns) -> None:
        super().__init__(columns)
        spread = columns.spread(columns.people)
        self._scale = len(columns.weights) * self._weights
        self._base = spread[columns.firsts][columns.owners] - spread

    def costs(self, gone: NDArray[np.float64], more: int = 0) -> NDArray[np.float64]:  # noqa: ARG002
        """Weighted bits, shape (levels,); more rows of which nothing is known add none for sure."""
        found: NDArray[np.float64] = self._scale * (self._base + self._columns.spread(gone))
        return found
