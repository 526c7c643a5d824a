"""Multidimensional recoding from the top down: a class is cut in two as long as both parts hold.

After Mondrian (LeFevre, DeWitt & Ramakrishnan 2006), whose cuts are the medians of the widest axis.
Here the best of all cuts of all axes is taken, by how much the certainty penalty (Xu et al. 2006) of all
columns together falls, and members then move between neighbouring classes as long as it falls further.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from sfumato.anonymity.holding import holding
from sfumato.anonymity.partition.problem import Assignment, Problem
from sfumato.anonymity.partition.split_leaves import moved
from sfumato.anonymity.partition.split_work import Work, some
from sfumato.core.errors import InputError

#: The cuts of a node that are tried, best first, in batches of these ranks, before it becomes a class.
_TRIES = ((0, 1), (1, 8), (8, 64))

#: Rows of the tables that cuts are checked in, at most or for one cut of each node.
_BATCH = 4_000_000

#: Target values that a split tells apart; the rarest ones count as one.
_TARGETS = 32


class Progress(Protocol):
    """Told how many people are in classes that will not be cut again, of how many."""

    def __call__(self, done: int, total: int) -> None: ...


def split(
    problem: Problem,
    *,
    strict: bool = True,
    target: NDArray[np.int64] | None = None,
    focus: float = 1.0,
    weights: NDArray[np.float64] | None = None,
    passes: int = 3,
    progress: Progress | None = None,
) -> Assignment:
    """Classes that all satisfy the models, with labels as fine as cuts and moves can make them.

    Nobody is left out, whatever the problem's limit.

    Args:
        problem: what to part; a unit of nobody is in no class.
        strict: people alike on all axes stay in one class; otherwise some of them may go to another
            class that needs them.
        target: what a model will be trained to tell, a code from 0 for each unit, shape (units,); cuts
            then also part its values. That discloses the target: have a model on it.
        focus: what telling the target apart (Gini impurity, from 0 to 1) counts against the penalty.
        weights: what each axis counts, shape (columns,); all the same if None.
        passes: how often every member is tried for a move after the cuts.

    Raises:
        InputError: ``anonymity-impossible`` if not even one class of all people satisfies the models.
    """
    (staying,) = np.nonzero(problem.units.counts > 0)
    if not len(staying):
        return Assignment.whole(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64))
    units = some(problem.units, staying)
    work = Work.of(problem, units, staying, weights)
    if not holding(problem.models, units.classes(np.zeros(len(staying), dtype=np.int64), 1)).all():
        raise InputError(
            "anonymity-impossible",
            "all people in one class do not satisfy the privacy models",
            where="anonymity",
            remedy="ask less of the models",
        )
    hits = _hits(target if target is None else target[staying], work)
    numbers = _cut(work, hits, float(focus) if target is not None else 0.0, progress)
    found = moved(work, numbers, strict, passes)
    return Assignment(staying[found.units], found.classes, found.counts)


def _hits(target: NDArray[np.int64] | None, work: Work) -> NDArray[np.float64]:
    """The people of each point with each target value, the commonest first, shape (points, values)."""
    if target is None:
        return np.zeros((len(work.counts), 0))
    people = np.bincount(target, work.units.counts)
    rank = np.empty(len(people), dtype=np.int64)
    rank[np.argsort(-people, kind="stable")] = np.arange(len(people))
    values = np.minimum(rank[target], _TARGETS - 1)
    found = np.zeros((len(work.counts), int(values.max()) + 1))
    np.add.at(found, (work.point, values), work.units.counts)
    return found


def _cut(work: Work, hits: NDArray[np.float64], focus: float, progress: Progress | None) -> NDArray[np.int64]:
    """Cut from the top down, all open nodes of a round at once; the class of each point."""
    from sfumato.anonymity.partition.split_cuts import cut

    n, columns = work.points.shape
    if columns == 0:
        return np.zeros(n, dtype=np.int64)
    order, lines = _lined(work)
    begins, ends = np.array([0]), np.array([n])
    closed: list[NDArray[np.int64]] = []
    done = 0
    marks = work.bits.marks(work.space, work.points)
    while len(begins):
        going, side = _chosen(work, marks, hits, focus, order, lines, begins, ends)
        middles = begins.copy()
        middles[going] = cut(order, begins[going], ends[going], side)
        if work.whole:
            going = _wholly_held(work, order[0], [*closed, begins], middles, going)
        closed.append(begins[~going])
        if progress is not None:
            at, _ = _ranges(begins[~going], ends[~going])
            done += int(work.counts[order[0, at]].sum())
            progress(done, int(work.counts.sum()))
        begins, ends, middles = begins[going], ends[going], middles[going]
        begins, ends = np.concatenate([begins, middles]), np.concatenate([middles, ends])
    return _numbers(order[0], np.concatenate(closed))


def _lined(work: Work) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """The points as they are, then in the order of each axis that is no narrow set; each axis's line."""
    (sorting,) = np.nonzero(~work.space.narrow)
    lines = np.zeros(work.points.shape[1], dtype=np.int64)
    lines[sorting] = 1 + np.arange(len(sorting))
    first = np.arange(len(work.points), dtype=np.int32)
    return np.stack([first, *(_sorted(work.points[:, j]) for j in sorting)]), lines


def _sorted(ranks: NDArray[np.int32]) -> NDArray[np.int32]:
    """The order of ranks, equal ones as they were; NumPy sorts short integers by radix."""
    short = ranks.astype(np.uint16) if ranks.max() < 2**16 else ranks
    return np.argsort(short, kind="stable").astype(np.int32)


def _chosen(
    work: Work,
    marks: NDArray[np.uint64],
    hits: NDArray[np.float64],
    focus: float,
    order: NDArray[np.int32],
    lines: NDArray[np.int64],
    begins: NDArray[np.int64],
    ends: NDArray[np.int64],
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """The best cut of each node whose parts both hold: which nodes have one, and the points left of it."""
    from sfumato.anonymity.partition.split_cuts import propose

    going = np.zeros(len(begins), dtype=bool)
    chosen = np.zeros(order.shape[1], dtype=bool)
    left = np.arange(len(begins))
    for first, last in _TRIES:
        sides = np.zeros((last - first, order.shape[1]), dtype=bool)
        found = propose(
            work.arrays, work.bits.arrays, work.points, marks, work.counts, hits, focus, order, lines,
            begins[left], ends[left], work.least, first, last, sides,
        )  # fmt: skip
        if not work.local:
            return found > 0, sides[0]
        at, node = _ranges(begins[left], ends[left])
        inside = order[0, at]
        held = _first_held(work, inside, node, np.minimum(found, last) - first, sides)
        some_held = held[node] >= 0
        chosen[inside[some_held]] = sides[held[node[some_held]], inside[some_held]]
        going[left[held >= 0]] = True
        left = left[(held < 0) & (found > last)]
        if not len(left):
            break
    return going, chosen


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
        t, which = (part.ravel() for part in np.meshgrid(np.arange(width) + start, units, indexing="ij"))
        valid = t < tries[nodes[which]]
        t, which = t[valid], which[valid]
        pair, number = np.unique(nodes[which] * len(sides) + t, return_inverse=True)
        numbers = 2 * number + sides[t, work.point[which]]
        table = some(work.units, which).classes(numbers, 2 * len(pair))
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
        numbers = _numbers(first, np.concatenate([*begins, middles[accepted]]))[work.point]
        if work.hold(numbers, work.units):
            break
        (left,) = np.nonzero(accepted)
        accepted[left[len(left) // 2 :]] = False
    return accepted


def _ranges(
    begins: NDArray[np.int64], ends: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The positions in ranges, and the number of each one's range."""
    lengths = ends - begins
    which = np.repeat(np.arange(len(begins)), lengths)
    return np.arange(len(which)) + (begins - np.cumsum(lengths) + lengths)[which], which


def _numbers(first: NDArray[np.int32], begins: NDArray[np.int64]) -> NDArray[np.int64]:
    """The class of each point, from the order of points and where classes begin in it."""
    found = np.empty(len(first), dtype=np.int64)
    found[first] = np.searchsorted(np.sort(begins), np.arange(len(first)), side="right") - 1
    return found
