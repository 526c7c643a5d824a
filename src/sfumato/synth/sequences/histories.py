"""Histories: the events of people in order, as codes; and back to a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sfumato.core.errors import InputError, nearest
from sfumato.synth.sequences import scales
from sfumato.synth.sequences.clock import Clock
from sfumato.synth.sequences.scales import Scale, Values

Field = Scale | Values
#: Bins of times and of amounts.
BINS = 32
#: Where they are declared: each is drawn with noise of its own.
DECLARED_BINS = 24
#: Made people are called so, with a number: nobody takes them for the real ones of that number.
_MADE = "synthetic-"


@dataclass(frozen=True, eq=False)
class Histories:
    """Events of people in order: person p has those from ``starts[p]`` to before ``starts[p + 1]``.

    ``times`` are ticks since the window opened, never falling within a person, shape (events,); ``gaps`` the
    codes of the time since the event before, of a person's first event since the opening, on a scale of its
    own. ``codes`` has shape (events, fields), ``statics`` (people, fields of people).
    """

    starts: NDArray[np.int64]
    times: NDArray[np.float64]
    gaps: NDArray[np.int32]
    codes: NDArray[np.int32]
    statics: NDArray[np.int32]

    @property
    def people(self) -> int:
        """How many people."""
        return len(self.starts) - 1

    @property
    def lengths(self) -> NDArray[np.int64]:
        """How many events each person has."""
        return np.diff(self.starts)


@dataclass(frozen=True)
class Domain:
    """What is declared of a log, so that nothing of it need be looked at.

    Args:
        window: when observation opens and closes, as values of the time column.
        values: the values of each category.
        bounds: the lowest and the highest value of each number.
        longest: no history made is longer, and of longer ones the first events count.
    """

    window: tuple[Any, Any]
    values: Mapping[str, Sequence[Any]]
    bounds: Mapping[str, tuple[float, float]]
    longest: int = 100


@dataclass(frozen=True, eq=False)
class Coding:
    """How a log is coded: its columns' names and order, the clock, a scale or values for each field."""

    subject: str
    time: str
    clock: Clock
    entry: Scale
    gap: Scale
    fields: tuple[Field, ...]
    statics: tuple[Field, ...]
    longest: int
    order: tuple[str, ...]

    @classmethod
    def fit(
        cls,
        table: pl.DataFrame,
        *,
        subject: str,
        time: str,
        items: Sequence[str] = (),
        statics: Sequence[str] = (),
        window: tuple[Any, Any] | None = None,
        least: int = 10,
        domain: Domain | None = None,
        declared_bins: int = DECLARED_BINS,
    ) -> Coding:
        """Bins and values from a log, or from what is declared of it.

        Args:
            items: columns of numbers that are names and no amounts; text always is.
            statics: columns that say something of the person and not of the event; the first row counts.
            least: what fewer people have is kept nowhere.
            declared_bins: of times and amounts whose domain is declared.

        Raises:
            InputError: ``unknown-name``, ``column-values``, ``source-empty``, ``usage``.
        """
        names = _check(table, subject, time, [*items, *statics])
        fields = [name for name in names if name not in statics]
        clock = Clock.fit(table[time], (domain.window if domain else window))
        if domain is not None:
            return cls._declared(table, domain, clock, subject, time, fields, items, statics, declared_bins)
        log = _log(table, subject, time, clock)
        if log.starts[-1] == 0:
            raise InputError("source-empty", "no row has a person and a time inside the window")
        people = len(log.starts) - 1
        if people < least:
            raise InputError(
                "usage",
                f"these are fewer people than {least}, and what fewer have is kept nowhere",
                remedy="choose a smaller `least` (in a policy rare: keep), if these people may be told apart",
            )
        gaps, first = log.gaps()
        rows = log.rows
        made = [_field(rows[name], log.of, name in items, least) for name in fields]
        at = log.starts[:-1]
        own = [_field(rows[name].gather(at), np.arange(people), name in items, least) for name in statics]
        later = np.flatnonzero(~first)
        return cls(
            subject, time, clock,
            Scale.fit("entry", "Float64", log.times[first], log.of[first], least=least, bins=BINS),
            Scale.fit("gap", "Float64", gaps[later], log.of[later], least=least, bins=BINS),
            tuple(made), tuple(own),
            int(np.sort(log.lengths)[::-1][least - 1]),
            tuple(table.columns),
        )  # fmt: skip

    @classmethod
    def _declared(
        cls, table: pl.DataFrame, domain: Domain, clock: Clock, subject: str, time: str,
        fields: Sequence[str], items: Sequence[str], statics: Sequence[str], bins: int,
    ) -> Coding:  # fmt: skip
        def field(name: str) -> Field:
            kind = table.schema[name]
            if kind.is_numeric() and name not in items:
                if name not in domain.bounds:
                    raise _undeclared(name, "bounds")
                low, high = domain.bounds[name]
                step = 1.0 if kind.is_integer() else 0.01
                return Scale.declared(name, str(kind), low, high, bins=bins, step=step, missing=True)
            if kind != pl.Boolean and name not in domain.values:
                raise _undeclared(name, "values")
            return Values.declared(name, str(kind), domain.values.get(name, (False, True)))

        if domain.longest < 1:
            raise InputError("usage", "no history can have less than one event")
        times: dict[str, Any] = {
            "low": 0.0,
            "high": clock.length,
            "bins": bins,
            "step": clock.step,
            "missing": False,
        }
        return cls(
            subject, time, clock,
            Scale.declared("entry", "Float64", **times),
            Scale.declared("gap", "Float64", **times),
            tuple(field(name) for name in fields), tuple(field(name) for name in statics),
            domain.longest, tuple(table.columns),
        )  # fmt: skip

    def encode(self, table: pl.DataFrame) -> Histories:
        """The histories of a log; rows without a person or a time, or outside the window, are left out."""
        log = _log(table, self.subject, self.time, self.clock, self.longest)
        gaps, first = log.gaps()
        codes = np.empty((len(log.of), len(self.fields)), dtype=np.int32)
        for place, field in enumerate(self.fields):
            codes[:, place] = _coded(field, log.rows[field.name])
        own = np.empty((len(log.starts) - 1, len(self.statics)), dtype=np.int32)
        for place, field in enumerate(self.statics):
            own[:, place] = _coded(field, log.rows[field.name].gather(log.starts[:-1]))
        coded = np.where(first, self.entry.encode(log.times), self.gap.encode(gaps)).astype(np.int32)
        return Histories(log.starts, log.times, coded, codes, own)

    def decode(self, made: Histories, random: np.random.Generator, number: int = 0) -> pl.DataFrame:
        """A log of made histories; the first person is called after ``number``."""
        of = np.repeat(np.arange(made.people), made.lengths)
        columns = {
            self.subject: pl.Series(
                self.subject,
                [f"{_MADE}{one:07}" for one in range(number, number + made.people)],
                dtype=pl.String,
            ).gather(of),
            self.time: self.clock.values(made.times),
        }
        for place, field in enumerate(self.fields):
            columns[field.name] = _decoded(field, made.codes[:, place], random)
        for place, field in enumerate(self.statics):
            columns[field.name] = _decoded(field, made.statics[:, place], random).gather(of)
        return pl.DataFrame([columns[name].alias(name) for name in self.order])

    def state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Arrays and JSON that :meth:`restored` makes it from again."""
        arrays: dict[str, NDArray[Any]] = {}
        parts: dict[str, Any] = {}
        for name, group in (
            ("times", (self.entry, self.gap)),
            ("fields", self.fields),
            ("statics", self.statics),
        ):
            parts[name] = []
            for place, field in enumerate(group):
                held, said = field.state()
                arrays |= {f"coding.{name}.{place}.{one}": array for one, array in held.items()}
                parts[name].append(said)
        return arrays, {
            "subject": self.subject, "time": self.time, "clock": self.clock.state(), "longest": self.longest,
            "order": list(self.order), **parts,
        }  # fmt: skip

    @classmethod
    def restored(cls, arrays: Mapping[str, NDArray[Any]], document: Mapping[str, Any]) -> Coding:
        """The coding that :meth:`state` is of."""

        def group(name: str) -> tuple[Any, ...]:
            return tuple(
                scales.restored(
                    {one: arrays[f"coding.{name}.{place}.{one}"] for one in ("starts", "knots")}
                    if said["kind"] == "scale"
                    else {},
                    said,
                )
                for place, said in enumerate(document[name])
            )

        entry, gap = group("times")
        return cls(
            document["subject"], document["time"], Clock(**document["clock"]), entry, gap, group("fields"),
            group("statics"), document["longest"], tuple(document["order"]),
        )  # fmt: skip


@dataclass(frozen=True, eq=False)
class _Log:
    """The rows of a log sorted by person and time."""

    rows: pl.DataFrame
    of: NDArray[np.int64]
    times: NDArray[np.float64]
    starts: NDArray[np.int64]

    @property
    def lengths(self) -> NDArray[np.int64]:
        return np.diff(self.starts)

    def gaps(self) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        first = np.zeros(len(self.of), dtype=bool)
        first[self.starts[:-1][self.lengths > 0]] = True
        return np.diff(self.times, prepend=0.0), first


def _log(table: pl.DataFrame, subject: str, time: str, clock: Clock, longest: int | None = None) -> _Log:
    ticks, who = "__sfumato_ticks__", "__sfumato_who__"
    rows = table.with_columns(clock.ticks(table[time]).alias(ticks)).filter(
        pl.col(subject).is_not_null() & pl.col(ticks).is_between(0, clock.length)
    )
    rows = rows.with_columns(pl.col(subject).rank("dense").cast(pl.Int64).alias(who) - 1)
    rows = rows.sort(who, ticks, maintain_order=True)
    if longest is not None:
        rows = rows.filter(pl.int_range(pl.len()).over(who) < longest)
    of = rows[who].to_numpy()
    starts = (
        np.concatenate([[0], np.cumsum(np.bincount(of))]).astype(np.int64)
        if len(of)
        else np.zeros(1, np.int64)
    )
    return _Log(rows, of, rows[ticks].to_numpy(), starts)


def _check(table: pl.DataFrame, subject: str, time: str, named: Sequence[str]) -> list[str]:
    for name in (subject, time, *named):
        if name not in table.columns:
            raise InputError(
                "unknown-name", f'there is no column "{name}"', remedy=nearest(name, table.columns)
            )
    if len({subject, time, *named}) < 2 + len(set(named)):
        raise InputError("usage", "a column cannot be person, time and field at once")
    names = [name for name in table.columns if name not in (subject, time)]
    for name in names:
        kind = table.schema[name]
        if not (
            kind.is_numeric() or kind in (pl.String, pl.Boolean, pl.Categorical, pl.Null) or kind == pl.Enum
        ):
            raise InputError(
                "column-values", "an event's field must be a number, a text or yes and no", where=name,
                remedy="leave the column out, or make text of it",
            )  # fmt: skip
    if not table.height:
        raise InputError("source-empty", "there are no events to learn from")
    return names


def _field(column: pl.Series, people: NDArray[np.int64], item: bool, least: int) -> Field:
    if column.dtype.is_numeric() and not item:
        numbers = column.cast(pl.Float64).fill_null(float("nan")).to_numpy()
        return Scale.fit(column.name, str(column.dtype), numbers, people, least=least, bins=BINS)
    return Values.fit(column if column.dtype != pl.Null else column.cast(pl.String), people, least=least)


def _coded(field: Field, column: pl.Series) -> NDArray[np.int32]:
    if isinstance(field, Scale):
        return field.encode(column.cast(pl.Float64).fill_null(float("nan")).to_numpy())
    return field.encode(column)


def _decoded(field: Field, codes: NDArray[np.int32], random: np.random.Generator) -> pl.Series:
    if isinstance(field, Scale):
        return field.series(field.draw(codes, random))
    return field.series(codes)


def _undeclared(name: str, what: str) -> InputError:
    return InputError(
        "usage",
        f"nothing is declared of this column, and under differential privacy it may not be looked at: {what}",
        where=name,
        remedy=f"Domain({what}={{...}}), or leave the column out",
    )
