"""Conditions of made rows, and the real rows that meet them: one code of one field for each row."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


class Conditions:
    """Conditions by weight: each field that has a choice is as frequent as any other.

    A condition is a place among the codes of all fields.

    Args:
        sizes: of the fields.
        weights: of the codes, shape (sum of sizes,), not negative.
    """

    def __init__(self, sizes: Sequence[int], weights: NDArray[np.float64]) -> None:
        ends = np.cumsum(sizes)
        self._sizes, self._starts, self.width = np.array(sizes), ends - sizes, int(ends[-1])
        totals = np.array([part.sum() for part in np.split(weights, ends[:-1])])
        free = (self._sizes > 1) if (self._sizes > 1).any() else np.ones(len(sizes), dtype=bool)
        scale = np.where(free, 1.0 / np.where(totals > 0, totals, 1.0), 0.0)
        self._sums = np.cumsum(weights * np.repeat(scale, self._sizes))

    def drawn(self, rows: int, random: np.random.Generator) -> NDArray[np.int64]:
        """Places, shape (rows,); none without weight."""
        at = random.random(rows) * (1 - 1e-12) * self._sums[-1]
        found: NDArray[np.int64] = np.searchsorted(self._sums, at, side="right")
        return found

    def ones(self, places: NDArray[np.int64]) -> Floats:
        """Zeros, and a one at each place, shape (rows, sum of sizes)."""
        found = np.zeros((len(places), self.width), dtype=np.float32)
        found[np.arange(len(places)), places] = 1.0
        return found

    def forbidden(self, places: NDArray[np.int64]) -> NDArray[np.bool_]:
        """The codes that a row with the condition cannot have, shape (rows, sum of sizes)."""
        of = np.repeat(np.arange(len(self._sizes)), self._sizes)
        same: NDArray[np.bool_] = of[places][:, None] == of
        same[np.arange(len(places)), places] = False
        return same


class Meeting:
    """Finds real rows with the code of a condition, each as probable as any other.

    Args:
        codes: shape (rows, fields).
        counts: of all codes, shape (sum of sizes,).
    """

    def __init__(self, codes: NDArray[np.int32], counts: NDArray[np.int64]) -> None:
        self._order = np.concatenate(
            [np.argsort(column, kind="stable").astype(np.int32) for column in codes.T]
        )
        self._counts, self._first = counts, np.cumsum(counts) - counts

    def rows(self, places: NDArray[np.int64], random: np.random.Generator) -> NDArray[np.int32]:
        """A row for each condition, shape (conditions,)."""
        behind = (random.random(len(places)) * self._counts[places]).astype(np.int64)
        found: NDArray[np.int32] = self._order[self._first[places] + behind]
        return found
