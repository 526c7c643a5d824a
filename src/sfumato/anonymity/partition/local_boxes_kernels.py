"""The compiled part of :mod:`local_boxes`; it loads numba: import it inside functions."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

#: Boxes that rows would have to overpay by so much are looked at in every ``SELDOM``-th pass only.
SLACK, SELDOM = 0.01, 5


@numba.njit(cache=True)
def pairs(codes: Any, starts: Any, near: Any, nodes: Any) -> Any:  # pragma: no cover - compiled
    """How often each combination of levels is the finest that covers a unit and one near it."""
    tally = np.zeros(nodes, dtype=np.int64)
    for unit in range(len(codes)):
        for other in near[unit]:
            if other < 0:
                break
            node, below = 0, 1
            for j in range(len(starts) - 1):
                for slot in range(starts[j], starts[j + 1] - 1):
                    node += below * (codes[unit, slot] != codes[other, slot])
                below *= starts[j + 1] - starts[j]
            tally[node] += 1
    return tally


@numba.njit(cache=True)
def group_at(
    codes: Any, costs: Any, numbers: Any, slots: Any, table: Any, keys: Any, groups: Any, bills: Any
) -> Any:  # pragma: no cover - compiled
    """The box of each unit at a combination of levels and boxes' costs of a row; how many boxes."""
    units, found, mask = codes.shape[1], 0, np.uint64(len(table) - 1)
    sums, paid = np.zeros(units, dtype=np.uint64), np.zeros(units)
    table[:] = -1
    for slot in slots:
        for unit in range(units):
            sums[unit] += numbers[codes[slot, unit]]
            paid[unit] += costs[codes[slot, unit]]
    for unit in range(units):
        at = (sums[unit] ^ (sums[unit] >> np.uint64(29))) & mask
        while table[at] >= 0 and keys[table[at]] != sums[unit]:
            at = (at + np.uint64(1)) & mask
        if table[at] < 0:
            table[at], keys[found], bills[found] = found, sums[unit], paid[unit]
            found += 1
        groups[unit] = table[at]
    return found


@numba.njit(cache=True)
def room_for(units: Any) -> Any:  # pragma: no cover - compiled
    """A table for :func:`group_at`, and its keys, groups and bills."""
    size = 2
    while size < 2 * units:
        size *= 2
    keys, groups = np.empty(units, dtype=np.uint64), np.empty(units, dtype=np.int32)
    return np.empty(size, dtype=np.int32), keys, groups, np.empty(units)


@numba.njit(cache=True)
def lowest(
    codes: Any, costs: Any, numbers: Any, nodes: Any, counts: Any, least: Any
) -> Any:  # pragma: no cover - compiled
    """What a row of each unit pays in the cheapest box with ``least`` rows, 1 if there is none."""
    units = codes.shape[1]
    table, keys, groups, bills = room_for(units)
    low, rows = np.ones(units), np.empty(units, dtype=np.int64)
    for i in range(len(nodes)):
        rows[: group_at(codes, costs, numbers, nodes[i], table, keys, groups, bills)] = 0
        for unit in range(units):
            rows[groups[unit]] += counts[unit]
        for unit in range(units):
            if rows[groups[unit]] >= least:
                low[unit] = min(low[unit], bills[groups[unit]])
    return low


@numba.njit(cache=True)
def dearest(
    prices: Any, rows: Any, units: Any, begun: Any, end: Any, least: Any, chosen: Any, paid: Any
) -> Any:
    # pragma: no cover - compiled
    """The sum of the prices of a box's ``least`` dearest rows, which are ``chosen``; -inf if it has fewer."""
    found = 0
    for i in range(begun, end):
        unit = units[i]
        price = prices[unit]
        for _ in range(min(rows[unit], least)):
            if found == least and price <= paid[least - 1]:
                break
            place = found if found < least else least - 1
            found = min(found + 1, least)
            while place > 0 and paid[place - 1] < price:
                paid[place], chosen[place] = paid[place - 1], chosen[place - 1]
                place -= 1
            paid[place], chosen[place] = price, unit
    return paid.sum() if found == least else -np.inf


@numba.njit(cache=True)
def wastes(
    prices: Any, rows: Any, units: Any, ends: Any, costs: Any, least: Any
) -> Any:  # pragma: no cover - compiled
    """How much more each box costs ``least`` rows than the prices of its dearest."""
    result = np.empty(len(ends))
    chosen, paid, begun = np.empty(least, dtype=np.int64), np.empty(least), 0
    for i in range(len(ends)):
        result[i] = least * costs[i] - dearest(prices, rows, units, begun, ends[i], least, chosen, paid)
        begun = ends[i]
    return result


@numba.njit(cache=True)
def boxes(
    codes: Any, costs: Any, numbers: Any, nodes: Any, counts: Any, least: Any, most: Any, entries: Any
) -> Any:  # pragma: no cover - compiled
    """Boxes that prices of at most ``most`` can reach: units, ends and costs; at most so many ``entries``."""
    many = codes.shape[1]
    table, keys, groups, bills = room_for(many)
    rows, sizes = np.empty(many, dtype=np.int64), np.empty(many, dtype=np.int64)
    ends, order = np.empty(many, dtype=np.int64), np.empty(many, dtype=np.int32)
    chosen, paid, highest = np.empty(least, dtype=np.int64), np.empty(least), np.empty(many)
    units, stops, prices = np.empty(1 << 16, np.int32), np.empty(1 << 14, np.int64), np.empty(1 << 14)
    filled, found = 0, 0
    for i in range(len(nodes)):
        grouped = group_at(codes, costs, numbers, nodes[i], table, keys, groups, bills)
        rows[:grouped], sizes[:grouped], highest[:grouped] = 0, 0, 0.0
        for unit in range(many):
            at = groups[unit]
            rows[at] += counts[unit]
            sizes[at] += 1
            highest[at] = max(highest[at], most[unit])
        begun = 0
        for at in range(grouped):
            sizes[at] *= rows[at] >= least and highest[at] > bills[at]
            ends[at] = begun
            begun += sizes[at]
        for unit in range(many):
            if sizes[groups[unit]] > 0:
                order[ends[groups[unit]]] = unit
                ends[groups[unit]] += 1
        if filled + begun > entries:
            break
        if filled + begun > len(units):
            units = np.concatenate((units, np.empty(len(units) + begun, np.int32)))
        if found + grouped > len(stops):
            stops = np.concatenate((stops, np.empty(len(stops) + grouped, np.int64)))
            prices = np.concatenate((prices, np.empty(len(prices) + grouped)))
        for at in range(grouped):
            first = ends[at] - sizes[at]
            if sizes[at] and dearest(most, counts, order, first, ends[at], least, chosen, paid) > (
                least * bills[at]
            ):
                units[filled : filled + sizes[at]] = order[first : ends[at]]
                filled += sizes[at]
                stops[found], prices[found] = filled, bills[at]
                found += 1
    return units[:filled].copy(), stops[:found].copy(), prices[:found].copy()


@numba.njit(cache=True)
def raised(
    low: Any, most: Any, counts: Any, costs: Any, units: Any, ends: Any, least: Any, steps: Any
) -> Any:  # pragma: no cover - compiled
    """Prices from ``low`` to ``most`` with the highest sum found at which no box costs its rows too much.

    Subgradients of the sum, ``steps`` long and falling, each divided by its running size (Kingma & Ba 2015).
    In every ``SELDOM``-th pass all boxes are looked at and the prices made feasible: a unit's is put down by
    the most that the dearest rows of a box with it pass what the box costs. In between, boxes whose rows pay
    far less than that are passed over.
    """
    many = len(low)
    prices, best, highest = low.copy(), low.copy(), -np.inf
    mean, spread, slopes = np.zeros(many), np.ones(many), np.empty(many)
    over, worst = np.empty(many), np.empty(many, dtype=np.int64)
    chosen, paid, excess = np.empty((len(ends), least), np.int32), np.empty(least), np.empty(len(ends))
    for turn in range(len(steps)):
        over[:], worst[:], begun = 0.0, -1, 0
        for i in range(len(ends)):
            if turn % SELDOM == 0 or excess[i] > -SLACK:
                dear = dearest(prices, counts, units, begun, ends[i], least, chosen[i], paid)
                excess[i] = dear / least - costs[i]
                for at in range(begun, ends[i] if excess[i] > 0 else begun):
                    if excess[i] > over[units[at]]:
                        over[units[at]], worst[units[at]] = excess[i], i
            begun = ends[i]
        if turn % SELDOM == 0:
            total = ((prices - over) * counts).sum()
            if total > highest:
                highest, best = total, prices - over
        slopes[:] = counts
        for unit in range(many):
            if worst[unit] >= 0:
                for other in chosen[worst[unit]]:
                    slopes[other] -= counts[unit] / least
        for unit in range(many):
            slope = slopes[unit] / counts[unit]
            mean[unit] += 0.1 * (slope - mean[unit])
            spread[unit] += 0.01 * (slope * slope - spread[unit])
            moved = prices[unit] + steps[turn] * mean[unit] / (np.sqrt(spread[unit]) + 1e-3)
            prices[unit] = min(most[unit], max(0.0, moved))
    return best
