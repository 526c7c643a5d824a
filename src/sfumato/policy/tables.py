"""The parts of a policy that say what a table is, what is done to its columns, and which hang together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from sfumato.core.values import Role, column_of
from sfumato.engines.textfiles import SEPARATOR_WORDS, is_separator
from sfumato.policy.parts import Name, Part, Section, Text
from sfumato.policy.synthetic import Synthesis


class Source(Section):
    """Where the rows are: a path, glob pattern or folder, relative to the policy's folder."""

    path: Text
    """A file, a glob pattern or a folder; all files that match are one table."""
    format: Literal["csv", "tsv", "parquet", "ndjson"] | None = None
    """The format; by default the file's ending says it."""
    separator: str | None = None
    """The character between the cells of a csv file; by default the format's own."""
    encoding: Literal["utf-8", "latin-1", "cp1252"] = "utf-8"
    """The encoding of a text file."""
    missing: tuple[str, ...] = ()
    """Texts that mean "missing", besides the empty one."""

    @field_validator("separator")
    @classmethod
    def _one_character(cls, value: str | None) -> str | None:
        if value is not None and not is_separator(value):
            raise ValueError(SEPARATOR_WORDS)
        return value


class Column(Section):
    """What is done to one column and why."""

    role: Role
    """How the column is treated."""
    sensitive: bool = False
    """Whether it would harm a person if learned; it then counts as unknown to outsiders."""
    known_to: tuple[Text, ...] = ()
    """Who knows a sensitive column all the same; the attacks then know it too."""
    action: Part | None = None
    """What happens to the column; by default what its role says."""
    hierarchy: Part | None = None
    """How its values become coarser, for the action generalize; by default the value or nothing."""
    why: Text
    """The reason, which may name use, attacker and outside source; it is published."""

    @field_validator("action", mode="before")
    @classmethod
    def _action(cls, value: Any) -> Any:
        return None if value is None else Part.written(value, "do")

    @field_validator("hierarchy", mode="before")
    @classmethod
    def _hierarchy(cls, value: Any) -> Any:
        return None if value is None else Part.written(value, "kind")

    @model_validator(mode="after")
    def _known_to_needs_sensitive(self) -> Self:
        if self.known_to and not self.sensitive:
            raise ValueError("known_to says who knows a sensitive column: add sensitive: true")
        if self.hierarchy is not None and self.done != "generalize":
            raise ValueError("a hierarchy is for the action generalize, and this column has another")
        if self.done == "generalize" and self.action is not None and set(self.action.params) - {"level"}:
            raise ValueError("the action generalize takes a level; the hierarchy stands beside it")
        return self

    @property
    def done(self) -> str:
        """The name of the action, the role's default if none is written."""
        return self.action.name if self.action is not None else DEFAULT_ACTIONS[self.role]


DEFAULT_ACTIONS = {
    Role.DIRECT_IDENTIFIER: "drop",
    Role.QUASI_IDENTIFIER: "generalize",
    Role.INSENSITIVE: "keep",
}


class Table(Section):
    """A further table of the same people: each row hangs on one of the people's, or of another table.

    Its rows leave as those of people who were made. Columns that only name rows are not decided about: their
    names are made anew.
    """

    source: Source
    """Where its rows are."""
    key: Text
    """The column that names the row on which each row hangs: a person, by ``dataset.subject``."""
    of: Name | None = None
    """The table that ``key`` names rows of, by its ``id``; by default the people's."""
    id: Text | None = None
    """The column that names this table's own rows, where it has one."""
    columns: Annotated[dict[str, Column], Field(default_factory=dict)]
    """What is done to each of its columns; a column that is not here is dropped."""
    most: Annotated[int, Field(ge=1, le=10_000)] | None = None
    """Under differential privacy: how many rows of this table hang on one at most, as everybody may know it.
    More count as so many."""

    @property
    def names(self) -> tuple[str, ...]:
        """The columns that only name rows."""
        return (self.key,) if self.id is None else (self.id, self.key)

    @model_validator(mode="after")
    def _names_are_not_decided(self) -> Self:
        if self.key == self.id:
            raise ValueError(f'"{self.key}" cannot name both a row of this table and the one it hangs on')
        for name in self.names:
            if name in self.columns:
                raise ValueError(f'"{name}" only names rows, and gets made names: leave it out of columns')
        return self


def downwards(tables: Mapping[str, Table]) -> dict[str, Table]:
    """The tables by how far they are from the people's, then by name: however they were written."""

    def depth(name: str) -> int:
        above, seen = tables[name].of, {name}
        while above is not None and above in tables and above not in seen:
            seen.add(above)
            above = tables[above].of
        return len(seen)

    return {name: tables[name] for name in sorted(tables, key=lambda name: (depth(name), name))}


def tables_are_made(asked: Synthesis) -> None:
    """Refuse what a synthesizer of several tables has no place for.

    Raises:
        ValueError: what is wrong, for the loader to say where.
    """
    if asked.history is not None or asked.images is not None:
        raise ValueError("tables hang on rows of people; histories and images have none: leave them out")
    for name in ("text", "constraints", "balance"):
        if getattr(asked, name):
            raise ValueError(f"{name} is for one table, and several are made: leave it out of synthesis")


def refuse_lost(
    people: str, columns: Mapping[str, Column], tables: Mapping[str, Table], *, private: bool
) -> None:
    """Refuse tables that hang on none, and names that stand for two things.

    Args:
        people: the name of the people's table.
        columns: of the people's table.
        private: differential privacy is asked for.

    Raises:
        ValueError: what is wrong, for the loader to say where.
    """
    taken = {people.lower()}
    for name, table in tables.items():
        if name.lower() in taken:
            raise ValueError(f'tables: two tables would be files of the name "{name}": rename one')
        taken.add(name.lower())
        if table.of is not None and (table.of not in tables or tables[table.of].id is None):
            raise ValueError(
                f'tables.{name}.of: "{table.of}" is no other table with an id; leave it out where rows hang '
                "on people"
            )
        _climb(name, tables)
        if private is not (table.most is not None):
            raise ValueError(
                f"tables.{name}.most: say how many rows hang on one at most, which under dp nobody looks up"
                if private
                else f"tables.{name}.most is for differential privacy: without it the source says it"
            )
        for column in (*table.columns, *table.names):
            if column_of(name, column) in columns:
                raise ValueError(f'"{column_of(name, column)}" stands for two columns: rename the people\'s')
        if all(column.done == "drop" for column in table.columns.values()) and table.id is None:
            raise ValueError(f"tables.{name}: every column is dropped: keep one, or leave the table out")


def _climb(name: str, tables: Mapping[str, Table]) -> None:
    """Refuse tables that hang on each other in a circle."""
    seen = [name]
    while (above := tables[seen[-1]].of) is not None and above in tables:
        if above in seen:
            raise ValueError(f"tables.{name}.of: the tables hang on each other, and none on the people")
        seen.append(above)
