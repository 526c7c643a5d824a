"""Further tables of the same people: each a snapshot of its own, whose rows are the people's.

Whoever is held out of the people's table is held out of all with every row, for draws are of people.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import polars as pl

from sfumato.contracts import ROW
from sfumato.core.disclosure import LEAST, round_count
from sfumato.core.errors import InputError
from sfumato.core.keyed import derive
from sfumato.core.values import Role
from sfumato.pipeline.snapshot import IDENTITY, UNIT, Snapshot, file_source
from sfumato.policy.model import Policy
from sfumato.policy.tables import Column, Table

_LINK, _WHY = "__sfumato_link__", "names rows, and is made anew"


@dataclass(frozen=True)
class Below(Snapshot):
    """A table whose rows hang on those of the people's, or of another table."""

    real: Snapshot
    name: str

    @classmethod
    def of(cls, real: Snapshot, name: str) -> Below:
        """One of a snapshot's further tables, by its name."""
        there = real.given.get(name)
        source = there if there is not None else file_source(real.policy.tables[name].source, real.folder)
        return cls(_of_table(real.policy, name), real.folder, source, real.project, real.engine, real, name)

    @property
    def table(self) -> Table:
        """What the policy says of it."""
        return self.real.policy.tables[self.name]

    @cached_property
    def frame(self) -> pl.LazyFrame:
        """All rows, typed, with their numbers and the people whose they are; nobody's if a key is lost."""
        names, id_of = self._above()
        link = self.real.identified(self._as_above(names), id_of).alias(_LINK)
        linked = self._scanned.with_columns(pl.col(ROW).alias(IDENTITY), link)
        return linked.join(names.select(_LINK, UNIT), on=_LINK, how="left", maintain_order="left").drop(_LINK)

    def _above(self) -> tuple[pl.LazyFrame, str]:
        """The names of the rows on which these hang, with whose those are, and what they are the names of."""
        if self.table.of is None:
            subject = self.real.policy.dataset.subject
            assert subject is not None
            return self._named(self.real, subject, subject), subject
        above = self.real.below[self.table.of]
        assert above.table.id is not None
        id_of = f"{above.name} {above.table.id}"
        return self._named(above, above.table.id, id_of), id_of

    def _named(self, above: Snapshot, column: str, id_of: str) -> pl.LazyFrame:
        link = self.real.identified(pl.col(column), id_of).alias(_LINK)
        known = above.frame.filter(pl.col(column).is_not_null()).with_columns(link)
        return known.select(pl.col(column).alias(self.table.key), _LINK, UNIT).unique(_LINK)

    def _as_above(self, names: pl.LazyFrame) -> pl.Expr:
        """The key, as the number that the row above has where gaps made another of it."""
        key, kinds = self.table.key, (self._scanned.collect_schema(), names.collect_schema())
        numbers = all(kind[key].is_numeric() for kind in kinds)
        return pl.col(key).cast(kinds[1][key], strict=False) if numbers else pl.col(key)

    def refuse_lost_rows(self) -> None:
        """Refuse keys that are missing, occur twice or lead nowhere: nobody would know whose such rows are.

        Raises:
            InputError: ``column-values``.
        """
        key = self.table.key
        counts = self.frame.select(
            pl.col(key).is_null().sum().alias("missing"),
            (pl.col(key).is_not_null() & pl.col(UNIT).is_null()).sum().alias("lost"),
        ).collect(engine="streaming")
        above = self.table.of or self.real.policy.dataset.name
        for rows, what in zip(counts.row(0), ("name no row of", "name a row that is not in"), strict=True):
            if rows:
                raise InputError(
                    "column-values",
                    f"{_about(rows)} {what} {above}",
                    where=f"table {self.name}, column {key}",
                    remedy="leave such rows out of the source: nobody knows whose they are",
                )
        if self.table.id is not None:
            refuse_shared_names(self, self.table.id, f"table {self.name}, column {self.table.id}")

    @cached_property
    def release_key(self) -> bytes:
        """The key of the release for this table: no other table shares a draw with it."""
        return derive(self.real.release_key, "table", self.name)

    @cached_property
    def people_key(self) -> bytes:
        """That of the people: who is held out is so with all rows."""
        return self.real.people_key

    @cached_property
    def least_offered(self) -> int:
        """That of the people."""
        return self.real.least_offered

    @cached_property
    def policy_digest(self) -> str:
        """That of the whole policy."""
        return self.real.policy_digest

    def digest_now(self) -> str:
        """SHA-256 of the files' bytes as they are now."""
        return self._digest_now([])


def refuse_loose_rows(snapshot: Snapshot) -> None:
    """Refuse further tables with rows of nobody, and people who are named twice.

    Raises:
        InputError: ``column-values``.
    """
    subject = snapshot.policy.dataset.subject
    if snapshot.below and subject is not None:
        refuse_shared_names(snapshot, subject, f"column {subject}")
    for table in snapshot.below.values():
        table.refuse_lost_rows()


def refuse_shared_names(snapshot: Snapshot, column: str, where: str) -> None:
    """Refuse names of rows that are missing or that two rows have, be it but for blanks at the ends.

    People are drawn by their identities: two of one identity would be one person with somebody else's rows.

    Raises:
        InputError: ``column-values``.
    """
    name = pl.col(column)
    known = snapshot.frame.select(name, snapshot.identified(name, column).alias(IDENTITY))
    counts = known.select(
        name.is_null().sum().alias("missing"),
        (name.is_not_null() & pl.col(IDENTITY).is_duplicated()).sum().alias("twice"),
    ).collect(engine="streaming")
    for rows, what in zip(counts.row(0), ("have no name", "share a name with another"), strict=True):
        if rows:
            raise InputError(
                "column-values",
                f"{_about(rows)} {what}",
                where=where,
                remedy="give every row of this table a name of its own",
            )


def _about(rows: int) -> str:
    return f"fewer than {LEAST} rows" if rows < LEAST else f"about {round_count(rows):,} rows"


def _of_table(policy: Policy, name: str) -> Policy:
    """The policy for one table alone: nobody's subject or target is in it, and nothing is made of it."""
    table = policy.tables[name]
    dataset = policy.dataset.model_copy(
        update={"source": table.source, "key": None, "subject": None, "target": None, "population": None}
    )
    named = Column.model_validate({"role": Role.DIRECT_IDENTIFIER, "action": "keep", "why": _WHY})
    columns = {**dict.fromkeys(table.names, named), **table.columns}
    return policy.model_copy(update={"dataset": dataset, "columns": columns, "tables": {}, "synthesis": None})
