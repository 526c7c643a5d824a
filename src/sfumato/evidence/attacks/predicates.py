"""Predicates that an attacker derives from a release alone, and how many people meet them.

A predicate is a conjunction of conditions, each an interval of one column's codes, and is aimed at one
released row that meets it. What is left of several people is thinned by a condition that has nothing to
do with the release and that each meets with probability w (Cohen & Nissim 2020, *Towards formalizing the
GDPR's notion of singling out*, PNAS 117:8344-8352): of c people it isolates one with c w (1 - w)^(c - 1).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sfumato.contracts import Comparison
from sfumato.core.keyed import derive, generator
from sfumato.evidence.attacks.terms import Column, encode

#: Distinct values from either end of a column of numbers at which tails are cut.
TAILS = 20


@dataclass(frozen=True)
class Crowd:
    """Rows or people in codes, shape (columns, people), and what covers what where labels overlap.

    ``tables`` has None for a column whose codes are compared.
    """

    codes: NDArray[np.int32]
    tables: tuple[NDArray[np.bool_] | None, ...]

    @cached_property
    def sorted(self) -> NDArray[np.int32]:
        """The people in the order of each column's codes, same shape."""
        return np.argsort(self.codes, axis=1, kind="stable").astype(np.int32)

    def between(
        self, column: int, low: NDArray[np.int32], high: NDArray[np.int32]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Where in the order of a column's codes each interval begins and ends."""
        codes = self.codes[column][self.sorted[column]]
        first, last = np.searchsorted(codes, low, side="left"), np.searchsorted(codes, high, side="right")
        return first, np.maximum(first, last)


@dataclass(frozen=True)
class World:
    """A release in codes: its rows, the people it was made from, and the control."""

    columns: tuple[Column, ...]
    rows: Crowd
    original: Crowd
    control: Crowd

    @classmethod
    def of(
        cls,
        comparison: Comparison,
        names: Sequence[str],
        released: pl.DataFrame,
        original: pl.DataFrame,
        control: pl.DataFrame,
    ) -> World:
        """Some columns of a release; people are as ``describe`` leaves them."""
        columns = tuple(
            encode(comparison, name, released[name], (original[name], control[name])) for name in names
        )
        tables = tuple(column.covers for column in columns)
        return cls(
            columns,
            Crowd(np.stack([column.rows for column in columns]), (None,) * len(columns)),
            Crowd(np.stack([column.people[0] for column in columns]), tables),
            Crowd(np.stack([column.people[1] for column in columns]), tables),
        )


@dataclass(frozen=True)
class Predicates:
    """Intervals of codes and the order of the conditions, shape (predicates, columns) each.

    ``used`` is how many of the conditions count, ``target`` the released row aimed at, ``left`` the
    released rows that meet the predicate, shape (predicates,) each.
    """

    low: NDArray[np.int32]
    high: NDArray[np.int32]
    order: NDArray[np.int64]
    used: NDArray[np.int64]
    target: NDArray[np.int64]
    left: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.used)

    @cached_property
    def _distinct(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """One predicate of each that say the same, and which one stands for each."""
        many, columns = self.low.shape
        unused = np.ones((many, columns), dtype=bool)
        place = np.arange(columns)[None] < self.used[:, None]
        unused[np.nonzero(place)[0], self.order[place]] = False
        said = np.concatenate([np.where(unused, -9, self.low), np.where(unused, -9, self.high)], axis=1)
        _, one, each = np.unique(said, axis=0, return_index=True, return_inverse=True)
        return one, each.ravel()

    def met(self, crowd: Crowd, marks: NDArray[np.uint64], sets: int) -> NDArray[np.int64]:
        """How many of a crowd, of each marked set, meet each predicate, shape (predicates, sets)."""
        from sfumato.evidence.attacks.predicate_kernels import matches

        one, each = self._distinct
        low, high, order, used = self.low[one], self.high[one], self.order[one], self.used[one]
        size = crowd.codes.shape[1]
        first, last = np.zeros(len(one), dtype=np.int64), np.full(len(one), size, dtype=np.int64)
        at = np.zeros(len(one), dtype=np.int64)
        for j, table in enumerate(crowd.tables):
            if table is not None:
                continue
            begin, end = crowd.between(j, low[:, j], high[:, j])
            better = self._conditions(j)[one] & (end - begin < last - first)
            first[better], last[better], at[better] = begin[better], end[better], j
        widths = [0 if table is None else table.shape[1] for table in crowd.tables]
        sizes = [0 if table is None else table.size for table in crowd.tables]
        places = np.cumsum([0, *sizes])[:-1]
        starts = np.where([table is None for table in crowd.tables], -1, places)
        flat = [table.ravel() for table in crowd.tables if table is not None]
        found: NDArray[np.int64] = matches(
            low, high, order, used, crowd.codes, crowd.sorted, first, last, at,
            np.concatenate([np.zeros(0, dtype=bool), *flat]), starts, np.array(widths), marks, sets,
        )  # fmt: skip
        return found[each]

    def sureness(self, world: World) -> NDArray[np.float64]:
        """How sure the attacker is of each, in 0..1: fewest rows left first, then the most surprising."""
        surprise = self.surprise(world)
        order = np.lexsort((surprise, -self.left))
        ordered = np.stack([self.left[order], surprise[order]])
        tied = np.cumsum(np.r_[False, (ordered[:, 1:] != ordered[:, :-1]).any(axis=0)])
        rank = np.empty(len(self))
        rank[order] = tied / max(1, len(self))
        return rank

    def blind(self, world: World, key: bytes) -> Predicates:
        """As many predicates on the same columns, each condition that of a predicate drawn for it."""
        draw = generator(key)
        low, high = np.empty_like(self.low), np.empty_like(self.high)
        for j in range(low.shape[1]):
            drawn = draw.integers(0, len(self), len(self))
            low[:, j], high[:, j] = self.low[drawn, j], self.high[drawn, j]
        blind = replace(self, low=low, high=high)
        expected = world.rows.codes.shape[1] * np.exp(-blind.surprise(world))
        return replace(blind, left=np.maximum(1, np.rint(expected)).astype(np.int64))

    def surprise(self, world: World) -> NDArray[np.float64]:
        """Minus the logarithm of the share of rows that would meet it if columns were independent."""
        total = np.zeros(len(self))
        many = world.rows.codes.shape[1]
        for j in range(len(world.columns)):
            first, last = world.rows.between(j, self.low[:, j], self.high[:, j])
            total -= np.where(self._conditions(j), np.log(np.maximum(last - first, 0.5) / many), 0.0)
        return total

    def _conditions(self, column: int) -> NDArray[np.bool_]:
        counts = np.arange(self.order.shape[1])[None] < self.used[:, None]
        return np.asarray(((self.order == column) & counts).any(axis=1), dtype=bool)


def isolated(
    people: NDArray[np.int64], among: NDArray[np.int64], left: NDArray[np.int64]
) -> NDArray[np.float64]:
    """The chance that exactly one person is left and is one of ``people``, of ``among`` who match.

    The attacker thins a predicate that ``left`` released rows meet with w = 1 / left.

    >>> isolated(np.array([1, 2, 0]), np.array([1, 2, 0]), np.array([1, 2, 1])).tolist()
    [1.0, 0.5, 0.0]
    """
    weight = 1 / np.maximum(1, left)
    return np.asarray(people * weight * (1 - weight) ** np.maximum(0, among - 1), dtype=np.float64)


def univariate(world: World, most: int, key: bytes) -> Predicates:
    """Rare values, missing ones among them, and tails of numbers: those that fewest rows meet."""
    many = world.rows.codes.shape[1]
    shuffled = generator(derive(key, "single columns")).permutation(many)
    found = [_of_column(column, j, shuffled) for j, column in enumerate(world.columns)]
    rank, left, at, low, high, target = (np.concatenate(part) for part in zip(*found, strict=True))
    chosen = np.lexsort((at, rank, left))[:most]
    lows = np.zeros((len(chosen), len(world.columns)), dtype=np.int32)
    highs = lows.copy()
    every = np.arange(len(chosen))
    lows[every, at[chosen]], highs[every, at[chosen]] = low[chosen], high[chosen]
    order = np.zeros(lows.shape, dtype=np.int64)
    order[:, 0] = at[chosen]
    return Predicates(lows, highs, order, np.ones(len(chosen), np.int64), target[chosen], left[chosen])


def _of_column(column: Column, number: int, shuffled: NDArray[np.int64]) -> tuple[NDArray[np.int64], ...]:
    """Rank among equals, rows left, column, interval and target of every predicate of a column."""
    codes, first, counts = np.unique(column.rows[shuffled], return_index=True, return_counts=True)
    target = shuffled[first]
    low, high, left, aimed = [codes], [codes], [counts], [target]
    tails = np.flatnonzero(codes < column.ordered)
    if len(tails) > 2:
        below, above = tails[:TAILS], tails[::-1][:TAILS]
        low += [np.zeros(len(below), dtype=np.int64), codes[above]]
        high += [codes[below], np.full(len(above), column.ordered - 1)]
        left += [np.cumsum(counts[below]), np.cumsum(counts[above])]
        aimed += [target[below], target[above]]
    lows, highs, lefts, targets = (np.concatenate(part).astype(np.int64) for part in (low, high, left, aimed))
    # Among equals by the place of their targets in the shuffled rows, so that no value comes first.
    place = np.argsort(shuffled)[targets]
    order = np.lexsort((place, lefts))
    ordered = lefts[order]
    starts = np.searchsorted(ordered, ordered)
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order)) - starts
    return rank, lefts, np.full(len(lefts), number), lows, highs, targets


def whole_rows(world: World, targets: NDArray[np.int64]) -> Predicates:
    """Everything that the release says of a row, the most telling column first."""
    codes = np.ascontiguousarray(world.rows.codes[:, targets].T)
    telling = np.argsort([_repeat(column) for column in world.columns], kind="stable")
    order = np.tile(telling, (len(targets), 1)).astype(np.int64)
    used, left = _shorten(world, codes, codes, order)
    return Predicates(codes, codes, order, np.full_like(used, len(telling)), targets, np.maximum(1, left))


def few_conditions(world: World, targets: NDArray[np.int64], key: bytes) -> Predicates:
    """Values of a row, column after column in a keyed order, until no other row has them."""
    codes = np.ascontiguousarray(world.rows.codes[:, targets].T)
    return _shortest(world, codes, codes, targets, key)


def broad_conditions(world: World, targets: NDArray[np.int64], key: bytes) -> Predicates:
    """The same with numbers at least (above the median) or at most what the row has."""
    codes = np.ascontiguousarray(world.rows.codes[:, targets].T)
    low, high = codes.copy(), codes.copy()
    for j, column in enumerate(world.columns):
        numbers = column.rows[column.rows < column.ordered]
        if not len(numbers):
            continue
        middle = np.median(numbers)
        known = codes[:, j] < column.ordered
        high[known & (codes[:, j] >= middle), j] = column.ordered - 1
        low[known & (codes[:, j] < middle), j] = 0
    return _shortest(world, low, high, targets, key)


def _shortest(
    world: World, low: NDArray[np.int32], high: NDArray[np.int32], targets: NDArray[np.int64], key: bytes
) -> Predicates:
    order = np.argsort(generator(key).random(low.shape), axis=1).astype(np.int64)
    used, left = _shorten(world, low, high, order)
    return Predicates(low, high, order, used, targets, np.maximum(1, left))


def _shorten(
    world: World, low: NDArray[np.int32], high: NDArray[np.int32], order: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    from sfumato.evidence.attacks.predicate_kernels import shorten

    first, last = np.zeros((2, len(low)), dtype=np.int64)
    for j in range(low.shape[1]):
        here = order[:, 0] == j
        first[here], last[here] = world.rows.between(j, low[here, j], high[here, j])
    used, left = shorten(low, high, order, world.rows.codes, world.rows.sorted, first, last)
    return used, left


def _repeat(column: Column) -> float:
    """The chance that two rows have the same code."""
    counts = np.bincount(column.rows) / len(column.rows)
    return float(counts @ counts)
