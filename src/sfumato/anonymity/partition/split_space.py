"""The axes of a partition as flat arrays that compiled code can index."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sfumato.anonymity.partition.problem import Axis

#: How the labels of an axis cover values: by an interval of numbers, by a label of a ladder, by a set.
INTERVAL, TREE, SET = 0, 1, 2


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
