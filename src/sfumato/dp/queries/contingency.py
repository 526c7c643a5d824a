"""How many rows have each combination of values of several columns, and margins that agree."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Annotated, Any, ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field, model_validator

from sfumato.dp.queries.base import GRID, Cells, Drawn, Need, Noise, QueryParams, Sum, figures
from sfumato.dp.queries.count import rounded
from sfumato.dp.queries.domains import Domain, cells_of, labels_of, shape

#: The label of a margin in the columns that it does not have.
ALL = "(all)"


class Contingency:
    """Counts of the combinations of the declared cells of several columns.

    With ``margins`` those are measured and not the full table, unless it is one of them, each by an equal
    part of the share. They are then made to agree: the table is split into what each set of columns adds (an
    analysis of variance), each such part is estimated from every margin that has it, weighted by the inverse
    of its noise, which is the least-squares answer, and the margins are put together again.
    """

    summary: ClassVar[str] = "a table of several columns' declared cells, with margins that agree"

    class Params(QueryParams):
        """``columns``: cells of each column; ``margins``: lists of columns whose tables are told.

        ``nonnegative`` takes the full table to the nearest one of the same total without negative counts
        (without margins).
        """

        columns: Annotated[dict[str, Domain], Field(min_length=1)]
        margins: Annotated[tuple[tuple[str, ...], ...], Field(min_length=1)] | None = None
        nonnegative: bool = False

        @model_validator(mode="after")
        def _known(self) -> Contingency.Params:
            named = [set(margin) for margin in self.margins or ()]
            if any(
                margin - set(self.columns) or len(margin) < len(given)
                for margin, given in zip(named, self.margins or (), strict=True)
            ):
                raise ValueError("a margin names columns that are declared, each once")
            if len({frozenset(margin) for margin in named}) < len(named):
                raise ValueError("two margins are the same")
            if self.margins and self.nonnegative:
                raise ValueError("nonnegative is for the full table, without margins")
            return self

    @staticmethod
    def reads(params: Contingency.Params) -> tuple[str, ...]:
        """The columns."""
        return tuple(params.columns)

    @staticmethod
    def needs(params: Contingency.Params) -> tuple[Need, ...]:
        """A vector of counts for each margin."""
        if params.margins is None:
            return (Sum(whole=True),)
        return tuple(Sum() for _ in params.margins)

    @staticmethod
    def answer(table: pl.DataFrame, params: Contingency.Params, noise: Noise) -> Cells:
        """A row for each cell, in C order of the columns as declared; margins one after the other."""
        domains = params.columns
        words = f"number of rows by {', '.join(domains)}"
        full = counts(table, domains)
        if params.margins is None:
            drawn = noise.add(0, full)
            return Cells(
                told(drawn.values, drawn.width(noise.confidence), domains, params.nonnegative), words
            )
        sizes, names = shape(domains), list(domains)
        margins = [tuple(sorted(names.index(name) for name in margin)) for margin in params.margins]
        cube = full.reshape(sizes)
        drawn_margins = [
            noise.add(place, _collapsed(cube, margin).ravel()) for place, margin in enumerate(margins)
        ]
        agreed = agree(drawn_margins, margins, sizes)
        reach = drawn_margins[0].law.mixed(noise.confidence)
        parts = []
        for margin, (values, deviation) in zip(margins, agreed, strict=True):
            kept = {names[axis]: domains[names[axis]] for axis in margin}
            part = figures(
                values,
                np.maximum(values - reach * deviation, 0.0),
                np.maximum(values + reach * deviation, 0.0),
                labels_of(kept),
            )
            missing = [pl.lit(ALL).alias(name) for name in names if name not in kept]
            parts.append(part.with_columns(missing).select(*names, "value", "low", "high"))
        return Cells(pl.concat(parts), f"{words}: margins that agree")


def counts(table: pl.DataFrame, domains: Mapping[str, Domain]) -> NDArray[np.int64]:
    """The number of rows in each cell, in grid steps, C order; rows in no cell are left out."""
    cells = cells_of(table, domains)
    found = np.bincount(cells[cells >= 0], minlength=math.prod(shape(domains)))
    return found.astype(np.int64) * GRID


def told(
    values: NDArray[np.float64], width: float, domains: Mapping[str, Domain], nonnegative: bool
) -> pl.DataFrame:
    """Counts with their cells' labels; the intervals are of the counts as drawn, from zero up."""
    labels = labels_of(domains)
    if not nonnegative:
        return rounded(values, width, labels)
    best, width = nearest_counts(values), np.floor(width + 0.5)
    # A count that was moved stays within what is told of it.
    low, high = np.minimum(np.maximum(values - width, 0.0), best), np.maximum(values + width, best)
    return figures(best, low, high, labels)


def nearest_counts(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The counts not below zero nearest to the given ones with the same total (Duchi et al. 2008)."""
    total = max(0.0, float(values.sum()))
    down = np.sort(values)[::-1]
    over = (np.cumsum(down) - total) / np.arange(1, len(values) + 1)
    last = int(np.flatnonzero(down > over)[-1]) if (down > over).any() else 0
    return np.asarray(np.maximum(values - over[last], 0.0))


def agree(
    drawn: Sequence[Drawn], margins: Sequence[tuple[int, ...]], sizes: tuple[int, ...]
) -> list[tuple[NDArray[np.float64], float]]:
    """Noisy margins as one least-squares answer: each margin's values, and the deviation of its noise.

    Args:
        drawn: a noisy vector for each margin, C order.
        margins: the axes of each, ascending.
        sizes: the number of cells of each axis.
    """
    parts = sorted(
        {part for margin in margins for part in _subsets(margin)}, key=lambda part: (len(part), part)
    )
    effects: dict[tuple[int, ...], NDArray[np.float64]] = {}
    variances: dict[tuple[int, ...], float] = {}
    for part in parts:
        weight, mixed = 0.0, np.zeros(())
        for vector, margin in zip(drawn, margins, strict=True):
            if not set(part) <= set(margin):
                continue
            inside = tuple(sizes[axis] for axis in margin)
            summed = vector.values.reshape(inside).sum(
                axis=tuple(place for place, axis in enumerate(margin) if axis not in part)
            )
            # Summing cells adds their noise.
            each = 1 / (vector.deviation**2 * math.prod(inside) / math.prod(sizes[axis] for axis in part))
            mixed = mixed + each * summed
            weight += each
        effects[part] = _effect(mixed / weight)
        variances[part] = 1 / weight
    return [_together(margin, effects, variances, sizes) for margin in margins]


def _together(
    margin: tuple[int, ...],
    effects: Mapping[tuple[int, ...], NDArray[np.float64]],
    variances: Mapping[tuple[int, ...], float],
    sizes: tuple[int, ...],
) -> tuple[NDArray[np.float64], float]:
    values: NDArray[np.float64] = np.zeros(tuple(sizes[axis] for axis in margin))
    variance = 0.0
    for part in _subsets(margin):
        spread = math.prod(sizes[axis] for axis in margin if axis not in part)
        values = (
            values
            + np.expand_dims(
                effects[part], tuple(place for place, axis in enumerate(margin) if axis not in part)
            )
            / spread
        )
        left = math.prod(1 - 1 / sizes[axis] for axis in part)
        variance += variances[part] * left / spread**2
    return values.ravel(), math.sqrt(variance)


def _effect(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """What is left when the mean over each axis is taken out."""
    for axis in range(values.ndim):
        values = values - values.mean(axis=axis, keepdims=True)
    return values


def _collapsed(cube: NDArray[np.int64], margin: tuple[int, ...]) -> NDArray[np.int64]:
    gone = tuple(axis for axis in range(cube.ndim) if axis not in margin)
    found: NDArray[np.int64] = cube.sum(axis=gone, dtype=np.int64)
    return np.atleast_1d(found)


def _subsets(margin: tuple[int, ...]) -> list[tuple[Any, ...]]:
    return [part for size in range(len(margin) + 1) for part in combinations(margin, size)]
