"""Fingerprints of places: numbers that belong to where a person lives, and not to the person.

A state's tax rate says nothing about a person, and gives the state away. Such numbers are known by
their partition of the rows: several of them put (almost) the same rows together, and yet none is a
rising or falling function of another, as a square or a share of one personal figure would be.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from sfumato.core.keyed import derive, draws
from sfumato.inventory.dependence import entropy, frequencies, information
from sfumato.inventory.profile import Measured

#: Fewer values make no fingerprint; more than one in so many rows is no longer shared by a place.
LEAST_VALUES, ROWS_A_VALUE = 8, 20
#: The share of a number's entropy that another must tell, and the rank correlation it may not reach.
TOLD, MONOTONE = 0.8, 0.95
_ROWS, _SCREENED = 10_000, 2_000
#: Cells of a cross table that may occur, for each value of the finer figure.
_CELLS = 4


def fingerprints(columns: Sequence[Measured], key: bytes) -> dict[str, tuple[str, ...]]:
    """For each number that acts as the fingerprint of a place, the numbers that share its partition.

    At most 10,000 rows, chosen by keyed draws, are looked at. A place may be an employer, a school or
    a month as well: whatever several people share and outsiders can look up.
    """
    numbers = [column for column in columns if _candidate(column)]
    if len(numbers) < 2:
        return {}
    rows = _sample(len(numbers[0].codes), key)
    codes = [column.codes[rows] for column in numbers]
    partners: dict[str, list[str]] = {}
    for i, j in combinations(range(len(numbers)), 2):
        if _few_cells(codes[i][:_SCREENED], codes[j][:_SCREENED]) and _share_partition(codes[i], codes[j]):
            partners.setdefault(numbers[i].name, []).append(numbers[j].name)
            partners.setdefault(numbers[j].name, []).append(numbers[i].name)
    return {name: tuple(names) for name, names in partners.items()}


def _candidate(column: Measured) -> bool:
    return (
        column.kind in ("integer", "number")
        and column.distinct >= LEAST_VALUES
        and column.distinct * ROWS_A_VALUE <= len(column.codes)
    )


def _sample(rows: int, key: bytes) -> NDArray[np.int64]:
    if rows <= _ROWS:
        return np.arange(rows)
    order = draws(derive(key, "inventory", "places"), np.arange(rows, dtype=np.uint64))
    return np.sort(np.argpartition(order, _ROWS)[:_ROWS])


def _few_cells(x: NDArray[np.int64], y: NDArray[np.int64]) -> bool:
    """Whether a cross table is nearly empty, as that of a shared partition is; a quick first look."""
    return _cells(_paired(x, y)) <= _CELLS * max(_cells(x), _cells(y))


def _share_partition(x: NDArray[np.int64], y: NDArray[np.int64]) -> bool:
    """Whether each tells nearly all of the other, beyond chance, and neither is monotone in the other.

    From the mutual information is taken its bias, by the cells that occur (Miller 1955).
    """
    bias = (_cells(_paired(x, y)) - _cells(x) - _cells(y) + 1) / (2 * len(x))
    told, of_x, of_y = information(x, y) - bias, entropy(x), entropy(y)
    # A coarse figure of the place is told by a fine one, which it tells less of in turn.
    if told < TOLD * min(of_x, of_y) or told < TOLD**2 * max(of_x, of_y):
        return False
    return abs(_correlation(x, y)) < MONOTONE


def _paired(x: NDArray[np.int64], y: NDArray[np.int64]) -> NDArray[np.int64]:
    return x * (int(y.max(initial=0)) + 1) + y


def _cells(codes: NDArray[np.int64]) -> int:
    return len(frequencies(codes))


def _correlation(x: NDArray[np.int64], y: NDArray[np.int64]) -> float:
    """The correlation of the ranks of distinct values: 1 or -1 for monotone functions, nearly."""
    if x.min() == x.max() or y.min() == y.max():
        return 0.0
    return float(np.corrcoef(x, y)[0, 1])
