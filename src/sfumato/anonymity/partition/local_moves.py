"""Local search: rows move between classes as long as that makes the labels finer.

Moves are tried for one class at a time: it is dissolved and its pieces go where they cost least; a piece
that alone makes a label coarse goes to another class, or founds a new one with rows that others can
spare, and its class takes in spare rows if it is too small then. A move counts if it lowers the cost of
all classes that it touches. The module loads numba: import it inside functions.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from sfumato.anonymity.partition.local_kernels import joined, widen

#: Moves must gain this much of a row's whole detail, so that rounding never makes them go in circles.
GAIN = 1e-9

#: Most pieces that one move touches.
LARGEST_MOVE = 64

#: Most pieces of a class that is dissolved.
LARGEST_DISSOLVED = 16


@numba.njit(cache=True)
def add(p: Any, home: Any, unit: Any, rows: Any) -> Any:  # pragma: no cover - compiled
    """Rows of a unit put into a class, without new labels for it."""
    p.sizes[home] += rows
    piece = p.pieces[unit]
    while piece >= 0:
        if p.home[piece] == home:
            p.rows[piece] += rows
            return
        piece = p.also[piece]
    p.left[0] -= 1
    piece = p.spare[p.left[0]]
    p.unit[piece], p.home[piece], p.rows[piece] = unit, home, rows
    p.also[piece], p.pieces[unit] = p.pieces[unit], piece
    p.before[piece], p.after[piece] = -1, p.first[home]
    if p.first[home] >= 0:
        p.before[p.first[home]] = piece
    p.first[home] = piece
    p.many[home] += 1


@numba.njit(cache=True)
def remove(p: Any, home: Any, unit: Any, rows: Any) -> Any:  # pragma: no cover - compiled
    """Rows of a unit taken from a class, without new labels for it."""
    p.sizes[home] -= rows
    last, piece = -1, p.pieces[unit]
    while p.home[piece] != home:
        last, piece = piece, p.also[piece]
    p.rows[piece] -= rows
    if p.rows[piece] > 0:
        return
    if last >= 0:
        p.also[last] = p.also[piece]
    else:
        p.pieces[unit] = p.also[piece]
    if p.before[piece] >= 0:
        p.after[p.before[piece]] = p.after[piece]
    else:
        p.first[home] = p.after[piece]
    if p.after[piece] >= 0:
        p.before[p.after[piece]] = p.before[piece]
    p.home[piece] = -1
    p.spare[p.left[0]] = piece
    p.left[0] += 1
    p.many[home] -= 1


@numba.njit(cache=True)
def relabel(p: Any, home: Any) -> Any:  # pragma: no cover - compiled
    """The labels of a class from its pieces; one without any costs nothing."""
    p.paid[home] = 0.0
    piece = p.first[home]
    if piece >= 0:
        p.members[home] = p.unit[piece]
        p.levels[home] = p.starts[:-1]
    while piece >= 0:
        p.paid[home] = widen(p.codes, p.costs, p.levels[home], p.members[home], p.unit[piece])
        piece = p.after[piece]


@numba.njit(cache=True)
def fill(p: Any, units: Any, classes: Any, rows: Any) -> Any:  # pragma: no cover - compiled
    for i in range(len(units)):
        add(p, classes[i], units[i], rows[i])
    for home in np.unique(classes):
        relabel(p, home)


@numba.njit(cache=True)
def cheapest_class(p: Any, unit: Any, rows: Any, home: Any, locked: Any) -> Any:  # pragma: no cover
    """The class near a unit, not ``home``, that rows of it join at the least cost, and the cost."""
    best, least = -1, np.inf
    for at in range(-1, p.near.shape[1]):
        other = unit if at < 0 else p.near[unit, at]
        if other < 0:
            break
        piece = p.pieces[other]
        while piece >= 0:
            target = p.home[piece]
            # The labels of a class only widen, so joining it costs what its own rows pay or more.
            if target != home and target != best and not locked[target] and p.paid[target] * rows < least:
                most = (least + p.paid[target] * p.sizes[target]) / (p.sizes[target] + rows)
                lost = joined(p.codes, p.costs, p.levels[target], p.members[target], unit, most)
                more = (lost - p.paid[target]) * p.sizes[target] + lost * rows
                if more < least:
                    best, least = target, more
            piece = p.also[piece]
    return best, least


@numba.njit(cache=True)
def borrow(
    p: Any,
    base: Any,
    levels: Any,
    lost: Any,
    need: Any,
    least: Any,
    floor: Any,
    home: Any,
    kept: Any,
    going: Any,
    barred: Any,
    locked: Any,
    log: Any,
    begun: Any,
    logged: Any,
) -> Any:  # pragma: no cover - compiled
    """Rows that others can spare for a class with units ``base``, written to the log for class -1.

    Lenders keep ``floor`` rows, ``home`` keeps ``kept``; the piece ``going`` is not lent, and class
    ``barred`` lends nothing. Returns the entries logged, the cost of a row
    under the labels found, what the lenders lose less, and the rows still needed.
    """
    spared, most = 0.0, logged + LARGEST_MOVE
    while need > 0 and logged < most:
        chosen, score = -1, np.inf
        for unit in base:
            for at in range(-1, p.near.shape[1]):
                other = unit if at < 0 else p.near[unit, at]
                if other < 0:
                    break
                piece = p.pieces[other]
                while piece >= 0:
                    lender = p.home[piece]
                    spare = p.sizes[lender] - (kept if lender == home else floor)
                    # The labels only widen, so a row of this lender is worth what it pays or less.
                    worth_it = spare > 0 and -p.paid[lender] < score
                    if worth_it and piece != going and lender != barred and not locked[lender]:
                        rows = p.rows[piece]
                        for i in range(begun, logged):
                            if log[i, 2] == lender:
                                spare -= log[i, 1]
                                if log[i, 0] == other:
                                    rows -= log[i, 1]
                        rows = min(rows, spare, need)
                        if rows > 0:
                            bar = lost + (score + p.paid[lender]) * rows / least
                            more = joined(p.codes, p.costs, levels, base[0], other, bar) - lost
                            value = more * least / rows - p.paid[lender]
                            if value < score:
                                chosen, score, taken = piece, value, rows
                    piece = p.also[piece]
        if chosen < 0:
            break
        unit, lender = p.unit[chosen], p.home[chosen]
        lost = widen(p.codes, p.costs, levels, base[0], unit)
        spared += p.paid[lender] * taken
        need -= taken
        log[logged, 0], log[logged, 1], log[logged, 2], log[logged, 3] = unit, taken, lender, -1
        logged += 1
    return logged, lost, spared, need


@numba.njit(cache=True)
def take_back(p: Any, log: Any, begun: Any, logged: Any) -> Any:  # pragma: no cover - compiled
    """The moves of the log undone."""
    for i in range(logged - 1, begun - 1, -1):
        remove(p, log[i, 3], log[i, 0], log[i, 1])
        add(p, log[i, 2], log[i, 0], log[i, 1])
    for home in np.unique(log[begun:logged, 2:4].copy().ravel()):
        relabel(p, home)


@numba.njit(cache=True)
def carry_out(p: Any, log: Any, begun: Any, logged: Any, locked: Any, lock: Any, stirred: Any) -> Any:
    # pragma: no cover - compiled
    """The moves of the log, unless the classes that they touch cost no less then: what they gain."""
    if p.left[0] < logged - begun:
        return 0.0
    touched = np.unique(log[begun:logged, 2:4].copy().ravel())
    before = (p.paid[touched] * p.sizes[touched]).sum()
    for i in range(begun, logged):
        remove(p, log[i, 2], log[i, 0], log[i, 1])
        add(p, log[i, 3], log[i, 0], log[i, 1])
    for home in touched:
        relabel(p, home)
    gain = before - (p.paid[touched] * p.sizes[touched]).sum()
    if gain <= GAIN:
        take_back(p, log, begun, logged)
        return 0.0
    for home in touched:
        locked[home], stirred[home] = lock, True
    return gain


@numba.njit(cache=True)
def dissolve(p: Any, home: Any, locked: Any, log: Any, logged: Any) -> Any:  # pragma: no cover - compiled
    """The pieces of a class sent where they cost least: the entries logged and what that gains."""
    gain, piece = p.paid[home] * p.sizes[home], p.first[home]
    while piece >= 0 and gain > GAIN:
        target, more = cheapest_class(p, p.unit[piece], p.rows[piece], home, locked)
        gain -= more
        log[logged, 0], log[logged, 1] = p.unit[piece], p.rows[piece]
        log[logged, 2], log[logged, 3] = home, target
        logged += 1
        piece = p.after[piece]
    return logged, gain


@numba.njit(cache=True)
def alone(p: Any, home: Any, lone: Any) -> Any:  # pragma: no cover - compiled
    """Pieces that alone keep a label of their class from being finer; how many."""
    found, first = 0, p.first[home]
    for j in range(p.levels.shape[1]):
        slot = p.levels[home, j] - 1
        if slot < p.starts[j]:
            continue
        own, others, other, piece = p.codes[p.unit[first], slot], 0, -1, p.after[first]
        while piece >= 0:
            if p.codes[p.unit[piece], slot] != own:
                others, other = others + 1, piece
            piece = p.after[piece]
        if others == 1:
            lone[found] = other
            found += 1
        if others == p.many[home] - 1:
            lone[found] = first
            found += 1
    return np.unique(lone[:found])


@numba.njit(cache=True)
def send_away(
    p: Any, piece: Any, least: Any, locked: Any, log: Any, begun: Any, base: Any, levels: Any
) -> Any:  # pragma: no cover - compiled
    """A piece sent to another class or a new one, its class filled up: entries logged, and the gain."""
    home, unit, rows = p.home[piece], p.unit[piece], p.rows[piece]
    size, units = p.sizes[home] - rows, 0
    lost, other = 0.0, p.first[home]
    levels[:] = p.starts[:-1]
    while other >= 0:
        if other != piece:
            base[min(units, len(base) - 1)] = p.unit[other]
            units += 1
            lost = widen(p.codes, p.costs, levels, base[0], p.unit[other])
        other = p.after[other]
    gain, logged, spared, need = p.paid[home] * p.sizes[home], begun, 0.0, max(0, least - size)
    if units > len(base) - 1 and need > 0:
        units = len(base) - 1
    if need > 0:
        logged, lost, spared, short = borrow(
            p, base[:units], levels, lost, need, least, least, home, 0, piece, home, locked, log, begun, begun
        )
        if short > 0:
            return begun, 0.0
        log[begun:logged, 3] = home
    gain += spared - lost * (size + need)
    if gain <= GAIN:
        return begun, 0.0
    target, joining = cheapest_class(p, unit, rows, home, locked)
    founding, end = np.inf, logged
    if p.left[1] > 0:
        levels[:] = p.starts[:-1]
        base[0] = unit
        lost = widen(p.codes, p.costs, levels, unit, unit)
        wanted = max(0, least - rows)
        end, lost, spared, short = borrow(
            p, base[:1], levels, lost, wanted, least, least, home, least + rows, piece,
            home if need > 0 else -1, locked, log, begun, logged,
        )  # fmt: skip
        if short == 0:
            founding = lost * (rows + wanted) - spared
    if founding < joining:
        target, joining = p.empty[p.left[1] - 1], founding
        log[logged:end, 3] = target
        logged = end
    gain -= joining
    if target >= 0 and gain > GAIN:
        log[logged, 0], log[logged, 1], log[logged, 2], log[logged, 3] = unit, rows, home, target
        return logged + 1, gain
    return begun, 0.0


@numba.njit(cache=True)
def tried(
    p: Any, home: Any, least: Any, locked: Any, lock: Any, stirred: Any, log: Any, begun: Any, base: Any,
    levels: Any, lone: Any,
) -> Any:  # pragma: no cover - compiled  # fmt: skip
    """One class tried: the log's end, and what the moves gained."""
    if p.many[home] <= LARGEST_DISSOLVED:
        end, gain = dissolve(p, home, locked, log, begun)
        if gain > GAIN:
            gain = carry_out(p, log, begun, end, locked, lock, stirred)
            if gain > 0:
                return end, gain
    gained, logged = 0.0, begun
    for piece in alone(p, home, lone):
        if p.home[piece] != home or locked[home]:
            break
        end, gain = send_away(p, piece, least, locked, log, logged, base, levels)
        if gain > GAIN:
            founded = p.left[1] > 0 and log[end - 1, 3] == p.empty[p.left[1] - 1]
            gain = carry_out(p, log, logged, end, locked, lock, stirred)
            if gain > 0:
                p.left[1] -= founded
                logged = end
                gained += gain
                break
    piece = p.first[home]
    while piece >= 0 and p.sizes[home] > least and not locked[home]:
        following, unit = p.after[piece], p.unit[piece]
        rows = min(p.rows[piece], p.sizes[home] - least)
        target, more = cheapest_class(p, unit, rows, home, locked)
        if more < p.paid[home] * rows - GAIN:
            log[logged, 0], log[logged, 1], log[logged, 2], log[logged, 3] = unit, rows, home, target
            gain = carry_out(p, log, logged, logged + 1, locked, lock, stirred)
            if gain > 0:
                logged += 1
                gained += gain
        piece = following
    return logged, gained


@numba.njit(cache=True)
def sweep(
    p: Any, homes: Any, least: Any, locked: Any, lock: Any, stirred: Any, log: Any
) -> Any:  # pragma: no cover - compiled
    """Every stirred class tried once: what all moves gained, and the entries logged."""
    base = np.empty(8, dtype=np.int64)
    levels = np.empty(p.levels.shape[1], dtype=np.int64)
    lone = np.empty(2 * p.levels.shape[1], dtype=np.int64)
    gained, begun = 0.0, 0
    for home in homes:
        if not stirred[home] or locked[home] or p.paid[home] <= 0 or p.many[home] < 2:
            continue
        stirred[home] = False
        if begun + 4 * LARGEST_MOVE + p.many[home] > len(log):
            break
        end, gain = tried(p, home, least, locked, lock, stirred, log, begun, base, levels, lone)
        log[begun:end, 4] = home
        begun = end if lock else 0
        gained += gain
    return gained, begun
