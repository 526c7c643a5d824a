"""Microaggregation whose classes keep privacy models, whatever those ask of sensitive values.

Several starts, of which the best one is kept: classes that ignore the sensitive values, of several sizes,
and classes that take as many rows from each stratum of the sensitive values (Soria-Comas et al. 2015,
algorithms 1 and 3; here for any model that holds for classes together where it holds for each). Classes
that fail join near ones, those first with which they hold. Then rows of near classes change places where
that saves spread: rows of the same sensitive values freely, others if the models still hold.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sfumato.anonymity.holding import holding
from sfumato.anonymity.microaggregation.cluster import cluster, near_centres
from sfumato.anonymity.microaggregation.points import checked, loss
from sfumato.anonymity.of_people import WHOSE
from sfumato.classes.contingency import Sensitive
from sfumato.classes.grouping import combine, group
from sfumato.classes.table import ClassTable, Units
from sfumato.contracts import PrivacyModel
from sfumato.core.errors import InputError

#: From one size of classes to the next, and how many that lose more end the trying.
_GROWTH, _PATIENCE = 1.5, 2

#: Passes of the search for classes that ignore the sensitive values: they change anyway.
_ROUGH = 2

#: Rows of a part in which classes are taken out of strata, which takes the square of them.
_PART = 30_000

#: The share of classes dealt at random from strata that must hold for a number of strata to be enough.
_NEARLY_ALL = 0.95

#: Rows that trials of mergers look at in a round, as multiples of all rows.
_TRIED = 8

#: Rounds in which a class takes part in one merger only.
_ROUNDS_APART = 12

#: Rounds of the local search, those after which near classes are found anew, and the share of what is lost
#: that so many must save.
_ROUNDS, _STEADY, _WORTH = 120, 8, 0.005

#: Rows of a class beyond which rows are not tried each with each.
_LARGE = 400


@dataclass(frozen=True)
class Promise:
    """What classes of rows must keep: ``models``, and each row's value of the ``sensitive`` columns."""

    models: Sequence[PrivacyModel]
    sensitive: Mapping[str, Sensitive]

    def holds(self, classes: NDArray[np.int64], count: int) -> NDArray[np.bool_]:
        """Which of so many classes keep all models together, shape (count,)."""
        return holding(self.models, self._table(np.arange(len(classes)), classes, count))

    def holds_alone(
        self, rows: NDArray[np.int64], classes: NDArray[np.int64], count: int
    ) -> NDArray[np.bool_]:
        """Which classes of some rows keep the models that look at one class; a row may be in several."""
        alone = [model for model in self.models if not model.whole]
        return holding(alone, self._table(rows, classes, count))

    def _table(self, rows: NDArray[np.int64], classes: NDArray[np.int64], count: int) -> ClassTable:
        chosen = {name: replace(one, codes=one.codes[rows]) for name, one in self.sensitive.items()}
        return Units(np.ones(len(rows), dtype=np.int64), chosen).classes(classes, count)

    @property
    def alike(self) -> NDArray[np.int64]:
        """Rows with the same value of every sensitive column by the same number."""
        codes = [one.codes for one in self.sensitive.values()]
        return np.unique(combine(codes), return_inverse=True)[1].astype(np.int64)


def promised(
    points: NDArray[np.float64],
    k: int,
    promise: Promise,
    starts: Sequence[NDArray[np.int64]] = (),
) -> NDArray[np.int64]:
    """Classes of at least k points near each other that keep a promise.

    Args:
        points: shape (n, d), finite; without the sensitive columns.
        k: the fewest points of a class.
        promise: models that hold for classes together where they hold for each.
        starts: classes to begin with besides those found here, shape (n,) each.

    Returns:
        The class of each point, shape (n,), numbers from 0 without gaps.

    Raises:
        InputError: ``anonymity-impossible`` where not even all points together keep the promise; else as
            for :func:`~sfumato.anonymity.microaggregation.cluster.cluster`.
    """
    centred = checked(points, k)
    everybody = np.zeros(len(points), dtype=np.int64)
    if not promise.holds(everybody, 1).all():
        raise InputError(
            "anonymity-impossible",
            "the privacy models do not hold even for all rows as one class",
            where="anonymity",
            remedy="ask less of the models; the method lattice may suppress rows where the policy allows it",
        )
    best, least = everybody, 1.0
    for classes in (*_of_sizes(centred, k, promise), *_of_strata(centred, k, promise), *starts):
        merged = _merged(centred, classes, promise)
        found = _improved(centred, merged, k, promise)
        # A model of all classes together may fail for changes that it bears one by one.
        if not promise.holds(found, int(found.max()) + 1).all():
            found = merged
        lost = loss(centred, found)
        if lost < least:
            best, least = found, lost
    return best


def _of_sizes(points: NDArray[np.float64], k: int, promise: Promise) -> Iterator[NDArray[np.int64]]:
    """Classes that ignore the sensitive values, larger and larger as long as that loses less in the end."""
    size, least, worse = float(k), np.inf, 0
    best = 0
    while worse < _PATIENCE and 2 * size <= len(points):
        # Sizes are told apart without the search, which takes most of the time.
        classes = cluster(points, int(size), 0)
        lost = loss(points, _merged(points, classes, promise))
        worse = 0 if lost < least else worse + 1
        if lost < least:
            best, least = int(size), lost
        if promise.holds(classes, int(classes.max()) + 1).all():
            break
        size = max(size * _GROWTH, size + 1)
    if best:
        yield cluster(points, best, _ROUGH)


def _of_strata(points: NDArray[np.float64], k: int, promise: Promise) -> Iterator[NDArray[np.int64]]:
    """Classes that take as many rows from each stratum of each sensitive column, in its own order.

    The rows of a large table are parted first, and have strata of their own in each part.
    """
    from sfumato.anonymity.microaggregation.closeness_kernels import stratify
    from sfumato.anonymity.microaggregation.cluster_kernels import split

    for name, column in promise.sensitive.items():
        if name == WHOSE:
            continue
        order = np.lexsort(column.codes[None] if column.tree is None else column.tree[:, column.codes])
        strata = _enough(order, promise, k)
        each = -(-k // strata)
        if 2 * strata * each > len(points):
            continue
        rank = np.empty(len(order), dtype=np.int64)
        rank[order] = np.arange(len(order))
        rows, starts = split(points, max(_PART, 2 * strata * each), strata * each, 0.5)
        classes, made = np.empty(len(points), dtype=np.int64), 0
        for part in np.split(rows, starts[1:-1]):
            stratum = _strata(np.argsort(rank[part]), strata)
            classes[part] = stratify(points[part], stratum, strata, each) + made
            made = int(classes[part].max()) + 1
        yield classes


def _strata(order: NDArray[np.int64], strata: int) -> NDArray[np.int64]:
    """The stratum of each row, of so many with equally many rows."""
    found = np.empty(len(order), dtype=np.int64)
    found[order] = np.arange(len(order)) * strata // len(order)
    return found


def _enough(order: NDArray[np.int64], promise: Promise, k: int) -> int:
    """The least number of strata such that nearly all classes dealt from them hold.

    Rows are dealt in their own order, which has nothing to do with their values.
    """
    rows, strata = len(order), 2
    while strata < rows // 2:
        size = strata * -(-k // strata)
        stratum = _strata(order, strata)
        rank = np.empty(rows, dtype=np.int64)
        by_stratum = np.argsort(stratum, kind="stable")
        rank[by_stratum] = np.arange(rows) - np.searchsorted(stratum[by_stratum], stratum[by_stratum])
        count = rows // size
        if promise.holds(rank % count, count).mean() >= _NEARLY_ALL:
            break
        strata = max(strata + 1, strata * 5 // 4)
    return strata


def _merged(points: NDArray[np.float64], classes: NDArray[np.int64], promise: Promise) -> NDArray[np.int64]:
    """Classes that all hold: those that fail join near ones, round by round."""
    for turn in range(len(points)):
        classes, sizes = group(classes, np.ones(len(classes), dtype=np.int64))
        holds = promise.holds(classes, len(sizes))
        (failing,) = np.nonzero(~holds)
        if not len(failing) or len(sizes) == 1:
            break
        near = near_centres(_centres(points, classes, sizes), turn)[failing]
        centres = _centres(points, classes, sizes)
        gaps = ((centres[failing][:, None] - centres[near]) ** 2).sum(axis=2)
        # What a merger adds to the sum of squares (Ward 1963).
        costs = gaps * sizes[failing][:, None] * sizes[near] / (sizes[failing][:, None] + sizes[near])
        fits = _fitting(classes, sizes, failing, near, holds, promise)
        goals = _matched(failing, near, costs, fits, len(sizes), turn < _ROUNDS_APART)
        classes = goals[classes]
    return classes


def _centres(
    points: NDArray[np.float64], classes: NDArray[np.int64], sizes: NDArray[np.int64]
) -> NDArray[np.float64]:
    sums = [np.bincount(classes, column, len(sizes)) for column in points.T]
    return np.stack(sums, axis=1) / sizes[:, None]


def _fitting(
    classes: NDArray[np.int64],
    sizes: NDArray[np.int64],
    failing: NDArray[np.int64],
    near: NDArray[np.int64],
    holds: NDArray[np.bool_],
    promise: Promise,
) -> NDArray[np.bool_]:
    """Whether each failing class and each near one would hold together, shape as ``near``.

    Mergers that take too many rows to try are taken to hold where the near class does.
    """
    order = np.argsort(classes, kind="stable")
    starts = np.concatenate([[0], np.cumsum(sizes)])
    found = holds[near]
    for place in range(near.shape[1]):
        other = near[:, place]
        weight = sizes[failing] + sizes[other]
        cheapest = np.argsort(weight, kind="stable")
        tried = cheapest[np.cumsum(weight[cheapest]) * near.shape[1] <= _TRIED * len(classes)]
        both = np.concatenate([failing[tried], other[tried]])
        numbers = np.concatenate([np.arange(len(tried))] * 2)
        lengths = sizes[both]
        before = np.concatenate([[0], np.cumsum(lengths)])
        rows = order[np.repeat(starts[both] - before[:-1], lengths) + np.arange(before[-1])]
        together = promise.holds_alone(rows, np.repeat(numbers, lengths), len(tried))
        found[tried, place] = together
    return found


def _matched(
    failing: NDArray[np.int64],
    near: NDArray[np.int64],
    costs: NDArray[np.float64],
    fits: NDArray[np.bool_],
    count: int,
    apart: bool,
) -> NDArray[np.int64]:
    """The class that each becomes, shape (count,): mergers that hold first, the cheapest of them first.

    A class that has merged into another takes nobody; if ``apart``, one that has taken somebody takes
    nobody else either.
    """
    goals, busy, gone = np.arange(count), np.zeros(count, dtype=bool), np.zeros(count, dtype=bool)
    for at in np.lexsort((costs.ravel(), ~fits.ravel())):
        i, place = divmod(int(at), near.shape[1])
        one, other = failing[i], near[i, place]
        if one == other or gone[one] or busy[one] or gone[other] or (apart and busy[other]):
            continue
        goals[one], gone[one], busy[other] = other, True, True
    return goals


def _improved(
    points: NDArray[np.float64], classes: NDArray[np.int64], k: int, promise: Promise
) -> NDArray[np.int64]:
    """Classes after rows of near ones changed places."""
    from sfumato.anonymity.microaggregation.exchange import fill, within
    from sfumato.anonymity.microaggregation.promised_kernels import propose, swap_alike

    classes, sizes = group(classes, np.ones(len(classes), dtype=np.int64))
    if len(sizes) < 2 or int(sizes.max()) > _LARGE:
        return classes
    alike = promise.alike if promise.sensitive else np.zeros(len(classes), dtype=np.int64)
    banned = np.zeros(len(classes), dtype=bool)
    # When each class changed last, and at the end the time.
    changed = np.zeros(len(sizes) + 1, dtype=np.int64)
    near = near_centres(_centres(points, classes, sizes), 0)
    alike_at = np.full(near.shape, -1)
    room = 2 * max(int(sizes.max()), k)
    least = 1e-12 * float((points**2).sum()) / len(points)
    left = np.inf
    for turn in range(_ROUNDS):
        laid = fill(points, classes, len(sizes), room)
        if turn % _STEADY == 0:
            before, left = left, within(laid)
            if left > (1 - _WORTH) * before:
                break
            last, near = near, near_centres(laid.centres, turn // _STEADY)
            alike_at, other_at = _carried(last, alike_at, near), np.full(near.shape, -1)
            banned[:] = False
        swap_alike(laid, near, alike, least, changed, alike_at)
        classes = laid.classes
        pairs = propose(laid, near, alike, banned, k, least, changed, other_at)
        if len(pairs):
            kept = _kept(classes, pairs, banned, len(sizes), promise)
            (moved,) = np.nonzero(kept != classes)
            changed[-1] += 1
            changed[classes[moved]] = changed[kept[moved]] = changed[-1]
            classes = kept
    return classes


def _carried(
    last: NDArray[np.int64], looked: NDArray[np.int64], near: NDArray[np.int64]
) -> NDArray[np.int64]:
    """What is known of each class and those that were near it, for those near it now."""
    found = np.full(near.shape, -1)
    for place in range(last.shape[1]):
        found = np.where(near == last[:, place, None], looked[:, place, None], found)
    return found


def _kept(
    classes: NDArray[np.int64],
    pairs: NDArray[np.int64],
    banned: NDArray[np.bool_],
    count: int,
    promise: Promise,
) -> NDArray[np.int64]:
    """Classes after the changes that leave both of their classes holding.

    The rows of the others are banned from changes that have to be asked for.
    """
    tried = _changed(classes, pairs)
    holds = promise.holds(tried, count)
    fine = holds[pairs[:, 2]] & holds[pairs[:, 3]]
    refused = pairs[~fine, :2].ravel()
    banned[refused[refused >= 0]] = True
    return _changed(classes, pairs[fine])


def _changed(classes: NDArray[np.int64], pairs: NDArray[np.int64]) -> NDArray[np.int64]:
    found = classes.copy()
    found[pairs[:, 0]] = pairs[:, 3]
    swapped = pairs[pairs[:, 1] >= 0]
    found[swapped[:, 1]] = swapped[:, 2]
    return found
