"""Rows of people as they hang together, and of everybody one row in each table."""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sfumato.core.keyed import derive, uniforms
from sfumato.synth.encoding.encoder import Encoder
from sfumato.synth.relations.declared import Layout, count_name
from sfumato.synth.relations.keys import named, parents
from sfumato.synth.relations.tree import Tree


@dataclass(frozen=True)
class Rows:
    """The rows of people, as they hang together.

    ``parent`` has for each table below the people's the place of the row on which each row hangs.
    """

    tables: Mapping[str, pl.DataFrame]
    tree: Tree
    layouts: Mapping[str, Layout]
    parent: Mapping[str, NDArray[np.int64]]
    key: bytes

    @classmethod
    def of(
        cls,
        tables: dict[str, pl.DataFrame],
        tree: Tree,
        layouts: Mapping[str, Layout],
        key: bytes,
        least: int,
    ) -> Rows:
        """The rows, if every key leads somewhere.

        Raises:
            InputError: ``column-values``: keys that are missing, occur twice or lead nowhere.
        """
        return cls(tables, tree, layouts, parents(tables, tree, least), key)

    @property
    def people(self) -> int:
        """How many people there are."""
        return self.tables[self.tree.order[0]].height

    def one_each(self, name: str) -> NDArray[np.int64]:
        """The places of one row of everybody who has any in a table, shape (people who have any,).

        They stand in the order of the people. Another person changes none of them.
        """
        way = [name]
        while way[0] in self.parent:
            way.insert(0, self.tree.parent[way[0]].to)
        leading = {name: np.arange(self.tables[name].height)}
        for above, below in zip(way[-2::-1], way[:0:-1], strict=True):
            leading[above] = np.unique(self.parent[below][leading[below]])
        chosen = whose = leading[way[0]]
        for level in way[1:]:
            rows = leading[level]
            person = np.full(self.tables[self.tree.parent[level].to].height, -1)
            person[chosen] = whose
            rows = rows[person[self.parent[level][rows]] >= 0]
            of = person[self.parent[level][rows]]
            order = np.argsort(of, kind="stable")
            whose, begins, counts = np.unique(of[order], return_index=True, return_counts=True)
            draw = uniforms(derive(self.key, "relations", "one row", name, level), self._numbers[whose])
            chosen = rows[order[begins + (draw * counts).astype(np.int64)]]
        return chosen

    def values(self, name: str, places: NDArray[np.int64]) -> pl.DataFrame:
        """Own columns of rows, and how many rows of each child hang on them."""
        layout, table = self.layouts[name], self.tables[name]
        keys = {each.column for each in self.tree.lookups.get(name, ())}
        columns = []
        for column, coded in zip(layout.own, layout.schema, strict=False):
            values = table[column].gather(places)
            columns.append((named(values).cast(pl.String) if column in keys else values).alias(coded))
        for child in layout.children:
            counts = np.bincount(self.parent[child], minlength=table.height)[places]
            columns.append(pl.Series(count_name(name, child), counts.astype(np.int64)))
        return pl.DataFrame(columns)

    def codes(
        self, name: str, places: NDArray[np.int64], encoders: Mapping[str, Encoder]
    ) -> NDArray[np.int32]:
        """Rows of a table as its encoder has them, shape (rows, fields)."""
        layout = self.layouts[name]
        own = Encoder(encoders[name].columns[len(layout.context) :])
        codes = own.encode(self.values(name, places)).codes
        if not layout.context:
            return codes
        above = self.codes(self.tree.parent[name].to, self.parent[name][places], encoders)
        return np.asfortranarray(np.concatenate([above[:, layout.context], codes], axis=1))

    @cached_property
    def _numbers(self) -> NDArray[np.uint64]:
        """A number for each of the people, by what they are called alone."""
        top = self.tree.order[0]
        below = next(link for link in self.tree.parent.values() if link.to == top)
        key = derive(self.key, "relations", "people")
        names = named(self.tables[below.to][below.other]).cast(pl.String).to_list()
        digests = b"".join(hmac.digest(key, name.encode(), "sha256")[:8] for name in names)
        return np.frombuffer(digests, dtype="<u8").astype(np.uint64)
