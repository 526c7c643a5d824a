"""The labels of all axes as one matrix, so that a kernel finds what covers two units by climbing a row."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray

from sfumato.anonymity.partition.problem import Axis, Problem


@dataclass(frozen=True)
class Labels:
    """Labels of units at every level of every axis, the finest first.

    ``codes`` has a label's number, shape (units, slots): slots ``starts[j]:starts[j + 1]`` are the levels
    of axis j, the last of which has one label for all. Numbers are distinct over all slots, so that
    ``costs`` (what a row loses by the label, 1 for all axes at their tops) and ``ranks`` (a label's place
    among those under the same label of the next level) have shape (labels,). ``parts`` has, for each
    slot, the mean cost of the next label, which units pay that are parted here.
    """

    codes: NDArray[np.int32]
    costs: NDArray[np.float64]
    ranks: NDArray[np.int64]
    starts: NDArray[np.int64]
    parts: NDArray[np.float64]

    @classmethod
    def of(cls, problem: Problem, units: NDArray[np.int64]) -> Labels:
        """The labels of some units; an axis on which they all agree is left out, for it costs nothing."""
        total = sum(axis.worth for axis in problem.axes) or 1.0
        slots: list[NDArray[np.int32]] = []
        costs, ranks, parts, starts, labels = [], [], [], [0], 0
        for axis, positions in zip(problem.axes, problem.positions, strict=True):
            at = positions[units]
            if not len(at) or (at == at[0]).all():
                continue
            levels = _levels(axis)
            for level, (codes, shares) in enumerate(levels):
                above = levels[min(level + 1, len(levels) - 1)]
                lost = np.zeros(int(codes.max(initial=0)) + 1)
                lost[codes] = (shares - 1 / axis.ladder.size) / total
                slots.append((labels + codes[at]).astype(np.int32))
                costs.append(lost)
                ranks.append(_ranks(above[0], codes))
                parts.append(float((above[1] - 1 / axis.ladder.size).mean()) / total)
                labels += len(lost)
            starts.append(len(slots))
        if not slots:
            return cls.nothing(len(units))
        return cls(
            np.stack(slots, axis=1),
            np.concatenate(costs),
            np.concatenate(ranks),
            np.array(starts),
            np.array(parts),
        )

    @classmethod
    def nothing(cls, units: int) -> Labels:
        """Units that all axes leave alike: one axis with one label."""
        zero = np.zeros(1)
        return cls(
            np.zeros((units, 1), np.int32),
            zero,
            np.zeros(1, np.int64),
            np.array([0, 1], dtype=np.int64),
            zero,
        )

    @property
    def nodes(self) -> int:
        """How many combinations of levels there are."""
        return prod(np.diff(self.starts).tolist())

    def coarse(self, members: NDArray[np.int64], levels: NDArray[np.int64]) -> Labels:
        """Classes in the place of units: the labels of a member, none finer than the class's own.

        Args:
            members: a member of each class, shape (classes,).
            levels: the slot of each class's label on each axis, shape (classes, axes).
        """
        axis = np.repeat(np.arange(len(self.starts) - 1), np.diff(self.starts))
        slots = np.maximum(np.arange(len(axis)), levels[:, axis])
        return Labels(self.codes[members[:, None], slots], self.costs, self.ranks, self.starts, self.parts)


def _levels(axis: Axis) -> list[tuple[NDArray[np.int64], NDArray[np.float64]]]:
    """Codes and shares of values by level, with a label for all at the end."""
    levels = list(zip(axis.ladder.codes, axis.ladder.shares, strict=True))
    top = levels[-1][0]
    if len(top) and top.min() != top.max():
        levels.append((np.zeros_like(top), np.ones(len(top))))
    return levels


def _ranks(above: NDArray[np.int64], codes: NDArray[np.int64]) -> NDArray[np.int64]:
    """The place of each code among those under the same code above, shape (codes,)."""
    values = np.unique(codes, return_index=True)[1]
    order = np.lexsort((codes[values], above[values]))
    parents = above[values][order]
    ranks = np.zeros(int(codes.max(initial=0)) + 1, dtype=np.int64)
    ranks[codes[values][order]] = np.arange(len(order)) - np.searchsorted(parents, parents)
    return ranks
