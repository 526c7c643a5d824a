"""Boxes that classes may be: combinations of labels with enough rows, their units, and prices of rows.

A box is all units under one combination of labels. Those are listed that pairs of near units suggest. Rows
have prices, as in :mod:`local_bound`: what they pay in the cheapest box, raised by subgradients as long as
the rows of no box pay more than it costs. A class whose rows' prices sum to nearly what it costs wastes
little; a row that is dear belongs where others are dear too (Lagrangian heuristics for set covering: Caprara,
Fischetti & Toth 1999).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray

from sfumato.anonymity.partition.local_labels import Labels
from sfumato.anonymity.partition.local_neighbours import Neighbours

#: So many combinations of levels are looked at, of no more than so many.
MOST_NODES, LARGEST_LATTICE = 200, 100_000

#: Prices are raised by at most so much of a row's detail, so often, in steps from the first to the last.
ROOM, PASSES, FIRST_STEP, LAST_STEP = 0.05, 51, 0.004, 0.0005

#: Boxes have at most so many units in all.
MOST_ENTRIES = 1 << 24

#: Boxes in which rows would pay so much more than their prices, on average, are not for classes rebuilt.
WASTEFUL = 0.02


@dataclass(frozen=True)
class Boxes:
    """Box i has the units ``units[ends[i - 1]:ends[i]]``, ``costs[i]`` a row; units have ``prices``."""

    units: NDArray[np.int32]
    ends: NDArray[np.int64]
    costs: NDArray[np.float64]
    prices: NDArray[np.float64]

    @classmethod
    def of(cls, labels: Labels, counts: NDArray[np.int64], near: Neighbours, least: int) -> Boxes | None:
        """The boxes with ``least`` rows or more that prices can reach; None if there are none to speak of."""
        from sfumato.anonymity.partition import local_boxes_kernels as kernels

        if labels.nodes > LARGEST_LATTICE:
            return None
        nodes = _nodes(labels, kernels.pairs(labels.codes, labels.starts, near.units, labels.nodes))
        # A label's number in the place of the label; sums of them are a box's.
        numbers = np.random.default_rng(0).integers(0, 1 << 63, len(labels.costs), dtype=np.uint64)
        codes = np.ascontiguousarray(labels.codes.T)
        low = kernels.lowest(codes, labels.costs, numbers, nodes, counts, least)
        most = np.minimum(low + ROOM, 1.0)
        units, ends, costs = kernels.boxes(
            codes, labels.costs, numbers, nodes, counts, least, most, MOST_ENTRIES
        )
        if not len(ends):
            return None
        steps = FIRST_STEP * (LAST_STEP / FIRST_STEP) ** (np.arange(PASSES) / PASSES)
        return cls(units, ends, costs, kernels.raised(low, most, counts, costs, units, ends, least, steps))

    def thrifty(self, counts: NDArray[np.int64], least: int) -> Boxes:
        """Those boxes in which rows pay little more than their prices."""
        from sfumato.anonymity.partition import local_boxes_kernels as kernels

        waste = kernels.wastes(self.prices, counts, self.units, self.ends, self.costs, least)
        kept = waste <= WASTEFUL * least
        many = np.diff(self.ends, prepend=0)
        return Boxes(self.units[np.repeat(kept, many)], np.cumsum(many[kept]), self.costs[kept], self.prices)

    def by_unit(self) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """The boxes of each unit, one unit behind the other, and where each begins."""
        boxes = np.repeat(np.arange(len(self.ends), dtype=np.int32), np.diff(self.ends, prepend=0))
        order = np.argsort(self.units, kind="stable")
        firsts = np.searchsorted(self.units[order], np.arange(len(self.prices) + 1))
        return firsts, boxes[order]


def _nodes(labels: Labels, tally: NDArray[np.int64]) -> NDArray[np.int64]:
    """The slots of the combinations of levels seen most often, and of the finest."""
    widths = np.diff(labels.starts)
    seen = np.argsort(-tally, kind="stable")[:MOST_NODES]
    seen = np.union1d(seen[tally[seen] > 0], [0])
    below = np.array([prod(widths[:j].tolist()) for j in range(len(widths))], dtype=np.int64)
    nodes: NDArray[np.int64] = labels.starts[:-1] + seen[:, None] // below % widths
    return nodes
