"""Rows of near classes swapped by chance, now and then for the worse, so that a search gets on that is stuck.

Simulated annealing (Kirkpatrick, Gelatt & Vecchi 1983, Science 220): a move that costs more is made if it
costs no more than chance and a falling temperature bear. Only the number of rows of a class is kept to,
so this is for models that ask nothing else. The module loads numba: import it inside functions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from sfumato.anonymity.partition.local_labels import Labels
from sfumato.anonymity.partition.local_moves import GAIN, add, relabel, remove
from sfumato.anonymity.partition.local_pieces import Pieces

#: The first and the last temperature, as shares of what a class pays in the mean; and the steps between.
HOTTEST, COLDEST, STEPS = 0.2, 0.03, 64

#: Most pieces of a class that takes part.
LARGEST_ANNEALED = 64

#: Most entries of the tables of costs; an axis of v values needs v * v.
LARGEST_TABLES = 1 << 22

#: Temperatures times these are borne, each as often as the others. Rounded, so that they are the same
#: wherever they are computed.
CHANCES = np.array([round(-math.log((i + 0.5) / 1024), 6) for i in range(1024)])


@dataclass(frozen=True)
class Spans:
    """Units as places in an order of each axis's values in which every label covers a stretch.

    The label of a class is then that of its first and its last place. ``places`` has shape (units, axes);
    ``costs`` at ``starts[j] + a * widths[j] + b`` is what a row loses by the finest label of axis j that
    covers the places a and b.
    """

    places: NDArray[np.int32]
    starts: NDArray[np.int64]
    widths: NDArray[np.int64]
    costs: NDArray[np.float64]

    @classmethod
    def of(cls, labels: Labels) -> Spans | None:
        """None if an axis has too many values."""
        axes = [labels.codes[:, a:b] for a, b in zip(labels.starts[:-1], labels.starts[1:], strict=True)]
        widths = np.array([len(np.unique(axis[:, 0])) for axis in axes], dtype=np.int64)
        starts = np.concatenate([[0], np.cumsum(widths**2)])
        if starts[-1] > LARGEST_TABLES:
            return None
        places, costs = [], []
        for axis in axes:
            # Ordered by the coarsest labels first, values under one label stand together.
            values, place = np.unique(axis[:, ::-1], axis=0, return_inverse=True)
            table = np.zeros((len(values), len(values)))
            for level in values.T:
                np.copyto(table, labels.costs[level][:, None], where=level[:, None] == level)
            places.append(place.ravel().astype(np.int32))
            costs.append(table.ravel())
        return cls(np.stack(places, axis=1), starts[:-1], widths, np.concatenate(costs))


def anneal(
    pieces: Pieces, spans: Spans, least: int, turns: int, seed: int, stirred: NDArray[np.bool_]
) -> None:
    """Rows swapped between near classes, and moved from those that can spare them.

    Args:
        pieces: changed in place.
        spans: of the units.
        least: rows that a class keeps.
        turns: how many moves are tried.
        seed: of the chance; not 0.
        stirred: classes that change are marked.
    """
    bill = pieces.cost / max(1, int((pieces.sizes > 0).sum()))
    heats = bill * HOTTEST * (COLDEST / HOTTEST) ** (np.arange(STEPS) / (STEPS - 1))
    anneal_all(
        pieces,
        *(spans.places, spans.starts, spans.widths, spans.costs),
        *(least, 1 + turns // STEPS, heats, CHANCES, np.uint64(seed), stirred),
    )


@numba.njit(cache=True)
def draw(state: Any) -> Any:  # pragma: no cover - compiled
    """The next 63 of a sequence of random bits (Marsaglia 2003, xorshift)."""
    bits = state[0]
    bits ^= bits << np.uint64(13)
    bits ^= bits >> np.uint64(7)
    bits ^= bits << np.uint64(17)
    state[0] = bits
    return np.int64(bits >> np.uint64(1))


@numba.njit(cache=True)
def encounter(p: Any, state: Any) -> Any:  # pragma: no cover - compiled
    """A piece drawn by chance and a class that one of its neighbours is in, -1 each for none."""
    unit, bits = draw(state) % len(p.pieces), draw(state)
    piece = p.pieces[unit]
    if piece < 0:
        return -1, -1
    while p.also[piece] >= 0 and bits & 1:
        piece, bits = p.also[piece], bits >> 1
    many, home = p.near.shape[1], p.home[piece]
    # The nearer, the more often.
    other = p.near[unit, min((bits >> 8) % many, (bits >> 24) % many)]
    at = p.pieces[other] if other >= 0 else -1
    if at < 0 or p.paid[home] <= 0 or p.many[home] < 2 or p.many[home] > LARGEST_ANNEALED:
        return -1, -1
    bits >>= 40
    while p.also[at] >= 0 and bits & 1:
        at, bits = p.also[at], bits >> 1
    target = p.home[at]
    if target == home or p.many[target] > LARGEST_ANNEALED:
        return -1, -1
    return piece, target


@numba.njit(cache=True)
def price(starts: Any, widths: Any, costs: Any, low: Any, high: Any) -> Any:  # pragma: no cover - compiled
    """What a row pays for the labels from ``low`` to ``high``."""
    lost = 0.0
    for j in range(len(starts)):
        lost += costs[starts[j] + low[j] * widths[j] + high[j]]
    return lost


@numba.njit(cache=True)
def swap(p: Any, home: Any, piece: Any, target: Any, other: Any) -> Any:  # pragma: no cover - compiled
    """A piece of ``home`` moved to ``target``, and the piece ``other``, if it is one, the other way."""
    if other >= 0:
        unit, rows = p.unit[other], p.rows[other]
        remove(p, target, unit, rows)
        add(p, home, unit, rows)
    unit, rows = p.unit[piece], p.rows[piece]
    remove(p, home, unit, rows)
    add(p, target, unit, rows)
    relabel(p, home)
    relabel(p, target)


@numba.njit(cache=True)
def anneal_all(
    p: Any, places: Any, starts: Any, widths: Any, costs: Any, least: Any, turns: Any, heats: Any,
    chances: Any, seed: Any, stirred: Any,
) -> Any:  # pragma: no cover - compiled  # fmt: skip
    """``turns`` moves tried at each of the temperatures."""
    axes, state = places.shape[1], np.array([seed])
    room = LARGEST_ANNEALED + 1
    inside = np.empty(room, dtype=np.int64)
    # Of the unit that moves and the first so many pieces of the class it moves to.
    firsts, lasts = np.empty((room, axes), dtype=np.int32), np.empty((room, axes), dtype=np.int32)
    # Of the pieces behind those; of what stays behind; of what is tried.
    first, last = np.empty((3, axes), dtype=np.int32), np.empty((3, axes), dtype=np.int32)
    for turn in range(turns * len(heats)):
        piece, target = encounter(p, state)
        if piece < 0 or p.left[0] < 1:
            continue
        home, unit, rows = p.home[piece], p.unit[piece], p.rows[piece]
        staying, coming = p.sizes[home] - rows, p.sizes[target] + rows
        bills = p.paid[home] * p.sizes[home] + p.paid[target] * p.sizes[target]
        cheapest = bills - GAIN + heats[turn // turns] * chances[draw(state) % len(chances)]
        first[1], last[1] = np.int32(2**31 - 1), np.int32(-1)
        at = p.first[home]
        while at >= 0:
            if at != piece:
                for j in range(axes):
                    first[1, j] = min(first[1, j], places[p.unit[at], j])
                    last[1, j] = max(last[1, j], places[p.unit[at], j])
            at = p.after[at]
        firsts[0], lasts[0] = places[unit], places[unit]
        many, at = 0, p.first[target]
        while at >= 0:
            for j in range(axes):
                firsts[many + 1, j] = min(firsts[many, j], places[p.unit[at], j])
                lasts[many + 1, j] = max(lasts[many, j], places[p.unit[at], j])
            inside[many] = at
            many += 1
            at = p.after[at]
        if staying >= least:
            bill = price(starts, widths, costs, first[1], last[1]) * staying
            bill += price(starts, widths, costs, firsts[many], lasts[many]) * coming
            if bill < cheapest:
                swap(p, home, piece, target, -1)
                stirred[home], stirred[target] = True, True
                continue
        chosen = -1
        first[0], last[0] = places[unit], places[unit]
        for i in range(many - 1, -1, -1):
            other, back = p.unit[inside[i]], p.rows[inside[i]]
            if other != unit and staying + back >= least and coming - back >= least:
                for j in range(axes):
                    first[2, j] = min(firsts[i, j], first[0, j])
                    last[2, j] = max(lasts[i, j], last[0, j])
                bill = price(starts, widths, costs, first[2], last[2]) * (coming - back)
                if bill < cheapest:
                    for j in range(axes):
                        first[2, j] = min(first[1, j], places[other, j])
                        last[2, j] = max(last[1, j], places[other, j])
                    bill += price(starts, widths, costs, first[2], last[2]) * (staying + back)
                    if bill < cheapest:
                        chosen, cheapest = inside[i], bill
            for j in range(axes):
                first[0, j] = min(first[0, j], places[other, j])
                last[0, j] = max(last[0, j], places[other, j])
        if chosen >= 0:
            swap(p, home, piece, target, chosen)
            stirred[home], stirred[target] = True, True
