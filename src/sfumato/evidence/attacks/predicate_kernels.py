"""The compiled inner loops of singling out; imported only when it runs.

Rows are looked up in the order of one column's codes, so that only those which meet that condition are
looked at.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(cache=True)
def shorten(
    low: NDArray[np.int32],
    high: NDArray[np.int32],
    order: NDArray[np.int64],
    rows: NDArray[np.int32],
    sorted_rows: NDArray[np.int32],
    first: NDArray[np.int64],
    last: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:  # pragma: no cover - compiled
    """How many conditions, in their order, it takes until one row is left or there are no more.

    Args:
        low, high: intervals of codes, shape (predicates, columns).
        order: the columns in the order of the conditions, same shape.
        rows: codes of the released rows, shape (columns, rows).
        sorted_rows: the rows in the order of each column's codes, same shape.
        first, last: where in the order of the first condition's column its rows begin and end.

    Returns:
        The conditions used and the rows that meet them, shape (predicates,) each.
    """
    many, columns = low.shape
    used, left = np.zeros(many, np.int64), np.zeros(many, np.int64)
    alive = np.empty(rows.shape[1], np.int32)
    for q in range(many):
        count = last[q] - first[q]
        alive[:count] = sorted_rows[order[q, 0], first[q] : last[q]]
        used[q] = 1
        for k in range(1, columns):
            if count <= 1:
                break
            j = order[q, k]
            column, least, most = rows[j], low[q, j], high[q, j]
            passed = 0
            for i in range(count):
                r = alive[i]
                alive[passed] = r
                passed += least <= column[r] <= most
            count = passed
            used[q] = k + 1
        left[q] = count
    return used, left


@njit(cache=True)
def matches(
    low: NDArray[np.int32],
    high: NDArray[np.int32],
    order: NDArray[np.int64],
    used: NDArray[np.int64],
    people: NDArray[np.int32],
    candidates: NDArray[np.int32],
    first: NDArray[np.int64],
    last: NDArray[np.int64],
    at: NDArray[np.int64],
    covers: NDArray[np.bool_],
    starts: NDArray[np.int64],
    widths: NDArray[np.int64],
    marks: NDArray[np.uint64],
    sets: int,
) -> NDArray[np.int64]:  # pragma: no cover - compiled
    """How many people of each marked set meet each predicate, shape (predicates, sets).

    Args:
        low, high, order, used: the predicates, as :func:`shorten` has them.
        people: codes, shape (columns, people).
        candidates: orders of the people, shape (orders, people).
        first, last, at: of each predicate the part of an order that has all who meet it, and which order.
        covers: which labels cover which values, the matrices of the columns laid flat.
        starts, widths: where each column's matrix begins and how long its rows are; -1 where codes are
            compared.
        marks: bit b of a person's mark says that they are of set b.
        sets: how many sets there are, at most 64.
    """
    many = low.shape[0]
    found = np.zeros((many, sets), np.int64)
    for q in range(many):
        for i in range(first[q], last[q]):
            r = candidates[at[q], i]
            meets = True
            for k in range(used[q]):
                j = order[q, k]
                code = people[j, r]
                if starts[j] >= 0:
                    meets = covers[starts[j] + low[q, j] * widths[j] + code]
                else:
                    meets = low[q, j] <= code <= high[q, j]
                if not meets:
                    break
            if meets:
                mark = marks[r]
                for b in range(sets):
                    found[q, b] += np.int64((mark >> np.uint64(b)) & np.uint64(1))
    return found
