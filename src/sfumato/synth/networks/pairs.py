"""Heads that add up what each field before says of the next: what little noise leaves standing.

Under differential privacy every weight takes as much noise as any other. So there is one order, one layer,
and a field of many codes is described by few numbers: codes from low to high by how near they are to knots,
others by signs that were drawn for everybody.
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
from sfumato.synth.networks.draws import shapes_of


class Pairs(nn.Module):  # type: ignore[misc]  # PyTorch has no types
    """Scores of every field's codes from those before it in the order, all in one row.

    Args:
        order: places of the fields.
        most: numbers that a field's codes are described by, at most.
        scale: of all descriptions of a row together, as an L2 norm about; a field's own shares weigh 1.
    """

    def __init__(self, fields: Sequence[Field], order: Sequence[int], most: int, scale: float) -> None:
        super().__init__()
        self.order, self.sizes, self.scale = tuple(order), tuple(field.size for field in fields), scale
        self.shapes = nn.ParameterList(
            [nn.Parameter(torch.from_numpy(shapes_of(field, most)), requires_grad=False) for field in fields]
        )
        widths = [shapes.shape[1] for shapes in self.shapes]
        before = np.cumsum([0, *(widths[place] for place in self.order)])
        self.begins = {place: int(before[at]) for at, place in enumerate(self.order)}
        self.weights = nn.ModuleDict()
        self.bases = nn.ModuleDict()
        for place in self.order:
            self.bases[str(place)] = _zero(1, self.sizes[place])
            if self.begins[place]:
                self.weights[str(place)] = _zero(self.begins[place], widths[place])

    def forward(self, codes: Any) -> Any:
        """Scores, (rows, codes of all fields in their order of drawing), for codes (rows, fields)."""
        told = []
        for place in self.order:
            within = codes[:, place].clamp(max=self.sizes[place] - 1)
            told.append(self.shapes[place][within])
        described, ones = torch.cat(told, dim=1), self.shapes[0].new_ones((len(codes), 1))
        return torch.cat([self._scores(place, at, described, ones) for at, place in enumerate(self.order)], 1)

    def _scores(self, place: int, at: int, described: Any, ones: Any) -> Any:
        scores = self.bases[str(place)](ones)
        if str(place) not in self.weights:
            return scores
        before = described[:, : self.begins[place]] * self.factor(at)
        return scores + self.weights[str(place)](before) @ self.shapes[place].T

    def factor(self, at: int) -> float:
        """What descriptions are multiplied with for the field that is drawn at a step."""
        return self.scale / math.sqrt(max(1, at))

    def losses(self, scores: Any, codes: Any) -> Any:
        """What each row costs, in nats, shape (rows,)."""
        total, begin = 0.0, 0
        for place in self.order:
            end = begin + self.sizes[place]
            total = total + nn.functional.cross_entropy(
                scores[:, begin:end], codes[:, place], reduction="none"
            )
            begin = end
        return total

    def arrays(self) -> dict[str, NDArray[np.float32]]:
        """What :class:`~sfumato.synth.networks.tables.PairTables` draws with."""
        found = {}
        for at, place in enumerate(self.order):
            found[f"shapes.{place}"] = _numbers(self.shapes[place])
            found[f"base.{place}"] = _numbers(self.bases[str(place)].weight)[:, 0]
            if str(place) in self.weights:
                weights = _numbers(self.weights[str(place)].weight)
                found[f"weights.{place}"] = weights * np.float32(self.factor(at))
        return found


def _zero(inputs: int, outputs: int) -> Any:
    layer = nn.Linear(inputs, outputs, bias=False)
    nn.init.zeros_(layer.weight)
    return layer


def _numbers(tensor: Any) -> NDArray[np.float32]:
    array: NDArray[np.float32] = tensor.detach().cpu().numpy().copy()
    return array
