"""Histories as points, so near to each other as somebody would call them the same but for a trifle.

Within one of each other in every coordinate are histories of as many events and the same items, whose events
are at most half a hundredth of the window apart and whose amounts differ by at most 5 %.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sfumato.contracts import Logs
from sfumato.evidence.features import labels, numbers
from sfumato.evidence.histories import sources

#: The trifle: a share of the window, and of an amount.
TIME, AMOUNT = 0.005, 0.05
TRIFLE = f"{TIME:.1%} of the window in each time and {AMOUNT:.0%} of each number"
#: Where a value is missing, and how far apart two categories are; numbers end between.
_MISSING, APART, _LARGE = 1e9, 10.0, 1e8
_HUGE = 1e150
_SMALL = 0.01


@dataclass(frozen=True)
class Scale:
    """How people's rows are made points of; fitted on those who taught."""

    logs: Logs
    columns: tuple[str, ...]
    middles: dict[str, float]
    values: dict[str, pl.Series]

    @classmethod
    def fit(cls, logs: Logs, taught: pl.DataFrame, others: Sequence[pl.DataFrame]) -> Scale:
        """By the middle size of each number, and by every category that anybody has."""
        middles: dict[str, float] = {}
        values: dict[str, pl.Series] = {}
        for name in taught.columns:
            figures = numbers(taught[name])
            if figures is None:
                values[name] = pl.concat([labels(part[name]) for part in (taught, *others)]).unique().sort()
            else:
                middles[name] = middle_size(figures)
        return cls(logs, tuple(taught.columns), middles, values)

    def points(self, people: pl.DataFrame) -> NDArray[np.float64]:
        """Shape (people, columns)."""
        of, at = sources(self.logs), np.zeros(people.height)
        found = np.empty((people.height, len(self.columns)))
        opens, closes = self.logs.window
        for place, name in enumerate(self.columns):
            if name in self.values:
                found[:, place] = _codes(people[name], self.values[name]) * APART
                continue
            figures = numbers(people[name])
            assert figures is not None, "a column is of numbers among all people or among none"
            if of[name] == self.logs.time:
                # When each event was, for a date that is moved moves two gaps.
                at = at + figures
                found[:, place] = at / max(TIME * (closes - opens), np.finfo(float).tiny)
            else:
                found[:, place] = sized(figures, self.middles[name])
        return placed(found)


def middle_size(figures: NDArray[np.float64]) -> float:
    """The middle one of the sizes of numbers, of those that have one."""
    sizes = np.abs(figures[np.isfinite(figures) & (figures != 0)])
    return float(np.sort(sizes)[len(sizes) // 2]) if len(sizes) else 1.0


def sized(figures: NDArray[np.float64], middle: float) -> NDArray[np.float64]:
    """Numbers on a scale on which those that are a trifle apart are within one of each other."""
    small = np.clip(figures, -_HUGE, _HUGE) / max(_SMALL * middle, 1 / _HUGE)
    return np.asarray(np.arcsinh(small) / np.log1p(AMOUNT))


def placed(found: NDArray[np.float64]) -> NDArray[np.float64]:
    """Coordinates that are all numbers, what is missing far from everything else."""
    return np.where(np.isnan(found), _MISSING, np.clip(found, -_LARGE, _LARGE))


def _codes(column: pl.Series, values: pl.Series) -> NDArray[np.float64]:
    codes = pl.Series(np.arange(len(values), dtype=np.float64))
    return labels(column).replace_strict(values, codes, default=None, return_dtype=pl.Float64).to_numpy()


def near(points: NDArray[np.float64], others: NDArray[np.float64], most: int) -> NDArray[np.int64]:
    """How many others lie within one of each point in every coordinate, counted up to ``most``."""
    from scipy.spatial import cKDTree

    if not len(others) or not len(points):
        return np.zeros(len(points), dtype=np.int64)
    found, _ = cKDTree(others).query(points, k=range(1, most + 1), p=np.inf, distance_upper_bound=1 + 1e-9)
    return np.asarray(np.isfinite(found).sum(axis=1), dtype=np.int64)
