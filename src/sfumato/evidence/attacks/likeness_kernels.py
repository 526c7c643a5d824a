"""The compiled inner loops of linkability and attribute inference; imported only when they run."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

#: Rows less likely than a person's best by a factor exp(30) add nothing.
NEGLIGIBLE = 30.0


@njit(cache=True)
def likelihoods(
    tables: NDArray[np.float32],
    at: NDArray[np.int64],
    codes: NDArray[np.int32],
    found: NDArray[np.float32],
) -> None:  # pragma: no cover - compiled
    """Likelihoods of rows relative to each person's best, written to ``found``, shape (people, rows).

    Args:
        tables: log-likelihoods of values under labels.
        at: where each person's part of the tables begins, shape (people, columns).
        codes: label codes of the rows, shape (columns, rows).
        found: zeros.
    """
    people, columns = at.shape
    for i in range(people):
        scores = found[i]
        for j in range(columns):
            start, column = at[i, j], codes[j]
            for r in range(len(scores)):
                scores[r] += tables[start + column[r]]
        best = scores[0]
        for r in range(len(scores)):
            best = max(best, scores[r])
        for r in range(len(scores)):
            behind = best - scores[r]
            scores[r] = np.exp(-behind) if behind < NEGLIGIBLE else np.float32(0.0)


@njit(cache=True)
def posterior(
    tables: NDArray[np.float32],
    at: NDArray[np.int64],
    codes: NDArray[np.int32],
    weights: NDArray[np.float32],
    secret: NDArray[np.int64],
    found: NDArray[np.float64],
) -> None:  # pragma: no cover - compiled
    """The probability of each class of the rows' secret, written to ``found``, shape (people, classes).

    Args:
        tables, at, codes: as for :func:`likelihoods`.
        weights: how many people a row stands for, shape (rows,).
        secret: the class of each row, shape (rows,).
        found: zeros.
    """
    people, columns = at.shape
    rows = codes.shape[1]
    scores = np.empty(rows, np.float32)
    for i in range(people):
        scores[:] = 0.0
        for j in range(columns):
            start, column = at[i, j], codes[j]
            for r in range(rows):
                scores[r] += tables[start + column[r]]
        best = scores[0]
        for r in range(rows):
            best = max(best, scores[r])
        total = 0.0
        for r in range(rows):
            behind = best - scores[r]
            if behind < NEGLIGIBLE:
                share = weights[r] * np.exp(-behind)
                found[i, secret[r]] += share
                total += share
        for c in range(found.shape[1]):
            found[i, c] /= total
