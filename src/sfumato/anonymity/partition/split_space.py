"""The axes of a partition as flat arrays that compiled code can index."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sfumato.anonymity.partition.problem import Axis

#: How the labels of an axis cover values: by an interval of numbers, by a label of a ladder, by a set.
INTERVAL, TREE, SET = 0, 1, 2

#: Words of 64 bits for the values of one wide set in a node's summary; beyond them values share bits.
_WORDS = 16

#: A set of at most so many values is narrow: its bits lie in one word, beside those of others.
_NARROW = 64


@dataclass(frozen=True)
class Bits:
    """Which bits of a summary say what values of each set it covers.

    Axis j has the words from ``firsts[j]`` to before ``ends[j]``; a narrow one has of its word the bits
    ``fields[j]``, from ``shifts[j]`` on. Narrow axes have the first ``narrow`` words together, a wide one
    has a power of two of its own. All but ``narrow`` have shape (columns,).
    """

    firsts: NDArray[np.int64]
    ends: NDArray[np.int64]
    shifts: NDArray[np.int64]
    fields: NDArray[np.uint64]
    narrow: int

    @classmethod
    def of(cls, space: Space) -> Bits:
        """Bits for the sets of a space."""
        firsts, ends, shifts = np.zeros((3, len(space.kinds)), dtype=np.int64)
        fields = np.zeros(len(space.kinds), dtype=np.uint64)
        used = 0
        for j in np.flatnonzero(space.narrow):
            width = int(space.widths[j])
            if used % 64 + width > 64:
                used += 64 - used % 64
            firsts[j], shifts[j], ends[j] = used // 64, used % 64, used // 64 + 1
            fields[j] = ((1 << width) - 1) << (used % 64)
            used += width
        narrow = words = -(-used // 64)
        for j in np.flatnonzero(space.wide):
            firsts[j] = words
            words += int(min(_WORDS, 2 ** np.ceil(np.log2(space.widths[j] / 64))))
            ends[j] = words
        return cls(firsts, ends, shifts, fields, narrow)

    @property
    def arrays(self) -> tuple[NDArray[Any], ...]:
        """The bits as the kernels take them."""
        return self.firsts, self.ends, self.shifts, self.fields

    def marks(self, space: Space, points: NDArray[np.int32]) -> NDArray[np.uint64]:
        """The values of narrow sets of some points, shape (points, narrow words)."""
        found = np.zeros((len(points), self.narrow), dtype=np.uint64)
        for j in np.flatnonzero(space.narrow):
            found[:, self.firsts[j]] |= np.uint64(1) << (points[:, j] + self.shifts[j]).astype(np.uint64)
        return found


@dataclass(frozen=True)
class Space:
    """Every axis's values in an order of its own, and what covering them costs.

    Values have ranks: by number (missing last) for intervals, such that every label covers neighbours
    for ladders, by position for sets. ``ranks`` has one array for each axis, from position to rank.
    ``kinds``, ``starts`` (where an axis's ranks begin in the flat arrays), ``widths`` (how many they
    are) and ``weights`` have shape (columns,). ``numbers`` has the numbers in units of their range,
    shape (all ranks,), NaN for a missing one. ``labels`` and ``losses`` have the ladders' label codes and
    what each label loses, from 0 to 1, shape (levels, all ranks); a level beyond an axis's height has one
    label that loses all.
    """

    kinds: NDArray[np.int64]
    starts: NDArray[np.int64]
    widths: NDArray[np.int64]
    weights: NDArray[np.float64]
    numbers: NDArray[np.float64]
    labels: NDArray[np.int32]
    losses: NDArray[np.float64]
    ranks: tuple[NDArray[np.int32], ...]

    @classmethod
    def of(cls, axes: Sequence[Axis], weights: NDArray[np.float64]) -> Space:
        """Lay the axes out; ``weights`` has what each of them counts, shape (columns,)."""
        laid = [_laid(axis) for axis in axes]
        widths = np.array([len(axis.ladder.values) for axis in axes], dtype=np.int64)
        starts = np.concatenate([[0], np.cumsum(widths)[:-1]]).astype(np.int64)
        height = max((axis.ladder.height for axis in axes if not axis.free), default=0)
        labels = np.zeros((height + 1, int(widths.sum())), dtype=np.int32)
        losses = np.ones(labels.shape)
        numbers = np.zeros(labels.shape[1])
        kinds = np.empty(len(axes), dtype=np.int64)
        spread = np.zeros(len(axes))
        for j, (axis, (kind, ranks)) in enumerate(zip(axes, laid, strict=True)):
            kinds[j] = kind
            part = slice(int(starts[j]), int(starts[j] + widths[j]))
            if kind == INTERVAL:
                distinct = _scaled(axis)
                numbers[starts[j] : starts[j] + len(distinct)] = distinct
            if kind == TREE:
                order = np.argsort(ranks)
                for level, codes in enumerate(axis.ladder.codes):
                    labels[level, part] = codes[order]
                    share = axis.ladder.shares[level][order]
                    losses[level, part] = (share - 1 / axis.ladder.size) / (axis.worth or 1)
            # A set of all leaves loses the whole weight, so each value after the first its part of it.
            spread[j] = 1 / max(1, axis.ladder.size - 1) if kind == SET else 1.0
        worth = np.array([axis.worth > 0 for axis in axes])
        return cls(
            kinds,
            starts,
            widths,
            weights * spread * worth,
            numbers,
            labels,
            losses,
            tuple(ranks for _, ranks in laid),
        )

    @property
    def narrow(self) -> NDArray[np.bool_]:
        """The axes that are sets of few values, shape (columns,)."""
        found: NDArray[np.bool_] = (self.kinds == SET) & (self.widths <= _NARROW)
        return found

    @property
    def wide(self) -> NDArray[np.bool_]:
        """The axes that are sets of many values, shape (columns,)."""
        found: NDArray[np.bool_] = (self.kinds == SET) & (self.widths > _NARROW)
        return found

    def points(self, positions: NDArray[np.int64]) -> NDArray[np.int32]:
        """The ranks of units, shape (columns, units) -> (units, columns), rows lying together."""
        found = np.empty((positions.shape[1], len(self.ranks)), dtype=np.int32)
        for j, ranks in enumerate(self.ranks):
            found[:, j] = ranks[positions[j]]
        return found


def _laid(axis: Axis) -> tuple[int, NDArray[np.int32]]:
    """The kind of an axis, and the rank of each value."""
    values = len(axis.ladder.values)
    if axis.free and axis.numbers is None:
        return SET, np.arange(values, dtype=np.int32)
    if axis.free:
        # np.unique puts NaN last and takes all of them for one.
        assert axis.numbers is not None
        return INTERVAL, np.unique(axis.numbers, return_inverse=True)[1].astype(np.int32)
    order = np.lexsort(axis.ladder.codes)
    ranks = np.empty(values, dtype=np.int32)
    ranks[order] = np.arange(values)
    return TREE, ranks


def _scaled(axis: Axis) -> NDArray[np.float64]:
    """The distinct numbers in units of their range, by rank."""
    assert axis.numbers is not None
    numbers: NDArray[np.float64] = np.unique(axis.numbers)
    if np.isnan(numbers).all():
        return numbers
    span = float(np.nanmax(numbers) - numbers[0])
    scaled: NDArray[np.float64] = (numbers - numbers[0]) / (span or 1.0)
    return scaled
