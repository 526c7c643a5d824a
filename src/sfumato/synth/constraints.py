"""What must hold in every row: inequalities, sums, combinations, keys, ranges.

Columns that follow from others are not learned but computed again; of an inequality the difference is
learned. What cannot be had like this is had by drawing again.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import polars as pl

from sfumato.core.errors import InputError, nearest
from sfumato.synth.encoding.learned import about
from sfumato.synth.encoding.private import Declared
from sfumato.synth.encoding.scales import dtype_document, dtype_restored, is_category, is_ordered

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
        types = {c: pl.String() if _is_text(schema[c]) else schema[c] for c in self.names}
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


Rule = AtMost | Sum | Together | Unique | Range


@dataclass(frozen=True)
class Rules:
    """All constraints of a table with this schema, as they are used: by computing columns, or by a look.

    ``computed`` are undone in their order; ``looked`` are those whose column another constraint computes
    already: of them, rows that break them are drawn again.
    """

    schema: Schema
    computed: tuple[Rule, ...] = ()
    looked: tuple[Rule, ...] = ()

    @classmethod
    def of(
        cls, given: Sequence[Any], frame: pl.DataFrame, *, target: str | None, private: bool, least: int
    ) -> Rules:
        """The constraints as a user writes them (:func:`parsed`), made to suit a table.

        Raises:
            InputError: ``usage``: they do not suit the table, or would have to be learned from people under
                differential privacy; ``unknown-name``.
        """
        rules = [parsed(each, frame.columns) for each in given]
        for rule in rules:
            rule.check(frame.schema)
            if private and isinstance(rule, Together) and rule.values is None:
                raise InputError(
                    "usage",
                    "which combinations occur cannot be learned from people under differential privacy",
                    where=str(rule),
                    remedy="declare them: values: [[...], ...]",
                )
            if target is not None and target in _gone(rule):
                raise InputError("usage", "the target cannot be computed from other columns", where=str(rule))
        ready = [rule.learned(frame, least) if isinstance(rule, Together) else rule for rule in rules]
        computed, looked = _ordered(ready)
        for rule in looked:
            if isinstance(rule, Together | Unique):
                raise InputError("usage", "two constraints would compute the same column", where=str(rule))
        return cls(dict(frame.schema), computed, looked)

    @property
    def computes(self) -> set[str]:
        """The columns that are not fields, or fields of something else."""
        return {name for rule in self.computed for name in _gone(rule)}

    def recoded(self, frame: pl.DataFrame) -> pl.DataFrame:
        """The table that is learned from."""
        frame = frame.with_columns(*_clipped(self.computed, frame))
        made = {rule: rule.recoded(frame) for rule in self.computed if rule.derives is not None}
        gone = {name for rule in made for name in _gone(rule)}
        found = frame.select(name for name in frame.columns if name not in gone)
        columns = [series for table in made.values() for series in table.get_columns()]
        return found.with_columns(columns) if columns else found

    def restored(self, frame: pl.DataFrame) -> pl.DataFrame:
        """The table as it was, of new rows, but for keys."""
        for rule in self.computed:
            frame = rule.restored(frame, self.schema)
        return frame.select(list(self.schema))

    def holds(self) -> pl.Expr:
        """Whether a row keeps all of them."""
        return pl.all_horizontal(pl.lit(True), *(rule.holds() for rule in (*self.computed, *self.looked)))

    def numbered(self, frame: pl.DataFrame, begin: int) -> pl.DataFrame:
        """The rows with new keys from ``begin`` on."""
        keys = [rule.column for rule in self.computed if isinstance(rule, Unique)]
        numbers = pl.int_range(begin, begin + frame.height, eager=True)
        made = [
            (numbers.cast(pl.String).str.zfill(8) if _is_text(self.schema[name]) else numbers)
            .cast(self.schema[name])
            .alias(name)
            for name in keys
        ]
        return frame.with_columns(made)

    def declared(self, declared: Declared) -> Declared:
        """What is declared of the columns that are learned from."""
        for rule in (*(r for r in self.computed if r.derives is None), *self.computed):
            declared = rule.declared(declared)
        return declared

    def facts(self, frame: pl.DataFrame, least: int, *, private: bool) -> list[dict[str, str]]:
        """Each constraint, and how many rows of the source break it, in round figures."""
        found = []
        for rule in (*self.computed, *self.looked):
            broken = "not counted"
            if not private:
                broken = about(_broken(rule, frame), least)
            found.append({"constraint": str(rule), "broken": broken})
        return found

    def document(self) -> dict[str, Any]:
        """The constraints as JSON."""
        return {
            "schema": [[name, dtype_document(dtype)] for name, dtype in self.schema.items()],
            "computed": [_document(rule) for rule in self.computed],
            "looked": [_document(rule) for rule in self.looked],
        }

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Rules:
        """The constraints that :meth:`document` wrote."""
        schema = {name: dtype_restored(dtype) for name, dtype in document["schema"]}
        computed = tuple(parsed(each, list(schema)) for each in document["computed"])
        return cls(schema, computed, tuple(parsed(each, list(schema)) for each in document["looked"]))


def parsed(given: Any, columns: Sequence[str]) -> Rule:
    """A constraint as a user writes it.

    "start <= end", "total = part + other", {"together": [columns], "values": [[...], ...]},
    {"unique": column}, {"range": column, "from": ..., "to": ...}; and {"at_most": [low, high]},
    {"sum": total, "of": [parts]} for columns with names that cannot be written so.

    Raises:
        InputError: ``usage``: it is none of these; ``unknown-name``: a column that is not there.

    >>> str(parsed("a <= b", ["a", "b"]))
    'a <= b'
    """
    rule = _parsed(given)
    for name in rule.columns:
        if name not in columns:
            raise InputError(
                "unknown-name", "there is no such column", where=str(name), remedy=nearest(str(name), columns)
            )
    return rule


def _parsed(given: Any) -> Rule:
    if isinstance(given, str):
        left, at_most, right = given.partition(" <= ")
        if at_most:
            return AtMost(left.strip(), right.strip())
        left, equals, right = given.partition(" = ")
        if equals:
            return Sum(left.strip(), tuple(part.strip() for part in right.split(" + ")))
    elif isinstance(given, Mapping):
        rest = dict(given)
        kind = next((name for name in _KINDS if name in rest), None)
        if kind is not None:
            first = rest.pop(kind)
            words, make = _KINDS[kind]
            if set(rest) <= set(words):
                try:
                    return make(first, rest)
                except (TypeError, ValueError):
                    pass
    raise InputError(
        "usage",
        "this is no constraint",
        remedy='write "a <= b", "a = b + c", or a mapping with together, unique or range',
    )


def _together(first: Any, rest: Mapping[str, Any]) -> Rule:
    values = rest.get("values")
    return Together(tuple(first), None if values is None else tuple(tuple(row) for row in values))


_KINDS: Mapping[str, tuple[tuple[str, ...], Callable[[Any, Mapping[str, Any]], Rule]]] = {
    "at_most": ((), lambda first, _: AtMost(*first)),
    "sum": (("of",), lambda first, rest: Sum(first, tuple(rest.get("of", ())))),
    "together": (("values",), _together),
    "unique": ((), lambda first, _: Unique(first)),
    "range": (("from", "to"), lambda first, rest: Range(first, rest.get("from"), rest.get("to"))),
}


def _document(rule: Rule) -> dict[str, Any]:
    if isinstance(rule, AtMost):
        return {"at_most": [rule.low, rule.high]}
    if isinstance(rule, Sum):
        return {"sum": rule.total, "of": list(rule.parts)}
    if isinstance(rule, Together):
        return {"together": list(rule.names), "values": [list(row) for row in rule.values or ()]}
    if isinstance(rule, Unique):
        return {"unique": rule.column}
    return {"range": rule.column, "from": _jsoned(rule.low), "to": _jsoned(rule.high)}


def _broken(rule: Rule, frame: pl.DataFrame) -> int:
    if isinstance(rule, Together):
        return rule.broken(frame)
    if isinstance(rule, Unique):
        return frame.height - frame[rule.column].n_unique()
    return int(frame.select((~rule.holds()).sum()).item())


def _ordered(rules: Sequence[Rule]) -> tuple[tuple[Rule, ...], tuple[Rule, ...]]:
    """Those that compute columns, each after those that compute what it needs; and the others."""
    waiting: list[Rule] = []
    looked: list[Rule] = []
    for rule in rules:
        taken = {name for other in waiting for name in _gone(other)}
        (looked if taken & set(_gone(rule)) else waiting).append(rule)
    computed: list[Rule] = []
    while waiting:
        ready = next((rule for rule in waiting if not _needs(rule) & _all_gone(waiting, rule)), None)
        if ready is not None:
            computed.append(ready)
            waiting.remove(ready)
        else:
            looked.append(waiting.pop())
    return tuple(computed), tuple(looked)


def _needs(rule: Rule) -> set[str]:
    return set(rule.columns) - set(_gone(rule))


def _all_gone(rules: Sequence[Rule], but: Rule) -> set[str]:
    return {name for rule in rules if rule is not but for name in _gone(rule)}


def _gone(rule: Rule) -> tuple[str, ...]:
    """The columns that are computed again."""
    if isinstance(rule, Together):
        return rule.names
    return () if rule.derives is None else (rule.derives,)


def _clipped(rules: Sequence[Rule], frame: pl.DataFrame) -> list[pl.Series]:
    return [s for rule in rules if isinstance(rule, Range) for s in rule.recoded(frame).get_columns()]


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


def _is_text(dtype: pl.DataType) -> bool:
    return isinstance(dtype, pl.String | pl.Categorical | pl.Enum)


def _text(column: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    return column.cast(pl.String) if _is_text(dtype) else column


def _jsoned(value: Any) -> Any:
    return value if value is None or isinstance(value, int | float | str) else value.isoformat()


def _without(declared: Declared, names: Sequence[str]) -> Declared:
    def kept(part: Mapping[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in part.items() if name not in names}

    return Declared(kept(declared.bounds), kept(declared.categories), kept(declared.decimals))
