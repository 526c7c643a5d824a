"""Rows of near classes that change places under a promise; compiled. Import it inside functions."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from sfumato.anonymity.microaggregation.distances import apart


@numba.njit(cache=True)
def pulls(p: Any, a: Any, b: Any, to_a: Any, to_b: Any) -> Any:  # pragma: no cover - compiled
    """How far the members of ``b`` lie from the means of both."""
    for w in range(p.sizes[b]):
        to_a[w] = apart(p.points, p.members[b, w], p.centres, a)
        to_b[w] = apart(p.points, p.members[b, w], p.centres, b)


@numba.njit(cache=True)
def centre(p: Any, c: Any) -> Any:  # pragma: no cover - compiled
    """Work out a class's mean."""
    for j in range(p.points.shape[1]):
        found = 0.0
        for u in range(p.sizes[c]):
            found += p.points[p.members[c, u], j]
        p.centres[c, j] = found / p.sizes[c]


@numba.njit(cache=True)
def swap_alike(
    p: Any, near: Any, alike: Any, least: Any, changed: Any, looked: Any
) -> Any:  # pragma: no cover - compiled
    """Swap rows of one number ``alike`` between near classes where that saves; how many were swapped.

    ``changed`` has when each class changed last, and at its end the time; ``looked`` when nothing was found
    between a class and each near one: it is looked at again when one of them has changed.
    """
    room = p.members.shape[1]
    to_a, to_b = np.empty(room), np.empty(room)
    done = 0
    for a in range(len(p.sizes)):
        for v in range(near.shape[1]):
            b = near[a, v]
            if looked[a, v] >= max(changed[a], changed[b]):
                continue
            looked[a, v] = changed[-1]
            pulls(p, a, b, to_a, to_b)
            for u in range(p.sizes[a]):
                x, best, at = p.members[a, u], -least, -1
                own, far = apart(p.points, x, p.centres, a), apart(p.points, x, p.centres, b)
                for w in range(p.sizes[b]):
                    y = p.members[b, w]
                    change = far - to_b[w] + to_a[w] - own
                    if alike[y] != alike[x] or change >= best:
                        continue
                    change -= apart(p.points, x, p.points, y) * (1 / p.sizes[a] + 1 / p.sizes[b])
                    if change < best:
                        best, at = change, w
                if at >= 0:
                    y = p.members[b, at]
                    p.members[a, u], p.members[b, at] = y, x
                    p.classes[x], p.classes[y] = b, a
                    centre(p, a)
                    centre(p, b)
                    pulls(p, a, b, to_a, to_b)
                    changed[-1] += 1
                    changed[a] = changed[b] = changed[-1]
                    done += 1
    return done


@numba.njit(cache=True)
def propose(
    p: Any, near: Any, alike: Any, banned: Any, k: Any, least: Any, changed: Any, looked: Any
) -> Any:  # pragma: no cover - compiled
    """The changes that save most, at most one a class: x, y (-1 if x only moves), their classes.

    A banned row changes places with one of the same number ``alike`` only; ``changed`` and ``looked`` as for
    :func:`swap_alike`, as long as no row is banned no longer.
    """
    room = p.members.shape[1]
    to_a, to_b = np.empty(room), np.empty(room)
    used = np.zeros(len(p.sizes), dtype=np.bool_)
    found = np.empty((len(p.sizes), 4), dtype=np.int64)
    made = 0
    for a in range(len(p.sizes)):
        best, x_best, y_best, b_best = -least, -1, -1, -1
        for v in range(near.shape[1]):
            b = near[a, v]
            if used[a] or used[b] or looked[a, v] >= max(changed[a], changed[b]):
                continue
            # Beside something better, what would do by itself may be passed over.
            if x_best < 0:
                looked[a, v] = changed[-1]
            pulls(p, a, b, to_a, to_b)
            na, nb = p.sizes[a], p.sizes[b]
            for u in range(na):
                x = p.members[a, u]
                own, far = apart(p.points, x, p.centres, a), apart(p.points, x, p.centres, b)
                if na > k and nb < room and not banned[x]:
                    change = far * nb / (nb + 1.0) - own * na / (na - 1.0)
                    if change < best:
                        best, x_best, y_best, b_best = change, x, -1, b
                for w in range(nb):
                    y = p.members[b, w]
                    if alike[x] != alike[y] and (banned[x] or banned[y]):
                        continue
                    change = far - to_b[w] + to_a[w] - own
                    # What a swap saves by the distance of the two alone is passed over: most have some.
                    if change >= best:
                        continue
                    change -= apart(p.points, x, p.points, y) * (1 / na + 1 / nb)
                    if change < best:
                        best, x_best, y_best, b_best = change, x, y, b
            if x_best >= 0:
                looked[a, v] = -1
        if x_best >= 0:
            used[a] = used[b_best] = True
            found[made, 0], found[made, 1], found[made, 2], found[made, 3] = x_best, y_best, a, b_best
            made += 1
    return found[:made]
