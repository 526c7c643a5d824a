"""Making histories: time after time, event after event, for many people side by side.

No gap is below nothing and every time is the one before and a gap, so that order cannot be wrong. A next
event that would come after the window closes is none: that is where a history ends.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from sfumato.synth.sequences.histories import Coding, Histories
from sfumato.synth.sequences.memory import Memory


class Foretelling(Protocol):
    """Chances of the fields of people, then again and again of the parts of the next event, in this order."""

    def own(self, codes: NDArray[np.int32]) -> NDArray[np.float64]:
        """Chances of the codes of the next field of people, from those of the fields before."""

    def begin(self, memory: Memory) -> None:
        """What is remembered of the people whose next event it is."""

    def when(self, *, first: bool) -> NDArray[np.float64]:
        """Chances of codes of the entry, or of gaps and of never, shape (people, codes)."""

    def hear_time(self, codes: NDArray[np.int32], rows: NDArray[np.int64], *, first: bool) -> None:
        """The time of the event of some of them; the others have none."""

    def what(self, place: int) -> NDArray[np.float64]:
        """Chances of the codes of a field, shape (people, codes)."""

    def hear(self, place: int, codes: NDArray[np.int32]) -> None:
        """A field's codes."""


class Making:
    """Histories of people who are nobody.

    Args:
        foretell: gives the chances.
        random: everything is drawn from it.
    """

    def __init__(self, coding: Coding, foretell: Foretelling, random: np.random.Generator) -> None:
        self._coding, self._foretell, self._random = coding, foretell, random

    def go(self, people: int) -> Histories:
        """Histories of so many people."""
        coding = self._coding
        own = np.empty((people, len(coding.statics)), dtype=np.int32)
        for place in range(len(coding.statics)):
            own[:, place] = drawn(self._foretell.own(own[:, :place]), self._random)
        alive, memory = np.arange(people), Memory(coding, own)
        who, times, gaps, codes = [], [], [], []
        for step in range(coding.longest):
            self._foretell.begin(memory)
            gap, at = self._times(memory, first=step == 0)
            on = np.flatnonzero(at <= coding.clock.length)
            self._foretell.hear_time(gap[on], on, first=step == 0)
            alive, memory, at = alive[on], memory.kept(on), at[on]
            if not len(alive):
                break
            event = np.empty((len(alive), len(coding.fields)), dtype=np.int32)
            for place in range(len(coding.fields)):
                event[:, place] = drawn(self._foretell.what(place), self._random)
                self._foretell.hear(place, event[:, place])
            memory.add(at, event)
            who.append(alive)
            times.append(at)
            gaps.append(gap[on])
            codes.append(event)
        return _ordered(people, who, times, gaps, codes, own, len(coding.fields))

    def _times(self, memory: Memory, *, first: bool) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
        """Codes and times of the next events; a time beyond the window where there is none."""
        coding = self._coding
        gap = drawn(self._foretell.when(first=first), self._random)
        if first:
            return gap, np.minimum(coding.entry.draw(gap, self._random), coding.clock.length)
        never = gap == coding.gap.size
        waited = coding.gap.draw(np.where(never, 0, gap).astype(np.int32), self._random)
        return gap, np.where(never, np.inf, memory.time + waited)


def drawn(chances: NDArray[np.float64], random: np.random.Generator) -> NDArray[np.int32]:
    """A code from each row of chances."""
    if chances.shape[1] == 1:
        return np.zeros(len(chances), dtype=np.int32)
    upto = np.cumsum(chances, axis=1)
    at = random.random(len(chances)) * upto[:, -1]
    return np.asarray((upto[:, :-1] <= at[:, None]).sum(axis=1), dtype=np.int32)


def _ordered(
    people: int,
    who: list[NDArray[np.int64]],
    times: list[NDArray[np.float64]],
    gaps: list[NDArray[np.int32]],
    codes: list[NDArray[np.int32]],
    own: NDArray[np.int32],
    fields: int,
) -> Histories:
    """Events that were made side by side, person by person."""
    of = np.concatenate([np.zeros(0, dtype=np.int64), *who])
    order = np.argsort(of, kind="stable")
    starts = np.concatenate([[0], np.cumsum(np.bincount(of, minlength=people))]).astype(np.int64)
    return Histories(
        starts,
        np.concatenate([np.zeros(0), *times])[order],
        np.concatenate([np.zeros(0, dtype=np.int32), *gaps])[order],
        np.concatenate([np.zeros((0, fields), dtype=np.int32), *codes])[order],
        own,
    )
