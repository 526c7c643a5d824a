"""Counts, sums or means for each group of rows."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field, model_validator

from sfumato.core.errors import InputError
from sfumato.dp.queries import base
from sfumato.dp.queries.base import (
    GRID,
    Cells,
    Drawn,
    Found,
    Need,
    Noise,
    QueryParams,
    column,
    figures,
    numbers,
)
from sfumato.dp.queries.count import rounded
from sfumato.dp.queries.domains import Domain, cells_of, check_bounds, labels_of, shape
from sfumato.dp.queries.mean import ratio
from sfumato.dp.queries.sum import addends, largest, unit


class GroupBy:
    """A count, a sum or a mean for each group; a row is in one group.

    ``by`` maps columns to their declared cells: then every group is told, those without people too, for the
    groups are public. Or ``by`` lists columns, and ``delta`` is declared: then the groups are those found in
    the data whose noisy number of rows passes a threshold that one person alone passes with probability delta
    at most (Rogers 2023, drawn by OpenDP); smaller groups are not told, not even that they are there.
    """

    summary: ClassVar[str] = "a count, sum or mean for each group, declared or found above a threshold"

    class Params(QueryParams):
        """``statistic`` is of the column ``of``, between its ``bounds``, for each group of ``by``."""

        by: (
            Annotated[dict[str, Domain], Field(min_length=1)]
            | Annotated[tuple[str, ...], Field(min_length=1)]
        )
        statistic: Literal["count", "sum", "mean"] = "count"
        of: str | None = None
        bounds: tuple[float, float] | None = None
        delta: Annotated[float, Field(gt=0, lt=0.01)] | None = None

        @model_validator(mode="after")
        def _whole(self) -> GroupBy.Params:
            if (self.statistic == "count") != (self.of is None) or (self.of is None) != (self.bounds is None):
                raise ValueError("a sum or mean needs of and bounds, a count has neither")
            if self.bounds is not None:
                check_bounds(self.bounds)
            if isinstance(self.by, dict) != (self.delta is None):
                raise ValueError("declare the cells of each column of by, or list columns and declare delta")
            return self

    @staticmethod
    def reads(params: GroupBy.Params) -> tuple[str, ...]:
        """The columns of the groups, and of the statistic."""
        return (*params.by, *(() if params.of is None else (params.of,)))

    @staticmethod
    def needs(params: GroupBy.Params) -> tuple[Need, ...]:
        """Counts above the threshold where groups are to be found; a vector of the statistic."""
        needs: list[Need] = [] if params.delta is None else [Found(params.delta)]
        if params.statistic == "mean":
            needs.append(base.Sum(coordinates=2))
        elif params.statistic == "sum":
            assert params.bounds is not None
            most = largest(params.bounds) / unit(params.bounds)
            needs.append(base.Sum(l1=most, l2=most))
        elif params.delta is None:
            needs.append(base.Sum(whole=True))
        return tuple(needs)

    @staticmethod
    def answer(table: pl.DataFrame, params: GroupBy.Params, noise: Noise) -> Cells:
        """A row for each group, in the order of the declaration or of the labels."""
        words = f"{params.statistic} by {', '.join(params.by)}"
        if isinstance(params.by, dict):
            cells, groups = cells_of(table, params.by), int(np.prod(shape(params.by)))
            return Cells(_statistic(table, cells, groups, labels_of(params.by), params, noise, 0), words)
        cells, keys = _found(table, params.by)
        kept, counted = noise.found(0, np.bincount(cells[cells >= 0], minlength=keys.height).astype(np.int64))
        labels = {name: keys[name][kept.tolist()] for name in params.by}
        words += f"; groups found with delta {params.delta:g}, small ones not told"
        if params.statistic == "count":
            return Cells(rounded(counted.values, counted.width(noise.confidence), labels), words)
        places = np.full(keys.height + 1, -1, dtype=np.int64)
        places[kept] = np.arange(len(kept))
        return Cells(_statistic(table, places[cells], len(kept), labels, params, noise, 1), words)


def _statistic(
    table: pl.DataFrame,
    cells: NDArray[np.int64],
    groups: int,
    labels: Any,
    params: GroupBy.Params,
    noise: Noise,
    need: int,
) -> pl.DataFrame:
    if params.statistic == "count":
        drawn = noise.add(need, np.bincount(cells[cells >= 0], minlength=groups).astype(np.int64) * GRID)
        return rounded(drawn.values, drawn.width(noise.confidence), labels)
    assert params.of is not None
    assert params.bounds is not None
    values = numbers(table, params.of)
    inside = (cells >= 0) & values.is_not_null().to_numpy()
    places, given = cells[inside], values.filter(pl.Series(inside))
    if params.statistic == "sum":
        drawn = noise.add(need, _summed(addends(given, params.bounds), places, groups))
        scale, half = unit(params.bounds), drawn.width(noise.confidence)
        return figures(
            drawn.values * scale, (drawn.values - half) * scale, (drawn.values + half) * scale, labels
        )
    low, high = params.bounds
    up = _summed(base.steps(base.units(given, low, high).to_numpy()), places, groups)
    rows = np.bincount(places, minlength=groups).astype(np.int64) * GRID
    drawn = noise.add(need, np.concatenate((up, rows - up)))
    return _means(drawn, groups, low, high, labels, noise.confidence)


def _means(
    drawn: Drawn, groups: int, low: float, high: float, labels: Any, confidence: float
) -> pl.DataFrame:
    shares = np.array(ratio(drawn.values[:groups], drawn.values[groups:], drawn, confidence))
    value, least, most = low + np.clip(shares, 0.0, 1.0) * (high - low)
    return figures(value, least, most, labels)


def _summed(steps: NDArray[np.int64], places: NDArray[np.int64], groups: int) -> NDArray[np.int64]:
    """Whole numbers summed for each group, exactly: a sum of floats would be neither."""
    found = np.zeros(groups, dtype=np.int64)
    np.add.at(found, places, steps)
    return found


def _found(table: pl.DataFrame, by: tuple[str, ...]) -> tuple[NDArray[np.int64], pl.DataFrame]:
    """The group of each row, -1 where a value is missing, and the groups' labels as text, in order."""
    try:
        texts = pl.DataFrame({name: column(table, name).cast(pl.String) for name in by})
    except pl.exceptions.PolarsError:
        raise InputError(
            "column-values",
            "a column of by has values that are no text",
            remedy="keep a part of it in a column of its own",
        ) from None
    keys = texts.drop_nulls().unique().sort(*by).with_row_index("place")
    # A row index and not a code: equal texts, equal groups, in the order of the labels.
    placed = texts.join(keys, on=list(by), how="left", maintain_order="left")["place"]
    return placed.cast(pl.Int64).fill_null(-1).to_numpy(), keys.drop("place")
