"""A local search over classes of points: chains of up to three points that change places.

A chain takes a point from one class to a near one, a point of that to a third, and closes where it began
or in a class with room. What it saves is exact: a class of n points about the mean c that loses y and gains x
changes its sum of squares by |x - c|^2 - |y - c|^2 - |x - y|^2 / n; by n / (n + 1) |x - c|^2 if it only
gains, by -n / (n - 1) |y - c|^2 if it only loses. Two points can only swap; the third lets rows of classes
shift, as in the cyclic transfers of Thompson & Psaraftis 1993. A chain is taken only if it saves something,
so the search ends. The module loads numba: import it inside functions.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from sfumato.anonymity.microaggregation.distances import apart


class Layout(NamedTuple):
    """Points in ``classes``: class c has ``members[c, :sizes[c]]``, the mean ``centres[c]``, and no point
    farther from it than ``radii[c]``."""

    points: NDArray[np.float64]
    classes: NDArray[np.int64]
    members: NDArray[np.int32]
    sizes: NDArray[np.int64]
    centres: NDArray[np.float64]
    radii: NDArray[np.float64]


@numba.njit(cache=True)
def settle(p: Any, c: Any) -> Any:  # pragma: no cover - compiled
    """Work out a class's mean, and how far its farthest member lies from it."""
    for j in range(p.points.shape[1]):
        found = 0.0
        for u in range(p.sizes[c]):
            found += p.points[p.members[c, u], j]
        p.centres[c, j] = found / p.sizes[c]
    most = 0.0
    for u in range(p.sizes[c]):
        most = max(most, apart(p.points, p.members[c, u], p.centres, c))
    p.radii[c] = np.sqrt(most)


@numba.njit(cache=True)
def within(p: Any) -> Any:  # pragma: no cover - compiled
    """The sum of squares about the means of all classes."""
    found = 0.0
    for c in range(len(p.sizes)):
        for u in range(p.sizes[c]):
            found += apart(p.points, p.members[c, u], p.centres, c)
    return found


@numba.njit(cache=True)
def step_above(far: Any, radius: Any, size: Any) -> Any:  # pragma: no cover - compiled
    """What a step into a class costs at least, whoever leaves it: nobody lies beyond its radius."""
    reach = np.sqrt(far)
    return far - radius * radius - (reach + radius) * (reach + radius) / size


@numba.njit(cache=True)
def fill(points: Any, classes: Any, count: Any, room: Any) -> Any:  # pragma: no cover - compiled
    """The layout of classes, with room for so many points in each."""
    p = Layout(
        points,
        classes,
        np.full((count, room), -1, dtype=np.int32),
        np.zeros(count, dtype=np.int64),
        np.zeros((count, points.shape[1])),
        np.zeros(count),
    )
    for i in range(len(points)):
        c = classes[i]
        p.members[c, p.sizes[c]] = i
        p.sizes[c] += 1
    for c in range(count):
        settle(p, c)
    return p


@numba.njit(cache=True)
def take(p: Any, i: Any) -> Any:  # pragma: no cover - compiled
    """A point leaves its class."""
    c = p.classes[i]
    p.sizes[c] -= 1
    for u in range(p.sizes[c]):
        if p.members[c, u] == i:
            p.members[c, u] = p.members[c, p.sizes[c]]
            break


@numba.njit(cache=True)
def give(p: Any, i: Any, c: Any) -> Any:  # pragma: no cover - compiled
    """A point that is in no class comes into one."""
    p.members[c, p.sizes[c]] = i
    p.sizes[c] += 1
    p.classes[i] = c


@numba.njit(cache=True)
def note(chain: Any, x: Any, y: Any, z: Any, b: Any, c: Any) -> Any:  # pragma: no cover - compiled
    chain[0], chain[1], chain[2], chain[3], chain[4] = x, y, z, b, c


@numba.njit(cache=True)
def tempted(p: Any, a: Any, b: Any) -> Any:  # pragma: no cover - compiled
    """The member of ``b`` that is drawn to ``a`` most."""
    at, most = -1, np.inf
    for w in range(p.sizes[b]):
        y = p.members[b, w]
        pull = apart(p.points, y, p.centres, a) - apart(p.points, y, p.centres, b)
        if pull < most:
            at, most = y, pull
    return at


@numba.njit(cache=True, inline="always")
def third_step(
    p: Any, near: Any, x: Any, y: Any, rich: Any, leaving: Any, first: Any, least: Any, chain: Any
) -> Any:  # pragma: no cover - compiled
    """:func:`best_chain`, for chains that begin with two points; ``first`` is what x instead of y adds."""
    a, b = p.classes[x], p.classes[y]
    own = apart(p.points, x, p.centres, a)
    for c in near[b]:
        if c == a or p.sizes[c] == 0:
            continue
        far = apart(p.points, y, p.centres, c)
        if rich and p.sizes[c] < p.members.shape[1]:
            shift = leaving + first + far * p.sizes[c] / (p.sizes[c] + 1.0)
            if shift < least:
                least = shift
                note(chain, x, y, -1, b, c)
        if first >= 0 or step_above(far, p.radii[c], p.sizes[c]) >= -first:
            continue
        for s in range(p.sizes[c]):
            z = p.members[c, s]
            part = first + far - apart(p.points, z, p.centres, c)
            part -= apart(p.points, z, p.points, y) / p.sizes[c]
            if part >= 0:
                continue
            closed = part + apart(p.points, z, p.centres, a) - own
            closed -= apart(p.points, z, p.points, x) / p.sizes[a]
            if closed < least:
                least = closed
                note(chain, x, y, z, b, c)
    return least


@numba.njit(cache=True)
def best_chain(p: Any, near: Any, a: Any, k: Any, deep: Any, chain: Any) -> Any:  # pragma: no cover
    """The chain from class ``a`` that saves most, and what it adds (below 0 if it saves).

    ``chain`` gets its points x, y, z (-1 where it is shorter) and the classes that x and y go to; the
    last point of a chain that closes goes to ``a``. If not ``deep``, only pairs are tried, with the one
    member of each near class that is drawn to ``a`` most.
    """
    least, rich = 0.0, p.sizes[a] > k
    tempting = np.full(near.shape[1], -1, dtype=np.int64)
    for v in range(near.shape[1] if not deep else 0):
        tempting[v] = tempted(p, a, near[a, v])
    for u in range(p.sizes[a]):
        x = p.members[a, u]
        own = apart(p.points, x, p.centres, a)
        leaving = -own * p.sizes[a] / (p.sizes[a] - 1.0) if rich else 0.0
        for v in range(near.shape[1]):
            b = near[a, v]
            if p.sizes[b] == 0:
                continue
            far = apart(p.points, x, p.centres, b)
            moved = leaving + far * p.sizes[b] / (p.sizes[b] + 1.0)
            if rich and p.sizes[b] < p.members.shape[1] and moved < least:
                least = moved
                note(chain, x, -1, -1, b, -1)
            if step_above(far, p.radii[b], p.sizes[b]) >= -leaving:
                continue
            for w in range(p.sizes[b]):
                y = p.members[b, w]
                if not deep and y != tempting[v]:
                    continue
                gap = apart(p.points, y, p.points, x)
                first = far - apart(p.points, y, p.centres, b) - gap / p.sizes[b]
                # Of a cycle that saves, some rotation saves with every part of it from the start
                # (Lin & Kernighan 1973); so a first step that costs may be passed over.
                if first >= 0 and leaving + first >= 0:
                    continue
                swap = first + apart(p.points, y, p.centres, a) - own - gap / p.sizes[a]
                if swap < least:
                    least = swap
                    note(chain, x, y, -1, b, a)
                if deep:
                    least = third_step(p, near, x, y, rich, leaving, first, least, chain)
    return least


@numba.njit(cache=True)
def carry_out(p: Any, a: Any, chain: Any) -> Any:  # pragma: no cover - compiled
    """Let the points of a chain from ``a`` change places."""
    x, y, z, b, c = chain[0], chain[1], chain[2], chain[3], chain[4]
    take(p, x)
    if y >= 0:
        take(p, y)
    if z >= 0:
        take(p, z)
    give(p, x, b)
    if y >= 0:
        give(p, y, c)
    if z >= 0:
        give(p, z, a)
    settle(p, a)
    settle(p, b)
    if y >= 0 and c != a:
        settle(p, c)


@numba.njit(cache=True)
def exchange(p: Any, near: Any, k: Any, deep: Any, least: Any, dirty: Any) -> Any:  # pragma: no cover
    """Carry out the best chains of each class marked, in turn.

    Returns what was saved, and the classes to look at next: those touched, and those near them.
    """
    touched = np.zeros(len(p.sizes), dtype=np.bool_)
    chain = np.empty(5, dtype=np.int64)
    saved = 0.0
    for a in range(len(p.sizes)):
        if not dirty[a] or p.sizes[a] == 0:
            continue
        for _ in range(4 * k):
            found = best_chain(p, near, a, k, deep, chain)
            if found > -least:
                break
            saved -= found
            carry_out(p, a, chain)
            touched[a] = touched[chain[3]] = True
            if chain[1] >= 0:
                touched[chain[4]] = True
    around = touched.copy()
    for a in range(len(p.sizes)):
        if touched[a]:
            for b in near[a]:
                around[b] = True
    return saved, around


@numba.njit(cache=True)
def hosting(p: Any, guests: Any, goals: Any) -> Any:  # pragma: no cover - compiled
    """What it costs exactly that points join the classes that are their goals."""
    cost = 0.0
    for u in range(len(guests)):
        b = goals[u]
        first, joint = True, 0
        for w in range(len(guests)):
            first = first and (w >= u or goals[w] != b)
            joint += goals[w] == b
        cost += apart(p.points, guests[u], p.centres, b)
        if first:
            for j in range(p.points.shape[1]):
                pull = 0.0
                for w in range(u, len(guests)):
                    if goals[w] == b:
                        pull += p.points[guests[w], j] - p.centres[b, j]
                cost -= pull * pull / (p.sizes[b] + joint)
    return cost


@numba.njit(cache=True)
def housing(p: Any, near: Any, a: Any, goals: Any) -> Any:  # pragma: no cover - compiled
    """Find a near class with room for each point of ``a``; False if one finds none."""
    for u in range(p.sizes[a]):
        least = np.inf
        for b in near[a]:
            used = 0
            for w in range(u):
                used += goals[w] == b
            if p.sizes[b] == 0 or p.sizes[b] + used >= p.members.shape[1]:
                continue
            # Guests of one class are seldom on its same side, so a second one is put off.
            found = apart(p.points, p.members[a, u], p.centres, b) * (1 + 0.3 * used)
            if found < least:
                least, goals[u] = found, b
        if least == np.inf:
            return False
    return True


@numba.njit(cache=True)
def dissolve(p: Any, near: Any) -> Any:  # pragma: no cover - compiled
    """Empty each class whose points cost less in near ones that have room; how many were."""
    goals = np.empty(p.members.shape[1], dtype=np.int64)
    gone = 0
    for a in range(len(p.sizes)):
        if p.sizes[a] == 0 or not housing(p, near, a, goals):
            continue
        guests = p.members[a, : p.sizes[a]]
        inside = 0.0
        for i in guests:
            inside += apart(p.points, i, p.centres, a)
        if hosting(p, guests, goals) >= inside:
            continue
        gone += 1
        for u in range(len(guests)):
            give(p, guests[u], goals[u])
            settle(p, goals[u])
        p.sizes[a] = 0
    return gone
