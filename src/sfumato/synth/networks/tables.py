"""The heads of an autoregressive synthesizer without PyTorch: arrays, and arithmetic to draw with."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from sfumato.synth.networks.draws import Arrays, buckets


@dataclass(frozen=True)
class HeadTables:
    """What :class:`~sfumato.synth.networks.heads.Heads` learned, by the names of its weights."""

    sizes: tuple[int, ...]
    arrays: Arrays

    def begun(self, rows: int) -> _Heads:
        """As :class:`~sfumato.synth.networks.draws.Scores` says."""
        return _Heads(self, rows)

    @cached_property
    def starts(self) -> NDArray[np.int64]:
        """The first of each field's codes among all."""
        return np.cumsum([0, *self.sizes[:-1]])

    @cached_property
    def first(self) -> NDArray[np.float32]:
        """The first layer, shape (fields, hidden, fields seen, width)."""
        return np.ascontiguousarray(self.arrays["first"].transpose(2, 3, 0, 1))

    @cached_property
    def last(self) -> list[NDArray[np.float32]]:
        """For each field its last layer, and beside it what is added, shape (size, hidden + 1)."""
        found: dict[int, NDArray[np.float32]] = {}
        for number, (_, places) in enumerate(buckets(self.sizes)):
            weights, base = self.arrays[f"last.{number}"], self.arrays[f"base.{number}"]
            for row, place in enumerate(places):
                size = self.sizes[place]
                found[place] = np.vstack([weights[row][:, :size], base[row, :size]]).T.copy()
        return [found[place] for place in range(len(self.sizes))]


class _Heads:
    """Rows of which some fields are told; each is described once."""

    def __init__(self, tables: HeadTables, rows: int) -> None:
        self._tables, self._seen = tables, []  # type: tuple[HeadTables, list[int]]
        width = tables.arrays["codes.weight"].shape[1]
        #: What is told, in columns, one for each row.
        self._said = np.empty((len(tables.sizes) * width, rows), dtype=np.float32)

    def tell(self, place: int, codes: NDArray[np.int32]) -> None:
        """As :class:`~sfumato.synth.networks.draws.Told` says."""
        described = self._tables.arrays["codes.weight"][codes + self._tables.starts[place]]
        begin = len(self._seen) * described.shape[1]
        self._said[begin : begin + described.shape[1]] = described.T
        self._seen.append(place)

    def scores(self, place: int, rows: slice) -> NDArray[np.float32]:
        """As :class:`~sfumato.synth.networks.draws.Told` says."""
        arrays, seen = self._tables.arrays, self._seen
        unseen = np.ones(len(self._tables.sizes), dtype=bool)
        unseen[seen] = False
        bias = arrays["bias"][:, place, :, None]
        first = self._tables.first[place][:, seen].reshape(bias.shape[1], -1)
        inner = np.empty((len(first) + 1, rows.stop - rows.start), dtype=np.float32)
        hidden, inner[-1] = inner[:-1], 1
        np.matmul(first, self._said[: first.shape[1], rows], out=hidden)
        hidden += bias[0] + arrays["absent"][unseen, place].sum(axis=0)[:, None]
        np.maximum(hidden, 0, out=hidden)
        more = arrays["second"][place].T @ hidden
        more += bias[1]
        hidden += np.maximum(more, 0, out=more)
        return self._tables.last[place] @ inner


@dataclass(frozen=True)
class PairTables:
    """What :class:`~sfumato.synth.networks.pairs.Pairs` learned: for each field weights and a base."""

    order: tuple[int, ...]
    arrays: Arrays

    def begun(self, rows: int) -> _Pairs:
        """As :class:`~sfumato.synth.networks.draws.Scores` says, of fields in the order."""
        return _Pairs(self, rows)


class _Pairs:
    """Rows of which the fields that come first in the order are told."""

    def __init__(self, tables: PairTables, rows: int) -> None:
        self._tables = tables
        shapes = sum(tables.arrays[f"shapes.{place}"].shape[1] for place in tables.order)
        self._said, self._told = np.empty((shapes, rows), dtype=np.float32), 0

    def tell(self, place: int, codes: NDArray[np.int32]) -> None:
        """As :class:`~sfumato.synth.networks.draws.Told` says."""
        shapes = self._tables.arrays[f"shapes.{place}"]
        self._said[self._told : self._told + shapes.shape[1]] = shapes[codes].T
        self._told += shapes.shape[1]

    def scores(self, place: int, rows: slice) -> NDArray[np.float32]:
        """As :class:`~sfumato.synth.networks.draws.Told` says."""
        arrays = self._tables.arrays
        scores = np.tile(arrays[f"base.{place}"][:, None], (1, rows.stop - rows.start))
        if self._told:
            inner = arrays[f"weights.{place}"] @ self._said[: self._told, rows]
            scores += arrays[f"shapes.{place}"] @ inner
        return scores
