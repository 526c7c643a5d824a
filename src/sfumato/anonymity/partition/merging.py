"""Classes of a partition that fail put together with those that their labels are nearest to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from sfumato.anonymity.partition.problem import Assignment, Problem
from sfumato.anonymity.partition.split_space import INTERVAL, SET, Space

#: So many classes on either side in a line of all are looked at.
NEAR = 1024


def merged(problem: Problem, found: Assignment, failing: NDArray[np.bool_]) -> Assignment:
    """Each failing class joined to the class with which it loses least, the smallest first.

    A class takes part in one merger only, so failing ones are left over where there are more of them than
    others.

    Args:
        failing: shape (classes,), some of at least two.
    """
    covers = _Covers.of(problem, found)
    goals = mergers(covers.sizes, failing, covers.costs, np.lexsort(covers.lows.T))
    return Assignment(found.units, goals[found.classes], found.counts)


def mergers(
    sizes: NDArray[np.int64],
    failing: NDArray[np.bool_],
    costs: Callable[[int, NDArray[np.int64]], NDArray[np.float64]],
    line: NDArray[np.int64],
) -> NDArray[np.int64]:
    """The class that each becomes, numbers from 0 without gaps, shape (classes,).

    Args:
        sizes: the people of each class.
        failing: those that are to join another, the smallest first, each into one merger only.
        costs: what a class costs together with each of some others, as many as are given.
        line: the classes in an order in which near ones are near; of many only those are looked at.
    """
    place = np.empty(len(line), dtype=np.int64)
    place[line] = np.arange(len(line))
    goals, busy = np.arange(len(sizes)), np.zeros(len(sizes), dtype=bool)
    order = np.argsort(sizes, kind="stable")
    for one in order[failing[order]]:
        if busy[one]:
            continue
        near = line[max(0, place[one] - NEAR) : place[one] + NEAR + 1]
        near = near[~busy[near] & (near != one)]
        if len(near):
            other = near[np.argmin(costs(int(one), near))]
            goals[one] = other
            busy[one] = busy[other] = True
    return np.unique(goals, return_inverse=True)[1].astype(np.int64)


@dataclass(frozen=True)
class _Covers:
    """The least and greatest ranks of classes, shape (classes, columns), and the values of sets by class."""

    space: Space
    lows: NDArray[np.int32]
    highs: NDArray[np.int32]
    sizes: NDArray[np.int64]
    sets: dict[int, tuple[NDArray[np.int64], NDArray[np.int64]]]

    @classmethod
    def of(cls, problem: Problem, found: Assignment) -> _Covers:
        axes = problem.axes
        worth = np.array([axis.worth for axis in axes])
        space = Space.of(axes, worth / max(1e-300, float(worth.sum())))
        ranks = space.points(problem.positions[:, found.units])
        order = np.argsort(found.classes, kind="stable")
        starts = np.searchsorted(found.classes[order], np.arange(found.size))
        sizes = np.bincount(found.classes, found.counts, found.size).astype(np.int64)
        sets = {}
        for j in np.flatnonzero(space.kinds == SET):
            width = int(space.widths[j])
            pairs = np.unique(found.classes * width + ranks[:, j])
            sets[int(j)] = np.searchsorted(pairs, np.arange(found.size + 1) * width), pairs % width
        lows = np.minimum.reduceat(ranks[order], starts, axis=0)
        return cls(space, lows, np.maximum.reduceat(ranks[order], starts, axis=0), sizes, sets)

    def costs(self, one: int, others: NDArray[np.int64]) -> NDArray[np.float64]:
        """What all rows of a class and of each other one lose together more than apart, shape (others,)."""
        lows = np.minimum(self.lows[others], self.lows[one])
        together = self._losses(lows, np.maximum(self.highs[others], self.highs[one]))
        for j, (starts, values) in self.sets.items():
            mine = np.zeros(int(self.space.widths[j]), dtype=bool)
            mine[values[starts[one] : starts[one + 1]]] = True
            lengths = np.diff(starts)[others]
            at = np.arange(int(lengths.sum())) + np.repeat(
                starts[others] - np.cumsum(lengths) + lengths, lengths
            )
            new = np.bincount(np.repeat(np.arange(len(others)), lengths), ~mine[values[at]], len(others))
            together += (int(mine.sum()) + new - 1) * self.space.weights[j]
        sizes, size = self.sizes[others], self.sizes[one]
        apart = self._apart[others] * sizes + self._apart[one] * size
        cost: NDArray[np.float64] = together * (sizes + size) - apart
        return cost

    @cached_property
    def _apart(self) -> NDArray[np.float64]:
        found = self._losses(self.lows, self.highs)
        for j, (starts, _) in self.sets.items():
            found += (np.diff(starts) - 1) * self.space.weights[j]
        return found

    def _losses(self, lows: NDArray[np.int32], highs: NDArray[np.int32]) -> NDArray[np.float64]:
        """What covers lose on the axes that are no sets, shape (classes,)."""
        space = self.space
        found = np.zeros(len(lows))
        for j, kind in enumerate(space.kinds):
            low, high = space.starts[j] + lows[:, j], space.starts[j] + highs[:, j]
            if kind == INTERVAL:
                width = np.nan_to_num(space.numbers[high] - space.numbers[low], nan=1.0)
                found += np.where(low == high, 0.0, width) * space.weights[j]
            elif kind != SET:
                lost = np.ones(len(lows))
                for level in range(len(space.labels) - 1, -1, -1):
                    same = space.labels[level, low] == space.labels[level, high]
                    lost[same] = space.losses[level, low[same]]
                found += lost * space.weights[j]
        return found
