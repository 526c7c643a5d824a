"""Quantiles of a column of numbers."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field, field_validator

from sfumato.dp.queries.base import Cells, Choice, Need, Noise, QueryParams, figures, numbers
from sfumato.dp.queries.domains import Bounds
from sfumato.dp.queries.sum import said

#: Of a quantile's share, what its value gets where there is an interval too; the ends get the rest.
_VALUE = 0.5
#: Beyond its aim, the end of an interval is so much cheaper a row.
_LENIENT = 16


class Quantiles:
    """Values below which the given shares of the rows lie, chosen among evenly spaced candidates.

    The exponential mechanism by rank (Smith 2011), drawn by OpenDP: a candidate's score is how many rows it
    is off. Each end of the interval is a choice of its own that aims so many rows below or above that it
    passes the quantile with half of 1 - confidence at most, whatever the data: what lies beyond the aim costs
    little, and at most half of that distance, so that heaps of equal values cannot spoil it. The values are
    sorted afterwards.
    """

    summary: ClassVar[str] = "quantiles of a column of numbers between declared bounds"

    class Params(Bounds, QueryParams):
        """``at`` are shares from 0 to 1 (three decimals); ``steps`` the candidates' number less one.

        ``interval: false`` gives the whole share to the values.
        """

        of: str
        at: Annotated[tuple[Annotated[float, Field(ge=0, le=1)], ...], Field(min_length=1, max_length=99)] = (
            0.5,
        )
        steps: Annotated[int, Field(ge=1, le=1_000_000)] = 1000
        interval: bool = True
        missing: Literal["drop"] | float = "drop"

        @field_validator("at", mode="before")
        @classmethod
        def _several(cls, given: Any) -> Any:
            return (given,) if isinstance(given, int | float) else given

        @field_validator("at")
        @classmethod
        def _ascending(cls, given: tuple[float, ...]) -> tuple[float, ...]:
            if sorted(set(given)) != list(given):
                raise ValueError("the shares must ascend")
            return given

    @staticmethod
    def reads(params: Quantiles.Params) -> tuple[str, ...]:
        """The column."""
        return (params.of,)

    @staticmethod
    def needs(params: Quantiles.Params) -> tuple[Need, ...]:
        """A choice for each quantile, or three."""
        found: list[Need] = []
        for at in params.at:
            _, _, worst = _odds(at)
            found.append(Choice(worst, share=_VALUE if params.interval else 1.0))
            if params.interval:
                found += [Choice(worst, share=(1 - _VALUE) / 2)] * 2
        return tuple(found)

    @staticmethod
    def answer(table: pl.DataFrame, params: Quantiles.Params, noise: Noise) -> Cells:
        """A row for each share, in ascending order."""
        values = numbers(table, params.of)
        filled = values.drop_nulls() if params.missing == "drop" else values.fill_null(params.missing)
        candidates = _candidates(params)
        ranks = _Ranks(filled.to_numpy(), candidates)
        many = 3 if params.interval else 1
        chosen = np.array([_one(ranks, at, many * place, noise, many) for place, at in enumerate(params.at)])
        found = np.sort(candidates[chosen], axis=0)
        words = f"quantiles of {params.of}, {said(params)}, one of {len(candidates)} candidates"  # type: ignore[arg-type]
        at = pl.Series("at", params.at)
        if not params.interval:
            return Cells(figures(found[:, 0], np.nan * found[:, 0], np.nan * found[:, 0], {"at": at}), words)
        # A value was taken to its nearest candidate, half a step away at most.
        half = (candidates[1] - candidates[0]) / 2
        low, high = np.minimum(found[:, 1] - half, found[:, 0]), np.maximum(found[:, 2] + half, found[:, 0])
        return Cells(figures(found[:, 0], low, high, {"at": at}, between=params.bounds), words)


class _Ranks:
    """How many values lie below and above each candidate, each value taken to its nearest one."""

    def __init__(self, values: NDArray[np.float64], candidates: NDArray[np.float64]) -> None:
        middles = candidates[:-1] / 2 + candidates[1:] / 2
        places = np.searchsorted(middles, values, side="right")
        up_to = np.cumsum(np.bincount(places, minlength=len(candidates)))
        self.below = np.concatenate(([0], up_to[:-1])).astype(np.int64)
        self.above = (up_to[-1] - up_to).astype(np.int64)
        self.total = np.int64(up_to[-1])


def _one(ranks: _Ranks, at: float, first: int, noise: Noise, many: int) -> list[int]:
    """The positions of a quantile's candidate, and of the ends of its interval."""
    up, down, _ = _odds(at)
    found = noise.choose(first, np.abs(down * ranks.below - up * ranks.above), least=True)
    if many == 1:
        return found
    # The signed ranks at which a candidate is certainly not above, and not below, the quantile.
    under = down * ranks.below - up * (ranks.total - ranks.below)
    over = up * ranks.above - down * (ranks.total - ranks.above)
    for place, signed, sure in ((1, under, 0), (2, over, -1)):
        wrong = (1 - noise.confidence) / 2
        far = math.ceil(2 * noise.scale(first + place) * math.log(len(signed) / wrong)) + 2
        beyond = np.minimum((-far - signed) // _LENIENT, far // 2)
        scores = np.where(signed > -far, signed + far, beyond)
        # The bound itself is never on the wrong side; its score is the same whatever the data.
        scores[sure] = far // 2
        found += noise.choose(first + place, scores.astype(np.int64), least=True)
    return found


def _odds(at: float) -> tuple[int, int, int]:
    """A share as whole weights of the rows above and below, and the larger of them."""
    share = Fraction(round(at * 1000), 1000)
    up, down = share.numerator, share.denominator - share.numerator
    return up, down, max(up, down)


def _candidates(params: Quantiles.Params) -> NDArray[np.float64]:
    """Evenly spaced from bound to bound; all whole numbers between whole bounds, where they are so few."""
    low, high = params.bounds
    if float(low).is_integer() and float(high).is_integer() and high - low <= params.steps:
        return np.arange(low, high + 1)
    return np.linspace(low, high, params.steps + 1)
