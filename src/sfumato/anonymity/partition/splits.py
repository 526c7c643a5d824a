"""Multidimensional recoding from the top down: a class is cut in two as long as both parts hold.

After Mondrian (LeFevre, DeWitt & Ramakrishnan 2006), whose cuts are the medians of the widest axis.
Here the best of all cuts of all axes is taken, by how much the certainty penalty (Xu et al. 2006) of all
columns together falls, and members then move between neighbouring classes as long as it falls further.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sfumato.anonymity.holding import holding
from sfumato.anonymity.partition.problem import Assignment, Problem
from sfumato.anonymity.partition.split_leaves import moved
from sfumato.anonymity.partition.split_retries import retried
from sfumato.anonymity.partition.split_tree import AXIS, BEGIN, Grower, Progress, numbers
from sfumato.anonymity.partition.split_work import Work, some
from sfumato.core.errors import InputError

#: Target values that a split tells apart; the rarest ones count as one.
_TARGETS = 32


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
    classes = _cut(work, hits, float(focus) if target is not None else 0.0, progress)
    found = moved(work, classes, strict, passes)
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
    """Cut from the top down, and again where models left classes that are too large; each point's class."""
    if not work.points.shape[1]:
        return np.zeros(len(work.points), dtype=np.int64)
    grower = Grower.of(work, hits, focus)
    order = grower.order()
    tree = grower.grown(order, np.array([0]), np.array([len(work.points)]), np.array([-1]), progress)
    if work.local and not work.whole:
        tree = retried(grower, order, tree)
    return numbers(order[0], tree[tree[:, AXIS] < 0, BEGIN])
