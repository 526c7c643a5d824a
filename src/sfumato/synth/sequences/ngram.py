"""A Markov renewal model on counts, exact or noisy (``ngram``).

What comes next hangs on little: how long a history is on when it begins, a gap on how long the history is and
on the room that is left for it, a field on itself in the events before and on the field before it in the
event. All of it is counts, and noise makes them private for whole people: in each table a person's counts are
scaled to an L2 norm of at most ``clip``, however many they are.

Under differential privacy codes are counted one by one first. What follows what is then counted among groups
of codes, as many as the noise leaves readable.
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
from sfumato.synth.sequences import chances, following
from sfumato.synth.sequences.counting import Counts, Part, Places, Table, exact, noisy, noisy_event
from sfumato.synth.sequences.following import with_none
from sfumato.synth.sequences.histories import Coding, Histories
from sfumato.synth.sequences.making import Making, drawn
from sfumato.synth.sequences.memory import REPEATED, Memory, rows_of

if TYPE_CHECKING:
    from dp_accounting import DpEvent

    from sfumato.synth.learning import Watch

#: What a farther event says counts so much in the exponent: it is not independent of the nearer.
_FARTHER = 0.5
_MOST_TILT = 20.0
#: Under differential privacy: the part of the cost that codes one by one take.
_SINGLE_SHARE = 0.2


class NgramParams(Params):
    """How far back it looks, and what one person counts."""

    lags: int = Field(3, ge=1, le=REPEATED)
    """Events back that a field's next value hangs on; 1 under differential privacy."""
    clip: float = Field(1.0, gt=0, le=1000)
    """Under differential privacy: a person's counts in a table have at most this L2 norm."""


class Ngram:
    """Counts of what follows what."""

    Params: ClassVar[type[Params]] = NgramParams
    summary: ClassVar[str] = "a Markov renewal model on counts of what follows what; noisy ones under privacy"
    sees: ClassVar[Literal["rows", "marginals"]] = "marginals"
    has_private: ClassVar[bool] = True
    #: Codes of times and amounts whose bounds are declared; they are grouped by what is counted of them.
    declared_bins: ClassVar[int] = 128

    def __init__(self, params: NgramParams) -> None:
        self.params = params

    @staticmethod
    def restored(
        coding: Coding, arrays: Mapping[str, NDArray[Any]], document: Mapping[str, Any]
    ) -> NgramModel:
        """The model that its ``state`` is of."""
        return NgramModel.restored(coding, arrays, document)

    def events(self, coding: Coding, size: int, noise: float) -> list[DpEvent]:
        """What a fit under differential privacy is charged: one draw for codes one by one, one for pairs."""
        del coding, size
        return [noisy_event(each) for each in _multipliers(noise)]

    def fit(
        self,
        coding: Coding,
        histories: Histories,
        key: bytes,
        private: Private | None = None,
        progress: Watch | None = None,
    ) -> NgramModel:
        """Count; under differential privacy with noise, and with all bounds declared."""
        del key
        if private is not None and private.unit != "subject":
            raise InputError("usage", "a history is a person's, and so is the budget: unit='subject'")
        rows, clip = rows_of(coding, histories), self.params.clip
        lags = 1 if private else self.params.lags
        single = _counted(following.single(coding, histories, rows, clip), private, 0)
        group = following.grouped(coding, single)
        pairs = _counted(following.pairs(coding, histories, rows, group, lags, clip), private, 1)
        if progress is not None:
            progress("counting", 1, 1)
        return NgramModel(coding, lags, {**single, **pairs}, group)


def _multipliers(noise: float) -> tuple[float, float]:
    """The noise of both draws, which together cost what one of that noise would."""
    return noise / math.sqrt(_SINGLE_SHARE), noise / math.sqrt(1 - _SINGLE_SHARE)


def _counted(parts: Mapping[str, Part], private: Private | None, draw: int) -> dict[str, Table]:
    if private is None:
        return exact(parts)
    multiplier = _multipliers(private.noise)[draw]
    private.budget.spend(noisy_event(multiplier), place="counts of histories", delta=private.delta)
    return noisy(parts, multiplier)


@dataclass(frozen=True, eq=False)
class NgramModel:
    """Tables of counts, and which codes were counted together."""

    coding: Coding
    lags: int
    tables: Mapping[str, Table]
    group: Mapping[str, Places]

    @property
    def facts(self) -> Mapping[str, Any]:
        """For the dossier; ``noise`` is the largest deviation of a count."""
        return {
            "kind": "ngram", "counts": sum(table.counts.size for table in self.tables.values()),
            "lags": self.lags, "noise": round(max(table.noise for table in self.tables.values()), 3),
            "longest": self.coding.longest,
        }  # fmt: skip

    def sample(self, people: int, random: np.random.Generator) -> Histories:
        """Made histories of so many people; the same draw gives the same."""
        return Making(self.coding, _Foretelling(self, random), random).go(people)

    def state(self) -> tuple[Mapping[str, NDArray[Any]], Mapping[str, Any]]:
        """Arrays and JSON that :meth:`restored` makes the model from again."""
        counts = {f"counts.{name}": table.counts for name, table in self.tables.items()}
        group = {f"group.{name}": codes for name, codes in self.group.items()}
        noise = {name: table.noise for name, table in self.tables.items()}
        return {**counts, **group}, {"lags": self.lags, "noise": noise, "groups": sorted(self.group)}

    @classmethod
    def restored(
        cls, coding: Coding, arrays: Mapping[str, NDArray[Any]], document: Mapping[str, Any]
    ) -> NgramModel:
        """The model that :meth:`state` is of."""
        tables = {name: Table(arrays[f"counts.{name}"], noise) for name, noise in document["noise"].items()}
        group = {name: arrays[f"group.{name}"] for name in document["groups"]}
        return cls(coding, document["lags"], tables, group)


class _Foretelling:
    """Chances from counts; how long a history will be is drawn with its beginning."""

    def __init__(self, model: NgramModel, random: np.random.Generator) -> None:
        self._coding, self._lags, self._group, self._random = model.coding, model.lags, model.group, random
        tables = dict(model.tables)
        lengths, steps = tables.pop("length"), model.group["length"]
        self._lengths = chances.by_row(lengths, chances.whole(lengths))[:, steps] / np.bincount(steps)[steps]
        self._whole = {name: chances.whole(tables.pop(name)) for name in model.group if name in tables}
        # Of the codes of a group each has its share of it; and shares of groups.
        self._of_groups = {name: _sums(model.group[name], one) for name, one in self._whole.items()}
        self._within = {
            name: one / self._of_groups[name][model.group[name]] for name, one in self._whole.items()
        }
        self._follow = {
            name: chances.by_row(table, self._of_groups[_of(name)]) for name, table in tables.items()
        }

    def own(self, codes: NDArray[np.int32]) -> Counts:
        """Chances of the codes of the next field of people."""
        place = codes.shape[1]
        if not place:
            return np.broadcast_to(self._whole["own 0"], (len(codes), len(self._whole["own 0"])))
        before = self._group[f"own {place - 1}"][codes[:, -1]]
        return self._of_codes(f"own {place}", self._follow[f"own {place} beside"][before])

    def begin(self, memory: Memory) -> None:
        """What is remembered of the people whose next event it is."""
        self._memory, self._past = memory, memory.last
        self._said: NDArray[np.int32] | None = None

    def when(self, *, first: bool) -> Counts:
        """Chances of codes of the entry, or of gaps and of never."""
        memory, coding = self._memory, self._coding
        if first:
            return np.broadcast_to(self._whole["entry"], (len(memory.count), coding.entry.size))
        more = self._asked - memory.count
        left = coding.clock.length - memory.time
        states = following.state_of(self._asked, left, more, coding.clock.length)
        found = np.zeros((len(more), coding.gap.size + 1))
        # A gap that would not end inside the window is none; the shortest is always there to be tried.
        fits = np.append(coding.gap.starts[1:], coding.gap.top) <= left[:, None]
        fits[:, 0] = True
        found[:, :-1] = self._of_codes("gap", self._follow["gap after"][states]) * fits
        found[more <= 0] = np.arange(coding.gap.size + 1) == coding.gap.size
        return found

    def hear_time(self, codes: NDArray[np.int32], rows: NDArray[np.int64], *, first: bool) -> None:
        """Who has an event."""
        if first:
            self._asked = 1 + drawn(self._lengths[self._group["entry"][codes]], self._random).astype(np.int64)
        else:
            self._asked = self._asked[rows]
        self._past = self._past[rows]

    def what(self, place: int) -> Counts:
        """Chances of the codes of a field: those after the last event, tilted by the others."""
        name = f"field {place}"
        past = with_none(self._group[name])[self._past[:, :, place]]
        found = self._follow[f"{name} lag 1"][past[:, 0]]
        for lag in range(2, self._lags + 1):
            found = found * self._tilt(f"{name} lag {lag}")[past[:, lag - 1]] ** _FARTHER
        if self._said is not None:
            before = self._group[f"field {place - 1}"][self._said]
            found = found * self._tilt(f"{name} beside")[before]
        return self._of_codes(name, found)

    def hear(self, place: int, codes: NDArray[np.int32]) -> None:
        """A field's codes, for the field beside it."""
        del place
        self._said = codes

    def _of_codes(self, name: str, of_groups: Counts) -> Counts:
        """Chances of codes from those of their groups."""
        return np.asarray(of_groups[:, self._group[name]] * self._within[name])

    def _tilt(self, name: str) -> Counts:
        """By how much chances differ from those of all; noise must not make much of little."""
        return np.clip(self._follow[name] / self._of_groups[_of(name)], 1 / _MOST_TILT, _MOST_TILT)


def _sums(group: Places, shares: Counts) -> Counts:
    return np.asarray(np.bincount(group, shares), dtype=np.float64)


def _of(name: str) -> str:
    """What the codes of a table of pairs are of.

    >>> _of("field 0 lag 1"), _of("gap after")
    ('field 0', 'gap')
    """
    return "gap" if name == "gap after" else " ".join(name.split()[:2])
