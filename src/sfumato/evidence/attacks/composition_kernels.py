"""The compiled inner loop of the intersection attack; imported only when it runs."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit


@njit(cache=True)
def determined(
    classes: Any,
    bases: Any,
    starts: Any,
    sets: Any,
    tuples: Any,
    index_bases: Any,
    index_starts: Any,
    order: Any,
) -> Any:  # pragma: no cover - compiled
    """Whose value all candidates agree on in some release, shape (joint classes,).

    Args:
        classes: the class of each joint class in each release, shape (joint classes, releases).
        bases: where each release's classes begin in ``starts``, shape (releases,).
        starts: where each class's values begin in ``sets``.
        sets: the distinct values of classes, ascending within each.
        tuples: the distinct values of people in all releases, shape (tuples, releases).
        index_bases: where each release's values begin in ``index_starts``, shape (releases,).
        index_starts: where the tuples with a value begin in a row of ``order``.
        order: the tuples by their value in each release, shape (releases, tuples).
    """
    many, releases = classes.shape
    found = np.zeros(many, dtype=np.bool_)
    agreed = np.empty(releases, dtype=np.bool_)
    first = np.empty(releases, dtype=np.int64)
    for j in range(many):
        least, base = -1, 0
        for t in range(releases):
            at = bases[t] + classes[j, t]
            size = starts[at + 1] - starts[at]
            if least < 0 or size < least:
                least, base = size, t
        agreed[:] = True
        candidates, left = 0, releases
        own = bases[base] + classes[j, base]
        for i in range(starts[own], starts[own + 1]):
            value = index_bases[base] + sets[i]
            for at in range(index_starts[value], index_starts[value + 1]):
                row = order[base, at]
                consistent = True
                for t in range(releases):
                    if t == base:
                        continue
                    low, high = starts[bases[t] + classes[j, t]], starts[bases[t] + classes[j, t] + 1]
                    wanted = tuples[row, t]
                    end = high
                    while low < high:
                        middle = (low + high) // 2
                        if sets[middle] < wanted:
                            low = middle + 1
                        else:
                            high = middle
                    if low == end or sets[low] != wanted:
                        consistent = False
                        break
                if not consistent:
                    continue
                if candidates == 0:
                    first[:] = tuples[row]
                else:
                    for t in range(releases):
                        if agreed[t] and tuples[row, t] != first[t]:
                            agreed[t] = False
                            left -= 1
                candidates += 1
                if left == 0:
                    break
            if left == 0:
                break
        found[j] = candidates > 0 and left > 0
    return found


@njit(cache=True)
def covering(
    own: Any, others: Any, people: Any, starts: Any, flat: Any, bases: Any, widths: Any
) -> Any:  # pragma: no cover - compiled
    """The people whose labels cover each tuple of values, shape (tuples,).

    Args:
        own: a number of what does not overlap, then values, shape (tuples, 1 + columns); -1 where a person
            is not in a release.
        others: the same with labels in place of values, ascending by its first column.
        people: how many have each of ``others``.
        starts: where each number of the first column begins in ``others``.
        flat: the matrices of labels and values, row by row, one after the other.
        bases, widths: where each column's begins, and how long its rows are.
    """
    found = np.zeros(len(own), dtype=np.int64)
    for i in range(len(own)):
        first = own[i, 0]
        for j in range(starts[first], starts[first + 1]):
            inside = True
            for column in range(len(bases)):
                value = own[i, column + 1]
                if value < 0:
                    continue
                label = others[j, column + 1]
                if not flat[bases[column] + label * widths[column] + value]:
                    inside = False
                    break
            if inside:
                found[i] += people[j]
    return found
