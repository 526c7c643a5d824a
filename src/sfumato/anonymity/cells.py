"""Local suppression: the fewest cells blanked so that every tuple, blanks included, is shared by k rows.

A row with a set of columns blanked shows a pattern: which columns, and the values left. With a blank as a
value of its own (the reading that no attacker can beat) rows are safe together if they show one pattern. So
patterns are facilities with a least number of customers (as in Guha, Meyerson & Munagala 2000), and cells
are what a row pays: the finest patterns open first, then a local search opens one more where that saves,
with rows that rich patterns lend and with poor ones closed for it, and closes those that others can serve.
Under the other reading, a blank that may stand for any value, the result holds all the more.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from sfumato.classes.grouping import combine, group
from sfumato.core.errors import InputError

#: Up to this many columns every set of them is tried.
_EVERY_MASK = 8

#: Sets of columns tried beyond that, and how many go on to the next size.
_MASKS, _BEAM = 256, 4

#: Entries of the table of patterns, units by masks, at most (four bytes each, twice).
_LARGEST_TABLE = 100_000_000

#: Rows of one unit that may be lent to other patterns, in k.
_LENT = 8


@dataclass(frozen=True)
class Suppression:
    """Which cells are blanked: ``counts`` rows of unit ``units`` have the columns of ``blanks`` blanked.

    ``units`` and ``counts`` have shape (pieces,), ``blanks`` (columns, pieces). A unit's rows may come in
    several pieces. ``bound`` is a weight of cells below which no suppression can come; None where not
    every set of columns was tried, for then nothing is known of the others.
    """

    units: NDArray[np.int64]
    blanks: NDArray[np.bool_]
    counts: NDArray[np.int64]
    bound: float | None

    @property
    def cells(self) -> int:
        """The number of cells blanked, over rows."""
        return int((self.blanks * self.counts).sum())


def suppress_cells(
    codes: NDArray[np.int64],
    counts: NDArray[np.int64],
    k: int,
    weights: NDArray[np.float64] | None = None,
    passes: int = 3,
) -> Suppression:
    """Blank cells of least weight so that every tuple, with a blank as a value, is shared by k rows.

    Args:
        codes: the distinct tuples, shape (columns, units), numbers from 0; a missing value is a value.
        counts: the rows of each, shape (units,); units of none are left out.
        k: the fewest rows of a tuple.
        weights: what a blank in each column costs, shape (columns,), above 0; 1 if not given.
        passes: the most passes of the local search; it ends when one saves nothing.

    Raises:
        InputError: ``usage`` for wrong shapes, k or weights; ``anonymity-impossible`` for fewer than k rows.

    >>> found = suppress_cells(np.array([[0, 0, 1], [0, 1, 2]]), np.array([2, 1, 2]), 2)
    >>> found.cells, found.bound
    (3, 1.0)
    """
    from sfumato.anonymity.cells_kernels import shown_patterns

    costs = _checked(codes, counts, k, weights)
    (units,) = np.nonzero(counts)
    held, rows = codes[:, units], counts[units]
    if rows.sum() == 0:
        return Suppression(units, np.zeros((len(codes), 0), dtype=bool), rows, 0.0)
    masks = _masks(held, rows, k, costs)
    prices = masks @ costs
    order = np.argsort(prices, kind="stable")
    # The last one leaves nothing and serves everybody; the dearest others go if the table has no room.
    order = np.append(order[:-1][: _room(len(rows)) - 1], order[-1])
    masks, prices = masks[order], prices[order]
    pattern, owner = _patterns(held, rows, k, masks)
    bound = None
    if len(masks) == 2 ** len(codes):
        bound = float((np.where(pattern >= 0, prices[:, None], np.inf).min(axis=0) * rows).sum())
    movable = np.minimum(rows, _LENT * k)
    row_units = np.repeat(np.arange(len(rows)), movable)
    shown = shown_patterns(pattern, owner, prices, row_units, rows - movable, k, passes)
    return _pieces(units, masks, owner[shown], row_units, rows - movable, bound)


def smallest_tuples(codes: NDArray[np.int64], found: Suppression) -> NDArray[np.int64]:
    """The rows that share each piece's tuple, a blank being a value of its own, shape (pieces,)."""
    shown = np.where(found.blanks, 0, codes[:, found.units] + 1)
    numbers, sizes = group(combine(list(shown)), found.counts)
    return sizes[numbers]


def _checked(
    codes: NDArray[np.int64], counts: NDArray[np.int64], k: int, weights: NDArray[np.float64] | None
) -> NDArray[np.float64]:
    if codes.ndim != 2 or codes.shape[0] == 0 or counts.shape != codes.shape[1:] or (counts < 0).any():
        raise InputError("usage", "cells need codes of shape (columns, units), and a count for each unit")
    if (codes < 0).any():
        raise InputError("usage", "codes are numbers from 0; give a missing value a code of its own")
    if k < 1:
        raise InputError("usage", f"k must be at least 1, not {k}")
    costs = np.ones(len(codes)) if weights is None else np.asarray(weights, dtype=np.float64)
    if costs.shape != (len(codes),) or not ((costs > 0) & np.isfinite(costs)).all():
        raise InputError("usage", "each column needs a finite weight above 0")
    if 0 < counts.sum() < k:
        raise InputError(
            "anonymity-impossible",
            f"{int(counts.sum())} rows cannot share a tuple among {k}, whatever is blanked",
            where="anonymity",
            remedy="lower k, or leave this table out",
        )
    return costs


def _masks(
    codes: NDArray[np.int64], counts: NDArray[np.int64], k: int, costs: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """The sets of columns to try as blanks, shape (masks, columns); none and all are among them."""
    d = len(codes)
    if d <= _EVERY_MASK:
        return np.array(
            [
                [j in blank for j in range(d)]
                for size in range(d + 1)
                for blank in combinations(range(d), size)
            ]
        )
    # From all blank downwards, a column shown more each time: those go on that leave most of the rows
    # not served yet with k of their own.
    chosen = [np.zeros(d, dtype=bool), np.ones(d, dtype=bool)]
    served = np.zeros(len(counts), dtype=bool)
    while not served.all() and len(chosen) < _MASKS:
        left = np.where(served, 0, counts)
        beam, best = [np.ones(d, dtype=bool)], (0.0, np.ones(d, dtype=bool))
        while beam:
            scored = {}
            for mask in beam:
                for j in np.flatnonzero(mask):
                    finer = mask.copy()
                    finer[j] = False
                    if finer.tobytes() in scored:
                        continue
                    safe = _safe(codes, left, k, finer)
                    scored[finer.tobytes()] = (float(left[safe].sum() * (~finer @ costs)), finer)
            ranked = sorted(scored.values(), key=lambda pair: -pair[0])[:_BEAM]
            beam = [mask for score, mask in ranked if score > 0]
            best = max(best, ranked[0] if ranked else best, key=lambda pair: pair[0])
            if not ranked or ranked[0][0] < best[0] / 2:
                break
        if best[0] == 0:
            break
        chosen.append(best[1])
        served |= _safe(codes, left, k, best[1]) & (left > 0)
    return np.unique(np.array(chosen), axis=0)


def _room(units: int) -> int:
    """The sets of columns that the table of patterns has room for; none and all always fit."""
    return max(2, _LARGEST_TABLE // units)


def _safe(
    codes: NDArray[np.int64], counts: NDArray[np.int64], k: int, mask: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Which units share what a mask leaves of them with k rows."""
    numbers, sizes = group(_left(codes, mask), counts)
    return (sizes >= k)[numbers]


def _left(codes: NDArray[np.int64], mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    shown = list(codes[~mask])
    return combine(shown) if shown else np.zeros(codes.shape[1], dtype=np.int64)


def _patterns(
    codes: NDArray[np.int64], counts: NDArray[np.int64], k: int, masks: NDArray[np.bool_]
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """The number of the pattern that each unit shows under each mask, and the mask of each pattern.

    Patterns that fewer than k rows could show have none: -1. Shapes (masks, units) and (patterns,).
    """
    pattern = np.empty((len(masks), len(counts)), dtype=np.int32)
    owner: list[NDArray[np.int64]] = []
    made = 0
    for m, mask in enumerate(masks):
        numbers, sizes = group(_left(codes, mask), counts)
        able = sizes >= k
        places = np.where(able, made + np.cumsum(able) - 1, -1)
        pattern[m] = places[numbers]
        owner.append(np.full(int(able.sum()), m))
        made += int(able.sum())
    return pattern, np.concatenate(owner)


def _pieces(
    units: NDArray[np.int64],
    masks: NDArray[np.bool_],
    shown: NDArray[np.int64],
    row_units: NDArray[np.int64],
    fixed: NDArray[np.int64],
    bound: float | None,
) -> Suppression:
    """Rows of a unit with one mask put together; the rows that were never moved have nothing blanked."""
    (still,) = np.nonzero(fixed)
    whole = int(np.flatnonzero(~masks.any(axis=1))[0])
    key = np.concatenate([row_units, still]) * len(masks) + np.concatenate(
        [shown, np.full(len(still), whole)]
    )
    rows = np.concatenate([np.ones(len(row_units), dtype=np.int64), fixed[still]])
    distinct, places = np.unique(key, return_inverse=True)
    counts = np.bincount(places, rows).astype(np.int64)
    at, mask = np.divmod(distinct, len(masks))
    return Suppression(units[at], np.ascontiguousarray(masks[mask].T), counts, bound)
