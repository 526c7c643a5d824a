"""The figures of one column: type, missing, distinct values, and how well it tells rows apart.

A missing value is one value more where rows are told apart (a person may be the only one of whom
something is not known), and none where distinct values are counted. NaN counts as missing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

Kind = Literal["integer", "number", "text", "boolean", "date", "datetime", "empty"]


@dataclass(frozen=True)
class Measured:
    """One column with its values as numbers.

    ``codes`` has shape (rows,): 0 for missing, else the rank of the value among the distinct ones,
    from 1. ``width`` is one more than the largest code. ``distinct``, ``distinction``,
    ``separation`` and ``unique`` are those of :class:`sfumato.core.values.ColumnProfile`.
    """

    name: str
    kind: Kind
    series: pl.Series
    codes: NDArray[np.int64]
    width: int
    missing: int
    distinct: int
    distinction: float
    separation: float
    unique: float

    @property
    def present(self) -> int:
        """The number of values that are not missing."""
        return len(self.codes) - self.missing

    @property
    def values_seen(self) -> int:
        """Distinct values, missing counted as one of them."""
        return self.distinct + (self.missing > 0)


def measure(series: pl.Series, person: NDArray[np.int64] | None = None) -> Measured:
    """The figures of a column.

    Args:
        series: the column, of any type.
        person: shape (rows,), the number of the person of each row; without it each row is one.
    """
    series = plain(series)
    codes = _codes(series)
    rows, missing = len(codes), int(series.null_count())
    distinct = int(codes.max(initial=0))
    return Measured(
        name=series.name,
        kind=_kind(series, missing),
        series=series,
        codes=codes,
        width=distinct + 1,
        missing=missing,
        distinct=distinct,
        distinction=distinct / rows if rows else 0.0,
        separation=separation(np.bincount(codes, minlength=1)),
        unique=unique_share(codes, distinct + 1, person),
    )


def plain(series: pl.Series) -> pl.Series:
    """The column with NaN as missing, categories as their texts and foreign objects as texts."""
    if series.dtype.is_float():
        return series.fill_nan(None)
    if series.dtype in (pl.Categorical, pl.Enum):
        return series.cast(pl.String)
    if series.dtype == pl.Object:
        return pl.Series(series.name, [None if v is None else str(v) for v in series], dtype=pl.String)
    return series


def separation(sizes: NDArray[np.int64]) -> float:
    """The share of pairs of rows that lie in different classes (Motwani & Xu 2007); 0 without pairs.

    >>> separation(np.array([2, 1]))
    0.6666666666666667
    """
    rows = float(sizes.sum())
    if rows < 2:
        return 0.0
    counts = sizes.astype(np.float64)
    return max(0.0, 1.0 - float((counts * (counts - 1)).sum()) / (rows * (rows - 1)))


def unique_share(codes: NDArray[np.int64], width: int, person: NDArray[np.int64] | None = None) -> float:
    """The share of rows whose value no other person has.

    Args:
        codes: shape (rows,), numbers below ``width``.
        width: not much larger than the number of rows, for a table of that length is made.
        person: as in :func:`measure`.

    >>> unique_share(np.array([0, 0, 1, 2]), 3)
    0.5
    """
    if not len(codes):
        return 0.0
    if person is None:
        return int((np.bincount(codes, minlength=width) == 1).sum()) / len(codes)
    # Somebody of each class stands for it; the class is shared if anybody else is in it.
    first = np.empty(width, dtype=np.int64)
    first[codes] = person
    shared = np.zeros(width, dtype=np.bool_)
    shared[codes[first[codes] != person]] = True
    return int((~shared[codes]).sum()) / len(codes)


def _codes(series: pl.Series) -> NDArray[np.int64]:
    ranks = series.rank("dense").cast(pl.Int64).fill_null(0)
    return np.ascontiguousarray(ranks.to_numpy(), dtype=np.int64)


def _kind(series: pl.Series, missing: int) -> Kind:
    dtype = series.dtype
    if missing == len(series):
        return "empty"
    if dtype == pl.Boolean:
        return "boolean"
    if dtype.is_integer():
        return "integer"
    if dtype.is_numeric():
        return "number"
    if dtype == pl.Date:
        return "date"
    return "datetime" if isinstance(dtype, pl.Datetime) else "text"
