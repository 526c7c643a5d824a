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
from functools import cache
from itertools import combinations
from typing import Any

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
    several pieces. ``bound`` is a weight of cells below which no suppression can come.
    """

    units: NDArray[np.int64]
    blanks: NDArray[np.bool_]
    counts: NDArray[np.int64]
    bound: float

    @property
    def cells(self) -> int:
        """The number of cells blanked, over rows."""
        return int((self.blanks * self.counts).sum())


def suppress_cells(
    codes: NDArray[np.int64],
    counts: NDArray[np.int64],
    k: int,
    weights: NDArray[np.float64] | None = None,
    passes: int = 8,
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
    costs = _checked(codes, counts, k, weights)
    (units,) = np.nonzero(counts)
    held, rows = codes[:, units], counts[units]
    if rows.sum() == 0:
        return Suppression(units, np.zeros((len(codes), 0), dtype=bool), rows, 0.0)
    masks = _masks(held, rows, k, costs)
    prices = masks @ costs
    order = np.argsort(prices, kind="stable")
    masks, prices = masks[order], prices[order]
    pattern, owner = _patterns(held, rows, k, masks)
    bound = float((np.where(pattern >= 0, prices[:, None], np.inf).min(axis=0) * rows).sum())
    movable = np.minimum(rows, _LENT * k)
    row_units = np.repeat(np.arange(len(rows)), movable)
    shown = _kernel()(pattern, owner, prices, row_units, rows - movable, k, passes)
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
    fits = max(2, _LARGEST_TABLE // len(counts))
    if len(masks) > fits:
        masks[fits - 1] = masks[-1]
        masks = masks[:fits]
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
    bound: float,
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


@cache
def _kernel() -> Any:
    """The greedy start and the local search, on rows that show patterns."""
    import numba

    @numba.njit(cache=True)
    def move(
        row: Any, goal: Any, shown: Any, sizes: Any, heads: Any, after: Any, before: Any
    ) -> Any:  # pragma: no cover - compiled
        """Let a row show another pattern; -1 is none. The rows of a pattern are a linked list."""
        source = shown[row]
        if source >= 0:
            if before[row] >= 0:
                after[before[row]] = after[row]
            else:
                heads[source] = after[row]
            if after[row] >= 0:
                before[after[row]] = before[row]
            sizes[source] -= 1
        shown[row] = goal
        before[row] = -1
        if goal >= 0:
            after[row] = heads[goal]
            if heads[goal] >= 0:
                before[heads[goal]] = row
            heads[goal] = row
            sizes[goal] += 1

    @numba.njit(cache=True)
    def cheapest(pattern: Any, unit: Any, sizes: Any, barred: Any) -> Any:  # pragma: no cover - compiled
        """The first mask, the cheapest, under which a unit shows a pattern that is open."""
        for m in range(len(pattern)):
            p = pattern[m, unit]
            if p >= 0 and p != barred and sizes[p] > 0:
                return p
        return -1

    @numba.njit(cache=True)
    def begin(pattern: Any, row_units: Any, fixed: Any, k: Any, patterns: Any) -> Any:  # pragma: no cover
        """Each mask in turn serves the rows that it can; those that none could show nothing yet (-1)."""
        shown = np.full(len(row_units), -1, dtype=np.int64)
        wanted = np.zeros(patterns, dtype=np.int64)
        for m in range(len(pattern)):
            for row in range(len(row_units)):
                p = pattern[m, row_units[row]]
                if shown[row] < 0 and p >= 0:
                    wanted[p] += 1
            for unit in range(len(fixed)):
                if m == 0 and pattern[0, unit] >= 0:
                    wanted[pattern[0, unit]] += fixed[unit]
            for row in range(len(row_units)):
                p = pattern[m, row_units[row]]
                if shown[row] < 0 and p >= 0 and wanted[p] >= k:
                    shown[row] = p
        return shown

    @numba.njit(cache=True)
    def undo(
        log: Any, made: Any, shown: Any, sizes: Any, heads: Any, after: Any, before: Any
    ) -> Any:  # pragma: no cover
        for i in range(made - 1, -1, -1):
            move(log[i, 0], log[i, 1], shown, sizes, heads, after, before)

    @numba.njit(cache=True)
    def kernel(
        pattern: Any, owner: Any, prices: Any, row_units: Any, fixed: Any, k: Any, passes: Any
    ) -> Any:  # pragma: no cover - compiled
        rows, patterns = len(row_units), len(owner)
        units = len(fixed)
        price = prices[owner]
        # A row that shows nothing must cost more than the k that it takes to house it.
        nowhere = (k + 1) * prices.max() + 1.0
        firsts = np.zeros(units + 1, dtype=np.int64)
        for row in range(rows):
            firsts[row_units[row] + 1] += 1
        firsts = np.cumsum(firsts)
        # The units that could show each pattern.
        starts = np.zeros(patterns + 1, dtype=np.int64)
        for m in range(len(pattern)):
            for unit in range(units):
                if pattern[m, unit] >= 0:
                    starts[pattern[m, unit] + 1] += 1
        starts = np.cumsum(starts)
        filled = starts[:-1].copy()
        able = np.empty(starts[-1], dtype=np.int32)
        for m in range(len(pattern)):
            for unit in range(units):
                p = pattern[m, unit]
                if p >= 0:
                    able[filled[p]] = unit
                    filled[p] += 1

        sizes = np.zeros(patterns, dtype=np.int64)
        heads = np.full(patterns, -1, dtype=np.int64)
        after = np.full(rows, -1, dtype=np.int64)
        before = np.full(rows, -1, dtype=np.int64)
        shown = np.full(rows, -1, dtype=np.int64)
        for unit in range(units):
            if pattern[0, unit] >= 0:
                sizes[pattern[0, unit]] += fixed[unit]
        first = begin(pattern, row_units, fixed, k, patterns)
        for row in range(rows):
            if first[row] >= 0:
                move(row, first[row], shown, sizes, heads, after, before)

        taken = np.zeros(patterns, dtype=np.int64)
        touched = np.empty(rows, dtype=np.int64)
        mode = np.zeros(patterns, dtype=np.int8)
        quota = np.zeros(patterns, dtype=np.int64)
        ending = np.full(patterns, np.inf)
        log = np.empty((rows, 2), dtype=np.int64)
        for _ in range(passes):
            saved = 0.0
            for row in range(rows):
                source = shown[row]
                if source >= 0 and sizes[source] <= k:
                    continue
                goal = cheapest(pattern, row_units[row], sizes, source)
                if goal < 0:
                    continue
                gain = (price[source] if source >= 0 else nowhere) - price[goal]
                if gain > 0:
                    move(row, goal, shown, sizes, heads, after, before)
                    saved += gain
            for q in range(patterns):
                if sizes[q] > 0:
                    # Close it, if others serve its rows for less.
                    if sizes[q] > 4 * k:
                        continue
                    total, row = 0.0, heads[q]
                    count = 0
                    while row >= 0:
                        goal = cheapest(pattern, row_units[row], sizes, q)
                        if goal < 0:
                            total = np.inf
                            break
                        total += price[goal] - price[q]
                        count += 1
                        row = after[row]
                    if total < 0 and count == sizes[q]:
                        saved -= total
                        while heads[q] >= 0:
                            row = heads[q]
                            move(
                                row,
                                cheapest(pattern, row_units[row], sizes, q),
                                shown,
                                sizes,
                                heads,
                                after,
                                before,
                            )
                    continue
                # Open it: what each pattern that rows come from would lend, or closing it would bring.
                seen, waiting = 0, 0
                for i in range(starts[q], starts[q + 1]):
                    for row in range(firsts[able[i]], firsts[able[i] + 1]):
                        source = shown[row]
                        if source < 0:
                            waiting += 1
                            continue
                        if taken[source] == 0:
                            touched[seen] = source
                            seen += 1
                        taken[source] += 1
                coming = waiting
                total = (price[q] - nowhere) * waiting
                for i in range(seen):
                    p = touched[i]
                    step = price[q] - price[p]
                    lent = min(taken[p], sizes[p] - k)
                    mode[p], quota[p] = 0, 0
                    value = 0.0
                    if step < 0 and lent > 0:
                        value = step * lent
                        quota[p] = lent
                    if taken[p] > lent and sizes[p] <= 4 * k:
                        closing = step * taken[p]
                        row, members = heads[p], 0
                        while row >= 0:
                            members += 1
                            if pattern[owner[q], row_units[row]] != q:
                                goal = cheapest(pattern, row_units[row], sizes, p)
                                closing += (price[goal] - price[p]) if goal >= 0 else np.inf
                                if closing >= value + nowhere:
                                    break
                            row = after[row]
                        if members == sizes[p]:
                            ending[p] = closing
                            if closing < value:
                                value = closing
                                mode[p], quota[p] = 1, taken[p]
                    total += value
                    coming += quota[p]
                # Too few: others are lent, or their patterns closed, the least dear first.
                while coming < k:
                    at, least, whole = -1, np.inf, False
                    for i in range(seen):
                        p = touched[i]
                        if mode[p] == 1:
                            continue
                        step = price[q] - price[p]
                        if quota[p] == 0 and min(taken[p], sizes[p] - k) > 0 and step < least:
                            at, least, whole = p, step, False
                        if quota[p] < taken[p] and ending[p] < np.inf:
                            each = (ending[p] - step * quota[p]) / (taken[p] - quota[p])
                            if each < least:
                                at, least, whole = p, each, True
                    if at < 0:
                        break
                    if whole:
                        added = taken[at] - quota[at]
                        mode[at], quota[at] = 1, taken[at]
                    else:
                        added = min(k - coming, min(taken[at], sizes[at] - k))
                        quota[at] = added
                    coming += added
                    total += added * least
                if coming >= k and total < -1e-9:
                    made, actual = 0, 0.0
                    for i in range(starts[q], starts[q + 1]):
                        for row in range(firsts[able[i]], firsts[able[i] + 1]):
                            source = shown[row]
                            if source >= 0:
                                if source == q or quota[source] == 0:
                                    continue
                                quota[source] -= 1
                            log[made, 0], log[made, 1] = row, source
                            made += 1
                            actual += price[q] - (price[source] if source >= 0 else nowhere)
                            move(row, q, shown, sizes, heads, after, before)
                    sound = True
                    for i in range(seen):
                        p = touched[i]
                        while mode[p] == 1 and heads[p] >= 0 and sound:
                            row = heads[p]
                            goal = cheapest(pattern, row_units[row], sizes, p)
                            # Another pattern that closes for this one takes no guests.
                            if goal < 0 or (goal != q and sizes[goal] < k):
                                sound = False
                                break
                            log[made, 0], log[made, 1] = row, p
                            made += 1
                            actual += price[goal] - price[p]
                            move(row, goal, shown, sizes, heads, after, before)
                    for i in range(seen):
                        p = touched[i]
                        sound = sound and (sizes[p] == 0 or sizes[p] >= k)
                    if sound and actual < -1e-9:
                        saved -= actual
                    else:
                        undo(log, made, shown, sizes, heads, after, before)
                for i in range(seen):
                    taken[touched[i]], mode[touched[i]], quota[touched[i]], ending[touched[i]] = (
                        0,
                        0,
                        0,
                        np.inf,
                    )
            if saved <= 1e-9:
                break
        # Who shows nothing yet shows nothing at all; the cheapest rows to spare join them.
        bare = pattern[len(pattern) - 1, 0]
        for row in range(rows):
            if shown[row] < 0:
                move(row, bare, shown, sizes, heads, after, before)
        while 0 < sizes[bare] < k:
            at = -1
            for row in range(rows):
                p = shown[row]
                if p != bare and sizes[p] > k and (at < 0 or price[p] > price[shown[at]]):
                    at = row
            if at >= 0:
                move(at, bare, shown, sizes, heads, after, before)
                continue
            p = -1
            for q in range(patterns):
                if q != bare and sizes[q] > 0 and (p < 0 or price[q] > price[p]):
                    p = q
            while heads[p] >= 0:
                move(heads[p], bare, shown, sizes, heads, after, before)
        return shown

    return kernel
