"""The compiled part of local recoding: what covers units, their neighbours, and how they gather.

Import it inside functions, for it loads numba. The functions are no closures: those that numba keeps
on disk are found again only if they are not.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np


@numba.njit(cache=True)
def parted(codes: Any, costs: Any, starts: Any, a: Any, b: Any, most: Any = np.inf) -> Any:
    # pragma: no cover - compiled
    """What a row loses by the finest labels that cover two units; no end if that is ``most`` or more."""
    lost = 0.0
    for j in range(len(starts) - 1):
        # Labels nest: the finest that two units share is as high as they have labels apart.
        slot = starts[j]
        for at in range(starts[j], starts[j + 1] - 1):
            slot += codes[a, at] != codes[b, at]
        lost += costs[codes[a, slot]]
        if lost >= most:
            return np.inf
    return lost


@numba.njit(cache=True)
def joined(codes: Any, costs: Any, levels: Any, member: Any, unit: Any, most: Any = np.inf) -> Any:
    # pragma: no cover - compiled
    """The same of a class, given by a member and the slots of its labels, and a unit."""
    lost = 0.0
    for j in range(len(levels)):
        slot = levels[j]
        while codes[member, slot] != codes[unit, slot]:
            slot += 1
        lost += costs[codes[unit, slot]]
        if lost >= most:
            return np.inf
    return lost


@numba.njit(cache=True)
def widen(codes: Any, costs: Any, levels: Any, member: Any, unit: Any) -> Any:  # pragma: no cover
    """:func:`joined`, with the slots put up to those of the labels that cover the unit too."""
    lost = 0.0
    for j in range(len(levels)):
        slot = levels[j]
        while codes[member, slot] != codes[unit, slot]:
            slot += 1
        levels[j] = slot
        lost += costs[codes[unit, slot]]
    return lost


@numba.njit(cache=True)
def offer(found: Any, apart: Any, unit: Any, other: Any, lost: Any) -> Any:  # pragma: no cover - compiled
    """``other`` put among the neighbours of ``unit``, behind those as near, if it is not there."""
    place = len(found[unit])
    while place > 0 and apart[unit, place - 1] > lost:
        place -= 1
    at = place - 1
    while at >= 0 and apart[unit, at] == lost:
        if found[unit, at] == other:
            return
        at -= 1
    for at in range(len(found[unit]) - 1, place, -1):
        found[unit, at] = found[unit, at - 1]
        apart[unit, at] = apart[unit, at - 1]
    if place < len(found[unit]):
        found[unit, place] = other
        apart[unit, place] = lost


@numba.njit(cache=True)
def compare(
    codes: Any, costs: Any, starts: Any, order: Any, window: Any, found: Any, apart: Any
) -> Any:  # pragma: no cover - compiled
    units, last = len(order), found.shape[1] - 1
    for i in range(units):
        a = order[i]
        for other in range(i + 1, min(units, i + window + 1)):
            b = order[other]
            most = max(apart[a, last], apart[b, last])
            lost = np.float32(parted(codes, costs, starts, a, b, most))
            if lost < most:
                offer(found, apart, a, b, lost)
                offer(found, apart, b, a, lost)


@numba.njit(cache=True)
def prices(found: Any, apart: Any, counts: Any, least: Any) -> Any:  # pragma: no cover - compiled
    result = np.ones(len(found))
    for unit in range(len(found)):
        rows, lost = counts[unit], np.float32(0)
        for at in range(found.shape[1]):
            if rows >= least or found[unit, at] < 0:
                break
            rows += counts[found[unit, at]]
            lost = apart[unit, at]
        if rows >= least:
            result[unit] = lost
    return result


@numba.njit(cache=True)
def cheapest_class(
    codes: Any,
    costs: Any,
    unit: Any,
    rows: Any,
    near: Any,
    classes: Any,
    members: Any,
    levels: Any,
    paid: Any,
    sizes: Any,
) -> Any:  # pragma: no cover - compiled
    """The class of a neighbour that costs least to join, and what all rows lose by it."""
    best, least = -1, np.inf
    for other in near:
        if other >= 0 and classes[other] >= 0:
            at = classes[other]
            most = (least + paid[at] * sizes[at]) / (sizes[at] + rows)
            lost = joined(codes, costs, levels[at], members[at], unit, most)
            more = (lost - paid[at]) * sizes[at] + lost * rows
            if more < least:
                best, least = at, more
    return best, least


@numba.njit(cache=True)
def gather(
    codes: Any,
    costs: Any,
    starts: Any,
    counts: Any,
    near: Any,
    prices: Any,
    order: Any,
    least: Any,
    settled: Any,
    fewest: Any,
) -> Any:  # pragma: no cover - compiled
    units = len(codes)
    classes = np.full(units, -1, dtype=np.int64)
    members = np.empty(units, dtype=np.int64)
    levels = np.empty((units, len(starts) - 1), dtype=np.int64)
    paid, sizes = np.zeros(units), np.zeros(units, dtype=np.int64)
    company = np.empty(units, dtype=np.int64)
    asked = np.full(units, -1, dtype=np.int64)
    found = 0
    for unit in range(units):
        if settled[unit]:
            classes[unit], members[found], sizes[found] = found, unit, counts[unit]
            levels[found] = starts[:-1]
            paid[found] = widen(codes, costs, levels[found], unit, unit)
            found += 1
    for unit in order:
        if classes[unit] >= 0:
            continue
        target, joining = cheapest_class(
            codes, costs, unit, counts[unit], near[unit], classes, members, levels, paid, sizes
        )
        # The founder's company: the free neighbour that adds least beyond its price, again and again.
        members[found], levels[found] = unit, starts[:-1]
        lost = widen(codes, costs, levels[found], unit, unit)
        rows, others, spared = counts[unit], 0, 0.0
        asked[unit] = unit
        while rows < least or others < fewest:
            chosen, score = -1, np.inf
            for other in near[unit]:
                if other >= 0 and classes[other] < 0 and asked[other] != unit:
                    more = joined(codes, costs, levels[found], unit, other) - lost
                    wanted = max(1, least - rows)
                    value = more * least - prices[other] * min(counts[other], wanted)
                    if value < score:
                        chosen, score = other, value
            if chosen < 0:
                break
            asked[chosen], company[others] = unit, chosen
            others += 1
            lost = widen(codes, costs, levels[found], unit, chosen)
            rows += counts[chosen]
            spared += prices[chosen] * counts[chosen]
        if target >= 0 and (rows < least or others < fewest or lost * rows - spared > joining):
            paid[target] = widen(codes, costs, levels[target], members[target], unit)
            sizes[target] += counts[unit]
            classes[unit] = target
            continue
        classes[unit], paid[found], sizes[found] = found, lost, rows
        for other in company[:others]:
            classes[other] = found
        found += 1
    return classes, members[:found].copy(), levels[:found].copy()
