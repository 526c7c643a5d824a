"""Several tables of the same people as rows of people, so that whatever judges a table judges them too.

A person with all rows is one row: what the people's table says, and of each table below how many rows there
are, what the first of them say, and what the numbers of the others come to. Rows of a person have no order
here and are put into one by what they say, so that two people with the same row have the same rows but for
what comes late in a long list. No column follows from others, so that a row that is expected by chance is
told from one that is not (:class:`sfumato.evidence.attacks.copies.Rows`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import polars as pl

from sfumato.contracts import PERSON, Comparison, Tables
from sfumato.core.values import Inventory, Plan, column_of
from sfumato.evidence.persons import compared_people, inventory_of

#: The rows of a person in each table that have columns of their own.
SHOWN = 4
#: Sums of the same numbers are the same, however they were added up.
_DIGITS = 12
_PLACE, _VALUE, _ROWS = "__sfumato_place__", "__sfumato_value__", "__sfumato_rows__"

#: Tables by name.
Side = Mapping[str, pl.DataFrame]


def columns_of(table: pl.DataFrame) -> list[str]:
    """What a table says of a person."""
    return [name for name in table.columns if name != PERSON]


def below(side: Side, people: str) -> Iterator[tuple[str, pl.DataFrame]]:
    """The tables but that of the people, in their order."""
    return ((name, table) for name, table in side.items() if name != people)


def sources(side: Side, people: str) -> dict[str, str | None]:
    """The columns of :func:`persons` with those of the tables that they are of; None for how many rows.

    Columns of the people's table go by their own names, others as :func:`sfumato.contracts.column_of` says.
    """
    found: dict[str, str | None] = {name: name for name in columns_of(side[people])}
    for name, table in below(side, people):
        found[_free(_count(name), found)] = None
        for place in range(1, SHOWN + 1):
            for column in columns_of(table):
                found[_free(_row(name, column, place), found)] = column_of(name, column)
        for column in _numbers(table):
            found[_free(_later(name, column), found)] = column_of(name, column)
    return found


def persons(side: Side, people: str) -> pl.DataFrame:
    """One row of each person, in the order of their numbers: these (:data:`PERSON`), and all ``sources``.

    >>> shop = {
    ...     "customers": pl.DataFrame({PERSON: [1, 2], "age": [40, 50]}),
    ...     "purchases": pl.DataFrame({PERSON: [1, 1], "spent": [9.5, 2.0]}),
    ... }
    >>> persons(shop, "customers").select("age", "purchases: rows", r"^.*row [12]$").rows()
    [(40, 2, 2.0, 9.5), (50, 0, None, None)]
    """
    found = _plain(side[people]).sort(PERSON)
    for _, table in below(side, people):
        found = _with(found, _counted(table)).with_columns(pl.nth(-1).fill_null(0))
        ordered = _ordered(table).with_columns(pl.int_range(pl.len()).over(PERSON).alias(_PLACE))
        for place in range(SHOWN):
            found = _with(found, ordered.filter(pl.col(_PLACE) == place).drop(_PLACE))
        late = ordered.filter(pl.col(_PLACE) >= SHOWN).group_by(PERSON, maintain_order=True)
        sums = late.agg(pl.col(name).cast(pl.Float64).sum() for name in _numbers(table))
        found = _with(found, sums.with_columns(pl.exclude(PERSON).round_sig_figs(_DIGITS)))
    # Columns stand as they were joined, under names that only tell places so far.
    found.columns = [PERSON, *sources(side, people)]
    return found


def told_sources(side: Side, people: str) -> dict[str, str | None]:
    """The columns of :func:`told` with those of the tables that they are of; None for how many rows."""
    found: dict[str, str | None] = {name: name for name in columns_of(side[people])}
    for name, table in below(side, people):
        found[_free(_count(name), found)] = None
        for column in columns_of(table):
            for words in _summaries(table.schema[column]):
                found[_free(f"{column_of(name, column)}, {words}", found)] = column_of(name, column)
    return found


def told(side: Side, people: str) -> pl.DataFrame:
    """People with a summary of their rows, in the order of :func:`persons`: these, and ``told_sources``.

    Of numbers and times the mean and the largest, of what is true or false how often it is true, of all else
    what is most frequent and how many there are.
    """
    found = _plain(side[people]).sort(PERSON)
    for _, table in below(side, people):
        found = _with(found, _counted(table)).with_columns(pl.nth(-1).fill_null(0))
        ordered = _ordered(table)
        for column in columns_of(ordered):
            for summary in _summaries(table.schema[column]).values():
                found = _with(found, summary(ordered.select(PERSON, pl.col(column).alias(_VALUE))))
    found.columns = [PERSON, *told_sources(side, people)]
    return found


def compared(
    tables: Tables, inventory: Inventory, plan: Plan, key: bytes, most: int, **more: Any
) -> Comparison:
    """The comparison of people who are made with all their rows, with those who taught, and with others.

    Args:
        tables: everybody's rows.
        inventory: of the people's columns by their names, and of those below by table and name
            (:func:`sfumato.contracts.column_of`); its target is one of the people's columns, or none.
        plan: the same.
        most: so many people of each kind are looked at by probes that need them one by one.
        more: of :class:`Comparison`.
    """
    tables = alike(tables)
    people, sides = tables.people, (tables.taught, tables.made, tables.others)
    of, known_of = sources(tables.taught, people), told_sources(tables.taught, people)
    every, known = ([make(side, people) for side in sides] for make in (persons, told))
    target = inventory.target if inventory.target in columns_of(tables.taught[people]) else None
    whole = inventory_of(every[0].drop(PERSON), of, inventory, target)
    summed = inventory_of(known[0].drop(PERSON), known_of, inventory, target)
    return compared_people(every, known, (whole, summed), plan, of, key, most, tables=tables, **more)


def alike(tables: Tables) -> Tables:
    """The same tables with the same columns and types on every side: those of who taught, if others can."""
    sides = tables.taught, tables.made, tables.others
    found: list[dict[str, pl.DataFrame]] = [{}, {}, {}]
    for name, table in tables.taught.items():
        parts = [side[name].select(table.columns) for side in sides]
        kinds = {column: _common([part.schema[column] for part in parts]) for column in columns_of(table)}
        for place, part in enumerate(parts):
            found[place][name] = _plain(part).cast({PERSON: pl.UInt64, **kinds})  # type: ignore[dict-item]
    return replace(tables, taught=found[0], made=found[1], others=found[2])


def _common(kinds: list[pl.DataType]) -> pl.DataType:
    """A type that holds the values of all; columns of missing values have none of their own."""
    kinds = [pl.String() if kind in (pl.Categorical, pl.Enum) else kind for kind in kinds if kind != pl.Null]
    if len(set(kinds)) <= 1:
        return kinds[0] if kinds else pl.String()
    if all(kind in (pl.Date, pl.Datetime) for kind in kinds):
        return pl.Datetime("us")
    if all(kind.is_integer() for kind in kinds):
        return pl.Int64()
    if all(kind.is_numeric() for kind in kinds):
        return pl.Float64()
    return pl.String()


def _plain(table: pl.DataFrame) -> pl.DataFrame:
    """The number of each row's person first; categories as text."""
    texts = [name for name, kind in table.schema.items() if kind in (pl.Categorical, pl.Enum, pl.Null)]
    return table.with_columns(pl.col(texts).cast(pl.String)).select(PERSON, *columns_of(table))


def _ordered(table: pl.DataFrame) -> pl.DataFrame:
    """Rows of each person in an order that hangs on nothing but what they say."""
    plain = _plain(table)
    return plain.sort(plain.columns)


def _numbers(table: pl.DataFrame) -> list[str]:
    return [name for name in columns_of(table) if table.schema[name].is_numeric()]


def _counted(table: pl.DataFrame) -> pl.DataFrame:
    return table.group_by(PERSON).agg(pl.len().cast(pl.Int64).alias(_ROWS))


def _with(people: pl.DataFrame, more: pl.DataFrame) -> pl.DataFrame:
    """People with further columns, under names of their places."""
    start = people.width
    named = [
        pl.col(name).alias(f"__sfumato_{start + place}__") for place, name in enumerate(columns_of(more))
    ]
    return people.join(more.select(PERSON, *named), on=PERSON, how="left", maintain_order="left")


def _count(table: str) -> str:
    return f"{table}: rows"


def _row(table: str, column: str, place: int) -> str:
    return f"{column_of(table, column)}, row {place}"


def _later(table: str, column: str) -> str:
    return f"{column_of(table, column)}, after row {SHOWN}"


def _free(name: str, taken: Mapping[str, Any]) -> str:
    """A name that no other column has."""
    return name if name not in taken else _free(f"{name}, too", taken)


def _summaries(kind: pl.DataType) -> dict[str, Callable[[pl.DataFrame], pl.DataFrame]]:
    """What is told of a column's values by person, under its words."""
    value = pl.col(_VALUE)
    if kind == pl.Boolean:
        return {"how often": _aggregated(value.mean())}
    if kind.is_numeric():
        number = value.cast(pl.Float64).fill_nan(None)
        return {"mean": _aggregated(number.mean()), "largest": _aggregated(number.max())}
    if kind.is_temporal():
        return {"mean": _aggregated(value.to_physical().mean()), "largest": _aggregated(value.max())}
    return {"most often": _most_frequent, "different": _aggregated(value.n_unique().cast(pl.Int64))}


def _aggregated(told: pl.Expr) -> Callable[[pl.DataFrame], pl.DataFrame]:
    return lambda rows: rows.group_by(PERSON, maintain_order=True).agg(told)


def _most_frequent(rows: pl.DataFrame) -> pl.DataFrame:
    """Of each person the value that most rows have, the first of several."""
    counts = rows.drop_nulls().group_by(PERSON, _VALUE).len(_ROWS)
    first = counts.sort([PERSON, _ROWS, _VALUE], descending=[False, True, False])
    return first.unique(PERSON, keep="first", maintain_order=True).drop(_ROWS)
