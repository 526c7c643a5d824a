"""Local suppression under any model that holds for classes together where it holds for each.

Suppression for k comes first. Then a class that fails has one more column blanked, which puts it together
with others: with those that mend it where there are such, at the least cost, else with the most people. In
the end a class may be wholly blank; if that one fails, the cheapest others join it until it holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from sfumato.anonymity.cells import Suppression, suppress_cells
from sfumato.anonymity.holding import holding
from sfumato.anonymity.partition.problem import Assignment
from sfumato.classes.grouping import combine, group
from sfumato.classes.table import Units
from sfumato.contracts import PrivacyModel
from sfumato.core.errors import InputError

#: Sizes of classes to begin with, in multiples of k, as long as more blanks fewer cells in the end.
_SIZES = (1, 2, 4, 8)


def suppress_promised(
    codes: NDArray[np.int64],
    units: Units,
    k: int,
    models: Sequence[PrivacyModel],
    weights: NDArray[np.float64] | None = None,
) -> Suppression:
    """Blank cells so that every tuple, with a blank as a value, is of a class that keeps all models.

    Args:
        codes: the distinct tuples, shape (columns, units), numbers from 0.
        units: their people and sensitive values.
        k: the fewest people of a class.
        weights: what a blank in each column costs, shape (columns,); 1 if not given.

    Raises:
        InputError: ``anonymity-impossible`` where the models do not hold even if every cell is blank; else
            as for :func:`~sfumato.anonymity.cells.suppress_cells`.
    """
    costs = np.ones(len(codes)) if weights is None else weights
    (there,) = np.nonzero(units.counts)
    everybody = Assignment(there, np.zeros(len(there), dtype=np.int64), units.counts[there])
    if not holding(models, everybody.table(units)).all():
        raise InputError(
            "anonymity-impossible",
            "the privacy models do not hold even if every cell is blank",
            where="anonymity",
            remedy="ask less of the models; the method lattice may suppress rows where the policy allows it",
        )
    best: Suppression | None = None
    for size in _SIZES:
        if best is not None and size * k > units.rows:
            break
        found = suppress_cells(codes, units.counts, size * k, weights)
        found = _mended(codes, found, units, models, costs)
        if best is not None and _cost(found, costs) >= _cost(best, costs):
            break
        best = found
    assert best is not None, "the first size is always tried"
    return best


def _cost(found: Suppression, costs: NDArray[np.float64]) -> float:
    return float((costs @ found.blanks * found.counts).sum())


def _mended(
    codes: NDArray[np.int64],
    found: Suppression,
    units: Units,
    models: Sequence[PrivacyModel],
    costs: NDArray[np.float64],
) -> Suppression:
    """More cells blanked until all classes hold."""
    shown = np.where(found.blanks, 0, codes[:, found.units] + 1)
    while True:
        classes, _ = group(combine(list(shown)), found.counts)
        holds = _holding(found, classes, units, models)
        if holds.all():
            return replace(found, blanks=shown == 0, bound=None)
        failing = ~holds[classes]
        if (shown[:, failing] == 0).all():
            shown[:, _joining(found, shown, classes, failing, units, models, costs)] = 0
            continue
        column = _columns(found, shown, classes, holds, units, models, costs)
        blanked = np.flatnonzero(failing & (column[classes] >= 0))
        shown[column[classes[blanked]], blanked] = 0


def _holding(
    found: Suppression, classes: NDArray[np.int64], units: Units, models: Sequence[PrivacyModel]
) -> NDArray[np.bool_]:
    return holding(models, Assignment(found.units, classes, found.counts).table(units))


def _columns(
    found: Suppression,
    shown: NDArray[np.int64],
    classes: NDArray[np.int64],
    holds: NDArray[np.bool_],
    units: Units,
    models: Sequence[PrivacyModel],
    costs: NDArray[np.float64],
) -> NDArray[np.int64]:
    """The column that each failing class is to blank, -1 where nothing is left to blank; shape (classes,)."""
    firsts = np.unique(classes, return_index=True)[1]
    alone = [model for model in models if not model.whole]
    failing = ~holds
    column = np.full(len(holds), -1)
    best = np.full((3, len(holds)), np.inf)
    for j in range(len(shown)):
        able = failing & (shown[j, firsts] > 0)
        if not able.any():
            continue
        pattern = shown[:, firsts].copy()
        pattern[j, able] = 0
        # Failing classes without a part in this leave room; nobody knows where they will be.
        inside = able | holds
        keys, _ = group(combine(list(pattern[:, inside])), np.ones(int(inside.sum()), dtype=np.int64))
        together = np.full(len(holds), -1)
        together[inside] = keys
        chosen = np.isin(together, together[able])[classes]
        merged, sizes = group(together[classes[chosen]], found.counts[chosen])
        part = replace(found, units=found.units[chosen], counts=found.counts[chosen])
        verdict = _holding(part, merged, units, alone)
        of_class = np.full(len(holds), -1)
        of_class[classes[chosen]] = merged
        at = of_class[able]
        fits = verdict[at]
        score = np.stack([~fits, np.where(fits, costs[j], -sizes[at]), np.full(len(at), costs[j])])
        held = best[:, able]
        less = np.zeros(len(at), dtype=bool)
        tied = np.ones(len(at), dtype=bool)
        for one, other in zip(score, held, strict=True):
            less |= tied & (one < other)
            tied &= one == other
        (places,) = np.nonzero(able)
        best[:, places[less]] = score[:, less]
        column[places[less]] = j
    return column


def _joining(
    found: Suppression,
    shown: NDArray[np.int64],
    classes: NDArray[np.int64],
    failing: NDArray[np.bool_],
    units: Units,
    models: Sequence[PrivacyModel],
    costs: NDArray[np.float64],
) -> NDArray[np.bool_]:
    """The pieces of the cheapest classes with which the blank class, which fails, holds."""
    cost = np.bincount(classes, costs @ (shown > 0) * found.counts)
    blank = np.unique(classes[failing])
    order = np.argsort(cost, kind="stable")
    order = order[~np.isin(order, blank)]
    many = 1
    while True:
        joining = np.isin(classes, np.concatenate([blank, order[:many]]))
        if many >= len(order):
            return joining
        part = replace(found, units=found.units[joining], counts=found.counts[joining])
        alone = [model for model in models if not model.whole]
        if _holding(part, np.zeros(len(part.units), dtype=np.int64), units, alone).all():
            return joining
        many *= 2
