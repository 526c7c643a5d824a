"""How fine labels of classes can be at best."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from sfumato.anonymity.partition.local_labels import Labels
from sfumato.anonymity.partition.problem import Problem
from sfumato.classes.grouping import combine, group
from sfumato.core.errors import InputError

#: Beyond this many combinations of levels there is no bound, for it looks at all of them.
LARGEST_LATTICE = 100_000

#: How often prices are raised (once more than a multiple of the passes that look at every class), and the
#: first and the last step.
PASSES, FIRST_STEP, LAST_STEP = 301, 0.002, 0.0002


def granularity_bound(problem: Problem, least: int, room: float = 0.0) -> float:
    """A granularity that no local recoding with classes of ``least`` rows or more exceeds.

    Every row pays at least for the cheapest combination of labels that covers it and as many others as a
    class needs. That is a bound, proved row by row; rows in fact compete for each other's company, so
    it need not be reached. With some ``room`` prices are raised above that, by so much of a row's detail
    at most, for some rows at the cost of others: the prices of the rows of no class may sum to more than
    the class pays (the dual of the linear program that covers all rows with classes at the least cost).
    Any such prices prove a bound; more room gives a better one and takes longer.

    Raises:
        InputError: ``search-too-large``.
    """
    lattice = _Lattice.of(problem)
    if lattice.rows == 0:
        return 1.0
    low = lattice.cheapest(least)
    if room <= 0:
        return float(1 - (low * lattice.counts).sum() / lattice.rows)
    from sfumato.anonymity.partition.local_boxes_kernels import raised

    most = np.minimum(low + room, 1.0)
    groups = list(lattice.binding(most, least))
    units, sizes, costs = (np.concatenate(parts) for parts in zip(*groups, strict=True))
    steps = FIRST_STEP * (LAST_STEP / FIRST_STEP) ** (np.arange(PASSES) / PASSES)
    prices = raised(low, most, lattice.counts, costs, units, np.cumsum(sizes), least, steps)
    return float(1 - (prices * lattice.counts).sum() / lattice.rows)


@dataclass(frozen=True)
class _Lattice:
    """All combinations of levels: ``codes`` and ``costs`` of units' labels by slot, ``nodes`` of slots."""

    counts: NDArray[np.int64]
    codes: list[NDArray[np.int64]]
    costs: list[NDArray[np.float64]]
    nodes: list[tuple[int, ...]]

    @classmethod
    def of(cls, problem: Problem) -> _Lattice:
        (units,) = np.nonzero(problem.units.counts > 0)
        labels = Labels.of(problem, units)
        if labels.nodes > LARGEST_LATTICE:
            raise InputError("search-too-large", f"more than {LARGEST_LATTICE:.0e} combinations of levels")
        codes = [np.unique(slot, return_inverse=True)[1].astype(np.int64) for slot in labels.codes.T]
        costs = [labels.costs[slot] for slot in labels.codes.T]
        means = [float(cost.mean()) if len(units) else 0.0 for cost in costs]
        axes = [range(a, b) for a, b in zip(labels.starts[:-1], labels.starts[1:], strict=True)]
        nodes = sorted(product(*axes), key=lambda node: sum(means[slot] for slot in node))
        return cls(problem.units.counts[units].astype(np.int64), codes, costs, nodes)

    @property
    def rows(self) -> int:
        return int(self.counts.sum())

    def grouped(
        self, most: NDArray[np.float64]
    ) -> Iterator[tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]]:
        """What units pay, their classes and these' rows, at nodes where one pays less than ``most``."""
        for node in self.nodes:
            cost = np.sum([self.costs[slot] for slot in node], axis=0)
            if (cost < most).any():
                yield cost, *group(combine([self.codes[slot] for slot in node]), self.counts)

    def cheapest(self, least: int) -> NDArray[np.float64]:
        """What each unit pays at the cheapest node where its class has ``least`` rows, 1 if there is none."""
        best = np.ones(len(self.counts))
        for cost, classes, sizes in self.grouped(best):
            np.copyto(best, cost, where=(sizes[classes] >= least) & (cost < best))
        return best

    def binding(
        self, most: NDArray[np.float64], least: int
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]]:
        """By node: units of classes that prices of at most ``most`` can exceed, classes' units and costs."""
        from sfumato.anonymity.partition.local_boxes_kernels import wastes

        none = np.zeros(0, dtype=np.int64)
        yield none, none, np.zeros(0)
        for cost, classes, sizes in self.grouped(most):
            dear = np.zeros(len(sizes), dtype=bool)
            dear[classes[cost < most]] = True
            (units,) = np.nonzero((dear & (sizes >= least))[classes])
            units = units[np.argsort(classes[units], kind="stable")]
            _, first, many = np.unique(classes[units], return_index=True, return_counts=True)
            kept = wastes(most, self.counts, units, np.cumsum(many), cost[units[first]], least) < 0
            yield units[np.repeat(kept, many)], many[kept], cost[units[first]][kept]
