"""The mean of a column of numbers."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field

from sfumato.dp.queries import base
from sfumato.dp.queries.base import Cells, Drawn, Need, Noise, figures, numbers, steps, units
from sfumato.dp.queries.sum import Sum, said

TOO_FEW = "the noise is larger than the number of rows: no figure"


class Mean:
    """The mean of numbers, each taken to the nearest bound first.

    The number of rows is not public, so that the mean is a noisy sum over a noisy count. Both come from one
    vector: with t the place of a number between its bounds, from 0 to 1, a row adds (t, 1 - t). However the
    row changes, it moves the vector by 1 in L1 and no more in L2, which is half of what a count and a sum of
    their own would need. Where the number of rows *is* public (``rows``), the whole share goes to the sum.
    """

    summary: ClassVar[str] = "the mean of a column of numbers between declared bounds"

    class Params(Sum.Params):
        """``rows``: how many have a value, where that is public; it is never checked against the data."""

        rows: Annotated[int, Field(ge=1)] | None = None

    @staticmethod
    def reads(params: Mean.Params) -> tuple[str, ...]:
        """The column."""
        return (params.of,)

    @staticmethod
    def needs(params: Mean.Params) -> tuple[Need, ...]:
        """A vector of two, or a number."""
        return (base.Sum() if params.rows else base.Sum(coordinates=2),)

    @staticmethod
    def answer(table: pl.DataFrame, params: Mean.Params, noise: Noise) -> Cells:
        """The noisy mean; no figure where the noisy count is not above the noise."""
        values = numbers(table, params.of)
        filled = values.drop_nulls() if params.missing == "drop" else values.fill_null(params.missing)
        place = units(filled, *params.bounds).to_numpy()
        low, high = params.bounds
        words = f"mean of {params.of}, {said(params)}"
        if params.rows:
            exact = steps(2 * place - 1).sum(keepdims=True, dtype=np.int64)
            drawn = noise.add(0, exact)
            middle = (1 + drawn.values / params.rows) / 2
            half = drawn.width(noise.confidence) / params.rows / 2
            shares = np.array([middle, middle - half, middle + half])
        else:
            drawn = noise.add(0, halves(place))
            shares = np.array(ratio(drawn.values[:1], drawn.values[1:], drawn, noise.confidence))
            words += f"; {TOO_FEW}" if np.isnan(shares[0]).any() else ""
        inside = low + np.clip(shares, 0.0, 1.0) * (high - low)
        return Cells(figures(*inside), words)


def halves(place: NDArray[np.float64]) -> NDArray[np.int64]:
    """The sums of t and 1 - t, in grid steps: each pair adds up to exactly one row."""
    up = steps(place)
    total = up.sum(dtype=np.int64)
    return np.array([total, len(up) * np.int64(base.GRID) - total], dtype=np.int64)


def ratio(above: Any, below: Any, drawn: Drawn, confidence: float) -> tuple[Any, Any, Any]:
    """above / (above + below) with its interval, both entries noisy (Fieller 1954).

    The interval has every share m for which (1 - m) above - m below is within its noise. Where that is every
    share, there is no figure (NaN) and the interval is all of 0..1.
    """
    total = above + below
    reach = drawn.law.mixed(confidence) * drawn.deviation
    square = total**2 - 2 * reach**2
    known = (total > 0) & (square > 0)
    lead = np.where(known, square, 1.0)
    centre = (above * total - reach**2) / lead
    inner = np.maximum(0.0, centre**2 - (above**2 - reach**2) / lead)
    value = np.where(known, above / np.where(known, total, 1.0), np.nan)
    return (
        value,
        np.where(known, centre - np.sqrt(inner), 0.0),
        np.where(known, centre + np.sqrt(inner), 1.0),
    )
