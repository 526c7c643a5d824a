"""Columns as the regressors of a model, the same on both sides.

A number is a number on both sides, labels of numbers are their centers, and both are standardized by the
original. Other columns are indicators of the release's labels; labels that overlap count in parts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sfumato.contracts import Comparison
from sfumato.evidence.features import LabelBins, numbers
from sfumato.evidence.overlap import Spread
from sfumato.evidence.utility.terms import number_pair

#: Categories of a column that have a coefficient of their own.
LEVELS = 10
_LEAST = 10
_LARGE = 1e12


@dataclass(frozen=True)
class Design:
    """Regressors before and after, shape (people, regressors) each, and the column that each is of.

    ``scales`` is the standard deviation that a regressor was divided by; 1 for an indicator.
    """

    before: NDArray[np.float64]
    after: NDArray[np.float64]
    columns: tuple[str, ...]
    scales: NDArray[np.float64]


def design(comparison: Comparison, described: pl.DataFrame, names: list[str]) -> Design:
    """The regressors of some columns; those that are the same for everybody in the original are left out."""
    rows = comparison.original.height
    before, after, columns, scales = [np.zeros((rows, 0))], [np.zeros((rows, 0))], [], []
    for name in names:
        pair = raw_pair(comparison, described[name], name)
        numeric = None if pair is None else _standardized(*pair)
        found = _indicators(comparison, described[name], name) if pair is None else numeric
        if found is None:
            continue
        before.append(found[0])
        after.append(found[1])
        columns += [name] * found[0].shape[1]
        scales += [found[2]] * found[0].shape[1]
    return Design(np.hstack(before), np.hstack(after), tuple(columns), np.array(scales, dtype=np.float64))


def raw_pair(
    comparison: Comparison, described: pl.Series, name: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """A column as numbers, the original's as they are; None where it is not one of numbers on both sides."""
    before = numbers(comparison.original[name])
    after = numbers(comparison.released[name], comparison.centers.get(name))
    if before is not None and after is None and name in comparison.overlapping:
        pair = number_pair(comparison, described, name)
        after = None if pair is None else pair[1]
    return None if before is None or after is None else (before, after)


def _standardized(
    before: NDArray[np.float64], after: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], float] | None:
    known = before[usable(before)]
    middle, spread = (float(known.mean()), float(known.std())) if len(known) else (0.0, 0.0)
    if not spread > 0:
        return None
    first, second = (
        np.where(usable(side), (np.where(usable(side), side, 0.0) - middle) / spread, 0.0)[:, None]
        for side in (before, after)
    )
    return first, second, spread


def usable(values: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which numbers are known and not beyond what sums of squares can hold."""
    return np.abs(values) < _LARGE


def _indicators(
    comparison: Comparison, described: pl.Series, name: str
) -> tuple[NDArray[np.float64], NDArray[np.float64], float] | None:
    levels = LabelBins.fit(described, LEVELS)
    codes, released = levels.codes(described), comparison.released[name]
    counts = np.bincount(codes, minlength=levels.size)
    # The most frequent category is what the others are compared with.
    enough = np.flatnonzero(counts >= _LEAST)
    shown = enough[enough != counts.argmax()]
    if not len(shown):
        return None
    whole = np.eye(levels.size)
    if name in comparison.overlapping:
        spread = Spread.of(comparison, released, described, codes, levels.size)
        after = spread.shares[spread.codes]
    else:
        after = whole[levels.codes(released)]
    return whole[codes][:, shown], after[:, shown], 1.0
