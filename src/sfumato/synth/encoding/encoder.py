"""A table as coded rows, and coded rows as a table that looks like the first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sfumato.synth.coded import Coded, Field


@dataclass(frozen=True)
class Encoder:
    """How each column is coded, fitted once."""

    columns: tuple[Any, ...]
    target: str | None = None

    @classmethod
    def fit(cls, table: pl.DataFrame, *, target: str | None = None, bins: int = 32) -> Encoder:
        """Bins of numbers and values of categories, from the rows."""
        return cls(tuple(_column(table[name], bins) for name in table.columns), target)

    @property
    def fields(self) -> tuple[Field, ...]:
        """The fields, in the order of the columns."""
        return tuple(column.field for column in self.columns)

    def encode(self, table: pl.DataFrame) -> Coded:
        """The codes of a table's rows."""
        codes = np.empty((table.height, len(self.columns)), dtype=np.int32, order="F")
        for place, column in enumerate(self.columns):
            codes[:, place] = column.encode(table[column.field.column])
        names = [field.column for field in self.fields]
        return Coded(self.fields, codes, None if self.target is None else names.index(self.target))

    def decode(self, codes: NDArray[np.int32], random: np.random.Generator) -> pl.DataFrame:
        """Values for codes; where a code stands for many, one of them is drawn."""
        return pl.DataFrame(
            [column.decode(codes[:, place], random) for place, column in enumerate(self.columns)]
        )


@dataclass(frozen=True)
class _Category:
    field: Field
    values: pl.Series

    def encode(self, values: pl.Series) -> NDArray[np.int32]:
        table = pl.DataFrame({"value": self.values, "code": np.arange(len(self.values), dtype=np.int32)})
        found = (
            values.alias("value")
            .to_frame()
            .join(table, on="value", how="left", nulls_equal=True, maintain_order="left")
        )
        return found["code"].fill_null(0).to_numpy()

    def decode(self, codes: NDArray[np.int32], random: np.random.Generator) -> pl.Series:
        return self.values.gather(codes).alias(self.field.column)


@dataclass(frozen=True)
class _Number:
    field: Field
    starts: NDArray[np.float64]
    knots: tuple[NDArray[np.float64], ...]
    whole: bool

    def encode(self, values: pl.Series) -> NDArray[np.int32]:
        numbers = values.cast(pl.Float64).to_numpy()
        return np.clip(np.searchsorted(self.starts, numbers, side="right") - 1, 0, None).astype(np.int32)

    def decode(self, codes: NDArray[np.int32], random: np.random.Generator) -> pl.Series:
        u = random.random(len(codes))
        out = np.empty(len(codes))
        for code, knots in enumerate(self.knots):
            rows = codes == code
            at = u[rows] * len(knots)
            out[rows] = knots[np.minimum(at.astype(int), len(knots) - 1)]
        return pl.Series(self.field.column, out.astype(np.int64) if self.whole else out)


def _column(values: pl.Series, bins: int) -> Any:
    name = values.name
    if not values.dtype.is_numeric() or values.n_unique() <= 2:
        distinct = values.unique().sort()
        missing = 0 if distinct.null_count() else None
        return _Category(Field(name, name, len(distinct), False, missing), distinct)
    numbers = np.sort(values.cast(pl.Float64).drop_nulls().to_numpy())
    distinct, counts = np.unique(numbers, return_counts=True)
    heavy = distinct[counts >= len(numbers) / bins]
    starts = np.unique(np.quantile(numbers, np.arange(bins) / bins, method="lower"))
    after = distinct[np.minimum(np.searchsorted(distinct, heavy, side="right"), len(distinct) - 1)]
    starts = np.unique(np.concatenate([starts, heavy, after]))
    ends = np.append(np.searchsorted(numbers, starts[1:]), len(numbers))
    begins = np.append(0, ends[:-1])
    knots = tuple(
        np.quantile(numbers[a:b], (np.arange(64) + 0.5) / 64, method="nearest") for a, b in zip(begins, ends)
    )
    return _Number(Field(name, name, len(starts), True), starts, knots, values.dtype.is_integer())
