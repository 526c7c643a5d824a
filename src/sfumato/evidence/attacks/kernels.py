"""The compiled inner loop of the linkage attack; imported only when it runs."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

#: Classes scored at a time, so that their scores stay in the processor's cache.
BLOCK = 2048

#: Scores closer than this are ties: far above rounding, far below any difference of evidence.
TIE = 1e-9

#: Classes less likely than the best by a factor exp(20) add nothing to the sum of likelihoods.
NEGLIGIBLE = 20.0


@njit(cache=True)
def best_classes(
    people: NDArray[np.int32],
    gains: NDArray[np.float64],
    classes: NDArray[np.int32],
    sizes: NDArray[np.int64],
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]:
    """For each person the best score of any class, the rows that reach it, and the likelihood of all.

    Args:
        people: label codes, shape (people, columns); a negative code agrees with nothing.
        gains: what an agreement adds to the log-likelihood, same shape.
        classes: label codes, shape (columns, classes).
        sizes: rows of each class, shape (classes,).

    Returns:
        Each of shape (people,): the best sum of gains; the rows of all classes that reach it; the sum
        over all rows of exp(sum of gains - best).
    """
    n, d = people.shape
    c = classes.shape[1]
    best, tied, mass = np.full(n, -np.inf), np.zeros(n, np.int64), np.zeros(n)
    buffer = np.empty(BLOCK)
    for i in range(n):
        for start in range(0, c, BLOCK):
            stop = min(start + BLOCK, c)
            scores = buffer[: stop - start]
            scores[:] = 0.0
            for j in range(d):
                code, gain = people[i, j], gains[i, j]
                if code >= 0:
                    column = classes[j, start:stop]
                    for k in range(stop - start):
                        scores[k] += gain if column[k] == code else 0.0
            top = scores[0]
            for k in range(1, stop - start):
                top = max(top, scores[k])
            if top > best[i] + TIE:
                mass[i] *= np.exp(best[i] - top)
                best[i], tied[i] = top, 0
            if best[i] - top >= NEGLIGIBLE:
                continue
            for k in range(stop - start):
                behind = best[i] - scores[k]
                if behind < NEGLIGIBLE:
                    mass[i] += sizes[start + k] * np.exp(-behind)
                    if behind <= TIE:
                        tied[i] += sizes[start + k]
    return best, tied, mass
