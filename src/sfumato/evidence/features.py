"""Columns as numbers and as a few categories, so that raw and released values can be compared.

A generalized numeric column counts as numbers again through the centers of its labels. Categories are
at most :data:`BINS` and two more (for everything rarer, and for missing), fitted on one table and
applied to another.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

BINS = 20

#: The code of a label that a table of labels does not have.
UNKNOWN = -1


def numbers(series: pl.Series, centers: Mapping[str, float] | None = None) -> NDArray[np.float64] | None:
    """A column as numbers, missing as NaN; None if it is not one of numbers.

    Numbers, booleans and dates are; so are labels with centers, where a label without one (the ``*`` of
    a cell that says nothing) is missing.
    """
    if centers is not None and series.dtype == pl.String:
        values = series.replace_strict(
            pl.Series(list(centers), dtype=pl.String),
            pl.Series(list(centers.values()), dtype=pl.Float64),
            default=None,
            return_dtype=pl.Float64,
        )
    elif series.dtype.is_numeric() or series.dtype == pl.Boolean:
        values = series.cast(pl.Float64)
    elif series.dtype.is_temporal():
        values = series.to_physical().cast(pl.Float64)
    else:
        return None
    return values.fill_null(float("nan")).to_numpy()


def labels(series: pl.Series) -> pl.Series:
    """A column as text, missing left missing: what two tables must share to agree."""
    return series.cast(pl.String)


def as_type(series: pl.Series, dtype: pl.DataType) -> tuple[pl.Series, pl.Series]:
    """A column in another's type, and which of its values that type cannot hold (they become missing).

    >>> held, lost = as_type(pl.Series(["7", "about 7", None]), pl.Int64())
    >>> held.to_list(), lost.to_list()
    ([7, None, None], [False, True, False])
    """
    if series.dtype == dtype:
        return series, series.is_null() & False
    held = _cast(series, dtype)
    lost = held.is_null() & series.is_not_null()
    if series.dtype.is_float() and dtype.is_integer():
        lost = lost | (held.cast(series.dtype) != series).fill_null(False)
    return held.zip_with(~lost, pl.Series([None], dtype=dtype)), lost


def _cast(series: pl.Series, dtype: pl.DataType) -> pl.Series:
    """What a type cannot hold is missing, also where Polars has no way from one type to the other."""
    try:
        if series.dtype == pl.String and dtype in (pl.Date, pl.Datetime, pl.Time):
            return series.str.strptime(dtype, strict=False)  # type: ignore[arg-type]
        return series.cast(dtype, strict=False)
    except pl.exceptions.PolarsError:
        return pl.Series(series.name, [None], dtype=dtype).new_from_index(0, len(series))


def encode_labels(series: pl.Series, level: pl.DataFrame) -> NDArray[np.int32]:
    """The ``code`` of each value in a table of distinct ``label``s, :data:`UNKNOWN` where it has none."""
    names, number = level["label"], level["code"].cast(pl.Int32)
    if series.dtype == names.dtype == pl.String:
        known = names.is_not_null()
        missing = number.filter(~known).to_list() or [UNKNOWN]
        places = label_codes(series, names.filter(known), -2)
        places[series.is_null().to_numpy()] = -1
        last = np.array([UNKNOWN, *missing], dtype=np.int32)
        return np.append(number.filter(known).to_numpy(), last)[places]
    if series.dtype == names.dtype and names.dtype.is_integer() and not _any_missing(series, names):
        return _places(series.to_numpy(), names.to_numpy(), number.to_numpy())
    held, lost = as_type(series, names.dtype)
    found = (
        held.alias("label")
        .to_frame()
        .join(level, on="label", how="left", nulls_equal=True, maintain_order="left")
    )
    codes = found["code"].cast(pl.Int32).fill_null(UNKNOWN).to_numpy().copy()
    codes[lost.to_numpy()] = UNKNOWN
    return codes


def _any_missing(*series: pl.Series) -> bool:
    return any(part.null_count() for part in series)


def _places(values: NDArray[Any], known: NDArray[Any], codes: NDArray[np.int32]) -> NDArray[np.int32]:
    """The code of each value among known ones, :data:`UNKNOWN` where it is none of them."""
    order = np.argsort(known, kind="stable")
    ordered = np.append(known[order], known[:1])
    at = np.searchsorted(ordered[: len(known)], values)
    if not len(known):
        return np.full(len(values), UNKNOWN, dtype=np.int32)
    found = np.append(codes[order], codes[:1])[at]
    return np.where(ordered[at] == values, found, np.int32(UNKNOWN))


def label_codes(text: pl.Series, levels: pl.Series, unknown: int = UNKNOWN) -> NDArray[np.int64]:
    """The place of each text among distinct ones, ``unknown`` where it is none of them or missing."""
    places = text.cast(pl.Enum(levels), strict=False).to_physical()
    if not places.null_count():
        return places.to_numpy().astype(np.int64)
    return places.cast(pl.Int64).fill_null(unknown).to_numpy().copy()


@dataclass(frozen=True)
class NumberBins:
    """Numbers in bins: one a value where there are few values, else quantiles of the reference.

    ``edges`` are the upper bounds of all bins but the last; a number equal to an edge lies below it.
    """

    edges: NDArray[np.float64]

    @classmethod
    def fit(cls, values: NDArray[np.float64], bins: int = BINS) -> NumberBins:
        """Bins from the numbers that are not missing."""
        known = values[~np.isnan(values)]
        distinct = np.unique(known)
        if len(distinct) <= bins:
            return cls(distinct[:-1])
        # No interpolation, so that infinite numbers do not turn into NaN.
        places = np.ceil(len(known) * (np.arange(1, bins) / bins)).astype(np.int64) - 1
        return cls(np.unique(np.sort(known)[places]))

    @property
    def size(self) -> int:
        """The number of codes, missing among them."""
        return len(self.edges) + 2

    def codes(self, values: NDArray[np.float64]) -> NDArray[np.int64]:
        """The bin of each number, missing as the last code."""
        found = np.searchsorted(self.edges, values, side="left")
        found[np.isnan(values)] = self.size - 1
        return found.astype(np.int64)


@dataclass(frozen=True)
class LabelBins:
    """The most frequent labels of a reference, one code for all others, one for missing."""

    levels: pl.Series

    @classmethod
    def fit(cls, series: pl.Series, bins: int = BINS) -> LabelBins:
        """The levels: all labels if they are few, else the ``bins - 1`` most frequent."""
        counts = labels(series).drop_nulls().alias("label").value_counts(name="len")
        ordered = counts.sort(["len", "label"], descending=[True, False])["label"]
        return cls(ordered if len(ordered) <= bins else ordered.head(bins - 1))

    @property
    def size(self) -> int:
        """The number of codes: the levels, others, missing."""
        return len(self.levels) + 2

    def codes(self, series: pl.Series) -> NDArray[np.int64]:
        """The code of each label."""
        text = labels(series)
        found = label_codes(text, self.levels, self.size - 2)
        found[text.is_null().to_numpy()] = self.size - 1
        return found


def categories(
    series: pl.Series, centers: Mapping[str, float] | None = None
) -> tuple[NDArray[np.int64], int]:
    """A column in its own categories: a code for each row, and the number of codes."""
    values = numbers(series, centers)
    if values is not None:
        number_bins = NumberBins.fit(values)
        return number_bins.codes(values), number_bins.size
    label_bins = LabelBins.fit(series)
    return label_bins.codes(series), label_bins.size
