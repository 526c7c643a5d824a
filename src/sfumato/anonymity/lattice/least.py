"""How many rows of a class must go, whatever finer classes its rows are put into.

What a finer node keeps of a class is several classes that hold, and for a monotone model they hold
together. So no more rows stay than some part of the class may have that holds; where distances are
convex and entropies concave, that has a bound.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sfumato.anonymity.models.alpha_k import AlphaK
from sfumato.anonymity.models.beta_likeness import BetaLikeness
from sfumato.anonymity.models.delta_disclosure import DeltaDisclosure
from sfumato.anonymity.models.l_diversity import LDiversity
from sfumato.anonymity.models.t_closeness import TCloseness
from sfumato.classes.contingency import Contingency
from sfumato.classes.spread import TOLERANCE, distinct, ordered_distance, overall_shares, rest
from sfumato.classes.table import ClassTable
from sfumato.contracts import PrivacyModel

Floats = NDArray[np.float64]

#: The models' own tolerance, twice, leaves room for rounding.
_ROOM = 2 * TOLERANCE


def most_rows(models: Sequence[PrivacyModel], table: ClassTable) -> NDArray[np.int64]:
    """The rows of each class that a finer node may keep, at most, shape (classes,).

    Args:
        models: all that must hold; those count of which a bound is known.
        table: the classes.
    """
    most = table.sizes.astype(np.float64)
    for model in models:
        bound = _BOUNDS.get(type(model))
        if bound is not None:
            most = np.minimum(most, bound(model, table))
    # Rounding is not counted on, and rows are whole.
    whole = np.floor(most + 1e-6 * (1 + TOLERANCE * table.sizes)).astype(np.int64)
    return np.minimum(np.maximum(whole, 0), table.sizes)


def _closeness(model: TCloseness, table: ClassTable) -> Floats:
    """Rows that move to the table's shares at a cost within t, as far as the class has places for them.

    In *ordered* distance: if a share x of rows goes, at the largest distance, the class was x of it and
    1 - x of t off.
    """
    from sfumato.anonymity.lattice.least_kernels import moved

    spread, within = table.sensitive[model.on], model.t + _ROOM
    if model.distance == "equal":
        # All but t of the rows are at values that they have in the table.
        return _capped(spread, overall_shares(spread), 1 - within)
    if model.distance == "hierarchical":
        tree = spread.nodes
        assert tree is not None
        at = tree.leaves[spread.values]
        found: Floats = moved(
            spread.starts, at, spread.counts, tree.parents, tree.shares, tree.heights, within
        )
        return found
    ends, ones = np.array([0, max(0, len(spread.overall) - 1)]), np.ones(2, dtype=np.int64)
    furthest = float(ordered_distance(replace(spread, starts=np.arange(3), values=ends, counts=ones)).max())
    if furthest <= within:
        return table.sizes.astype(np.float64)
    return np.asarray(table.sizes * (furthest - ordered_distance(spread)) / (furthest - within))


def _diversity(model: LDiversity, table: ClassTable) -> Floats:
    """Rows of values cut to one height: to the one of that entropy, or to c times those from the l-th on."""
    from sfumato.anonymity.lattice.least_kernels import levelled

    spread = table.sensitive[model.on]
    if model.kind == "entropy":
        return np.asarray(levelled(spread.starts, spread.counts, math.log(model.l) - _ROOM))
    if model.c is None:
        return table.sizes.astype(np.float64)
    entries = distinct(spread)
    kept = np.minimum(spread.counts, model.c * np.repeat(rest(spread, int(model.l)), entries))
    owners = np.repeat(np.arange(len(entries)), entries)
    return np.bincount(owners, kept, len(entries)).astype(np.float64)


def _likeness(model: BetaLikeness, table: ClassTable) -> Floats:
    """Rows of which no value has more than its share in the table allows."""
    spread = table.sensitive[model.on]
    shares = overall_shares(spread)
    gain = np.full(len(shares), model.beta)
    if model.enhanced:
        gain = np.minimum(gain, -np.log(np.maximum(shares, np.finfo(float).tiny)))
    return _capped(spread, shares * (1 + gain + _ROOM), 1.0)


def _disclosure(model: DeltaDisclosure, table: ClassTable) -> Floats:
    """Rows of which no value has more than e^delta times its share in the table; none if a value lacks."""
    spread = table.sensitive[model.on]
    if not model.monotone:
        return table.sizes.astype(np.float64)
    most = _capped(spread, overall_shares(spread) * math.exp(model.delta), 1.0)
    return np.where(distinct(spread) < np.count_nonzero(spread.overall), 0.0, most)


def _alpha(model: AlphaK, table: ClassTable) -> Floats:
    """Rows of which no value has more than a share alpha."""
    spread = table.sensitive[model.on]
    return _capped(spread, np.full(len(spread.overall), model.alpha + _ROOM), 1.0)


def _capped(spread: Contingency, caps: Floats, share: float) -> Floats:
    from sfumato.anonymity.lattice.least_kernels import capped

    return np.asarray(capped(spread.starts, spread.values, spread.counts, caps, share))


_BOUNDS: dict[type, Callable[[Any, ClassTable], Floats]] = {
    AlphaK: _alpha,
    BetaLikeness: _likeness,
    DeltaDisclosure: _disclosure,
    LDiversity: _diversity,
    TCloseness: _closeness,
}
