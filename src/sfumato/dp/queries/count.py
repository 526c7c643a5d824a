"""How many rows there are."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import polars as pl

from sfumato.dp.queries.base import GRID, Cells, Need, Noise, QueryParams, Sum, column, figures


class Count:
    """The number of rows, or of those that have a value in a column."""

    summary: ClassVar[str] = "the number of rows, or of those with a value in a column"

    class Params(QueryParams):
        """``of`` is the column that must have a value; without it every row counts."""

        of: str | None = None

    @staticmethod
    def reads(params: Count.Params) -> tuple[str, ...]:
        """The column, if one is named."""
        return () if params.of is None else (params.of,)

    @staticmethod
    def needs(params: Count.Params) -> tuple[Need, ...]:
        """One number, which a row changes by one."""
        del params
        return (Sum(whole=True),)

    @staticmethod
    def answer(table: pl.DataFrame, params: Count.Params, noise: Noise) -> Cells:
        """The noisy count as a whole number."""
        rows = table.height
        if params.of is not None:
            values = column(table, params.of)
            rows -= values.null_count() + (int(values.is_nan().sum()) if values.dtype.is_float() else 0)
        drawn = noise.add(0, np.array([rows * GRID], dtype=np.int64))
        what = "rows" if params.of is None else f"rows with a value in {params.of}"
        return Cells(rounded(drawn.values, drawn.width(noise.confidence)), f"number of {what}")


def rounded(counts: object, width: float, labels: object = None) -> pl.DataFrame:
    """Counts as whole numbers; noise within ``width`` moves them by no more than ``width`` rounded."""
    whole = np.rint(np.asarray(counts, dtype=np.float64))
    half = np.floor(width + 0.5)
    return figures(whole, np.maximum(whole - half, 0.0), np.maximum(whole + half, 0.0), labels)
