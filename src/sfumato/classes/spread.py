"""Figures of how a sensitive column is spread over classes, one number a class.

Each takes a :class:`~sfumato.classes.contingency.Contingency`, gives an array of shape (classes,) and
costs as much as there are entries, never classes times values. A class of nobody discloses nothing: its
distances and gains are 0.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sfumato.classes.contingency import Contingency

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: Rounding is no breach: a figure beyond its bound by no more than this counts as at the bound. Where a
#: definition asks for less than the bound, one short of it by no more than this counts as at it, too.
TOLERANCE = 1e-9


def totals(spread: Contingency) -> Ints:
    """People of each class."""
    upto = np.concatenate([[0], np.cumsum(spread.counts)])
    return np.asarray(upto[spread.starts[1:]] - upto[spread.starts[:-1]], dtype=np.int64)


def distinct(spread: Contingency) -> Ints:
    """Values that occur in each class."""
    return np.asarray(np.diff(spread.starts), dtype=np.int64)


def heaviest(spread: Contingency) -> Ints:
    """People of each class with its most frequent value."""
    found: Ints = _most(spread, spread.counts, np.int64(0))
    return found


def rest(spread: Contingency, rank: int) -> Ints:
    """People of each class without its ``rank - 1`` most frequent values: r_l + ... + r_m for l = ``rank``.

    >>> spread = Contingency(np.array([0, 3]), np.arange(3), np.array([1, 5, 2]), np.array([4, 9, 2]))
    >>> rest(spread, 2)
    array([3])
    """
    found: Ints = _rest()(spread.starts, spread.counts, rank)
    return found


def entropy(spread: Contingency) -> Floats:
    """Shannon's entropy of each class in nats."""
    people = np.maximum(totals(spread), 1)
    return np.asarray(np.log(people) - _sum(spread, spread.counts * np.log(spread.counts)) / people)


def grassberger_entropy(spread: Contingency) -> Floats:
    """The entropy in nats of what each class is a sample of (Grassberger 2003, *arXiv:physics/0307138*).

    The estimate corrects for small samples and can exceed the log of the values seen; it is cut there,
    for nobody is hidden among values that his class does not have.
    """
    if not len(spread.counts):
        return np.zeros(len(spread.starts) - 1)
    people = np.maximum(totals(spread), 1)
    weights = _grassberger(int(spread.counts.max()))[spread.counts]
    found = np.log(people) - _sum(spread, spread.counts * weights) / people
    return np.asarray(np.minimum(found, np.log(np.maximum(distinct(spread), 1))), dtype=np.float64)


def gain(spread: Contingency) -> Floats:
    """The largest (q - p) / p over the values of each class, q their share in it and p in the table."""
    q, p = _shares(spread)
    found: Floats = _most(spread, _ratio(q, p) - 1, np.float64(0))
    return found


def gain_beyond_information(spread: Contingency) -> Floats:
    """By how much the gain of any value passes -ln p, at most; negative where that of none does."""
    q, p = _shares(spread)
    with np.errstate(divide="ignore"):
        information = -np.log(p)
    over = np.where(q > p, _ratio(q, p) - 1 - information, -np.inf)
    found: Floats = _most(spread, over, np.float64(-np.inf))
    return found


def disclosure(spread: Contingency) -> Floats:
    """The largest abs(ln(q / p)) over the values that occur in each class."""
    q, p = _shares(spread)
    found: Floats = _most(spread, np.abs(np.log(_ratio(q, p))), np.float64(0))
    return found


def equal_distance(spread: Contingency) -> Floats:
    """The earth mover's distance to the table where all values are equally far (total variation)."""
    found: Floats = _equal()(spread.starts, spread.values, spread.counts, overall_shares(spread))
    return found


def ordered_distance(spread: Contingency) -> Floats:
    """The earth mover's distance to the table where m values are 1 / (m - 1) apart, in their order.

    Li, Li & Venkatasubramanian 2007, *t-closeness*, 5.1.
    """
    upto = np.cumsum(spread.overall)
    found: Floats = _ordered()(
        spread.starts, spread.values, spread.counts, upto, np.concatenate([[0], np.cumsum(upto)])
    )
    return found


def hierarchical_distance(spread: Contingency) -> Floats:
    """The earth mover's distance to the table where two values are as far as their first common label.

    A label at level i of a tree of levels 0..H costs i / H (Li, Li & Venkatasubramanian 2007, 5.2).

    Raises:
        ValueError: the contingency has no tree.
    """
    tree = spread.nodes
    if tree is None:
        raise ValueError("the contingency has no tree")
    found: Floats = _hierarchical()(
        spread.starts, tree.leaves[spread.values], spread.counts, tree.parents, tree.shares, tree.heights
    )
    return found


def overall_shares(spread: Contingency) -> Floats:
    """The share of each value in the table."""
    found: Floats = spread.overall / max(1, int(spread.overall.sum()))
    return found


def _shares(spread: Contingency) -> tuple[Floats, Floats]:
    """Of each entry, the value's share in the class and in the table."""
    people = np.repeat(totals(spread), np.diff(spread.starts))
    return spread.counts / people, overall_shares(spread)[spread.values]


def _ratio(q: Floats, p: Floats) -> Floats:
    """q / p; without end where the table has nobody with the value."""
    found: Floats = np.divide(q, p, out=np.full(len(q), np.inf), where=p > 0)
    return found


def _occupied(spread: Contingency) -> tuple[NDArray[np.bool_], Ints]:
    """Which classes have entries, and where those of each begin."""
    has = spread.starts[1:] > spread.starts[:-1]
    return has, spread.starts[:-1][has]


def _sum(spread: Contingency, figures: NDArray[Any]) -> Floats:
    has, starts = _occupied(spread)
    found = np.zeros(len(has))
    if len(starts):
        found[has] = np.add.reduceat(figures, starts)
    return found


def _most(spread: Contingency, figures: NDArray[Any], nobody: Any) -> Any:
    has, starts = _occupied(spread)
    found = np.full(len(has), nobody)
    if len(starts):
        found[has] = np.maximum.reduceat(figures, starts)
    return found


def _grassberger(largest: int) -> Floats:
    """Grassberger's G(n) for n in 0..largest; G(2n + 1) = G(2n), G(2n + 2) = G(2n) + 2 / (2n + 1)."""
    pairs = np.arange(largest // 2 + 1)
    steps = np.where(pairs > 0, 2 / np.maximum(2 * pairs - 1, 1), 0.0)
    return np.asarray(np.repeat(np.cumsum(steps) - np.euler_gamma - np.log(2), 2)[: largest + 1])


@cache
def _equal() -> Any:
    import numba

    @numba.njit(cache=True)
    def kernel(starts: Any, values: Any, counts: Any, shares: Any) -> Any:  # pragma: no cover - compiled
        found = np.zeros(len(starts) - 1)
        for c in range(len(found)):
            people = counts[starts[c] : starts[c + 1]].sum()
            for e in range(starts[c], starts[c + 1]):
                found[c] += max(0.0, counts[e] / people - shares[values[e]])
        return found

    return kernel


@cache
def _rest() -> Any:
    import numba

    @numba.njit(cache=True)
    def kernel(starts: Any, counts: Any, rank: Any) -> Any:  # pragma: no cover - compiled
        found = np.zeros(len(starts) - 1, dtype=np.int64)
        few = rank <= 8
        highest = np.zeros(max(rank - 1, 1) if few else 1, dtype=np.int64)
        for c in range(len(found)):
            if starts[c + 1] - starts[c] < rank:
                continue
            if not few:
                ascending = np.sort(counts[starts[c] : starts[c + 1]])
                found[c] = ascending[: len(ascending) - rank + 1].sum()
                continue
            highest[:] = 0
            for e in range(starts[c], starts[c + 1]):
                # What falls out of the highest so far is one of the rest.
                count = counts[e]
                for i in range(rank - 1):
                    if count > highest[i]:
                        count, highest[i] = highest[i], count
                found[c] += count
        return found

    return kernel


@cache
def _ordered() -> Any:
    """Between two values that a class has, its cumulative share stays; that of the table, known as sums
    of sums, crosses it at most once."""
    import numba

    @numba.njit(cache=True)
    def kernel(starts: Any, values: Any, counts: Any, upto: Any, sums: Any) -> Any:  # pragma: no cover
        found = np.zeros(len(starts) - 1)
        last = len(upto) - 1
        if last <= 0:
            return found
        everybody = upto[last]
        for c in range(len(found)):
            people = counts[starts[c] : starts[c + 1]].sum()
            if people == 0:
                continue
            distance, before, low = 0.0, 0, 0
            for e in range(starts[c], starts[c + 1] + 1):
                high = last if e == starts[c + 1] else min(values[e], last)
                # The first place where the table has caught up with the class.
                left, right = low, high
                while left < right:
                    middle = (left + right) // 2
                    if upto[middle] * people >= before * everybody:
                        right = middle
                    else:
                        left = middle + 1
                share = before / people
                distance += (left - low) * share - (sums[left] - sums[low]) / everybody
                distance += (sums[high] - sums[left]) / everybody - (high - left) * share
                if e < starts[c + 1]:
                    before += counts[e]
                low = high
            found[c] = distance / last
        return found

    return kernel


@cache
def _hierarchical() -> Any:
    """Level by level from the values that a class has; under any other label nothing has to move."""
    import numba

    @numba.njit(cache=True)
    def kernel(
        starts: Any, leaves: Any, counts: Any, parents: Any, shares: Any, heights: Any
    ) -> Any:  # pragma: no cover - compiled
        found = np.zeros(len(starts) - 1)
        mass, surplus = np.zeros(len(parents)), np.zeros(len(parents))
        seen = np.full(len(parents), -1)
        nodes = np.empty(len(parents), dtype=np.int64)
        for c in range(len(found)):
            people = counts[starts[c] : starts[c + 1]].sum()
            touched = 0
            for e in range(starts[c], starts[c + 1]):
                node = leaves[e]
                if seen[node] != c:
                    seen[node] = c
                    nodes[touched] = node
                    touched += 1
                mass[node] += counts[e] / people
            at = 0
            # Nodes join the end of the list as their first child is done, so parents follow children.
            while at < touched:
                node = nodes[at]
                extra = mass[node] - shares[node]
                found[c] += heights[node] * max(0.0, min(surplus[node], surplus[node] - extra))
                parent = parents[node]
                if parent != node:
                    if seen[parent] != c:
                        seen[parent] = c
                        nodes[touched] = parent
                        touched += 1
                    mass[parent] += mass[node]
                    surplus[parent] += max(0.0, extra)
                at += 1
            for i in range(touched):
                mass[nodes[i]] = surplus[nodes[i]] = 0.0
        return found

    return kernel
