"""Which table hangs on which: one tree from the people down, and tables that everybody knows beside it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import polars as pl

from sfumato.core.errors import InputError, nearest

#: A column of one table that names rows of another: table, column, the other table, its column.
Key = tuple[str, str, str, str]


class Link(NamedTuple):
    """A table's ``column`` names rows of the table ``to`` by that one's column ``other``."""

    column: str
    to: str
    other: str


@dataclass(frozen=True)
class Tree:
    """The tables of people, parents first; ``parent`` of each but the first, and ``lookups`` beside it.

    ``named`` are the columns of each table that are made anew because they only name its rows.
    """

    order: tuple[str, ...]
    parent: Mapping[str, Link]
    lookups: Mapping[str, tuple[Link, ...]]
    named: Mapping[str, tuple[str, ...]]
    public: tuple[str, ...]

    def children(self, name: str) -> tuple[str, ...]:
        """The tables that hang on one."""
        return tuple(table for table in self.order if table in self.parent and self.parent[table].to == name)

    @classmethod
    def of(
        cls,
        tables: Mapping[str, pl.DataFrame],
        keys: Iterable[Key],
        subject: str,
        ids: Mapping[str, str | Sequence[str]],
        public: Sequence[str],
    ) -> Tree:
        """The tree that the keys make.

        Raises:
            InputError: ``unknown-name``: no such table or column; ``usage``: the keys make no tree.
        """
        known = [_key(tables, each) for each in keys]
        named = {
            name: [columns] if isinstance(columns, str) else list(columns) for name, columns in ids.items()
        }
        for name, columns in named.items():
            for column in columns:
                _column(tables, name, column)
        for name in (subject, *public):
            _table(tables, name)
        if subject in public:
            raise _no_tree("the table of the people cannot be public", subject)
        parent: dict[str, Link] = {}
        lookups: dict[str, list[Link]] = {}
        for child, column, to, other in known:
            if child in public:
                if to not in public:
                    raise _no_tree("a public table names rows of one that is not", child)
                continue
            link = Link(column, to, other)
            others = [*lookups.get(child, ()), *([parent[child]] if child in parent else ())]
            if any(each.column == column for each in others):
                raise _no_tree("a column is named in two keys", f"{child}.{column}")
            if to in public:
                lookups.setdefault(child, []).append(link)
                continue
            if child in parent:
                raise InputError(
                    "usage",
                    "a table names rows of two tables of people, and can hang on one",
                    where=child,
                    remedy="leave out one key and its column; a table that says nothing of people may be"
                    " passed on as it is with public=",
                )
            parent[child] = link
            named.setdefault(to, [])
            named[to] += [other] * (other not in named[to])
        for name, links in lookups.items():
            for link in links:
                if link.column in named.get(name, ()):
                    raise _no_tree(
                        "a column that names rows of its own table leads to another", f"{name}.{link.column}"
                    )
        order = _ordered(tables, parent, subject, public)
        return cls(
            order,
            parent,
            {name: tuple(links) for name, links in lookups.items()},
            {name: tuple(columns) for name, columns in named.items()},
            tuple(public),
        )


def _ordered(
    tables: Mapping[str, pl.DataFrame], parent: Mapping[str, Link], subject: str, public: Sequence[str]
) -> tuple[str, ...]:
    """The tables of people, each after the one on which it hangs."""
    if subject in parent:
        raise InputError(
            "usage",
            "the table of the people names rows of another, or of itself",
            where=f"{subject}.{parent[subject].column}",
            remedy="name the table at the top as the subject's, or leave this key and its column out",
        )
    found = [subject]
    for name in found:
        found += [child for child in tables if child in parent and parent[child].to == name]
    lost = [name for name in tables if name not in found and name not in public]
    if lost:
        raise InputError(
            "usage",
            "keys go in a circle here, or none leads up to the table of the people",
            where=", ".join(lost),
            remedy="give the key, leave the table out, or pass it on as it is with public= if it says"
            " nothing of people",
        )
    return tuple(found)


def _key(tables: Mapping[str, pl.DataFrame], each: Key) -> Key:
    if isinstance(each, str) or len(each) != 4:
        raise InputError(
            "usage",
            "a key has four parts",
            remedy='give (child, column, parent, column): ("purchases", "customer", "customers", "id")',
        )
    child, column, to, other = each
    _column(tables, child, column)
    _column(tables, to, other)
    return child, column, to, other


def _table(tables: Mapping[str, pl.DataFrame], name: str) -> None:
    if name not in tables:
        raise InputError("unknown-name", "there is no such table", where=name, remedy=nearest(name, tables))


def _column(tables: Mapping[str, pl.DataFrame], name: str, column: str) -> None:
    _table(tables, name)
    if column not in tables[name].columns:
        raise InputError(
            "unknown-name",
            "there is no such column",
            where=f"{name}.{column}",
            remedy=nearest(column, tables[name].columns),
        )


def _no_tree(what: str, where: str) -> InputError:
    return InputError("usage", what, where=where, remedy="give keys that lead up to the table of the people")
