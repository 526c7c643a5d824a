"""Precision: how high in its hierarchy a cell stands (Sweeney 2002, section 5)."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from sfumato.anonymity.measures.columns import Additive, Columns


class Precision(Additive):
    """1 - Prec: the weighted mean over cells of level / height, 1 for a suppressed cell.

    A hierarchy of one level has height 0 and loses nothing until its cells are suppressed.
    """

    summary: ClassVar[str] = "the share of its hierarchy's height that a cell has climbed, mean over cells"

    def __init__(self, columns: Columns) -> None:
        super().__init__(columns)
        self._climbed = columns.steps / np.maximum(columns.heights - 1, 1)[columns.owners]

    def costs(self, gone: NDArray[np.float64], more: int = 0) -> NDArray[np.float64]:
        """Weighted heights, shape (levels,)."""
        share = (self._columns.suppressed(gone) + more) / self._columns.rows
        found: NDArray[np.float64] = self._weights * (self._climbed * (1 - share) + share)
        return found
