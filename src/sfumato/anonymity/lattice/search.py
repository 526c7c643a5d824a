"""The lattice search: branch and bound over boxes of nodes.

A box is all nodes between a finest and a coarsest one. Its coarsest node is checked: classes that fail
there a model that their parts fail too (all that count people) are suppressed by every node of the
box, and if these are more rows than may go, no node of it is possible (after Samarati 2001). Otherwise
they bound the box from below: its nodes score at least what its finest levels cost with those rows
suppressed. The box of the least bound is split in two at the top level of one column: the part that
has the column at that level keeps the coarsest node, so its bound rises without any check; the other
part needs one. When the least bound reaches the best score found, that is the optimum. Measures that
look at classes bound a box by those of its finest node too.

The boxes always cover all nodes that may still be better, so a search that stops early has a bound.
"""

from __future__ import annotations

import heapq
import math
from dataclasses import dataclass
from math import prod
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sfumato.anonymity.lattice import anytime
from sfumato.anonymity.lattice.grid import Checked, Node, moved
from sfumato.anonymity.lattice.people import grid_of
from sfumato.anonymity.lattice.problem import Problem, Progress, Solution
from sfumato.anonymity.measures.columns import Classes
from sfumato.anonymity.measures.loss import granularity, raw_loss, shares
from sfumato.core.errors import InputError

#: Up to so many nodes the search goes on until the optimum is proved.
EXHAUSTIVE = 5_000_000

#: Nodes that are checked in a larger lattice.
CHECKS = 6_000

#: Where rows alone tell such a share of what suppression costs by value, values are not counted.
_TELLS = 0.75


@dataclass(frozen=True)
class View:
    """What a checked node tells of all finer ones: the least cost of each column's levels.

    All of them suppress so many ``rows`` at least, among them those that are ``gone``, by value and as
    ``units``, packed; these are there if the measure looks at classes.
    """

    costs: list[list[float]]
    rows: int
    gone: NDArray[np.float64] | None = None
    units: NDArray[np.uint8] | None = None


class Box(NamedTuple):
    """Nodes from ``low`` to ``high``; the order is that of the bound, then of the finest node.

    No two boxes of a search have the same finest node.
    """

    bound: float
    levels: int
    low: Node
    high: Node
    view: View
    #: Has the finest node been looked at, for the bound, for being the best?
    tight: bool = False
    tried: bool = False


def search(problem: Problem, progress: Progress | None = None, checks: int = CHECKS) -> Solution:
    """The node with the least score among those that satisfy the models within the limit.

    Of nodes with equal scores (to 12 digits) the one with fewer levels in all wins, then the
    lexicographically smaller one. A lattice of more than :data:`EXHAUSTIVE` nodes that differ is searched
    with at most ``checks`` of them checked; the solution says whether it is proved to be the optimum, and
    the bound that is.

    Raises:
        InputError: ``anonymity-impossible``, or ``search-too-large`` if nothing was found in a lattice
            too large to rule it out.
    """
    found = Search(problem, progress)
    if found.grid.size > EXHAUSTIVE:
        found.checks = checks
    found.run()
    if found.best is None:
        raise _nothing(found)
    return found.solution()


def _nothing(found: Search) -> InputError:
    if found.boxes:
        return InputError(
            "search-too-large",
            f"none of {found.checked:,} nodes checked satisfies the privacy models within the suppression "
            f"allowed; the lattice has {found.grid.size:.3g}",
            where="anonymity",
            remedy="allow more suppression, drop quasi-identifiers that the model does not need, or give "
            "every hierarchy a top level that covers all",
        )
    return InputError(
        "anonymity-impossible",
        "no node of the lattice satisfies the privacy models within the suppression allowed",
        where="anonymity",
        remedy="allow more suppression, lower k, or give every hierarchy a top level that covers all",
    )


class Search:
    """A search under way: the best node so far, and the boxes that may have a better one."""

    def __init__(self, problem: Problem, progress: Progress | None = None) -> None:
        self.grid = grid_of(problem)
        self.measure = problem.measure(self.grid.columns)
        # What classes of rows cost at least says little of those of people.
        self._nested = self.measure.nested and problem.subjects is None
        self.best: tuple[float, int, Node] | None = None
        self.boxes: list[Box] = []
        self.checks: int | None = None
        self.checked = 0
        self._progress = progress
        self._settled = 0
        columns = self.grid.columns
        self._nobody = np.zeros(len(columns.people))
        covered = columns.sums(columns.leaves, columns.people) / columns.sizes[columns.owners]
        firsts = columns.firsts.tolist()
        self._places = [
            [first + level for level in kept] for first, kept in zip(firsts, self.grid.levels, strict=True)
        ]
        self._covered = self._by_column(covered)
        self._untouched = self.measure.costs(self._nobody)
        told = self._told_by_rows()
        self._by_rows = told >= _TELLS and not self._nested
        self._by_levels = told == 0

    def _told_by_rows(self) -> float:
        """The share of what suppression costs by value that the number of rows tells, which is at hand."""
        columns = self.grid.columns
        by_rows = float((self.measure.costs(self._nobody, columns.rows) - self._untouched).sum())
        by_value = float((self.measure.costs(columns.people) - self._untouched).sum())
        return by_rows / by_value if by_value > 0 else 0.0

    def run(self) -> None:
        """Split boxes until none may have a better node, or the checks are spent."""
        view = self.visit(self.grid.top)
        if view is not None:
            bound = 0.0 if self.checks is None else self._prepare(self.checks)
            if bound is not None:
                self._push(self.grid.bottom, self.grid.top, view, bound)
        while self.boxes and not self._spent():
            box = heapq.heappop(self.boxes)
            if not self._open(box):
                self.boxes.clear()
            elif box.low == box.high:
                self._settle(box.low, box.high)
            elif self._nested and not box.tight:
                self._tighten(box)
            elif self.best is not None and box.bound == self.best[0] and not box.tried:
                self._try_finest(box)
            else:
                self._split(box)

    def _prepare(self, checks: int) -> float | None:
        """Find a good node of a large lattice, and a bound of all; None if no node is possible."""
        scores: dict[Node, float] = {}
        most = self.checked + checks // 2

        def rate(node: Node) -> float:
            if node not in scores:
                scores[node] = self._rate(node)[1] if self.checked < most else math.inf
            return scores[node]

        anytime.descend(self.grid.top, rate, lambda: self.checked >= most)
        if self.best is not None:
            anytime.improve(self.best[2], self.grid.top, rate, lambda: self.checked >= most)
        columns = self.grid.columns
        parts = anytime.groups(self.grid.top, columns.widths[columns.firsts].tolist())
        each = checks // (4 * len(parts))
        found = [anytime.least_cost(part, self.grid.top, self.visit, each) for part in parts]
        costs = [cost for cost in found if cost is not None]
        return _rounded(self.measure.total(sum(costs), 0)) if len(costs) == len(found) else None

    def visit(self, node: Node) -> View | None:
        """Check a node and remember it if it is the best; None if no finer node is possible."""
        checked, _ = self._rate(node)
        return None if checked.hopeless else self._view(checked)

    def _rate(self, node: Node) -> tuple[Checked, float]:
        """Check a node, with its score if it is possible, else infinity."""
        self.checked += 1
        if self._progress is not None and self.checked % 64 == 0:
            self._tell(self._progress)
        checked = self.grid.check(node)
        if checked.suppressed > self.grid.problem.limit or not self._promising(node, checked):
            return checked, math.inf
        allowed = self.grid.problem.allowed
        if allowed is not None and not allowed(checked.stays[checked.numbers]):
            return checked, math.inf
        score = self.measure.score(self.grid.classes(node, checked))
        named = self.grid.named(node)
        found = (_rounded(score), sum(named), node)
        if self.best is None or found < self.best:
            self.best = found
        return checked, score

    def _tell(self, progress: Progress) -> None:
        if self.checks is None:
            progress(self._settled, self.grid.size)
        else:
            progress(min(self.checked, self.checks), self.checks)

    def _spent(self) -> bool:
        return self.checks is not None and self.checked >= self.checks

    def _promising(self, node: Node, checked: Checked) -> bool:
        """May a node be the best, by how many rows it suppresses? Which ones takes longer to say."""
        if self.best is None or self.checks is not None:
            return True
        costs = self._untouched
        if not self._by_levels:
            costs = self.measure.costs(self._nobody, checked.suppressed)
        cost = float(costs[self.grid.columns.firsts + self.grid.named(node)].sum())
        return _rounded(self.measure.total(cost, checked.suppressed)) <= self.best[0]

    def _view(self, checked: Checked) -> View:
        if self._by_rows and self.checks is None:
            return View(self._by_column(self.measure.costs(self._nobody, checked.least)), checked.least)
        gone = self.grid.gone(checked, checked.open)
        closed = int(checked.sizes[~checked.open].sum())
        rows = max(closed, checked.least)
        costs = self._by_column(self.measure.costs(gone, rows - closed))
        if not self._nested:
            return View(costs, rows)
        return View(costs, rows, gone, np.packbits(~checked.open[checked.numbers]))

    def _by_column(self, levels: NDArray[np.float64]) -> list[list[float]]:
        found = levels.tolist()
        return [[found[at] for at in kept] for kept in self._places]

    def _bound(self, low: Node, high: Node, view: View) -> float:
        cost = 0.0
        for costs, first, last in zip(view.costs, low, high, strict=True):
            cost += costs[first] if first == last else min(costs[first : last + 1])
        return self.measure.total(cost, view.rows)

    def _open(self, box: Box) -> bool:
        """May the box have a node that comes before the best?"""
        return self.best is None or (box.bound, box.levels, box.low) < self.best

    def _push(self, low: Node, high: Node, view: View, bound: float = 0.0, tried: bool = False) -> None:
        bound = max(bound, _rounded(self._bound(low, high, view)))
        box = Box(bound, sum(self.grid.named(low)), low, high, view, False, tried)
        if self._open(box):
            heapq.heappush(self.boxes, box)
        else:
            self._settle(box.low, box.high)

    def _settle(self, low: Node, high: Node) -> None:
        """Count the nodes of a box, for whoever is told."""
        if self._progress is not None:
            self._settled += prod(last - first + 1 for first, last in zip(low, high, strict=True))

    def _split(self, box: Box) -> None:
        """Split at the top of the column that costs most there above its finest level in the box."""
        column, most = -1, (-math.inf, -math.inf)
        for j, (low, top) in enumerate(zip(box.low, box.high, strict=True)):
            if low < top:
                costs, covered = box.view.costs[j], self._covered[j]
                rise = costs[top] - costs[low], covered[top] - covered[low]
                if rise > most:
                    column, most = j, rise
        top = box.high[column]
        self._push(moved(box.low, column, top), box.high, box.view, box.bound)
        high = moved(box.high, column, top - 1)
        view = self.visit(high)
        if view is None:
            self._settle(box.low, high)
        else:
            self._push(box.low, high, view, box.bound, box.tried)

    def _tighten(self, box: Box) -> None:
        """Bound a box by the classes of its finest node, with what its coarsest one suppresses."""
        assert box.view.units is not None
        assert box.view.gone is not None
        self.checked += 1
        numbers, sizes = self.grid.group(box.low)
        stays = np.ones(len(sizes), dtype=bool)
        stays[numbers[np.unpackbits(box.view.units, count=len(numbers)).astype(bool)]] = False
        floor = self.measure.floor(Classes(self.grid.named(box.low), numbers, sizes, stays, box.view.gone))
        bound = max(box.bound, _rounded(floor))
        heapq.heappush(self.boxes, Box(bound, box.levels, box.low, box.high, box.view, True, box.tried))

    def _try_finest(self, box: Box) -> None:
        """Check whether the finest node is as good as the best: then no other of the box comes before it."""
        self.visit(box.low)
        heapq.heappush(self.boxes, Box(box.bound, box.levels, box.low, box.high, box.view, box.tight, True))

    def solution(self) -> Solution:
        """The best node with everything said of it."""
        assert self.best is not None
        node = self.best[2]
        checked = self.grid.check(node)
        classes, columns = self.grid.classes(node, checked), self.grid.columns
        staying = self.grid.people(checked)[checked.stays & (checked.sizes > 0)]
        covered = shares(columns, classes)
        score = self.measure.score(classes)
        optimal = not self.boxes
        return Solution(
            levels=classes.levels,
            kept=checked.stays[checked.numbers],
            classes=len(staying),
            smallest_class=int(staying.min()) if len(staying) else 0,
            suppressed=checked.suppressed,
            score=score,
            raw_loss=raw_loss(covered),
            granularity=granularity(covered, columns.sizes),
            lattice=prod(ladder.height for ladder in self.grid.problem.ladders),
            checked=self.checked,
            optimal=optimal,
            bound=score if optimal else min(score, self.boxes[0].bound),
        )


def _rounded(score: float) -> float:
    """To 12 digits: what floating point makes of equal scores is less than that."""
    return float(f"{score:.12g}")
