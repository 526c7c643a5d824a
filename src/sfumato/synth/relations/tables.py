"""What users hold: taught tables that hang together, from which new ones are made."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sfumato.core.errors import InputError
from sfumato.core.keyed import derive, generator
from sfumato.engines.interchange import like
from sfumato.synth import SYNTHESIZERS, saved
from sfumato.synth.encoding.encoder import Encoder
from sfumato.synth.encoding.scales import dtype_document, dtype_restored
from sfumato.synth.relations.context import following
from sfumato.synth.relations.tree import Link
from sfumato.synth.synthetic import Charged

if TYPE_CHECKING:
    from sfumato.contracts import SynthesisModel


@dataclass(frozen=True)
class Naming:
    """How made rows are called: whole numbers above ``above``, or ``prefix`` and a number."""

    dtype: pl.DataType
    above: int = 0
    prefix: str = ""

    @classmethod
    def public(cls, dtype: pl.DataType, where: str) -> Naming:
        """Names that follow from the type alone, from 1: one may be a key that there was, and is nobody's.

        Raises:
            InputError: ``column-values``: keys of this type are not made.
        """
        if dtype.is_integer():
            return cls(dtype)
        if not isinstance(dtype, pl.String | pl.Categorical):
            raise InputError(
                "column-values",
                "keys are whole numbers or text",
                where=where,
                remedy="write them as text",
            )
        return cls(dtype, 0, "synthetic-")

    @classmethod
    def of(cls, keys: pl.Series, where: str) -> Naming:
        """Names that none of the keys is, beyond all of them."""
        plain = cls.public(keys.dtype, where)
        if not plain.prefix:
            return replace(plain, above=10 ** len(str(max(0, keys.max() or 0))))
        prefix, text = plain.prefix, keys.cast(pl.String)
        while text.str.starts_with(prefix).any():
            prefix = f"{plain.prefix}{prefix}"
        return replace(plain, prefix=prefix)

    def names(self, rows: int, where: str) -> pl.Series:
        """So many names."""
        numbers = pl.int_range(self.above + 1, self.above + rows + 1, dtype=pl.Int64, eager=True)
        try:
            if self.prefix:
                return (self.prefix + numbers.cast(pl.String).str.zfill(7)).cast(self.dtype)
            return numbers.cast(self.dtype)
        except pl.exceptions.PolarsError:
            raise InputError(
                "usage",
                f"the type of this key ({self.dtype}) has not enough numbers for new rows",
                where=where,
                remedy="give it as Int64 before you teach",
            ) from None


@dataclass(frozen=True)
class Part:
    """One table, and what was learned of it.

    The encoder's columns are first those of the parent's row by which this table's rows go (``context``, the
    places of the parent's fields; ``stand_ins``, which code each of theirs counts as here), then the table's
    ``own``, then how many rows of each of the ``children`` hang on a row. Nobody made has more rows here than
    ``reach``, where it was learned: how many ten people have.
    """

    name: str
    schema: Mapping[str, pl.DataType]
    link: Link | None
    naming: Mapping[str, Naming]
    own: tuple[str, ...]
    children: tuple[str, ...]
    context: tuple[int, ...]
    stand_ins: tuple[tuple[int, ...], ...]
    encoder: Encoder
    model: SynthesisModel | None
    reach: int | None = None


@dataclass(frozen=True)
class Made:
    """New rows without their keys: whose each is and on which row above it hangs, shape (rows,); their codes;
    the values of their own columns; how many of each child's rows hang on each."""

    whose: NDArray[np.int64]
    parent: NDArray[np.int64]
    codes: NDArray[np.int32]
    values: Mapping[str, pl.Series]
    children: Mapping[str, NDArray[np.int64]]

    @classmethod
    def of(cls, part: Part, people: int, made: Mapping[str, Made], random: np.random.Generator) -> Made:
        """New rows of one table, after those of the one on which it hangs."""
        whose = parent = np.arange(people)
        given = np.zeros((people, 0), dtype=np.int32)
        if part.link is not None:
            above = made[part.link.to]
            many = above.children[part.name]
            many = many if part.reach is None else reaching(many, above.whose, part.reach)
            parent = np.repeat(np.arange(len(above.codes)), many)
            whose = above.whose[parent]
            given = np.empty((len(parent), len(part.context)), dtype=np.int32)
            for place, (field, stand_in) in enumerate(zip(part.context, part.stand_ins, strict=True)):
                given[:, place] = np.array(stand_in, dtype=np.int32)[above.codes[parent, field]]
        rows, fields = len(given), part.encoder.fields
        codes = np.zeros((rows, len(fields)), dtype=np.int32)
        if part.model is not None and rows:
            codes = following(part.model, fields, given, random)
        values = [
            coding.decode(codes[:, place], random)
            for place, coding in enumerate(part.encoder.columns)
            if place >= len(part.context)
        ]
        counts = dict.fromkeys(part.children, np.zeros(rows, dtype=np.int64))
        for child, series in zip(part.children, values[len(part.own) :], strict=False):
            counts[child] = series.to_numpy()
        return cls(whose, parent, codes, dict(zip(part.own, values, strict=False)), counts)


@dataclass(frozen=True)
class SyntheticTables:
    """Taught tables of the same people. Made by :func:`~sfumato.synth.relations.fit` or :func:`load`.

    Without a budget nothing bounds what they tell of a person; with one, ``charged`` says what does. Making
    rows costs nothing of it, however many they are.
    """

    method: str
    parts: tuple[Part, ...]
    public: Mapping[str, pl.DataFrame]
    order: tuple[str, ...]
    facts: Mapping[str, Any]
    kinds: Mapping[str, Any]
    charged: Charged | None = None

    @property
    def epsilon(self) -> float:
        """The most that all tables together tell of a person, infinite without differential privacy."""
        return math.inf if self.charged is None else self.charged.epsilon

    @property
    def delta(self) -> float:
        """The delta of :attr:`epsilon`."""
        return 0.0 if self.charged is None else self.charged.delta

    @property
    def event(self) -> Mapping[str, Any] | None:
        """What was charged, as JSON (:mod:`sfumato.dp.events`); None without differential privacy."""
        return None if self.charged is None else self.charged.event

    def sample(self, people: int, *, seed: int = 0, key: bytes | None = None) -> dict[str, Any]:
        """New tables about so many people, by name; the same seed or key gives the same.

        Every key leads to a row that is there, and every row has as many children as were drawn for it.
        Public tables come as they were given.

        Raises:
            InputError: ``usage``: fewer than no people; a key's type has too few numbers.
        """
        if people < 0:
            raise InputError("usage", "people are counted from 0")
        root = key if key is not None else derive(bytes(32), "rows", str(seed))
        made: dict[str, Made] = {}
        frames = dict(self.public)
        for part in self.parts:
            random = generator(derive(root, "relations", part.name))
            made[part.name] = Made.of(part, people, made, random)
            frames[part.name] = _framed(part, made[part.name], frames)
        return {name: self._out(name, frames[name]) for name in self.order}

    def content(self) -> bytes:
        """Everything that :func:`load` needs: numbers and JSON (safetensors), no code.

        What is in it was learned from people; it is as private as the rows that can be made from it.
        """
        arrays: dict[str, NDArray[Any]] = {}
        parts = []
        for place, part in enumerate(self.parts):
            said: dict[str, Any] = {"name": part.name, "model": None}
            if part.model is not None:
                learned, document = part.model.state()
                arrays |= {f"{place}/{name}": array for name, array in learned.items()}
                said["model"] = {"class": saved.place_of(part.model), "document": dict(document)}
            said |= {
                "schema": {name: dtype_document(dtype) for name, dtype in part.schema.items()},
                "columns": list(part.schema),
                "link": None if part.link is None else list(part.link),
                "naming": {
                    name: {**asdict(each), "dtype": dtype_document(each.dtype)}
                    for name, each in part.naming.items()
                },
                "own": list(part.own),
                "children": list(part.children),
                "context": list(part.context),
                "stand_ins": [list(each) for each in part.stand_ins],
                "encoder": part.encoder.document(),
                "reach": part.reach,
            }
            parts.append(said)
        whole = {
            "method": self.method,
            "relations": parts,
            "public": {name: _said(table) for name, table in self.public.items()},
            "order": list(self.order),
            "facts": dict(self.facts),
            "charged": None if self.charged is None else asdict(self.charged),
        }
        return saved.content(arrays, whole)

    def save(self, path: str | Path) -> None:
        """Write :meth:`content` to a file."""
        saved.write(path, self.content())

    def _out(self, name: str, table: pl.DataFrame) -> Any:
        kind = self.kinds.get(name)
        return table if kind is None else like(table, kind)


def load(path: str | Path) -> SyntheticTables:
    """The taught tables that :meth:`SyntheticTables.save` wrote; new ones come as Polars tables.

    Raises:
        InputError: ``source-missing``, ``source-unreadable``.
    """
    arrays, document = saved.read(path)
    try:
        kind = SYNTHESIZERS.resolve(document["method"])
        parts = tuple(_part(said, place, arrays, kind) for place, said in enumerate(document["relations"]))
        public = {name: _restored(said) for name, said in document["public"].items()}
        order = tuple(document["order"])
        charged = None if document["charged"] is None else Charged(**document["charged"])
        return SyntheticTables(document["method"], parts, public, order, document["facts"], {}, charged)
    except (KeyError, TypeError, ValueError, AttributeError, pl.exceptions.PolarsError):
        raise InputError(
            "source-unreadable", "not tables that sfumato learned and saved", where=str(path)
        ) from None


def _framed(part: Part, made: Made, frames: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """The table of new rows, with their keys."""
    # A table that was empty stays so, and nothing was learned of its columns.
    columns = {name: pl.Series(name, [], dtype=dtype) for name, dtype in part.schema.items()}
    columns |= {name: series.cast(part.schema[name]) for name, series in made.values.items()}
    for name, naming in part.naming.items():
        columns[name] = naming.names(len(made.codes), f"{part.name}.{name}")
    if part.link is not None:
        # A key that is its parent's has that one's name.
        above = frames[part.link.to][part.link.other]
        columns[part.link.column] = above.gather(made.parent).cast(part.schema[part.link.column])
    return pl.DataFrame([columns[name].alias(name) for name in part.schema])


def _part(said: Mapping[str, Any], place: int, arrays: Mapping[str, NDArray[Any]], kind: type[Any]) -> Part:
    encoder = Encoder.restored(said["encoder"])
    model = None
    if said["model"] is not None:
        begin = f"{place}/"
        mine = {name[len(begin) :]: array for name, array in arrays.items() if name.startswith(begin)}
        model = saved.class_at(said["model"]["class"], kind).restored(
            encoder.fields, mine, said["model"]["document"]
        )
    return Part(
        said["name"],
        {name: dtype_restored(said["schema"][name]) for name in said["columns"]},
        None if said["link"] is None else Link(*said["link"]),
        {
            name: Naming(dtype_restored(each["dtype"]), each["above"], each["prefix"])
            for name, each in said["naming"].items()
        },
        tuple(said["own"]),
        tuple(said["children"]),
        tuple(said["context"]),
        tuple(tuple(each) for each in said["stand_ins"]),
        encoder,
        model,
        said["reach"],
    )


def reaching(many: NDArray[np.int64], whose: NDArray[np.int64], reach: int) -> NDArray[np.int64]:
    """How many rows hang on each row above if nobody has more than ``reach``: the last ones are left out.

    Args:
        many: how many were drawn, shape (rows above,).
        whose: whose the rows above are, shape (rows above,), ascending.

    >>> reaching(np.array([3, 4, 1, 9]), np.array([0, 0, 0, 1]), 5).tolist()
    [3, 2, 0, 5]
    """
    before = np.cumsum(many) - many
    first = np.flatnonzero(np.diff(whose, prepend=-1))
    before -= np.repeat(before[first], np.diff(np.append(first, len(whose))))
    left: NDArray[np.int64] = np.clip(reach - before, 0, many)
    return left


def _said(table: pl.DataFrame) -> dict[str, Any]:
    """A public table as JSON: its types, and all values as text."""
    return {
        "columns": [
            {
                "name": column.name,
                "dtype": dtype_document(column.dtype),
                "values": _physical(column).cast(pl.String).to_list(),
            }
            for column in table.iter_columns()
        ]
    }


def _restored(said: Mapping[str, Any]) -> pl.DataFrame:
    columns = []
    for each in said["columns"]:
        dtype = dtype_restored(each["dtype"])
        text = pl.Series(each["name"], each["values"], dtype=pl.String)
        if dtype == pl.Boolean:
            columns.append(text == "true")
        elif dtype.is_temporal():
            columns.append(text.cast(pl.Int64).cast(dtype))
        else:
            columns.append(text.cast(dtype))
    return pl.DataFrame(columns)


def _physical(column: pl.Series) -> pl.Series:
    return column.to_physical() if column.dtype.is_temporal() else column
