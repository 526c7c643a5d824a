"""The compiled inner loop of the search for minimal sample uniques; imported only when it runs."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

#: The owner of a tuple that several people have.
MANY = -1


@njit(cache=True)
def refine(
    column: NDArray[np.int32],
    rows: NDArray[np.int32],
    ends: NDArray[np.int64],
    owners: NDArray[np.int64],
    columns: int,
    number: int,
    within: NDArray[np.int64],
    scratch: NDArray[np.int64],
    marks: NDArray[np.uint8],
    found: NDArray[np.int64],
    used: int,
) -> tuple[NDArray[np.int32], NDArray[np.int64], int]:  # pragma: no cover - compiled
    """Classes over some columns, split by one column more.

    A part that one person alone has makes the columns unique for that person, and minimal if the
    person is unique by no set within. Of the rest only parts that hold somebody
    who may become unique are kept.

    Args:
        column: the codes of the column, shape (tuples,).
        rows: the tuples of all classes, one class after the other.
        ends: where each class ends in ``rows``.
        owners: whose each tuple is, or :data:`MANY`.
        columns: the bits of the columns, the new one among them.
        number: the number of the set, negative if the parts are needed no more.
        within: the numbers of the sets within it.
        scratch: zeros, shape (4, codes); left so.
        marks: a bit for each set by which a person is unique, shape (persons, bytes).
        found: persons and sets, shape (entries, 2), with room for all ``rows``.
        used: entries in use.

    Returns:
        Rows and ends of the parts, and the number of entries made.
    """
    many, whose, single, places = scratch
    last = number < 0
    kept = np.empty(0 if last else len(rows), dtype=np.int32)
    cuts = np.empty(0 if last else len(rows), dtype=np.int64)
    touched = np.empty(len(column) if len(column) < scratch.shape[1] else scratch.shape[1], dtype=np.int64)
    filled, parts, start, before = 0, 0, 0, used
    for end in ends:
        codes = 0
        for i in range(start, end):
            code, owner = column[rows[i]], owners[rows[i]]
            if many[code] == 0:
                touched[codes] = code
                codes += 1
                whose[code] = owner
            elif whose[code] != owner:
                whose[code] = -1
            many[code] += 1
            if owner >= 0:
                single[code] = 1
        for i in range(start, end):
            owner = owners[rows[i]]
            if whose[column[rows[i]]] < 0:
                continue
            minimal = True
            for n in within:
                if marks[owner, n >> 3] >> (n & 7) & 1:
                    minimal = False
                    break
            if minimal:
                found[used, 0], found[used, 1] = owner, columns
                used += 1
            if not last:
                marks[owner, number >> 3] |= np.uint8(1 << (number & 7))
        if not last:
            for t in range(codes):
                code = touched[t]
                places[code] = -1
                if whose[code] < 0 and single[code] and many[code] > 1:
                    places[code] = filled
                    filled += many[code]
                    cuts[parts] = filled
                    parts += 1
            for i in range(start, end):
                code = column[rows[i]]
                if places[code] >= 0:
                    kept[places[code]] = rows[i]
                    places[code] += 1
        for t in range(codes):
            many[touched[t]] = 0
            single[touched[t]] = 0
        start = end
    return kept[:filled], cuts[:parts], used - before
