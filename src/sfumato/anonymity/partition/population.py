"""People of the population who fit the labels of classes with labels of their own.

Somebody fits a class if each of its labels covers their value; labels of classes may overlap, and then
they fit several. Whoever knows the population and the release finds so many people behind a class, and
takes somebody to be in the data by as many rows as are expected to be theirs: of each class that they fit,
its rows divided by those who fit it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sfumato.anonymity.partition.recoding import LocalRecoding
from sfumato.classes.table import ClassTable
from sfumato.contracts import COUNT


@dataclass(frozen=True)
class Fitting:
    """Which tuples of the population fit which classes.

    ``labels`` has the code of each class's label, shape (classes, columns), ``values`` that of each tuple's
    value, shape (tuples, columns), ``covers`` for each column which codes cover which, and ``people`` the
    people of each tuple.
    """

    labels: NDArray[np.int64]
    values: NDArray[np.int64]
    covers: tuple[NDArray[np.bool_], ...]
    people: NDArray[np.int64]

    @classmethod
    def of(cls, recoding: LocalRecoding, labels: pl.DataFrame, population: pl.DataFrame) -> Fitting:
        """The population in the terms of a recoding.

        Args:
            labels: those of each class.
            population: distinct tuples as the columns' transforms leave them, with people as :data:`COUNT`.
        """
        columns = recoding.columns
        known = [labels[name].unique(maintain_order=True) for name in columns]
        there = [population[name].unique(maintain_order=True) for name in columns]
        return cls(
            _codes(labels, known),
            _codes(population, there),
            tuple(
                recoding.covers(name, one, other)
                for name, one, other in zip(columns, known, there, strict=True)
            ),
            population[COUNT].cast(pl.Int64).to_numpy(),
        )

    def people_of_classes(self) -> NDArray[np.int64]:
        """The people who fit each class, shape (classes,)."""
        return self._walk(np.zeros(len(self.labels)))[0]

    def rows_of_people(self, sizes: NDArray[np.int64]) -> NDArray[np.float64]:
        """The rows that are expected to be each person's, shape (tuples,).

        Args:
            sizes: the rows of each class, shape (classes,).
        """
        fits = self.people_of_classes()
        return self._walk(np.divide(sizes, fits, out=np.zeros(len(fits)), where=fits > 0))[1]

    def people_table(self, sizes: NDArray[np.int64]) -> ClassTable:
        """Each tuple of the population as a class of one, with the rows that are expected to be theirs."""
        rows = self.rows_of_people(sizes)
        return ClassTable(cast("NDArray[np.int64]", rows), population=np.ones(len(rows), dtype=np.int64))

    def classes_of(self, tuples: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Which classes some tuples fit, shape (classes,)."""
        only = Fitting(self.labels, self.values, self.covers, np.where(tuples, 1, 0))
        return only.people_of_classes() > 0

    def _walk(self, shares: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """The people of each class, and what classes give each tuple that fits."""
        from sfumato.anonymity.partition.population_kernels import walk

        widths = np.array([cover.shape[1] for cover in self.covers], dtype=np.int64)
        sizes = np.array([cover.size for cover in self.covers], dtype=np.int64)
        order = np.stack([np.argsort(codes, kind="stable") for codes in self.values.T])
        starts = [
            np.searchsorted(codes[by], np.arange(width + 1))
            for codes, by, width in zip(self.values.T, order, widths, strict=True)
        ]
        # Each class is walked by the column whose label the fewest tuples fit.
        fitting = np.stack(
            [
                (cover @ np.diff(start))[labels]
                for cover, start, labels in zip(self.covers, starts, self.labels.T, strict=True)
            ]
        )
        people, given = walk(
            self.labels, self.values, np.concatenate([cover.ravel() for cover in self.covers]),
            np.cumsum(sizes) - sizes, widths, order, np.concatenate(starts),
            np.cumsum(widths + 1) - widths - 1, fitting.argmin(axis=0), self.people, shares,
        )  # fmt: skip
        return people, given


def _codes(frame: pl.DataFrame, distinct: list[pl.Series]) -> NDArray[np.int64]:
    """The place of each cell among its column's distinct values, shape (rows, columns)."""
    found = []
    for values in distinct:
        index = values.alias("value").to_frame().with_row_index("at")
        cells = frame.select(pl.col(values.name).alias("value"))
        both = cells.join(index, on="value", how="left", nulls_equal=True, maintain_order="left")
        found.append(both["at"].cast(pl.Int64).to_numpy())
    return np.ascontiguousarray(np.stack(found, axis=1))
