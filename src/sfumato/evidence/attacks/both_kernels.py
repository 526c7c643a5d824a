"""The compiled inner loops of the attack with own and made rows; imported only when it runs."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

#: How much less a made row says for somebody for each column in which it is unlike them, as a logarithm.
UNLIKE = 4.0
#: Numbers a tenth of all people apart are as unlike as two labels.
APART = 10.0
#: Guesses as good as the best but for rounding.
TIED = 1 - 1e-9


@njit(cache=True)
def nearest(
    points: NDArray[np.float32], rows: NDArray[np.float32], numeric: NDArray[np.bool_], many: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:  # pragma: no cover - compiled
    """The nearest rows of each point with their mean distance over columns (Gower 1971), nearest first.

    Args:
        points: coordinates, shape (points, columns).
        rows: coordinates, shape (rows, columns), at least ``many``; of those equally far the first.
        numeric: which columns are numbers, at most 1 apart; others are equal or 1 apart.

    Returns:
        Numbers and distances, shape (points, many) each.
    """
    n, d = points.shape
    at, found = np.zeros((n, many), np.int64), np.zeros((n, many), np.float32)
    one = np.float32(1.0)
    for i in range(n):
        held = 0
        for k in range(len(rows)):
            apart = np.float32(0.0)
            worst = found[i, many - 1] if held == many else np.float32(np.inf)
            for j in range(d):
                if numeric[j]:
                    away = abs(points[i, j] - rows[k, j])
                    apart += away if away < one else one
                elif points[i, j] != rows[k, j]:
                    apart += one
                if apart >= worst:
                    break
            if apart >= worst:
                continue
            place = min(held, many - 1)
            while place > 0 and found[i, place - 1] > apart:
                found[i, place], at[i, place] = found[i, place - 1], at[i, place - 1]
                place -= 1
            found[i, place], at[i, place] = apart, k
            held = min(held + 1, many)
    return at, found / np.float32(max(1, d))


@njit(cache=True)
def told(
    starts: NDArray[np.int64],
    members: NDArray[np.int64],
    classes: NDArray[np.int64],
    places: NDArray[np.int64],
    truth: NDArray[np.int64],
    codes: NDArray[np.int64],
    ranks: NDArray[np.float64],
    numeric: NDArray[np.bool_],
    made: NDArray[np.int64],
    near: NDArray[np.int64],
    smooth: NDArray[np.float64],
    sharp: NDArray[np.float64],
) -> NDArray[np.float64]:  # pragma: no cover - compiled
    """The chance that each target's value in each column, and record, is guessed rightly, five ways.

    Args:
        starts, members: where each class begins among rows of people's own, and these; none is empty.
        classes, places: the class of each target, and the row in which they stand, shape (targets,).
        truth: the number of each target's own label, shape (targets, columns).
        codes: those of the rows, shape (rows, columns).
        ranks: the place of each label among people if it is a number, else NaN, shape (columns, labels).
        numeric: which columns are numbers.
        made: the label that each made row stands for, -1 if none, shape (made rows, columns).
        near: the made rows near each target, shape (targets, near rows).
        smooth, sharp: what each counts to whoever reads statistics, and to whoever looks for copies.

    Returns:
        Shape (5, targets, columns + 1), records last: with the own rows alone, with the made rows alone (by
        both readings), with both by statistics of each column (the labels of the class, and of the near rows
        as far as they are those of the class), and with both by copies of records.
    """
    targets, columns = truth.shape
    close = near.shape[1]
    right = np.zeros((5, targets, columns + 1))
    slots = np.full(ranks.shape[1], -1, np.int64)
    for t in range(targets):
        rows = members[starts[classes[t]] : starts[classes[t] + 1]]
        k = len(rows)
        look = np.empty((k, columns), np.int64)
        # Of a large class only some rows are there: the target takes the place of one of them.
        mine = 0
        for c in range(k):
            if rows[c] == places[t]:
                mine = c
        for c in range(k):
            for j in range(columns):
                look[c, j] = truth[t, j] if c == mine else codes[rows[c], j]
        total = smooth[t].sum()
        score = np.zeros(k)
        for c in range(k):
            for line in range(close):
                unlike = 0.0
                for j in range(columns):
                    unlike += _unlike(look[c, j], made[near[t, line], j], ranks[j], numeric[j])
                score[c] += sharp[t, line] * np.exp(-UNLIKE * unlike)
        right[0, t, columns] = 1 / k
        same = 1.0
        for j in range(columns):
            if made[near[t, 0], j] != truth[t, j]:
                same = 0.0
        right[1, t, columns] = right[2, t, columns] = same
        right[3, t, columns] = right[4, t, columns] = _chance(score, k, mine)
        for j in range(columns):
            kinds = 0
            counts, summed, own_value = np.zeros(k), np.zeros(k), np.empty(k, np.int64)
            for c in range(k):
                if slots[look[c, j]] < 0:
                    slots[look[c, j]] = kinds
                    own_value[kinds] = look[c, j]
                    kinds += 1
                counts[slots[look[c, j]]] += 1
                summed[slots[look[c, j]]] += score[c]
            at = slots[truth[t, j]]
            weighed = np.zeros(kinds)
            for v in range(kinds):
                for line in range(close):
                    unlike = _unlike(own_value[v], made[near[t, line], j], ranks[j], numeric[j])
                    weighed[v] += smooth[t, line] * (1 - unlike)
                weighed[v] = counts[v] / k + weighed[v] / total
                slots[own_value[v]] = -1
            right[0, t, j] = _chance(counts, kinds, at)
            right[1, t, j] = _alone(made[:, j], near[t], smooth[t], truth[t, j])
            right[2, t, j] = _alone(made[:, j], near[t], sharp[t], truth[t, j])
            right[3, t, j] = _chance(weighed, kinds, at)
            right[4, t, j] = _chance(summed, kinds, at)
    return right


@njit(cache=True)
def _unlike(
    one: int, other: int, ranks: NDArray[np.float64], numeric: bool
) -> float:  # pragma: no cover - compiled
    """How unlike two labels are, from 0 to 1."""
    if one == other:
        return 0.0
    if not numeric or other < 0:
        return 1.0
    away = APART * abs(ranks[one] - ranks[other])
    return away if away < 1.0 else 1.0


@njit(cache=True)
def _chance(scores: NDArray[np.float64], many: int, at: int) -> float:  # pragma: no cover - compiled
    """The chance of guessing one of several by the highest score, those tied being as good."""
    best = scores[:many].max()
    if scores[at] < best * TIED:
        return 0.0
    tied = 0
    for v in range(many):
        tied += scores[v] >= best * TIED
    return 1 / tied


@njit(cache=True)
def _alone(
    made: NDArray[np.int64], near: NDArray[np.int64], weights: NDArray[np.float64], truth: int
) -> float:  # pragma: no cover - compiled
    """Whether the label that near rows have most is somebody's."""
    best, guess = -1.0, -1
    for line in range(len(near)):
        weight = 0.0
        for other in range(len(near)):
            if made[near[other]] == made[near[line]]:
                weight += weights[other]
        if made[near[line]] >= 0 and weight > best * (1 + 1e-9):
            best, guess = weight, made[near[line]]
    return 1.0 if guess == truth else 0.0
