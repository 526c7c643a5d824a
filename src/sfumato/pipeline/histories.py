"""Histories on the way of made rows: people with all their events teach, are made, and are compared.

What is said of rows elsewhere is said of people here. A person's events are one row of people
(:func:`sfumato.evidence.histories.persons`), so that whatever attacks and judges a table does so with
histories; the events themselves go along for what is about their order.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import polars as pl

from sfumato.contracts import PERSON, ROW, Comparison, Logs, nobody
from sfumato.core.errors import InputError
from sfumato.core.keyed import derive, generator
from sfumato.evidence.histories import compared
from sfumato.pipeline.fitted import Fitted
from sfumato.pipeline.private import paid_by
from sfumato.pipeline.snapshot import UNIT
from sfumato.policy.histories import History, window_of
from sfumato.policy.synthetic import Synthesis

if TYPE_CHECKING:
    from sfumato.dp.budget import Budget
    from sfumato.pipeline.outcome import Watch
    from sfumato.synth.sequences import Domain, SyntheticHistories

#: A model's own figures that are told: losses on people's events stay in custody.
_TOLD = ("parameters", "longest", "epochs")


@dataclass(frozen=True)
class Size:
    """About how many people there are (or images, if nobody is named), as it was declared."""

    size: int


@dataclass(frozen=True)
class TaughtHistories:
    """A taught model of histories, as the way of made rows asks for it."""

    model: SyntheticHistories
    declared: int | None

    @property
    def facts(self) -> Mapping[str, Any]:
        """What was learned, of no person."""
        found = self.model.facts
        return {"domain": {"columns": []}, "model": {name: found[name] for name in _TOLD if name in found}}

    @property
    def event(self) -> Mapping[str, Any] | None:
        """What was charged, as JSON; None without differential privacy."""
        return None if self.model.cost is None else self.model.cost.charged

    @property
    def charged(self) -> Size | None:
        """About how many people taught, under differential privacy."""
        return None if self.declared is None else Size(self.declared)

    def content(self) -> bytes:
        """The model in a file, for custody."""
        return self.model.content()

    def sample(self, people: int, *, balance: Any = None, key: bytes) -> pl.DataFrame:
        """The events of so many made people, one person after another, each one's in time.

        People stand in a drawn order, whatever the model made them in.
        """
        del balance
        subject = self.model.coding.subject
        made = self.model.sample(people, key=derive(key, "people"))
        names = made[subject].unique(maintain_order=True)
        drawn = generator(derive(key, "order of people")).permutation(len(names))
        order = pl.DataFrame({subject: names, ROW: drawn})
        placed = made.join(order, on=subject, how="left", maintain_order="left")
        return placed.sort(ROW, maintain_order=True).drop(ROW)


def history_of(fitted: Fitted) -> History | None:
    """What the events of people are, if histories are made."""
    asked = fitted.snapshot.policy.synthesis
    return None if asked is None else asked.history


@dataclass(frozen=True)
class Events:
    """The events of a fitted policy's people, in the terms in which they are learned and released."""

    fitted: Fitted
    history: History

    @property
    def subject(self) -> str:
        """The column that says whose an event is."""
        subject = self.fitted.snapshot.policy.dataset.subject
        assert subject is not None
        return subject

    @cached_property
    def kind(self) -> pl.DataType:
        """The type of the time column."""
        return self.fitted.types()[self.history.time]

    @cached_property
    def window(self) -> tuple[Any, Any]:
        """When observation opened and closed, as values of the time column.

        Raises:
            InputError: ``column-values``: what the policy does with the time column leaves no time.
        """
        dated = self.kind.is_temporal()
        found = window_of(self.history.window, dated=dated)
        if found is None or not (dated or self.kind.is_numeric()):
            raise InputError(
                "column-values",
                "as its action leaves it, this column has no times that the window is of",
                where=f"column {self.history.time}",
                remedy="keep the times as they are",
            )
        closes = self.history.window[1]
        if isinstance(self.kind, pl.Datetime) and len(str(closes)) == len("1997-01-31"):
            # A day that observation closes on is in it.
            return found[0], found[1] + dt.timedelta(days=1, seconds=-1)  # type: ignore[operator]
        if self.kind == pl.Date:
            return tuple(end.date() if isinstance(end, dt.datetime) else end for end in found)  # type: ignore
        return found

    @property
    def ticks(self) -> tuple[float, float]:
        """The window as numbers."""
        ends = pl.Series(list(self.window)).cast(self.kind).to_physical().cast(pl.Float64)
        return float(ends[0]), float(ends[1])

    def of(self, part: pl.LazyFrame) -> pl.DataFrame:
        """The events inside the window of people whose names are there, in the source's order.

        Their persons' numbers (:data:`PERSON`) are those of the snapshot, and say nothing of the names.
        """
        named = self.fitted.rows(part.filter(pl.col(self.subject).is_not_null()))
        columns = [name for name in self.fitted.released if name != self.subject]
        rows = named.select(ROW, pl.col(UNIT).cast(pl.UInt64).alias(PERSON), *columns)
        return self._inside(rows.collect(engine="streaming").sort(ROW).drop(ROW))

    def written(self, made: pl.LazyFrame) -> pl.DataFrame:
        """Made events as they were written, with numbers for the made names."""
        rows = made.sort(ROW).collect(engine="streaming")
        numbers = pl.col(self.subject).rank("dense").cast(pl.UInt64).alias(PERSON)
        return rows.select(numbers, *(name for name in self.fitted.released if name != self.subject))

    def _inside(self, rows: pl.DataFrame) -> pl.DataFrame:
        opens, closes = self.window
        time = pl.col(self.history.time)
        inside = (time >= pl.lit(opens).cast(self.kind)) & (time <= pl.lit(closes).cast(self.kind))
        return rows.filter(inside)


def people_in(fitted: Fitted, history: History, part: pl.LazyFrame) -> int:
    """How many people of a part have an event inside the window."""
    return int(Events(fitted, history).of(part)[PERSON].n_unique())


def teach_histories(
    fitted: Fitted, asked: Synthesis, part: pl.LazyFrame, budget: Budget | None, watch: Watch
) -> TaughtHistories:
    """Teach a model of histories.

    Raises:
        RefusedError: ``budget-spent``: the budget has no room; nothing was learned.
    """
    from sfumato.synth.sequences import fit

    history, terms = asked.history, asked.dp
    assert history is not None
    events = Events(fitted, history)
    paid: dict[str, Any] = {"window": events.window, "least": 1 if asked.rare == "keep" else 10}
    if terms is not None:
        paid = paid_by(fitted.snapshot.policy.dataset, asked, budget, "histories")
        paid["domain"] = _domain(events, asked)
    log = events.of(part).rename({PERSON: events.subject})
    model = fit(
        log.select(fitted.released),
        subject=events.subject,
        time=history.time,
        items=history.items,
        statics=history.statics,
        model=asked.by,
        params=asked.settings,
        key=derive(fitted.snapshot.release_key, "synthesis"),
        progress=watch.within,
        **paid,
    )
    return TaughtHistories(model, None if terms is None else terms.size)


def _domain(events: Events, asked: Synthesis) -> Domain:
    from sfumato.synth.sequences import Domain

    history, terms = asked.history, asked.dp
    assert history is not None
    assert terms is not None
    assert history.longest is not None
    return Domain(events.window, terms.categories, terms.bounds, history.longest)


def compare_histories(
    fitted: Fitted,
    history: History,
    taught: pl.LazyFrame,
    made: pl.LazyFrame,
    record: Callable[..., None] = nobody,
) -> Comparison:
    """The comparison of histories that are made with the people who taught, and with others.

    Args:
        taught: all raw rows of those who taught.
        made: the events made, as written.
        record: keeps what single people risk.
    """
    snapshot, policy = fitted.snapshot, fitted.snapshot.policy
    assert policy.evidence is not None
    events = Events(fitted, history)
    # A number that is a name is near to no other.
    named = [pl.col(name).cast(pl.String) for name in history.items]
    logs = Logs(
        history.time,
        history.items,
        history.amounts,
        history.statics,
        events.ticks,
        events.of(taught).with_columns(named),
        events.written(made).with_columns(named),
        events.of(snapshot.part(held_out=True)).with_columns(named),
    )
    return compared(
        logs,
        snapshot.inventory,
        fitted.plan,
        snapshot.release_key,
        policy.evidence.sample,
        context=policy.context.model_dump(),
        groups=policy.groups,
        record=record,
    )
