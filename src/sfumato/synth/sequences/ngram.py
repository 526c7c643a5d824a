"""A Markov renewal model on counts, exact or noisy (``ngram``).

What comes next hangs on little: a field on itself in the events before and on the field before it in the
event, a gap on how many events were and on the last gap. All of it is counts, so that one draw of noise makes
it private for whole people: a person's counts are scaled to an L2 norm of at most ``clip``, however many they
are.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from sfumato.contracts import Params
from sfumato.core.errors import InputError
from sfumato.synth.coded import Private
from sfumato.synth.sequences.histories import Coding, Histories
from sfumato.synth.sequences.making import Making
from sfumato.synth.sequences.memory import REPEATED, Memory, Rows, rows_of

if TYPE_CHECKING:
    from dp_accounting import DpEvent

    from sfumato.synth.learning import Watch

Counts = NDArray[np.float64]
#: A person's scaled counts are whole numbers of this grid.
_GRID = 2**20
#: Events before the next: 1, 2, 3 to 5, more; and the last gap: none, at once, short, long.
_COUNTS, _GAPS = (1, 2, 3, 6), (0.0, 1e-9, 0.5)
#: What a farther event says counts so much in the exponent: it is not independent of the nearer.
_FARTHER = 0.5
_MOST_TILT = 20.0
#: How many rows the table above counts for in a row of few, without noise.
_PRIOR = 2.0


class NgramParams(Params):
    """How far back it looks, and what one person counts."""

    lags: int = Field(3, ge=1, le=REPEATED)
    """Events back that a field's next value hangs on; 1 under differential privacy."""
    clip: float = Field(8.0, gt=0, le=1000)
    """Under differential privacy: a person's counts have at most this L2 norm."""


class Ngram:
    """Counts of what follows what."""

    Params: ClassVar[type[Params]] = NgramParams
    summary: ClassVar[str] = "a Markov renewal model on counts of what follows what; noisy ones under privacy"
    sees: ClassVar[Literal["rows", "marginals"]] = "marginals"
    has_private: ClassVar[bool] = True

    def __init__(self, params: NgramParams) -> None:
        self.params = params

    @staticmethod
    def restored(
        coding: Coding, arrays: Mapping[str, NDArray[Any]], document: Mapping[str, Any]
    ) -> NgramModel:
        """The model that its ``state`` is of."""
        return NgramModel.restored(coding, arrays, document)

    def events(self, coding: Coding, size: int, noise: float) -> list[DpEvent]:
        """What a fit under differential privacy is charged: one draw of Gaussian noise on all counts."""
        from sfumato.dp.mechanisms import gaussian_event

        del coding, size
        return [gaussian_event(self._sigma(noise), self._sensitivity)]

    def fit(
        self,
        coding: Coding,
        histories: Histories,
        key: bytes,
        private: Private | None = None,
        progress: Watch | None = None,
    ) -> NgramModel:
        """Count; under differential privacy with noise, one person moving all counts by ``clip`` at most."""
        del key
        lags = 1 if private else self.params.lags
        tables = _Tables.of(coding, lags)
        cells, of = tables.cells(rows_of(coding, histories), histories)
        if private is None:
            counts, noise = np.bincount(cells, minlength=tables.size).astype(np.float64), 0.0
        else:
            counts, noise = self._noisy(scaled(cells, of, tables.size, self.params.clip), private)
        if progress is not None:
            progress("counting", 1, 1)
        return NgramModel(coding, lags, counts, noise)

    def _noisy(self, counts: NDArray[np.int64], private: Private) -> tuple[Counts, float]:
        from sfumato.dp.mechanisms import gaussian, gaussian_event

        if private.unit != "subject":
            raise InputError("usage", "a history is a person's, and so is the budget: unit='subject'")
        sigma = self._sigma(private.noise)
        event = gaussian_event(sigma, self._sensitivity)
        private.budget.spend(event, place="counts of histories", delta=private.delta)
        return gaussian(counts, sigma) / _GRID, sigma / _GRID

    @property
    def _sensitivity(self) -> float:
        return self.params.clip * _GRID

    def _sigma(self, noise: float) -> float:
        from sfumato.dp.mechanisms import gaussian_sigma

        return gaussian_sigma(noise, self._sensitivity)


def scaled(cells: NDArray[np.int64], of: NDArray[np.int64], size: int, clip: float) -> NDArray[np.int64]:
    """Counts of cells, in grid steps, to which no person adds a vector of an L2 norm above ``clip``.

    Args:
        cells: shape (n,), what is counted.
        of: shape (n,), whose it is.

    >>> counts = scaled(np.array([0, 0, 1]), np.zeros(3, dtype=np.int64), 2, 1.0)
    >>> bool(np.linalg.norm(counts / 2**20) <= 1)
    True
    """
    both, counts = np.unique(of * size + cells, return_counts=True)
    person, cell = both // size, both % size
    norms = np.sqrt(np.bincount(person, counts.astype(np.float64) ** 2))[person]
    # Rounded towards nothing, so that the norm cannot rise; a hair less, for the root is rounded too.
    steps = np.floor(counts * np.minimum(1.0, clip / norms * (1 - 1e-12)) * _GRID)
    return np.bincount(cell, steps, minlength=size).astype(np.int64)


@dataclass(frozen=True)
class _Tables:
    """Which counts there are, one after another in one vector: shapes (contexts, codes) by name."""

    coding: Coding
    shapes: Mapping[str, tuple[int, int]]
    lags: int

    @classmethod
    def of(cls, coding: Coding, lags: int) -> _Tables:
        shapes: dict[str, tuple[int, int]] = {}
        for place, own in enumerate(coding.statics):
            shapes[f"own {place}"] = (coding.statics[place - 1].size if place else 1, own.size)
        shapes["entry"] = (1, coding.entry.size)
        contexts = len(_COUNTS) * (len(_GAPS) + 1)
        shapes["gap"] = (contexts, coding.gap.size)
        shapes["end"] = (contexts, coding.gap.size + 1)
        for place, field in enumerate(coding.fields):
            for lag in range(1, lags + 1):
                shapes[f"field {place} lag {lag}"] = (field.size + 1, field.size)
            if place:
                shapes[f"field {place} beside"] = (coding.fields[place - 1].size, field.size)
        return cls(coding, shapes, lags)

    @property
    def size(self) -> int:
        return sum(math.prod(shape) for shape in self.shapes.values())

    def split(self, counts: Counts) -> dict[str, Counts]:
        """The vector as tables."""
        found, at = {}, 0
        for name, shape in self.shapes.items():
            found[name] = counts[at : at + math.prod(shape)].reshape(shape)
            at += math.prod(shape)
        return found

    def cells(self, rows: Rows, histories: Histories) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Every count that every person adds one to, and whose it is."""
        coding, fields = self.coding, len(self.coding.fields)
        past = rows.codes[:, len(coding.statics) :].reshape(len(rows.of), REPEATED, fields)
        first, seen = np.flatnonzero(rows.first), np.flatnonzero(~rows.first & ~rows.over)
        events, over = np.flatnonzero(~rows.over), np.flatnonzero(rows.over)
        states = state_of(rows.count, rows.waited)
        nothing = np.zeros(len(rows.of), dtype=np.int64)
        parts: list[tuple[NDArray[np.int64], Any, Any]] = []
        for place in range(len(coding.statics)):
            before = histories.statics[:, place - 1] if place else nothing[: histories.people]
            parts.append((first, before, histories.statics[:, place]))
        parts.append((first, nothing[first], rows.gap[first]))
        parts.append((seen, states[seen], rows.gap[seen]))
        # Watched through so many bins: those that lie before the end at least half.
        watched = (coding.gap.beyond(rows.left[over]) <= 0.5).sum(axis=1)
        parts.append((over, states[over], watched))
        for place in range(fields):
            codes = rows.fields[events, place]
            parts += [(events, past[events, lag, place], codes) for lag in range(self.lags)]
            if place:
                parts.append((events, rows.fields[events, place - 1], codes))
        cells, of, at = [], [], 0
        for (which, context, code), (height, width) in zip(parts, self.shapes.values(), strict=True):
            cells.append(at + np.asarray(context, dtype=np.int64) * width + code)
            of.append(rows.of[which])
            at += height * width
        return np.concatenate(cells), np.concatenate(of)


def state_of(count: NDArray[np.int64], waited: NDArray[np.float32]) -> NDArray[np.int64]:
    """What a gap hangs on, as one number."""
    many = np.searchsorted(_COUNTS, count, side="right") - 1
    gap = np.searchsorted(_GAPS, waited, side="right")
    return np.asarray(np.clip(many, 0, None) * (len(_GAPS) + 1) + gap, dtype=np.int64)


@dataclass(frozen=True, eq=False)
class NgramModel:
    """Counts, ``noise`` their standard deviation, 0 where they are exact."""

    coding: Coding
    lags: int
    counts: Counts
    noise: float

    @property
    def facts(self) -> Mapping[str, Any]:
        """For the dossier."""
        return {
            "kind": "ngram", "counts": len(self.counts), "lags": self.lags, "noise": round(self.noise, 3),
            "longest": self.coding.longest,
        }  # fmt: skip

    def sample(self, people: int, random: np.random.Generator) -> Histories:
        """Made histories of so many people; the same draw gives the same."""
        return Making(self.coding, _Foretelling(self), random).go(people)

    def state(self) -> tuple[Mapping[str, NDArray[Any]], Mapping[str, Any]]:
        """Arrays and JSON that :meth:`restored` makes the model from again."""
        return {"counts": self.counts}, {"lags": self.lags, "noise": self.noise}

    @classmethod
    def restored(
        cls, coding: Coding, arrays: Mapping[str, NDArray[Any]], document: Mapping[str, Any]
    ) -> NgramModel:
        """The model that :meth:`state` is of."""
        return cls(coding, document["lags"], arrays["counts"], document["noise"])


class _Foretelling:
    """Chances from counts: a row of few leans on the sum of all rows."""

    def __init__(self, model: NgramModel) -> None:
        self._coding, self._lags = model.coding, model.lags
        tables = _Tables.of(model.coding, model.lags).split(model.counts)
        self._when = _gaps(tables.pop("gap"), tables.pop("end"), model.noise)
        self._tables = {name: rows_of_chances(table, model.noise) for name, table in tables.items()}
        # By how much a field's chances differ from those of all; noise must not make much of little.
        self._tilts = {
            name: np.clip(self._tables[name] / _above(table, model.noise), 1 / _MOST_TILT, _MOST_TILT)
            for name, table in tables.items()
            if name.startswith("field")
        }

    def own(self, codes: NDArray[np.int32]) -> Counts:
        """Chances of the codes of the next field of people."""
        place = codes.shape[1]
        table = self._tables[f"own {place}"]
        return table[codes[:, -1]] if place else np.broadcast_to(table[0], (len(codes), table.shape[1]))

    def begin(self, memory: Memory) -> None:
        """What is remembered of the people whose next event it is."""
        self._states, self._past = state_of(memory.count, memory.gaps[:, 0]), memory.last
        self._said: NDArray[np.int32] | None = None

    def when(self, *, first: bool) -> Counts:
        """Chances of codes of the entry, or of gaps and of never."""
        if first:
            entry = self._tables["entry"]
            return np.broadcast_to(entry[0], (len(self._states), entry.shape[1]))
        return self._when[self._states]

    def hear_time(self, codes: NDArray[np.int32], rows: NDArray[np.int64], *, first: bool) -> None:
        """Who has an event."""
        del codes, first
        self._past = self._past[rows]

    def what(self, place: int) -> Counts:
        """Chances of the codes of a field: those after the last event, tilted by the others."""
        chances = self._tables[f"field {place} lag 1"][self._past[:, 0, place]]
        for lag in range(2, self._lags + 1):
            name = f"field {place} lag {lag}"
            chances = chances * self._tilts[name][self._past[:, lag - 1, place]] ** _FARTHER
        if self._said is not None:
            chances = chances * self._tilts[f"field {place} beside"][self._said]
        return chances

    def hear(self, place: int, codes: NDArray[np.int32]) -> None:
        """A field's codes, for the field beside it."""
        del place
        self._said = codes


def rows_of_chances(counts: Counts, noise: float) -> Counts:
    """Chances from counts, row by row, never nothing.

    Noisy counts are first brought to the nearest that can be: none below zero, the sum as it was. Then each
    row leans on the sum of all, the more, the fewer it counts and the more noise there is.
    """
    rows = _possible(counts, noise)
    weight = _PRIOR + noise * math.sqrt(counts.shape[1])
    return np.asarray((rows + weight * _above(counts, noise)) / (rows.sum(axis=1, keepdims=True) + weight))


def _above(counts: Counts, noise: float) -> Counts:
    """Chances whatever the row."""
    total = _possible(counts.sum(axis=0)[None], noise)[0] + 0.5 / counts.shape[1]
    return np.asarray(total / total.sum())


def _possible(counts: Counts, noise: float) -> Counts:
    """The nearest counts (L2) of no less than zero with the same sum in each row."""
    if not noise:
        return counts
    totals = np.maximum(counts.sum(axis=1, keepdims=True), 0.0)
    ordered = -np.sort(-counts, axis=1)
    over = (np.cumsum(ordered, axis=1) - totals) / np.arange(1, counts.shape[1] + 1)
    last = np.maximum((ordered > over).sum(axis=1) - 1, 0)
    return np.asarray(np.maximum(counts - np.take_along_axis(over, last[:, None], axis=1), 0.0))


def _gaps(seen: Counts, ended: Counts, noise: float) -> Counts:
    """Chances of gaps and of never, where some were not seen to their end: the estimator of Kaplan & Meier
    (1958) by bins.

    Args:
        seen: shape (contexts, bins).
        ended: shape (contexts, bins + 1), who was watched through so many bins and had no event.
    """
    both = _possible(np.concatenate([seen, ended], axis=1), noise)
    total = both.sum(axis=0) + 1e-6
    both = both + (5 * _PRIOR + noise * math.sqrt(both.shape[1])) * total / total.sum()
    seen, ended = both[:, : seen.shape[1]], both[:, seen.shape[1] :]
    # At risk in a bin is who had the event in it or later, or was watched through it at least.
    watched = np.cumsum(seen[:, ::-1], axis=1)[:, ::-1] + np.cumsum(ended[:, :0:-1], axis=1)[:, ::-1]
    hazard = np.clip(seen / np.maximum(watched, 1e-9), 0.0, 1.0)
    alive = np.cumprod(1 - hazard, axis=1)
    before = np.concatenate([np.ones((len(seen), 1)), alive[:, :-1]], axis=1)
    return np.concatenate([hazard * before, alive[:, -1:]], axis=1) + 1e-12
