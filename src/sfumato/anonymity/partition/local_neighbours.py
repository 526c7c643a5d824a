"""Which units are nearest to each other, measured by what a row loses by the labels that cover both.

Units are put in several orders, each by the labels of all axes, those first whose parting costs most;
in each order another axis comes last, so that units which differ on that axis alone are neighbours.
Units close in an order are compared. The work is near-linear in units, and may miss a neighbour.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sfumato.anonymity.partition.local_labels import Labels
from sfumato.classes.grouping import LARGEST_KEY


@dataclass(frozen=True)
class Neighbours:
    """The nearest units of each unit, nearest first, -1 for none; and how far they are (1 at most).

    Shape (units, neighbours) each.
    """

    units: NDArray[np.int32]
    apart: NDArray[np.float32]

    def prices(self, counts: NDArray[np.int64], least: int) -> NDArray[np.float64]:
        """How far each unit must go to be among ``least`` rows; 1 if its neighbours are too few."""
        from sfumato.anonymity.partition import local_kernels

        prices: NDArray[np.float64] = local_kernels.prices(self.units, self.apart, counts, least)
        return prices

    def reach(self, counts: NDArray[np.int64]) -> NDArray[np.int64]:
        """The rows of each unit and its neighbours, shape (units,)."""
        others: NDArray[np.int64] = np.where(self.units >= 0, counts[self.units], 0).sum(axis=1)
        return counts + others


def neighbours(labels: Labels, most: int, window: int) -> Neighbours:
    """Up to ``most`` neighbours of every unit, from those ``window`` places away in any of the orders."""
    units = len(labels.codes)
    found = np.full((units, most), -1, dtype=np.int32)
    apart = np.full((units, most), np.inf, dtype=np.float32)
    from sfumato.anonymity.partition.local_kernels import compare

    ranks = [labels.ranks[codes] for codes in labels.codes.T]
    for last in range(-1, len(labels.starts) - 1):
        order = _order(labels, ranks, last)
        compare(labels.codes, labels.costs, labels.starts, order, window, found, apart)
    return Neighbours(found, apart)


def _order(labels: Labels, ranks: Sequence[NDArray[np.int64]], last: int) -> NDArray[np.int64]:
    """Units by the ranks of their labels at each slot, axis ``last`` last (no axis if it is -1)."""
    axis = np.repeat(np.arange(len(labels.starts) - 1), np.diff(labels.starts))
    slots = np.lexsort((-np.arange(len(axis)), -labels.parts, axis == last))
    key, span = np.zeros(len(labels.codes), dtype=np.int64), 1
    for slot in slots:
        width = int(ranks[slot].max(initial=0)) + 1
        # What no longer fits into a key would part units that are neighbours already.
        if span * width >= LARGEST_KEY:
            break
        key = key * width + ranks[slot]
        span *= width
    return np.argsort(key, kind="stable")
