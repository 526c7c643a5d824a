"""Histories of people as rows of people, so that whatever judges a table judges them too.

A person with all events is one row: when the first event was, then the gap to each of the next, with items
and amounts, and of the events after those how long they went on and what they come to. No column follows
from others, so that a row that is expected by chance is told from one that is not
(:class:`sfumato.evidence.attacks.copies.Rows`), and two people with the same row have the same history but
for what comes late in a long one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl

from sfumato.contracts import PERSON, Comparison, Logs
from sfumato.core.values import Inventory, Plan
from sfumato.evidence.persons import compared_people, inventory_of

#: The events of a history that have columns of their own.
SHOWN = 8
#: The part of the window that is known where it is to be foretold whether somebody comes again.
KNOWN = 2 / 3
_TICKS, _PLACE = "__sfumato_ticks__", "__sfumato_place__"


def sources(logs: Logs) -> dict[str, str | None]:
    """The columns of :func:`persons` with those of the log that they are of; None for how many events."""
    told: dict[str, str | None] = {name: name for name in logs.statics}
    told[_free("events", logs)] = None
    for place in range(1, SHOWN + 1):
        told |= {_named(name, place): name for name in (logs.time, *logs.items, *logs.amounts)}
    return told | {_later(name): name for name in (logs.time, *logs.amounts)}


def event_time(logs: Logs, place: int) -> str:
    """The column of the time of an event by its place from 1, missing of people with fewer.

    The first hangs on the calendar, and no other column does.
    """
    return _named(logs.time, place)


def of_first(logs: Logs, events: int) -> set[str]:
    """The columns that say what somebody's first events were."""
    places = range(1, events + 1)
    return {_named(name, place) for place in places for name in (logs.time, *logs.items, *logs.amounts)}


def _named(name: str, place: int) -> str:
    return f"{name}, event {place}"


def _later(name: str) -> str:
    return f"{name}, after event {SHOWN}"


def _free(name: str, logs: Logs) -> str:
    """A name that no column about people has."""
    return name if name not in logs.statics else _free(f"{name}, all", logs)


def ticks(log: pl.DataFrame, time: str) -> pl.Series:
    """Times as numbers: days of dates, the unit of datetimes, numbers as they are."""
    return log[time].to_physical().cast(pl.Float64)


def persons(log: pl.DataFrame, logs: Logs) -> pl.DataFrame:
    """One row of each person, in the order of their numbers: these (:data:`PERSON`), and all ``sources``."""
    at = log.with_columns(ticks(log, logs.time).alias(_TICKS)).sort(PERSON, _TICKS, maintain_order=True)
    at = at.with_columns(
        pl.col(_TICKS).diff().over(PERSON).fill_null(pl.col(_TICKS) - logs.window[0]),
        pl.int_range(pl.len()).over(PERSON).alias(_PLACE),
    )
    shown = {logs.time: _TICKS, **{name: name for name in (*logs.items, *logs.amounts)}}
    found = at.group_by(PERSON, maintain_order=True).agg(
        *(pl.col(name).first() for name in logs.statics),
        pl.len().cast(pl.Int64).alias(_free("events", logs)),
    )
    for place in range(SHOWN):
        event = at.filter(pl.col(_PLACE) == place).select(
            PERSON, *(pl.col(column).alias(_named(name, place + 1)) for name, column in shown.items())
        )
        found = found.join(event, on=PERSON, how="left", maintain_order="left")
    late = at.filter(pl.col(_PLACE) >= SHOWN).group_by(PERSON)
    summed = late.agg(pl.col(shown[name]).sum().alias(_later(name)) for name in (logs.time, *logs.amounts))
    return found.join(summed, on=PERSON, how="left", maintain_order="left").select(PERSON, *sources(logs))


def coming(log: pl.DataFrame, logs: Logs, target: str) -> pl.DataFrame:
    """People as they were :data:`KNOWN` of the window through, and whether they came again after that.

    One row of each person, in the order of :func:`persons`; the target of somebody who had not come yet is
    missing.
    """
    opens, closes = logs.window
    cut = opens + KNOWN * (closes - opens)
    at = log.with_columns(ticks(log, logs.time).alias(_TICKS)).sort(PERSON, _TICKS, maintain_order=True)
    before, time = pl.col(_TICKS) < cut, pl.col(_TICKS)
    known = time.filter(before)
    recent = cut - (cut - opens) / 4
    told = [
        *(pl.col(name).first() for name in logs.statics),
        before.sum().cast(pl.Int64).alias("events so far"),
        (cut - known.min()).alias("since the first"),
        (cut - known.max()).alias("since the last"),
        (known.max() - known.min()).alias("between first and last"),
        (before & (time >= recent)).sum().cast(pl.Int64).alias("events of late"),
        *(pl.col(name).filter(before).mean().alias(f"{name}, mean") for name in logs.amounts),
        *(pl.col(name).filter(before).max().alias(f"{name}, most") for name in logs.amounts),
        *(pl.col(name).filter(before).last().alias(f"{name}, last") for name in logs.items),
        pl.when(before.any()).then((~before).any()).alias(target),
    ]
    return at.group_by(PERSON, maintain_order=True).agg(told)


def target_of(logs: Logs) -> str:
    """What the target of :func:`coming` is called."""
    return _free("comes again", logs)


def compared(logs: Logs, inventory: Inventory, plan: Plan, key: bytes, most: int, **more: Any) -> Comparison:
    """The comparison of histories that are made with those of the people who taught, and of others.

    Args:
        logs: everybody's events.
        inventory: of the log that was learned from, whose columns the people's are of.
        plan: the same.
        most: so many people of each kind are looked at by probes that need them one by one.
        more: of :class:`Comparison`.
    """
    target, of = target_of(logs), sources(logs)
    every = [persons(log, logs) for log in (logs.taught, logs.made, logs.others)]
    known = [coming(log, logs, target) for log in (logs.taught, logs.made, logs.others)]
    whole = inventory_of(every[0].drop(PERSON), of, inventory)
    foretold = inventory_of(known[0].drop(PERSON), {}, inventory, target)
    dated = {name: source or logs.time for name, source in of.items()}
    return compared_people(every, known, (whole, foretold), plan, dated, key, most, logs=logs, **more)


def unordered(log: pl.DataFrame, time: str) -> float:
    """The share of people whose rows, as they stand, go back in time.

    >>> unordered(pl.DataFrame({PERSON: [1, 1, 2, 2], "day": [1, 2, 5, 3]}), "day")
    0.5
    """
    back = (
        log.select(pl.col(PERSON), ticks(log, time).alias(_TICKS))
        .group_by(PERSON)
        .agg((pl.col(_TICKS).diff() < 0).any().alias("back"))
    )
    return float(np.mean(back["back"].to_numpy())) if back.height else 0.0


def number_columns(log: pl.DataFrame, names: Sequence[str]) -> tuple[str, ...]:
    """Those of the columns that are numbers."""
    return tuple(name for name in names if log.schema[name].is_numeric())
