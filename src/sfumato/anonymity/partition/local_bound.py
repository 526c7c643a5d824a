"""How fine labels of classes can be at best."""

from __future__ import annotations

from itertools import product
from math import prod

import numpy as np

from sfumato.anonymity.partition.local_labels import Labels
from sfumato.anonymity.partition.problem import Problem
from sfumato.classes.grouping import combine, group
from sfumato.core.errors import InputError

#: Beyond this many combinations of levels there is no bound, for it looks at all of them.
LARGEST_LATTICE = 100_000


def granularity_bound(problem: Problem, least: int) -> float:
    """A granularity that no local recoding with classes of ``least`` rows or more exceeds.

    Every row pays at least for the cheapest combination of labels that covers it and as many others as a
    class needs. That is a bound, proved row by row; rows in fact compete for each other's company, so
    it need not be reached.

    Raises:
        InputError: ``search-too-large``.
    """
    (units,) = np.nonzero(problem.units.counts > 0)
    counts = problem.units.counts[units]
    labels = Labels.of(problem, units)
    axes = [range(a, b) for a, b in zip(labels.starts[:-1], labels.starts[1:], strict=True)]
    if prod(map(len, axes)) > LARGEST_LATTICE:
        raise InputError("search-too-large", f"more than {LARGEST_LATTICE:.0e} combinations of levels")
    codes = [np.unique(slot, return_inverse=True)[1].astype(np.int64) for slot in labels.codes.T]
    costs = [labels.costs[slot] for slot in labels.codes.T]
    best = np.ones(len(units))
    for node in sorted(product(*axes), key=lambda node: sum(float(costs[slot].mean()) for slot in node)):
        cost = sum(costs[slot] for slot in node)
        if (cost < best).any():
            classes, sizes = group(combine([codes[slot] for slot in node]), counts)
            best = np.where(sizes[classes] >= least, np.minimum(best, cost), best)
    return float(1 - (best * counts).sum() / max(1, counts.sum()))
