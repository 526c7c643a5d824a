"""A head for each field: its codes' probabilities, given those fields that come before it in an order.

All heads are computed at once: the first layer is one product with a matrix whose blocks are switched off
where the order forbids them (the idea of MADE: Germain et al. 2015, arXiv 1502.03509); orders are drawn anew
while learning, so that any fields can be given later (Uria, Murray & Larochelle 2014, arXiv 1310.1757).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from sfumato.synth.coded import Field
from sfumato.synth.networks.draws import buckets, shapes_of

_KNOTS = 8


class Heads(nn.Module):  # type: ignore[misc]  # PyTorch has no types
    """Scores of every field's codes.

    Args:
        width: numbers that a code is described by.
        hidden: width of each head's hidden layer.
        dropout: share of the hidden numbers left out in each step of learning.
    """

    def __init__(self, fields: Sequence[Field], width: int, hidden: int, dropout: float = 0.0) -> None:
        super().__init__()
        sizes = [field.size for field in fields]
        count = len(sizes)
        self.sizes, self.width, self.hidden = tuple(sizes), width, hidden
        self.register_buffer("starts", torch.tensor(np.cumsum([0, *sizes[:-1]])), persistent=False)
        self.dropout = nn.Dropout(dropout)
        self.codes = nn.Embedding(sum(sizes), width)
        self.codes.weight.data = torch.cat([_near(field, width) for field in fields])
        self.first = nn.Parameter(_drawn(count, width, count, hidden, fan=width * math.sqrt(count)))
        self.absent = nn.Parameter(torch.zeros(count, count, hidden))
        self.second = nn.Parameter(_drawn(count, hidden, hidden, fan=hidden))
        self.bias = nn.Parameter(torch.zeros(2, count, hidden))
        self.buckets = buckets(sizes)
        self.last = nn.ParameterList(
            [nn.Parameter(_drawn(len(p), hidden, most, fan=hidden) * 0.3) for most, p in self.buckets]
        )
        self.base = nn.ParameterList([nn.Parameter(_room(sizes, most, p)) for most, p in self.buckets])

    def start(self, logs: Sequence[NDArray[np.float64]]) -> None:
        """Let each head begin with the logarithms of its field's own probabilities."""
        with torch.no_grad():
            for (_, places), base in zip(self.buckets, self.base, strict=True):
                for row, place in enumerate(places):
                    base[row, : self.sizes[place]] = torch.from_numpy(logs[place]).to(base.dtype)

    def forward(self, codes: Any, seen: Any) -> list[Any]:
        """Scores of each bucket, (fields, rows, most), for codes (rows, fields).

        Args:
            seen: shape (fields, fields), bool: whether the head of the second field sees the first.
        """
        rows, fields = codes.shape
        described = self.codes(codes + self.starts).reshape(rows, -1)
        sight = seen.to(described)
        first = (self.first * sight[:, None, :, None]).reshape(fields * self.width, -1)
        bias = self.bias[0] + ((1 - sight)[:, :, None] * self.absent).sum(0)
        inner = torch.relu(torch.addmm(bias.reshape(-1), described, first))
        inner = inner.reshape(rows, fields, self.hidden).transpose(0, 1)
        inner = self.dropout(inner + torch.relu(torch.baddbmm(self.bias[1][:, None], inner, self.second)))
        return [
            torch.baddbmm(base[:, None], inner[places], last)
            for (_, places), last, base in zip(self.buckets, self.last, self.base, strict=True)
        ]

    def losses(self, codes: Any, seen: Any) -> Any:
        """What each field costs in each row, in nats, shape (rows, fields)."""
        out = self.bias.new_empty(codes.shape)
        for (most, places), scores in zip(self.buckets, self(codes, seen), strict=True):
            flat = nn.functional.cross_entropy(
                scores.reshape(-1, most), codes[:, places].T.reshape(-1), reduction="none"
            )
            out[:, places] = flat.reshape(len(places), -1).T
        return out


def _near(field: Field, width: int) -> Any:
    """First descriptions of codes: those of numbers that are near each other are alike."""
    if not field.ordered:
        return torch.randn(field.size, width)
    shapes = torch.from_numpy(shapes_of(field, _KNOTS))
    return shapes @ torch.randn(shapes.shape[1], width)


def _drawn(*shape: int, fan: float) -> Any:
    return torch.randn(*shape) * math.sqrt(1 / fan)


def _room(sizes: Sequence[int], most: int, places: Sequence[int]) -> Any:
    """Zero for codes that there are, and far below for those that there are not."""
    return torch.tensor([[0.0] * sizes[one] + [-1e9] * (most - sizes[one]) for one in places])


class Orders:
    """Orders to learn from: half of each batch in the order of drawing, half with some fields drawn up front.

    A head so learns from every set of fields that may be given, and most about the sets that are met when
    nothing is.
    """

    def __init__(self, order: Sequence[int]) -> None:
        self._order = tuple(order)
        self._usual = sight(order)

    def loss(self, heads: Heads, batch: tuple[Any, ...], draws: Any) -> Any:
        """What each row costs, in nats, shape (rows,)."""
        codes = batch[0]
        half = (len(codes) + 1) // 2
        parts = [heads.losses(codes[:half], self._usual).sum(1)]
        if half < len(codes):
            parts.append(heads.losses(codes[half:], self._drawn(draws)).sum(1))
        return torch.cat(parts)

    def _drawn(self, draws: Any) -> Any:
        mixed = torch.randperm(len(self._order), generator=draws).tolist()
        first = mixed[: int(torch.randint(1, len(mixed) + 1, (1,), generator=draws))]
        return sight([*first, *(place for place in self._order if place not in first)])


def sight(order: Sequence[int]) -> Any:
    """Whether the head of the second field sees the first, shape (fields, fields): those before it."""
    ranks = torch.empty(len(order), dtype=torch.long)
    ranks[torch.tensor(list(order), dtype=torch.long)] = torch.arange(len(order))
    return ranks[:, None] < ranks[None, :]
