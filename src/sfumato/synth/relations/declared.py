"""What everybody may know of several tables, and which of their columns are learned by what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from sfumato.core.errors import InputError, nearest
from sfumato.core.values import column_of
from sfumato.synth.coded import Field
from sfumato.synth.encoding.private import Declared
from sfumato.synth.fitting import public_fields
from sfumato.synth.relations.keys import named
from sfumato.synth.relations.tree import Tree

#: The most rows that may be declared to hang on one.
_MOST = 10_000


@dataclass(frozen=True)
class Said:
    """What is declared by table: ``most`` rows of a table on one row of its parent; bounds, categories and
    decimals by table and column, as :class:`~sfumato.synth.encoding.private.Declared` has them."""

    most: Mapping[str, int] = field(default_factory=dict)
    bounds: Mapping[str, Mapping[str, Sequence[Any]]] = field(default_factory=dict)
    categories: Mapping[str, Mapping[str, Sequence[Any]]] = field(default_factory=dict)
    decimals: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    def checked(self, tree: Tree) -> Said:
        """The same, if it suits the tables.

        Raises:
            InputError: ``unknown-name``; ``usage``: a table's most is not declared, or is no such number.
        """
        for name in (*self.bounds, *self.categories, *self.decimals):
            if name not in tree.order:
                raise InputError(
                    "unknown-name", "no such table is learned", where=name, remedy=nearest(name, tree.order)
                )
        for name in self.most:
            if name not in tree.parent:
                raise InputError("unknown-name", "no such table hangs on another", where=name)
        for name in tree.parent:
            most = self.most.get(name)
            if isinstance(most, bool) or not isinstance(most, int) or not 1 <= most <= _MOST:
                raise InputError(
                    "usage",
                    "under differential privacy nobody looks up how many rows hang on one",
                    where=name,
                    remedy=f'declare it, from 1 to {_MOST:,}: most={{"{name}": 20}}',
                )
        return self


@dataclass(frozen=True)
class Layout:
    """One table as it is learned: names and types, and nothing of any row.

    Its fields are first those of its parent's row (``context``, their places there), of which the first
    ``above`` are numbers of rows; then its ``own`` columns; then the numbers of rows of its ``children``.
    ``schema`` has own columns and numbers of rows by the names of their codings; ``most`` rows of this table
    hang on one, 0 if it is the people's.
    """

    name: str
    most: int
    own: tuple[str, ...]
    children: tuple[str, ...]
    schema: Mapping[str, pl.DataType]
    declared: Declared
    context: tuple[int, ...]
    above: int
    fields: tuple[Field, ...]


def layouts(tables: Mapping[str, pl.DataFrame], tree: Tree, said: Said, context: int) -> dict[str, Layout]:
    """How each table is learned, parents first.

    A row goes by how many rows of its table hang on its parent, and of their parent's table on that one's,
    and so on: whoever has many rows gives one all the same, which is made up for by that alone. Then by as
    many as ``context`` of its parent's other fields, its own before those from above.

    Raises:
        InputError: ``column-values``: keys of public tables that are neither whole numbers nor text.
    """
    found: dict[str, Layout] = {}
    for name in tree.order:
        link = tree.parent.get(name)
        own = columns_of(tables[name], tree, name)
        children = tree.children(name)
        keys = {each.column: each for each in tree.lookups.get(name, ())}
        schema = {
            column_of(name, column): pl.String() if column in keys else tables[name].schema[column]
            for column in own
        }
        schema |= {count_name(name, child): pl.Int64() for child in children}
        public = {
            column: _names(tables[each.to][each.other], f"{each.to}.{each.other}")
            for column, each in keys.items()
        }
        declared = _declared(name, said, public, children)
        places, above = ((), 0) if link is None else _context(found[link.to], name, context)
        given = () if link is None else tuple(found[link.to].fields[place] for place in places)
        fields = (*given, *public_fields(schema, declared))
        most = 0 if link is None else said.most[name]
        found[name] = Layout(name, most, own, children, schema, declared, places, above, fields)
    return found


def columns_of(table: pl.DataFrame, tree: Tree, name: str) -> tuple[str, ...]:
    """The columns of a table that are learned: those that name no row of a table of people."""
    link = tree.parent.get(name)
    names = {*tree.named.get(name, ()), *([link.column] if link else [])}
    return tuple(column for column in table.columns if column not in names)


def count_name(table: str, child: str) -> str:
    """What the number of a child's rows on one row of a table is called."""
    return f"{table}: rows of {child}"


def _context(parent: Layout, name: str, most: int) -> tuple[tuple[int, ...], int]:
    begin = len(parent.context)
    counts = begin + len(parent.own)
    mine = counts + parent.children.index(name)
    numbers = [mine, *range(parent.above)]
    others = [*range(begin, counts), *range(parent.above, begin), *range(counts, len(parent.fields))]
    others = [place for place in others if place != mine]
    return (*numbers, *others[:most]), len(numbers)


def _declared(
    name: str, said: Said, public: Mapping[str, Sequence[str]], children: Sequence[str]
) -> Declared:
    def of(known: Mapping[str, Any]) -> dict[str, Any]:
        return {column_of(name, column): each for column, each in known.items()}

    counts = {count_name(name, child): (0, said.most[child]) for child in children}
    return Declared(
        {**of(said.bounds.get(name, {})), **counts},
        of({**said.categories.get(name, {}), **public}),
        of(said.decimals.get(name, {})),
    )


def _names(keys: pl.Series, where: str) -> list[str]:
    """The keys of a public table, which are the categories of columns that lead there."""
    plain = named(keys)
    if plain.dtype.is_float():
        raise InputError(
            "column-values", "keys are whole numbers or text", where=where, remedy="write them as text"
        )
    found: list[str] = plain.cast(pl.String).to_list()
    return found
