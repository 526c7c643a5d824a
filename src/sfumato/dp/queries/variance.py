"""The variance of a column of numbers."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sfumato.dp.queries import base
from sfumato.dp.queries.base import GRID, Cells, Need, Noise, figures, first_order, numbers, steps, units
from sfumato.dp.queries.mean import TOO_FEW
from sfumato.dp.queries.sum import Sum, said


class Variance:
    """The variance of numbers (divided by n), each taken to the nearest bound first.

    Count, sum and sum of squares come from one vector: with t the place of a number between its bounds, from
    0 to 1, a row adds ((1 - t)², 2 t (1 - t), t²), which add up to 1: a row moves the vector by 1 in L1 and
    no more in L2. The interval is of the first order in the noise.
    """

    summary: ClassVar[str] = "the variance of a column of numbers between declared bounds"
    Params = Sum.Params

    @staticmethod
    def reads(params: Sum.Params) -> tuple[str, ...]:
        """The column."""
        return (params.of,)

    @staticmethod
    def needs(params: Sum.Params) -> tuple[Need, ...]:
        """A vector of three."""
        del params
        return (base.Sum(coordinates=3),)

    @staticmethod
    def answer(table: pl.DataFrame, params: Sum.Params, noise: Noise) -> Cells:
        """The noisy variance, in the column's unit squared; never below zero."""
        values = numbers(table, params.of)
        filled = values.drop_nulls() if params.missing == "drop" else values.fill_null(params.missing)
        drawn = noise.add(0, thirds(units(filled, *params.bounds).to_numpy()))
        square = (params.bounds[1] - params.bounds[0]) ** 2
        words = f"variance of {params.of}, {said(params)}"
        total = drawn.values.sum()
        if total <= drawn.mixed(np.ones(3), noise.confidence):
            return Cells(figures(np.nan, 0.0, square / 4), f"{words}; {TOO_FEW}")
        value, half = first_order(_variance, drawn, np.arange(3), noise.confidence)
        found = np.array([value, value - half, value + half]) * square
        return Cells(figures(found[0], found[1], found[2], between=(0.0, square / 4)), words)


def thirds(place: NDArray[np.float64]) -> NDArray[np.int64]:
    """The sums of (1 - t)², 2 t (1 - t) and t², in grid steps, that add up to the rows exactly."""
    none, both = steps((1 - place) ** 2), steps(place**2)
    first, last = none.sum(dtype=np.int64), both.sum(dtype=np.int64)
    # Of one row the middle is what the others leave; below zero it cannot be (2 t (1 - t) >= 0).
    return np.array([first, len(place) * np.int64(GRID) - first - last, last], dtype=np.int64)


def _variance(parts: NDArray[np.float64]) -> float:
    total = parts.sum()
    return float(parts[2] / total - ((parts[1] / 2 + parts[2]) / total) ** 2)
