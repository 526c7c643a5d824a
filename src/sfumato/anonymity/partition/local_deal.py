"""Rows dealt to classes that are spread over sensitive values nearly as the table is.

Models that compare a class with the table (t-closeness and its kin) fail for what lies near together, and
merging such classes by their labels mends that only when they are large. So classes are right from the
start, as in microaggregation with t-closeness first (Soria-Comas et al. 2015, IEEE TKDE 27(11)): a
class of given size takes of each stratum of sensitive values its quota. It may pass the quotas by some
slack, for near rows are preferred. The excess over quotas is the earth mover's distance times the size
of the class: over the values for the equal distance, summed over the levels of a tree for the
hierarchical one, and near that for the ordered one over a tree of halves. How much slack the models
bear is found by trying: the models themselves are asked, whatever they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sfumato.anonymity.holding import holding
from sfumato.anonymity.partition.local_labels import Labels
from sfumato.anonymity.partition.local_neighbours import Neighbours
from sfumato.anonymity.partition.local_pieces import Pieces, take_back_failing
from sfumato.anonymity.partition.problem import Assignment, Problem
from sfumato.classes.contingency import Sensitive
from sfumato.classes.grouping import combine

#: With more strata there are too few rows of each.
MOST_STRATA = 256

#: Units of all strata that a founder looks at, and the fewest of each.
LOOKED_AT, FEWEST_LOOKED_AT = 512, 4

#: Classes that are founded to try a slack, and the steps of slacks tried.
PROBES, STEPS = 24, 40

#: Sizes grow so from one try to the next, to the largest; none after so many that cost more.
GROWTH, LARGEST, PATIENCE = 1.3, 128, 2

#: So many of the ways that cost their probes least are dealt out in full.
FULL_DEALS = 3

#: What coarser labels are borne for a stratum of which twice its share is left.
PULL = 0.1

#: So many pairs of founders and units, or rows left over and classes, are looked at; if there are more,
#: every founder or row looks at another part of the others.
MOST_PAIRS, MOST_PAIRS_TRIED = 300_000_000, 3_000_000

#: Classes with which each class is dealt again, and the founders tried each time.
PARTNERS, FOUNDERS = 16, 8

#: Dealing again that gains less than this share of the cost is the last.
ENOUGH = 0.001

#: Classes that a row left over asks to take it.
ASKED = 32


@dataclass(frozen=True)
class Strata:
    """Sensitive values as strata: ``of`` is the stratum of each unit, ``labels`` (levels, strata) its labels.

    Labels are numbered over all levels; ``shares`` has the rows of the table under each as a share.
    """

    of: NDArray[np.int64]
    labels: NDArray[np.int64]
    shares: NDArray[np.float64]

    @classmethod
    def none(cls, units: int) -> Strata:
        """One stratum of all units, whose quota nothing passes."""
        zeros = np.zeros(units, dtype=np.int64)
        return cls(zeros, np.zeros((1, 1), dtype=np.int64), np.ones(1))

    @classmethod
    def of_levels(cls, levels: Sequence[NDArray[np.int64]], counts: NDArray[np.int64]) -> Strata | None:
        """Strata of units alike on all levels, each of which has shape (units,); None if they are many."""
        key = combine(levels)
        first, of = np.unique(key, return_index=True, return_inverse=True)[1:]
        if len(first) > MOST_STRATA:
            return None
        labels, shares, numbers = [], [], 0
        for level in levels:
            names, codes = np.unique(level, return_inverse=True)
            labels.append(codes[first] + numbers)
            shares.append(np.bincount(codes, counts) / counts.sum())
            numbers += len(names)
        return cls(of, np.stack(labels), np.concatenate(shares))


def strata(columns: Sequence[Sensitive], units: NDArray[np.int64], counts: NDArray[np.int64]) -> list[Strata]:
    """The ways to put units into strata: by values, by trees, by halves of the values' order."""
    ways: list[list[NDArray[np.int64]]] = [
        [column.codes[units] for column in columns],
        [level[column.codes[units]] for column in columns for level in _tree(column)],
        [level for column in columns for level in _halves(column, units)],
    ]
    if all(column.tree is None for column in columns):
        del ways[1]
    found = [Strata.of_levels(levels, counts) for levels in ways]
    return [way for way in found if way is not None]


def _tree(column: Sensitive) -> NDArray[np.int64]:
    """The levels of a column's tree without the one that has a label for all, or its values."""
    return np.arange(len(column.overall))[None] if column.tree is None else column.tree[:-1]


def _halves(column: Sensitive, units: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    width = len(column.overall)
    shift = max(0, (width - 1).bit_length() - MOST_STRATA.bit_length() + 1)
    yield column.codes[units] >> shift
    while (width - 1) >> (shift + 1) > 0:
        shift += 1
        yield column.codes[units] >> shift


@dataclass(frozen=True)
class _Way:
    """Strata, the size of a class and its slack; ``paid`` is what a row of a class lost when tried."""

    strata: Strata
    size: int
    slack: float
    paid: float = 0.0


@dataclass(frozen=True)
class Dealer:
    """Deals the rows of ``units``; ``labels`` and ``counts`` are theirs, classes have ``least`` rows."""

    problem: Problem
    units: NDArray[np.int64]
    counts: NDArray[np.int64]
    labels: Labels
    least: int

    def dealt(self, near: Neighbours, most: float) -> Pieces | None:
        """Classes that satisfy the models and have all rows; None if a row would lose ``most`` or more."""
        names = sorted({model.on for model in self.problem.models if model.on is not None})
        columns = [self.problem.units.sensitive[name] for name in names]
        ways = [way for kind in strata(columns, self.units, self.counts) for way in self._ways(kind, most)]
        best: tuple[Pieces, _Way] | None = None
        for way in sorted(ways, key=lambda way: way.paid)[:FULL_DEALS]:
            pieces = self._finished(self._deal(way, _scattered(len(self.units)), keep=True)[0], near)
            if pieces is not None and (best is None or pieces.cost < best[0].cost):
                best = pieces, way
        if best is None:
            return None
        pieces, way = best
        deal_again(pieces, way.strata, way.slack, self.least, self._failing)
        return pieces

    def _deal(
        self, way: _Way, order: NDArray[np.int64], keep: bool
    ) -> tuple[Assignment, NDArray[np.float64]]:
        """The classes that founders in an order make, numbered as units here are, and their costs."""
        from sfumato.anonymity.partition.local_dealing import deal

        kind, founders = way.strata, int(self.counts.sum()) // way.size if keep else len(order)
        *pieces, paid = deal(
            self.labels.codes,
            self.labels.costs,
            self.labels.starts,
            kind.of,
            self.counts,
            kind.labels,
            kind.shares * way.size,
            order,
            way.size,
            way.slack * way.size + 1e-9,
            max(FEWEST_LOOKED_AT, LOOKED_AT // kind.labels.shape[1]),
            PULL,
            keep,
            1 + founders * len(self.units) // (MOST_PAIRS if keep else MOST_PAIRS_TRIED),
        )
        return Assignment(*pieces), paid

    def _holds(self, found: Assignment) -> NDArray[np.bool_]:
        named = replace(found, units=self.units[found.units])
        return holding(self.problem.models, named.table(self.problem.units))

    def _ways(self, kind: Strata, most: float) -> Iterator[_Way]:
        """Sizes of classes with the most slack that the models bear in every class tried."""
        least, size, worse = most, max(2, self.least), 0
        while size <= min(int(self.counts.sum()) // 2, max(LARGEST, 2 * self.least)) and worse < PATIENCE:
            if self._costs_more(kind, size, most):
                break
            way = self._most_slack(kind, size, most)
            if way is not None:
                yield way
                worse = worse + 1 if way.paid >= least else 0
                least = min(least, way.paid)
            size = int(np.ceil(size * GROWTH))

    def _costs_more(self, kind: Strata, size: int, most: float) -> bool:
        """Whether classes of a size cost so much even if they need not keep to any quotas."""
        order = _scattered(len(self.units))[:PROBES]
        costs = self._deal(_Way(kind, size, len(kind.labels)), order, keep=False)[1]
        return len(costs) > 0 and float(costs.mean()) >= most

    def _most_slack(self, kind: Strata, size: int, most: float) -> _Way | None:
        """The most slack that the models bear in every class tried, if these cost less than ``most``."""
        order, best = _scattered(len(self.units))[:PROBES], None
        low, high = 0, STEPS + 1
        while low < high:
            middle = (low + high) // 2
            way = _Way(kind, size, middle / STEPS * len(kind.labels))
            found, costs = self._deal(way, order, keep=False)
            many = 2 * len(costs) > len(order)
            if many and costs.mean() >= most:
                # Less slack costs more.
                low = middle + 1
            elif self._holds(found).all():
                low, best = middle + 1, replace(way, paid=float(costs.mean())) if many else None
            else:
                high = middle
        return best

    def _finished(self, found: Assignment, near: Neighbours) -> Pieces | None:
        """The rows left over put into the classes that bear them."""
        holds = self._holds(found) if found.size else np.zeros(0, dtype=bool)
        staying = holds[found.classes]
        numbers = np.cumsum(holds) - 1
        found = Assignment(found.units[staying], numbers[found.classes[staying]], found.counts[staying])
        left = self.counts - np.bincount(found.units, found.counts, len(self.counts)).astype(np.int64)
        pieces = Pieces.of(self.labels, self.counts, near, found, int(np.minimum(left, ASKED).sum()))
        self._offer(pieces, left)
        return pieces if self._fold(pieces, left) else None

    def _failing(self, pieces: Pieces) -> NDArray[np.int64]:
        assignment, homes = pieces.assignment()
        return homes[~self._holds(assignment)]

    def _offer(self, pieces: Pieces, left: NDArray[np.int64]) -> None:
        """Single rows left over offered to the classes that they would make coarser by least."""
        from sfumato.anonymity.partition.local_dealing import offers, place

        units = np.repeat(np.arange(len(left)), np.minimum(left, ASKED))
        classes = offers(pieces, units, ASKED, 1 + len(units) * len(pieces.sizes) // MOST_PAIRS)
        waiting = np.ones(len(units), dtype=bool)
        for turn in range(ASKED):
            asking = np.flatnonzero(waiting & (classes[:, turn] >= 0))
            asking = asking[np.unique(classes[asking, turn], return_index=True)[1]]
            if not len(asking):
                continue
            homes, ones = classes[asking, turn], np.ones(len(asking), dtype=np.int64)
            place(pieces, units[asking], homes, ones)
            failing = self._failing(pieces)
            # A model of the whole table may let a class fail that nobody has joined.
            back = np.isin(homes, failing) | (not np.isin(failing, homes).all())
            place(pieces, units[asking[back]], homes[back], -ones[back])
            waiting[asking[~back]] = False
        left -= np.bincount(units[~waiting], minlength=len(left))

    def _fold(self, pieces: Pieces, left: NDArray[np.int64]) -> bool:
        """What is still left over made one class with as many others as it needs: whether that helps."""
        from sfumato.anonymity.partition.local_dealing import offers, place

        units = np.flatnonzero(left)
        if not len(units):
            return True
        home = int(np.flatnonzero(pieces.sizes == 0)[0])
        place(pieces, units, np.full(len(units), home), left[units])
        order = offers(pieces, units[:1], int((pieces.sizes > 0).sum()), 1)[0]
        order, done, step = order[order != home], 0, 1
        while len(self._failing(pieces)):
            if done == len(order):
                return False
            taken = np.flatnonzero((pieces.rows > 0) & np.isin(pieces.home, order[done : done + step]))
            moved, homes, rows = pieces.unit[taken], pieces.home[taken], pieces.rows[taken].copy()
            place(pieces, moved, homes, -rows)
            place(pieces, moved, np.full(len(moved), home), rows)
            done, step = min(done + step, len(order)), 2 * step
        return True


def deal_again(
    pieces: Pieces, kind: Strata, slack: float, least: int, failing: Callable[[Pieces], NDArray[np.int64]]
) -> None:
    """Pairs of near classes dealt again as long as that gains; none of fewer than ``least`` rows arises.

    Args:
        pieces: changed in place.
        kind: the strata of which classes take their quotas.
        slack: by how much of its size a class may pass them.
        least: rows of a class.
        failing: tells which classes do not satisfy the models; what made them fail is taken back.
    """
    from sfumato.anonymity.partition.local_dealing import LARGEST_DEALT, redeal

    classes = len(pieces.sizes)
    stirred, gained = np.ones(classes, dtype=bool), np.inf
    log = np.zeros((len(pieces.rows) + 8 * LARGEST_DEALT, 5), dtype=np.int64)
    while gained > ENOUGH * pieces.cost:
        before, locked = pieces.cost, np.zeros(classes, dtype=bool)
        order = np.argsort(-pieces.paid, kind="stable")
        _, logged = redeal(
            pieces,
            order,
            kind.of,
            kind.labels,
            kind.shares,
            slack,
            least,
            FOUNDERS,
            PARTNERS,
            locked,
            stirred,
            log,
        )
        take_back_failing(pieces, log[:logged], stirred, failing(pieces))
        gained = before - pieces.cost


def _scattered(units: int) -> NDArray[np.int64]:
    """All units in an order by chance, which is always the same."""
    return np.random.default_rng(0).permutation(units)
