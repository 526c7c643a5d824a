"""The compiled loops over sets of columns; imported only when a measure runs."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(cache=True)
def marginal_distances(
    before: NDArray[np.uint16],
    after: NDArray[np.uint16],
    weights: NDArray[np.int32],
    sizes: NDArray[np.int64],
    sets: NDArray[np.int64],
) -> tuple[
    NDArray[np.float64], NDArray[np.float64], NDArray[np.int32], NDArray[np.int32]
]:  # pragma: no cover - compiled
    """Total variation distances of the joint distributions of sets of three columns.

    Args:
        before: codes of everybody, those who leave first, shape (columns, people).
        after: codes of those who leave, in the same order, shape (columns, leaving).
        weights: how often each person is in a resample of as many as leave, shape (people,).
        sizes: codes of each column, shape (columns,).
        sets: column numbers, shape (sets, 3).

    Returns:
        Distances and those of the resample, shape (sets,); the summed signs of each person's cells
        before, shape (people,), and after, shape (leaving,).
    """
    people, leaving = before.shape[1], after.shape[1]
    most = 1
    for s in range(len(sets)):
        most = max(most, sizes[sets[s, 0]] * sizes[sets[s, 1]] * sizes[sets[s, 2]])
    was, now, drawn = np.zeros(most, np.int32), np.zeros(most, np.int32), np.zeros(most, np.int32)
    sign = np.zeros(most, np.int8)
    cell_before, cell_after = np.empty(people, np.int32), np.empty(leaving, np.int32)
    signs_before, signs_after = np.zeros(people, np.int32), np.zeros(leaving, np.int32)
    distances, floors = np.zeros(len(sets)), np.zeros(len(sets))
    for s in range(len(sets)):
        a, b, c = sets[s, 0], sets[s, 1], sets[s, 2]
        width_c = sizes[c]
        width_b = sizes[b] * width_c
        cells = sizes[a] * width_b
        was[:cells] = 0
        now[:cells] = 0
        drawn[:cells] = 0
        for i in range(people):
            cell = before[a, i] * width_b + before[b, i] * width_c + before[c, i]
            cell_before[i] = cell
            was[cell] += 1
            drawn[cell] += weights[i]
        for i in range(leaving):
            cell = after[a, i] * width_b + after[b, i] * width_c + after[c, i]
            cell_after[i] = cell
            now[cell] += 1
        distance, floor = 0.0, 0.0
        for cell in range(cells):
            expected = was[cell] / people
            difference = now[cell] / leaving - expected
            distance += abs(difference)
            floor += abs(drawn[cell] / leaving - expected)
            # Products of whole numbers: equal shares have no sign, whatever the rounding.
            change = np.int64(now[cell]) * people - np.int64(was[cell]) * leaving
            sign[cell] = 1 if change > 0 else (-1 if change < 0 else 0)
        distances[s], floors[s] = distance / 2, floor / 2
        for i in range(people):
            signs_before[i] += sign[cell_before[i]]
        for i in range(leaving):
            signs_after[i] += sign[cell_after[i]]
    return distances, floors, signs_before, signs_after


@njit(cache=True)
def rare_combinations(
    before: NDArray[np.uint16],
    after: NDArray[np.uint16],
    weights: NDArray[np.int32],
    sizes: NDArray[np.int64],
    pairs: NDArray[np.int64],
    least: int,
    most: float,
) -> tuple[
    NDArray[np.float64], NDArray[np.int32], NDArray[np.int32], NDArray[np.int32], int
]:  # pragma: no cover - compiled
    """How much of the people in rare combinations of two columns is still there.

    Args:
        before, after, weights, sizes: as of :func:`marginal_distances`.
        pairs: column numbers, shape (pairs, 2).
        least, most: the people of a rare combination before.

    Returns:
        Sums over rare cells of (share before, the lesser of the shares before and after, the same of the
        resample); for each person how many of their cells before are rare, and how many of those are not
        less after; for each who leaves how many of their cells after are rare and less; the rare cells.
    """
    people, leaving = before.shape[1], after.shape[1]
    rare_before, full_before = np.zeros(people, np.int32), np.zeros(people, np.int32)
    less_after = np.zeros(leaving, np.int32)
    sums, found = np.zeros(3), 0
    for s in range(len(pairs)):
        a, b = pairs[s, 0], pairs[s, 1]
        cells = sizes[a] * sizes[b]
        was, now, drawn = np.zeros(cells, np.int32), np.zeros(cells, np.int32), np.zeros(cells, np.int32)
        for i in range(people):
            cell = before[a, i] * sizes[b] + before[b, i]
            was[cell] += 1
            drawn[cell] += weights[i]
        for i in range(leaving):
            now[after[a, i] * sizes[b] + after[b, i]] += 1
        kind = np.zeros(cells, np.int8)
        for cell in range(cells):
            if was[cell] < least or was[cell] > most:
                continue
            found += 1
            share = was[cell] / people
            sums[0] += share
            sums[1] += min(share, now[cell] / leaving)
            sums[2] += min(share, drawn[cell] / leaving)
            kind[cell] = 2 if np.int64(now[cell]) * people < np.int64(was[cell]) * leaving else 1
        for i in range(people):
            of = kind[before[a, i] * sizes[b] + before[b, i]]
            rare_before[i] += of > 0
            full_before[i] += of == 1
        for i in range(leaving):
            less_after[i] += kind[after[a, i] * sizes[b] + after[b, i]] == 2
    return sums, rare_before, full_before, less_after, found
