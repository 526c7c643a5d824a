"""Teach a synthesizer several tables of the same people, joined by keys."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sfumato.core.errors import InputError
from sfumato.core.keyed import derive
from sfumato.engines.interchange import to_polars
from sfumato.synth.coded import Coded
from sfumato.synth.encoding.columns import Coding
from sfumato.synth.encoding.encoder import Encoder, checked
from sfumato.synth.encoding.learned import about
from sfumato.synth.fitting import Progress, kind_of, learner_of
from sfumato.synth.relations.context import stand_ins, telling
from sfumato.synth.relations.people import Held, coded, held, named
from sfumato.synth.relations.tables import Naming, Part, SyntheticTables
from sfumato.synth.relations.tree import Key, Tree

if TYPE_CHECKING:
    from sfumato.contracts import Synthesizer

#: "keep" or "merge", for all, by table, or by table and column.
Rare = Literal["merge", "keep"] | Mapping[str, Any]

_LEAST = 10


def fit(
    tables: Mapping[str, Any],
    keys: Iterable[Key] = (),
    *,
    subject: str,
    ids: Mapping[str, str | Sequence[str]] | None = None,
    public: Sequence[str] = (),
    method: str = "autoregressive",
    params: Mapping[str, Any] | None = None,
    rare: Rare = "merge",
    bins: int = 64,
    context: int = 8,
    key: bytes | None = None,
    seed: int = 0,
    progress: Progress | None = None,
    budget: Any = None,
    epsilon: float | None = None,
    delta: float | None = None,
) -> SyntheticTables:
    """Learn from tables of the same people; the :class:`~sfumato.synth.relations.tables.SyntheticTables`
    makes new ones.

    The people's table is learned with how many rows of each child hang on a person. The rows of a child are
    learned with what their parent's row says most of them by; and so on down the tree (conditional modelling
    of parents and children, as in Patki, Wedge & Veeramachaneni 2016, "The Synthetic Data Vault"). Siblings
    are drawn independently given their parent: where it matters what came before, there are
    :mod:`sfumato.synth.sequences`. Conditions between tables are not kept as rules.

    What fewer than ten people have does not come out as it is, however many rows they have. No row has more
    children than ten people reach; of those that had more, some rows are drawn to learn from. Keys are made
    anew: whole numbers beyond the next power of ten above all there were, or text "synthetic-" and a number.

    Args:
        tables: by name; pandas, Polars, PyArrow. New ones come in the same kinds.
        keys: (child, column, parent, column): ``("purchases", "customer", "customers", "id")``.
        subject: the table of the people, with one row for each.
        ids: further columns, by table, that only name its rows, and are made anew.
        public: tables that say nothing of people and are passed on as they are; a key that leads to one is
            learned like any category.
        method: a name of ``sfumato.synth.SYNTHESIZERS``.
        params: the synthesizer's own.
        rare: "keep" lets values of few people come out as they are: for all columns, by table, or by table
            and column (``{"purchases": {"product": "keep"}}``).
        bins: about how many codes a number has.
        context: by how many of the parent's columns, and of those above it, a child's rows go at most.
        key: 32 bytes; or ``seed``. The same key and tables give the same model.
        progress: is told what is done, how far it has come, and of how much.
        budget, epsilon, delta: refused: rows of a person are not bounded here as differential privacy asks.

    Raises:
        InputError: ``unknown-name``; ``column-values``: keys that are missing, occur twice or lead nowhere;
            ``usage``: keys that make no tree, a table of fewer than ten people, a budget.
    """
    if any(each is not None for each in (budget, epsilon, delta)):
        raise InputError(
            "usage",
            "several tables are not learned under differential privacy: neither how many rows a person has"
            " nor what they change in the tables below is bounded by anything that is charged",
            remedy="teach one table with a budget and subject=, or histories (sf.synth.sequences)",
        )
    if context < 0:
        raise InputError("usage", "columns are counted from 0", where="context")
    frames = {name: to_polars(table) for name, table in tables.items()}
    tree = Tree.of(frames, keys, subject, ids or {}, public)
    checked(frames[subject], None)
    learner, chosen = learner_of(method, params, "merge", private=False)
    work = _Work(tree, learner, bins, context, _kept(rare, tree), _root(key, seed), progress)
    rows = held(frames, tree, work.key, _LEAST)
    learned: dict[str, _Learned] = {}
    for name in tree.order:
        learned[name] = _table(work, name, rows, learned)
    facts = {
        "method": method,
        "summary": learner.summary,
        "params": chosen.model_dump(mode="json"),
        "subject": subject,
        "least": _LEAST,
        "tables": [learned[name].facts for name in tree.order],
        "public": list(tree.public),
    }
    return SyntheticTables(
        method,
        tuple(learned[name].part for name in tree.order),
        {name: frames[name] for name in tree.public},
        tuple(tables),
        facts,
        {name: kind_of(table) for name, table in tables.items()},
    )


@dataclass(frozen=True)
class _Work:
    """What all tables have in common."""

    tree: Tree
    learner: Synthesizer
    bins: int
    context: int
    rare: Rare
    key: bytes
    progress: Progress | None

    def least(self, table: str, column: str) -> int:
        """How many people must have a value of a column."""
        asked: Any = self.rare
        for name in (table, column):
            asked = asked.get(name, "merge") if isinstance(asked, Mapping) else asked
        return 1 if asked == "keep" else _LEAST


@dataclass(frozen=True)
class _Learned:
    """A table's part, and the codes of its rows, shape (rows, fields)."""

    part: Part
    codes: NDArray[np.int32]
    facts: Mapping[str, Any]


def _table(work: _Work, name: str, rows: Mapping[str, Held], above: Mapping[str, _Learned]) -> _Learned:
    """Learn one table, after the one on which it hangs."""
    mine, link = rows[name], work.tree.parent.get(name)
    children = work.tree.children(name)
    columns, own, said = _columns(work, name, mine)
    for child in children:
        counts = _counts(f"{name}: rows of {child}", mine, rows[child])
        coding, fact = coded(counts, mine.people, work.bins, _LEAST)
        columns.append((coding, counts))
        said.append(fact)
    if not mine.rows.height:
        columns = []
    codes = np.zeros((mine.rows.height, len(columns)), dtype=np.int32, order="F")
    for place, (each, values) in enumerate(columns):
        codes[:, place] = each.encode(values)
    codings = tuple(each for each, _ in columns)
    by = _By()
    if link is not None and columns:
        by = _by(work, mine, above[link.to], codings, codes)
    encoder = Encoder((*by.codings, *codings))
    codes = np.asfortranarray(np.concatenate([by.codes, codes], axis=1) if by.places else codes)
    model = _model(work, name, encoder, codes, 0 if by.places else None) if columns else None
    naming = {
        column: Naming.of(mine.rows[column], f"{name}.{column}") for column in work.tree.named.get(name, ())
    }
    schema = dict(mine.rows.schema)
    part = Part(name, schema, link, naming, tuple(own), children, by.places, by.stand_ins, encoder, model)
    facts = {
        "table": name,
        "rows": about(mine.rows.height, _LEAST),
        "people_cut": about(mine.left, _LEAST),
        "parent": None if link is None else link.to,
        "most": None if link is None else mine.most,
        "by": [coding.field.name for coding in by.codings],
        "domain": said,
        "model": None if model is None else dict(model.facts),
    }
    return _Learned(part, codes, facts)


@dataclass(frozen=True)
class _By:
    """The fields of the parent's rows by which a table's rows go: their places there, the codes that stand
    for each of theirs, how they are coded, and the parents' codes, shape (rows, places)."""

    places: tuple[int, ...] = ()
    stand_ins: tuple[tuple[int, ...], ...] = ()
    codings: tuple[Coding, ...] = ()
    codes: NDArray[np.int32] = field(default_factory=lambda: np.zeros((0, 0), dtype=np.int32))


def _by(
    work: _Work, mine: Held, parent: _Learned, codings: Sequence[Coding], codes: NDArray[np.int32]
) -> _By:
    given = parent.codes[mine.parent]
    encoder = parent.part.encoder
    people = len(np.unique(mine.people))
    places = telling([coding.field for coding in codings], codes, encoder.fields, given, people, work.context)
    seen = tuple(tuple(stand_ins(encoder.fields[place], given[:, place])) for place in places)
    return _By(tuple(places), seen, tuple(encoder.columns[place] for place in places), given[:, places])


def _columns(
    work: _Work, name: str, mine: Held
) -> tuple[list[tuple[Coding, pl.Series]], list[str], list[dict[str, Any]]]:
    """The codings of a table's own columns with what they code; their names; what to say of them."""
    link = work.tree.parent.get(name)
    names = {*work.tree.named.get(name, ()), *([link.column] if link else [])}
    keys = {each.column for each in work.tree.lookups.get(name, ())}
    columns: list[tuple[Coding, pl.Series]] = []
    own, said = [], []
    for column in mine.rows.columns:
        if column in names:
            continue
        values = mine.rows[column].alias(f"{name}.{column}")
        # A key is a name, also where it is a number.
        values = named(values).cast(pl.String) if column in keys else values
        coding, fact = coded(values, mine.people, work.bins, work.least(name, column))
        columns.append((coding, values))
        own.append(column)
        said.append(fact)
    return columns, own, said


def _counts(name: str, mine: Held, child: Held) -> pl.Series:
    """How many rows of a child hang on each row."""
    return pl.Series(name, np.bincount(child.parent, minlength=mine.rows.height).astype(np.int64))


def _model(work: _Work, name: str, encoder: Encoder, codes: NDArray[np.int32], target: int | None) -> Any:
    data = Coded(encoder.fields, codes, target)
    if getattr(work.learner, "reads_text", False):
        from sfumato.synth.language.labels import labels

        data = replace(data, labels=labels(encoder))
    told = work.progress
    watch = None if told is None else (lambda what, done, of: told(f"{name}: {what}", done, of))
    return work.learner.fit(data, derive(work.key, "relations", "table", name), None, watch)


def _kept(rare: Rare, tree: Tree) -> Rare:
    """The same, if it names tables that are learned."""
    for name in () if isinstance(rare, str) else rare:
        if name not in tree.order:
            raise InputError("unknown-name", "no such table is learned", where=name)
    return rare


def _root(key: bytes | None, seed: int) -> bytes:
    return key if key is not None else derive(bytes(32), "synthesis", str(seed))
