"""What a constraint can be: of each kind, what is learned in its place, and what is computed again."""

from __future__ import annotations

import functools
import operator
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import polars as pl

from sfumato.core.errors import InputError
from sfumato.synth.encoding.private import Declared
from sfumato.synth.encoding.scales import is_category, is_ordered

Schema = Mapping[str, pl.DataType]

_ROUNDED = 9


@dataclass(frozen=True)
class AtMost:
    """``low`` is at most ``high``; where one is missing, anything is."""

    low: str
    high: str

    def __str__(self) -> str:
        return f"{self.low} <= {self.high}"

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns it speaks of."""
        return (self.low, self.high)

    @property
    def derives(self) -> str:
        """The column that is computed again."""
        return self.high

    def check(self, schema: Schema) -> None:
        """Refuse columns that cannot be compared."""
        one, other = schema[self.low], schema[self.high]
        if self.low == self.high or not (_alike(one, other) or (one.is_numeric() and other.is_numeric())):
            raise InputError("usage", "the two columns cannot be compared", where=str(self))

    def holds(self) -> pl.Expr:
        """Whether a row keeps it."""
        return (pl.col(self.low) <= pl.col(self.high)).fill_null(True)

    def recoded(self, frame: pl.DataFrame) -> pl.DataFrame:
        """The higher column as a difference, never below zero."""
        return frame.select(_minus(frame.schema, self.high, self.low).alias(self.high))

    def restored(self, frame: pl.DataFrame, schema: Schema) -> pl.DataFrame:
        """The difference added to the lower column."""
        added = _number(pl.col(self.low), schema[self.low]) + pl.col(self.high)
        return frame.with_columns(_typed(added, schema[self.high]).alias(self.high))

    def declared(self, declared: Declared) -> Declared:
        """What follows for the difference from what was declared of both."""
        bounds = dict(declared.bounds)
        if self.high in bounds:
            top = bounds.pop(self.high)[1]
            if self.low in bounds:
                gap = top - bounds[self.low][0]
                bounds[self.high] = (gap * 0, max(gap, gap * 0))
        return replace(declared, bounds=bounds)


@dataclass(frozen=True)
class Sum:
    """``total`` is the sum of ``parts``; missing where one of them is."""

    total: str
    parts: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.total} = {' + '.join(self.parts)}"

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns it speaks of."""
        return (self.total, *self.parts)

    @property
    def derives(self) -> str:
        """The column that is computed again."""
        return self.total

    def check(self, schema: Schema) -> None:
        """Refuse columns that cannot be added."""
        numbers = all(schema[name].is_numeric() for name in self.columns)
        if not self.parts or self.total in self.parts or not numbers:
            raise InputError("usage", "the columns cannot be added", where=str(self))

    def holds(self) -> pl.Expr:
        """Whether a row keeps it."""
        gap = pl.col(self.total).cast(pl.Float64) - self._sum()
        size = pl.max_horizontal(pl.lit(1.0), *(pl.col(c).cast(pl.Float64).abs() for c in self.columns))
        return (gap.abs() <= 1e-6 * size).fill_null(True)

    def recoded(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Nothing stands for the total."""
        del frame
        return pl.DataFrame()

    def restored(self, frame: pl.DataFrame, schema: Schema) -> pl.DataFrame:
        """The total, added up."""
        return frame.with_columns(_typed(self._sum(), schema[self.total]).alias(self.total))

    def declared(self, declared: Declared) -> Declared:
        """What was declared of the total is not needed."""
        return _without(declared, (self.total,))

    def _sum(self) -> pl.Expr:
        return functools.reduce(operator.add, (pl.col(part).cast(pl.Float64) for part in self.parts))


@dataclass(frozen=True)
class Together:
    """Some columns have only combinations that are known: those given, or those that enough people have."""

    names: tuple[str, ...]
    values: tuple[tuple[Any, ...], ...] | None = None

    def __str__(self) -> str:
        return " with ".join(self.names)

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns it speaks of."""
        return self.names

    @property
    def derives(self) -> str:
        """The column in whose place the combination is learned."""
        return self.names[0]

    def check(self, schema: Schema) -> None:
        """Refuse what has no combinations."""
        plain = all(is_category(schema[c]) or schema[c].is_integer() for c in self.names)
        if len(set(self.names)) < max(2, len(self.names)) or not plain:
            raise InputError("usage", "combinations are of two or more categories", where=str(self))
        if self.values is not None and not all(len(row) == len(self.names) for row in self.values):
            raise InputError("usage", "a combination does not have a value for each column", where=str(self))

    def learned(self, frame: pl.DataFrame, least: int) -> Together:
        """The rule with its combinations: those of ``least`` people, the most frequent first."""
        if self.values is not None:
            return self
        found = (
            frame.select(self.names)
            .group_by(self.names)
            .len("__people__")
            .filter(pl.col("__people__") >= least)
        )
        if not found.height:
            raise InputError(
                "column-values",
                f"no combination is shared by {least} people",
                where=str(self),
                remedy="declare the combinations, or leave the constraint out",
            )
        found = found.sort(["__people__", *self.names], descending=[True] + [False] * len(self.names))
        plain = [_text(pl.col(c), frame.schema[c]) for c in self.names]
        return replace(self, values=tuple(found.select(plain).iter_rows()))

    def holds(self) -> pl.Expr:
        """Rows are made of known combinations alone."""
        return pl.lit(True)

    def broken(self, frame: pl.DataFrame) -> int:
        """How many rows have another combination."""
        plain = frame.select(_text(pl.col(c), frame.schema[c]) for c in self.names)
        return plain.join(self._table(frame.schema), on=self.names, how="anti", nulls_equal=True).height

    def recoded(self, frame: pl.DataFrame) -> pl.DataFrame:
        """The number of the combination in place of the first column; of an unknown one that of the first."""
        known = self._table(frame.schema).with_row_index("__place__")
        found = frame.select(_text(pl.col(c), frame.schema[c]) for c in self.names).join(
            known, on=self.names, how="left", nulls_equal=True, maintain_order="left"
        )
        return found.select(pl.col("__place__").fill_null(0).cast(pl.String).alias(self.derives))

    def restored(self, frame: pl.DataFrame, schema: Schema) -> pl.DataFrame:
        """The values of each combination."""
        table = self._table(schema)
        rows = table[frame[self.derives].cast(pl.UInt32).fill_null(0)]
        return frame.with_columns(rows[name].cast(schema[name]).alias(name) for name in self.names)

    def declared(self, declared: Declared) -> Declared:
        """The combinations are categories."""
        rest = _without(declared, self.names)
        places = [str(place) for place in range(len(self.values or ()))]
        return replace(rest, categories={**rest.categories, self.derives: places})

    def _table(self, schema: Schema) -> pl.DataFrame:
        types = {c: pl.String() if is_text(schema[c]) else schema[c] for c in self.names}
        return pl.DataFrame(list(self.values or ()), schema=types, orient="row")


@dataclass(frozen=True)
class Unique:
    """A key: of the rows' keys nothing is learned, they are numbered anew."""

    column: str

    def __str__(self) -> str:
        return f"unique {self.column}"

    @property
    def columns(self) -> tuple[str, ...]:
        """The column."""
        return (self.column,)

    @property
    def derives(self) -> str:
        """The column that is made anew."""
        return self.column

    def check(self, schema: Schema) -> None:
        """Refuse keys that are neither numbers nor text."""
        if not (schema[self.column].is_integer() or isinstance(schema[self.column], pl.String)):
            raise InputError("usage", "a key is a whole number or text", where=self.column)

    def holds(self) -> pl.Expr:
        """Of a single row it always holds."""
        return pl.lit(True)

    def recoded(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Nothing stands for the key."""
        del frame
        return pl.DataFrame()

    def restored(self, frame: pl.DataFrame, schema: Schema) -> pl.DataFrame:
        """An empty key; :meth:`Rules.numbered` fills it."""
        return frame.with_columns(pl.lit(None, dtype=schema[self.column]).alias(self.column))

    def declared(self, declared: Declared) -> Declared:
        """What was declared of the key is not needed."""
        return _without(declared, (self.column,))


@dataclass(frozen=True)
class Range:
    """A column lies between two values, both in; one of them may be None."""

    column: str
    low: Any = None
    high: Any = None

    def __str__(self) -> str:
        return f"range of {self.column}"

    @property
    def columns(self) -> tuple[str, ...]:
        """The column."""
        return (self.column,)

    @property
    def derives(self) -> None:
        """No column is computed again."""
        return None

    def check(self, schema: Schema) -> None:
        """Refuse columns without an order."""
        if not is_ordered(schema[self.column]) or (self.low is None and self.high is None):
            raise InputError("usage", "a range is of numbers or dates, with an end", where=self.column)

    def holds(self) -> pl.Expr:
        """Whether a row keeps it."""
        return (self._inside() == pl.col(self.column)).fill_null(True)

    def recoded(self, frame: pl.DataFrame) -> pl.DataFrame:
        """The column with what lies beyond moved to the ends."""
        return frame.select(self._inside().cast(frame.schema[self.column]))

    def restored(self, frame: pl.DataFrame, schema: Schema) -> pl.DataFrame:
        """Nothing is to be computed."""
        del schema
        return frame

    def declared(self, declared: Declared) -> Declared:
        """The range bounds the column."""
        low, high = declared.bounds.get(self.column, (self.low, self.high))
        ends = (
            low if self.low is None else max(low, self.low),
            high if self.high is None else min(high, self.high),
        )
        if None in ends:
            return declared
        return replace(declared, bounds={**declared.bounds, self.column: ends})

    def _inside(self) -> pl.Expr:
        return pl.col(self.column).clip(self.low, self.high)


@dataclass(frozen=True)
class Never:
    """Values that never come together, such as a pregnant man: a structural zero."""

    values: tuple[tuple[str, Any], ...]

    def __str__(self) -> str:
        return f"never {' and '.join(name for name, _ in self.values)}"

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns it speaks of."""
        return tuple(name for name, _ in self.values)

    @property
    def derives(self) -> None:
        """No column is computed again: rows are drawn again."""
        return None

    def check(self, schema: Schema) -> None:
        """Refuse values that the columns cannot have."""
        if len(self.values) < 2:
            raise InputError("usage", "two columns or more never come together", where=str(self))
        for name, value in self.values:
            try:
                pl.Series([value], dtype=schema[name])
            except (TypeError, ValueError, OverflowError, pl.exceptions.PolarsError):
                raise InputError("usage", "the column has values of another kind", where=name) from None

    def holds(self) -> pl.Expr:
        """Whether a row keeps it."""
        alike = [pl.col(name).eq_missing(pl.lit(value)) for name, value in self.values]
        return ~pl.all_horizontal(alike)

    def recoded(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Nothing is learned in another form."""
        return frame.select()

    def restored(self, frame: pl.DataFrame, schema: Schema) -> pl.DataFrame:
        """Nothing is to be computed."""
        del schema
        return frame

    def declared(self, declared: Declared) -> Declared:
        """It declares nothing of a column."""
        return declared


Rule = AtMost | Sum | Together | Unique | Range | Never


def _minus(schema: Schema, high: str, low: str) -> pl.Expr:
    gap = _number(pl.col(high), schema[high]) - _number(pl.col(low), schema[low])
    if schema[high].is_temporal():
        return pl.max_horizontal(gap, gap * 0)
    return pl.when(gap < 0).then(gap * 0).otherwise(gap).round(_ROUNDED)


def _number(column: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    if dtype.is_temporal():
        return column
    return column.cast(pl.Int64 if dtype.is_integer() else pl.Float64)


def _typed(column: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    if dtype.is_integer():
        return column.round(0).cast(dtype, strict=False)
    return column.cast(dtype) if dtype.is_temporal() else column.round(_ROUNDED).cast(dtype)


def _alike(one: pl.DataType, other: pl.DataType) -> bool:
    return one == other and isinstance(one, pl.Date | pl.Datetime)


def is_text(dtype: pl.DataType) -> bool:
    """Whether values of a type are words."""
    return isinstance(dtype, pl.String | pl.Categorical | pl.Enum)


def _text(column: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    return column.cast(pl.String) if is_text(dtype) else column


def _without(declared: Declared, names: Sequence[str]) -> Declared:
    def kept(part: Mapping[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in part.items() if name not in names}

    return Declared(kept(declared.bounds), kept(declared.categories), kept(declared.decimals))
