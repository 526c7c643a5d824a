"""Optimal full-domain generalization: one level a column, the best node of the lattice.

The search is best-first on a lower bound. Without suppression a node's score follows from its levels
alone (no grouping needed), and suppression can only add to it; so nodes are checked in the order of
that bound, and the first bound that reaches the best score found proves it optimal. Since merging
classes never makes a class smaller, a node that must suppress too many rows rules out every node
below it (Samarati 2001). To rule out much at once, the search climbs from such a node towards the
top by bisection and takes the highest node of that path that still fails (after Flash, Kohlmayer et
al. 2012).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from sfumato.anonymity.holding import holding
from sfumato.anonymity.measures.loss import granularity, raw_loss
from sfumato.classes.grouping import LARGEST_KEY, combine, group, group_sums
from sfumato.classes.table import ClassTable, Units
from sfumato.contracts import Measure, PrivacyModel
from sfumato.core.errors import InputError
from sfumato.hierarchies.ladder import Ladder

#: Beyond this many nodes the optimal search refuses, for it lists all of them.
LARGEST_LATTICE = 5_000_000

#: Nodes whose bounds are worked out at a time.
_CHUNK = 262_144


@dataclass(frozen=True)
class Problem:
    """What the search works on: distinct tuples as positions in each ladder's values.

    ``positions`` has shape (columns, units); ``models`` must hold for every class that stays, and at
    most ``limit`` rows may go.
    """

    ladders: Sequence[Ladder]
    positions: NDArray[np.int64]
    units: Units
    models: Sequence[PrivacyModel]
    limit: int
    measure: Callable[[NDArray[np.float64]], Measure]


@dataclass(frozen=True)
class Solution:
    """A node with everything said of it; ``kept`` says which tuples stay, shape (tuples,)."""

    levels: tuple[int, ...]
    kept: NDArray[np.bool_]
    classes: int
    smallest_class: int
    suppressed: int
    score: float
    raw_loss: float
    granularity: float
    lattice: int
    checked: int


class Progress(Protocol):
    """Told how many nodes are settled, of how many."""

    def __call__(self, done: int, total: int) -> None: ...


def search(problem: Problem, progress: Progress | None = None) -> Solution:
    """The node with the least score among those that satisfy the models within the limit.

    Of nodes with equal scores the one with the lower bound wins, then the one with fewer levels in all,
    then the lexicographically smaller one.

    Raises:
        InputError: ``search-too-large`` or ``anonymity-impossible``.
    """
    heights = tuple(ladder.height for ladder in problem.ladders)
    lattice = prod(heights)
    if lattice > LARGEST_LATTICE:
        raise InputError(
            "search-too-large",
            f"the lattice has {lattice:.3g} nodes; the optimal search lists at most {LARGEST_LATTICE:.0e}",
            remedy="drop quasi-identifiers that the model does not need, or give them fewer levels",
        )
    sizes = np.array([ladder.size for ladder in problem.ladders], dtype=np.float64)
    measure = problem.measure(sizes)
    grid = _Grid.of(problem, heights)
    bounds, order = grid.by_bound(measure)

    impossible = np.zeros(heights, dtype=bool)
    monotone = all(model.absorbing or (model.monotone and problem.limit == 0) for model in problem.models)
    best: tuple[float, int] | None = None
    checked = 0
    for settled, number in enumerate(order):
        if best is not None and bounds[number] >= best[0]:
            break
        node = grid.node(int(number))
        if impossible[node]:
            continue
        checked += 1
        if progress is not None and checked % 64 == 0:
            progress(settled, lattice)
        classes = grid.classes(node)
        if classes.suppressed > problem.limit:
            if monotone:
                highest, climbed = _highest_impossible(grid, node)
                impossible[tuple(slice(0, level + 1) for level in highest)] = True
                checked += climbed
            continue
        score = float(measure.score(grid.shares(node, classes)))
        if best is None or score < best[0]:
            best = (score, int(number))
    if best is None:
        raise InputError(
            "anonymity-impossible",
            "no node of the lattice satisfies the privacy models within the suppression allowed",
            where="anonymity",
            remedy="allow more suppression, lower k, or give every hierarchy a top level that covers all",
        )
    return grid.solution(grid.node(best[1]), sizes, measure, checked)


def _highest_impossible(grid: _Grid, node: tuple[int, ...]) -> tuple[tuple[int, ...], int]:
    """The last node on a path from an impossible one to the top that is still so, and the checks it took."""
    path = grid.path_up(node)
    low, high, checks = 0, len(path) - 1, 0
    while low < high:
        middle = (low + high + 1) // 2
        checks += 1
        if grid.classes(path[middle]).suppressed > grid.problem.limit:
            low = middle
        else:
            high = middle - 1
    return path[low], checks


@dataclass(frozen=True)
class _Classes:
    """The classes of a node: ``numbers`` of each tuple's class, ``sizes`` in rows, which of them hold."""

    numbers: NDArray[np.int64]
    sizes: NDArray[np.int64]
    holds: NDArray[np.bool_]

    @property
    def suppressed(self) -> int:
        """The rows of the classes that do not hold."""
        return int(self.sizes[~self.holds].sum())

    @property
    def kept(self) -> NDArray[np.bool_]:
        """Which tuples stay."""
        return self.holds[self.numbers]


@dataclass(frozen=True)
class _Grid:
    """The lattice over a problem, with what each column contributes worked out once.

    ``codes`` and ``shares_by_tuple`` have an array for each column and level. ``keys`` has the codes of
    all columns and levels as rows, each times its column's radix, so that a node's rows add up to one
    key for each tuple; None where such keys would overflow. ``starts`` has each column's first row.
    """

    problem: Problem
    heights: tuple[int, ...]
    codes: tuple[tuple[NDArray[np.int64], ...], ...]
    shares_by_tuple: tuple[tuple[NDArray[np.float64], ...], ...]
    keys: NDArray[np.int64] | None
    starts: NDArray[np.int64]

    @classmethod
    def of(cls, problem: Problem, heights: tuple[int, ...]) -> _Grid:
        pairs = list(zip(problem.ladders, problem.positions, strict=True))
        codes = tuple(tuple(_dense(level[at]) for level in ladder.codes) for ladder, at in pairs)
        shares = tuple(tuple(level[at] for level in ladder.shares) for ladder, at in pairs)
        starts = np.concatenate([[0], np.cumsum(heights)[:-1]]).astype(np.int64)
        return cls(problem, heights, codes, shares, _keys(codes), starts)

    def node(self, number: int) -> tuple[int, ...]:
        return tuple(int(level) for level in np.unravel_index(number, self.heights))

    def by_bound(self, measure: Measure) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Every node's score with nothing suppressed, and the nodes by it; ties by levels, then number."""
        rows = max(1, int(self.problem.units.counts.sum()))
        means = [
            np.array([_weighted(self.problem.units.counts, share) / rows for share in column])
            for column in self.shares_by_tuple
        ]
        lattice = prod(self.heights)
        bounds, totals = np.empty(lattice), np.empty(lattice, dtype=np.int16)
        for start in range(0, lattice, _CHUNK):
            chunk = np.arange(start, min(start + _CHUNK, lattice))
            levels = np.unravel_index(chunk, self.heights)
            shares = np.stack([mean[level] for mean, level in zip(means, levels, strict=True)], axis=-1)
            bounds[chunk] = measure.score(shares)
            totals[chunk] = sum(levels)
        # The sort is stable, so equal ones stay in the order of their numbers.
        return bounds, np.lexsort((totals, bounds))

    def classes(self, node: tuple[int, ...]) -> _Classes:
        """The classes that a node makes."""
        if self.keys is not None:
            numbers, sizes = group_sums(self.keys, self.starts + np.array(node), self.problem.units.counts)
        else:
            key = combine([column[level] for column, level in zip(self.codes, node, strict=True)])
            numbers, sizes = group(key, self.problem.units.counts)
        units = self.problem.units
        table = units.classes(numbers, len(sizes)) if units.sensitive else ClassTable(sizes)
        return _Classes(numbers, sizes, holding(self.problem.models, table))

    def path_up(self, node: tuple[int, ...]) -> list[tuple[int, ...]]:
        """Nodes from this one to the top, each one level above the last, evenly over the columns."""
        path, current = [node], list(node)
        while True:
            left = [
                (height - 1 - level) / height for height, level in zip(self.heights, current, strict=True)
            ]
            if max(left) == 0:
                return path
            current[left.index(max(left))] += 1
            path.append(tuple(current))

    def shares(self, node: tuple[int, ...], classes: _Classes) -> NDArray[np.float64]:
        """Mean shares of a node, suppressed cells counted as 1, shape (columns,)."""
        rows = max(1, int(self.problem.units.counts.sum()))
        staying = np.where(classes.kept, self.problem.units.counts, 0)
        gone = classes.suppressed / rows
        return np.array(
            [
                _weighted(staying, column[level]) / rows + gone
                for column, level in zip(self.shares_by_tuple, node, strict=True)
            ]
        )

    def solution(
        self, node: tuple[int, ...], sizes: NDArray[np.float64], measure: Measure, checked: int
    ) -> Solution:
        classes = self.classes(node)
        staying = classes.sizes[classes.holds]
        shares = self.shares(node, classes)
        return Solution(
            levels=node,
            kept=classes.kept,
            classes=len(staying),
            smallest_class=int(staying.min()) if len(staying) else 0,
            suppressed=classes.suppressed,
            score=float(measure.score(shares)),
            raw_loss=raw_loss(shares),
            granularity=granularity(shares, sizes),
            lattice=prod(self.heights),
            checked=checked,
        )


def _weighted(counts: NDArray[np.int64], shares: NDArray[np.float64]) -> float:
    """The sum of shares over rows; NumPy's own sum, for a threaded dot product's depends on the machine."""
    return float((counts * shares).sum())


def _dense(codes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Codes renumbered from 0 among those that occur, which keeps combined keys small."""
    return np.unique(codes, return_inverse=True)[1].astype(np.int64)


def _keys(codes: tuple[tuple[NDArray[np.int64], ...], ...]) -> NDArray[np.int64] | None:
    """The rows of :attr:`_Grid.keys`; every level of a column has the radix of its finest."""
    radix, rows = 1, []
    for column in codes:
        rows += [level * radix for level in column]
        radix *= max(int(level.max(initial=0)) for level in column) + 1
        if radix >= LARGEST_KEY:
            return None
    return np.stack(rows)
