"""Columns as numbers, by a declaration alone: no scale, no category and no bin is read from the data.

A number is put between hats: knots spread evenly over its declared bounds, of which it weighs the two
beside it. So a linear model bends where the data do, and a row's norm stays at most one a column. Where
bounds are further apart than 1,000 the knots are even on a logarithmic scale around zero, with a thousandth
of the larger bound as its unit.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sfumato.core.errors import InputError, nearest
from sfumato.engines.interchange import to_polars

Bounds = tuple[float, float] | Mapping[Any, tuple[float, float]]
Categories = Mapping[Any, Sequence[Any]]
Missing = Literal["refuse", "category"]

_WIDE = 1000.0


@dataclass(frozen=True)
class Number:
    """A number between bounds; outside of them it is moved to the nearer one."""

    name: str
    low: float
    high: float
    knots: int

    def places(self, values: pl.Series) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Where each value is between the first knot (0) and the last; and which are missing."""
        cast = values.cast(pl.Float64, strict=False).to_numpy()
        missing = ~np.isfinite(cast)
        cut = np.clip(np.where(missing, self.low, cast), self.low, self.high)
        begin, end = self._scaled(np.array([self.low, self.high]))
        return (self._scaled(cut) - begin) / (end - begin) * (self.knots - 1), missing

    def _scaled(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        if self.high - self.low <= _WIDE:
            return values
        unit = max(abs(self.low), abs(self.high)) / _WIDE
        scaled: NDArray[np.float64] = np.sign(values) * np.log1p(np.abs(values) / unit)
        return scaled


@dataclass(frozen=True)
class Category:
    """One of the declared values; any other is "anything else"."""

    name: str
    values: tuple[str, ...]

    def places(self, values: pl.Series) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """The number of each value, one past the last for anything else; and which are missing."""
        codes = {value: number for number, value in enumerate(self.values)}
        text = values.cast(pl.String)
        found = text.replace_strict(codes, default=len(codes), return_dtype=pl.Int64).fill_null(len(codes))
        return found.to_numpy(), text.is_null().to_numpy()


class Declared:
    """The columns of a table as sparse rows of numbers.

    Args:
        bounds: of each number; a pair stands for all columns.
        categories: the values of each category.
        knots: of each number, at least 2; 2 is a straight line.
        missing: "refuse", or "category": a missing value is a value of its own.

    Raises:
        InputError: ``usage`` for bounds, categories or knots that are none.
    """

    def __init__(
        self, bounds: Bounds | None, categories: Categories | None, knots: int, missing: str
    ) -> None:
        if missing not in ("refuse", "category"):
            raise InputError(
                "usage", f"there is no rule {missing!r} for missing values", remedy="refuse or category"
            )
        if knots < 2:
            raise InputError("usage", f"a number needs two knots at least, and has {knots}")
        self._bounds, self._categories, self._knots = bounds, categories or {}, knots
        self._missing = missing
        self.columns: list[Number | Category] = []

    def fit(self, table: Any) -> Declared:
        """Look up every column's declaration; of the table only the names of its columns are used."""
        names = _frame(table).columns
        declared = {*map(str, self._categories)}
        if isinstance(self._bounds, Mapping):
            declared |= {*map(str, self._bounds)}
        for name in sorted(declared - set(names)):
            raise InputError("usage", f"there is no column {name!r}", remedy=nearest(name, names))
        self.columns = [self._column(name) for name in names]
        return self

    def _column(self, name: str) -> Number | Category:
        for given, values in self._categories.items():
            if str(given) == name:
                return Category(name, tuple(dict.fromkeys(map(str, values))))
        if not isinstance(self._bounds, Mapping):
            bounds = self._bounds
        else:
            bounds = next((pair for given, pair in self._bounds.items() if str(given) == name), None)
        if bounds is None:
            raise InputError(
                "usage",
                f"the column {name!r} has no declared domain",
                remedy="declare bounds or categories, or leave it out: reading them from people costs",
            )
        low, high = (float(end) for end in bounds)
        if not -math.inf < low < high < math.inf:
            raise InputError("usage", f"the bounds of {name!r} are no interval")
        return Number(name, low, high, self._knots)

    @property
    def names(self) -> list[str]:
        """What each feature is, in order; the first is the constant."""
        found = ["constant"]
        for column in self.columns:
            ends = column.values if isinstance(column, Category) else range(column.knots)
            found += [f"{column.name}={end}" for end in ends]
            found += [f"{column.name}: anything else"] * self._spare(column)
        return found

    def _spare(self, column: Number | Category) -> int:
        return int(isinstance(column, Category) or self._missing == "category")

    @property
    def radius(self) -> float:
        """No row has a larger L2 norm."""
        return math.sqrt(1 + len(self.columns))

    @property
    def filled(self) -> int:
        """How many numbers of a row are not zero, at most."""
        return 1 + sum(1 if isinstance(column, Category) else 2 for column in self.columns)

    def design(self, table: Any) -> Any:
        """The rows as a sparse matrix (n, features) of 64 bits, in SciPy's compressed rows.

        Raises:
            InputError: ``column-values`` for a missing value where it is refused; ``policy-mismatch`` for
                other columns than were declared.
        """
        from scipy.sparse import csr_matrix

        frame = _frame(table)
        if frame.columns != [column.name for column in self.columns]:
            raise InputError("policy-mismatch", "the table has other columns than the model was fitted to")
        parts = [(np.zeros(frame.height, dtype=np.int64), np.ones(frame.height))]
        at = 1
        for column in self.columns:
            series = frame[column.name]
            if isinstance(column, Category):
                codes, missing = column.places(series)
                parts.append((codes + at, np.ones(frame.height)))
                width = len(column.values)
            else:
                places, missing = column.places(series)
                below = np.minimum(places.astype(np.int64), column.knots - 2)
                share = np.where(missing, 0.0, places - below)
                width = column.knots
                parts.append((np.where(missing, width, below) + at, 1 - share))
                parts.append((below + 1 + at, share))
            if missing.any() and self._missing == "refuse":
                raise InputError(
                    "column-values",
                    "values are missing, or are no numbers",
                    where=column.name,
                    remedy='say what they mean: missing="category" makes them a value of their own',
                )
            at += width + self._spare(column)
        indices = np.stack([part[0] for part in parts], axis=1)
        values = np.stack([part[1] for part in parts], axis=1)
        starts = np.arange(frame.height + 1) * indices.shape[1]
        return csr_matrix((values.ravel(), indices.ravel(), starts), shape=(frame.height, at))


def _frame(table: Any) -> pl.DataFrame:
    """A table, or an array of numbers whose columns are called "0", "1", ..."""
    if isinstance(table, (np.ndarray, list)):
        array = np.asarray(table)
        if array.ndim != 2:
            raise InputError("usage", "expected a table or an array of two dimensions")
        return pl.DataFrame({str(i): array[:, i] for i in range(array.shape[1])}, strict=False)
    return to_polars(table)
