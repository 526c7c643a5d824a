"""The compiled inner loops of the linkage attack; imported only when it runs."""

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


@njit(cache=True)
def best_covering(
    people: NDArray[np.int32],
    covers: NDArray[np.bool_],
    starts: NDArray[np.int64],
    widths: NDArray[np.int64],
    gains: NDArray[np.float64],
    classes: NDArray[np.int32],
    sizes: NDArray[np.int64],
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64], NDArray[np.bool_]]:
    """:func:`best_classes` where labels cover values, and each class has gains of its own.

    Args:
        people: value codes, shape (people, columns); a negative code says nothing.
        covers: for each column which labels cover which values, (values, labels) laid flat, one after
            the other.
        starts, widths: where each column begins in ``covers`` and how many labels it has, shape (columns,).
        gains: what it adds that a class covers, shape (columns, classes).
        classes: label codes, shape (columns, classes).
        sizes: rows of each class, shape (classes,).

    Returns:
        As :func:`best_classes`, and whether the first of the best classes covers every known cell.
    """
    n, d = people.shape
    c = classes.shape[1]
    best, tied, mass = np.full(n, -np.inf), np.zeros(n, np.int64), np.zeros(n)
    full = np.zeros(n, np.bool_)
    buffer = np.empty(BLOCK)
    for i in range(n):
        first = -1
        for start in range(0, c, BLOCK):
            stop = min(start + BLOCK, c)
            scores = buffer[: stop - start]
            scores[:] = 0.0
            for j in range(d):
                if people[i, j] >= 0:
                    at = starts[j] + people[i, j] * widths[j]
                    row = covers[at : at + widths[j]]
                    column, gain = classes[j, start:stop], gains[j, start:stop]
                    for k in range(stop - start):
                        scores[k] += gain[k] if row[column[k]] else 0.0
            top = 0
            for k in range(1, stop - start):
                if scores[k] > scores[top]:
                    top = k
            if scores[top] > best[i] + TIE:
                mass[i] *= np.exp(best[i] - scores[top])
                best[i], tied[i], first = scores[top], 0, start + top
            if best[i] - scores[top] >= NEGLIGIBLE:
                continue
            for k in range(stop - start):
                behind = best[i] - scores[k]
                if behind < NEGLIGIBLE:
                    mass[i] += sizes[start + k] * np.exp(-behind)
                    if behind <= TIE:
                        tied[i] += sizes[start + k]
        full[i] = True
        for j in range(d):
            if people[i, j] >= 0:
                full[i] &= covers[starts[j] + people[i, j] * widths[j] + classes[j, first]]
    return best, tied, mass, full


@njit(cache=True)
def narrowest_covering(
    people: NDArray[np.int32],
    covers: NDArray[np.bool_],
    starts: NDArray[np.int64],
    widths: NDArray[np.int64],
    gains: NDArray[np.float64],
    classes: NDArray[np.int32],
    sizes: NDArray[np.int64],
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64], NDArray[np.bool_]]:
    """:func:`best_covering` among the classes that cover every known cell; minus infinity, 0, 0 and False
    where none does. Quickest if the columns that rule out most classes are the first.
    """
    n, d = people.shape
    best, tied, mass = np.full(n, -np.inf), np.zeros(n, np.int64), np.zeros(n)
    for i in range(n):
        for k in range(classes.shape[1]):
            score = 0.0
            for j in range(d):
                if people[i, j] >= 0:
                    if not covers[starts[j] + people[i, j] * widths[j] + classes[j, k]]:
                        score = -np.inf
                        break
                    score += gains[j, k]
            if score == -np.inf:
                continue
            if score > best[i] + TIE:
                mass[i] *= np.exp(best[i] - score)
                best[i], tied[i] = score, 0
            mass[i] += sizes[k] * np.exp(score - best[i])
            if best[i] - score <= TIE:
                tied[i] += sizes[k]
    return best, tied, mass, tied > 0


@njit(cache=True)
def people_covered(
    people: NDArray[np.int32],
    counts: NDArray[np.int64],
    covers: NDArray[np.bool_],
    starts: NDArray[np.int64],
    widths: NDArray[np.int64],
    classes: NDArray[np.int32],
) -> NDArray[np.int64]:
    """For each class the people whom it covers in every column, shape (classes,).

    Args:
        people: value codes of distinct tuples, shape (columns, tuples).
        counts: people of each tuple, shape (tuples,).
        covers, starts, widths: as for :func:`best_covering`.
        classes: label codes, shape (columns, classes).
    """
    d, n = people.shape
    found = np.zeros(classes.shape[1], np.int64)
    for k in range(classes.shape[1]):
        for i in range(n):
            inside = True
            for j in range(d):
                if not covers[starts[j] + people[j, i] * widths[j] + classes[j, k]]:
                    inside = False
                    break
            if inside:
                found[k] += counts[i]
    return found
