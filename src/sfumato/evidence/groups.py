"""Groups of people for the fairness figures, named so that no name gives a person away."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sfumato.core.disclosure import LEAST
from sfumato.evidence.features import labels, numbers

#: Numbers with more values than this are cut into quarters; more categories are folded.
MOST_VALUES = 10
MOST_GROUPS = 20
OTHERS = "others"
MISSING = "missing"


@dataclass(frozen=True)
class Grouping:
    """One column's groups: ``names`` and, for any rows, the number of each one's group.

    A category is a group if 10 people have it; rarer ones are ``others``. Numbers of many values are in
    quarters of the original, ``Q1`` (lowest) to ``Q4``.
    """

    column: str
    names: tuple[str, ...]
    edges: NDArray[np.float64] | None
    levels: pl.Series

    @classmethod
    def fit(cls, series: pl.Series) -> Grouping:
        """The groups of a column of the original."""
        values = numbers(series)
        if values is not None and series.drop_nulls().n_unique() > MOST_VALUES:
            known = values[~np.isnan(values)]
            edges = np.quantile(known, [0.25, 0.5, 0.75], method="inverted_cdf")
            names = tuple(f"Q{quarter}" for quarter in range(1, 5))
            return cls(series.name, (*names, MISSING), edges, pl.Series([], dtype=pl.String))
        counts = labels(series).drop_nulls().alias("label").to_frame().group_by("label").len()
        frequent = (
            counts.filter(pl.col("len") >= LEAST)
            .sort(["len", "label"], descending=[True, False])["label"]
            .head(MOST_GROUPS)
        )
        # In the order of values: 2 before 10.
        known_values = series.drop_nulls().unique().sort()
        levels = labels(known_values).filter(labels(known_values).is_in(frequent.implode()))
        return cls(series.name, (*levels, OTHERS, MISSING), None, levels)

    def of(self, series: pl.Series) -> NDArray[np.int64]:
        """The number of each row's group in ``names``; missing has the last one."""
        missing = len(self.names) - 1
        if self.edges is not None:
            values = numbers(series)
            if values is None:
                return np.full(len(series), missing, dtype=np.int64)
            found = np.searchsorted(self.edges, values, side="left").astype(np.int64)
            found[np.isnan(values)] = missing
            return found
        text = labels(series)
        if len(self.levels):
            numbered = pl.Series(np.arange(len(self.levels)), dtype=pl.Int64)
            coded = text.replace_strict(
                self.levels, numbered, default=missing - 1, return_dtype=pl.Int64
            ).to_numpy()
        else:
            coded = np.full(len(text), missing - 1)
        return np.where(text.is_null().to_numpy(), missing, coded).astype(np.int64)

    def targets(self) -> Sequence[str]:
        """The name of each group as a finding's target (``white=0``)."""
        return [f"{self.column}={name}" for name in self.names]

    def members(self, frame: pl.DataFrame) -> NDArray[np.int64]:
        """The number of each person's group, of a frame with the column."""
        return self.of(frame[self.column])


@dataclass(frozen=True)
class Crossing:
    """The groups of people who are alike in several columns, named ``a & b`` as the columns are.

    A combination is a group if 10 people have it; rarer ones are ``others`` together.
    """

    parts: tuple[Grouping, ...]
    names: tuple[str, ...]
    #: The number of each group of its parts' groups taken together, in order.
    cells: NDArray[np.int64]

    @classmethod
    def fit(cls, parts: Sequence[Grouping], frame: pl.DataFrame) -> Crossing:
        """The groups of the original in several groupings at once."""
        crossed = cls(tuple(parts), (), np.zeros(0, dtype=np.int64))
        cells, counts = np.unique(crossed._crossed(frame), return_counts=True)
        cells = cells[counts >= LEAST]
        shape = [len(part.names) for part in parts]
        places = np.unravel_index(cells, shape)
        names = [
            " & ".join(part.names[place] for part, place in zip(parts, cell, strict=True))
            for cell in zip(*places, strict=True)
        ]
        return cls(crossed.parts, (*names, OTHERS), cells)

    @property
    def column(self) -> str:
        """The columns' names together."""
        return " & ".join(part.column for part in self.parts)

    def members(self, frame: pl.DataFrame) -> NDArray[np.int64]:
        """The number of each person's group, of a frame with the columns."""
        crossed = self._crossed(frame)
        if not len(self.cells):
            return np.zeros(len(crossed), dtype=np.int64)
        found = np.minimum(np.searchsorted(self.cells, crossed), len(self.cells) - 1)
        return np.where(self.cells[found] == crossed, found, len(self.cells))

    def _crossed(self, frame: pl.DataFrame) -> NDArray[np.int64]:
        crossed = np.zeros(frame.height, dtype=np.int64)
        for part in self.parts:
            crossed = crossed * len(part.names) + part.members(frame)
        return crossed

    def targets(self) -> Sequence[str]:
        """The name of each group as a finding's target (``white & married=0 & 1``)."""
        return [f"{self.column}={name}" for name in self.names]
