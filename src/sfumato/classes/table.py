"""Frequency tables of distinct tuples, and the classes that a recoding makes of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sfumato.classes.contingency import Contingency, Sensitive
from sfumato.contracts import COUNT

FIRST = "__sfumato_first__"


@dataclass(frozen=True)
class ClassTable:
    """Classes of people who look alike: ``sizes`` has the number of people in each, shape (classes,).

    ``sensitive`` has the contingency of each sensitive column, by name; ``population`` the people of
    each class in the population, shape (classes,), where a table of it is given.
    """

    sizes: NDArray[np.int64]
    sensitive: Mapping[str, Contingency] = field(default_factory=dict)
    population: NDArray[np.int64] | None = None

    @classmethod
    def of(cls, frame: pl.DataFrame, columns: Sequence[str]) -> ClassTable:
        """The classes of a table in memory; no columns make one class of all rows."""
        if not columns:
            return cls(np.array([frame.height] if frame.height else [], dtype=np.int64))
        return cls(frame.group_by(columns).len(COUNT)[COUNT].cast(pl.Int64).to_numpy())


@dataclass(frozen=True)
class Units:
    """Distinct tuples as a search sees them: ``counts`` has the people of each, shape (units,).

    Units are distinct in the columns that a recoding changes and in the sensitive ones together, so
    each has one value of each ``sensitive`` column. ``population`` has the people of the population with
    the same tuple, shape (units,); there are units of nobody for those whom only the population has.
    """

    counts: NDArray[np.int64]
    sensitive: Mapping[str, Sensitive] = field(default_factory=dict)
    population: NDArray[np.int64] | None = None

    @property
    def rows(self) -> int:
        """People in all."""
        return int(self.counts.sum())

    def classes(self, numbers: NDArray[np.int64], classes: int) -> ClassTable:
        """The classes that units make.

        Args:
            numbers: the class of each unit, shape (units,).
            classes: the number of classes.
        """
        sizes = np.bincount(numbers, self.counts, classes).astype(np.int64)
        population = self.population
        return ClassTable(
            sizes,
            {
                name: Contingency.of(column, numbers, self.counts, classes)
                for name, column in self.sensitive.items()
            },
            None if population is None else np.bincount(numbers, population, classes).astype(np.int64),
        )


@dataclass(frozen=True)
class TupleTable:
    """The distinct tuples of some columns with the number of rows that have each.

    ``tuples`` has one row for each distinct tuple, the columns named, ``others`` (the sensitive ones, say;
    tuples are distinct in all of them together), a column :data:`COUNT` and a column :data:`FIRST` with
    the smallest row number; it is as private as the data.
    """

    columns: tuple[str, ...]
    tuples: pl.DataFrame
    others: tuple[str, ...] = ()

    @property
    def counts(self) -> NDArray[np.int64]:
        """Rows of each tuple, shape (tuples,)."""
        return self.tuples[COUNT].cast(pl.Int64).to_numpy()

    @property
    def rows(self) -> int:
        """The number of rows in all."""
        return int(self.counts.sum())

    def people(self, column: str, person: str) -> pl.DataFrame:
        """:meth:`values` with the people who have each as ``count``; ``person`` says whose a row is."""
        return (
            self.tuples.group_by(pl.col(column).alias("value"))
            .agg(pl.col(person).n_unique().alias("count"), pl.col(FIRST).min().alias("first"))
            .sort("first")
        )

    def values(self, column: str) -> pl.DataFrame:
        """One column's distinct ``value`` with its ``count`` and the ``first`` row that has it."""
        return (
            self.tuples.group_by(pl.col(column).alias("value"))
            .agg(pl.col(COUNT).sum().alias("count"), pl.col(FIRST).min().alias("first"))
            .sort("first")
        )
