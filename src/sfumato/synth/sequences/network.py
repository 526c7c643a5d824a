"""The network of events: when the next one comes, if at all, and what it is, given what is remembered.

Torch is imported where it is needed. A row's loss is all that leaves the module in training, so that it can
be taught by :func:`sfumato.dp.training.train.train` as any other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sfumato.synth.sequences.histories import Coding
from sfumato.synth.sequences.memory import RECENT, REPEATED, Memory, Rows
from sfumato.synth.sequences.scales import Values

_WIDEST_EMBEDDING = 16


def make(coding: Coding, hidden: int, dropout: float = 0.0) -> Any:
    """A ``torch.nn.Module`` with fresh weights from torch's generator."""
    import torch
    from torch import nn

    shape = Memory.shape(coding)
    fields = [field.size for field in coding.fields]
    statics = [field.size for field in coding.statics]
    entry, gap = coding.entry.size, coding.gap.size
    repeats = [isinstance(field, Values) and field.size > 2 for field in coding.fields]

    def embedding(size: int) -> Any:
        return nn.Embedding(max(2, size), min(_WIDEST_EMBEDDING, 2 + size // 2))

    class Network(nn.Module):  # type: ignore[misc]
        """Rows: codes of the past, first, over, entry or gap, fields, numbers of the past, gaps' weights."""

        def __init__(self) -> None:
            super().__init__()
            self.of_statics = nn.ModuleList([embedding(size) for size in statics])
            self.of_past = nn.ModuleList([embedding(size + 1) for size in fields])
            width = (
                sum(one.embedding_dim for one in self.of_statics)
                + RECENT * sum(one.embedding_dim for one in self.of_past)
                + shape.numbers
            )
            self.enter = nn.Linear(width, hidden)
            self.deeper = nn.Linear(hidden, hidden)
            self.forgets = nn.Dropout(dropout)
            self.entry = nn.Linear(hidden, entry)
            # One more: never.
            self.gap = nn.Linear(hidden, gap + 1)
            # What of an event is known already speaks to the fields after it: its time, then field by field.
            self.heard = nn.ModuleList(
                [nn.Embedding(max(2, size), hidden) for size in [entry + gap, *fields[:-1]]]
            )
            self.asks = nn.ModuleList([nn.Linear(hidden, hidden) for _ in fields])
            self.says = nn.ModuleList([nn.Linear(hidden, max(2, size)) for size in fields])
            self.again = nn.ModuleList([nn.Linear(hidden, REPEATED if one else 1) for one in repeats])
            self.own = nn.ModuleList([nn.Linear(hidden, max(2, size)) for size in statics])
            self.own_heard = nn.ModuleList([nn.Embedding(max(2, size), hidden) for size in statics[:-1]])
            for one in [*self.heard, *self.own_heard]:
                nn.init.normal_(one.weight, std=0.05)
            for one in self.again:
                nn.init.zeros_(one.weight)
                nn.init.zeros_(one.bias)

        def remembered(self, codes: Any, numbers: Any) -> Any:
            """Hidden figures of the past, shape (rows, hidden)."""
            parts = [one(codes[:, place]) for place, one in enumerate(self.of_statics)]
            past = codes[:, len(statics) :].reshape(len(codes), REPEATED, len(fields))
            parts += [one(past[:, :RECENT, place]).flatten(1) for place, one in enumerate(self.of_past)]
            first = self.forgets(torch.relu(self.enter(torch.cat([*parts, numbers], dim=1))))
            return self.forgets(first + torch.relu(self.deeper(first)))

        def own_scores(self, place: int, codes: Any) -> Any:
            """Scores of the codes of a field of people, from the fields before."""
            heard = codes.new_zeros((len(codes), hidden), dtype=torch.get_default_dtype())
            for before in range(place):
                heard = heard + self.own_heard[before](codes[:, before])
            return self.own[place](heard)

        def field(self, place: int, hidden_: Any, heard: Any, codes: Any) -> Any:
            """Scores of a field's codes; an item bought before has its own score for being bought again."""
            asked = torch.relu(self.asks[place](hidden_ + heard))
            scores = self.says[place](asked)
            if not repeats[place]:
                return scores
            size = scores.shape[1]
            past = codes[:, len(statics) :].reshape(len(codes), REPEATED, len(fields))[:, :, place]
            # An event that was not has the code after the last, and is added where nobody reads.
            room = scores.new_zeros(len(scores), max(size, fields[place]) + 1)
            return scores + room.scatter_add(1, past, self.again[place](asked))[:, :size]

        def forward(self, rows: Any) -> Any:
            """The loss of each row, shape (rows, 1)."""
            whole = rows[:, : shape.codes + 3 + len(fields)].long()
            codes, rest = whole[:, : shape.codes], whole[:, shape.codes :]
            numbers = rows[:, whole.shape[1] : whole.shape[1] + shape.numbers]
            weights = rows[:, whole.shape[1] + shape.numbers :]
            first, over, at, events = rest[:, 0] > 0, rest[:, 1] > 0, rest[:, 2], rest[:, 3:]
            hidden_ = self.remembered(codes, numbers)
            came = torch.log_softmax(self.entry(hidden_), dim=1).gather(1, at.clamp(0, entry - 1)[:, None])[
                :, 0
            ]
            # A gap that was seen counts by its code, one that was not by all that is too long to be seen.
            seen = torch.logsumexp(
                torch.log_softmax(self.gap(hidden_), dim=1) + weights.clamp(min=1e-30).log(), dim=1
            )
            total = torch.where(first, came, seen)
            for place in range(len(statics)):
                likely = torch.log_softmax(self.own_scores(place, codes), dim=1)
                one = likely.gather(1, codes[:, place : place + 1])[:, 0]
                total = total + torch.where(first, one, torch.zeros_like(one))
            heard = self.heard[0](torch.where(first, at.clamp(0, entry - 1), entry + at.clamp(0, gap - 1)))
            for place in range(len(fields)):
                likely = torch.log_softmax(self.field(place, hidden_, heard, codes), dim=1)
                one = likely.gather(1, events[:, place : place + 1])[:, 0]
                total = total + torch.where(over, torch.zeros_like(one), one)
                if place + 1 < len(fields):
                    heard = heard + self.heard[place + 1](events[:, place])
            return -total[:, None]

    return Network()


def packed(coding: Coding, rows: Rows) -> NDArray[np.float32]:
    """Rows as one table of numbers, as the module takes them. Codes below 2^24 are exact in 32 bits."""
    weights = np.zeros((len(rows.gap), coding.gap.size + 1), dtype=np.float32)
    seen = ~rows.first & ~rows.over
    weights[seen, rows.gap[seen]] = 1
    weights[rows.over, :-1] = coding.gap.beyond(rows.left[rows.over])
    weights[rows.over, -1] = 1
    weights[rows.first] = 1
    columns: Sequence[NDArray[Any]] = [
        rows.codes,
        rows.first[:, None],
        rows.over[:, None],
        rows.gap[:, None],
        rows.fields,
        rows.numbers,
        weights,
    ]
    return np.concatenate([column.astype(np.float32) for column in columns], axis=1)
