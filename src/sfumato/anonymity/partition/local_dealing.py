"""The compiled part of :mod:`local_deal`; it loads numba: import it inside functions."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from sfumato.anonymity.partition.local_kernels import joined, parted, widen
from sfumato.anonymity.partition.local_moves import GAIN, add, carry_out, relabel, remove

#: Sums of quotas are this far off at most.
ROUNDING = 1e-9

#: Most pieces of a class that is dealt again.
LARGEST_DEALT = 256


@numba.njit(cache=True)
def pool(
    codes: Any,
    costs: Any,
    starts: Any,
    strata: Any,
    free: Any,
    live: Any,
    founder: Any,
    found: Any,
    apart: Any,
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
    pull: Any,
    founder: Any,
    stratum: Any,
    found: Any,
    size: Any,
    slack: Any,
    units: Any,
    rows: Any,
) -> Any:  # pragma: no cover - compiled
    """A class of ``size`` rows taken from ``free``: how many ``units`` give ``rows``, and a row's cost.

    Always the row that makes the labels coarser by least, of the strata that the slack allows. Nothing is
    taken, and 0 returned, if those run out.
    """
    held = np.zeros(len(quotas))
    levels = starts[:-1].copy()
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
            return 0, 1.0
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
    return many, lost


@numba.njit(cache=True)
def deal(
    codes: Any,
    costs: Any,
    starts: Any,
    strata: Any,
    counts: Any,
    labels: Any,
    quotas: Any,
    order: Any,
    size: Any,
    slack: Any,
    places: Any,
    weight: Any,
    keep: Any,
    step: Any,
) -> Any:  # pragma: no cover - compiled
    """Classes founded by the units of an order, each of those that are free when its turn comes.

    A founder looks at every ``step``-th unit. Rows that a class does not ``keep`` are free again for the
    next. Strata of which more than their share is free are preferred by ``weight`` at most. Returns unit,
    class and rows of each piece, and the costs of a row of each class.
    """
    free, live = counts.copy(), np.arange(len(codes))
    shape = labels.shape[1], places
    found, apart = np.empty(shape, dtype=np.int64), np.empty(shape)
    stock = np.zeros(shape[0])
    for unit in live:
        stock[strata[unit]] += counts[unit]
    rows_free, gone, pieces, classes = counts.sum(), 0, 0, 0
    shares = stock / rows_free
    pull = np.zeros(shape[0])
    room = rows_free if keep else len(order) * size
    units, homes, rows = (
        np.empty(room, dtype=np.int64),
        np.empty(room, dtype=np.int64),
        np.empty(room, dtype=np.int64),
    )
    paid = np.empty(len(order))
    for founder in order:
        if free[founder] == 0 or rows_free < size:
            continue
        if 4 * gone > len(live):
            live, gone = live[free[live] > 0], 0
        pool(codes, costs, starts, strata, free, live[classes % step :: step], founder, found, apart)
        for stratum in range(shape[0]):
            if shares[stratum] > 0:
                pull[stratum] = weight * (stock[stratum] / (shares[stratum] * rows_free) - 1)
        many, lost = grow(
            codes, costs, starts, free, labels, quotas, pull, founder, strata[founder], found, size, slack,
            units[pieces:], rows[pieces:],
        )  # fmt: skip
        if many == 0:
            continue
        homes[pieces : pieces + many] = classes
        paid[classes] = lost
        for i in range(pieces, pieces + many):
            unit = units[i]
            if keep:
                gone += free[unit] == 0
                stock[strata[unit]] -= rows[i]
            else:
                free[unit] += rows[i]
        rows_free -= size if keep else 0
        classes += 1
        pieces += many
    return units[:pieces].copy(), homes[:pieces].copy(), rows[:pieces].copy(), paid[:classes].copy()


@numba.njit(cache=True)
def offers(p: Any, units: Any, most: Any, step: Any) -> Any:  # pragma: no cover - compiled
    """The classes that rows of each unit join at the least cost, cheapest first, shape (units, most).

    Each looks at every ``step``-th class.
    """
    classes = np.full((len(units), most), -1, dtype=np.int64)
    asked = np.full((len(units), most), np.inf)
    for i in range(len(units)):
        for home in range(i % step, len(p.sizes), step):
            if p.sizes[home] == 0 or p.paid[home] >= asked[i, most - 1]:
                continue
            lost = joined(p.codes, p.costs, p.levels[home], p.members[home], units[i])
            more = (lost - p.paid[home]) * p.sizes[home] + lost
            if more >= asked[i, most - 1]:
                continue
            place = most - 1
            while place > 0 and asked[i, place - 1] > more:
                classes[i, place], asked[i, place] = classes[i, place - 1], asked[i, place - 1]
                place -= 1
            classes[i, place], asked[i, place] = home, more
    return classes


@numba.njit(cache=True)
def place(p: Any, units: Any, homes: Any, rows: Any) -> Any:  # pragma: no cover - compiled
    """Rows of units put into classes, or taken from them where ``rows`` is negative."""
    for i in range(len(units)):
        if rows[i] > 0:
            add(p, homes[i], units[i], rows[i])
        else:
            remove(p, homes[i], units[i], -rows[i])
    for home in np.unique(homes):
        relabel(p, home)


@numba.njit(cache=True)
def divide(
    p: Any, units: Any, rows: Any, strata: Any, labels: Any, shares: Any, founder: Any, size: Any, slack: Any,
    taken: Any, levels: Any,
) -> Any:  # pragma: no cover - compiled  # fmt: skip
    """A class of ``size`` of the rows, founded by one of the units: what a row costs, no end if none can be.

    Written to ``taken`` are the rows of each unit in it. What makes the labels no coarser comes first.
    """
    taken[: len(units)] = 0
    held, quotas = np.zeros(len(shares)), shares * size
    levels[:] = p.starts[:-1]
    lost = widen(p.codes, p.costs, levels, units[founder], units[founder])
    total, over, chosen = 0, 0.0, founder
    while chosen >= 0:
        lost = widen(p.codes, p.costs, levels, units[founder], units[chosen])
        following, score = -1, np.inf
        for at in range(-1, len(units)):
            i = chosen if at < 0 else at
            if taken[i] == rows[i]:
                continue
            more = joined(p.codes, p.costs, levels, units[founder], units[i]) - lost
            if more > 0 and more >= score:
                continue
            stratum = strata[units[i]]
            beyond = excess(held, quotas, labels, stratum)
            while more <= 0 and taken[i] < rows[i] and total < size and over + beyond <= slack:
                over += beyond
                taken[i] += 1
                total += 1
                for level in range(labels.shape[0]):
                    held[labels[level, stratum]] += 1
                beyond = excess(held, quotas, labels, stratum)
            if total == size:
                return lost
            if more > 0 and over + beyond <= slack:
                following, score = i, more
        chosen = following
    return np.inf


@numba.njit(cache=True)
def bears(units: Any, rows: Any, strata: Any, labels: Any, shares: Any, share: Any) -> Any:
    # pragma: no cover - compiled
    """Whether a class of the rows passes its quotas by a ``share`` of its size at most."""
    held, size = np.zeros(len(shares)), 0
    for i in range(len(units)):
        size += rows[i]
        for level in range(labels.shape[0]):
            held[labels[level, strata[units[i]]]] += rows[i]
    return np.maximum(held - shares * size, 0.0).sum() <= share * size + ROUNDING


@numba.njit(cache=True)
def partners(p: Any, home: Any, locked: Any, seen: Any, found: Any, apart: Any) -> Any:
    # pragma: no cover - compiled
    """The classes near ``home`` whose labels and its own are covered at the least cost, -1 for none.

    ``seen`` has for each class the last one that looked at it.
    """
    found[:] = -1
    apart[:] = np.inf
    seen[home] = home
    member = p.first[home]
    while member >= 0:
        for near in p.near[p.unit[member]]:
            piece = p.pieces[near] if near >= 0 else -1
            while piece >= 0:
                other = p.home[piece]
                piece = p.also[piece]
                if seen[other] == home or locked[other]:
                    continue
                seen[other] = home
                # A partner that pays much itself has much to win.
                lost = -p.paid[other]
                for j in range(p.levels.shape[1]):
                    slot = max(p.levels[home, j], p.levels[other, j])
                    while p.codes[p.members[home], slot] != p.codes[p.members[other], slot]:
                        slot += 1
                    lost += p.costs[p.codes[p.members[home], slot]]
                at = len(found)
                while at > 0 and apart[at - 1] > lost:
                    at -= 1
                if at < len(found):
                    found[at + 1 :] = found[at:-1].copy()
                    apart[at + 1 :] = apart[at:-1].copy()
                    found[at], apart[at] = other, lost
        member = p.after[member]


@numba.njit(cache=True)
def redeal(
    p: Any, homes: Any, strata: Any, labels: Any, shares: Any, share: Any, least: Any, founders: Any,
    most: Any, locked: Any, stirred: Any, log: Any,
) -> Any:  # pragma: no cover - compiled  # fmt: skip
    """Each class with each of ``most`` partners freed and dealt again, if that costs less.

    Returns what that gains, and the entries logged.
    """
    room = 4 * LARGEST_DEALT
    units, rows, source = (
        np.empty(room, dtype=np.int64),
        np.empty(room, dtype=np.int64),
        np.empty(room, dtype=np.int64),
    )
    taken, best = np.empty(room, dtype=np.int64), np.empty(room, dtype=np.int64)
    levels = p.starts[:-1].copy()
    found, apart = np.empty(most, dtype=np.int64), np.empty(most)
    seen = np.full(len(p.sizes), -1)
    gained, begun = 0.0, 0
    for home in homes:
        if not stirred[home] or locked[home] or p.many[home] > LARGEST_DEALT or p.paid[home] <= 0:
            continue
        stirred[home] = False
        partners(p, home, locked, seen, found, apart)
        for other in found:
            if other < 0 or p.many[other] > LARGEST_DEALT:
                continue
            if begun + 2 * room > len(log):
                return gained, begun
            many = 0
            for at in (home, other):
                piece = p.first[at]
                while piece >= 0:
                    units[many], rows[many], source[many] = p.unit[piece], p.rows[piece], at
                    many += 1
                    piece = p.after[piece]
            all_rows = p.sizes[home] + p.sizes[other]
            cheapest, dealt = p.paid[home] * p.sizes[home] + p.paid[other] * p.sizes[other] - GAIN, False
            for i in range(min(founders, many)):
                size = p.sizes[home] if i % 2 == 0 else p.sizes[other]
                size = min(size, all_rows - least)
                lost = divide(
                    p, units[:many], rows[:many], strata, labels, shares, i * many // founders, size,
                    share * size + ROUNDING, taken, levels,
                )  # fmt: skip
                if lost * size >= cheapest:
                    continue
                levels[:] = p.starts[:-1]
                first, more = -1, 0.0
                for j in range(many):
                    if taken[j] < rows[j]:
                        first = units[j] if first < 0 else first
                        more = widen(p.codes, p.costs, levels, first, units[j])
                if lost * size + more * (all_rows - size) < cheapest and bears(
                    units[:many], rows[:many] - taken[:many], strata, labels, shares, share
                ):
                    cheapest, dealt = lost * size + more * (all_rows - size), True
                    best[:many] = taken[:many]
            if not dealt:
                continue
            end = begun
            for j in range(many):
                if source[j] == home and best[j] < rows[j]:
                    log[end, 0], log[end, 1], log[end, 2], log[end, 3] = (
                        units[j],
                        rows[j] - best[j],
                        home,
                        other,
                    )
                    end += 1
                if source[j] == other and best[j] > 0:
                    log[end, 0], log[end, 1], log[end, 2], log[end, 3] = units[j], best[j], other, home
                    end += 1
            log[begun:end, 4] = home
            gain = carry_out(p, log, begun, end, locked, True, stirred)
            if gain > 0:
                gained, begun = gained + gain, end
                break
    return gained, begun
