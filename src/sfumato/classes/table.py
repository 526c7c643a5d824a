"""Frequency tables of distinct tuples, and the classes that a recoding makes of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sfumato.contracts import COUNT

FIRST = "__sfumato_first__"


@dataclass(frozen=True)
class ClassTable:
    """Classes of people who look alike: ``sizes`` has the number of people in each, shape (classes,)."""

    sizes: NDArray[np.int64]

    @classmethod
    def of(cls, frame: pl.DataFrame, columns: Sequence[str]) -> ClassTable:
        """The classes of a table in memory; no columns make one class of all rows."""
        if not columns:
            return cls(np.array([frame.height] if frame.height else [], dtype=np.int64))
        return cls(frame.group_by(columns).len(COUNT)[COUNT].cast(pl.Int64).to_numpy())


@dataclass(frozen=True)
class TupleTable:
    """The distinct tuples of some columns with the number of rows that have each.

    ``tuples`` has one row for each distinct tuple, the columns named, a column :data:`COUNT` and a
    column :data:`FIRST` with the smallest row number; it is as private as the data.
    """

    columns: tuple[str, ...]
    tuples: pl.DataFrame

    @property
    def counts(self) -> NDArray[np.int64]:
        """Rows of each tuple, shape (tuples,)."""
        return self.tuples[COUNT].cast(pl.Int64).to_numpy()

    @property
    def rows(self) -> int:
        """The number of rows in all."""
        return int(self.counts.sum())

    def values(self, column: str) -> pl.DataFrame:
        """One column's distinct ``value`` with its ``count`` and the ``first`` row that has it."""
        return (
            self.tuples.group_by(pl.col(column).alias("value"))
            .agg(pl.col(COUNT).sum().alias("count"), pl.col(FIRST).min().alias("first"))
            .sort("first")
        )
