"""Dates into weeks, months, quarters, years and decades."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

import polars as pl
from pydantic import Field, model_validator

from sfumato import contracts
from sfumato.core.errors import InputError
from sfumato.hierarchies.labelling import top

Unit = Literal["day", "week", "month", "quarter", "half-year", "year", "5-years", "decade"]
LEVELS: tuple[Unit, ...] = ("day", "week", "month", "quarter", "half-year", "year", "5-years", "decade")


class DateHierarchy:
    """Level i is the calendar unit ``levels[i - 1]``; the top is ``*``.

    Weeks are those of ISO 8601. They lie across the ends of months and years, so no larger unit can
    stand above them.

    Raises:
        InputError: ``column-values`` if the column is not of dates.
    """

    summary: ClassVar[str] = "dates by day, week, month, quarter, half-year, year, five years or decade"

    class Params(contracts.Params):
        """``levels`` in growing order; ``format`` reads dates that the source holds as text (strftime)."""

        levels: Annotated[tuple[Unit, ...], Field(min_length=1)]
        format: str | None = None

        @model_validator(mode="after")
        def _grows(self) -> Self:
            order = [LEVELS.index(level) for level in self.levels]
            if order != sorted(set(order)):
                raise ValueError(f"levels must grow, in the order {', '.join(LEVELS)}")
            if "week" in self.levels[:-1]:
                raise ValueError(
                    f"weeks do not nest in a {self.levels[self.levels.index('week') + 1]}, for some lie in "
                    "two: let week be the last level, or leave it out"
                )
            return self

    def __init__(self, params: DateHierarchy.Params, folder: Path) -> None:
        del folder
        self.params = params

    @property
    def height(self) -> int:
        """The date, one level a unit, and the top."""
        return len(self.params.levels) + 2

    def labels(self, values: pl.Series, level: int) -> pl.Series:
        """``2024-03-05``, ``2024-W10``, ``2024-03``, ``2024-Q1``, ``2024-H1``, ``2024``, ``2020-2024`` or
        ``2020s`` for each date."""
        if level == self.height - 1:
            return top(values)
        return _LABELS[self.params.levels[level - 1]](read_dates(values, self.params.format))

    def domain(self) -> None:
        """The data's own values are the leaves."""

    def centers(self, values: pl.Series, level: int) -> pl.Series | None:
        """The first day of each unit as a year with a fraction."""
        if level == self.height - 1:
            return None
        dates = read_dates(values, self.params.format)
        return _days(dates) if level == 0 else _CENTERS[self.params.levels[level - 1]](dates)


def read_dates(values: pl.Series, form: str | None) -> pl.Series:
    """Dates from dates, times, or text of a form (strftime).

    Raises:
        InputError: ``column-values`` if any value is something else.
    """
    if values.dtype == pl.Date or isinstance(values.dtype, pl.Datetime):
        return values.cast(pl.Date)
    if values.dtype == pl.String and form:
        dates = values.str.to_date(form, strict=False)
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


def _half(dates: pl.Series) -> pl.Series:
    return (dates.dt.month() > 6).cast(pl.Int8) + 1


def _five_years(dates: pl.Series) -> pl.Series:
    first = dates.dt.year() // 5 * 5
    return first.cast(pl.String) + "-" + (first + 4).cast(pl.String)


_LABELS: Mapping[Unit, Callable[[pl.Series], pl.Series]] = {
    "day": lambda dates: dates.dt.strftime("%Y-%m-%d"),
    "week": lambda dates: dates.dt.strftime("%G-W%V"),
    "month": lambda dates: dates.dt.strftime("%Y-%m"),
    "quarter": lambda dates: dates.dt.strftime("%Y") + "-Q" + dates.dt.quarter().cast(pl.String),
    "half-year": lambda dates: dates.dt.strftime("%Y") + "-H" + _half(dates).cast(pl.String),
    "year": lambda dates: dates.dt.strftime("%Y"),
    "5-years": _five_years,
    "decade": lambda dates: (dates.dt.year() // 10 * 10).cast(pl.String) + "s",
}


def _years(dates: pl.Series) -> pl.Series:
    return dates.dt.year().cast(pl.Float64)


def _days(dates: pl.Series) -> pl.Series:
    return _years(dates) + (dates.dt.ordinal_day().cast(pl.Float64) - 1) / 366


_CENTERS: Mapping[Unit, Callable[[pl.Series], pl.Series]] = {
    "day": _days,
    "week": lambda dates: _days(dates.dt.truncate("1w")),
    "month": lambda dates: _years(dates) + (dates.dt.month().cast(pl.Float64) - 1) / 12,
    "quarter": lambda dates: _years(dates) + (dates.dt.quarter().cast(pl.Float64) - 1) / 4,
    "half-year": lambda dates: _years(dates) + (_half(dates).cast(pl.Float64) - 1) / 2,
    "year": _years,
    "5-years": lambda dates: _years(dates) // 5 * 5,
    "decade": lambda dates: _years(dates) // 10 * 10,
}
