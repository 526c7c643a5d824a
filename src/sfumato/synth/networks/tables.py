"""The heads of an autoregressive synthesizer without PyTorch: arrays, and arithmetic to draw with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sfumato.synth.networks.draws import Arrays, buckets


@dataclass(frozen=True)
class HeadTables:
    """What :class:`~sfumato.synth.networks.heads.Heads` learned, by the names of its weights."""

    sizes: tuple[int, ...]
    arrays: Arrays

    def scores(self, place: int, codes: NDArray[np.int32], seen: Sequence[int]) -> NDArray[np.float32]:
        """As :class:`~sfumato.synth.networks.draws.Scores` says."""
        arrays, fields = self.arrays, len(self.sizes)
        unseen = np.ones(fields, dtype=bool)
        unseen[list(seen)] = False
        bias = arrays["bias"][0, place] + arrays["absent"][unseen, place].sum(axis=0)
        inner = np.tile(bias, (len(codes), 1))
        if len(seen):
            starts = np.cumsum([0, *self.sizes[:-1]])
            described = np.concatenate(
                [arrays["codes.weight"][codes[:, one] + starts[one]] for one in seen], axis=1
            )
            first = arrays["first"][list(seen), :, place].reshape(described.shape[1], -1)
            inner += described @ first
        np.maximum(inner, 0, out=inner)
        inner += np.maximum(inner @ arrays["second"][place] + arrays["bias"][1, place], 0)
        bucket, row = next(
            (number, places.index(place))
            for number, (_, places) in enumerate(buckets(self.sizes))
            if place in places
        )
        size = self.sizes[place]
        scores: NDArray[np.float32] = (
            inner @ arrays[f"last.{bucket}"][row][:, :size] + arrays[f"base.{bucket}"][row, :size]
        )
        return scores


@dataclass(frozen=True)
class PairTables:
    """What :class:`~sfumato.synth.networks.pairs.Pairs` learned: for each field weights and a base."""

    order: tuple[int, ...]
    arrays: Arrays

    def scores(self, place: int, codes: NDArray[np.int32], seen: Sequence[int]) -> NDArray[np.float32]:
        """As :class:`~sfumato.synth.networks.draws.Scores` says, of fields before it in the order."""
        arrays = self.arrays
        own = arrays[f"shapes.{place}"]
        inner = np.zeros((len(codes), own.shape[1]), dtype=np.float32)
        begin = 0
        for one in self.order[: self.order.index(place)]:
            shapes = arrays[f"shapes.{one}"]
            end = begin + shapes.shape[1]
            if one in seen:
                inner += (shapes @ arrays[f"weights.{place}"][:, begin:end].T)[codes[:, one]]
            begin = end
        scores: NDArray[np.float32] = inner @ own.T + arrays[f"base.{place}"]
        return scores
