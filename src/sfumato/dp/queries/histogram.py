"""How many rows have each value of a column."""

from __future__ import annotations

from typing import ClassVar

import polars as pl

from sfumato.dp.queries import contingency
from sfumato.dp.queries.base import Cells, Need, Noise, QueryParams, Sum
from sfumato.dp.queries.domains import Domain


class Histogram:
    """Counts of the declared categories of a column, or of the intervals between declared edges.

    A row is in one cell: it moves the vector of counts by 1.
    """

    summary: ClassVar[str] = "counts of a column's declared categories or intervals"

    class Params(Domain, QueryParams):
        """``of`` is the column; ``nonnegative`` takes the counts to the nearest ones not below zero."""

        of: str
        nonnegative: bool = False

    @staticmethod
    def reads(params: Histogram.Params) -> tuple[str, ...]:
        """The column."""
        return (params.of,)

    @staticmethod
    def needs(params: Histogram.Params) -> tuple[Need, ...]:
        """A vector of counts."""
        del params
        return (Sum(whole=True),)

    @staticmethod
    def answer(table: pl.DataFrame, params: Histogram.Params, noise: Noise) -> Cells:
        """A row for each cell, in the order of the declaration."""
        domain = Domain.model_validate(params.model_dump(include=set(Domain.model_fields)))
        counted = contingency.counts(table, {params.of: domain})
        drawn = noise.add(0, counted)
        cells = contingency.told(
            drawn.values, drawn.width(noise.confidence), {params.of: domain}, params.nonnegative
        )
        return Cells(cells, f"number of rows by {params.of}")
