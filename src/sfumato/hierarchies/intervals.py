"""Numbers into intervals that nest."""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Annotated, ClassVar, Self

import polars as pl
from pydantic import Field, model_validator

from sfumato import contracts
from sfumato.core.errors import InputError
from sfumato.hierarchies.labelling import top

Width = Annotated[float, Field(gt=0)]


class IntervalHierarchy:
    """Level i has intervals of ``widths[i - 1]``, counted from ``from``; the top is ``*``.

    Values below ``from`` or from ``to`` on have one label each at every level between, so that the
    rare extreme ages or incomes never stand alone. Integers in whole-numbered intervals read
    ``20-24``, other numbers ``[2.5, 5)``.

    Raises:
        InputError: ``column-values`` if the column is not of numbers.
    """

    summary: ClassVar[str] = "numbers in intervals of growing width (top and bottom coded)"

    class Params(contracts.Params):
        """``widths`` grow and each divides the next; ``from`` and ``to`` are multiples of the last."""

        widths: Annotated[tuple[Width, ...], Field(min_length=1)]
        start: Annotated[float, Field(alias="from")] = 0.0
        stop: Annotated[float | None, Field(alias="to")] = None

        @model_validator(mode="after")
        def _nests(self) -> Self:
            for narrow, wide in zip(self.widths, self.widths[1:], strict=False):
                ratio = wide / narrow
                if ratio < 1.5 or abs(ratio - round(ratio)) > 1e-9:
                    raise ValueError(
                        f"width {narrow:g} does not divide width {wide:g}, so the levels do not nest"
                    )
            if self.stop is not None:
                if self.stop <= self.start:
                    raise ValueError("to must be greater than from")
                steps = (self.stop - self.start) / self.widths[-1]
                if abs(steps - round(steps)) > 1e-9:
                    raise ValueError(
                        f"from and to must lie a multiple of the widest interval ({self.widths[-1]:g}) apart"
                    )
            return self

    def __init__(self, params: IntervalHierarchy.Params, folder: Path) -> None:
        del folder
        self.params = params

    @property
    def height(self) -> int:
        """The value, one level a width, and the top."""
        return len(self.params.widths) + 2

    def labels(self, values: pl.Series, level: int) -> pl.Series:
        """The label of each number at a level."""
        self._check(values)
        if level == self.height - 1:
            return top(values)
        whole = values.dtype.is_integer() and self._whole_numbered
        texts = [self._text(low, high, whole) for low, high in self._bounds(values, level)]
        return pl.Series(values.name, texts, dtype=pl.String)

    def domain(self) -> None:
        """The data's own values are the leaves."""

    def centers(self, values: pl.Series, level: int) -> pl.Series | None:
        """The middle of each interval; the bound itself for the open ones."""
        if level == self.height - 1:
            return None
        if level == 0:
            return values.cast(pl.Float64)
        return pl.Series(
            values.name, [_middle(*bounds) for bounds in self._bounds(values, level)], dtype=pl.Float64
        )

    @property
    def _whole_numbered(self) -> bool:
        numbers = (*self.params.widths, self.params.start, self.params.stop or 0.0)
        return all(float(number).is_integer() for number in numbers)

    def _bounds(self, values: pl.Series, level: int) -> list[tuple[float | None, float | None]]:
        """Lower (included) and upper (excluded) bound for each value; both None where it is missing."""
        width, start, stop = self.params.widths[level - 1], self.params.start, self.params.stop
        edge = _edges(start, width)
        bounds: list[tuple[float | None, float | None]] = []
        for value in values.cast(pl.Float64).fill_nan(None):
            if value is None:
                bounds.append((None, None))
            elif value < start:
                bounds.append((None, start))
            elif stop is not None and value >= stop:
                bounds.append((stop, None))
            elif math.isinf((value - start) / width):
                bounds.append((None, None))
            else:
                bounds.append(_around(value, math.floor((value - start) / width), edge))
        return bounds

    def _text(self, low: float | None, high: float | None, whole: bool) -> str | None:
        if low is None and high is None:
            return None
        if low is None:
            return f"< {high:.12g}"
        if high is None:
            return f">= {low:.12g}"
        if whole:
            return f"{int(low)}" if high - low == 1 else f"{int(low)}-{int(high) - 1}"
        return f"[{low:.12g}, {high:.12g})"

    def _check(self, values: pl.Series) -> None:
        if not values.dtype.is_numeric() and values.dtype != pl.Null:
            raise InputError(
                "column-values",
                "an interval hierarchy needs numbers, and the column has text",
                where=f"column {values.name}",
                remedy="use another kind, or declare the codes for missing under dataset.source.missing",
            )


def _edges(start: float, width: float) -> Callable[[int], float]:
    """The number nearest to ``start + step * width`` as a person would write it, for each step.

    Sums of floats drift: 3 * 0.1 is above 0.3, and 0.3 would fall into [0.2, 0.3).
    """
    first, wide = Decimal(repr(float(start))), Decimal(repr(float(width)))
    return cache(lambda step: float(first + step * wide))


def _around(value: float, step: int, edge: Callable[[int], float]) -> tuple[float, float]:
    """The edges around a value, from a guess that is off by rounding at most."""
    if value < edge(step):
        return edge(step - 1), edge(step)
    if value >= edge(step + 1):
        return edge(step + 1), edge(step + 2)
    return edge(step), edge(step + 1)


def _middle(low: float | None, high: float | None) -> float | None:
    if low is None or high is None:
        return low if high is None else high
    return (low + high) / 2
