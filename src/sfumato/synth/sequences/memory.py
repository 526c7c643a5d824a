"""What is remembered of a history so far, as numbers: one way for learning and for making.

A person's past is the last events as they were, and sums over all of them that fade at fixed rates: a linear
recurrence with nothing in it to learn, so that the network on top sees every event for itself, and a person's
events are rows of one example under differential privacy.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sfumato.synth.sequences.histories import Coding, Histories

#: So many events back are seen as they were, and can be repeated.
RECENT, REPEATED = 3, 12
#: Sums over a history keep this share from event to event; 1 forgets nothing.
_FADING = (1.0, 0.7)
#: A history's values of a field are summed as vectors of this length, drawn once for each value.
_PROFILE = 12


@dataclass(frozen=True)
class Shape:
    """The columns of what is remembered: ``codes`` whole numbers first, then ``numbers``."""

    codes: int
    numbers: int


class Memory:
    """What is remembered of people whose histories go on side by side.

    Args:
        coding: of their histories.
        statics: codes of the fields of people, shape (people, statics).
    """

    def __init__(self, coding: Coding, statics: NDArray[np.int32]) -> None:
        people, fields = len(statics), len(coding.fields)
        self._length = max(coding.clock.length, 1.0)
        self._sizes = [field.size for field in coding.fields]
        self._ordered = [hasattr(field, "knots") for field in coding.fields]
        # The same vectors for everybody and every run: they are part of the method.
        self._vectors = [
            np.random.default_rng(place).standard_normal((size, _PROFILE)).astype(np.float32) / _PROFILE**0.5
            for place, size in enumerate(self._sizes)
        ]
        self.statics = statics
        self.count = np.zeros(people, dtype=np.int64)
        self.time = np.zeros(people)
        self.first = np.zeros(people)
        # No event is one code more than there are.
        self.last = np.tile(np.array(self._sizes, dtype=np.int32), (people, REPEATED, 1))
        self.gaps = np.full((people, RECENT), -1.0, dtype=np.float32)
        self.sums = np.zeros((people, len(_FADING), fields, _PROFILE + 1), dtype=np.float32)
        self.gap_sums = np.zeros((people, len(_FADING), 2), dtype=np.float32)
        self.weights = np.zeros((people, len(_FADING)), dtype=np.float32)

    @staticmethod
    def shape(coding: Coding) -> Shape:
        """How many columns :meth:`seen` has."""
        empty = Memory(coding, np.zeros((1, len(coding.statics)), dtype=np.int32))
        codes, numbers = empty.seen()
        return Shape(codes.shape[1], numbers.shape[1])

    def kept(self, people: NDArray[np.int64]) -> Memory:
        """The memory of some of the people."""
        other = Memory.__new__(Memory)
        other.__dict__ = {
            name: value[people] if isinstance(value, np.ndarray) else value
            for name, value in self.__dict__.items()
        }
        return other

    def seen(self) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Codes (statics, then fields of the last events, the latest first) and numbers, a row a person."""
        there = np.maximum(self.weights, 1e-6)[:, :, None]
        age = self.time - self.first
        numbers = [
            np.log1p(self.count) / 3,
            self.count == 0,
            self.count == 1,
            self.count == 2,
            self.time / self._length,
            self._log(self._length - self.time),
            self._log(age),
            self._log(age / np.maximum(self.count - 1, 1)),
        ]
        codes = np.concatenate([self.statics, _flat(self.last)], axis=1)
        return codes, np.concatenate(
            [
                np.stack(numbers, axis=1).astype(np.float32),
                self.gaps,
                (self.gaps == 0).astype(np.float32),
                _flat(self.gap_sums / there),
                _flat(self.sums / there[..., None]),
            ],
            axis=1,
        )

    def add(self, times: NDArray[np.float64], codes: NDArray[np.int32]) -> None:
        """Each person's next event: its time, shape (people,), and codes, shape (people, fields)."""
        begun = self.count > 0
        gap = self._log(np.where(begun, times - self.time, 0.0)).astype(np.float32)
        self.first = np.where(begun, self.first, times)
        self.gaps = np.concatenate(
            [np.where(begun, gap, -1.0).astype(np.float32)[:, None], self.gaps[:, :-1]], axis=1
        )
        self.last = np.concatenate([codes[:, None, :], self.last[:, :-1]], axis=1)
        for place, fading in enumerate(_FADING):
            self.weights[:, place] = self.weights[:, place] * fading + 1
            self.gap_sums[:, place] *= fading
            self.gap_sums[:, place, 0] += gap
            self.gap_sums[:, place, 1] += (gap == 0) & begun
            self.sums[:, place] *= fading
            for field, vectors in enumerate(self._vectors):
                self.sums[:, place, field, :-1] += vectors[codes[:, field]]
                if self._ordered[field]:
                    self.sums[:, place, field, -1] += codes[:, field] / self._sizes[field]
        self.time = times
        self.count = self.count + 1

    def _log(self, ticks: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(np.log1p(1000 * np.maximum(ticks, 0) / self._length) / np.log(1001))


@dataclass(frozen=True, eq=False)
class Rows:
    """Each event of each person and, after the last, that no more was seen; a row each, persons in order.

    ``gap`` and ``fields`` are the codes to foretell, ``left`` the ticks until the window closes,
    ``count`` how many events were before and ``waited`` the last gap as it is remembered; ``first`` and
    ``over`` say which rows are a person's first event and which the end; ``of`` whose they are.
    """

    codes: NDArray[np.int32]
    numbers: NDArray[np.float32]
    gap: NDArray[np.int32]
    fields: NDArray[np.int32]
    left: NDArray[np.float64]
    count: NDArray[np.int64]
    waited: NDArray[np.float32]
    first: NDArray[np.bool_]
    over: NDArray[np.bool_]
    of: NDArray[np.int64]


def rows_of(coding: Coding, histories: Histories) -> Rows:
    """What there is to learn from histories."""
    shape, lengths = Memory.shape(coding), histories.lengths
    starts = histories.starts[:-1] + np.arange(histories.people)
    total = len(histories.gaps) + histories.people
    codes = np.empty((total, shape.codes), dtype=np.int32)
    numbers = np.empty((total, shape.numbers), dtype=np.float32)
    gap = np.zeros(total, dtype=np.int32)
    fields = np.zeros((total, len(coding.fields)), dtype=np.int32)
    left, count = np.empty(total), np.empty(total, dtype=np.int64)
    waited = np.empty(total, dtype=np.float32)
    over = np.zeros(total, dtype=bool)
    people = np.arange(histories.people)
    memory = Memory(coding, histories.statics)
    for step in range(int(lengths.max(initial=0)) + 1):
        at = starts[people] + step
        codes[at], numbers[at] = memory.seen()
        left[at], count[at], waited[at] = coding.clock.length - memory.time, step, memory.gaps[:, 0]
        on = lengths[people] > step
        over[at[~on]] = True
        people, memory = people[on], memory.kept(np.flatnonzero(on))
        events = histories.starts[people] + step
        gap[at[on]], fields[at[on]] = histories.gaps[events], histories.codes[events]
        memory.add(histories.times[events], histories.codes[events])
    first = np.zeros(total, dtype=bool)
    first[starts] = True
    of = np.repeat(np.arange(histories.people), lengths + 1)
    return Rows(codes, numbers, gap, fields, left, count, waited, first, over, of)


def _flat(array: NDArray[Any]) -> NDArray[Any]:
    """A row for each of the first axis, also where there is none."""
    return array.reshape(len(array), math.prod(array.shape[1:]))
