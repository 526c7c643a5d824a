"""Units gathered into classes, those that are hardest to place first.

A unit's price is what it may expect to pay: about how far it must go to be among enough rows. In the
order of falling prices each unit either joins a class near it or founds one with the neighbours that are
still free, whichever costs less. A founder takes the neighbours whose own prices are high and whose
labels are near: a neighbour that has to pay anyway is cheaper company than one that would pay nothing
elsewhere. (In the view of facility location with a least load, prices are the dual variables of the
rows and labels the facilities.)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sfumato.anonymity.partition.local_labels import Labels
from sfumato.anonymity.partition.local_neighbours import Neighbours

#: A unit pays more than the distance of its nearest rows, for these have pulls of their own.
PRICE = 1.6


@dataclass(frozen=True)
class Gathered:
    """The class of each unit, shape (units,); a member and the slots of the labels of each class."""

    classes: NDArray[np.int64]
    members: NDArray[np.int64]
    levels: NDArray[np.int64]


def gather(
    labels: Labels,
    counts: NDArray[np.int64],
    near: Neighbours,
    least: int,
    settled: NDArray[np.bool_],
    company: int = 0,
) -> Gathered:
    """Every unit put into a class with others.

    Args:
        labels: of the units.
        counts: rows of each unit.
        near: the neighbours of each unit.
        least: how many rows a class should have. One has fewer if its founder has nobody left to turn to.
        settled: units that are classes already; others may join them, and they join nobody.
        company: how many others a founder takes in at least.
    """
    from sfumato.anonymity.partition import local_kernels

    prices = PRICE * near.prices(counts, least)
    order = np.argsort(-prices, kind="stable")
    return Gathered(
        *local_kernels.gather(
            labels.codes,
            labels.costs,
            labels.starts,
            counts,
            near.units,
            prices,
            order,
            least,
            settled,
            company,
        )
    )
