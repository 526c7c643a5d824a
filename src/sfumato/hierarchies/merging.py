"""Rows of a contingency table merged two by two, so that as little as possible is lost about its columns."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def merged(table: NDArray[np.float64], sizes: Sequence[int]) -> list[NDArray[np.int64]]:
    """The group of each row when so many groups are left, for each of some falling sizes.

    Two groups cost the mutual information of row and column that goes when they become one, times the
    people (Slonim and Tishby 1999, eq. 8). The cheapest pair goes first, of equal ones that with the
    smallest numbers. A table of no more rows than a size keeps them apart.

    Args:
        table: people by row and column, shape (rows, columns).
        sizes: numbers of groups, falling.

    Returns:
        For each size the groups, numbered by their first row, shape (rows,).

    >>> counts = np.array([[9.0, 1], [1, 9], [18, 2], [2, 7]])
    >>> [groups.tolist() for groups in merged(counts, [3, 2])]
    [[0, 1, 0, 2], [0, 1, 0, 1]]
    """
    rows = len(table)
    merged_counts, group = table.astype(np.float64), np.arange(rows)
    own = _spread(merged_counts)
    costs = np.full((rows, rows), np.inf)
    for i in range(rows - 1):
        costs[i, i + 1 :] = _cost(merged_counts, own, i, np.arange(i + 1, rows))
    found = []
    left = rows
    for size in sizes:
        while left > size:
            first, second = divmod(int(np.argmin(costs)), rows)
            group[group == second] = first
            merged_counts[first] += merged_counts[second]
            own[first] = _spread(merged_counts[first : first + 1])[0]
            costs[second, :] = costs[:, second] = np.inf
            others = np.setdiff1d(np.unique(group), [first])
            fresh = _cost(merged_counts, own, first, others)
            costs[np.minimum(others, first), np.maximum(others, first)] = fresh
            left -= 1
        found.append(np.unique(group, return_inverse=True)[1].astype(np.int64))
    return found


def _cost(
    counts: NDArray[np.float64], own: NDArray[np.float64], one: int, others: NDArray[np.int64]
) -> NDArray[np.float64]:
    """What merging a group with each other one loses, in nats times people; rounded, for ties to be ties."""
    lost: NDArray[np.float64] = _spread(counts[others] + counts[one]) - own[others] - own[one]
    return lost.round(9)


def _spread(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """People times the entropy of their columns, shape (rows, columns) -> (rows,)."""
    people = counts.sum(axis=1)
    inside = (counts * np.log(np.maximum(counts, 1.0))).sum(axis=1)
    spread: NDArray[np.float64] = people * np.log(np.maximum(people, 1.0)) - inside
    return spread
