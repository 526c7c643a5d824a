"""Times as ticks since a window opened."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sfumato.core.errors import InputError


@dataclass(frozen=True)
class Clock:
    """A window of observation: ``opens`` in ticks of the type, ``length`` ticks long, both ends inside.

    A tick is a day of dates, the unit of datetimes, one of numbers. Times are multiples of ``step`` (0: any).
    """

    name: str
    dtype: str
    unit: str
    zone: str | None
    opens: float
    length: float
    step: float

    @classmethod
    def fit(cls, times: pl.Series, window: tuple[Any, Any] | None) -> Clock:
        """The window given, or from the first time to the last.

        Raises:
            InputError: ``column-values``: these are no times; ``usage``: the window is none.
        """
        kind = times.dtype
        if not (kind.is_numeric() or kind == pl.Date or kind == pl.Datetime):
            raise InputError(
                "column-values", "times must be dates, datetimes or numbers", where=times.name,
                remedy="read the column as dates first",
            )  # fmt: skip
        given = times.drop_nulls() if window is None else pl.Series(list(window)).cast(kind)
        ends = _physical(given)
        ends = ends[np.isfinite(ends)]
        if not len(ends) or (window is not None and not ends[0] <= ends[-1]):
            raise InputError("usage", "the window has no time in it", where=times.name)
        opens = float(ends.min())
        exact = kind == pl.Date or kind.is_integer()
        if exact:
            step = 1.0
        elif window is not None:
            # Declared: a second, whatever the times are.
            step = {"ms": 1e3, "us": 1e6, "ns": 1e9}[kind.time_unit] if isinstance(kind, pl.Datetime) else 0.0
        else:
            step = (
                float(np.gcd.reduce((ends - opens).astype(np.int64))) or 1.0 if kind == pl.Datetime else 0.0
            )
        unit, zone = (kind.time_unit, kind.time_zone) if isinstance(kind, pl.Datetime) else ("", None)
        return cls(times.name, str(kind.base_type()), unit, zone, opens, float(ends.max()) - opens, step)

    def ticks(self, times: pl.Series) -> pl.Series:
        """Ticks since the window opened, missing where there is no time."""
        return pl.Series(_physical(times) - self.opens).fill_nan(None)

    def values(self, ticks: NDArray[np.float64]) -> pl.Series:
        """Times of the type that the first had."""
        at = pl.Series(self.name, ticks + self.opens)
        if self.dtype == "Date":
            return at.round().cast(pl.Int32).cast(pl.Date)
        if self.dtype == "Datetime":
            whole = at.round().cast(pl.Int64).cast(pl.Datetime(self.unit))  # type: ignore[arg-type]
            return (
                whole
                if self.zone is None
                else whole.dt.replace_time_zone("UTC").dt.convert_time_zone(self.zone)
            )
        return (
            at.round().cast(pl.Int64).cast(getattr(pl, self.dtype))
            if "Int" in self.dtype
            else at.cast(getattr(pl, self.dtype))
        )

    def state(self) -> dict[str, Any]:
        """JSON of it."""
        return asdict(self)


def _physical(times: pl.Series) -> NDArray[np.float64]:
    return times.to_physical().cast(pl.Float64).fill_null(float("nan")).to_numpy()
