"""Classes under change: which rows of which units each has, with labels and costs kept up to date."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sfumato.anonymity.partition.local_labels import Labels
from sfumato.anonymity.partition.local_neighbours import Neighbours
from sfumato.anonymity.partition.problem import Assignment


class Pieces(NamedTuple):
    """Rows of units in classes, as linked lists (-1 ends one) of pieces.

    A piece is ``rows`` rows of ``unit`` in class ``home``. ``after`` and ``before`` link the pieces of
    a class from ``first``; ``also`` those of a unit from ``pieces``. A class has ``sizes`` rows in
    ``many`` pieces; its labels cover ``members`` at the slots ``levels`` and cost a row ``paid``; what
    belongs to no class is listed in ``spare`` and ``empty``, as many as ``left`` says. ``codes``,
    ``costs``, ``starts`` and ``near`` are the units' labels and neighbours.
    """

    unit: NDArray[np.int32]
    home: NDArray[np.int32]
    rows: NDArray[np.int64]
    after: NDArray[np.int32]
    before: NDArray[np.int32]
    also: NDArray[np.int32]
    pieces: NDArray[np.int32]
    first: NDArray[np.int32]
    many: NDArray[np.int32]
    sizes: NDArray[np.int64]
    members: NDArray[np.int32]
    levels: NDArray[np.int32]
    paid: NDArray[np.float64]
    spare: NDArray[np.int64]
    empty: NDArray[np.int32]
    left: NDArray[np.int64]
    codes: NDArray[np.int32]
    costs: NDArray[np.float64]
    starts: NDArray[np.int64]
    near: NDArray[np.int32]

    @classmethod
    def of(
        cls,
        labels: Labels,
        counts: NDArray[np.int64],
        near: Neighbours,
        found: Assignment,
        more: int = 0,
    ) -> Pieces:
        """Units in their classes, with room for more classes and pieces (``more`` than usual)."""
        from sfumato.anonymity.partition.local_moves import fill

        units = len(counts)
        room, rooms = units + len(found.units) + more + 64, 2 * found.size + 16
        axes = len(labels.starts) - 1

        # The kernels wait for memory most of the time: the less of it, the better.
        def none(size: int) -> NDArray[np.int32]:
            return np.full(size, -1, dtype=np.int32)

        def zeros(size: int) -> NDArray[np.int32]:
            return np.zeros(size, dtype=np.int32)

        pieces = cls(
            unit=none(room),
            home=none(room),
            rows=np.zeros(room, dtype=np.int64),
            after=none(room),
            before=none(room),
            also=none(room),
            pieces=none(units),
            first=none(rooms),
            many=zeros(rooms),
            sizes=np.zeros(rooms, dtype=np.int64),
            members=none(rooms),
            levels=np.zeros((rooms, axes), dtype=np.int32),
            paid=np.zeros(rooms),
            spare=np.arange(room),
            empty=none(rooms),
            left=np.array([room, 0]),
            codes=labels.codes,
            costs=labels.costs,
            starts=labels.starts,
            near=near.units,
        )
        fill(pieces, found.units, found.classes, found.counts)
        return pieces

    @property
    def cost(self) -> float:
        """What all rows lose, in rows."""
        return float((self.paid * self.sizes).sum())

    def free(self, empty: NDArray[np.int64]) -> None:
        """Tell which classes are empty; the first is used first."""
        self.empty[: len(empty)] = empty[::-1]
        self.left[1] = len(empty)

    def taken(self) -> NDArray[np.int64]:
        """The pieces in use, by unit and then by class."""
        (used,) = np.nonzero(self.rows > 0)
        return used[np.lexsort((self.home[used], self.unit[used]))]

    def assignment(self) -> tuple[Assignment, NDArray[np.int64]]:
        """The pieces with classes numbered without gaps, and the home that each class was."""
        taken = self.taken()
        homes, classes = np.unique(self.home[taken], return_inverse=True)
        return Assignment(self.unit[taken].astype(np.int64), classes, self.rows[taken]), homes.astype(
            np.int64
        )


def take_back_failing(
    pieces: Pieces, log: NDArray[np.int64], stirred: NDArray[np.bool_], failing: NDArray[np.int64]
) -> None:
    """Moves taken back after which a class fails; a class is touched by one move, so each goes by itself.

    If one fails that no move touched (models of the whole table do so), all moves are taken back.
    """
    from sfumato.anonymity.partition.local_moves import take_back

    if not len(failing):
        return
    touching = np.isin(log[:, 2:4], failing)
    undone = np.isin(log[:, 4], log[touching.any(axis=1), 4])
    if not np.isin(failing, log[:, 2:4]).all():
        undone[:] = True
    take_back(pieces, log[undone], 0, int(undone.sum()))
    # Tried again only after another move has touched them.
    stirred[log[undone, 2:4].ravel()] = False
