"""Events one after another: each foretold from the history before it (``events``)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from sfumato.contracts import Params
from sfumato.core.errors import InputError
from sfumato.core.keyed import derive, generator
from sfumato.synth.coded import Private
from sfumato.synth.learning import Learned, Plan, Watch, arrays_of, learn, load, need_deep, seeded
from sfumato.synth.sequences.histories import DECLARED_BINS, Coding, Histories
from sfumato.synth.sequences.making import Making
from sfumato.synth.sequences.memory import Memory, rows_of

if TYPE_CHECKING:
    from dp_accounting import DpEvent

#: Passes over few rows are more, so that there are this many steps; and there are never more than the second.
_LEAST_STEPS, _MOST_STEPS, _MOST_EPOCHS = 2500, 6000, 60
#: The rate falls to nothing over the epochs; only what has long been worse is left early.
_PATIENCE = 15
#: Under differential privacy: expected people in a step, and steps.
_PEOPLE, _PRIVATE_STEPS, _CLIP = 512, 250, 1.0
#: A narrow network has less noise to bear, and is taught in larger steps.
_PRIVATE_HIDDEN, _PRIVATE_RATE = 24, 3.0

#: The name of the correction of lengths among the arrays; it goes by how many events were before.
NEVER = "lengths.never"
_EVENTS = np.array([1, 2, 3, 4, 6, 9, 13, 20, 30, 50])
_ATTEMPTS, _TRIED, _STEP, _MOST_OFFSET, _ENOUGH = 5, 4096, 0.7, 3.0, 30
#: Under differential privacy: the noise on how many histories are so long, over that of a step; its grid.
_LENGTHS_NOISE, _GRID = 6.0, 2**10


class EventsParams(Params):
    """How large the network is and how long it is taught."""

    hidden: int = Field(64, ge=4, le=1024)
    """Width of the network."""
    epochs: int = Field(8, ge=1, le=1000)
    """Passes over the events, where they are neither few nor many."""
    dropout: float = Field(0.2, ge=0, lt=1)
    """Share of the network that is left out in each step; none under differential privacy."""
    decay: float = Field(0.3, ge=0)
    """How weights fall to nothing by themselves; not under differential privacy."""
    batch: int = Field(512, ge=1)
    """Events in a step; without differential privacy."""
    learning_rate: float = Field(3e-3, gt=0)
    """Of Adam, falling to nothing."""


class Events:
    """Learns when the next event of a history comes, and what it is."""

    Params: ClassVar[type[Params]] = EventsParams
    summary: ClassVar[str] = "events one after another, each foretold from the history before it; a network"
    sees: ClassVar[Literal["rows", "marginals"]] = "rows"
    has_private: ClassVar[bool] = True
    declared_bins: ClassVar[int] = DECLARED_BINS

    def __init__(self, params: EventsParams) -> None:
        self.params = params

    @staticmethod
    def restored(
        coding: Coding, arrays: Mapping[str, NDArray[Any]], document: Mapping[str, Any]
    ) -> EventModel:
        """The model that its ``state`` is of."""
        return EventModel.restored(coding, arrays, document)

    def events(self, coding: Coding, size: int, noise: float) -> list[DpEvent]:
        """What a fit under differential privacy is charged: the teaching, and how long histories are.

        ``size`` counts people.
        """
        from sfumato.dp.mechanisms import gaussian_event
        from sfumato.dp.training.trained import sampled_gaussian

        del coding
        return [
            sampled_gaussian(min(1.0, _PEOPLE / size), noise, _PRIVATE_STEPS),
            gaussian_event(_sigma_of_lengths(noise), _GRID),
        ]

    def fit(
        self,
        coding: Coding,
        histories: Histories,
        key: bytes,
        private: Private | None = None,
        progress: Watch | None = None,
    ) -> EventModel:
        """Learn from histories; as :meth:`sfumato.contracts.Synthesizer.fit`, with a person as the unit."""
        need_deep()
        from sfumato.synth.sequences import network

        rows = rows_of(coding, histories)
        table = network.packed(coding, rows)
        with seeded(derive(key, "weights")):
            hidden = self.params.hidden if private is None else min(_PRIVATE_HIDDEN, self.params.hidden)
            module = network.make(coding, hidden, 0.0 if private else self.params.dropout)
            if private is not None:
                module = self._teach_privately(module, table, rows.of, private, progress)
                counts, doubt = _noisy_lengths(histories.lengths, coding.longest, private)
                model = EventModel(coding, hidden, arrays_of(module), {})
                never = _corrected(model, counts, doubt, derive(key, "lengths"))
                return EventModel(coding, hidden, {**model.arrays, NEVER: never}, {})
        learned = self._teach(module, table, key, progress)
        model = EventModel(coding, hidden, arrays_of(learned.module), {})
        arrays = {
            **model.arrays,
            NEVER: _corrected(
                model, _counted(histories.lengths, coding.longest), 0.0, derive(key, "lengths")
            ),
        }
        facts = {"epochs": learned.epochs, "loss": round(learned.loss, 3), "learned_by_heart": learned.gap}
        return EventModel(coding, hidden, arrays, facts)

    def _teach(self, module: Any, table: NDArray[np.float32], key: bytes, progress: Watch | None) -> Learned:
        import torch

        each = -(-len(table) // self.params.batch)
        epochs = max(self.params.epochs, min(_MOST_EPOCHS, -(-_LEAST_STEPS // each)))
        plan = Plan(
            min(epochs, max(1, _MOST_STEPS // each)), self.params.batch, lr=self.params.learning_rate,
            decay=self.params.decay, patience=_PATIENCE,
        )  # fmt: skip
        return learn(
            module, [torch.from_numpy(table)], lambda net, rows, _: net(rows[0])[:, 0], plan,
            derive(key, "learn"), progress=progress,
        )  # fmt: skip

    def _teach_privately(
        self,
        module: Any,
        table: NDArray[np.float32],
        of: NDArray[np.int64],
        private: Private,
        progress: Watch | None,
    ) -> Any:
        from sfumato.dp.training.train import train

        if private.unit != "subject":
            raise InputError("usage", "a history is a person's, and so is the budget: unit='subject'")
        return train(
            module,
            (table, np.zeros(len(table), dtype=np.float32)),
            loss=lambda outputs, _: outputs[:, 0],
            budget=private.budget,
            delta=private.delta,
            noise_multiplier=private.noise,
            batch=min(_PEOPLE, private.size),
            steps=_PRIVATE_STEPS,
            clip=_CLIP,
            lr=_PRIVATE_RATE * self.params.learning_rate,
            optimizer="adam",
            schedule=lambda done: min(1.0, 2 * (1 - done)),
            size=private.size,
            subject=of.tolist(),
            average=0.98,
            device="cpu",
            place="histories",
            watch=None if progress is None else lambda now: progress("teaching", now.step, now.steps),
        ).module


@dataclass(frozen=True, eq=False)
class EventModel:
    """What was learned of events; histories are made from it and from a draw alone."""

    coding: Coding
    hidden: int
    arrays: Mapping[str, NDArray[np.float32]]
    taught: Mapping[str, Any]

    @property
    def facts(self) -> Mapping[str, Any]:
        """For the dossier: sizes, and how the teaching went where it was not private."""
        return {
            "kind": "events",
            "parameters": int(sum(one.size for one in self.arrays.values())),
            "longest": self.coding.longest,
            **self.taught,
        }

    def sample(self, people: int, random: np.random.Generator) -> Histories:
        """Made histories of so many people; the same draw gives the same."""
        need_deep()
        import torch

        from sfumato.synth.sequences import network

        with seeded(bytes(32)), torch.no_grad():
            weights = {name: array for name, array in self.arrays.items() if name != NEVER}
            module = load(network.make(self.coding, self.hidden), weights)
            never = self.arrays.get(NEVER, np.zeros(len(_EVENTS), dtype=np.float32))
            return Making(self.coding, _Foretelling(self.coding, module, never), random).go(people)

    def state(self) -> tuple[Mapping[str, NDArray[Any]], Mapping[str, Any]]:
        """Arrays and JSON that :meth:`restored` makes the model from again."""
        return dict(self.arrays), {"hidden": self.hidden, "taught": dict(self.taught)}

    @classmethod
    def restored(
        cls, coding: Coding, arrays: Mapping[str, NDArray[Any]], document: Mapping[str, Any]
    ) -> EventModel:
        """The model that :meth:`state` is of."""
        return cls(coding, document["hidden"], arrays, document["taught"])


def _noisy_lengths(
    lengths: NDArray[np.int64], longest: int, private: Private
) -> tuple[NDArray[np.float64], float]:
    """How many people have so many events, with noise: one person moves one count by one. And its deviation.

    Teaching sees as much of every person, and so too little of long histories.
    """
    from sfumato.dp.mechanisms import gaussian, gaussian_event

    sigma = _sigma_of_lengths(private.noise)
    private.budget.spend(gaussian_event(sigma, _GRID), place="lengths of histories", delta=private.delta)
    counts = _counted(lengths, longest).astype(np.int64)
    return gaussian(counts * _GRID, sigma) / _GRID, sigma / _GRID


def _sigma_of_lengths(noise: float) -> float:
    from sfumato.dp.mechanisms import gaussian_sigma

    return gaussian_sigma(_LENGTHS_NOISE * noise, _GRID)


def _counted(lengths: NDArray[np.int64], longest: int) -> NDArray[np.float64]:
    """How many people have one event, two, and so on."""
    return np.bincount(lengths, minlength=longest + 1)[1 : longest + 1].astype(np.float64)


def _corrected(
    model: EventModel, counts: NDArray[np.float64], doubt: float, key: bytes
) -> NDArray[np.float32]:
    """What is added to the score of never, by how many events were, so that as many people go on as did.

    Small faults of every step add up in the length of a history; here they are made good by trying.
    """
    never = np.zeros(len(_EVENTS), dtype=np.float32)
    real, enough = _going_on(counts, doubt)
    for attempt in range(_ATTEMPTS):
        tried = EventModel(model.coding, model.hidden, {**model.arrays, NEVER: never}, {})
        made = tried.sample(_TRIED, generator(derive(key, str(attempt))))
        found, seen = _going_on(_counted(made.lengths, model.coding.longest), 0.0)
        change = np.where(enough & seen, found - real, 0.0)
        never = np.clip(never + _STEP * change, -_MOST_OFFSET, _MOST_OFFSET).astype(np.float32)
    return never


def _going_on(counts: NDArray[np.float64], doubt: float) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """The log-odds of going on after so many events, and where enough people tell.

    Args:
        counts: how many people have one event, two, and so on.
        doubt: the deviation of each count.
    """
    reached = np.cumsum(counts[::-1])[::-1]
    of = _so_many(np.arange(1, len(counts) + 1))
    came, ended = (np.bincount(of, one, minlength=len(_EVENTS)) for one in (reached, counts))
    least = _ENOUGH + 4 * doubt * np.sqrt(len(counts))
    enough = (ended >= least) & (came - ended >= least)
    return np.log(np.maximum(came - ended, 0.5) / np.maximum(ended, 0.5)), enough


def _so_many(count: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.asarray(np.clip(np.searchsorted(_EVENTS, count, side="right") - 1, 0, None), dtype=np.int64)


class _Foretelling:
    """The network, asked for one part of an event after the other."""

    def __init__(self, coding: Coding, module: Any, never: NDArray[np.float32]) -> None:
        self._coding, self._module, self._never = coding, module, never

    def own(self, codes: NDArray[np.int32]) -> NDArray[np.float64]:
        """Chances of the codes of the next field of people."""
        import torch

        place = codes.shape[1]
        scores = self._module.own_scores(place, torch.from_numpy(codes.astype(np.int64)))
        return _chances(scores[:, : self._coding.statics[place].size])

    def begin(self, memory: Memory) -> None:
        """What is remembered of the people whose next event it is."""
        import torch

        codes, numbers = memory.seen()
        self._codes = torch.from_numpy(codes.astype(np.int64))
        self._offset = torch.from_numpy(self._never[_so_many(memory.count)])
        self._hidden = self._module.remembered(self._codes, torch.from_numpy(numbers))

    def when(self, *, first: bool) -> NDArray[np.float64]:
        """Chances of codes of the entry, or of gaps and of never."""
        if first:
            return _chances(self._module.entry(self._hidden))
        scores = self._module.gap(self._hidden)
        scores[:, -1] += self._offset
        return _chances(scores)

    def hear_time(self, codes: NDArray[np.int32], rows: NDArray[np.int64], *, first: bool) -> None:
        """The time of the event of some of them; the others have none."""
        import torch

        some = torch.from_numpy(rows)
        self._codes, self._hidden = self._codes[some], self._hidden[some]
        at = torch.from_numpy(codes.astype(np.int64)) + (0 if first else self._coding.entry.size)
        self._heard = self._module.heard[0](at)

    def what(self, place: int) -> NDArray[np.float64]:
        """Chances of the codes of a field."""
        scores = self._module.field(place, self._hidden, self._heard, self._codes)
        return _chances(scores[:, : self._coding.fields[place].size])

    def hear(self, place: int, codes: NDArray[np.int32]) -> None:
        """A field's codes."""
        import torch

        if place + 1 < len(self._coding.fields):
            self._heard = self._heard + self._module.heard[place + 1](
                torch.from_numpy(codes.astype(np.int64))
            )


def _chances(scores: Any) -> NDArray[np.float64]:
    chances: NDArray[np.float64] = scores.double().softmax(dim=1).numpy()
    return chances
