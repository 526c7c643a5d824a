"""Lattices beyond exhaustive reach: a good node by beam and local search, a bound by groups of columns."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Sequence
from itertools import permutations
from typing import TYPE_CHECKING

from sfumato.anonymity.lattice.grid import Node, moved

if TYPE_CHECKING:
    from sfumato.anonymity.lattice.search import View

#: Nodes that the beam goes on from.
_BEAM = 12

#: Nodes of the lattice of a group of columns.
_GROUP = 1_000

Rate = Callable[[Node], float]


def descend(top: Node, rate: Rate, spent: Callable[[], bool]) -> None:
    """Go down from the top, one level of one column at a time, from the best few nodes of each step.

    Stops when two steps have brought nothing better.
    """
    beam, best, since = [top], rate(top), 0
    while beam and since < 2 and not spent():
        below = {moved(node, j, level - 1) for node in beam for j, level in enumerate(node) if level > 0}
        rated = sorted((rate(node), node) for node in sorted(below))
        beam = [node for score, node in rated[:_BEAM] if math.isfinite(score)]
        since = 0 if rated and rated[0][0] < best else since + 1
        best = min(best, rated[0][0]) if rated else best


def improve(node: Node, top: Node, rate: Rate, spent: Callable[[], bool]) -> None:
    """Move to the best neighbour until none is better: a level less or more, or one traded for another."""
    score = rate(node)
    while not spent():
        found = min(((rate(near), near) for near in _neighbours(node, top)), default=(score, node))
        if found[0] >= score:
            return
        score, node = found


def _neighbours(node: Node, top: Node) -> list[Node]:
    one = [moved(node, j, level + step) for j, level in enumerate(node) for step in (-1, 1)]
    two = [
        moved(moved(node, i, node[i] - down), j, node[j] + up)
        for i, j in permutations(range(len(node)), 2)
        for down, up in ((1, 1), (1, 2), (2, 1))
    ]
    return [near for near in one + two if all(0 <= a <= b for a, b in zip(near, top, strict=True))]


def groups(top: Node, values: Sequence[int]) -> list[list[int]]:
    """Columns in groups of small lattices, those of the most values together."""
    found: list[list[int]] = []
    nodes = _GROUP + 1
    for column in sorted(range(len(top)), key=lambda j: (-values[j], j)):
        nodes *= top[column] + 1
        if nodes > _GROUP:
            found.append([])
            nodes = top[column] + 1
        found[-1].append(column)
    return found


def least_cost(
    group: Sequence[int], top: Node, visit: Callable[[Node], View | None], checks: int
) -> float | None:
    """The least that a group of columns costs in any possible node, or a bound on it; None if none is.

    The other columns stand at their top: what is suppressed there is suppressed in every finer node.
    """
    low = tuple(0 if j in group else level for j, level in enumerate(top))
    view = visit(top)
    boxes = [] if view is None else [(_cost(group, low, top, view), low, top, 0)]
    views = [view]
    while boxes:
        cost, low, high, number = boxes[0]
        if low == high or len(views) > checks:
            return cost
        heapq.heappop(boxes)
        view = views[number]
        assert view is not None
        costs = view.costs
        column = max(
            (j for j in group if low[j] < high[j]), key=lambda j: (costs[j][high[j]] - costs[j][low[j]], -j)
        )
        above = moved(low, column, high[column])
        heapq.heappush(boxes, (max(cost, _cost(group, above, high, view)), above, high, number))
        below = moved(high, column, high[column] - 1)
        view = visit(below)
        if view is not None:
            heapq.heappush(boxes, (max(cost, _cost(group, low, below, view)), low, below, len(views)))
        views.append(view)
    return None


def _cost(group: Sequence[int], low: Node, high: Node, view: View) -> float:
    return sum(min(view.costs[j][low[j] : high[j] + 1]) for j in group)
