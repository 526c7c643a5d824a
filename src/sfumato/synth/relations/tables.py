"""What users hold: taught tables that hang together, from which new ones are made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
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

if TYPE_CHECKING:
    from sfumato.contracts import SynthesisModel


@dataclass(frozen=True)
class Naming:
    """How made rows are called: whole numbers above ``above``, or ``prefix`` and a number.

    Either is beyond all keys that there were.
    """

    dtype: pl.DataType
    above: int = 0
    prefix: str = ""

    @classmethod
    def of(cls, keys: pl.Series, where: str) -> Naming:
        """Names that none of the keys is."""
        if keys.dtype.is_integer():
            return cls(keys.dtype, 10 ** len(str(max(0, keys.max() or 0))))
        if not isinstance(keys.dtype, pl.String | pl.Categorical):
            raise InputError(
                "column-values",
                "keys are whole numbers or text",
                where=where,
                remedy="write them as text",
            )
        prefix, text = "synthetic-", keys.cast(pl.String)
        while text.str.starts_with(prefix).any():
            prefix = f"synthetic-{prefix}"
        return cls(keys.dtype, 0, prefix)

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
    ``own``, then how many rows of each of the ``children`` hang on a row.
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


@dataclass(frozen=True)
class Made:
    """New rows: as a table, as codes, and how many of each child's rows hang on each."""

    rows: pl.DataFrame
    codes: NDArray[np.int32]
    children: Mapping[str, NDArray[np.int64]]


@dataclass(frozen=True)
class SyntheticTables:
    """Taught tables of the same people. Made by :func:`~sfumato.synth.relations.fit` or :func:`load`.

    Nothing bounds what they tell of a person: they were not learned under differential privacy.
    """

    method: str
    parts: tuple[Part, ...]
    public: Mapping[str, pl.DataFrame]
    order: tuple[str, ...]
    facts: Mapping[str, Any]
    kinds: Mapping[str, Any]

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
        for part in self.parts:
            random = generator(derive(root, "relations", part.name))
            made[part.name] = _made(part, people, made, random)
        frames = {**self.public, **{name: one.rows for name, one in made.items()}}
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
            }
            parts.append(said)
        whole = {
            "method": self.method,
            "relations": parts,
            "public": {name: _said(table) for name, table in self.public.items()},
            "order": list(self.order),
            "facts": dict(self.facts),
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
        return SyntheticTables(document["method"], parts, public, order, document["facts"], {})
    except (KeyError, TypeError, ValueError, AttributeError, pl.exceptions.PolarsError):
        raise InputError(
            "source-unreadable", "not tables that sfumato learned and saved", where=str(path)
        ) from None


def _made(part: Part, people: int, made: Mapping[str, Made], random: np.random.Generator) -> Made:
    """New rows of one table, after those of the one on which it hangs."""
    columns: dict[str, pl.Series] = {}
    given = np.zeros((people, 0), dtype=np.int32)
    if part.link is not None:
        above = made[part.link.to]
        parent = np.repeat(np.arange(above.rows.height), above.children[part.name])
        columns[part.link.column] = (
            above.rows[part.link.other].gather(parent).cast(part.schema[part.link.column])
        )
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
    for name, series in zip(part.own, values, strict=False):
        columns[name] = series.cast(part.schema[name])
    counts = dict.fromkeys(part.children, np.zeros(rows, dtype=np.int64))
    for child, series in zip(part.children, values[len(part.own) :], strict=False):
        counts[child] = series.to_numpy()
    for name, naming in part.naming.items():
        # A key that is its parent's has that one's name.
        columns.setdefault(name, naming.names(rows, f"{part.name}.{name}"))
    # A table that was empty stays so, and nothing was learned of its columns.
    empty = {name: pl.Series(name, [], dtype=dtype) for name, dtype in part.schema.items()}
    frame = pl.DataFrame([{**empty, **columns}[name].alias(name) for name in part.schema])
    return Made(frame, codes, counts)


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
    )


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
