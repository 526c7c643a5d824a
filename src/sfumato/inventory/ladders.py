"""The hierarchy that a draft suggests for a quasi-identifier, as a policy writes it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import polars as pl

from sfumato.inventory.headers import Header
from sfumato.inventory.profile import Measured

#: Fewer distinct numbers than this make intervals pointless: the value or nothing.
_LEAST_FOR_INTERVALS = 9
#: The first width is a fourteenth of where nine tenths of the people lie, rounded up.
_PARTS, _MOST_PARTS = 14, 1000
#: Ages have their customary groups whatever their spread.
_AGE_WIDTH, _OLDEST = 5.0, 130
_DATE_LEVELS = ["month", "year", "decade"]
_FORMATS = (
    "%Y-%m-%d",
    "%d.%m.%Y",
    "%d/%m/%Y",
    "%m/%d/%Y",
    "%Y/%m/%d",
    "%d-%m-%Y",
    "%m-%d-%Y",
    "%Y%m%d",
    "%Y-%m-%d %H:%M:%S",
    "%Y-%m-%dT%H:%M:%S",
    "%Y-%m-%d %H:%M",
)


def suggested(column: Measured, kinds: frozenset[str]) -> dict[str, Any]:
    """A hierarchy for the column.

    Args:
        column: the quasi-identifier, measured.
        kinds: the kinds detected in it.
    """
    if column.kind in ("date", "datetime"):
        return {"kind": "dates", "levels": list(_DATE_LEVELS)}
    if column.kind in ("integer", "number") and "postcode" not in kinds:
        return _intervals(column)
    if column.kind == "text" and kinds & {"date", "date-of-birth"}:
        return _written_dates(column.series)
    if column.kind in ("text", "integer"):
        return _prefixes(column.series, postcode="postcode" in kinds)
    return {"kind": "suppress"}


def _intervals(column: Measured) -> dict[str, Any]:
    numbers = column.series.drop_nulls().cast(pl.Float64).to_numpy()
    numbers = numbers[np.isfinite(numbers)]
    if column.distinct < _LEAST_FOR_INTERVALS or not len(numbers):
        return {"kind": "suppress"}
    # The outermost half per cent share a label: a bound near one person's extreme would be a figure of it.
    low, early, late, high = map(float, np.quantile(numbers, [0.005, 0.05, 0.95, 0.995], method="nearest"))
    spread = late - early or high - low or float(numbers.max() - numbers.min())
    width = max(spread / _PARTS, (high - low) / _MOST_PARTS)
    if not math.isfinite(width) or width <= 0:
        return {"kind": "suppress"}
    whole = bool((numbers == np.floor(numbers)).all())
    if whole and low >= 0 and high <= _OLDEST and Header.of(column.name).known() == "age":
        narrow, places = _AGE_WIDTH, 0
    elif whole and width < 2:
        narrow, places = 2.0, 0
    else:
        narrow, places = _round_up(width)
    widths = [_tidy(narrow * times, places) for times in (1, 2, 4)]
    # Outward to multiples of the widest, and beyond the maximum, so that neither bound is anybody's.
    start, stop = math.floor(low / (4 * narrow)), math.floor(high / (4 * narrow)) + 1
    return {
        "kind": "intervals",
        "widths": widths,
        "from": _tidy(start * 4 * narrow, places),
        "to": _tidy(stop * 4 * narrow, places),
    }


def _round_up(width: float) -> tuple[float, int]:
    """The least of 1, 2, 5 times a power of ten that is not below a width, and its decimal places.

    >>> _round_up(3.5), _round_up(0.07)
    ((5.0, 0), (0.1, 1))
    """
    power = math.floor(math.log10(width))
    for digit, shift in ((1, 0), (2, 0), (5, 0), (1, 1)):
        places = max(0, -(power + shift))
        rounded = round(digit * 10.0 ** (power + shift), places)
        if rounded >= width * (1 - 1e-9):
            return rounded, places
    raise AssertionError("ten times the power is never below the width")


def _tidy(number: float, places: int) -> int | float:
    """The number without floating dust; whole numbers as integers, for policies are read by people."""
    rounded = round(number, places)
    return int(rounded) if float(rounded).is_integer() else rounded


def _written_dates(series: pl.Series) -> dict[str, Any]:
    """A ladder of dates if one format reads every value, else none that could fail on some."""
    values = series.drop_nulls().unique()
    for form in _FORMATS:
        if values.str.to_date(form, strict=False).null_count() == 0:
            return {"kind": "dates", "levels": list(_DATE_LEVELS), "format": form}
    return {"kind": "suppress"}


def _prefixes(series: pl.Series, *, postcode: bool) -> dict[str, Any]:
    """Leading characters, of postcodes and of codes of one length with digits."""
    if postcode:
        return {"kind": "prefix", "keep": [3, 2, 1]}
    values = series.drop_nulls().unique()
    if series.dtype != pl.String or len(values) < _LEAST_FOR_INTERVALS:
        return {"kind": "suppress"}
    lengths = values.str.len_chars()
    coded = values.str.contains(r"^[\p{L}\d\-./]*\d[\p{L}\d\-./]*$").all()
    length = int(lengths.max() or 0)  # type: ignore[arg-type]
    if not coded or lengths.n_unique() != 1 or length < 3:
        return {"kind": "suppress"}
    keep = sorted({length - 1, max(1, length // 2), 1}, reverse=True)
    return {"kind": "prefix", "keep": keep}
