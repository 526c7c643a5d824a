"""Numbers or dates in bins of about as many people each, their bounds learned from the column and rounded."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field, model_validator

from sfumato import contracts
from sfumato.core.errors import InputError
from sfumato.hierarchies.cuts import LIMITS, coarser, date_of, find_cuts, roundest_day, roundest_number
from sfumato.hierarchies.dates import read_dates
from sfumato.hierarchies.labelling import top


class QuantileHierarchy:
    """Level i has at most ``bins[i - 1]`` bins with about as many people each; the top is ``*``.

    The outermost bins are open, so nobody's extreme is a bound. Every other bound is the roundest number
    (for dates: the first day of the largest calendar unit) among the values of at least ``least`` people
    around the quantile: it tells where many are, and of no one where. Every bin has at least ``least``
    people when it is fitted; where ties or their number leave no room there are fewer bins. Bounds of a
    level are bounds of the level below. Labels read as those of ``intervals``.

    Raises:
        InputError: ``column-values`` if the column is neither of numbers nor of dates.
    """

    summary: ClassVar[str] = "numbers or dates in bins of about as many people each, rounded (data-dependent)"
    fitted: ClassVar[bool] = True
    disclosed: ClassVar[str] = (
        "The bounds are quantiles of the data, rounded; at least 10 people lie in every bin."
    )

    class Params(contracts.Params):
        """``bins`` fall from level to level; ``least`` people are in each; ``format`` reads dates that the
        source holds as text (strftime)."""

        bins: Annotated[tuple[Annotated[int, Field(ge=2, le=1000)], ...], Field(min_length=1)]
        least: Annotated[int, Field(ge=10)] = 10
        format: str | None = None

        @model_validator(mode="after")
        def _falls(self) -> Self:
            if any(few >= many for many, few in zip(self.bins, self.bins[1:], strict=False)):
                raise ValueError("bins must fall from level to level")
            return self

    def __init__(
        self, params: QuantileHierarchy.Params, folder: Path, fit: Mapping[str, Any] | None = None
    ) -> None:
        del folder
        self.params = params
        if fit is not None:
            self._dates, self._whole = fit["of"] == "dates", fit["of"] == "whole numbers"
            self._cuts = [np.array(cuts, dtype=np.float64) for cuts in fit["cuts"]]

    @classmethod
    def fit(cls, values: pl.DataFrame, params: QuantileHierarchy.Params) -> dict[str, Any]:
        """What the column is of, and the bounds of each level (dates as days since 1970)."""
        column = values["value"]
        dates = _is_date(column, params.format)
        numbers = _numbers(column, params.format)
        known = np.isfinite(numbers)
        found, inverse = np.unique(numbers[known], return_inverse=True)
        people = np.bincount(inverse, values["count"].to_numpy()[known], len(found)).astype(np.int64)
        finest = find_cuts(
            found, people, params.bins[0], params.least, roundest_day if dates else roundest_number
        )
        cuts = [finest]
        for bins in params.bins[1:]:
            cuts.append(coarser(found, people, cuts[-1], bins))
        of = "dates" if dates else "whole numbers" if column.dtype.is_integer() else "numbers"
        return {"of": of, "cuts": cuts}

    @property
    def height(self) -> int:
        """The value, one level a number of bins, and the top."""
        return len(self.params.bins) + 2

    def labels(self, values: pl.Series, level: int) -> pl.Series:
        """``< 20``, ``20-34``, ``[2.5, 4)`` or ``>= 65`` for each number, alike for dates."""
        bins, known = self._bins(values, level)
        if level == self.height - 1:
            return top(values)
        return _taken(values.name, self._texts(level), bins, known, pl.String)

    def domain(self) -> None:
        """The data's own values are the leaves."""

    def centers(self, values: pl.Series, level: int) -> pl.Series | None:
        """The middle of each bin, the bound itself for the open ones; dates as a year with a fraction."""
        if level == self.height - 1 or not (level == 0 or len(self._cuts[level - 1])):
            return None
        if level == 0:
            numbers = _numbers(values, self.params.format)
            return pl.Series(values.name, self._shown(numbers)).fill_nan(None)
        bins, known = self._bins(values, level)
        cuts = self._cuts[level - 1]
        middles = np.concatenate([cuts[:1], (cuts[:-1] + cuts[1:]) / 2, cuts[-1:]])
        return _taken(values.name, self._shown(middles).tolist(), bins, known, pl.Float64)

    def _shown(self, numbers: NDArray[np.float64]) -> NDArray[np.float64]:
        return 1970 + numbers / 365.2425 if self._dates else numbers

    def _bins(self, values: pl.Series, level: int) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """The bin of each value, and whether it has one."""
        if values.dtype != pl.Null and _is_date(values, self.params.format) != self._dates:
            raise _neither(values.name)
        numbers = _numbers(values, self.params.format)
        cuts = self._cuts[min(level, len(self._cuts)) - 1]
        return np.searchsorted(cuts, numbers, side="right"), ~np.isnan(numbers)

    def _texts(self, level: int) -> list[str]:
        cuts = [float(cut) for cut in self._cuts[level - 1]]
        if not cuts:
            return ["*"]
        inner = [self._between(low, high) for low, high in pairwise(cuts)]
        return [f"< {self._written(cuts[0])}", *inner, f">= {self._written(cuts[-1])}"]

    def _between(self, low: float, high: float) -> str:
        if self._whole:
            return f"{int(low)}" if high - low == 1 else f"{int(low)}-{int(high) - 1}"
        return f"[{self._written(low)}, {self._written(high)})"

    def _written(self, cut: float) -> str:
        if self._dates:
            return date_of(int(cut)).isoformat()
        return str(int(cut)) if cut.is_integer() and abs(cut) < 1e15 else repr(cut)


def _taken(
    name: str, choices: list[Any], bins: NDArray[np.int64], known: NDArray[np.bool_], dtype: Any
) -> pl.Series:
    """The choice of each value's bin, missing for a value that has none."""
    positions = pl.Series(np.where(known, bins, 0)).set(pl.Series(~known), None)
    return pl.Series(name, choices, dtype=dtype).gather(positions).alias(name)


def _is_date(values: pl.Series, form: str | None) -> bool:
    if values.dtype == pl.Date or isinstance(values.dtype, pl.Datetime):
        return True
    return values.dtype == pl.String and form is not None


def _numbers(values: pl.Series, form: str | None) -> NDArray[np.float64]:
    """Numbers, or days since 1970, NaN for a missing one."""
    if _is_date(values, form):
        days = read_dates(values, form).cast(pl.Int32).cast(pl.Float64).fill_null(np.nan).to_numpy()
        within: NDArray[np.float64] = days.clip(*LIMITS)
        return within
    if not values.dtype.is_numeric() and values.dtype != pl.Null:
        raise _neither(values.name)
    return values.cast(pl.Float64).fill_null(np.nan).to_numpy()


def _neither(name: str) -> InputError:
    return InputError(
        "column-values",
        "quantiles need numbers or dates throughout, and the column has other values",
        where=f"column {name}",
        remedy='use another kind, or say how dates are written, e.g. format: "%d/%m/%Y"',
    )
