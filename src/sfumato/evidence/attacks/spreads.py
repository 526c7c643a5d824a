"""How the values of a sensitive column are spread over a class, and what that has to be.

All three distances of t-closeness are earth mover's distances on a tree of the values: a star for *equal*,
a chain for *ordered*, the hierarchy for *hierarchical*. On a tree the distance of two spreads is the sum over
its edges of their length times the difference of what lies under them, so that it is known from how many
people of a part lie under each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sfumato.classes import spread as spreads
from sfumato.classes.contingency import Contingency, Nodes

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_DISTANCES = {
    "equal": spreads.equal_distance,
    "ordered": spreads.ordered_distance,
    "hierarchical": spreads.hierarchical_distance,
}
#: A probability is a count of so many.
_ONE = 10**10
#: A share with which a promise is broken, less this, keeps it.
_LESS = 2e-9
#: Probabilities short of a bound by no more than this are at it.
_SLACK = 1e-8


class Close(NamedTuple):
    """t-closeness: a class is no farther than ``t`` from the whole table (Li et al. 2007)."""

    t: float
    distance: str


class Tail(NamedTuple):
    """Recursive (c, l)-diversity: the most frequent value has fewer people than ``factor`` = c times those
    without the ``rank`` - 1 = l - 1 most frequent ones (Machanavajjhala et al. 2007, Definition 4.2)."""

    factor: float
    rank: int

    @property
    def heaviest(self) -> float:
        """No value with at most this share of people breaks it; and of l = 2, none with more keeps it.

        The most frequent value has no less than c times the others then, and each of the l - 1 most frequent
        ones no more than it.
        """
        return 1 / (self.rank - 1 + 1 / self.factor) - _LESS


@dataclass(frozen=True)
class Scale:
    """The values of a sensitive column in their order: people of the whole table, and labels of each level.

    ``overall`` has shape (values,), ``tree`` (levels, values) as
    :class:`sfumato.classes.contingency.Sensitive`.
    """

    overall: Ints
    tree: Ints | None = None

    @cached_property
    def nodes(self) -> Nodes | None:
        """The tree as nodes, None where there is none."""
        return None if self.tree is None else Nodes.of(self.tree, self.overall)

    def contingency(self, classes: Ints, values: Ints, people: Ints, many: int) -> Contingency:
        """Of ``many`` classes, whose pairs with values come in ascending order."""
        starts = np.searchsorted(classes, np.arange(many + 1)).astype(np.int64)
        return Contingency(starts, values, people, self.overall, self.tree, self.nodes)

    def distances(self, distance: str, classes: Ints, values: Ints, people: Ints, many: int) -> Floats:
        """Of ``many`` classes to the whole table."""
        return _DISTANCES[distance](self.contingency(classes, values, people, many))


def well_spread(
    spread: Contingency, tails: Sequence[Tail], close: Sequence[Close], slack: float = spreads.TOLERANCE
) -> NDArray[np.bool_]:
    """Which classes are as the models ask."""
    held = np.ones(len(spread.starts) - 1, dtype=bool)
    for factor, rank in tails:
        held &= spreads.heaviest(spread) < factor * spreads.rest(spread, rank) * (1 - slack)
    for t, distance in close:
        held &= _DISTANCES[distance](spread) <= t + slack
    return held


def well_spread_chances(
    scale: Scale, values: Ints, shares: Floats, tails: Sequence[Tail], close: Sequence[Close]
) -> NDArray[np.bool_]:
    """:func:`well_spread` of people's probabilities of some values, shape (people, values)."""
    counts = np.rint(shares * _ONE).astype(np.int64)
    which, at = np.nonzero(counts)
    spread = scale.contingency(which, values[at], counts[which, at], len(shares))
    return well_spread(spread, tails, close, _SLACK)


class Flow(NamedTuple):
    """A distance to the whole table of draws of some people that have only some of the values.

    ``leaves`` has the node of each of these values, ``parents`` the one above each node, a greater number
    but for the root, which is last and its own; ``costs`` what it adds to the distance to have so many
    people under a node, shape (nodes, people + 1), and ``rest`` what is added anyway.
    """

    leaves: Ints
    parents: Ints
    costs: Floats
    rest: float


def flow(scale: Scale, distance: str, values: Ints, people: int) -> Flow:
    """Of draws of so many people from a class with some values, ascending."""
    shares = scale.overall / max(1, int(scale.overall.sum()))
    held = np.arange(people + 1) / people
    if distance == "hierarchical":
        return _tree(scale, values, held)
    nodes = np.arange(len(values))
    if distance == "equal":
        costs = np.maximum(0.0, held - shares[values][:, None])
        parents = np.full(len(values) + 1, len(values))
        return Flow(nodes, parents, np.vstack([costs, np.zeros(people + 1)]), 0.0)
    return Flow(nodes, np.minimum(nodes + 1, len(values) - 1), *_chain(shares, values, held))


def _chain(shares: Floats, values: Ints, held: Floats) -> tuple[Floats, float]:
    """From each value to the next one that occurs as many people are before all that lie between."""
    last = max(1, len(shares) - 1)
    upto = np.minimum(np.cumsum(shares), 1.0)
    sums = np.concatenate([[0.0], np.cumsum(upto)])
    costs = np.zeros((len(values), len(held)))
    for i in range(len(values) - 1):
        low, high = int(values[i]), int(values[i + 1])
        middle = low + np.searchsorted(upto[low:high], held)
        below = (middle - low) * held - (sums[middle] - sums[low])
        costs[i] = (below + sums[high] - sums[middle] - (high - middle) * held) / last
    final = int(values[-1])
    rest = sums[int(values[0])] + float((1 - upto[final:-1]).sum())
    return costs, float(rest / last)


def _tree(scale: Scale, values: Ints, held: Floats) -> Flow:
    tree = scale.nodes
    if tree is None:
        raise ValueError("the scale has no tree")
    lengths = (tree.heights[tree.parents] - tree.heights) / 2
    above = [tree.leaves[values]]
    while (tree.parents[above[-1]] != above[-1]).any():
        above.append(tree.parents[above[-1]])
    touched = np.unique(np.concatenate(above))
    costs = lengths[touched][:, None] * np.abs(held - tree.shares[touched][:, None])
    others = np.ones(len(lengths), dtype=bool)
    others[touched] = False
    rest = float((lengths * tree.shares)[others].sum())
    parents = np.searchsorted(touched, tree.parents[touched])
    return Flow(np.searchsorted(touched, above[0]), parents, costs, rest)
