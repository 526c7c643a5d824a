"""Local recoding with the labels of given hierarchies: every class has labels of its own.

Three phases. Units near to each other are found (:mod:`local_neighbours`) and gathered into classes,
those first that are hardest to place (:mod:`local_gather`); classes that do not satisfy the models are
gathered again, as units, until all do. Where a model asks how a class is spread over sensitive values,
rows are dealt to classes by quotas instead, if that is finer (:mod:`local_deal`); where only the number of
rows counts and units are many, classes are built by the prices of rows (:mod:`local_boxes`).
Then rows move between classes as long as labels become finer by it and the models still hold
(:mod:`local_moves`). Where only the number of rows counts, classes are stirred by chance
(:mod:`local_anneal`) or, if prices built them, built again near each other (:mod:`local_rebuild`), and
improved again, as iterated local search does (Lourenço, Martin & Stützle 2003), the oftener the more labels
a row has to choose from.
Work is near-linear in distinct tuples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import count
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sfumato.anonymity.holding import holding
from sfumato.anonymity.lattice import Progress
from sfumato.anonymity.partition.local_boxes import Boxes
from sfumato.anonymity.partition.local_deal import Dealer, Strata, deal_again
from sfumato.anonymity.partition.local_gather import gather
from sfumato.anonymity.partition.local_labels import Labels
from sfumato.anonymity.partition.local_neighbours import Neighbours, neighbours
from sfumato.anonymity.partition.local_pieces import Pieces, take_back_failing
from sfumato.anonymity.partition.problem import Assignment, Problem
from sfumato.classes.table import ClassTable
from sfumato.contracts import PrivacyModel
from sfumato.core.errors import InputError

if TYPE_CHECKING:
    from sfumato.anonymity.partition.local_anneal import Spans

#: Bounds of how many neighbours are looked at, and how many places away they are looked for.
FEWEST_NEAREST, MOST_NEAREST, WINDOW = 12, 32, 12

#: Classes are tried so often at most.
MOST_SWEEPS = 30

#: After a sweep that gains less than this share of the cost, classes are founded.
RARE = 0.02

#: Units found classes if they pay more than so many times the distance of their nearest rows; where
#: classes are dealt again all do that pay more than that distance.
OVERPAID = 1.2

#: Classes are stirred once for so many combinations of levels, and so often at most.
NODES_A_ROUND, MOST_ROUNDS = 4096, 4

#: If rows lose no more than this of their detail, classes are not stirred.
NEGLIGIBLE = 0.001

#: So many units are few: their classes are stirred as often as any.
FEW_UNITS = 2048

#: Moves tried for each unit when classes are stirred.
TURNS = 5

#: More units than this are many: their classes are built by prices, and built again so often at most, round
#: one unit of so many each time.
MANY_UNITS, MOST_REBUILT, BUILT_AGAIN = 1 << 15, 3, 4

#: A quick search, for many units with few combinations of levels: the neighbours looked at, how many
#: places away, how often classes are tried, and what units overpay that found some.
QUICK_NEAREST, QUICK_WINDOW, QUICK_SWEEPS, QUICK_OVERPAID = 10, 4, 3, 2.0

#: Founding that gains less than this share of the cost is the last.
ENOUGH = 0.005

#: A thorough round that gains less than this share of the cost is the last.
LEAST_ROUND = 0.0002

#: Entries that the log of moves has beyond one for each piece.
MOST_LOGGED = 8192


def local_recoding(
    problem: Problem,
    *,
    nearest: int | None = None,
    window: int | None = None,
    sweeps: int | None = None,
    thorough: bool = False,
    progress: Progress | None = None,
) -> Assignment:
    """Rows in classes with labels as fine as can be found.

    Args:
        problem: all of its axes keep to the labels of their ladders.
        nearest: how many neighbours of a unit are looked at; as many as there are pairs of axes on which
            they may differ, within bounds, if it is None, and fewer in a quick search.
        window: how many places away neighbours are looked for, in each of several orders.
        sweeps: how often at most all classes are tried for improvement, before and after they are stirred;
            until it gains little if it is None, or less often in a quick search.
        thorough: take several times as long for a little more: classes are stirred (or pairs of them dealt
            again, where models ask more than a number of rows) and improved until that gains nearly nothing.
        progress: told how many sweeps are done.

    Returns:
        Classes that all satisfy the models. All rows are kept, unless no such classes are found; then at
        most ``problem.limit`` are left out.

    Raises:
        InputError: ``anonymity-impossible``; ``usage`` for an axis that is free.
    """
    if any(axis.free for axis in problem.axes):
        raise InputError(
            "usage", "local recoding keeps to the labels of hierarchies; an axis is free of them"
        )
    search = _Search.of(problem, nearest, window, thorough)
    if search.rows == 0:
        return Assignment(*(np.zeros(0, dtype=np.int64) for _ in range(3)))
    if sweeps is None:
        sweeps = QUICK_SWEEPS if search.quick else MOST_SWEEPS
    near = search.neighbours(search.labels)
    boxes = search.boxes(near)
    pieces = search.begun(near, boxes)
    stirred = np.ones(len(pieces.sizes), dtype=bool)
    search.improve(pieces, near, stirred, sweeps, search.overpaid, progress)
    finest, cost, gained = pieces.assignment()[0], pieces.cost, np.inf
    for done in count(1):
        enough = done > search.rounds or cost <= NEGLIGIBLE * search.rows
        if enough and not (thorough and gained > LEAST_ROUND * cost):
            break
        overpaid = search.stir(pieces, boxes, stirred, done)
        search.improve(pieces, near, stirred, sweeps, overpaid, progress)
        gained = cost - pieces.cost
        if gained > 0:
            finest, cost = pieces.assignment()[0], pieces.cost
    return search.named(finest)


def least_size(models: Sequence[PrivacyModel], rows: int) -> int:
    """The fewest people that a class must have by the models that only count them, at most ``rows`` + 1."""
    counting = [model for model in models if _counts(model)]
    low, high = 1, rows + 1
    while low < high:
        middle = (low + high) // 2
        table = ClassTable(np.array([middle], dtype=np.int64))
        if all(model.holds(table).all() for model in counting):
            high = middle
        else:
            low = middle + 1
    return low


def _counts(model: PrivacyModel) -> bool:
    """Whether a class's number of people alone decides, and more never hurt."""
    return model.on is None and model.absorbing and not model.whole and not model.counts_population


@dataclass(frozen=True)
class _Search:
    """A problem without its units of nobody: ``units`` are the others' numbers, ``counts`` their rows.

    Classes have at least ``least`` rows; ``counted`` says that this is all that the models ask.
    """

    problem: Problem
    units: NDArray[np.int64]
    counts: NDArray[np.int64]
    labels: Labels
    least: int
    counted: bool
    nearest: int
    window: int
    quick: bool

    @classmethod
    def of(cls, problem: Problem, nearest: int | None, window: int | None, thorough: bool) -> _Search:
        (units,) = np.nonzero(problem.units.counts > 0)
        counts = problem.units.counts[units]
        least = least_size(problem.models, int(counts.sum()))
        counted = all(_counts(model) for model in problem.models)
        labels = Labels.of(problem, units)
        axes = len(labels.starts) - 1
        quick = counted and not thorough and len(units) > FEW_UNITS and labels.nodes < NODES_A_ROUND
        if nearest is None:
            nearest = min(max(FEWEST_NEAREST, axes * (axes - 1) // 2), MOST_NEAREST)
            nearest = QUICK_NEAREST if quick else nearest
        if window is None:
            window = QUICK_WINDOW if quick else WINDOW
        return cls(problem, units, counts, labels, least, counted, nearest, window, quick)

    @property
    def overpaid(self) -> float:
        return QUICK_OVERPAID if self.quick else OVERPAID

    @cached_property
    def spans(self) -> Spans | None:
        """For stirring by chance; None if it is not done."""
        from sfumato.anonymity.partition.local_anneal import Spans

        return Spans.of(self.labels) if self.counted else None

    @property
    def rounds(self) -> int:
        """How often classes are stirred."""
        if self.quick or self.spans is None:
            return 0
        if len(self.units) <= FEW_UNITS:
            return MOST_ROUNDS
        most = MOST_REBUILT if len(self.units) > MANY_UNITS else MOST_ROUNDS
        return min(most, self.labels.nodes // NODES_A_ROUND)

    @property
    def may_found(self) -> bool:
        """What founds a class of so many rows may touch too much for the log."""
        return (self.least + 2) ** 2 <= MOST_LOGGED

    @property
    def rows(self) -> int:
        return int(self.counts.sum())

    def neighbours(self, labels: Labels) -> Neighbours:
        return neighbours(labels, min(self.nearest, max(1, len(labels.codes) - 1)), self.window)

    def holds(self, classes: NDArray[np.int64], sizes: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which classes of whole units satisfy the models."""
        if self.counted:
            return sizes >= self.least
        return holding(
            self.problem.models, Assignment(self.units, classes, self.counts).table(self.problem.units)
        )

    def boxes(self, near: Neighbours) -> Boxes | None:
        """What classes may be; None if they are not built by prices."""
        if self.quick or not self.counted or not self.may_found or len(self.units) <= MANY_UNITS:
            return None
        expected = (near.prices(self.counts, self.least) * self.counts).sum()
        if expected <= NEGLIGIBLE * self.rows:
            return None
        return Boxes.of(self.labels, self.counts, near, self.least)

    def begun(self, near: Neighbours, boxes: Boxes | None) -> Pieces:
        """The classes to begin with: built by prices, gathered, or dealt where that costs less."""
        if boxes is not None:
            from sfumato.anonymity.partition.local_rebuild import covered

            built = covered(boxes, self.labels, self.counts, near, self.least)
            if built is not None:
                return built
        gathered = Pieces.of(self.labels, self.counts, near, self.gathered(near))
        if all(model.on is None or model.absorbing for model in self.problem.models):
            return gathered
        lost = gathered.cost + int(self.counts.sum() - gathered.sizes.sum())
        dealer = Dealer(self.problem, self.units, self.counts, self.labels, self.least)
        dealt = dealer.dealt(near, lost / self.rows)
        return dealt if dealt is not None and dealt.cost < lost else gathered

    def gathered(self, near: Neighbours) -> Assignment:
        """Whole units in classes; those that fail are gathered again as units."""
        labels, classes, sizes = self.labels, np.arange(len(self.counts)), self.counts
        holds = np.zeros(len(classes), dtype=bool)
        aim, company, fewest, best = self.least, 0, self.rows + 1, classes
        while True:
            reach = int(np.median(near.reach(sizes)[~holds])) // 2
            found = gather(labels, sizes, near, max(2, min(aim, reach)), holds, company)
            classes, labels = found.classes[classes], labels.coarse(found.members, found.levels)
            sizes = np.bincount(classes, self.counts).astype(np.int64)
            holds = self.holds(classes, sizes)
            failing = int(sizes[~holds].sum())
            if failing < fewest:
                fewest, best = failing, np.where(holds[classes], classes, -1)
            if failing == 0 or len(sizes) == 1:
                break
            aim, company = max(self.least, 2 * int(np.median(sizes[~holds]))), 1
            near = self.neighbours(labels)
        if fewest > self.problem.limit:
            raise InputError(
                "anonymity-impossible",
                "no classes were found that satisfy the privacy models within the suppression allowed",
                where="anonymity",
                remedy="allow more suppression or ask less of the models",
            )
        return Assignment.whole(best, self.counts)

    def stir(self, pieces: Pieces, boxes: Boxes | None, stirred: NDArray[np.bool_], seed: int) -> float:
        """Classes built again, stirred by chance or dealt again; what units overpay that found some then."""
        if boxes is not None:
            from sfumato.anonymity.partition.local_rebuild import rebuild_some

            thrifty = boxes.thrifty(self.counts, self.least)
            rebuild_some(pieces, thrifty, self.least, len(self.counts) // BUILT_AGAIN, seed, stirred)
            return self.overpaid
        if self.spans is not None:
            from sfumato.anonymity.partition.local_anneal import anneal

            anneal(pieces, self.spans, self.least, TURNS * len(self.counts), seed, stirred)
            return self.overpaid
        deal_again(pieces, Strata.none(len(self.counts)), 0.0, self.least, self.failing)
        stirred[:] = True
        return 1.0

    def improve(
        self,
        pieces: Pieces,
        near: Neighbours,
        stirred: NDArray[np.bool_],
        sweeps: int,
        overpaid: float,
        progress: Progress | None,
    ) -> None:
        """Rows moved from ``stirred`` classes; units found some that pay ``overpaid`` times their price."""
        from sfumato.anonymity.partition.local_found import found_all
        from sfumato.anonymity.partition.local_moves import sweep

        homes = np.arange(len(pieces.sizes))
        locked = np.zeros(len(homes), dtype=bool)
        log = np.zeros((len(pieces.rows) + MOST_LOGGED, 5), dtype=np.int64)
        prices = overpaid * near.prices(self.counts, self.least)
        founding, known = False, np.full(len(homes), -1.0)
        for done in range(sweeps):
            pieces.free(np.nonzero(pieces.sizes == 0)[0])
            before = pieces.cost
            if founding:
                _, logged = found_all(
                    pieces, prices, known, self.least, locked, not self.counted, stirred, log
                )
                known = pieces.paid.copy()
            else:
                _, logged = sweep(pieces, homes, self.least, locked, not self.counted, stirred, log)
            if not self.counted:
                take_back_failing(pieces, log[:logged], stirred, self.failing(pieces))
                locked[:] = False
            if progress is not None:
                progress(done + 1, sweeps)
            rare = before - pieces.cost <= (ENOUGH if founding else RARE) * before
            if rare and (founding or not self.may_found):
                break
            founding = rare

    def named(self, found: Assignment) -> Assignment:
        """Pieces of units as the problem numbers them."""
        return replace(found, units=self.units[found.units])

    def failing(self, pieces: Pieces) -> NDArray[np.int64]:
        """The classes of pieces that do not satisfy the models."""
        found, homes = pieces.assignment()
        table = self.named(found).table(self.problem.units)
        failing: NDArray[np.int64] = homes[~holding(self.problem.models, table)]
        return failing
