"""The compiled part of cell suppression: rows that show patterns, a greedy start, and a local search.

Import it inside functions, for it loads numba. The functions are no closures: those that numba keeps
on disk are found again only if they are not.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

#: Costs this near are equal, so that rounding never makes the search go in circles.
_SAVED = 1e-9

#: Patterns of more rows than this, in k, are not closed: it would cost more to ask than it may save.
_CLOSED = 4


class Rows(NamedTuple):
    """Rows and the pattern that each shows; those of a pattern are a linked list from ``heads``.

    Under mask m unit u could show ``pattern[m, u]`` (-1: none), which has the mask ``owner`` and costs a
    row ``price``; a row that shows nothing costs ``nowhere``. Row r is of unit ``units[r]``; the rows of
    unit u begin at ``firsts[u]``, and the units that could show pattern p lie in ``able`` from
    ``starts[p]``. ``sizes`` counts rows, those that are never moved too.

    For one pattern to be opened: ``touched`` lists those that rows could come from, which have ``taken``
    rows that could, and give ``quota`` of them; they close if ``mode`` is 1, which costs ``ending``.
    ``log`` says what was done, to be undone.
    """

    pattern: NDArray[np.int32]
    owner: NDArray[np.int64]
    price: NDArray[np.float64]
    nowhere: float
    k: int
    units: NDArray[np.int64]
    firsts: NDArray[np.int64]
    starts: NDArray[np.int64]
    able: NDArray[np.int32]
    sizes: NDArray[np.int64]
    heads: NDArray[np.int64]
    after: NDArray[np.int64]
    before: NDArray[np.int64]
    shown: NDArray[np.int64]
    touched: NDArray[np.int64]
    taken: NDArray[np.int64]
    quota: NDArray[np.int64]
    mode: NDArray[np.int8]
    ending: NDArray[np.float64]
    log: NDArray[np.int64]


@numba.njit(cache=True)
def place(
    row: Any, goal: Any, shown: Any, sizes: Any, heads: Any, after: Any, before: Any
) -> Any:  # pragma: no cover - compiled
    """Let a row show another pattern; -1 is none.

    Takes the arrays one by one, as all that is called for every row: to hand a tuple of twenty on costs
    more than the work.
    """
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
def cheapest(pattern: Any, sizes: Any, unit: Any, barred: Any) -> Any:  # pragma: no cover - compiled
    """The open pattern of the first mask, the cheapest, that a unit could show; -1 if there is none."""
    for m in range(len(pattern)):
        p = pattern[m, unit]
        if p >= 0 and p != barred and sizes[p] > 0:
            return p
    return -1


@numba.njit(cache=True)
def paid(price: Any, nowhere: Any, p: Any) -> Any:  # pragma: no cover - compiled
    """What a row pays for a pattern, or for none."""
    return price[p] if p >= 0 else nowhere


@numba.njit(cache=True)
def able_units(pattern: Any, patterns: Any) -> Any:  # pragma: no cover - compiled
    """The units that could show each pattern, and where those of each begin."""
    starts = np.zeros(patterns + 1, dtype=np.int64)
    for m in range(len(pattern)):
        for p in pattern[m]:
            if p >= 0:
                starts[p + 1] += 1
    starts = np.cumsum(starts)
    filled = starts[:-1].copy()
    able = np.empty(starts[-1], dtype=np.int32)
    for m in range(len(pattern)):
        for unit in range(pattern.shape[1]):
            p = pattern[m, unit]
            if p >= 0:
                able[filled[p]] = unit
                filled[p] += 1
    return starts, able


@numba.njit(cache=True)
def begin(pattern: Any, units: Any, fixed: Any, k: Any, patterns: Any) -> Any:  # pragma: no cover
    """Each mask in turn serves the rows that it can; those that none could show nothing yet (-1)."""
    shown = np.full(len(units), -1, dtype=np.int64)
    wanted = np.zeros(patterns, dtype=np.int64)
    for m in range(len(pattern)):
        for row in range(len(units)):
            p = pattern[m, units[row]]
            if shown[row] < 0 and p >= 0:
                wanted[p] += 1
        for unit in range(len(fixed)):
            if m == 0 and pattern[0, unit] >= 0:
                wanted[pattern[0, unit]] += fixed[unit]
        for row in range(len(units)):
            p = pattern[m, units[row]]
            if shown[row] < 0 and p >= 0 and wanted[p] >= k:
                shown[row] = p
    return shown


@numba.njit(cache=True)
def laid_out(
    pattern: Any, owner: Any, prices: Any, units: Any, fixed: Any, k: Any
) -> Any:  # pragma: no cover - compiled
    """Rows that show what the greedy start gives them."""
    rows, patterns = len(units), len(owner)
    starts, able = able_units(pattern, patterns)
    sizes = np.zeros(patterns, dtype=np.int64)
    for unit in range(len(fixed)):
        if pattern[0, unit] >= 0:
            sizes[pattern[0, unit]] += fixed[unit]
    s = Rows(
        pattern,
        owner,
        prices[owner],
        # A row that shows nothing must cost more than the k that it takes to house it.
        (k + 1) * prices.max() + 1.0,
        k,
        units,
        np.searchsorted(units, np.arange(len(fixed) + 1)),
        starts,
        able,
        sizes,
        np.full(patterns, -1, dtype=np.int64),
        np.full(rows, -1, dtype=np.int64),
        np.full(rows, -1, dtype=np.int64),
        np.full(rows, -1, dtype=np.int64),
        np.empty(rows, dtype=np.int64),
        np.zeros(patterns, dtype=np.int64),
        np.zeros(patterns, dtype=np.int64),
        np.zeros(patterns, dtype=np.int8),
        np.full(patterns, np.inf),
        np.empty((rows, 2), dtype=np.int64),
    )
    first = begin(pattern, units, fixed, k, patterns)
    for row in range(rows):
        if first[row] >= 0:
            place(row, first[row], s.shown, s.sizes, s.heads, s.after, s.before)
    return s


@numba.njit(cache=True)
def better_rows(s: Any) -> Any:  # pragma: no cover - compiled
    """Rows that can be spared show a cheaper open pattern; what that saves."""
    saved = 0.0
    for row in range(len(s.units)):
        source = s.shown[row]
        if source >= 0 and s.sizes[source] <= s.k:
            continue
        goal = cheapest(s.pattern, s.sizes, s.units[row], source)
        if goal < 0:
            continue
        gain = paid(s.price, s.nowhere, source) - s.price[goal]
        if gain > 0:
            place(row, goal, s.shown, s.sizes, s.heads, s.after, s.before)
            saved += gain
    return saved


@numba.njit(cache=True)
def close(s: Any, q: Any) -> Any:  # pragma: no cover - compiled
    """Close an open pattern if others serve its rows for less; what that saves."""
    if s.sizes[q] > _CLOSED * s.k:
        return 0.0
    total, row, count = 0.0, s.heads[q], 0
    while row >= 0:
        goal = cheapest(s.pattern, s.sizes, s.units[row], q)
        if goal < 0:
            return 0.0
        total += s.price[goal] - s.price[q]
        count += 1
        row = s.after[row]
    if total >= 0 or count != s.sizes[q]:
        return 0.0
    while s.heads[q] >= 0:
        row = s.heads[q]
        place(
            row, cheapest(s.pattern, s.sizes, s.units[row], q), s.shown, s.sizes, s.heads, s.after, s.before
        )
    return -total


@numba.njit(cache=True)
def lenders(s: Any, q: Any) -> Any:  # pragma: no cover - compiled
    """Find the patterns from which rows could come to ``q``: their number, and the rows that show none."""
    seen, waiting = 0, 0
    for i in range(s.starts[q], s.starts[q + 1]):
        for row in range(s.firsts[s.able[i]], s.firsts[s.able[i] + 1]):
            source = s.shown[row]
            if source < 0:
                waiting += 1
                continue
            if s.taken[source] == 0:
                s.touched[seen] = source
                seen += 1
            s.taken[source] += 1
    return seen, waiting


@numba.njit(cache=True)
def spare(s: Any, p: Any) -> Any:  # pragma: no cover - compiled
    """The rows that a pattern could lend and stay open."""
    return min(s.taken[p], s.sizes[p] - s.k)


@numba.njit(cache=True)
def price_closing(s: Any, q: Any, p: Any, most: Any) -> Any:  # pragma: no cover - compiled
    """What it adds that ``p`` closes, its rows going to ``q`` or elsewhere; inf if it cannot or is dear."""
    closing = (s.price[q] - s.price[p]) * s.taken[p]
    row, members = s.heads[p], 0
    while row >= 0:
        members += 1
        if s.pattern[s.owner[q], s.units[row]] != q:
            goal = cheapest(s.pattern, s.sizes, s.units[row], p)
            if goal < 0:
                return np.inf
            closing += s.price[goal] - s.price[p]
            if closing >= most:
                break
        row = s.after[row]
    return closing if members == s.sizes[p] else np.inf


@numba.njit(cache=True)
def gainful(s: Any, q: Any, p: Any) -> Any:  # pragma: no cover - compiled
    """Let ``p`` lend rows to ``q`` or close for it where that saves; what it adds, 0 or below."""
    step = s.price[q] - s.price[p]
    lent = spare(s, p)
    s.mode[p], s.quota[p] = 0, 0
    value = 0.0
    if step < 0 and lent > 0:
        value = step * lent
        s.quota[p] = lent
    if s.taken[p] > lent and s.sizes[p] <= _CLOSED * s.k:
        s.ending[p] = price_closing(s, q, p, value + s.nowhere)
        if s.ending[p] < value:
            value = s.ending[p]
            s.mode[p], s.quota[p] = 1, s.taken[p]
    return value


@numba.njit(cache=True)
def least_dear(s: Any, q: Any, seen: Any) -> Any:  # pragma: no cover - compiled
    """The pattern that adds least for each row more, what that is, and whether it closes; -1 for none."""
    at, least, whole = -1, np.inf, False
    for i in range(seen):
        p = s.touched[i]
        if s.mode[p] == 1:
            continue
        step = s.price[q] - s.price[p]
        if s.quota[p] == 0 and spare(s, p) > 0 and step < least:
            at, least, whole = p, step, False
        if s.quota[p] < s.taken[p] and s.ending[p] < np.inf:
            each = (s.ending[p] - step * s.quota[p]) / (s.taken[p] - s.quota[p])
            if each < least:
                at, least, whole = p, each, True
    return at, least, whole


@numba.njit(cache=True)
def enlist(s: Any, q: Any, seen: Any, waiting: Any) -> Any:  # pragma: no cover - compiled
    """Who gives how many rows to ``q``: the rows that come, and what it adds."""
    coming = waiting
    total = (s.price[q] - s.nowhere) * waiting
    for i in range(seen):
        total += gainful(s, q, s.touched[i])
        coming += s.quota[s.touched[i]]
    # Too few: others are lent, or their patterns closed, the least dear first.
    while coming < s.k:
        at, least, whole = least_dear(s, q, seen)
        if at < 0:
            break
        if whole:
            added = s.taken[at] - s.quota[at]
            s.mode[at], s.quota[at] = 1, s.taken[at]
        else:
            added = min(s.k - coming, spare(s, at))
            s.quota[at] = added
        coming += added
        total += added * least
    return coming, total


@numba.njit(cache=True)
def logged(s: Any, made: Any, row: Any, goal: Any) -> Any:  # pragma: no cover - compiled
    """Carry out a move and note it; what it adds."""
    source = s.shown[row]
    s.log[made, 0], s.log[made, 1] = row, source
    place(row, goal, s.shown, s.sizes, s.heads, s.after, s.before)
    return s.price[goal] - paid(s.price, s.nowhere, source)


@numba.njit(cache=True)
def come(s: Any, q: Any) -> Any:  # pragma: no cover - compiled
    """The rows enlisted show ``q``: how many they are, and what it adds."""
    made, actual = 0, 0.0
    for i in range(s.starts[q], s.starts[q + 1]):
        for row in range(s.firsts[s.able[i]], s.firsts[s.able[i] + 1]):
            source = s.shown[row]
            if source >= 0:
                if source == q or s.quota[source] == 0:
                    continue
                s.quota[source] -= 1
            actual += logged(s, made, row, q)
            made += 1
    return made, actual


@numba.njit(cache=True)
def scatter(s: Any, q: Any, seen: Any, made: Any, actual: Any) -> Any:  # pragma: no cover - compiled
    """The other rows of patterns that close go elsewhere; also whether all patterns left are sound."""
    for i in range(seen):
        p = s.touched[i]
        while s.mode[p] == 1 and s.heads[p] >= 0:
            goal = cheapest(s.pattern, s.sizes, s.units[s.heads[p]], p)
            # Another pattern that closes for this one takes no guests.
            if goal < 0 or (goal != q and s.sizes[goal] < s.k):
                return made, actual, False
            actual += logged(s, made, s.heads[p], goal)
            made += 1
    for i in range(seen):
        if 0 < s.sizes[s.touched[i]] < s.k:
            return made, actual, False
    return made, actual, True


@numba.njit(cache=True)
def open_for(s: Any, q: Any) -> Any:  # pragma: no cover - compiled
    """Open a pattern if the rows that come to it save something; what that is."""
    seen, waiting = lenders(s, q)
    coming, total = enlist(s, q, seen, waiting)
    saved = 0.0
    if coming >= s.k and total < -_SAVED:
        made, actual = come(s, q)
        made, actual, sound = scatter(s, q, seen, made, actual)
        if sound and actual < -_SAVED:
            saved = -actual
        else:
            for i in range(made - 1, -1, -1):
                place(s.log[i, 0], s.log[i, 1], s.shown, s.sizes, s.heads, s.after, s.before)
    for i in range(seen):
        p = s.touched[i]
        s.taken[p], s.mode[p], s.quota[p], s.ending[p] = 0, 0, 0, np.inf
    return saved


@numba.njit(cache=True)
def dearest_row(s: Any, bare: Any) -> Any:  # pragma: no cover - compiled
    """The first of the rows that pay most among those that can be spared; -1 if none can."""
    at = -1
    for row in range(len(s.units)):
        p = s.shown[row]
        if p != bare and s.sizes[p] > s.k and (at < 0 or s.price[p] > s.price[s.shown[at]]):
            at = row
    return at


@numba.njit(cache=True)
def house(s: Any) -> Any:  # pragma: no cover - compiled
    """Who shows nothing yet shows nothing at all; the cheapest rows to spare join them."""
    bare = s.pattern[len(s.pattern) - 1, 0]
    for row in range(len(s.units)):
        if s.shown[row] < 0:
            place(row, bare, s.shown, s.sizes, s.heads, s.after, s.before)
    while 0 < s.sizes[bare] < s.k:
        at = dearest_row(s, bare)
        if at >= 0:
            place(at, bare, s.shown, s.sizes, s.heads, s.after, s.before)
            continue
        p = -1
        for q in range(len(s.owner)):
            if q != bare and s.sizes[q] > 0 and (p < 0 or s.price[q] > s.price[p]):
                p = q
        while s.heads[p] >= 0:
            place(s.heads[p], bare, s.shown, s.sizes, s.heads, s.after, s.before)


@numba.njit(cache=True)
def shown_patterns(
    pattern: Any, owner: Any, prices: Any, units: Any, fixed: Any, k: Any, passes: Any
) -> Any:  # pragma: no cover - compiled
    """The pattern that each row shows in the end.

    Args:
        pattern: what each unit could show under each mask, shape (masks, units), -1 for nothing; masks
            by price, the last one leaving nothing.
        owner: the mask of each pattern, shape (patterns,).
        prices: what each mask costs a row, shape (masks,).
        units: the unit of each row that may move, shape (rows,), ascending.
        fixed: the rows of each unit that show all of it and stay, shape (units,).
        k: the fewest rows of a pattern that is shown.
        passes: the most passes.
    """
    s = laid_out(pattern, owner, prices, units, fixed, k)
    for _ in range(passes):
        saved = better_rows(s)
        for q in range(len(owner)):
            saved += close(s, q) if s.sizes[q] > 0 else open_for(s, q)
        if saved <= _SAVED:
            break
    house(s)
    return s.shown
