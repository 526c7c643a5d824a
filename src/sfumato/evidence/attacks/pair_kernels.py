"""The compiled inner loops of linkage over all pairs; imported only when it runs.

Scores are whole numbers, so that equal evidence is a tie whatever order it is added up in.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

#: Classes scored at a time, so that their sums stay in the processor's cache.
BLOCK = 2048

#: The code of a cell that a register does not have: it adds nothing to any score.
GAP = -2

#: Rows less likely than the best by a factor exp(20) add nothing to the sum of likelihoods.
NEGLIGIBLE = 20

#: Likelihoods are looked up, so many to a factor e: each is right to half of one of them.
STEPS = 256

#: Rows less likely than this to be a person's teach nothing.
UNLIKELY = 1e-4


@njit(cache=True)
def best_scores(
    people: NDArray[np.int32],
    tabled: NDArray[np.bool_],
    flat: NDArray[np.int32],
    starts: NDArray[np.int64],
    widths: NDArray[np.int64],
    misses: NDArray[np.int32],
    classes: NDArray[np.int32],
    sizes: NDArray[np.int64],
    bits: int,
) -> tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.float64]]:  # pragma: no cover - compiled
    """For each person the best score of any class, the rows that reach it, and the likelihood of all rows.

    People who begin alike share the sums of their first columns, so sorted people cost least.

    Args:
        people: codes, shape (people, columns); :data:`GAP` adds nothing, another negative one agrees with
            nothing.
        tabled: which columns look scores up in a table of (codes, labels), shape (columns,); the others
            compare codes with labels, and have a score for each code that agrees.
        flat: the tables and scores of all columns, one after the other.
        starts, widths: where each column begins in ``flat``, and its labels if it has a table.
        misses: the score of a code that does not agree, shape (columns,).
        classes: label codes, shape (columns, classes).
        sizes: rows of each class, shape (classes,).
        bits: a factor e of likelihood is 2 ** bits units of score, 8 bits at least.

    Returns:
        Each of shape (people,): the best score, the rows of all classes that reach it (up to a unit for
        each column, for rounding), and the sum over all rows of exp((score - best) / 2 ** bits).
    """
    n, d = people.shape
    c = classes.shape[1]
    best = np.full(n, -(2**31) + 1, np.int32)
    tied, mass = np.zeros(n, np.int64), np.zeros(n)
    sums = np.zeros((d + 1, BLOCK), np.int32)
    shift, reach = bits - 8, NEGLIGIBLE << bits
    likelihoods = np.exp(-(np.arange(NEGLIGIBLE * STEPS + 1) + 0.5) / STEPS)
    likelihoods[0] = 1.0
    for start in range(0, c, BLOCK):
        m = min(BLOCK, c - start)
        for i in range(n):
            first = 0
            if i > 0:
                while first < d and people[i, first] == people[i - 1, first]:
                    first += 1
            for j in range(first, d):
                code = people[i, j]
                before, after = sums[j, :m], sums[j + 1, :m]
                labels = classes[j, start : start + m]
                if code == GAP:
                    for k in range(m):
                        after[k] = before[k]
                elif tabled[j]:
                    at = starts[j] + code * widths[j]
                    row = flat[at : at + widths[j]]
                    for k in range(m):
                        after[k] = before[k] + row[labels[k]]
                else:
                    miss = misses[j]
                    hit = flat[starts[j] + code] if code >= 0 else miss
                    for k in range(m):
                        after[k] = before[k] + (hit if labels[k] == code else miss)
            scores = sums[d, :m]
            top = scores[0]
            for k in range(1, m):
                top = max(top, scores[k])
            if top > best[i] + d:
                mass[i] *= np.exp((np.float64(best[i]) - top) / 2.0**bits)
                best[i], tied[i] = top, 0
            if best[i] - np.int64(top) >= reach:
                continue
            least = np.int32(max(best[i] - reach, -(2**31) + 1))
            for k in range(m):
                if scores[k] > least:
                    behind = max(0, best[i] - scores[k])
                    mass[i] += sizes[start + k] * likelihoods[behind >> shift]
                    if behind <= d:
                        tied[i] += sizes[start + k]
    return best, tied, mass


@njit(cache=True)
def expected_levels(
    people: NDArray[np.int32],
    tabled: NDArray[np.bool_],
    flat: NDArray[np.int32],
    levels: NDArray[np.int8],
    starts: NDArray[np.int64],
    widths: NDArray[np.int64],
    misses: NDArray[np.int32],
    classes: NDArray[np.int32],
    sizes: NDArray[np.int64],
    bits: int,
    places: NDArray[np.int64],
    counts: NDArray[np.int64],
) -> NDArray[np.float64]:  # pragma: no cover - compiled
    """How often people's own rows are expected at each level of agreement, by the posterior of all pairs.

    Each person has one row or none, a priori equally likely; scores are log-likelihood ratios against none.

    Args:
        levels: the level of each entry of ``flat``.
        places: where each column begins in the result, shape (columns,).
        counts: the levels of each column, the last of which is no agreement, shape (columns,).
        people, tabled, flat, starts, widths, misses, classes, sizes, bits: as for :func:`best_scores`.

    Returns:
        For each column a matrix of labels and levels, laid flat one after the other.
    """
    n, d = people.shape
    c = classes.shape[1]
    rows = sizes.sum()
    size = places[d]
    found, scores = np.zeros(size), np.empty(c, np.int32)
    shift = bits - 8
    likelihoods = np.exp(-(np.arange(NEGLIGIBLE * STEPS + 1) + 0.5) / STEPS)
    likelihoods[0] = 1.0
    for i in range(n):
        scores[:] = 0
        for j in range(d):
            code = people[i, j]
            labels = classes[j]
            if code == GAP:
                continue
            if tabled[j]:
                at = starts[j] + code * widths[j]
                row = flat[at : at + widths[j]]
                for k in range(c):
                    scores[k] += row[labels[k]]
            else:
                miss = misses[j]
                hit = flat[starts[j] + code] if code >= 0 else miss
                for k in range(c):
                    scores[k] += hit if labels[k] == code else miss
        top = scores[0]
        for k in range(1, c):
            top = max(top, scores[k])
        least = np.int32(max(int(top) - (NEGLIGIBLE << bits), -(2**31) + 1))
        mass = 0.0
        for k in range(c):
            if scores[k] >= least:
                mass += sizes[k] * likelihoods[(top - scores[k]) >> shift]
        mass += rows * np.exp(-top / 2.0**bits)
        for k in range(c):
            if scores[k] < least:
                continue
            share = sizes[k] * likelihoods[(top - scores[k]) >> shift] / mass
            if share < UNLIKELY:
                continue
            for j in range(d):
                code = people[i, j]
                if code == GAP:
                    continue
                label = classes[j, k]
                if tabled[j]:
                    level = levels[starts[j] + code * widths[j] + label]
                else:
                    level = 0 if label == code else counts[j] - 1
                found[places[j] + label * counts[j] + level] += share
    return found


@njit(cache=True)
def near_levels(
    values: NDArray[np.float64], labels: NDArray[np.float64], limits: NDArray[np.float64]
) -> NDArray[np.int8]:  # pragma: no cover - compiled
    """One more than the rising limits below a value's distance from a label, shape (values, labels)."""
    found = np.empty((len(values), len(labels)), np.int8)
    for i in range(len(values)):
        for k in range(len(labels)):
            level, apart = len(limits), abs(values[i] - labels[k])
            while level > 0 and apart <= limits[level - 1]:
                level -= 1
            found[i, k] = level + 1
    return found
