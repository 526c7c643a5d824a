"""Moves between classes: the compiled kernels of a partition's local search.

Their ``form`` is the space, the bits of its sets, and which axes are narrow sets, wide ones and others. The
module loads numba: import it inside functions.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from sfumato.anonymity.partition.split_covers import NONE, loss, ones


@numba.njit(cache=True, inline="always")
def summed(
    form: Any, pieces: Any, classes: Any, c: Any, left_out: Any, row: Any
) -> Any:  # pragma: no cover - compiled
    """Write what class c covers without one piece into a row; its people and their mean loss."""
    space, bits, axes = form
    points, counts, _, after, _, marks = pieces
    heads, _, _, lows, highs, masks, blooms, distinct, stamps = classes
    narrow, wide, others = axes
    stamps[-1] += 1
    for w in range(masks.shape[1]):
        masks[row, w] = 0
    for j in wide:
        blooms[row, j], distinct[row, j] = 0, 0
    for j in others:
        lows[row, j], highs[row, j] = NONE, -1
    rows = 0
    p = heads[c]
    while p >= 0:
        if p != left_out:
            rows += counts[p]
            for w in range(masks.shape[1]):
                masks[row, w] |= marks[p, w]
            for j in wide:
                at = space[1][j] + points[p, j]
                if stamps[at] != stamps[-1]:
                    stamps[at] = stamps[-1]
                    distinct[row, j] += 1
                    blooms[row, j] |= np.uint64(1) << np.uint64(points[p, j] & 63)
            for j in others:
                lows[row, j] = min(lows[row, j], points[p, j])
                highs[row, j] = max(highs[row, j], points[p, j])
        p = after[p]
    found = 0.0
    if rows > 0:
        for j in narrow:
            found += (ones(masks[row, bits[0][j]] & bits[3][j]) - 1) * space[2][j]
        for j in wide:
            found += (distinct[row, j] - 1) * space[2][j]
        for j in others:
            found += loss(space, j, lows[row, j], highs[row, j])
    return rows, found


@numba.njit(cache=True)
def within(points: Any, after: Any, p: Any, j: Any, x: Any) -> Any:  # pragma: no cover - compiled
    """Whether a piece in the chain from p on has value x on axis j."""
    while p >= 0:
        if points[p, j] == x:
            return True
        p = after[p]
    return False


@numba.njit(cache=True, inline="always")
def joined(form: Any, pieces: Any, classes: Any, c: Any, p: Any, bound: Any) -> Any:  # pragma: no cover
    """The mean loss of class c with piece p in it, or something of at least ``bound``."""
    found = 0.0
    for j in form[2][0]:
        w = form[1][0][j]
        found += (ones((classes[5][c, w] | pieces[5][p, w]) & form[1][3][j]) - 1) * form[0][2][j]
    for j in form[2][1]:
        if found >= bound:
            break
        x = pieces[0][p, j]
        seen = (classes[6][c, j] >> np.uint64(x & 63)) & np.uint64(1)
        # Of more values than bits, two may share one.
        if seen:
            seen = within(pieces[0], pieces[3], classes[0][c], j, x)
        found += (classes[7][c, j] - (1 if seen else 0)) * form[0][2][j]
    for j in form[2][2]:
        if found >= bound:
            break
        x = pieces[0][p, j]
        found += loss(form[0], j, min(classes[3][c, j], x), max(classes[4][c, j], x))
    return found


@numba.njit(cache=True)
def unlink(pieces: Any, heads: Any, p: Any) -> Any:  # pragma: no cover - compiled
    _, _, numbers, after, before, _ = pieces
    if before[p] >= 0:
        after[before[p]] = after[p]
    else:
        heads[numbers[p]] = after[p]
    if after[p] >= 0:
        before[after[p]] = before[p]


@numba.njit(cache=True)
def link(pieces: Any, heads: Any, p: Any, c: Any) -> Any:  # pragma: no cover - compiled
    _, _, numbers, after, before, _ = pieces
    after[p], before[p], numbers[p] = heads[c], -1, c
    if heads[c] >= 0:
        before[heads[c]] = p
    heads[c] = p


@numba.njit(cache=True)
def refresh(form: Any, pieces: Any, classes: Any, c: Any) -> Any:  # pragma: no cover - compiled
    classes[1][c], classes[2][c] = summed(form, pieces, classes, c, -1, c)


@numba.njit(cache=True)
def settle(form: Any, pieces: Any, classes: Any, used: Any) -> Any:  # pragma: no cover - compiled
    """Chain the pieces of each class and sum it up."""
    heads = classes[0]
    heads[:] = -1
    for p in range(used - 1, -1, -1):
        link(pieces, heads, p, pieces[2][p])
    for c in range(len(heads)):
        refresh(form, pieces, classes, c)


@numba.njit(cache=True)
def improve(
    form: Any,
    pieces: Any,
    classes: Any,
    order: Any,
    used: Any,
    least: Any,
    window: Any,
    deal: Any,
    once: Any,
    moves: Any,
) -> Any:  # pragma: no cover - compiled
    """Move pieces to a class of a neighbour in ``order`` where the loss falls; how many moved.

    With ``deal``, part of a piece goes where the whole cannot, numbered from ``used`` on. With
    ``once``, no class takes part in two moves. ``moves`` gets (piece, from, to, piece left behind).
    """
    points, counts, numbers, _, _, marks = pieces
    sizes, means = classes[1], classes[2]
    done = 0
    spare = len(sizes)
    taken = np.zeros(spare, dtype=np.bool_)
    for i in range(len(order)):
        p = order[i]
        home = numbers[p]
        # A class that loses nothing has nothing to gain, unless it has people to lend.
        going = counts[p]
        if going == 0 or (means[home] <= 0 and not deal) or (once and taken[home]):
            continue
        if 0 < sizes[home] - going < least:
            going = sizes[home] - least
            if not deal or going <= 0 or used == len(counts):
                continue
        if going < counts[p]:
            spared = means[home] * going
        else:
            left, rest = summed(form, pieces, classes, home, p, spare)
            spared = sizes[home] * means[home] - left * rest
        best, most, last = -1, spared - 1e-12 * going, home
        for at in range(max(0, i - window), min(len(order), i + window + 1)):
            c = numbers[order[at]]
            if c in (last, home) or (once and taken[c]):
                continue
            last = c
            bound = (most + sizes[c] * means[c]) / (sizes[c] + going)
            found = joined(form, pieces, classes, c, p, bound)
            if found < bound:
                best, most = c, (sizes[c] + going) * found - sizes[c] * means[c]
        if best < 0:
            continue
        left_behind = -1
        if going < counts[p]:
            left_behind = p
            counts[p] -= going
            points[used], marks[used], counts[used] = points[p], marks[p], going
            p = used
            used += 1
        else:
            unlink(pieces, classes[0], p)
        link(pieces, classes[0], p, best)
        refresh(form, pieces, classes, home)
        refresh(form, pieces, classes, best)
        taken[home] = taken[best] = True
        moves[done, 0], moves[done, 1], moves[done, 2], moves[done, 3] = p, home, best, left_behind
        done += 1
    return done, used


@numba.njit(cache=True)
def revert(form: Any, pieces: Any, classes: Any, moves: Any) -> Any:  # pragma: no cover - compiled
    """Take moves back that share no class."""
    for i in range(len(moves)):
        p, home, there, left_behind = moves[i]
        unlink(pieces, classes[0], p)
        if left_behind >= 0:
            pieces[1][left_behind] += pieces[1][p]
            pieces[1][p] = 0
        else:
            link(pieces, classes[0], p, home)
        refresh(form, pieces, classes, home)
        refresh(form, pieces, classes, there)


@numba.njit(cache=True)
def part(
    form: Any, pieces: Any, classes: Any, used: Any, least: Any, deal: Any, moves: Any
) -> Any:  # pragma: no cover
    """Give the largest piece of a class one of its own where both are large enough; how many did.

    With ``deal``, it leaves as many people behind as the others need. New classes are numbered from
    the first empty one on.
    """
    points, counts, _, after, _, marks = pieces
    heads, sizes, means = classes[0], classes[1], classes[2]
    spare = len(sizes)
    done, new = 0, 0
    for c in range(spare):
        while new < spare and sizes[new] > 0:
            new += 1
        if new == spare:
            break
        if sizes[c] < 2 * least or means[c] <= 0:
            continue
        p = heads[c]
        at = after[p]
        while at >= 0:
            if counts[at] > counts[p]:
                p = at
            at = after[at]
        lent = max(0, least - (sizes[c] - counts[p]))
        going = counts[p] - lent
        if going < least or sizes[c] == counts[p] or (lent > 0 and (not deal or used == len(counts))):
            continue
        left_behind = -1
        if lent > 0:
            left_behind = p
            counts[p] = lent
            points[used], marks[used], counts[used] = points[p], marks[p], going
            p = used
            used += 1
        else:
            unlink(pieces, heads, p)
        before = sizes[c] * means[c]
        link(pieces, heads, p, new)
        refresh(form, pieces, classes, c)
        refresh(form, pieces, classes, new)
        moves[done, 0], moves[done, 1], moves[done, 2], moves[done, 3] = p, c, new, left_behind
        if sizes[c] * means[c] + sizes[new] * means[new] < before - 1e-12 * going:
            done += 1
        else:
            revert(form, pieces, classes, moves[done : done + 1])
    return done, used
