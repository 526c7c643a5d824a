"""The part of a policy that says what people's events are, where histories are made."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from typing import Annotated, Any, Self

from pydantic import Field, field_validator, model_validator

from sfumato.core.errors import Problem
from sfumato.core.values import Inventory
from sfumato.policy.parts import Section, Text


class History(Section):
    """Rows are events, and people with all of theirs are made: what is the time, and what an event is.

    Every column that leaves is named here once, but for ``dataset.subject``, which gets made names.
    """

    time: Text
    """The column that says when an event was: dates, times of day with dates, or numbers."""
    items: tuple[Text, ...] = ()
    """What an event is about, such as an article or a ward: columns of names, also where they are numbers."""
    amounts: tuple[Text, ...] = ()
    """How much: columns of numbers."""
    statics: tuple[Text, ...] = ()
    """Columns that say something of the person and not of the event; the first row of each counts."""
    window: tuple[float | str, float | str]
    """When observation opened and closed, as everybody may know it; events outside are left out. A day that
    it closed on is in it."""
    people: Annotated[int, Field(ge=1, le=10_000_000)] | None = None
    """How many people are made; by default as many as teach."""
    longest: Annotated[int, Field(ge=1, le=10_000)] | None = None
    """Under differential privacy: no history made has more events, and of longer ones the first count."""

    @field_validator("items", "amounts", "statics", mode="before")
    @classmethod
    def _several(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @field_validator("window", mode="before")
    @classmethod
    def _written(cls, value: Any) -> Any:
        """Dates as text, which is what they are in JSON."""
        if not isinstance(value, list | tuple):
            return value
        return [end.isoformat() if isinstance(end, dt.date) else end for end in value]

    @model_validator(mode="after")
    def _once_each(self) -> Self:
        named = (self.time, *self.events, *self.statics)
        twice = sorted({name for name in named if named.count(name) > 1})
        if twice:
            raise ValueError(f'"{twice[0]}" is named twice')
        if isinstance(self.window[0], str) is not isinstance(self.window[1], str):
            raise ValueError("window: both ends are dates, or both are numbers")
        return self

    @property
    def events(self) -> tuple[str, ...]:
        """The columns that say what an event is."""
        return (*self.items, *self.amounts)

    @property
    def columns(self) -> tuple[str, ...]:
        """Every column that teaches."""
        return (self.time, *self.events, *self.statics)


def untimely(asked: History, inventory: Inventory, where: Callable[..., str]) -> Iterator[Problem]:
    """Times that are none, amounts that are no numbers, and a window that is not of such times."""
    dtypes = {profile.name: profile.dtype for profile in inventory.columns}
    numeric = ("integer", "number")
    kind = dtypes.get(asked.time)
    if kind is not None and kind not in (*numeric, "date", "datetime"):
        yield Problem(
            where("synthesis", "history", "time"),
            f'"{asked.time}" is {kind}, and times are dates, datetimes or numbers',
            "name the column that says when an event was, written as 1997-01-31 or as a number",
        )
    elif kind is not None and window_of(asked.window, dated=kind not in numeric) is None:
        yield Problem(
            where("synthesis", "history", "window"),
            f'no window of "{asked.time}" opens and then closes with these',
            "write two dates (1997-01-31) for dates and times, two numbers for numbers, the earlier first",
        )
    for name in asked.amounts:
        if dtypes.get(name) not in (*numeric, "empty", None):
            yield Problem(
                where("synthesis", "history", "amounts"),
                f'"{name}" is {dtypes[name]}, and amounts are numbers',
                "name it under items, if it says what an event is about",
            )


def window_of(
    written: tuple[float | str, float | str], *, dated: bool
) -> tuple[float, float] | tuple[dt.datetime, dt.datetime] | None:
    """When observation opened and closed, as times of dates or as numbers; None if it is not so written."""
    opens, closes = written
    if not dated:
        if isinstance(opens, str) or isinstance(closes, str):
            return None
        return (opens, closes) if opens < closes else None
    try:
        ends = dt.datetime.fromisoformat(str(opens)), dt.datetime.fromisoformat(str(closes))
        return ends if ends[0] < ends[1] else None
    except (TypeError, ValueError):
        return None
