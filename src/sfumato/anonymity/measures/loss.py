"""The loss measure: how much of each column's domain a cell covers (Iyengar 2002, as ARX scores it)."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray


class Loss:
    """Geometric mean over columns of the normalized mean share of leaves that a cell covers.

    With D the leaves of a column and s the mean share of leaves under its cells' labels (a
    suppressed cell covers all of them), v = (s - 1/D) / (1 - 1/D), and the score is
    prod(1 + v)^(1/columns) - 1: 0 for untouched data, 1 for none left.

    Args:
        sizes: D of each column, shape (columns,).
    """

    summary: ClassVar[str] = "how much of each column's domain the labels cover, geometric mean over columns"

    def __init__(self, sizes: NDArray[np.float64]) -> None:
        self._finest = 1 / np.maximum(sizes, 1)

    def score(self, shares: NDArray[np.float64]) -> NDArray[np.float64]:
        """Scores from mean shares, shape (..., columns) -> (...)."""
        span = 1 - self._finest
        # A column of one leaf cannot lose anything.
        lost = np.divide(shares - self._finest, span, out=np.zeros_like(shares), where=span > 0)
        scores: NDArray[np.float64] = np.prod(1 + np.maximum(lost, 0), axis=-1) ** (1 / shares.shape[-1]) - 1
        return scores


def raw_loss(shares: NDArray[np.float64]) -> float:
    """The plain mean share over columns: 1 when everything is suppressed."""
    return float(np.mean(shares))


def granularity(shares: NDArray[np.float64], sizes: NDArray[np.float64]) -> float:
    """What is left of the detail, from 1 (untouched) to 0: raw loss on the scale between the two."""
    finest = float(np.mean(1 / np.maximum(sizes, 1)))
    return 1.0 if finest >= 1 else 1 - (raw_loss(shares) - finest) / (1 - finest)
