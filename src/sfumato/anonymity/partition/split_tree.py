"""A tree of cuts, grown from the top down, all open nodes of a round at once.

A tree is an array of nodes, shape (nodes, 4): where a node's points begin and end in the order of points,
where those of its right part begin, and the axis of its cut; a class has no cut, and the axis -1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from sfumato.anonymity.holding import holding
from sfumato.anonymity.partition.split_work import Work, some

#: The cuts of a node that are tried, best first, in batches of these ranks, before it becomes a class.
_TRIES = ((0, 1), (1, 8), (8, 64))

#: Rows of the tables that cuts are checked in, at most or for one cut of each node.
_BATCH = 4_000_000

#: The columns of a tree.
BEGIN, END, MIDDLE, AXIS = range(4)


class Progress(Protocol):
    """Told how many people are in classes that will not be cut again, of how many."""

    def __call__(self, done: int, total: int) -> None: ...


@dataclass(frozen=True)
class Grower:
    """What cuts are found from: a problem's work, people by target value (``hits``) and what they count.

    ``marks`` has the values of narrow sets of each point as bits, ``lines`` the line of ``order`` in which
    points are sorted by each axis; those in the first one need not be sorted.
    """

    work: Work
    hits: NDArray[np.float64]
    focus: float
    marks: NDArray[np.uint64]
    lines: NDArray[np.int64]

    @classmethod
    def of(cls, work: Work, hits: NDArray[np.float64], focus: float) -> Grower:
        """Lay out which axes have to be sorted."""
        (sorting,) = np.nonzero(~work.space.narrow)
        lines = np.zeros(work.points.shape[1], dtype=np.int64)
        lines[sorting] = 1 + np.arange(len(sorting))
        return cls(work, hits, focus, work.bits.marks(work.space, work.points), lines)

    def order(self) -> NDArray[np.int32]:
        """The points as they are, then in the order of each axis that is no narrow set."""
        points = self.work.points
        first = np.arange(len(points), dtype=np.int32)
        return np.stack([first, *(_sorted(points[:, j]) for j in np.flatnonzero(self.lines))])

    def grown(
        self,
        order: NDArray[np.int32],
        begins: NDArray[np.int64],
        ends: NDArray[np.int64],
        barred: NDArray[np.int64],
        progress: Progress | None = None,
    ) -> NDArray[np.int64]:
        """Cut nodes until no part can be cut, the first time on another axis than the ``barred`` one.

        Parts ``order`` in place, so that the points of each class come to lie together.
        """
        from sfumato.anonymity.partition.split_cuts import cut

        work = self.work
        found: list[NDArray[np.int64]] = []
        done = 0
        while len(begins):
            axes, left = self._chosen(order, begins, ends, barred)
            going = axes >= 0
            middles = begins.copy()
            middles[going] = cut(order, begins[going], ends[going], left)
            if work.whole:
                closed = [tree[tree[:, AXIS] < 0, BEGIN] for tree in found]
                going = _wholly_held(work, order[0], [*closed, begins], middles, going)
            axes[~going] = -1
            found.append(np.stack([begins, ends, middles, axes], axis=1))
            if progress is not None:
                at, _ = ranges(begins[~going], ends[~going])
                done += int(work.counts[order[0, at]].sum())
                progress(done, int(work.counts.sum()))
            begins, ends, middles = begins[going], ends[going], middles[going]
            begins, ends = np.concatenate([begins, middles]), np.concatenate([middles, ends])
            barred = np.full(len(begins), -1)
        return np.concatenate(found) if found else np.zeros((0, 4), dtype=np.int64)

    def _chosen(
        self,
        order: NDArray[np.int32],
        begins: NDArray[np.int64],
        ends: NDArray[np.int64],
        barred: NDArray[np.int64],
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """The best cut of each node whose parts both hold: its axis or -1, and the points left of it."""
        from sfumato.anonymity.partition.split_cuts import propose

        work = self.work
        axes = np.full(len(begins), -1)
        chosen = np.zeros(order.shape[1], dtype=bool)
        left = np.arange(len(begins))
        for first, last in _TRIES:
            sides = np.zeros((last - first, order.shape[1]), dtype=bool)
            on = np.full((last - first, len(left)), -1)
            found = propose(
                work.arrays, work.bits.arrays, work.points, self.marks, work.counts, self.hits, self.focus,
                order, self.lines, begins[left], ends[left], work.least, first, last, barred[left], sides, on,
            )  # fmt: skip
            if not work.local:
                return on[0], sides[0]
            at, node = ranges(begins[left], ends[left])
            inside = order[0, at]
            held = _first_held(work, inside, node, np.minimum(found, last) - first, sides)
            some_held = held[node] >= 0
            chosen[inside[some_held]] = sides[held[node[some_held]], inside[some_held]]
            (going,) = np.nonzero(held >= 0)
            axes[left[going]] = on[held[going], going]
            left = left[(held < 0) & (found > last)]
            if not len(left):
                break
        return axes, chosen


def _sorted(ranks: NDArray[np.int32]) -> NDArray[np.int32]:
    """The order of ranks, equal ones as they were; NumPy sorts short integers by radix."""
    short = ranks.astype(np.uint16) if ranks.max() < 2**16 else ranks
    return np.argsort(short, kind="stable").astype(np.int32)


def _first_held(
    work: Work,
    inside: NDArray[np.int32],
    node: NDArray[np.int64],
    tries: NDArray[np.int64],
    sides: NDArray[np.bool_],
) -> NDArray[np.int64]:
    """The first cut of each node whose parts both satisfy the local models, -1 if none does."""
    held = np.full(len(tries), -1)
    at = np.full(len(work.counts), -1)
    at[inside] = node
    start = 0
    while start < tries.max(initial=0):
        nodes = at[work.point]
        (units,) = np.nonzero((nodes >= 0) & (held[nodes] < 0) & (tries[nodes] > start))
        if not len(units):
            break
        width = min(len(sides) - start, max(1, _BATCH // len(units)))
        t, which = (each.ravel() for each in np.meshgrid(np.arange(width) + start, units, indexing="ij"))
        valid = t < tries[nodes[which]]
        t, which = t[valid], which[valid]
        key = nodes[which] * len(sides) + t
        asked = np.zeros(len(tries) * len(sides), dtype=bool)
        asked[key] = True
        (pair,) = np.nonzero(asked)
        part = 2 * (np.cumsum(asked) - 1)[key] + sides[t, work.point[which]]
        table = some(work.units, which).classes(part, 2 * len(pair))
        (good,) = np.nonzero(holding(work.local, table).reshape(-1, 2).all(axis=1))
        # From the last to the first, so that the first stays.
        held[pair[good[::-1]] // len(sides)] = pair[good[::-1]] % len(sides)
        start += width
    return held


def _wholly_held(
    work: Work,
    first: NDArray[np.int32],
    begins: Sequence[NDArray[np.int64]],
    middles: NDArray[np.int64],
    going: NDArray[np.bool_],
) -> NDArray[np.bool_]:
    """As many of a round's cuts, by halves of those left, as keep the promises about all classes."""
    accepted = going.copy()
    while accepted.any():
        classes = numbers(first, np.concatenate([*begins, middles[accepted]]))[work.point]
        if work.hold(classes, work.units):
            break
        (left,) = np.nonzero(accepted)
        accepted[left[len(left) // 2 :]] = False
    return accepted


def ranges(begins: NDArray[np.int64], ends: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The positions in ranges, and the number of each one's range."""
    lengths = ends - begins
    which = np.repeat(np.arange(len(begins)), lengths)
    return np.arange(len(which)) + (begins - np.cumsum(lengths) + lengths)[which], which


def numbers(first: NDArray[np.int32], begins: NDArray[np.int64]) -> NDArray[np.int64]:
    """The class of each point, from the order of points and where classes begin in it."""
    found = np.empty(len(first), dtype=np.int64)
    found[first] = np.searchsorted(np.sort(begins), np.arange(len(first)), side="right") - 1
    return found
