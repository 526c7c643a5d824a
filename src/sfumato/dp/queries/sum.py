"""The sum of a column of numbers."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sfumato.dp.queries import base
from sfumato.dp.queries.base import Cells, Need, Noise, QueryParams, figures, numbers
from sfumato.dp.queries.domains import Bounds


class Sum:
    """The sum of numbers, each taken to the nearest bound first.

    One row adds at most the larger bound in size; for bounds far from zero, the mean is the better question.
    """

    summary: ClassVar[str] = "the sum of a column of numbers between declared bounds"

    class Params(Bounds, QueryParams):
        """``of`` is the column; a ``missing`` value counts as that number, or its row is left out."""

        of: str
        missing: Literal["drop"] | float = "drop"

    @staticmethod
    def reads(params: Sum.Params) -> tuple[str, ...]:
        """The column."""
        return (params.of,)

    @staticmethod
    def needs(params: Sum.Params) -> tuple[Need, ...]:
        """One number, which a row changes by the larger bound at most."""
        most = largest(params.bounds) / unit(params.bounds)
        return (base.Sum(l1=most, l2=most),)

    @staticmethod
    def answer(table: pl.DataFrame, params: Sum.Params, noise: Noise) -> Cells:
        """The noisy sum, in the column's unit."""
        values = numbers(table, params.of)
        filled = values.drop_nulls() if params.missing == "drop" else values.fill_null(params.missing)
        exact = addends(filled, params.bounds).sum(dtype=np.int64)
        drawn = noise.add(0, np.array([exact], dtype=np.int64))
        scale = unit(params.bounds)
        value, half = drawn.values * scale, drawn.width(noise.confidence) * scale
        return Cells(figures(value, value - half, value + half), f"sum of {params.of}, {said(params)}")


def largest(bounds: tuple[float, float]) -> float:
    """The most that a number within the bounds can be, in size."""
    return max(abs(bounds[0]), abs(bounds[1]))


def unit(bounds: tuple[float, float]) -> float:
    """A power of two not below it: whole numbers of up to 30 bits are then exact on the grid."""
    return math.ldexp(1.0, math.frexp(largest(bounds))[1])


def addends(values: pl.Series, bounds: tuple[float, float]) -> NDArray[np.int64]:
    """Each number within the bounds, in grid steps."""
    return base.steps(values.clip(*bounds).to_numpy() / unit(bounds))


def said(params: Sum.Params) -> str:
    """What counts as what, in words."""
    low, high = (f"{bound:g}" for bound in params.bounds)
    gaps = "rows without a value left out" if params.missing == "drop" else f"missing as {params.missing:g}"
    return f"taken to lie between {low} and {high}, {gaps}"
