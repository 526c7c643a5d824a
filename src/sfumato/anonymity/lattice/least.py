"""How many rows of a class must go, whatever finer classes its rows are put into.

What a finer node keeps of a class is several classes that hold, and for a monotone model they hold
together. So at least as many rows go as have to be taken away until the rest may hold; where distances
are convex and entropies concave, that has a bound.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sfumato.anonymity.models.l_diversity import LDiversity
from sfumato.anonymity.models.t_closeness import TCloseness
from sfumato.classes.spread import (
    TOLERANCE,
    entropy,
    equal_distance,
    heaviest,
    hierarchical_distance,
    ordered_distance,
    rest,
)
from sfumato.classes.table import ClassTable
from sfumato.contracts import PrivacyModel

#: Earth mover's distances to the table, all convex and 1 at most.
_DISTANCES = {"equal": equal_distance, "ordered": ordered_distance, "hierarchical": hierarchical_distance}


def least_rows(models: Sequence[PrivacyModel], table: ClassTable, failing: NDArray[np.bool_]) -> int:
    """Rows that every finer node suppresses at least.

    Args:
        models: all that must hold; those count of which a bound is known.
        table: the classes.
        failing: which classes fail a model that their parts fail too: all of their rows go.
    """
    shares = np.where(failing, 1.0, 0.0)
    for model in models:
        bound = _BOUNDS.get(type(model))
        if bound is not None:
            shares = np.maximum(shares, bound(model, table))
    # Rounding is not counted on, and rows are whole.
    return int(np.ceil(shares * table.sizes - 1e-6 * (1 + TOLERANCE * table.sizes)).clip(0).sum())


def _closeness(model: Any, table: ClassTable) -> NDArray[np.float64]:
    """If a share x of rows goes, at the largest distance, the class was x of it and 1 - x of t off."""
    # The models' own tolerance, twice, leaves room for rounding.
    within = model.t + 2 * TOLERANCE
    spread, distance = table.sensitive[model.on], _DISTANCES[model.distance]
    values = np.arange(len(spread.overall))
    alone = replace(
        spread, starts=np.arange(len(values) + 1), values=values, counts=np.ones(len(values), dtype=np.int64)
    )
    furthest = float(distance(alone).max(initial=0))
    if furthest <= within:
        return np.zeros(len(table.sizes))
    apart: NDArray[np.float64] = (distance(spread) - within) / (furthest - within)
    return np.minimum(apart, 1)


def _diversity(model: Any, table: ClassTable) -> NDArray[np.float64]:
    """Without a share x of its rows, a class of entropy H has one of H / (1 - x) at most.

    And if its most frequent value has r rows and those from the l-th on have s, r - c s of them must go.
    """
    spread = table.sensitive[model.on]
    if model.kind == "entropy":
        asked = max(math.log(model.l) - 2 * TOLERANCE, TOLERANCE)
        return np.asarray(1 - entropy(spread) / asked)
    if model.kind == "recursive":
        return np.asarray(
            (heaviest(spread) - model.c * rest(spread, int(model.l))) / np.maximum(table.sizes, 1)
        )
    return np.zeros(len(table.sizes))


_BOUNDS: dict[type, Callable[[Any, ClassTable], NDArray[np.float64]]] = {
    TCloseness: _closeness,
    LDiversity: _diversity,
}
