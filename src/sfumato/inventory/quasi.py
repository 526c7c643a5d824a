"""Sets of columns that single people out: the smallest first, in a bounded search.

All sets of a size are counted as long as the budget allows; beyond that the search goes on from the
best sets so far (a beam), and from the best one until half and 95 % of the rows are singled out.
Finding the smallest such set is NP-hard (Motwani & Xu 2007), so a larger table gets good sets and
not provably smallest ones.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from math import comb

import numpy as np
from numpy.typing import NDArray

from sfumato.core.values import QuasiSet
from sfumato.inventory.profile import Measured, separation, unique_share

#: At most so many sets, and so many rows counted over all sets.
MOST_SETS, MOST_ROWS = 2000, 50_000_000
LARGEST = 4
_BEAM, _SHOWN, _A_SIZE = 12, 15, 3
#: A set is shown if it singles out this much more of the rows than each of its subsets shown.
_GAIN = 0.01
_GOALS = (0.5, 0.95)
_GREEDY = 10

Members = tuple[int, ...]


class _Counter:
    """Counts sets of columns, each once, within the budget."""

    def __init__(self, columns: Sequence[Measured], person: NDArray[np.int64] | None) -> None:
        self.columns, self.person = columns, person
        self.rows = len(columns[0].codes)
        self.left = max(60, min(MOST_SETS, MOST_ROWS // max(1, self.rows)))
        self.found: dict[Members, QuasiSet] = {
            (i,): QuasiSet(columns=(column.name,), unique_share=column.unique, separation=column.separation)
            for i, column in enumerate(columns)
        }
        self._codes: dict[Members, tuple[NDArray[np.int64], int]] = {
            (i,): _compact(column.codes, column.width) for i, column in enumerate(columns)
        }

    def count(self, members: Members) -> None:
        """Add a set to :attr:`found`, unless it is there or the budget is spent."""
        if members in self.found or self.left <= 0:
            return
        self.left -= 1
        codes, width = self._combined(members)
        self.found[members] = QuasiSet(
            columns=tuple(self.columns[i].name for i in members),
            unique_share=unique_share(codes, width, self.person),
            separation=separation(np.bincount(codes, minlength=1)),
        )

    def keep(self, sets: Iterable[Members]) -> None:
        """Hold the codes of sets that will be extended, and of no others but the single columns."""
        kept = {members: self._combined(members) for members in sets}
        self._codes = {members: code for members, code in self._codes.items() if len(members) == 1} | kept

    def _combined(self, members: Members) -> tuple[NDArray[np.int64], int]:
        if members in self._codes:
            return self._codes[members]
        base = next((m for m in combinations(members, len(members) - 1) if m in self._codes), members[:1])
        codes, width = self._codes[base]
        for i in members:
            if i not in base:
                more, wide = self._codes[(i,)]
                codes, width = _compact(codes * wide + more, width * wide)
        return codes, width

    def rank(self, members: Members) -> tuple[float, float, Members]:
        """Sorts the sets that single out most first; the table's order breaks ties."""
        found = self.found[members]
        return (-found.unique_share, -found.separation, members)


def quasi_sets(
    columns: Sequence[Measured],
    functions: Mapping[str, tuple[str, ...]],
    person: NDArray[np.int64] | None = None,
) -> tuple[QuasiSet, ...]:
    """The sets of columns worth knowing, smallest first, then by the share of rows singled out.

    Args:
        columns: the candidates, measured.
        functions: as :func:`sfumato.inventory.dependence.functions` gives them; a set that holds a
            column and a function of it is skipped, for the function adds nothing.
        person: shape (rows,), the person of each row; without it each row is one.

    Returns:
        At most 15 sets. The best of each size up to 4 is among them unless one of its subsets does
        nearly as well, and, if any was found, one each that singles out half and 95 % of the rows.
    """
    columns = _worth_counting(columns, functions)
    if not columns:
        return ()
    adds = _independent(columns, functions)
    counter = _Counter(columns, person)
    for size in range(2, min(LARGEST, len(columns)) + 1):
        _search(counter, adds, size)
    _greedy(counter, adds)
    return tuple(counter.found[members] for members in _shown(counter))


def _search(counter: _Counter, adds: NDArray[np.bool_], size: int) -> None:
    """Count sets of a size: all of them if they fit in half of what is left, else a beam's extensions."""
    n = len(counter.columns)
    smaller = sorted((m for m in counter.found if len(m) == size - 1), key=counter.rank)
    if comb(n, size) <= max(counter.left // 2, 1):
        counter.keep(smaller[: 4 * _BEAM])
        for members in combinations(range(n), size):
            if _all_add(members, adds):
                counter.count(members)
        return
    share = counter.left // (LARGEST + 2 - size)
    beam = smaller[:_BEAM]
    # Wide tables: each set of the beam is tried with the columns that tell most rows apart.
    order = sorted(range(n), key=lambda i: (-counter.columns[i].separation, i))
    stop = counter.left - share
    for members in beam:
        counter.keep([members])
        for i in order[: max(2, share // len(beam))]:
            larger = tuple(sorted({*members, i}))
            if len(larger) == size and _all_add(larger, adds) and counter.left > stop:
                counter.count(larger)


def _greedy(counter: _Counter, adds: NDArray[np.bool_]) -> None:
    """Extend the best set column by column until the last goal, the tenth column or the budget."""
    best = min(counter.found, key=lambda m: (counter.rank(m)[0], len(m), counter.rank(m)))
    order = sorted(range(len(counter.columns)), key=lambda i: (-counter.columns[i].separation, i))
    while counter.found[best].unique_share < _GOALS[-1] and len(best) < _GREEDY and counter.left > 0:
        counter.keep([best])
        larger = [tuple(sorted({*best, i})) for i in order if i not in best]
        larger = [members for members in larger if _all_add(members, adds)][: max(1, counter.left // 2)]
        for members in larger:
            counter.count(members)
        grown = [members for members in larger if members in counter.found]
        if not grown:
            return
        candidate = min(grown, key=counter.rank)
        if counter.found[candidate].unique_share - counter.found[best].unique_share < _GAIN / 10:
            return
        best = candidate


def _shown(counter: _Counter) -> list[Members]:
    """The best few of each size that beat their subsets, and those that reach the goals."""
    shown: list[Members] = []
    ranked = sorted(counter.found, key=counter.rank)
    for size in range(1, LARGEST + 1):
        room = _A_SIZE
        for members in ranked:
            if room and len(members) == size and _gains(members, shown, counter.found):
                shown.append(members)
                room -= 1
    for goal in _GOALS:
        reaching = [m for m, found in counter.found.items() if found.unique_share >= goal]
        if reaching:
            smallest = min(reaching, key=lambda m: (len(m), counter.rank(m)))
            if smallest not in shown:
                shown.append(smallest)
    shown.sort(key=lambda m: (len(m), counter.rank(m)))
    return shown[:_SHOWN] or ranked[:1]


def _gains(members: Members, shown: Sequence[Members], found: Mapping[Members, QuasiSet]) -> bool:
    subsets = [found[other].unique_share for other in shown if set(other) < set(members)]
    return found[members].unique_share >= max(subsets, default=0.0) + _GAIN


def _worth_counting(columns: Sequence[Measured], functions: Mapping[str, tuple[str, ...]]) -> list[Measured]:
    """The columns without constant ones, and of columns that give each other away the first only."""
    kept: list[Measured] = []
    for column in columns:
        twins = (k for k in kept if k.name in functions.get(column.name, ()))
        twin = any(column.name in functions.get(k.name, ()) for k in twins)
        if column.values_seen > 1 and not twin:
            kept.append(column)
    return kept


def _independent(columns: Sequence[Measured], functions: Mapping[str, tuple[str, ...]]) -> NDArray[np.bool_]:
    """Shape (columns, columns): whether neither of two columns is a function of the other."""
    n = len(columns)
    adds = np.ones((n, n), dtype=np.bool_)
    for i, x in enumerate(columns):
        for j, y in enumerate(columns):
            if i != j and x.name in functions.get(y.name, ()):
                adds[i, j] = adds[j, i] = False
    return adds


def _all_add(members: Members, adds: NDArray[np.bool_]) -> bool:
    return all(adds[i, j] for i, j in combinations(members, 2))


def _compact(codes: NDArray[np.int64], width: int) -> tuple[NDArray[np.int64], int]:
    """The codes numbered from 0 without gaps, and how many there are."""
    if width <= 4 * len(codes) + 1024:
        used = np.flatnonzero(np.bincount(codes, minlength=1))
        numbers = np.empty(int(codes.max(initial=0)) + 1, dtype=np.int64)
        numbers[used] = np.arange(len(used))
        return numbers[codes], len(used)
    used, codes = np.unique(codes, return_inverse=True)
    return codes.astype(np.int64), len(used)
