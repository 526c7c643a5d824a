"""k^m-anonymity of set-valued columns: purchases, diagnoses, places (Terrovitis, Mamoulis & Kalnis 2008).

Whoever knows up to m items of a person's basket finds at least k baskets with them. Baskets come in the
layout of compressed sparse rows: basket b has ``items[starts[b]:starts[b + 1]]``, and ``counts[b]`` people
have it. What is dropped depends on the basket and not on who has it.
"""

from __future__ import annotations

from functools import cache
from itertools import combinations
from math import comb
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sfumato.classes.grouping import LARGEST_KEY, group
from sfumato.core.errors import InputError

#: Combinations that are counted in memory at a time, eight bytes a few times over.
LARGEST_COUNT = 100_000_000

#: The most items that an attacker is taken to know.
LARGEST_M = 3


def km_violations(
    starts: NDArray[np.int64],
    items: NDArray[np.int64],
    k: int,
    m: int,
    counts: NDArray[np.int64] | None = None,
) -> list[tuple[int, ...]]:
    """The combinations of at most m items that some baskets have, but fewer than k.

    Only the smallest are listed: one that contains another of the list is left out. The list is empty
    exactly if the baskets are k^m-anonymous.

    Args:
        starts: shape (baskets + 1,), ascending from 0 to the number of items.
        items: shape (entries,), numbers from 0; an item twice in a basket counts once.
        k: the fewest baskets.
        m: the most items known, 1 to 3.
        counts: shape (baskets,), how often each basket is there, 0 for not at all; once if not given.

    Returns:
        Sorted tuples of items, by length and then by item.

    Raises:
        InputError: ``usage`` for what is no such layout, ``search-too-large`` for baskets so large that
            their combinations cannot be counted.

    >>> km_violations(np.array([0, 2, 4, 5]), np.array([0, 1, 0, 1, 0]), 2, 2)
    []
    >>> km_violations(np.array([0, 2, 4, 5]), np.array([0, 1, 0, 2, 0]), 2, 2)
    [(1,), (2,)]
    """
    rows = _checked(starts, items, k, m, counts)
    alive = _first_entries(starts, items) & (rows > 0)
    found: list[tuple[int, ...]] = []
    for size in range(1, m + 1):
        counted = _count(starts, items, alive, rows, size, m)
        rare = counted.support < k
        listed = {tuple(sorted(combo)) for combo in items[counted.entries[rare]].tolist()}
        smaller = set(found)
        found += sorted(
            combo
            for combo in listed
            if not any(set(part) < set(combo) for part in _parts(combo) if part in smaller)
        )
    return found


def suppress_values(
    starts: NDArray[np.int64],
    items: NDArray[np.int64],
    k: int,
    m: int,
    scope: Literal["local", "global"] = "local",
    counts: NDArray[np.int64] | None = None,
) -> NDArray[np.bool_]:
    """Which entries to drop so that the baskets left are k^m-anonymous, with few of them dropped.

    Locally an item leaves the baskets in which it is part of a rare combination: in each basket, items
    that hit the most rare combinations and endanger the fewest others go first, and in the end every
    entry comes back that can. Globally an item leaves all baskets, those first that end the most rare
    combinations for their entries; what is left of the table then keeps its true frequencies.

    Args:
        starts, items, k, m, counts: as :func:`km_violations`.
        scope: where an item is dropped.

    Returns:
        Shape (entries,), True where an entry goes.

    Raises:
        InputError: as :func:`km_violations`.

    >>> suppress_values(np.array([0, 2, 4, 5]), np.array([0, 1, 0, 2, 0]), 2, 2)
    array([False,  True, False,  True, False])
    """
    if scope not in ("local", "global"):
        raise InputError("usage", "items are dropped locally or globally", remedy="name one of the two")
    if scope == "global":
        return np.isin(items, global_items(starts, items, k, m, counts))
    rows = _checked(starts, items, k, m, counts)
    distinct = _first_entries(starts, items) & (rows > 0)
    alive = distinct.copy()
    size = 1
    while size <= m:
        counted = _count(starts, items, alive, rows, size, m)
        if not (counted.support < k).any():
            size += 1
            continue
        baskets = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
        frequency = np.bincount(items[alive], rows[alive], int(items.max()) + 1)[items]
        _kernels()[1](counted.entries, counted.support, baskets, rows, frequency, alive, k)
        # What was dropped may have made smaller combinations rare.
        size = 1
    _restore(starts, items, distinct, alive, rows, k, m)
    return _dropped(starts, items, alive)


def global_items(
    starts: NDArray[np.int64],
    items: NDArray[np.int64],
    k: int,
    m: int,
    counts: NDArray[np.int64] | None = None,
) -> NDArray[np.int64]:
    """The items that global suppression drops everywhere, so that what is left is k^m-anonymous.

    What becomes of a basket is then a function of the basket alone. Without these items every basket of
    the table is k^m-anonymous among them; one that is not of the table need not be.

    Args:
        starts, items, k, m, counts: as :func:`km_violations`.

    Returns:
        Sorted, each once.

    Raises:
        InputError: as :func:`km_violations`.

    >>> global_items(np.array([0, 2, 4, 5]), np.array([0, 1, 0, 2, 0]), 2, 2)
    array([1, 2])
    """
    rows = _checked(starts, items, k, m, counts)
    alive = _first_entries(starts, items) & (rows > 0)
    gone = np.zeros(0, dtype=np.int64)
    for size in range(1, m + 1):
        counted = _count(starts, items, alive, rows, size, m)
        # Whatever has none of these items is as frequent without them, so one round a size is enough.
        gone = np.append(gone, _hitting_items(items, alive, rows, counted.entries[counted.support < k]))
        alive &= ~np.isin(items, gone)
    return np.sort(gone)


def _checked(
    starts: NDArray[np.int64],
    items: NDArray[np.int64],
    k: int,
    m: int,
    counts: NDArray[np.int64] | None,
) -> NDArray[np.int64]:
    """How often the basket of each entry is there, shape (entries,)."""
    ordered = starts.ndim == 1 and len(starts) > 0 and starts[0] == 0 and (np.diff(starts) >= 0).all()
    if not ordered or items.shape != (starts[-1],) or (items < 0).any():
        raise InputError("usage", "baskets are starts from 0 to the number of items, and items from 0")
    if k < 1 or not 1 <= m <= LARGEST_M:
        raise InputError("usage", f"k must be at least 1, and m from 1 to {LARGEST_M}")
    held = np.ones(len(starts) - 1, dtype=np.int64) if counts is None else counts.astype(np.int64)
    if held.shape != (len(starts) - 1,) or (held < 0).any():
        raise InputError("usage", "counts are numbers from 0, one for each basket")
    return np.repeat(held, np.diff(starts))


def _first_entries(starts: NDArray[np.int64], items: NDArray[np.int64]) -> NDArray[np.bool_]:
    """The first entry of each item in each basket."""
    baskets = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
    order = np.lexsort((np.arange(len(items)), items, baskets))
    first = np.ones(len(items), dtype=bool)
    first[1:] = (np.diff(items[order]) != 0) | (np.diff(baskets[order]) != 0)
    found = np.zeros(len(items), dtype=bool)
    found[order] = first
    return found


def _dropped(
    starts: NDArray[np.int64], items: NDArray[np.int64], alive: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """The entries of items that are not alive in their basket, repetitions too."""
    width = int(items.max(initial=0)) + 1
    key = np.repeat(np.arange(len(starts) - 1), np.diff(starts)) * width + items
    return ~np.isin(key, key[alive])


def _parts(combo: tuple[int, ...]) -> list[tuple[int, ...]]:
    """The single items and, of three, the pairs."""
    parts: list[tuple[int, ...]] = [(item,) for item in combo]
    if len(combo) > 2:
        parts += combinations(combo, 2)
    return parts


class _Counted:
    """Combinations of one size: their entries, shape (n, size), and the rows that have the items, (n,)."""

    def __init__(self, entries: NDArray[np.int64], support: NDArray[np.int64]) -> None:
        self.entries, self.support = entries, support


def _count(
    starts: NDArray[np.int64],
    items: NDArray[np.int64],
    alive: NDArray[np.bool_],
    rows: NDArray[np.int64],
    size: int,
    m: int,
) -> _Counted:
    (entries,) = np.nonzero(alive)
    ends = np.concatenate([[0], np.cumsum(alive)])[starts]
    lengths, times = np.unique(np.diff(ends), return_counts=True)
    total = sum(comb(int(length), size) * int(n) for length, n in zip(lengths, times, strict=True))
    distinct, codes = np.unique(items[entries], return_inverse=True)
    if total > LARGEST_COUNT or max(len(distinct), 1) ** m >= LARGEST_KEY:
        raise InputError(
            "search-too-large",
            f"baskets have {total:.3g} combinations of {size} of {len(distinct)} items",
            where="anonymity",
            remedy="lower m, or put items into fewer groups first",
        )
    places, keys = _kernels()[0](ends, codes.astype(np.int64), len(distinct), size, total)
    found = entries[places]
    numbers, support = group(keys, rows[found[:, 0]])
    return _Counted(found, support[numbers])


def _hitting_items(
    items: NDArray[np.int64], alive: NDArray[np.bool_], rows: NDArray[np.int64], rare: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Items of which every rare combination has one, greedily by combinations ended for each row's entry."""
    combos = np.unique(np.sort(items[rare], axis=1), axis=0)
    frequency = np.bincount(items[alive], rows[alive])
    gone = []
    while len(combos):
        ends = np.bincount(combos.ravel(), minlength=len(frequency)) / np.maximum(frequency, 1)
        gone.append(int(np.argmax(ends)))
        combos = combos[(combos != gone[-1]).all(axis=1)]
    return np.array(gone, dtype=np.int64)


def _restore(
    starts: NDArray[np.int64],
    items: NDArray[np.int64],
    distinct: NDArray[np.bool_],
    alive: NDArray[np.bool_],
    rows: NDArray[np.int64],
    k: int,
    m: int,
) -> None:
    """Bring back each entry with whose rows all its combinations have k; in place."""
    supports: dict[tuple[int, ...], int] = {}
    for size in range(1, m + 1):
        counted = _count(starts, items, alive, rows, size, m)
        combos, first = np.unique(np.sort(items[counted.entries], axis=1), axis=0, return_index=True)
        supports.update(zip(map(tuple, combos.tolist()), counted.support[first].tolist(), strict=True))
    owners = np.searchsorted(starts, np.arange(len(items)), side="right") - 1
    for entry in np.flatnonzero(distinct & ~alive).tolist():
        basket = slice(starts[owners[entry]], starts[owners[entry] + 1])
        others = items[basket][alive[basket]].tolist()
        item, mine = int(items[entry]), int(rows[entry])
        asked: list[tuple[int, ...]] = [(item,)]
        if m > 1:
            asked += [tuple(sorted((item, one))) for one in others]
        if m > 2:
            asked += [
                tuple(sorted((item, one, two))) for i, one in enumerate(others) for two in others[i + 1 :]
            ]
        if all(supports.get(combo, 0) + mine >= k for combo in asked):
            alive[entry] = True
            for combo in asked:
                supports[combo] = supports.get(combo, 0) + mine


@cache
def _kernels() -> tuple[Any, Any]:
    """``choose`` and ``drop``."""
    import numba

    @numba.njit(cache=True)
    def choose(starts: Any, codes: Any, width: Any, size: Any, total: Any) -> Any:  # pragma: no cover
        """The places of every combination of ``size`` items of a basket, and a key for its items."""
        places = np.empty((total, size), dtype=np.int64)
        keys = np.empty(total, dtype=np.int64)
        made = 0
        held = np.empty(size, dtype=np.int64)
        for basket in range(len(starts) - 1):
            low, high = starts[basket], starts[basket + 1]
            if high - low < size:
                continue
            for j in range(size):
                held[j] = low + j
            while True:
                found = np.sort(codes[held])
                key = 0
                for j in range(size):
                    key = key * width + found[j]
                    places[made, j] = held[j]
                keys[made] = key
                made += 1
                j = size - 1
                while j >= 0 and held[j] == high - size + j:
                    j -= 1
                if j < 0:
                    break
                held[j] += 1
                for t in range(j + 1, size):
                    held[t] = held[t - 1] + 1
        return places, keys

    @numba.njit(cache=True)
    def drop(
        entries: Any, support: Any, baskets: Any, rows: Any, frequency: Any, alive: Any, k: Any
    ) -> Any:  # pragma: no cover
        """Drop entries until no basket has rare combinations, which come sorted by basket."""
        hits = np.zeros(len(alive), dtype=np.int64)
        risks = np.zeros(len(alive), dtype=np.int64)
        n, size = entries.shape
        start = 0
        while start < n:
            stop = start
            while stop < n and baskets[entries[stop, 0]] == baskets[entries[start, 0]]:
                mine = rows[entries[stop, 0]]
                for j in range(size):
                    hits[entries[stop, j]] += support[stop] < k
                    risks[entries[stop, j]] += k <= support[stop] < k + mine
                stop += 1
            while True:
                best, score = -1, 0.0
                for i in range(start, stop):
                    if support[i] >= k:
                        continue
                    for j in range(size):
                        at = entries[i, j]
                        found = hits[at] / (1.0 + risks[at])
                        better = found > score
                        if found == score and best >= 0 and hits[at] > 0:
                            better = frequency[at] > frequency[best] or (
                                frequency[at] == frequency[best] and at < best
                            )
                        if better:
                            best, score = at, found
                if best < 0:
                    break
                alive[best] = False
                for i in range(start, stop):
                    has, whole = False, True
                    for j in range(size):
                        has = has or entries[i, j] == best
                        whole = whole and (entries[i, j] == best or alive[entries[i, j]])
                    if has and whole and support[i] < k:
                        for j in range(size):
                            hits[entries[i, j]] -= 1
            start = stop

    return choose, drop
