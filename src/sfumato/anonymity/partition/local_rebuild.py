"""Classes built from boxes by the prices of rows, all at once or a few near ones again.

The box that wastes least (costs least beyond the prices of its dearest free rows) becomes a class, again and
again; what is left joins the nearest classes. Large-neighbourhood search (Shaw 1998) takes the classes
round a unit apart, builds them again with prices stirred by chance, and keeps what is cheaper. Only the
number of rows of a class is kept to, so this is for models that ask nothing else. The module loads numba:
import it inside functions.
"""

from __future__ import annotations

import heapq
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from sfumato.anonymity.partition.local_anneal import draw
from sfumato.anonymity.partition.local_boxes import Boxes
from sfumato.anonymity.partition.local_boxes_kernels import dearest
from sfumato.anonymity.partition.local_found import shift
from sfumato.anonymity.partition.local_labels import Labels
from sfumato.anonymity.partition.local_moves import GAIN, add, cheapest_class, relabel, take_back, tried
from sfumato.anonymity.partition.local_neighbours import Neighbours
from sfumato.anonymity.partition.local_pieces import Pieces
from sfumato.anonymity.partition.problem import Assignment

#: Classes that waste more than so much a row are not built.
MOST_WASTE = 0.06

#: Classes are taken apart until so many times the fewest rows are free; larger ones stay.
TAKEN_APART, LARGEST_TAKEN = 6, 4

#: Classes are taken apart where one wastes this share of what it costs, and given up if they cost this much
#: more when built again.
WASTED, HOPELESS = 0.1, 0.05

#: Entries that the log has for moves after classes are built.
LOGGED = 1024

#: Prices are stirred by so much.
STIRRED = 0.05


def covered(
    boxes: Boxes, labels: Labels, counts: NDArray[np.int64], near: Neighbours, least: int
) -> Pieces | None:
    """All rows in classes built from boxes; None if boxes are too few for that."""
    free = counts.copy()
    (rich,) = np.nonzero(counts >= least)
    free[rich] -= least
    every = np.arange(len(boxes.ends))
    built = cover(every, free, boxes.prices, boxes.units, boxes.ends, boxes.costs, least)
    units = np.concatenate([np.repeat(rich, least), built])
    if not len(units) or 2 * free.sum() > counts.sum():
        return None
    classes = np.arange(len(units)) // least
    pairs, rows = np.unique(units * (len(units) + 1) + classes, return_counts=True)
    found = Assignment(pairs // (len(units) + 1), pairs % (len(units) + 1), rows)
    pieces = Pieces.of(labels, counts, near, found, 2 * most_taken(least, near.units.shape[1]))
    locked = np.zeros(len(pieces.sizes), dtype=bool)
    while join_all(pieces, free, locked):
        pass
    for unit in np.nonzero(free)[0]:
        add(pieces, 0, unit, free[unit])
    relabel(pieces, 0)
    return pieces


def rebuild_some(
    pieces: Pieces, boxes: Boxes, least: int, turns: int, seed: int, stirred: NDArray[np.bool_]
) -> None:
    """The classes round ``turns`` units drawn by chance built again, where that gains.

    Args:
        pieces: as :func:`covered` leaves them; changed in place.
        boxes: to build from.
        least: rows that a class keeps.
        turns: how many units are drawn.
        seed: of the chance; not 0.
        stirred: classes that change are marked.
    """
    pieces.free(np.nonzero(pieces.sizes == 0)[0])
    most = most_taken(least, pieces.near.shape[1])
    log = np.zeros((8 * most + LOGGED, 5), dtype=np.int64)
    state = np.array([seed * 0x9E3779B97F4A7C15 % 2**64], dtype=np.uint64)
    rebuild(
        *(pieces, boxes.prices, boxes.units, boxes.ends, boxes.costs, *boxes.by_unit()),
        *(least, most, turns, state, stirred, log),
    )


def most_taken(least: int, near: int) -> int:
    """The most rows that are taken from classes at once."""
    return (TAKEN_APART + LARGEST_TAKEN + near) * least


@numba.njit(cache=True)
def cover(
    candidates: Any, free: Any, prices: Any, units: Any, ends: Any, costs: Any, least: Any
) -> Any:  # pragma: no cover - compiled
    """The units of classes built from boxes, ``least`` for each class; ``free`` rows become fewer."""
    chosen, paid = np.empty(least, dtype=np.int64), np.empty(least)
    heap: list[Any] = [(0.0, 0) for _ in range(0)]
    most, found = MOST_WASTE * least, [0 for _ in range(0)]
    for box in candidates:
        begun = ends[box - 1] if box > 0 else 0
        waste = least * costs[box] - dearest(prices, free, units, begun, ends[box], least, chosen, paid)
        if waste <= most:
            heap.append((waste, np.int64(box)))
    heapq.heapify(heap)
    while len(heap) > 0:
        before, box = heapq.heappop(heap)
        begun = ends[box - 1] if box > 0 else 0
        waste = least * costs[box] - dearest(prices, free, units, begun, ends[box], least, chosen, paid)
        if waste > most:
            continue
        if waste <= before + GAIN:
            for unit in chosen:
                free[unit] -= 1
                found.append(unit)
        heapq.heappush(heap, (waste, box))
    result = np.empty(len(found), dtype=np.int64)
    for i in range(len(found)):
        result[i] = found[i]
    return result


@numba.njit(cache=True)
def join_all(p: Any, free: Any, locked: Any) -> Any:  # pragma: no cover - compiled
    """Free rows put into the cheapest classes near them: whether any were, and some are left."""
    joined, left = False, False
    for unit in np.nonzero(free)[0]:
        home, _ = cheapest_class(p, unit, free[unit], -1, locked)
        if home >= 0:
            add(p, home, unit, free[unit])
            relabel(p, home)
            free[unit], joined = 0, True
        else:
            left = True
    return joined and left


@numba.njit(cache=True)
def wasteful(p: Any, home: Any, prices: Any) -> Any:  # pragma: no cover - compiled
    """Whether a class costs much more than the prices of its rows."""
    bill = p.paid[home] * p.sizes[home]
    spare, piece = (1 - WASTED) * bill, p.first[home]
    while piece >= 0:
        spare -= prices[p.unit[piece]] * p.rows[piece]
        piece = p.after[piece]
    return bill > 0 and spare >= 0


@numba.njit(cache=True)
def take_apart(
    p: Any, centre: Any, pool: Any, least: Any, free: Any, log: Any
) -> Any:  # pragma: no cover - compiled
    """The classes of units near one put into a pool, of those that cost nothing what they can spare.

    Returns the log's end and what the classes cost.
    """
    end, bills, rows = 0, 0.0, 0
    for at in range(-1, p.near.shape[1]):
        unit = centre if at < 0 else p.near[centre, at]
        if unit < 0 or rows >= TAKEN_APART * least:
            break
        piece = p.pieces[unit]
        while piece >= 0:
            home, following = p.home[piece], p.also[piece]
            spare = min(p.rows[piece], p.sizes[home] - least, least)
            if home == pool or p.sizes[home] > LARGEST_TAKEN * least:
                pass
            elif p.paid[home] > 0:
                bills += p.paid[home] * p.sizes[home]
                rows += p.sizes[home]
                while p.first[home] >= 0:
                    other = p.first[home]
                    free[p.unit[other]] += p.rows[other]
                    shift(p, log, end, p.unit[other], p.rows[other], home, pool)
                    end += 1
                relabel(p, home)
                following = p.pieces[unit]
            elif 0 < spare < p.rows[piece]:
                free[unit] += spare
                shift(p, log, end, unit, spare, home, pool)
                end += 1
            piece = following
    return end, bills


@numba.njit(cache=True)
def put_together(
    p: Any, pool: Any, built: Any, least: Any, free: Any, locked: Any, log: Any, begun: Any
) -> Any:  # pragma: no cover - compiled
    """A pool's rows put into the classes that are ``built``, and what is left into those near: the log's end.

    It is negative if there are none near.
    """
    end = begun
    for i in range(len(built)):
        if i % least == 0:
            p.left[1] -= 1
        shift(p, log, end, built[i], 1, pool, p.empty[p.left[1]])
        end += 1
        if i % least == least - 1:
            relabel(p, p.empty[p.left[1]])
    while p.first[pool] >= 0:
        piece = p.first[pool]
        unit, rows = p.unit[piece], p.rows[piece]
        home, _ = cheapest_class(p, unit, rows, pool, locked)
        if home < 0:
            return -end
        free[unit] = 0
        shift(p, log, end, unit, rows, pool, home)
        relabel(p, home)
        end += 1
    relabel(p, pool)
    return end


@numba.njit(cache=True)
def gain_of(p: Any, log: Any, end: Any, bills: Any) -> Any:  # pragma: no cover - compiled
    """What the moves of the log gain against ``bills``, and the classes that they touch."""
    touched, gain = np.unique(log[:end, 2:4].copy().ravel()), 0.0
    for home in touched:
        gain += bills[home] - p.paid[home] * p.sizes[home]
    return gain, touched


@numba.njit(cache=True)
def rebuild(
    p: Any, prices: Any, units: Any, ends: Any, costs: Any, firsts: Any, boxes: Any, least: Any, most: Any,
    turns: Any, state: Any, stirred: Any, log: Any,
) -> Any:  # pragma: no cover - compiled  # fmt: skip
    """The classes round units drawn by chance built again, ``turns`` times; kept where that gains."""
    asked, candidates = np.full(len(ends), -1), np.empty(len(ends), dtype=np.int64)
    free, noisy = np.zeros(len(p.pieces), dtype=np.int64), np.empty(len(p.pieces))
    base, levels = np.empty(8, dtype=np.int64), np.empty(p.levels.shape[1], dtype=np.int64)
    lone, locked = np.empty(2 * p.levels.shape[1], dtype=np.int64), np.zeros(len(p.sizes), dtype=np.bool_)
    bills = p.paid * p.sizes
    room = min(most, p.sizes.sum())
    for turn in range(turns):
        centre = draw(state) % len(p.pieces)
        if not wasteful(p, p.home[p.pieces[centre]], prices):
            continue
        vacant = p.left[1]
        if vacant < room // least + 2 or p.left[0] < 2 * room:
            break
        p.left[1] -= 1
        pool = p.empty[p.left[1]]
        taken, bill = take_apart(p, centre, pool, least, free, log)
        many = 0
        for i in range(taken):
            unit = log[i, 0]
            noisy[unit] = prices[unit] * (1 + STIRRED * ((draw(state) % 2001) / 1000 - 1))
            for at in range(firsts[unit], firsts[unit + 1]):
                if asked[boxes[at]] != turn:
                    asked[boxes[at]], candidates[many] = turn, boxes[at]
                    many += 1
        built = cover(candidates[:many], free, noisy, units, ends, costs, least)
        end = put_together(p, pool, built, least, free, locked, log, taken)
        kept = end >= 0
        end = abs(end)
        if kept:
            kept = gain_of(p, log, end, bills)[0] > -HOPELESS * bill
        for i in range(taken, end if kept else taken):
            home = log[i, 3]
            if p.many[home] > 1 and p.paid[home] > 0 and end + LOGGED < len(log):
                end, _ = tried(p, home, least, locked, False, stirred, log, end, base, levels, lone)
        gain, touched = gain_of(p, log, end, bills)
        if not kept or gain <= GAIN:
            take_back(p, log, 0, end)
            p.left[1] = vacant
            for i in range(taken):
                free[log[i, 0]] = 0
            continue
        for home in touched:
            bills[home], stirred[home] = p.paid[home] * p.sizes[home], True
            if p.sizes[home] == 0:
                p.empty[p.left[1]] = home
                p.left[1] += 1
