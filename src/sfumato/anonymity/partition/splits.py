"""Multidimensional recoding from the top down: a class is cut in two as long as both parts hold.

After Mondrian (LeFevre, DeWitt & Ramakrishnan 2006), whose cuts are the medians of the widest axis.
Here the best of all cuts of all axes is taken, by how much the certainty penalty (Xu et al. 2006) of all
columns together falls, and members then move between neighbouring classes as long as it falls further.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sfumato.anonymity.holding import holding
from sfumato.anonymity.models.k_anonymity import KAnonymity
from sfumato.anonymity.partition.problem import Assignment, Problem
from sfumato.anonymity.partition.split_space import SET, Space
from sfumato.classes.contingency import Sensitive
from sfumato.classes.grouping import combine, group
from sfumato.classes.table import ClassTable, Units
from sfumato.contracts import PrivacyModel
from sfumato.core.errors import InputError

#: The cuts of a node that are tried, best first, in batches of these ranks, before it becomes a class.
_TRIES = ((0, 1), (1, 8), (8, 64))

#: Rows of the tables that cuts are checked in, at most or for one cut of each node.
_BATCH = 4_000_000

#: Neighbours on either side, in the order of a pass, whose classes a member may join.
_WINDOW = 2

#: Words of 64 bits for the values of one column in a node's summary; beyond them values share bits.
_WORDS = 16

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
    units = _some(problem.units, staying)
    work = _Work.of(problem, units, staying, weights)
    if not holding(problem.models, units.classes(np.zeros(len(staying), dtype=np.int64), 1)).all():
        raise InputError(
            "anonymity-impossible",
            "all people in one class do not satisfy the privacy models",
            where="anonymity",
            remedy="ask less of the models",
        )
    hits = _hits(target if target is None else target[staying], work)
    numbers = _cut(work, hits, float(focus) if target is not None else 0.0, progress)
    found = _moved(work, numbers, strict, passes)
    return Assignment(staying[found.units], found.classes, found.counts)


@dataclass(frozen=True)
class _Work:
    """A problem laid out for the kernels.

    Units of equal ranks are one point: ``points`` has their ranks, shape (points, columns), ``counts``
    the people of each, ``point`` the point of each unit. ``least`` people are in every class; ``local``
    models look at a class by itself beyond that, ``whole`` says that others look at all classes.
    """

    space: Space
    units: Units
    models: Sequence[PrivacyModel]
    local: Sequence[PrivacyModel]
    whole: bool
    least: int
    ranks: NDArray[np.int32]
    point: NDArray[np.int64]
    points: NDArray[np.int32]
    counts: NDArray[np.int64]

    @classmethod
    def of(
        cls,
        problem: Problem,
        units: Units,
        staying: NDArray[np.int64],
        weights: NDArray[np.float64] | None,
    ) -> _Work:
        columns = len(problem.axes)
        shares = np.ones(columns) if weights is None else weights
        space = Space.of(problem.axes, shares / max(1e-300, float(shares.sum())))
        ranks = space.points(problem.positions[:, staying])
        point, counts = (
            group(combine([column.astype(np.int64) for column in ranks.T]), units.counts)
            if columns
            else (np.zeros(len(staying), dtype=np.int64), np.array([units.rows]))
        )
        firsts = np.unique(point, return_index=True)[1]
        return cls(
            space,
            units,
            problem.models,
            [model for model in problem.models if not model.whole and not _least(model)],
            any(model.whole for model in problem.models),
            max([1, *map(_least, problem.models)]),
            ranks,
            point,
            np.ascontiguousarray(ranks[firsts]),
            counts,
        )

    @property
    def arrays(self) -> tuple[Any, ...]:
        """The space as the kernels take it."""
        space = self.space
        return space.kinds, space.starts, space.weights, space.numbers, space.labels, space.losses

    @property
    def words(self) -> NDArray[np.int64]:
        """Where each axis's bits begin in a summary, and their end; a power of two of words each."""
        needed = np.minimum(_WORDS, 2 ** np.ceil(np.log2(np.maximum(1, self.space.widths / 64))))
        return np.concatenate([[0], np.cumsum(np.where(self.space.kinds == SET, needed, 0))]).astype(np.int64)


def _least(model: Any) -> int:
    """The k of k-anonymity itself, which says all that it asks; 0 of any other model."""
    return model.k if type(model) is KAnonymity else 0


def _some(units: Units, chosen: NDArray[np.int64]) -> Units:
    """Some of the units; the people of a population have no place in classes of one's own."""
    return Units(
        units.counts[chosen],
        {
            name: Sensitive(column.codes[chosen], column.overall, column.tree)
            for name, column in units.sensitive.items()
        },
    )


def _hits(target: NDArray[np.int64] | None, work: _Work) -> NDArray[np.float64]:
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


def _cut(
    work: _Work, hits: NDArray[np.float64], focus: float, progress: Progress | None
) -> NDArray[np.int64]:
    """Cut from the top down, all open nodes of a round at once; the class of each point."""
    from sfumato.anonymity.partition.split_cuts import cut

    n, columns = work.points.shape
    if columns == 0:
        return np.zeros(n, dtype=np.int64)
    order = np.stack([_sorted(work.points[:, j]) for j in range(columns)])
    begins, ends = np.array([0]), np.array([n])
    closed: list[NDArray[np.int64]] = []
    done = 0
    while len(begins):
        going, side = _chosen(work, hits, focus, order, begins, ends)
        middles = begins.copy()
        middles[going] = cut(order, begins[going], ends[going], side)
        if work.whole:
            going = _wholly_held(work, order[0], [*closed, begins], middles, going)
        closed.append(begins[~going])
        at, _ = _ranges(begins[~going], ends[~going])
        done += int(work.counts[order[0, at]].sum())
        if progress is not None:
            progress(done, int(work.counts.sum()))
        begins, ends, middles = begins[going], ends[going], middles[going]
        begins, ends = np.concatenate([begins, middles]), np.concatenate([middles, ends])
    return _numbers(order[0], np.concatenate(closed))


def _sorted(ranks: NDArray[np.int32]) -> NDArray[np.int32]:
    """The order of ranks, equal ones as they were; NumPy sorts short integers by radix."""
    short = ranks.astype(np.uint16) if ranks.max() < 2**16 else ranks
    return np.argsort(short, kind="stable").astype(np.int32)


def _chosen(
    work: _Work,
    hits: NDArray[np.float64],
    focus: float,
    order: NDArray[np.int32],
    begins: NDArray[np.int64],
    ends: NDArray[np.int64],
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """The best cut of each node whose parts both hold: which nodes have one, and the points left of it."""
    from sfumato.anonymity.partition.split_cuts import propose

    going = np.zeros(len(begins), dtype=bool)
    chosen = np.zeros(order.shape[1], dtype=bool)
    left = np.arange(len(begins))
    for first, last in _TRIES if work.local else _TRIES[:1]:
        sides = np.zeros((last - first, order.shape[1]), dtype=bool)
        found = propose(
            work.arrays, work.words, work.points, work.counts, hits, focus, order,
            begins[left], ends[left], work.least, first, last, sides,
        )  # fmt: skip
        at, node = _ranges(begins[left], ends[left])
        inside = order[0, at]
        held = _first_held(work, inside, node, np.minimum(found, last) - first, sides)
        some = held[node] >= 0
        chosen[inside[some]] = sides[held[node[some]], inside[some]]
        going[left[held >= 0]] = True
        left = left[(held < 0) & (found > last)]
        if not len(left):
            break
    return going, chosen


def _first_held(
    work: _Work,
    inside: NDArray[np.int32],
    node: NDArray[np.int64],
    tries: NDArray[np.int64],
    sides: NDArray[np.bool_],
) -> NDArray[np.int64]:
    """The first cut of each node whose parts both satisfy the local models, -1 if none does."""
    if not work.local:
        return np.where(tries > 0, 0, -1)
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
        table = _some(work.units, which).classes(numbers, 2 * len(pair))
        (good,) = np.nonzero(holding(work.local, table).reshape(-1, 2).all(axis=1))
        # From the last to the first, so that the first stays.
        held[pair[good[::-1]] // len(sides)] = pair[good[::-1]] % len(sides)
        start += width
    return held


def _wholly_held(
    work: _Work,
    first: NDArray[np.int32],
    begins: Sequence[NDArray[np.int64]],
    middles: NDArray[np.int64],
    going: NDArray[np.bool_],
) -> NDArray[np.bool_]:
    """As many of a round's cuts, by halves of those left, as keep the promises about all classes."""
    accepted = going.copy()
    while accepted.any():
        numbers = _numbers(first, np.concatenate([*begins, middles[accepted]]))[work.point]
        if _all_hold(work, numbers, work.units):
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


def _moved(work: _Work, numbers: NDArray[np.int64], strict: bool, passes: int) -> Assignment:
    """Part classes and move members between neighbouring ones as long as the penalty falls."""
    from sfumato.anonymity.partition.split_moves import improve, part

    leaves = _Leaves.of(work, numbers, strict)
    for turn in range(passes):
        lent = part(
            work.arrays, leaves.pieces, leaves.classes, leaves.used, work.least, not strict, leaves.moves
        )
        leaves.check(*lent)
        order = leaves.lined_up(turn)
        moved = improve(
            work.arrays, work.space.widths, leaves.pieces, leaves.classes, order, leaves.used,
            work.least, _WINDOW, not strict, leaves.careful, leaves.moves,
        )  # fmt: skip
        leaves.check(*moved)
    return leaves.assignment()


@dataclass
class _Leaves:
    """Classes whose members move: the arrays of :mod:`split_moves`, and what they mean.

    ``pieces`` are points if strict, else units and, from the number of units on, parts of them; ``owner``
    has the point or unit of each, ``used`` says how many there are. If ``careful``, moves are checked
    against the models when a kernel has made them, so no class may take part in two of them.
    """

    work: _Work
    strict: bool
    careful: bool
    pieces: tuple[NDArray[Any], ...]
    classes: tuple[NDArray[Any], ...]
    owner: NDArray[np.int64]
    moves: NDArray[np.int64]
    used: int

    @classmethod
    def of(cls, work: _Work, numbers: NDArray[np.int64], strict: bool) -> _Leaves:
        from sfumato.anonymity.partition.split_moves import settle

        used = len(work.counts) if strict else len(work.units.counts)
        room = used if strict else 2 * used
        points = np.zeros((room, work.points.shape[1]), dtype=np.int32)
        people, member = np.zeros(room, dtype=np.int64), np.zeros(room, dtype=np.int64)
        points[:used] = work.points if strict else work.ranks
        people[:used] = work.counts if strict else work.units.counts
        member[:used] = numbers if strict else numbers[work.point]
        pieces = points, people, member, np.empty_like(member), np.empty_like(member)
        # A class can be parted only if it has more pieces than one.
        classes = _class_arrays(work, 2 * (int(numbers.max()) + 1))
        settle(work.arrays, pieces, classes, used)
        careful = bool(work.local) or work.whole
        moves = np.empty((room, 4), dtype=np.int64)
        return cls(work, strict, careful, pieces, classes, np.arange(room), moves, used)

    def lined_up(self, turn: int) -> NDArray[np.int64]:
        """An order of pieces in which neighbours are alike, another axis being the last in each turn."""
        axes = np.roll(np.argsort(self.work.space.widths, kind="stable"), turn)
        points = self.pieces[0][: self.used]
        if not len(axes):
            return np.arange(self.used)
        return np.argsort(combine([points[:, j].astype(np.int64) for j in axes]), kind="stable")

    def check(self, done: int, used: int) -> None:
        """Take the first ``done`` moves in, but for those that the models forbid."""
        from sfumato.anonymity.partition.split_moves import revert

        moves = self.moves[:done]
        dealt = moves[moves[:, 3] >= 0]
        self.owner[dealt[:, 0]] = self.owner[dealt[:, 3]]
        self.used = used
        if not self.careful or not done:
            return
        bad = self._broken(moves)
        revert(self.work.arrays, self.pieces, self.classes, moves[bad])
        if self.work.whole and not _all_hold(self.work, *self._as_units()):
            revert(self.work.arrays, self.pieces, self.classes, moves[~bad])

    def assignment(self) -> Assignment:
        """The classes; pieces of one unit in one class are put together."""
        people, member = self.pieces[1][: self.used], self.pieces[2][: self.used]
        if self.strict:
            return Assignment.whole(member[self.work.point], self.work.units.counts)
        owner = self.owner[: self.used]
        _, firsts, which = np.unique(combine([owner, member]), return_index=True, return_inverse=True)
        sums = np.bincount(which, people).astype(np.int64)
        firsts, sums = firsts[sums > 0], sums[sums > 0]
        found = Assignment.whole(member[firsts], sums)
        return Assignment(owner[firsts], found.classes, sums)

    def _as_units(self) -> tuple[NDArray[np.int64], Units]:
        """The class of each unit, and the units, parts of them being units too."""
        member = self.pieces[2]
        if self.strict:
            return member[self.work.point], self.work.units
        people, owner = self.pieces[1][: self.used], self.owner[: self.used]
        return member[: self.used], Units(people, _some(self.work.units, owner).sensitive)

    def _broken(self, moves: NDArray[np.int64]) -> NDArray[np.bool_]:
        """The moves after which one of their two classes does not satisfy the local models."""
        now, units = self._as_units()
        place = np.full(len(self.classes[0]), -1)
        place[moves[:, 1]] = 2 * np.arange(len(moves))
        place[moves[:, 2]] = 2 * np.arange(len(moves)) + 1
        (touched,) = np.nonzero((place[now] >= 0) & (units.counts > 0))
        # A class that the move has emptied is no class.
        there, numbers = np.unique(place[now[touched]], return_inverse=True)
        holds = np.ones(2 * len(moves), dtype=bool)
        holds[there] = holding(self.work.local, _some(units, touched).classes(numbers, len(there)))
        return ~(holds[::2] & holds[1::2])


def _class_arrays(work: _Work, classes: int) -> tuple[NDArray[Any], ...]:
    """Room for what :mod:`split_moves` keeps of each class: heads, sizes, means, covers; and stamps."""
    shape = (classes + 1, len(work.space.kinds))
    return (
        np.empty(classes, dtype=np.int64),
        np.empty(classes, dtype=np.int64),
        np.empty(classes),
        np.empty(shape, dtype=np.int32),
        np.empty(shape, dtype=np.int32),
        np.empty(shape, dtype=np.uint64),
        np.empty(shape, dtype=np.int64),
        np.zeros(int(work.space.widths.sum()) + 1, dtype=np.int64),
    )


def _all_hold(work: _Work, now: NDArray[np.int64], units: Units) -> bool:
    """Whether all classes together satisfy all models."""
    (there,) = np.nonzero(units.counts > 0)
    _, numbers = np.unique(now[there], return_inverse=True)
    table: ClassTable = _some(units, there).classes(numbers, int(numbers.max()) + 1)
    return bool(holding(work.models, table).all())
