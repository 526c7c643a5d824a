"""Nodes whose cuts ended in classes that no cut parts any more are cut again, on another axis.

A best cut may leave parts so near to what a model allows that no cut of theirs holds; a slightly worse one
may not. Which one does shows only below, so both are followed to the end (a rollout, after Bertsekas,
Tsitsiklis & Wu 1997), and the cheaper one stays.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sfumato.anonymity.partition.split_tree import AXIS, BEGIN, END, MIDDLE, Grower, ranges

#: A class of more people than so many times those of a mean class is crowded.
_CROWD = 4

#: From the root, so many levels of nodes are cut again at most: what bounds the time.
_LEVELS = 16


def retried(grower: Grower, order: NDArray[np.int32], tree: NDArray[np.int64]) -> NDArray[np.int64]:
    """The tree, from the root down, with other cuts of nodes above crowded classes where they cost less.

    Parts ``order`` anew. Promises about all classes together are not looked at.
    """
    sizes = _people(grower, order, tree)[tree[:, AXIS] < 0]
    most = _CROWD * float(sizes.mean())
    nodes = tree[:1]
    for _ in range(_LEVELS):
        crowded = (tree[:, AXIS] < 0) & (_people(grower, order, tree) > most)
        place = _places(nodes, tree[crowded])
        above = np.bincount(place[place >= 0], minlength=len(nodes)) > 0
        nodes = nodes[above & (nodes[:, AXIS] >= 0)]
        if not len(nodes):
            break
        tree = _again(grower, order, tree, nodes)
        nodes = _children(tree, nodes)
    return tree


def _again(
    grower: Grower, order: NDArray[np.int32], tree: NDArray[np.int64], nodes: NDArray[np.int64]
) -> NDArray[np.int64]:
    """The tree with other cuts of those of some nodes, none in another, for which they cost less."""
    other = order.copy()
    at, which = ranges(nodes[:, BEGIN], nodes[:, END])
    for j in np.flatnonzero(grower.lines):
        inside = order[0, at]
        other[grower.lines[j], at] = inside[np.lexsort((grower.work.points[inside, j], which))]
    new = grower.grown(other, nodes[:, BEGIN], nodes[:, END], nodes[:, AXIS])
    least = _costs(grower, order, tree, nodes)
    won = nodes[_costs(grower, other, new, nodes) < least - 1e-12 * np.abs(least)]
    at, _ = ranges(won[:, BEGIN], won[:, END])
    order[:, at] = other[:, at]
    return np.concatenate([tree[_places(won, tree) < 0], new[_places(won, new) >= 0]])


def _costs(
    grower: Grower, order: NDArray[np.int32], tree: NDArray[np.int64], nodes: NDArray[np.int64]
) -> NDArray[np.float64]:
    """What the classes below each node cost."""
    from sfumato.anonymity.partition.split_covers import costs

    classes = tree[tree[:, AXIS] < 0]
    place = _places(nodes, classes)
    classes, place = classes[place >= 0], place[place >= 0]
    work, space = grower.work, grower.work.space
    axes = tuple(map(np.flatnonzero, (space.narrow, space.wide, ~(space.narrow | space.wide))))
    each = costs(
        work.arrays, work.bits.arrays, axes, work.points, grower.marks, work.counts, grower.hits,
        grower.focus, order[0], classes[:, BEGIN], classes[:, END],
    )  # fmt: skip
    found: NDArray[np.float64] = np.bincount(place, each, len(nodes)).astype(np.float64, copy=False)
    return found


def _people(grower: Grower, order: NDArray[np.int32], tree: NDArray[np.int64]) -> NDArray[np.int64]:
    """The people in each node."""
    before = np.concatenate([[0], np.cumsum(grower.work.counts[order[0]])])
    found: NDArray[np.int64] = before[tree[:, END]] - before[tree[:, BEGIN]]
    return found


def _places(nodes: NDArray[np.int64], tree: NDArray[np.int64]) -> NDArray[np.int64]:
    """Which of some nodes, none in another and sorted, each one of the tree lies in; -1 if in none."""
    if not len(nodes):
        return np.full(len(tree), -1)
    place = np.searchsorted(nodes[:, BEGIN], tree[:, BEGIN], side="right") - 1
    return np.where((place >= 0) & (tree[:, END] <= nodes[place, END]), place, -1)


def _children(tree: NDArray[np.int64], nodes: NDArray[np.int64]) -> NDArray[np.int64]:
    """The parts of those nodes in the tree that have begin and end of some nodes, sorted."""
    width = int(tree[:, END].max()) + 1
    keys = tree[:, BEGIN] * width + tree[:, END]
    parents = tree[np.isin(keys, nodes[:, BEGIN] * width + nodes[:, END])]
    lefts = parents[:, BEGIN] * width + parents[:, MIDDLE]
    rights = parents[:, MIDDLE] * width + parents[:, END]
    found = tree[np.isin(keys, np.concatenate([lefts, rights]))]
    return found[np.argsort(found[:, BEGIN])]
