"""Teach a synthesizer a table, with or without differential privacy."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import polars as pl
import pydantic

from sfumato import contracts
from sfumato.core.errors import InputError
from sfumato.core.keyed import derive
from sfumato.engines.interchange import to_polars
from sfumato.synth import SYNTHESIZERS
from sfumato.synth.coded import Coded, Field, Private
from sfumato.synth.constraints import Rules
from sfumato.synth.encoding.encoder import Encoder, Rare, checked, known
from sfumato.synth.encoding.private import Declared
from sfumato.synth.encoding.scales import is_ordered
from sfumato.synth.spending import Terms, own_budget, pay
from sfumato.synth.synthetic import Charged, Synthetic

if TYPE_CHECKING:
    from dp_accounting import DpEvent

    from sfumato.contracts import Synthesizer
    from sfumato.dp.budget import Budget

_LEAST = 10

Progress = Callable[[str, int, int], None]


def fit(
    table: Any,
    method: str | None = None,
    *,
    target: str | None = None,
    key: bytes | None = None,
    seed: int = 0,
    budget: Budget | None = None,
    epsilon: float | None = None,
    delta: float | None = None,
    bounds: Mapping[str, Sequence[Any]] | None = None,
    categories: Mapping[str, Sequence[Any]] | None = None,
    decimals: Mapping[str, int] | None = None,
    size: int | None = None,
    subject: str | None = None,
    rare: Rare = "merge",
    bins: int | None = None,
    text: Sequence[str] = (),
    constraints: Sequence[Any] = (),
    params: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
    domain_share: float = 0.1,
    place: str = "synthesis",
    by: str = "",
    why: str = "",
) -> Synthetic:
    """Learn from a table of people; the :class:`~sfumato.synth.synthetic.Synthetic` makes new rows.

    That rows are made does not make them private. Without a budget nothing bounds what they tell of a person;
    with one, everything that is learned of people is charged before it is drawn: bounds and categories that
    were not declared, bins, the number of rows if it was not declared, and the model. Names and types of
    columns, whatever is declared, and parameters are taken as public.

    Args:
        table: pandas, Polars, PyArrow; new rows come in the same kind of table.
        method: a name of ``sfumato.synth.SYNTHESIZERS``; "aim" with a budget, "autoregressive" without.
        target: the column that models are to foretell.
        key: 32 bytes; or ``seed``. Without a budget the same key and rows give the same model.
        budget: charged; its unit is the row, or the subject, of whom then one row is used.
        epsilon, delta: the most that this fit may cost; by default the whole budget. Without ``budget`` they
            make one, for this fit alone.
        bounds: lowest and highest value of numbers, dates and times, as everybody may know them.
        categories: all values of a column, as everybody may know them.
        decimals: the places of floats, under differential privacy.
        size: about how many rows there are, as everybody may know it. Where it is not declared and their
            number is private (people are added or removed), a noisy count takes 2 % of epsilon at most.
        subject: the column that says whose a row is: one row of each is learned from, and not the column.
        rare: "keep" lets values of few people come out as they are (for all columns, or by column); such
            people can be recognized by them. Not under differential privacy, where nothing needs to be rare.
        bins: about how many codes a number has; 64, or 32 under differential privacy.
        text: columns of free text, which only synthesizers that read can make; they come last in new rows.
        constraints: what holds in every row (:func:`~sfumato.synth.constraints.parsed`).
        params: the synthesizer's own.
        progress: is told what is done, how far it has come, and of how much.
        domain_share: which part of the cost goes to what is not declared; 0 where everything is.
        place, by, why: for the ledger.

    Raises:
        InputError: ``usage``, ``unknown-name``, ``column-values``: what cannot be meant; nothing was charged.
        RefusedError: ``budget-spent``: the budget does not allow it; nothing was drawn.
    """
    private = budget is not None or epsilon is not None
    frame = to_polars(table)
    if private and budget is None:
        budget = own_budget(epsilon, delta)
    name = method or ("aim" if private else "autoregressive")
    learner, chosen = learner_of(name, params, rare, private=private)
    frame = _one_row_each(frame, subject, budget)
    frame, texts = _texts(frame, text, learner)
    (known(frame.columns, target) if private else checked(frame, target))
    rules = Rules.of(constraints, frame, target=target, private=private, least=_LEAST)
    recoded = rules.recoded(frame)
    inner_key = key if key is not None else derive(bytes(32), "synthesis", str(seed))
    declared = rules.declared(Declared(bounds or {}, categories or {}, decimals or {}))
    if budget is not None:
        terms = Terms.of(budget, epsilon, delta, domain_share, bins or 32)
        work = _Work(recoded, learner, declared, target, inner_key, progress, texts)
        encoder, model, charged = _private(work, terms, size, {"place": place, "by": by, "why": why})
    else:
        encoder = Encoder.fit(recoded, target=target, rare=rare, bins=bins or 64, least=_LEAST)
        model, charged = learner.fit(_read(encoder, recoded, learner, texts), inner_key, None, progress), None
    facts = {
        "method": name,
        "summary": learner.summary,
        "params": chosen.model_dump(mode="json"),
        "sees": learner.sees,
        "domain": dict(encoder.facts or {}),
        "model": dict(model.facts),
        "constraints": rules.facts(frame, _LEAST, private=private),
    }
    return Synthetic(name, encoder, model, rules, facts, charged, kind_of(table), tuple(texts))


@dataclass(frozen=True)
class _Work:
    """What is learned, by whom."""

    table: pl.DataFrame
    learner: Synthesizer
    declared: Declared
    target: str | None
    key: bytes
    progress: Progress | None
    texts: Mapping[str, tuple[str | None, ...]]

    @property
    def people(self) -> int:
        """The number of rows."""
        return self.table.height

    def events(self, terms: Terms, size: int, domain_noise: float, noise: float) -> list[DpEvent]:
        """The domain and the model."""
        domain = Encoder.event(
            self.table.schema,
            self.declared,
            noise=domain_noise,
            delta=terms.threshold_delta,
            bins=terms.bins,
        )
        return [domain, self.learner.event(public_fields(self.table.schema, self.declared), size, noise)]


def _private(
    work: _Work, terms: Terms, size: int | None, ledger: Mapping[str, str]
) -> tuple[Encoder, Any, Charged]:
    """Learn under differential privacy."""
    paid, budget = pay(work, terms, size, ledger), terms.budget
    encoder = Encoder.fit_private(
        work.table,
        work.declared,
        paid.prepaid,
        noise=paid.domain_noise,
        delta=terms.threshold_delta,
        target=work.target,
        bins=terms.bins,
    )
    private = Private(paid.prepaid, paid.noise, terms.delta, paid.charged.size, budget.relation, budget.unit)
    data = _read(encoder, work.table, work.learner, work.texts)
    model = work.learner.fit(data, work.key, private, work.progress)
    paid.settled()
    return encoder, model, paid.charged


def public_fields(schema: Mapping[str, pl.DataType], declared: Declared) -> list[Field]:
    """What everybody knows of the fields before the domain is learned."""
    return [
        Field(name, name, 2, is_ordered(dtype) and name not in declared.categories)
        for name, dtype in schema.items()
    ]


def learner_of(
    name: str, params: Mapping[str, Any] | None, rare: Rare, *, private: bool
) -> tuple[Synthesizer, contracts.Params]:
    """The synthesizer, and its parameters with those that were not named."""
    kind = SYNTHESIZERS.resolve(name)
    if private and not kind.has_private:
        raise InputError("usage", f"{name} cannot learn under differential privacy")
    if private and rare != "merge":
        raise InputError("usage", "rare values cannot be kept under differential privacy")
    try:
        chosen = kind.Params.model_validate(dict(params or {}))
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InputError("usage", f"a parameter of {name}: {first['msg']}", where=where) from None
    return kind(chosen), chosen


def _texts(
    frame: pl.DataFrame, names: Sequence[str], learner: Synthesizer
) -> tuple[pl.DataFrame, dict[str, tuple[str | None, ...]]]:
    """The table without its columns of free text, and those."""
    for name in names:
        if name not in frame.columns:
            raise InputError("unknown-name", "there is no such column", where=name)
        if frame[name].dtype != pl.String or not getattr(learner, "reads_text", False):
            raise InputError(
                "usage",
                "free text cannot be made of this column",
                where=name,
                remedy="leave it out, or use language-model on a column of texts",
            )
    return frame.drop(names), {name: tuple(frame[name].to_list()) for name in names}


def _read(
    encoder: Encoder, table: pl.DataFrame, learner: Synthesizer, texts: Mapping[str, tuple[str | None, ...]]
) -> Coded:
    """The coded rows; with words for codes, and free texts, where the synthesizer reads."""
    coded = encoder.encode(table)
    if not getattr(learner, "reads_text", False):
        return coded
    from sfumato.synth.language.labels import labels

    return replace(coded, labels=labels(encoder), texts=texts)


def _one_row_each(frame: pl.DataFrame, subject: str | None, budget: Budget | None) -> pl.DataFrame:
    """The first row of each subject, without the column that says whose it is."""
    if subject is None:
        if budget is not None and budget.unit == "subject":
            raise InputError(
                "usage",
                "the budget protects subjects, and nobody said whose the rows are",
                remedy="name the column with subject=",
            )
        return frame
    if subject not in frame.columns:
        raise InputError("unknown-name", "there is no such column", where=subject)
    return frame.unique(subject, keep="first", maintain_order=True).drop(subject)


def kind_of(table: Any) -> Any:
    """An empty table of the kind that the caller has; None for Polars."""
    import narwhals as nw

    if isinstance(table, pl.DataFrame | pl.LazyFrame):
        return None
    native = nw.from_native(table, eager_only=True, pass_through=True)
    return native.head(0).to_native() if isinstance(native, nw.DataFrame) else None
