"""The compiled inner loops of linkability and attribute inference; imported only when they run."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

#: Rows less likely than a person's best by a factor exp(30) add nothing.
NEGLIGIBLE = 30.0


@njit(cache=True)
def _add_two(
    scores: NDArray[np.float32],
    labels: NDArray[np.int32],
    own: NDArray[np.int32],
    gains: NDArray[np.float32],
    one: int,
    other: int,
) -> None:  # pragma: no cover - compiled
    """Add two columns without bins: ``gains`` are of the own label, of one in the same bin, of any other.

    Two at once, for most of the time goes into reading and writing the scores.
    """
    first, second = labels[one], labels[other]
    a, b = own[one], own[other]
    same_a, other_a, same_b, other_b = gains[one, 0], gains[one, 2], gains[other, 0], gains[other, 2]
    for r in range(len(scores)):
        scores[r] += (same_a if first[r] == a else other_a) + (same_b if second[r] == b else other_b)


@njit(cache=True)
def _add_binned(
    scores: NDArray[np.float32],
    labels: NDArray[np.int32],
    bins: NDArray[np.int32],
    own: int,
    like: int,
    gains: NDArray[np.float32],
) -> None:  # pragma: no cover - compiled
    same, near, other = gains[0], gains[1], gains[2]
    for r in range(len(scores)):
        scores[r] += same if labels[r] == own else (near if bins[r] == like else other)


@njit(cache=True)
def _add_covered(
    scores: NDArray[np.float32], labels: NDArray[np.int32], table: NDArray[np.float32]
) -> None:  # pragma: no cover - compiled
    """Add a column of which the table has a log-likelihood for each label."""
    for r in range(len(scores)):
        scores[r] += table[labels[r]]


@njit(cache=True)
def scores(
    labels: NDArray[np.int32],
    bins: NDArray[np.int32],
    own: NDArray[np.int32],
    like: NDArray[np.int32],
    gains: NDArray[np.float32],
    tables: NDArray[np.float32],
    at: NDArray[np.int64],
    start: int,
    found: NDArray[np.float32],
) -> None:  # pragma: no cover - compiled
    """Log-likelihoods of rows for the people from ``start`` on, written to ``found``, shape (people, rows).

    Args:
        labels: label codes of the rows, shape (columns, rows).
        bins: the bins of these labels.
        own: the label of each person, shape (columns, people).
        like: the bin of each person.
        gains: log-likelihoods of the own label, of one in the same bin, of any other, shape
            (columns, people, 3).
        tables: log-likelihoods by label, laid flat, for columns whose labels overlap.
        at: where a person's part of the tables begins, -1 for other columns, shape (columns, people).
        found: zeros.
    """
    for here in range(len(found)):
        i, waits = start + here, -1
        for j in range(len(labels)):
            if at[j, i] >= 0:
                _add_covered(found[here], labels[j], tables[at[j, i] :])
            elif gains[j, i, 1] != gains[j, i, 2]:
                _add_binned(found[here], labels[j], bins[j], own[j, i], like[j, i], gains[j, i])
            elif waits < 0:
                waits = j
            else:
                _add_two(found[here], labels, own[:, i], gains[:, i], waits, j)
                waits = -1
        if waits >= 0:
            _add_binned(
                found[here], labels[waits], bins[waits], own[waits, i], like[waits, i], gains[waits, i]
            )


@njit(cache=True)
def relative(found: NDArray[np.float32], best: NDArray[np.float32]) -> None:  # pragma: no cover - compiled
    """Scores less each person's best, in place, shape (people, rows); those that add nothing -inf."""
    for i in range(len(found)):
        scores = found[i]
        for r in range(len(scores)):
            behind = best[i] - scores[r]
            scores[r] = -behind if behind < NEGLIGIBLE else np.float32(-np.inf)


@njit(cache=True)
def posterior(
    found: NDArray[np.float32],
    best: NDArray[np.float32],
    weights: NDArray[np.float32],
    secret: NDArray[np.int64],
    shares: NDArray[np.float64],
) -> None:  # pragma: no cover - compiled
    """The probability of each class of the rows' secret, written to ``shares``, shape (people, classes).

    Args:
        found: log-likelihoods, shape (people, rows).
        best: the greatest of each person.
        weights: how many people a row stands for, shape (rows,).
        secret: the class of each row, shape (rows,).
        shares: zeros.
    """
    for i in range(len(found)):
        total = 0.0
        for r in range(found.shape[1]):
            behind = best[i] - found[i, r]
            if behind < NEGLIGIBLE:
                share = weights[r] * np.exp(-behind)
                shares[i, secret[r]] += share
                total += share
        for c in range(shares.shape[1]):
            shares[i, c] /= total


@njit(cache=True)
def carried(
    found: NDArray[np.float32],
    starts: NDArray[np.int64],
    of: NDArray[np.int64],
    weights: NDArray[np.float32],
    sums: NDArray[np.float32],
) -> None:  # pragma: no cover - compiled
    """Likelihoods of one half of the rows summed over those with the same other half.

    Args:
        found: the likelihood of each distinct half, shape (people, distinct halves).
        starts: where the rows of each distinct other half begin, and the number of rows.
        of: the half of each row, shape (rows,).
        weights: how many people a row stands for, shape (rows,).
        sums: what is written to, shape (people, distinct other halves).
    """
    for i in range(len(found)):
        likelihoods = found[i]
        for d in range(len(starts) - 1):
            total = np.float32(0.0)
            for r in range(starts[d], starts[d + 1]):
                total += weights[r] * likelihoods[of[r]]
            sums[i, d] = total
