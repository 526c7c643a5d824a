"""A local search over classes of points: chains of up to three points that change places.

A chain takes a point from one class to a near one, a point of that to a third, and closes where it began
or in a class with room. What it saves is exact: a class of n points about the mean c that loses y and gains x
changes its sum of squares by |x - c|^2 - |y - c|^2 - |x - y|^2 / n; by n / (n + 1) |x - c|^2 if it only
gains, by -n / (n - 1) |y - c|^2 if it only loses. Two points can only swap; the third lets rows of classes
shift, as in the cyclic transfers of Thompson & Psaraftis 1993. A chain is taken only if it saves something,
so the search ends. The module loads numba: import it inside functions.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from sfumato.anonymity.microaggregation.distances import apart


@numba.njit(cache=True)
def centre(
    points: Any, members: Any, sizes: Any, centres: Any, radii: Any, c: Any
) -> Any:  # pragma: no cover
    """Work out a class's mean, and how far its farthest member lies from it."""
    for j in range(points.shape[1]):
        found = 0.0
        for u in range(sizes[c]):
            found += points[members[c, u], j]
        centres[c, j] = found / sizes[c]
    most = 0.0
    for u in range(sizes[c]):
        most = max(most, apart(points, members[c, u], centres[c]))
    radii[c] = np.sqrt(most)


@numba.njit(cache=True)
def step_above(far: Any, radius: Any, size: Any) -> Any:  # pragma: no cover - compiled
    """What a step into a class costs at least, whoever leaves it: nobody lies beyond its radius."""
    reach = np.sqrt(far)
    return far - radius * radius - (reach + radius) * (reach + radius) / size


@numba.njit(cache=True)
def fill(points: Any, classes: Any, count: Any, room: Any) -> Any:  # pragma: no cover - compiled
    """Members, sizes, means and radii of classes, (count, room), (count,), (count, d), (count,)."""
    members = np.full((count, room), -1, dtype=np.int32)
    sizes = np.zeros(count, dtype=np.int64)
    centres = np.zeros((count, points.shape[1]))
    radii = np.zeros(count)
    for i in range(len(points)):
        c = classes[i]
        members[c, sizes[c]] = i
        sizes[c] += 1
    for c in range(count):
        centre(points, members, sizes, centres, radii, c)
    return members, sizes, centres, radii


@numba.njit(cache=True)
def take(classes: Any, members: Any, sizes: Any, i: Any) -> Any:  # pragma: no cover - compiled
    c = classes[i]
    sizes[c] -= 1
    for u in range(sizes[c]):
        if members[c, u] == i:
            members[c, u] = members[c, sizes[c]]
            break


@numba.njit(cache=True)
def give(classes: Any, members: Any, sizes: Any, i: Any, c: Any) -> Any:  # pragma: no cover - compiled
    members[c, sizes[c]] = i
    sizes[c] += 1
    classes[i] = c


@numba.njit(cache=True)
def best_chain(
    points: Any,
    members: Any,
    sizes: Any,
    centres: Any,
    radii: Any,
    near: Any,
    a: Any,
    k: Any,
    deep: Any,
    chain: Any,
) -> Any:  # pragma: no cover - compiled
    """The chain from class ``a`` that saves most, and what it adds (below 0 if it saves).

    ``chain`` gets its points x, y, z (-1 where it is shorter) and the classes that x and y go to; the
    last point of a chain that closes goes to ``a``. If not ``deep``, only pairs are tried, with the one
    member of each near class that is drawn to ``a`` most.
    """
    width, room = near.shape[1], members.shape[1]
    least = 0.0
    rich = sizes[a] > k
    tempting = np.full(width, -1, dtype=np.int64)
    for v in range(width if not deep else 0):
        most = np.inf
        for w in range(sizes[near[a, v]]):
            y = members[near[a, v], w]
            pull = apart(points, y, centres[a]) - apart(points, y, centres[near[a, v]])
            if pull < most:
                most, tempting[v] = pull, y
    for u in range(sizes[a]):
        x = members[a, u]
        own = apart(points, x, centres[a])
        leaving = -own * sizes[a] / (sizes[a] - 1.0) if rich else 0.0
        for v in range(width):
            b = near[a, v]
            if sizes[b] == 0:
                continue
            far = apart(points, x, centres[b])
            if rich and sizes[b] < room and leaving + far * sizes[b] / (sizes[b] + 1.0) < least:
                least = leaving + far * sizes[b] / (sizes[b] + 1.0)
                chain[0], chain[1], chain[2], chain[3], chain[4] = x, -1, -1, b, -1
            if step_above(far, radii[b], sizes[b]) >= -leaving:
                continue
            for w in range(sizes[b]):
                y = members[b, w]
                if not deep and y != tempting[v]:
                    continue
                gap = apart(points, y, points[x])
                first = far - apart(points, y, centres[b]) - gap / sizes[b]
                # Of a cycle that saves, some rotation saves with every part of it from the start
                # (Lin & Kernighan 1973); so a first step that costs may be passed over.
                if first >= 0 and leaving + first >= 0:
                    continue
                swap = first + apart(points, y, centres[a]) - own - gap / sizes[a]
                if swap < least:
                    least = swap
                    chain[0], chain[1], chain[2], chain[3], chain[4] = x, y, -1, b, a
                if not deep:
                    continue
                for t in range(width):
                    c = near[b, t]
                    if c == a or sizes[c] == 0:
                        continue
                    farther = apart(points, y, centres[c])
                    if rich and sizes[c] < room:
                        shift = leaving + first + farther * sizes[c] / (sizes[c] + 1.0)
                        if shift < least:
                            least = shift
                            chain[0], chain[1], chain[2], chain[3], chain[4] = x, y, -1, b, c
                    if first >= 0 or step_above(farther, radii[c], sizes[c]) >= -first:
                        continue
                    for s in range(sizes[c]):
                        z = members[c, s]
                        part = first + farther - apart(points, z, centres[c])
                        part -= apart(points, z, points[y]) / sizes[c]
                        if part >= 0:
                            continue
                        closed = part + apart(points, z, centres[a]) - own
                        closed -= apart(points, z, points[x]) / sizes[a]
                        if closed < least:
                            least = closed
                            chain[0], chain[1], chain[2], chain[3], chain[4] = x, y, z, b, c
    return least


@numba.njit(cache=True)
def exchange(
    points: Any,
    classes: Any,
    members: Any,
    sizes: Any,
    centres: Any,
    radii: Any,
    near: Any,
    k: Any,
    deep: Any,
    least: Any,
    dirty: Any,
) -> Any:  # pragma: no cover - compiled
    """Carry out the best chains of each class marked, in turn; mark those that they touch.

    Returns what was saved, and the classes to look at next: those touched, and those near them.
    """
    touched = np.zeros(len(sizes), dtype=np.bool_)
    chain = np.empty(5, dtype=np.int64)
    saved = 0.0
    for a in range(len(sizes)):
        if not dirty[a] or sizes[a] == 0:
            continue
        for _ in range(4 * k):
            found = best_chain(points, members, sizes, centres, radii, near, a, k, deep, chain)
            if found > -least:
                break
            saved -= found
            x, y, z, b, c = chain[0], chain[1], chain[2], chain[3], chain[4]
            take(classes, members, sizes, x)
            if y >= 0:
                take(classes, members, sizes, y)
            if z >= 0:
                take(classes, members, sizes, z)
            give(classes, members, sizes, x, b)
            if y >= 0:
                give(classes, members, sizes, y, c)
            if z >= 0:
                give(classes, members, sizes, z, a)
            centre(points, members, sizes, centres, radii, a)
            centre(points, members, sizes, centres, radii, b)
            touched[a] = touched[b] = True
            if y >= 0 and c != a:
                centre(points, members, sizes, centres, radii, c)
                touched[c] = True
    around = touched.copy()
    for a in range(len(sizes)):
        if touched[a]:
            for v in range(near.shape[1]):
                around[near[a, v]] = True
    return saved, around


@numba.njit(cache=True)
def hosting(
    points: Any, guests: Any, goals: Any, count: Any, sizes: Any, centres: Any
) -> Any:  # pragma: no cover - compiled
    """What it costs exactly that points join the classes that are their goals."""
    cost = 0.0
    for u in range(count):
        b = goals[u]
        first, joint = True, 0
        for w in range(count):
            first = first and (w >= u or goals[w] != b)
            joint += goals[w] == b
        cost += apart(points, guests[u], centres[b])
        if first:
            for j in range(points.shape[1]):
                pull = 0.0
                for w in range(u, count):
                    if goals[w] == b:
                        pull += points[guests[w], j] - centres[b, j]
                cost -= pull * pull / (sizes[b] + joint)
    return cost


@numba.njit(cache=True)
def dissolve(
    points: Any, classes: Any, members: Any, sizes: Any, centres: Any, radii: Any, near: Any
) -> Any:  # pragma: no cover - compiled
    """Empty each class whose points cost less in near ones that have room; how many were."""
    room = members.shape[1]
    goals = np.empty(room, dtype=np.int64)
    gone = 0
    for a in range(len(sizes)):
        if sizes[a] == 0:
            continue
        inside, housed = 0.0, True
        for u in range(sizes[a]):
            inside += apart(points, members[a, u], centres[a])
            least = np.inf
            for v in range(near.shape[1]):
                b = near[a, v]
                used = 0
                for w in range(u):
                    used += goals[w] == b
                if sizes[b] == 0 or sizes[b] + used >= room:
                    continue
                # Guests of one class are seldom on its same side, so a second one is put off.
                found = apart(points, members[a, u], centres[b]) * (1 + 0.3 * used)
                if found < least:
                    least, goals[u] = found, b
            housed = housed and least < np.inf
        if not housed or hosting(points, members[a], goals, sizes[a], sizes, centres) >= inside:
            continue
        gone += 1
        for u in range(sizes[a]):
            give(classes, members, sizes, members[a, u], goals[u])
            centre(points, members, sizes, centres, radii, goals[u])
        sizes[a] = 0
    return gone
