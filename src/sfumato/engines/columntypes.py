"""The types of text columns: the narrowest that reads every value and writes it back the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import polars as pl

_TYPES: tuple[str, ...] = ("integer", "number", "boolean", "date", "datetime")
_BLANK, _LAST = "blank rows", "last missing"
_ANY = "any"
#: Rows that a first guess rests on; the whole column then confirms it or not.
_FIRST_ROWS = 1000


@dataclass(frozen=True)
class Settled:
    """What one reading of a text table found.

    ``kinds`` has a type for each column that is not text; ``blank_rows`` counts the rows without any
    value, ``last_missing`` the missing values of the last column.
    """

    kinds: Mapping[str, str]
    blank_rows: int
    last_missing: int

    def readings(self) -> list[pl.Expr]:
        """The columns that are not text, read as what they are."""
        return [_reading(name, kind) for name, kind in self.kinds.items()]


def readings(types: Mapping[str, pl.DataType]) -> list[pl.Expr]:
    """Columns of text read as the types that they are known to be."""
    return [_reading(name, kind) for name, dtype in types.items() if (kind := _kind(dtype)) is not None]


def settle(frame: pl.LazyFrame, columns: Sequence[str]) -> Settled:
    """Read a table of text once from end to end, and say what its columns are."""
    guesses, first = _checked(frame.head(_FIRST_ROWS), columns, None)
    # Of a column that begins with missing values nothing is known yet.
    guesses |= {name: _ANY for name in columns if not first[f"present:{name}"]}
    kinds, found = _checked(frame, columns, guesses)
    return Settled(kinds, int(found[_BLANK]), int(found[_LAST]))


def _checked(
    frame: pl.LazyFrame, columns: Sequence[str], guesses: Mapping[str, str] | None
) -> tuple[dict[str, str], dict[str, int]]:
    """The first type that no value contradicts, for each column that has one, and the counts."""
    asked = [
        (name, kind)
        for name in columns
        for kind in _TYPES
        if guesses is None or _may_be(kind, guesses.get(name))
    ]
    measures = [
        *(_fails(name, kind) for name, kind in asked),
        *(pl.col(name).is_not_null().any().alias(f"present:{name}") for name in columns),
        pl.all_horizontal(pl.col(list(columns)).is_null()).sum().alias(_BLANK),
        pl.col(columns[-1]).null_count().alias(_LAST),
    ]
    found = frame.select(measures).collect(engine="streaming").row(0, named=True)
    chosen: dict[str, str] = {}
    for name, kind in asked:
        if found[f"present:{name}"] and not found[f"{kind}:{name}"]:
            chosen.setdefault(name, kind)
    return chosen, found


def _may_be(kind: str, guess: str | None) -> bool:
    """What a whole column may turn out to be when its first rows look like ``guess``."""
    return guess in (kind, _ANY) or (guess == "integer" and kind == "number")


def _kind(dtype: pl.DataType) -> str | None:
    if dtype.is_integer():
        return "integer"
    if dtype.is_float():
        return "number"
    if isinstance(dtype, pl.Datetime):
        return "datetime"
    return {pl.Boolean: "boolean", pl.Date: "date"}.get(type(dtype))


def _reading(name: str, kind: str) -> pl.Expr:
    text = pl.col(name)
    if kind == "integer":
        return text.cast(pl.Int64, strict=False)
    if kind == "number":
        return text.cast(pl.Float64, strict=False)
    if kind == "boolean":
        yes, no = text.is_in(["true", "True", "TRUE"]), text.is_in(["false", "False", "FALSE"])
        return pl.when(yes).then(True).when(no).then(False).alias(name)
    if kind == "date":
        return text.str.to_date("%Y-%m-%d", strict=False)
    return text.str.to_datetime("%Y-%m-%d %H:%M:%S%.f", strict=False, time_unit="us")


def _fails(name: str, kind: str) -> pl.Expr:
    """Whether any present value does not read as a kind, or would be written back differently."""
    text, read = pl.col(name), _reading(name, kind)
    if kind in ("integer", "date"):
        bad = read.is_null() | (read.cast(pl.String) != text)
    elif kind == "number":
        # 007.5 is a code; 7.50 and 7.5 are the same number. Words like inf and NaN are not numbers here,
        # nor is 1e999; and of a whole number of 16 digits a float keeps only the first 15.
        odd = text.str.contains(r"^[+-]?0[0-9]|[^0-9eE+.\-]|^[+-]?[0-9]{16,}$")
        bad = read.is_null() | ~read.is_finite() | odd
    else:
        bad = read.is_null()
    return (bad & text.is_not_null()).any().alias(f"{kind}:{name}")
