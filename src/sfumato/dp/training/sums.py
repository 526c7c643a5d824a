"""Noisy sums over rows that are exact before the noise: whole numbers, rounded row by row."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: A row's bound is cut into so many cells.
_CELLS = 2**24
#: The same for second moments, whose products have twice as many.
_MOMENT_CELLS = 2**14


class RowSums:
    """Sums of multiples of sparse rows, each row's multiple bounded in L2, with discrete Gaussian noise.

    Args:
        rows: compressed sparse rows (n, features), none with an L2 norm above ``radius``.
        radius: as declared.
        filled: how many entries of a row there are at most, as declared.
    """

    def __init__(self, rows: Any, radius: float, filled: int) -> None:
        self._columns, self._width = rows.indices, rows.shape[1]
        self._each = np.diff(rows.indptr)
        self._values = rows.data / radius
        squares = np.add.reduceat(self._values**2, rows.indptr[:-1]) if len(self._each) else np.zeros(0)
        self.norms = np.sqrt(squares)
        self._filled = filled

    def noisy(self, weights: NDArray[np.float64], bound: float, multiplier: float) -> NDArray[np.float64]:
        """The sum over rows of (row / radius) x weights, shape (features, k), with noise.

        Args:
            weights: shape (n, k). A row whose product with its weights is longer than ``bound`` is cut to it.
            bound: the L2 bound of one row's part.
            multiplier: the noise's standard deviation over ``bound``.
        """
        from sfumato.dp.mechanisms import gaussian, gaussian_sigma

        cell = bound / _CELLS
        summed = self._whole(weights, bound, cell)
        sigma = gaussian_sigma(multiplier, float(_CELLS))
        noisy = gaussian(summed.ravel(), sigma).reshape(summed.shape)
        return noisy.astype(np.float64) * cell

    def _whole(self, weights: NDArray[np.float64], bound: float, cell: float) -> NDArray[np.int64]:
        # Rounding moves each entry by half a cell; a row is cut that much shorter.
        inner = bound * (1 - 1e-9) - cell * math.sqrt(self._filled * weights.shape[1])
        lengths = np.linalg.norm(weights, axis=1) * self.norms
        cut = weights * np.minimum(1.0, inner / np.maximum(lengths, 1e-300))[:, None]
        sums = np.empty((self._width, weights.shape[1]), dtype=np.int64)
        for k in range(weights.shape[1]):
            parts = np.rint(self._values * np.repeat(cut[:, k] / cell, self._each))
            # Whole numbers far below 2**53: the sum of floats is exact, in any order.
            sums[:, k] = np.bincount(self._columns, parts, minlength=self._width).astype(np.int64)
        return sums


def noisy_moments(
    rows: Any, target: NDArray[np.float64], radius: float, filled: int, multiplier: float
) -> NDArray[np.float64]:
    """Second moments of rows and target, divided by radius², symmetric, with noise of that multiplier.

    Args:
        rows: compressed sparse rows (n, features), at most ``radius`` / sqrt(2) long, as the target is.
        target: shape (n,).
        filled: how many entries of a row there are at most, as declared.

    Returns:
        Shape (features + 1, features + 1), the target last. One row adds a matrix whose norm is at most one,
        counting entries beside the diagonal twice, as they stand there.
    """
    from scipy.sparse import csr_matrix, hstack

    from sfumato.dp.mechanisms import gaussian, gaussian_sigma

    width = rows.shape[1] + 1
    # Whole numbers before they are multiplied: products and sums are then exact below 2**53.
    cells = _MOMENT_CELLS
    joined = hstack([rows, csr_matrix(target[:, None])]).tocsr() / radius
    joined.data = np.rint(joined.data * (cells - math.sqrt(filled + 1)))
    moments = np.asarray((joined.T @ joined).todense())
    upper = np.triu_indices(width)
    beside = upper[0] != upper[1]
    # Entries beside the diagonal count by the square root of two: the norm is that of the whole matrix.
    whole = moments[upper]
    exact = np.where(beside, np.rint(whole * math.sqrt(2)), whole).astype(np.int64)
    sigma = gaussian_sigma(multiplier, float(cells) ** 2 + width)
    noisy = gaussian(exact, sigma) / float(cells) ** 2
    found = np.zeros((width, width))
    found[upper] = np.where(beside, noisy / math.sqrt(2), noisy)
    symmetric: NDArray[np.float64] = found + np.triu(found, 1).T
    return symmetric
