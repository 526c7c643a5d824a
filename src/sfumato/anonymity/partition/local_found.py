"""Classes founded at the cost of others: for when rows no longer move by themselves.

Each unit that pays too much founds a class with whoever pays most near it, and the classes robbed are
mended. That counts if it lowers the cost of all classes touched. The module loads numba: import it inside
functions.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from sfumato.anonymity.partition.local_kernels import widen
from sfumato.anonymity.partition.local_moves import (
    GAIN,
    add,
    borrow,
    cheapest_class,
    relabel,
    remove,
    take_back,
)


@numba.njit(cache=True)
def shift(p: Any, log: Any, i: Any, unit: Any, rows: Any, source: Any, target: Any) -> Any:
    # pragma: no cover - compiled
    """Rows of a unit moved at once, and logged; labels are not made new."""
    log[i, 0], log[i, 1], log[i, 2], log[i, 3] = unit, rows, source, target
    remove(p, source, unit, rows)
    add(p, target, unit, rows)


@numba.njit(cache=True)
def mend(p: Any, home: Any, least: Any, locked: Any, log: Any, end: Any, base: Any, levels: Any) -> Any:
    # pragma: no cover - compiled
    """A class too small filled up or dissolved, whichever costs less: the log's end, -1 if neither."""
    relabel(p, home)
    units, piece = 0, p.first[home]
    while piece >= 0 and units < len(base):
        base[units] = p.unit[piece]
        units += 1
        piece = p.after[piece]
    levels[:] = p.levels[home]
    filled, lost, spared, short = borrow(
        p, base[:units], levels, p.paid[home], least - p.sizes[home], least, least, home, 0, -1,
        home, locked, log, end, end,
    )  # fmt: skip
    filling = lost * least - spared if short == 0 else np.inf
    leaving, piece = 0.0, p.first[home]
    while piece >= 0 and leaving < filling:
        leaving += cheapest_class(p, p.unit[piece], p.rows[piece], home, locked)[1]
        piece = p.after[piece]
    if leaving < filling:
        while p.first[home] >= 0:
            piece = p.first[home]
            target, _ = cheapest_class(p, p.unit[piece], p.rows[piece], home, locked)
            shift(p, log, end, p.unit[piece], p.rows[piece], home, target)
            relabel(p, target)
            end += 1
        return end
    if short > 0:
        return -1
    for i in range(end, filled):
        lender = log[i, 2]
        shift(p, log, i, log[i, 0], log[i, 1], lender, home)
        relabel(p, lender)
    relabel(p, home)
    return filled


@numba.njit(cache=True)
def found(
    p: Any, unit: Any, home: Any, least: Any, locked: Any, log: Any, begun: Any, base: Any, levels: Any
) -> Any:  # pragma: no cover - compiled
    """A class founded by a unit with those near it who pay most, whatever becomes of their classes.

    Classes that are too small then are mended one after another; everything is taken back unless it
    gains. Returns the log's end, and the gain.
    """
    target, rows, lost = p.empty[p.left[1] - 1], 0, 0.0
    levels[:] = p.starts[:-1]
    base[0], piece = unit, p.pieces[unit]
    while piece >= 0:
        if p.home[piece] == home:
            rows = min(p.rows[piece], least)
        piece = p.also[piece]
    spared = p.paid[home] * rows
    log[begun, 0], log[begun, 1], log[begun, 2], log[begun, 3] = unit, rows, home, target
    end, lost, more, short = borrow(
        p, base[:1], levels, widen(p.codes, p.costs, levels, unit, unit), least - rows, least, 0, -1, 0,
        -1, -1, locked, log, begun, begun + 1,
    )  # fmt: skip
    if short > 0 or spared + more - lost * least <= GAIN:
        return begun, 0.0
    for i in range(begun, end):
        shift(p, log, i, log[i, 0], log[i, 1], log[i, 2], target)
    relabel(p, target)
    for i in range(begun, end):
        lender = log[i, 2]
        if p.sizes[lender] == 0 or p.sizes[lender] >= least:
            relabel(p, lender)
        else:
            mended = mend(p, lender, least, locked, log, end, base, levels)
            if mended < 0:
                take_back(p, log, begun, end)
                return begun, 0.0
            end = mended
    return end, 1.0


@numba.njit(cache=True)
def found_all(
    p: Any, prices: Any, known: Any, least: Any, locked: Any, lock: Any, stirred: Any, log: Any
) -> Any:  # pragma: no cover - compiled
    """Every unit that pays more than its price tried once as the founder of a class.

    Not those in classes that pay what is ``known``, for they were tried before. Returns what all moves
    gained, and the entries logged.
    """
    base = np.empty(8, dtype=np.int64)
    levels = np.empty(p.levels.shape[1], dtype=np.int64)
    bills = p.paid * p.sizes
    gained, begun = 0.0, 0
    for unit in range(len(p.pieces)):
        if p.left[1] == 0 or begun + (least + 2) * (least + 2) > len(log) or p.left[0] < 4 * least * least:
            break
        home = p.home[p.pieces[unit]] if p.pieces[unit] >= 0 else -1
        if home < 0 or locked[home] or p.paid[home] <= prices[unit] or p.paid[home] == known[home]:
            continue
        end, _ = found(p, unit, home, least, locked, log, begun, base, levels)
        if end == begun:
            continue
        touched = np.unique(log[begun:end, 2:4].copy().ravel())
        gain = 0.0
        for at in touched:
            gain += bills[at] - p.paid[at] * p.sizes[at]
        if gain <= GAIN:
            take_back(p, log, begun, end)
            continue
        p.left[1] -= 1
        log[begun:end, 4] = log[begun, 3]
        for at in touched:
            bills[at] = p.paid[at] * p.sizes[at]
            locked[at], stirred[at] = lock, True
        begun = end if lock else 0
        gained += gain
    return gained, begun
