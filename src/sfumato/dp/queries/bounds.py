"""Bounds for a column of numbers of which nothing is known."""

from __future__ import annotations

import math
from typing import Annotated, ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field, model_validator

from sfumato.dp.queries.base import GRID, Cells, Need, Noise, QueryParams, Sum, figures, numbers


class PrivateBounds:
    """Powers of two between which the numbers lie, as far as noise can tell; to be declared afterwards.

    A histogram over intervals that double in width; the outermost ones that rise above the noise are told
    (Wilson et al. 2020, 4.2). Its cost is charged like any other's: looking first is not free.
    """

    summary: ClassVar[str] = "powers of two between which a column's numbers lie: bounds paid for"

    class Params(QueryParams):
        """``of`` is the column; ``least`` and ``most`` the smallest and largest size that is told apart."""

        of: str
        least: Annotated[float, Field(gt=0)] = 1.0
        most: Annotated[float, Field(gt=0)] = 2.0**40

        @model_validator(mode="after")
        def _ordered(self) -> PrivateBounds.Params:
            if not self.least < self.most:
                raise ValueError("least must be below most")
            if math.log2(self.most) - math.log2(self.least) > 1000:
                raise ValueError("at most 1000 doublings lie between least and most")
            return self

    @staticmethod
    def reads(params: PrivateBounds.Params) -> tuple[str, ...]:
        """The column."""
        return (params.of,)

    @staticmethod
    def needs(params: PrivateBounds.Params) -> tuple[Need, ...]:
        """A vector of counts."""
        del params
        return (Sum(whole=True),)

    @staticmethod
    def answer(table: pl.DataFrame, params: PrivateBounds.Params, noise: Noise) -> Cells:
        """A row for the lower and one for the upper bound; none where no interval rises above the noise."""
        edges = _edges(params)
        values = numbers(table, params.of).drop_nulls().clip(edges[0], edges[-1]).to_numpy()
        places = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, len(edges) - 2)
        drawn = noise.add(0, np.bincount(places, minlength=len(edges) - 1).astype(np.int64) * GRID)
        # So high that all empty intervals together rarely pass.
        wrong = (1 - noise.confidence) / (len(edges) - 1)
        above = np.flatnonzero(drawn.values > drawn.width(1 - wrong))
        found = np.array([edges[above[0]], edges[above[-1] + 1]]) if len(above) else np.full(2, np.nan)
        gone = np.full(2, np.nan)
        words = f"bounds of {params.of}" + ("" if len(above) else "; nothing rises above the noise")
        return Cells(figures(found, gone, gone, {"bound": ["lower", "upper"]}), words)


def _edges(params: PrivateBounds.Params) -> NDArray[np.float64]:
    doublings = math.ceil(math.log2(params.most) - math.log2(params.least))
    up = params.least * 2.0 ** np.arange(doublings + 1)
    return np.concatenate((-up[::-1], [0.0], up))
