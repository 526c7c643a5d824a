"""Members of a partition's classes move between neighbouring ones, checked against the models."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sfumato.anonymity.holding import holding
from sfumato.anonymity.partition.problem import Assignment
from sfumato.anonymity.partition.split_space import SET
from sfumato.anonymity.partition.split_work import Work, some
from sfumato.classes.grouping import combine
from sfumato.classes.table import Units

#: Neighbours on either side, in the order of a pass, whose classes a member may join.
_WINDOW = 2


def moved(work: Work, numbers: NDArray[np.int64], strict: bool, passes: int) -> Assignment:
    """Part classes and move members between neighbouring ones as long as the penalty falls."""
    from sfumato.anonymity.partition.split_moves import improve, part

    if not passes:
        return Assignment.whole(numbers[work.point], work.units.counts)
    leaves = _Leaves.of(work, numbers, strict)
    for turn in range(passes):
        lent = part(
            leaves.form, leaves.pieces, leaves.classes, leaves.used, work.least, not strict, leaves.moves
        )
        leaves.check(*lent)
        order = leaves.lined_up(turn)
        gone = improve(
            leaves.form, leaves.pieces, leaves.classes, order, leaves.used,
            work.least, _WINDOW, not strict, leaves.careful, leaves.moves,
        )  # fmt: skip
        leaves.check(*gone)
    return leaves.assignment()


@dataclass
class _Leaves:
    """Classes whose members move: the arrays of :mod:`split_moves`, and what they mean.

    ``pieces`` are points if strict, else units and, from the number of units on, parts of them; ``owner``
    has the point or unit of each, ``used`` says how many there are. If ``careful``, moves are checked
    against the models when a kernel has made them, so no class may take part in two of them.
    """

    work: Work
    form: tuple[Any, ...]
    strict: bool
    careful: bool
    pieces: tuple[NDArray[Any], ...]
    classes: tuple[NDArray[Any], ...]
    owner: NDArray[np.int64]
    moves: NDArray[np.int64]
    used: int

    @classmethod
    def of(cls, work: Work, numbers: NDArray[np.int64], strict: bool) -> _Leaves:
        from sfumato.anonymity.partition.split_moves import settle

        used = len(work.counts) if strict else len(work.units.counts)
        room = used if strict else 2 * used
        points = np.zeros((room, work.points.shape[1]), dtype=np.int32)
        people, member = np.zeros(room, dtype=np.int64), np.zeros(room, dtype=np.int64)
        points[:used] = work.points if strict else work.ranks
        people[:used] = work.counts if strict else work.units.counts
        member[:used] = numbers if strict else numbers[work.point]
        marks = work.bits.marks(work.space, points)
        pieces = points, people, member, np.empty_like(member), np.empty_like(member), marks
        # A class can be parted only if it has more pieces than one.
        classes = _class_arrays(work, 2 * (int(numbers.max()) + 1))
        space = work.space
        axes = tuple(map(np.flatnonzero, (space.narrow, space.wide, space.kinds != SET)))
        form = work.arrays, work.bits.arrays, axes
        settle(form, pieces, classes, used)
        careful = bool(work.local) or work.whole
        moves = np.empty((room, 4), dtype=np.int64)
        return cls(work, form, strict, careful, pieces, classes, np.arange(room), moves, used)

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
        revert(self.form, self.pieces, self.classes, moves[bad])
        if self.work.whole and not self.work.hold(*self._as_units()):
            revert(self.form, self.pieces, self.classes, moves[~bad])

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
        return member[: self.used], Units(people, some(self.work.units, owner).sensitive)

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
        holds[there] = holding(self.work.local, some(units, touched).classes(numbers, len(there)))
        return ~(holds[::2] & holds[1::2])


def _class_arrays(work: Work, classes: int) -> tuple[NDArray[Any], ...]:
    """Room for what :mod:`split_moves` keeps of each class: heads, sizes, means, covers; and stamps."""
    shape = (classes + 1, len(work.space.kinds))
    return (
        np.empty(classes, dtype=np.int64),
        np.empty(classes, dtype=np.int64),
        np.empty(classes),
        np.empty(shape, dtype=np.int32),
        np.empty(shape, dtype=np.int32),
        np.empty((classes + 1, work.bits.narrow), dtype=np.uint64),
        np.empty(shape, dtype=np.uint64),
        np.empty(shape, dtype=np.int64),
        np.zeros(int(work.space.widths.sum()) + 1, dtype=np.int64),
    )
