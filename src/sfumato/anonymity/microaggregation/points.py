"""What every microaggregation asks of its points, and what its classes lose."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sfumato.core.errors import InputError

#: Beyond this a squared distance may not be a number.
_LARGEST = 1e150


def checked(points: NDArray[np.float64], k: int) -> NDArray[np.float64]:
    """The points about their mean, shape (n, d), rows together in memory.

    Raises:
        InputError: ``usage`` for a wrong shape or k; ``column-values`` for what is no finite number;
            ``anonymity-impossible`` for fewer than k points.
    """
    if points.ndim != 2 or points.shape[1] == 0:
        raise InputError("usage", "microaggregation needs points of shape (n, d) with at least one column")
    check_rows(len(points), k)
    found = np.array(points, dtype=np.float64, order="C")
    wrong = ~(np.abs(found) < _LARGEST).all(axis=0)
    if wrong.any():
        raise InputError(
            "column-values",
            f"{int(wrong.sum())} column(s) of the points have a missing, infinite or unbounded number",
            where=f"column {int(np.argmax(wrong)) + 1} of the points",
            remedy="give missing values coordinates of their own, and standardise the rest",
        )
    found -= found.mean(axis=0)
    return found


def check_rows(rows: int, k: int) -> None:
    """Refuse a k that cannot be meant, or that the rows cannot give."""
    if k < 1:
        raise InputError("usage", f"k must be at least 1, not {k}")
    if rows < k:
        raise InputError(
            "anonymity-impossible",
            f"{rows} rows cannot make a class of {k}",
            where="anonymity",
            remedy="lower k, or leave this table out",
        )


def loss(points: NDArray[np.float64], classes: NDArray[np.int64]) -> float:
    """SSE / SST: the share of the squared spread that lies within classes, from 0 (nothing lost) to 1.

    Args:
        points: shape (n, d).
        classes: shape (n,), numbers from 0.

    >>> loss(np.array([[0.0], [2.0], [8.0], [10.0]]), np.array([0, 0, 1, 1]))
    0.058823529411764705
    """
    centred = points - points.mean(axis=0)
    total = float((centred**2).sum())
    if total == 0:
        return 0.0
    sizes = np.maximum(np.bincount(classes), 1)
    within = 0.0
    for column in centred.T:
        means = np.bincount(classes, column) / sizes
        within += float(((column - means[classes]) ** 2).sum())
    return within / total
