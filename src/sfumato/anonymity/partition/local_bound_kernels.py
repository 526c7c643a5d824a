"""The compiled part of :mod:`local_bound`; it loads numba: import it inside functions."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np


@numba.njit(cache=True)
def dearest(prices: Any, counts: Any, units: Any, least: Any, chosen: Any, paid: Any) -> Any:
    # pragma: no cover - compiled
    """The mean price of the ``least`` dearest rows of some units, which are written to ``chosen``."""
    found = 0
    for unit in units:
        for _ in range(min(counts[unit], least)):
            if found == least and prices[unit] <= paid[least - 1]:
                break
            place = found if found < least else least - 1
            found = min(found + 1, least)
            while place > 0 and paid[place - 1] < prices[unit]:
                paid[place], chosen[place] = paid[place - 1], chosen[place - 1]
                place -= 1
            paid[place], chosen[place] = prices[unit], unit
    return paid.sum() / least


@numba.njit(cache=True)
def binding(most: Any, counts: Any, costs: Any, units: Any, ends: Any, least: Any) -> Any:
    # pragma: no cover - compiled
    """Which groups of units, one behind the other, prices of at most ``most`` can exceed the ``costs`` of."""
    result = np.zeros(len(ends), dtype=np.bool_)
    chosen, paid = np.empty(least, dtype=np.int64), np.empty(least)
    begun = 0
    for i in range(len(ends)):
        result[i] = dearest(most, counts, units[begun : ends[i]], least, chosen, paid) > costs[i]
        begun = ends[i]
    return result


@numba.njit(cache=True)
def raised(
    low: Any, most: Any, counts: Any, costs: Any, units: Any, ends: Any, least: Any, steps: Any
) -> Any:  # pragma: no cover - compiled
    """The highest sum found of prices that exceed no group's costs, from the prices ``low``.

    Subgradients of the sum, ``steps`` long and falling (share of the room between ``low`` and ``most``),
    each divided by its running size (Kingma & Ba 2015). All of them are feasible: a unit's price is put
    down by the most that the dearest rows of a group with it pass the group's costs.
    """
    prices, highest = low.copy(), (low * counts).sum()
    mean, spread = np.zeros(len(low)), np.ones(len(low))
    over, worst = np.empty(len(low)), np.empty(len(low), dtype=np.int64)
    chosen, paid = np.empty((len(ends), least), dtype=np.int64), np.empty(least)
    slopes = np.empty(len(low))
    for step in steps:
        over[:], worst[:], begun = 0.0, -1, 0
        for i in range(len(ends)):
            more = dearest(prices, counts, units[begun : ends[i]], least, chosen[i], paid) - costs[i]
            for at in range(begun, ends[i] if more > 0 else begun):
                if more > over[units[at]]:
                    over[units[at]], worst[units[at]] = more, i
            begun = ends[i]
        highest = max(highest, ((prices - over) * counts).sum())
        slopes[:] = counts
        for unit in range(len(low)):
            if worst[unit] >= 0:
                for other in chosen[worst[unit]]:
                    slopes[other] -= counts[unit] / least
        for unit in range(len(low)):
            slope = slopes[unit] / counts[unit]
            mean[unit] += 0.1 * (slope - mean[unit])
            spread[unit] += 0.01 * (slope * slope - spread[unit])
            moved = prices[unit] + step * mean[unit] / (np.sqrt(spread[unit]) + 1e-3)
            prices[unit] = min(most[unit], max(0.0, moved))
    return highest
