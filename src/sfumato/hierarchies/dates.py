"""Dates into months, quarters, years and decades."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

import polars as pl
from pydantic import Field, model_validator

from sfumato import contracts
from sfumato.core.errors import InputError
from sfumato.hierarchies.ladder import ANY

LEVELS = ("month", "quarter", "year", "decade")


class DateHierarchy:
    """Level i is the calendar unit ``levels[i - 1]``; the top is ``*``.

    Raises:
        InputError: ``column-values`` if the column is not of dates.
    """

    summary: ClassVar[str] = "dates by month, quarter, year or decade"

    class Params(contracts.Params):
        """``levels`` in growing order; ``format`` reads dates that the source holds as text (strftime)."""

        levels: Annotated[tuple[Literal["month", "quarter", "year", "decade"], ...], Field(min_length=1)]
        format: str | None = None

        @model_validator(mode="after")
        def _grows(self) -> Self:
            order = [LEVELS.index(level) for level in self.levels]
            if order != sorted(set(order)):
                raise ValueError(f"levels must grow, in the order {', '.join(LEVELS)}")
            return self

    def __init__(self, params: DateHierarchy.Params, folder: Path) -> None:
        del folder
        self.params = params

    @property
    def height(self) -> int:
        """The date, one level a unit, and the top."""
        return len(self.params.levels) + 2

    def labels(self, values: pl.Series, level: int) -> pl.Series:
        """``2024-03``, ``2024-Q1``, ``2024`` or ``2020s`` for each date."""
        if level == self.height - 1:
            return pl.Series(values.name, [ANY], dtype=pl.String).new_from_index(0, len(values))
        dates, unit = self._dates(values), self.params.levels[level - 1]
        if unit == "month":
            return dates.dt.strftime("%Y-%m")
        if unit == "year":
            return dates.dt.strftime("%Y")
        if unit == "quarter":
            return dates.dt.strftime("%Y") + "-Q" + dates.dt.quarter().cast(pl.String)
        return (dates.dt.year() // 10 * 10).cast(pl.String) + "s"

    def domain(self) -> None:
        """The data's own values are the leaves."""

    def centers(self, values: pl.Series, level: int) -> pl.Series | None:
        """The first day of each unit as a year with a fraction."""
        if level == self.height - 1:
            return None
        dates = self._dates(values)
        years = dates.dt.year().cast(pl.Float64)
        months = (dates.dt.month().cast(pl.Float64) - 1) / 12
        if level == 0:
            return years + (dates.dt.ordinal_day().cast(pl.Float64) - 1) / 366
        unit = self.params.levels[level - 1]
        if unit == "month":
            return years + months
        if unit == "quarter":
            return years + (dates.dt.quarter().cast(pl.Float64) - 1) / 4
        return years if unit == "year" else years // 10 * 10

    def _dates(self, values: pl.Series) -> pl.Series:
        if values.dtype == pl.Date or isinstance(values.dtype, pl.Datetime):
            return values.cast(pl.Date)
        if values.dtype == pl.String and self.params.format:
            dates = values.str.to_date(self.params.format, strict=False)
            if dates.null_count() == values.null_count():
                return dates
            what = "some values are not dates of the format given"
        else:
            what = "a date hierarchy needs dates, and the column has other values"
        raise InputError(
            "column-values",
            what,
            where=f"column {values.name}",
            remedy='say how the dates are written, e.g. format: "%d/%m/%Y"',
        )
