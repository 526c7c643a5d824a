"""Teaching synthetic histories and making them: what users hold."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from sfumato.contracts import Params
from sfumato.core.canonical import canonical_json
from sfumato.core.errors import InputError
from sfumato.core.keyed import derive, generator
from sfumato.core.registry import Registry
from sfumato.synth.coded import Private
from sfumato.synth.sequences.histories import Coding, Domain

if TYPE_CHECKING:
    from sfumato.dp.budget import Budget
    from sfumato.synth.learning import Watch

MODELS = Registry(
    "model of histories",
    {"events": "sfumato.synth.sequences.events:Events", "ngram": "sfumato.synth.sequences.ngram:Ngram"},
)
#: People made at a time.
_BLOCK = 8192


@dataclass(frozen=True)
class Cost:
    """What the teaching cost about each person, and under which relation.

    ``event`` is what was drawn, in words, and ``charged`` the same as JSON (:mod:`sfumato.dp.events`).
    """

    epsilon: float
    delta: float
    replace_epsilon: float
    relation: str
    event: str
    charged: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class SyntheticHistories:
    """A taught model of histories; nothing in it is looked up among the real ones again.

    Attributes:
        name: the model's.
        coding: how the log is coded.
        model: what was learned.
        cost: under differential privacy; else None.
    """

    name: str
    coding: Coding
    model: Any
    cost: Cost | None

    @property
    def facts(self) -> Mapping[str, Any]:
        """For the dossier."""
        said = {"model": self.name, **self.model.facts}
        return said if self.cost is None else {**said, "epsilon": self.cost.epsilon, "delta": self.cost.delta}

    def sample(self, customers: int, *, key: bytes = bytes(32)) -> pl.DataFrame:
        """A log of so many made people, rows in order of person and time; the same key gives the same."""
        return pl.concat(list(self.batches(customers, key=key)))

    def batches(self, customers: int, *, key: bytes = bytes(32)) -> Iterator[pl.DataFrame]:
        """The same log in pieces of whole people, in bounded memory.

        Raises:
            InputError: ``usage``: fewer than one.
        """
        if customers < 1:
            raise InputError("usage", "there is nobody to make")
        for at in range(0, customers, _BLOCK):
            random = generator(derive(key, "histories", str(at)))
            made = self.model.sample(min(_BLOCK, customers - at), random)
            yield self.coding.decode(made, random, at + 1)

    def content(self) -> bytes:
        """A safetensors file: arrays and JSON, nothing that could be executed."""
        from sfumato.dp.training import tensorfile

        kept, coding = self.coding.state()
        learned, document = self.model.state()
        arrays = {**kept, **{f"model.{name}": array for name, array in learned.items()}}
        said = {"model": self.name, "coding": coding, "learned": document}
        said["cost"] = None if self.cost is None else self.cost.__dict__
        return tensorfile.written(arrays, {"sfumato.histories": canonical_json(said).decode()})

    def save(self, path: str | Path) -> None:
        """Write :meth:`content` to a file.

        Raises:
            InputError: ``output-failed``.
        """
        content = self.content()
        aside = Path(path).with_name(Path(path).name + ".part")
        try:
            with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(content)
            aside.replace(path)
        except OSError as error:
            raise InputError(
                "output-failed", f"cannot be written ({type(error).__name__})", where=str(path)
            ) from None

    @classmethod
    def load(cls, path: str | Path) -> SyntheticHistories:
        """What :meth:`save` wrote.

        Raises:
            InputError: ``source-missing``, ``source-unreadable``.
        """
        from sfumato.dp.training import tensorfile

        try:
            content = Path(path).read_bytes()
        except OSError:
            raise InputError(
                "source-missing", "no such file, or it cannot be read", where=str(path)
            ) from None
        arrays, metadata = tensorfile.read(content)
        try:
            said = json.loads(metadata["sfumato.histories"])
            coding = Coding.restored(arrays, said["coding"])
            learned = {
                name.removeprefix("model."): array
                for name, array in arrays.items()
                if name.startswith("model.")
            }
            model = MODELS.resolve(said["model"]).restored(coding, learned, said["learned"])
            cost = None if said["cost"] is None else Cost(**said["cost"])
        except (KeyError, TypeError, ValueError, AttributeError):
            raise InputError("source-unreadable", "not histories of ours", where=str(path)) from None
        return cls(said["model"], coding, model, cost)


def fit(
    table: pl.DataFrame,
    *,
    subject: str,
    time: str,
    items: Sequence[str] = (),
    statics: Sequence[str] = (),
    model: str = "events",
    params: Params | Mapping[str, Any] | None = None,
    window: tuple[Any, Any] | None = None,
    least: int = 10,
    key: bytes = bytes(32),
    budget: Budget | None = None,
    epsilon: float | None = None,
    delta: float | None = None,
    size: int | None = None,
    domain: Domain | None = None,
    place: str = "histories",
    by: str = "",
    why: str = "",
    progress: Watch | None = None,
) -> SyntheticHistories:
    """Learn the histories of people from a log with a row for each event.

    Without a budget nothing is promised about anybody: that histories are made does not make them private,
    and what leaves must be judged. ``least`` keeps values of few out of bins, not out of the network.

    Args:
        table: one row an event, in any order; of events at the same time the rows' order counts.
        subject: the column that says whose an event is.
        time: dates, datetimes or numbers.
        items: columns of numbers that are names of things and no amounts. Text always is.
        statics: columns about the person: the first row of each counts.
        model: "events" or "ngram".
        params: of the model.
        window: when observation opened and closed; without it the first and the last time.
        least: what fewer people have is kept nowhere: values, ends of ranges, the longest history.
        key: 32 bytes, for all that is drawn but noise.
        budget: of the unit "subject": the teaching is under differential privacy, and charged.
        epsilon, delta: the noise is chosen so that it costs at most this.
        size: about how many people there are, as everybody may know it; with a budget.
        domain: everything about the columns that is not learned; with a budget.
        place, by, why: for the ledger.
        progress: is told what is done, how far it has come, and of how much.

    Raises:
        InputError: ``usage``, ``unknown-name``, ``column-values``, ``source-empty``; nothing was charged.
        RefusedError: ``budget-spent``: nothing was drawn.

    >>> days, spent = [0, 2, 1, 1, 4], [5.0, 7.0, 5.0, 6.0, 5.0]
    >>> log = pl.DataFrame({"who": [1, 1, 2, 2, 3], "day": days, "spent": spent})
    >>> made = fit(log, subject="who", time="day", model="ngram", least=1).sample(2)
    >>> made.columns, made["day"].min() >= 0
    (['who', 'day', 'spent'], True)
    """
    taught = MODELS.resolve(model)
    chosen = taught(params if isinstance(params, Params) else taught.Params(**(params or {})))
    if budget is None:
        if epsilon is not None:
            raise InputError(
                "usage", "an epsilon needs a budget to charge", remedy="sf.dp.Budget(..., unit='subject')"
            )
        coding = Coding.fit(
            table, subject=subject, time=time, items=items, statics=statics, window=window, least=least,
            domain=domain, declared_bins=taught.declared_bins,
        )  # fmt: skip
        learned = chosen.fit(coding, coding.encode(table), key, None, progress)
        return SyntheticHistories(model, coding, learned, None)
    if domain is None or epsilon is None or delta is None or size is None or size < 1:
        raise InputError(
            "usage",
            "under differential privacy nothing is looked at that is not charged",
            remedy="declare domain=, size= (of people), epsilon= and delta=",
        )
    if budget.unit != "subject":
        raise InputError(
            "usage", "a history is a person's, and so is the budget", remedy="Budget(unit='subject')"
        )
    coding = Coding.fit(
        table, subject=subject, time=time, items=items, statics=statics, domain=domain,
        declared_bins=taught.declared_bins,
    )  # fmt: skip
    private, cost = _reserved(chosen, coding, budget, epsilon, delta, size, place, by, why)
    learned = chosen.fit(coding, coding.encode(table), key, private, progress)
    return SyntheticHistories(model, coding, learned, cost)


def _reserved(
    chosen: Any, coding: Coding, budget: Budget, epsilon: float, delta: float, size: int,
    place: str, by: str, why: str,
) -> tuple[Private, Cost]:  # fmt: skip
    """Charge what the fit will draw, with the least noise that costs no more."""
    from sfumato.dp.accounting import epsilon_of, noise_for
    from sfumato.dp.events import composed, to_json, words
    from sfumato.dp.prepaid import reserve

    relation = budget.relation
    noise = noise_for(
        lambda one: composed(chosen.events(coding, size, one)), epsilon, delta, relation=relation
    )
    events = chosen.events(coding, size, noise)
    event = composed(events)
    paid = reserve(budget, events, delta=delta, place=place, by=by, why=why)
    found = epsilon_of(event, delta, relation=relation)
    cost = Cost(found.epsilon, delta, found.replace_epsilon, relation, words(event), to_json(event))
    return Private(paid, noise, delta, size, relation, "subject"), cost
