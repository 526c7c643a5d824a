"""A table as coded rows, and coded rows as a table that looks like the first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sfumato.core.errors import InputError
from sfumato.synth.coded import Coded, Field
from sfumato.synth.encoding import learned
from sfumato.synth.encoding.columns import Coding, Wanted, restored

if TYPE_CHECKING:
    from dp_accounting import DpEvent

    from sfumato.dp.budget import Budget
    from sfumato.synth.encoding.private import Declared

Rare = Literal["merge", "keep"] | Mapping[str, Literal["merge", "keep"]]


@dataclass(frozen=True)
class Encoder:
    """How each column is coded, fitted once.

    Each column is one field, of any number of codes: a category of ten thousand values has ten thousand (a
    synthesizer that works on tables of counts must not cross it with another column).
    ``facts`` is what the dossier says.
    """

    columns: tuple[Coding, ...]
    target: str | None = None
    facts: Mapping[str, Any] | None = None

    @classmethod
    def fit(
        cls,
        table: pl.DataFrame,
        *,
        target: str | None = None,
        bins: int = 64,
        values: int = 100,
        least: int = 10,
        rare: Rare = "merge",
    ) -> Encoder:
        """Bins of numbers and values of categories, from the rows.

        What fewer than ``least`` people have does not come out as a value of its own, unless it is kept. A
        rare category gets a code together with the others of its column, from which common values are drawn
        by their shares; where nothing is common it becomes missing, and where even together they are few they
        are coded as the most common value, which few missing values are too. A number below the tenth
        smallest, or above the tenth largest, is moved there; in between, values are drawn from stretches of
        ten people or more. NaN and infinities are missing.

        Args:
            target: the column that models will foretell.
            bins: about how many codes a number has, where it has more than ``values`` common values.
            least: 1 or more people.
            rare: "keep": every value that occurs may come out, and whoever alone has it can be recognized by
                it. For all columns, or by column.

        Raises:
            InputError: ``usage``: no rows, no columns, or no such target; ``column-values``: a column of a
                type that cannot be coded.
        """
        checked(table, target)
        found = [
            learned.column(table[name], bins, values, 1 if _kept(rare, name) else least)
            for name in table.columns
        ]
        facts = {"columns": [fact for _, fact in found], "least": least}
        return cls(tuple(coding for coding, _ in found), target, facts)

    @staticmethod
    def event(
        schema: Mapping[str, pl.DataType], declared: Declared, *, noise: float, delta: float, bins: int = 32
    ) -> DpEvent:
        """What :meth:`fit_private` is charged; it follows from names, types and what was declared alone.

        Raises:
            InputError: ``usage``: what was declared does not suit the schema.
        """
        from sfumato.synth.encoding.private import Domain

        return Domain.of(schema, declared, bins).event(noise, delta)

    @classmethod
    def fit_private(
        cls,
        table: pl.DataFrame,
        declared: Declared,
        budget: Budget,
        *,
        noise: float,
        delta: float,
        target: str | None = None,
        bins: int = 32,
    ) -> Encoder:
        """As :meth:`fit` under differential privacy: what is not declared is learned with noise.

        The budget is charged with :meth:`event` before anything is drawn. Names and types are public; the
        number of rows is not.
        """
        from sfumato.synth.encoding.private import Domain

        known(table.columns, target)
        domain = Domain.of(table.schema, declared, bins)
        event = domain.event(noise, delta)
        budget.spend(event, place="domain of synthesis", delta=delta or None)
        columns = domain.drawn(table, noise, delta)
        facts = {"columns": [{"column": column.field.column} for column in columns], "declared": domain.said}
        return cls(tuple(columns), target, facts)

    @property
    def fields(self) -> tuple[Field, ...]:
        """The fields, in the order of the columns."""
        return tuple(column.field for column in self.columns)

    def encode(self, table: pl.DataFrame) -> Coded:
        """The codes of a table's rows."""
        codes = np.empty((table.height, len(self.columns)), dtype=np.int32, order="F")
        for place, column in enumerate(self.columns):
            codes[:, place] = column.encode(table[column.field.column])
        names = [field.column for field in self.fields]
        return Coded(self.fields, codes, None if self.target is None else names.index(self.target))

    def decode(self, codes: NDArray[np.int32], random: np.random.Generator) -> pl.DataFrame:
        """Values for codes; where a code stands for many, one of them is drawn."""
        return pl.DataFrame(
            [column.decode(codes[:, place], random) for place, column in enumerate(self.columns)]
        )

    def within(self, wanted: Mapping[str, Wanted]) -> tuple[Encoder, dict[int, NDArray[np.bool_]]]:
        """The encoder that decodes to wanted values alone, and the codes of each field that it may decode."""
        columns, masks = list(self.columns), {}
        for place, field in enumerate(self.fields):
            if field.column in wanted:
                columns[place], masks[place] = columns[place].within(wanted[field.column])
        return replace(self, columns=tuple(columns)), masks

    def document(self) -> dict[str, Any]:
        """The encoder as JSON."""
        return {
            "columns": [column.document() for column in self.columns],
            "target": self.target,
            "facts": None if self.facts is None else dict(self.facts),
        }

    @classmethod
    def restored(cls, document: Mapping[str, Any]) -> Encoder:
        """The encoder that :meth:`document` wrote."""
        columns = tuple(restored(column) for column in document["columns"])
        return cls(columns, document["target"], document["facts"])


def checked(table: pl.DataFrame, target: str | None) -> None:
    """Refuse a table that nothing can be learned from."""
    known(table.columns, target)
    if not table.height:
        raise InputError("usage", "there are no rows to learn from", remedy="give a table with rows")


def known(columns: Sequence[str], target: str | None) -> None:
    """Refuse a table without columns, or without its target."""
    if not columns:
        raise InputError("usage", "there are no columns to learn from", remedy="give a table with columns")
    if target is not None and target not in columns:
        raise InputError(
            "usage", "the table has no such target", where=target, remedy="name one of its columns"
        )


def _kept(rare: Rare, name: str) -> bool:
    return (rare if isinstance(rare, str) else rare.get(name, "merge")) == "keep"
