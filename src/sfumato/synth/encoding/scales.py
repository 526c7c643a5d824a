"""Ordered values as numbers and back: whole numbers, decimals, dates and times of any type."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sfumato.core.errors import InputError

#: A float keeps every whole number up to here.
_EXACT = 2**53
#: Floats beyond are moved here, so that the distance of two of them is a float.
_LARGEST = 4e307
#: And whole numbers here.
_MOST = 2**61
_MOST_DECIMALS = 12
#: Multiples that a column of whole numbers may keep to, the widest first.
_STEPS = tuple(factor * 10**power for power in range(6, -1, -1) for factor in (5, 1))[1:]
#: The same of times, in units a second.
_SECONDS = (86_400, 3600, 60, 1)
_UNITS = {"ms": 10**3, "us": 10**6, "ns": 10**9}


@dataclass(frozen=True)
class Scale:
    """How a column's values are counted: whole numbers of steps, or floats where ``decimals`` is None.

    A value is ticks * ``step`` / 10**``decimals``, in the physical unit of the type (days, microseconds).
    """

    dtype: pl.DataType
    decimals: int | None
    step: int = 1

    @property
    def whole(self) -> bool:
        """Are ticks whole numbers?"""
        return self.decimals is not None

    @classmethod
    def public(cls, dtype: pl.DataType) -> Scale:
        """What the type alone says: floats are floats; numbers, dates and times are whole."""
        return cls(dtype, None if dtype.is_float() else getattr(dtype, "scale", 0))

    @classmethod
    def learned(cls, values: pl.Series, least: int) -> Scale:
        """The widest step that all but a few of the values keep to: fewer than ``least``, and 5 % at most."""
        public = cls.public(values.dtype)
        numbers = public.ticks(values)
        most = min(least - 1, len(numbers) // 20)
        if public.decimals is None:
            found = next((d for d in range(_MOST_DECIMALS + 1) if _fits(values, numbers, d, most)), None)
            if found is None:
                return public
            public = cls(values.dtype, found)
            numbers = public.ticks(values)
        steps = _steps(values.dtype)
        step = next((s for s in steps if np.count_nonzero(numbers % s) <= most), 1)
        return cls(public.dtype, public.decimals, step)

    def ticks(self, values: pl.Series) -> NDArray[Any]:
        """The present values in ticks, shape (n,): int64, or float64 where there is no whole step.

        Values between two steps go to the nearer one.
        """
        return self.counted(values.drop_nulls())

    def counted(self, values: pl.Series) -> NDArray[Any]:
        """As :meth:`ticks`, of values none of which is missing."""
        if self.decimals is None:
            floats: NDArray[Any] = np.clip(values.cast(pl.Float64).to_numpy(), -_LARGEST, _LARGEST)
            return floats
        if values.dtype.is_float() or values.dtype.is_decimal():
            scaled = np.clip(values.cast(pl.Float64).to_numpy(), -_EXACT, _EXACT) * 10.0**self.decimals
            rounded: NDArray[Any] = np.rint(np.clip(scaled, -_EXACT, _EXACT) / self.step).astype(np.int64)
            return rounded
        physical = values.to_physical()
        if physical.dtype in (pl.Int64, pl.UInt64, pl.Int128, pl.UInt128):
            physical = physical.clip(0 if "U" in str(physical.dtype) else -_MOST, _MOST)
        whole = physical.cast(pl.Int64).to_numpy()
        return whole if self.step == 1 else (whole + self.step // 2) // self.step

    def place(self, value: Any, name: str, otherwise: float) -> float:
        """Where a value lies, in ticks; ``otherwise`` for None.

        Raises:
            InputError: ``usage``: it is no value of the column's type.
        """
        if value is None:
            return otherwise
        try:
            if not self.dtype.is_temporal():
                return float(value) * 10.0 ** (self.decimals or 0) / self.step
            physical: int = pl.Series([instant(value, self.dtype)]).cast(self.dtype).to_physical()[0]
            # A float has not the digits of nanoseconds.
            return physical / self.step if physical % self.step else physical // self.step
        except (TypeError, ValueError, pl.exceptions.PolarsError):
            raise InputError(
                "usage", "a value that is asked for is not of the column's type", where=name
            ) from None

    def values(self, ticks: NDArray[Any], missing: NDArray[np.bool_], name: str) -> pl.Series:
        """Ticks as values of the type; those that are missing as null."""
        if self.decimals is None:
            numbers = pl.Series(name, ticks)
        elif self.decimals and not self.dtype.is_decimal():
            numbers = pl.Series(name, ticks * self.step / 10.0**self.decimals)
        elif self.dtype.is_decimal():
            digits = pl.Series(name, self._within(ticks)).cast(pl.Decimal(38, 0))
            numbers = (digits.cast(pl.Decimal(38, self.decimals)) / 10**self.decimals).alias(name)
        else:
            numbers = pl.Series(name, self._within(ticks))
        if missing.any():
            numbers = pl.select(pl.when(pl.Series(~missing)).then(numbers).alias(name)).to_series()
        return numbers.cast(self.dtype)

    def _within(self, ticks: NDArray[Any]) -> NDArray[Any]:
        """Physical values; a stretch learned with noise may reach beyond those that the type has."""
        found: NDArray[Any] = np.clip(ticks * self.step, *_limits(self.dtype))
        return found

    def document(self) -> dict[str, Any]:
        """The scale as JSON."""
        return {"dtype": dtype_document(self.dtype), "decimals": self.decimals, "step": self.step}

    @classmethod
    def restored(cls, document: Mapping[str, Any]) -> Scale:
        """The scale that :meth:`document` wrote."""
        return cls(dtype_restored(document["dtype"]), document["decimals"], document["step"])


def _limits(dtype: pl.DataType) -> tuple[int, int]:
    """The least and the greatest physical value of a whole type; of dates those that calendars have.

    >>> _limits(pl.Int8()), _limits(pl.Time()), _limits(pl.Decimal(3, 2))
    ((-128, 127), (0, 86399999999999), (-999, 999))
    """
    if isinstance(dtype, pl.Time):
        return 0, 86_400 * 10**9 - 1
    if isinstance(dtype, pl.Date):
        return -719_162, 2_932_896
    if isinstance(dtype, pl.Datetime):
        unit = _UNITS[dtype.time_unit]
        return max(-_MOST, -62_135_596_800 * unit), min(_MOST, 253_402_300_800 * unit - 1)
    if isinstance(dtype, pl.Decimal):
        most = min(_MOST, 10 ** (dtype.precision or 38) - 1)
        return -most, most
    if dtype.is_integer():
        name = str(dtype)
        bits = int(name.lstrip("UInt"))
        low, high = (0, 2**bits - 1) if name.startswith("U") else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
        return max(-_MOST, low), min(_MOST, high)
    return -_MOST, _MOST


def is_ordered(dtype: pl.DataType) -> bool:
    """Numbers, dates and times."""
    return dtype.is_numeric() or dtype.is_temporal()


def is_category(dtype: pl.DataType) -> bool:
    """Text, booleans, categories; and columns without any value."""
    return isinstance(dtype, pl.String | pl.Boolean | pl.Categorical | pl.Enum | pl.Null)


def present(values: pl.Series) -> pl.Series:
    """The values, with what is no number (NaN and infinities) as missing.

    Raises:
        InputError: ``column-values``: lists, structures, bytes and objects are not coded.
    """
    dtype = values.dtype
    if not (is_ordered(dtype) or is_category(dtype)):
        raise InputError(
            "column-values",
            f"columns of the type {dtype.base_type().__name__} cannot be synthesized",
            where=values.name,
            remedy="spread it over columns of numbers, text, booleans or dates, or leave it out",
        )
    if not dtype.is_float():
        return values
    frame = values.alias("value").to_frame()
    return frame.select(pl.when(pl.col("value").is_finite()).then("value").alias(values.name)).to_series()


def instant(value: Any, dtype: pl.DataType) -> Any:
    """A date or time as a column of that type has it; words in ISO 8601, without a zone in the column's own.

    >>> instant("2020-01-31", pl.Date())
    datetime.date(2020, 1, 31)
    """
    if isinstance(value, str) and dtype.is_temporal():
        value = time.fromisoformat(value) if isinstance(dtype, pl.Time) else datetime.fromisoformat(value)
    if isinstance(dtype, pl.Date) and isinstance(value, datetime):
        return value.date()
    if not isinstance(dtype, pl.Datetime) or not isinstance(value, date):
        return value
    whole = value if isinstance(value, datetime) else datetime.combine(value, time())
    if dtype.time_zone and whole.tzinfo is None:
        return whole.replace(tzinfo=ZoneInfo(dtype.time_zone))
    return whole


def dtype_document(dtype: pl.DataType) -> dict[str, Any]:
    """A column's type as JSON.

    >>> dtype_document(pl.Datetime("ms", "UTC"))
    {'name': 'Datetime', 'unit': 'ms', 'zone': 'UTC'}
    """
    said: dict[str, Any] = {"name": dtype.base_type().__name__}
    if isinstance(dtype, pl.Datetime | pl.Duration):
        said["unit"] = dtype.time_unit
    if isinstance(dtype, pl.Datetime) and dtype.time_zone:
        said["zone"] = dtype.time_zone
    if isinstance(dtype, pl.Decimal):
        said |= {"precision": dtype.precision, "scale": dtype.scale}
    if isinstance(dtype, pl.Enum):
        said["categories"] = dtype.categories.to_list()
    return said


def dtype_restored(document: Mapping[str, Any]) -> pl.DataType:
    """The type that :func:`dtype_document` wrote."""
    name = document["name"]
    if not re.fullmatch(r"[A-Z][A-Za-z0-9]*", name):
        raise InputError("source-unreadable", "a column's type is not one that sfumato wrote")
    if name == "Datetime":
        return pl.Datetime(document["unit"], document.get("zone"))
    if name == "Duration":
        return pl.Duration(document["unit"])
    if name == "Decimal":
        return pl.Decimal(document["precision"], document["scale"])
    if name == "Enum":
        return pl.Enum(document["categories"])
    found = getattr(pl, name)()
    if not isinstance(found, pl.DataType):
        raise InputError("source-unreadable", "a column's type is not one that sfumato wrote")
    return found


def _fits(values: pl.Series, numbers: NDArray[np.float64], decimals: int, most: int) -> bool:
    """Whether all but a few floats are decimals of so many places."""
    if len(numbers) and float(np.abs(numbers).max()) * 10.0**decimals > _EXACT:
        return False
    rounded = np.rint(numbers * 10.0**decimals) / 10.0**decimals
    if values.dtype == pl.Float32:
        rounded = rounded.astype(np.float32)
    return int(np.count_nonzero(rounded != numbers)) <= most


def _steps(dtype: pl.DataType) -> tuple[int, ...]:
    if isinstance(dtype, pl.Date):
        return (1,)
    if not dtype.is_temporal():
        return _STEPS
    unit = _UNITS[getattr(dtype, "time_unit", "ns") or "ns"]
    finer = tuple(unit // 10**power for power in (3, 6, 9) if unit >= 10**power)
    return tuple(dict.fromkeys([*(seconds * unit for seconds in _SECONDS), *finer, 1]))
