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
from sfumato.core.values import column_of
from sfumato.engines.interchange import to_polars
from sfumato.synth.coded import Coded, Private
from sfumato.synth.encoding.columns import Coding
from sfumato.synth.encoding.encoder import Encoder, checked
from sfumato.synth.encoding.learned import about
from sfumato.synth.fitting import Progress, kind_of, learner_of
from sfumato.synth.relations import declared, private
from sfumato.synth.relations.context import stand_ins, telling
from sfumato.synth.relations.declared import Said
from sfumato.synth.relations.keys import named
from sfumato.synth.relations.people import Held, coded, held
from sfumato.synth.relations.rows import Rows
from sfumato.synth.relations.tables import Naming, Part, SyntheticTables
from sfumato.synth.relations.tree import Key, Tree
from sfumato.synth.spending import Terms, own_budget
from sfumato.synth.synthetic import Charged

if TYPE_CHECKING:
    from sfumato.contracts import Synthesizer
    from sfumato.dp.budget import Budget

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
    method: str | None = None,
    params: Mapping[str, Any] | None = None,
    rare: Rare = "merge",
    bins: int | None = None,
    context: int = 8,
    key: bytes | None = None,
    seed: int = 0,
    progress: Progress | None = None,
    budget: Budget | None = None,
    epsilon: float | None = None,
    delta: float | None = None,
    most: Mapping[str, int] | None = None,
    bounds: Mapping[str, Mapping[str, Sequence[Any]]] | None = None,
    categories: Mapping[str, Mapping[str, Sequence[Any]]] | None = None,
    decimals: Mapping[str, Mapping[str, int]] | None = None,
    size: int | None = None,
    domain_share: float = 0.1,
    place: str = "synthesis",
    by: str = "",
    why: str = "",
) -> SyntheticTables:
    """Learn from tables of the same people; the :class:`~sfumato.synth.relations.tables.SyntheticTables`
    makes new ones.

    The people's table is learned with how many rows of each child hang on a person. The rows of a child are
    learned with what their parent's row says most of them by; and so on down the tree (conditional modelling
    of parents and children, as in Patki, Wedge & Veeramachaneni 2016, "The Synthetic Data Vault"). Siblings
    are drawn independently given their parent: where it matters what came before, there are
    :mod:`sfumato.synth.sequences`. Conditions between tables are not kept as rules.

    Without a budget, what fewer than ten people have does not come out as it is, however many rows they have.
    No row has more children than ten people reach; of those that had more, some rows are drawn to learn from.
    Keys are made anew: whole numbers beyond the next power of ten above all there were, or text "synthetic-"
    and a number.

    With one, it bounds what all tables together tell of a person with all of their rows. Everybody gives one
    row to each table (:mod:`sfumato.synth.relations.private`); domains, models and the number of people, if
    that is not declared, are one spend. Names and types of tables and columns, keys, public tables and
    whatever is declared are taken as public. Made keys are numbered from 1 without a look at the real ones:
    one may be equal to a key that there was, and is nobody's. What the bound is of is tables whose keys are
    whole: others are refused before anything is charged, which says to whoever asks that they are not.

    Args:
        tables: by name; pandas, Polars, PyArrow. New ones come in the same kinds.
        keys: (child, column, parent, column): ``("purchases", "customer", "customers", "id")``.
        subject: the table of the people, with one row for each.
        ids: further columns, by table, that only name its rows, and are made anew.
        public: tables that say nothing of people and are passed on as they are; a key that leads to one is
            learned like any category.
        method: a name of ``sfumato.synth.SYNTHESIZERS``; "aim" with a budget, "autoregressive" without.
        params: the synthesizer's own.
        rare: "keep" lets values of few people come out as they are: for all columns, by table, or by table
            and column (``{"purchases": {"product": "keep"}}``). Not under differential privacy.
        bins: about how many codes a number has; 64, or 32 under differential privacy.
        context: by how many of the parent's columns, and of those above it, a child's rows go at most: those
            that say most of them; under differential privacy the first, its own before those above it, and
            besides them how many rows of the table hang on it.
        key: 32 bytes; or ``seed``. Without a budget the same key and tables give the same model.
        progress: is told what is done, how far it has come, and of how much.
        budget: charged; its unit is the subject.
        epsilon, delta: the most that this fit may cost; by default the whole budget. Without ``budget`` they
            make one, for this fit alone.
        most: for each table but the people's, how many of its rows hang on one of its parent's at most, as
            everybody may know it: ``{"purchases": 20}``. More count as so many; noise may make rows up to it.
        bounds, categories, decimals: as in :func:`sfumato.synth.fit`, by table:
            ``{"purchases": {"spent": (0, 500)}}``. A key to a public table has that one's keys.
        size: about how many people there are, as everybody may know it.
        domain_share: which part of the cost goes to what is not declared; 0 where everything is.
        place, by, why: for the ledger.

    Raises:
        InputError: ``unknown-name``; ``column-values``: keys that are missing, occur twice or lead nowhere;
            ``usage``: what cannot be meant: keys that make no tree, without a budget a table of fewer than
            ten people, with one a table without its most. Nothing was charged.
        RefusedError: ``budget-spent``: the budget does not allow it; nothing was drawn.
    """
    if context < 0:
        raise InputError("usage", "columns are counted from 0", where="context")
    bounded = budget is not None or epsilon is not None
    said = Said(most or {}, bounds or {}, categories or {}, decimals or {})
    if not bounded:
        _nothing_declared(said, delta, size)
    frames = {name: to_polars(table) for name, table in tables.items()}
    tree = Tree.of(frames, keys, subject, ids or {}, public)
    name = method or ("aim" if bounded else "autoregressive")
    learner, chosen = learner_of(name, params, _kept(rare, tree), private=bounded)
    work = _Work(tree, learner, bins or (32 if bounded else 64), context, rare, _root(key, seed), progress)
    charged = None
    if bounded:
        budget = _of_subjects(own_budget(epsilon, delta, "subject") if budget is None else budget)
        terms = Terms.of(budget, epsilon, delta, domain_share, work.bins)
        ledger = {"place": place, "by": by, "why": why}
        parts, charged, facts = _private(work, frames, said.checked(tree), terms, size, ledger)
    else:
        checked(frames[subject], None)
        parts, facts = _plain(work, frames)
    facts = {
        "method": name,
        "summary": learner.summary,
        "params": chosen.model_dump(mode="json"),
        "sees": learner.sees,
        "subject": subject,
        **facts,
        "public": list(tree.public),
    }
    return SyntheticTables(
        name,
        tuple(parts),
        {name: frames[name] for name in tree.public},
        tuple(tables),
        facts,
        {name: kind_of(table) for name, table in tables.items()},
        charged,
    )


def _plain(work: _Work, frames: dict[str, pl.DataFrame]) -> tuple[list[Part], dict[str, Any]]:
    """Learn all tables without a bound."""
    rows = held(frames, work.tree, work.key, _LEAST)
    learned: dict[str, _Learned] = {}
    for name in work.tree.order:
        learned[name] = _table(work, name, rows, learned)
    found = learned.values()
    return [each.part for each in found], {"least": _LEAST, "tables": [each.facts for each in found]}


def _private(
    work: _Work,
    frames: dict[str, pl.DataFrame],
    said: Said,
    terms: Terms,
    size: int | None,
    ledger: Mapping[str, str],
) -> tuple[list[Part], Charged, dict[str, Any]]:
    """Learn all tables under differential privacy."""
    layouts = declared.layouts(frames, work.tree, said, work.context)
    rows = Rows.of(frames, work.tree, layouts, work.key, _LEAST)

    def teach(name: str, encoder: Encoder, codes: NDArray[np.int32], paid: Private) -> Any:
        # A target would make all else coarser, and everything is foretold by what is given anyway.
        return _model(work, name, encoder, codes, None, paid)

    parts, charged = private.learned(private.Work(rows, work.learner), terms, size, ledger, teach)
    facts = [
        {
            "table": part.name,
            "parent": None if part.link is None else part.link.to,
            "most": None if part.link is None else said.most[part.name],
            "by": [field.name for field in part.encoder.fields[: len(part.context)]],
            "domain": dict(part.encoder.facts or {}),
            "model": None if part.model is None else dict(part.model.facts),
        }
        for part in parts
    ]
    return parts, charged, {"tables": facts}


def _nothing_declared(said: Said, delta: float | None, size: int | None) -> None:
    """Refuse what only counts under differential privacy."""
    if any((said.most, said.bounds, said.categories, said.decimals)) or delta is not None or size is not None:
        raise InputError(
            "usage",
            "something is declared that only counts under differential privacy, and there is no budget",
            remedy="give budget= or epsilon= and delta=, or leave it out",
        )


def _of_subjects(budget: Budget) -> Budget:
    if budget.unit != "subject":
        raise InputError(
            "usage",
            "the budget protects single rows, and several tables have rows of the same people",
            remedy="Budget(unit='subject')",
        )
    return budget


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
        counts = _counts(declared.count_name(name, child), mine, rows[child])
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
    # On one row hang no more than ten people reach, and of tables further down on a person no more in all.
    reach = None if link is None else _reached(mine.people)
    part = Part(name, schema, link, naming, own, children, by.places, by.stand_ins, encoder, model, reach)
    facts = {
        "table": name,
        "rows": about(mine.rows.height, _LEAST),
        "people_cut": about(mine.left, _LEAST),
        "parent": None if link is None else link.to,
        "most": None if link is None else mine.most,
        "by": [coding.field.name for coding in by.codings],
        "domain": {"columns": said},
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
) -> tuple[list[tuple[Coding, pl.Series]], tuple[str, ...], list[dict[str, Any]]]:
    """The codings of a table's own columns with what they code; their names; what to say of them."""
    keys = {each.column for each in work.tree.lookups.get(name, ())}
    columns: list[tuple[Coding, pl.Series]] = []
    own, said = declared.columns_of(mine.rows, work.tree, name), []
    for column in own:
        values = mine.rows[column].alias(column_of(name, column))
        # A key is a name, also where it is a number.
        values = named(values).cast(pl.String) if column in keys else values
        coding, fact = coded(values, mine.people, work.bins, work.least(name, column))
        columns.append((coding, values))
        said.append(fact)
    return columns, own, said


def _reached(people: NDArray[np.int64]) -> int:
    """How many rows ten people have; 0 if there are no rows."""
    many = np.bincount(people)
    return int(np.sort(many)[-_LEAST]) if len(many) >= _LEAST else 0


def _counts(name: str, mine: Held, child: Held) -> pl.Series:
    """How many rows of a child hang on each row."""
    return pl.Series(name, np.bincount(child.parent, minlength=mine.rows.height).astype(np.int64))


def _model(
    work: _Work,
    name: str,
    encoder: Encoder,
    codes: NDArray[np.int32],
    target: int | None,
    paid: Private | None = None,
) -> Any:
    data = Coded(encoder.fields, codes, target)
    if getattr(work.learner, "reads_text", False):
        from sfumato.synth.language.labels import labels

        data = replace(data, labels=labels(encoder))
    told = work.progress
    watch = None if told is None else (lambda what, done, of: told(f"{name}: {what}", done, of))
    return work.learner.fit(data, derive(work.key, "relations", "table", name), paid, watch)


def _kept(rare: Rare, tree: Tree) -> Rare:
    """The same, if it names tables that are learned."""
    for name in () if isinstance(rare, str) else rare:
        if name not in tree.order:
            raise InputError("unknown-name", "no such table is learned", where=name)
    return rare


def _root(key: bytes | None, seed: int) -> bytes:
    return key if key is not None else derive(bytes(32), "synthesis", str(seed))
