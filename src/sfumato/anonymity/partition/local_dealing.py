"""The compiled part of :mod:`local_deal`; it loads numba: import it inside functions."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from sfumato.anonymity.partition.local_kernels import joined, parted, widen


@numba.njit(cache=True)
def pool(
    codes: Any, costs: Any, starts: Any, strata: Any, free: Any, live: Any, founder: Any, found: Any, apart: Any
) -> Any:  # pragma: no cover - compiled
    """The free units of each stratum that are nearest to a founder, nearest first, -1 for none.

    ``found`` and ``apart`` have shape (strata, places).
    """
    found[:] = -1
    apart[:] = np.inf
    last = found.shape[1] - 1
    for unit in live:
        if free[unit] == 0:
            continue
        stratum = strata[unit]
        lost = parted(codes, costs, starts, founder, unit)
        if lost >= apart[stratum, last]:
            continue
        place = last
        while place > 0 and apart[stratum, place - 1] > lost:
            found[stratum, place] = found[stratum, place - 1]
            apart[stratum, place] = apart[stratum, place - 1]
            place -= 1
        found[stratum, place] = unit
        apart[stratum, place] = lost


@numba.njit(cache=True)
def excess(held: Any, quotas: Any, labels: Any, stratum: Any) -> Any:  # pragma: no cover - compiled
    """By how much one more row of a stratum passes the quotas of its labels, in all."""
    more = 0.0
    for level in range(labels.shape[0]):
        label = labels[level, stratum]
        more += max(held[label] + 1 - quotas[label], 0.0) - max(held[label] - quotas[label], 0.0)
    return more


@numba.njit(cache=True)
def grow(
    codes: Any,
    costs: Any,
    starts: Any,
    free: Any,
    labels: Any,
    quotas: Any,
    founder: Any,
    stratum: Any,
    found: Any,
    pull: Any,
    size: Any,
    slack: Any,
    levels: Any,
    units: Any,
    rows: Any,
) -> Any:  # pragma: no cover - compiled
    """A class of ``size`` rows that are taken from ``free``: how many ``units`` give how many ``rows``.

    Always the row that makes the labels coarser by least, of the strata that the slack allows. Nothing is
    taken, and 0 returned, if those run out.
    """
    held = np.zeros(len(quotas))
    levels[:] = starts[:-1]
    lost = widen(codes, costs, levels, founder, founder)
    many, total, over = 0, 0, 0.0
    while total < size:
        chosen, of, score = -1, -1, np.inf
        if total == 0 and excess(held, quotas, labels, stratum) <= slack:
            chosen, of = founder, stratum
        for other in range(len(found) if total else 0):
            if over + excess(held, quotas, labels, other) > slack:
                continue
            for unit in found[other]:
                if unit < 0:
                    break
                if free[unit] > 0:
                    more = joined(codes, costs, levels, founder, unit) - lost - pull[other]
                    if more < score:
                        chosen, of, score = unit, other, more
        if chosen < 0:
            for i in range(many):
                free[units[i]] += rows[i]
            return 0
        lost = widen(codes, costs, levels, founder, chosen)
        units[many], rows[many] = chosen, 0
        while free[chosen] > 0 and total < size:
            more = excess(held, quotas, labels, of)
            if over + more > slack:
                break
            over += more
            for level in range(labels.shape[0]):
                held[labels[level, of]] += 1
            free[chosen] -= 1
            rows[many] += 1
            total += 1
        many += 1
    return many


@numba.njit(cache=True)
def deal(
    codes: Any,
    costs: Any,
    starts: Any,
    strata: Any,
    free: Any,
    labels: Any,
    quotas: Any,
    order: Any,
    size: Any,
    slack: Any,
    places: Any,
    keep: Any,
) -> Any:  # pragma: no cover - compiled
    """Classes founded by the units of an order that are free when their turn comes.

    If rows are not to ``keep`` with their classes each founder finds all of them free.
    Returns unit, class and rows of each piece, and the classes' costs for a row.
    """
    room = int(free.sum()) if keep else len(order) * size
    unit, home, count = (np.empty(room, dtype=np.int64) for _ in range(3))
    return unit, home, count
