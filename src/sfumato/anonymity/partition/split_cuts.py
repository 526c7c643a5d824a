"""Cuts of nodes: the compiled kernels of a top-down partition.

A node's points lie together, in the order of each axis that has to be sorted. To find its cuts, points
that no cut parts are put into groups, an axis at a time, and what each group covers on all axes is summed
up; then two sweeps over the groups, up and down, give the cost of both sides of every cut. The module
loads numba: import it inside functions.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from sfumato.anonymity.partition.split_covers import NONE, add, clear, gathered, ones, purity, total, united

#: An axis of a node is cut at no more places than this; finer ones come up again in its parts.
PLACES = 256

#: The exponent of a cut's entropy in its score. A cut is worth what it gains, but an even one leaves
#: more to be gained below; of the exponents 0 to 1 this was the best on Adult at k = 5 and 50.
EVENNESS = 0.2


@numba.njit(cache=True)
def grouped(space: Any, points: Any, order: Any, a: Any, groups: Any) -> Any:  # pragma: no cover
    """Number the neighbours that no cut of axis a parts; how many groups there are."""
    kinds, starts, _, _, labels, _ = space
    at, end = starts[a], len(order)
    level = -1
    if kinds[a] == 1:
        low, high = at + points[order[0], a], at + points[order[end - 1], a]
        level = 0
        while level < len(labels) - 1 and labels[level, low] != labels[level, high]:
            level += 1
        level -= 1
    least = end // PLACES
    found, inside, last = 0, 0, NONE
    for i in range(end):
        rank = points[order[i], a]
        key = labels[level, at + rank] if level >= 0 else rank
        if i > 0 and key != last and inside >= least:
            found += 1
            inside = 0
        last = key
        inside += 1
        groups[i] = found
    return found + 1


@numba.njit(cache=True)
def valued(points: Any, order: Any, a: Any, present: Any, shift: Any, groups: Any) -> Any:  # pragma: no cover
    """Number the points of a narrow set by value; how many values are ``present`` as bits."""
    place = np.empty(64, dtype=np.int32)
    number = 0
    for x in range(64):
        place[x] = number
        if (present >> np.uint64(x)) & np.uint64(1):
            number += 1
    for i in range(len(order)):
        groups[i] = place[points[order[i], a] + shift]
    return number


@numba.njit(cache=True)
def parted(
    kind: Any, order: Any, counts: Any, groups: Any, number: Any, sizes: Any, rows: Any, least: Any
) -> Any:  # pragma: no cover - compiled
    """Count the people of each group; whether some cut may leave enough of them on both sides."""
    sizes[:number] = 0
    for i in range(len(order)):
        sizes[groups[i]] += counts[order[i]]
    left, largest = 0, 0
    for g in range(number):
        left += sizes[g]
        largest = max(largest, sizes[g])
        if least <= left <= rows - least or (kind != 0 and least <= sizes[g] <= rows - least):
            return True
    # Sets of small groups are put together in other orders than this.
    return kind == 2 and largest < least


@numba.njit(cache=True)
def ranked(keys: Any, number: Any, found: Any) -> Any:  # pragma: no cover - compiled
    """Numbers sorted by descending keys, equal ones as they were."""
    if number > 32:
        found[:number] = np.argsort(-keys[:number], kind="mergesort")
        return
    for i in range(number):
        at = i
        while at > 0 and keys[found[at - 1]] < keys[i]:
            found[at] = found[at - 1]
            at -= 1
        found[at] = i


@numba.njit(cache=True)
def worth(gain: Any, left: Any, right: Any) -> Any:  # pragma: no cover - compiled
    """The score of a cut that gains so much and parts so many people."""
    rows = left + right
    even = rows * np.log(rows) - left * np.log(left) - right * np.log(right)
    return gain * even**EVENNESS


@numba.njit(cache=True)
def propose(
    space: Any,
    bits: Any,
    points: Any,
    marks: Any,
    counts: Any,
    hits: Any,
    focus: Any,
    order: Any,
    lines: Any,
    begins: Any,
    ends: Any,
    least: Any,
    first: Any,
    last: Any,
    barred: Any,
    side: Any,
    axis: Any,
) -> Any:  # pragma: no cover - compiled
    """The cuts of each node, ranked ``first`` to ``last`` by score: how many there are.

    ``marks`` has the values of narrow sets as bits; axis j is sorted in the line ``lines[j]`` of ``order``,
    those in the first one are not. ``side[t, p]`` says whether point p lies left of cut ``first + t`` of
    its node, ``axis[t, i]`` which axis that cut of node i is on; none is on the axis ``barred[i]``.
    """
    kinds = space[0]
    n, d = points.shape
    most = min(n, 2 * PLACES + 2)
    proposed = np.zeros(len(begins), dtype=np.int64)
    groups = np.empty((d, n), dtype=np.int32)
    places = np.empty((2 * d, most), dtype=np.int32)
    # Covers of each group, of what lies after it, of what lies before, and of all but one group.
    after, now, rest = most, 2 * most + 1, 2 * most + 2
    words = max(marks.shape[1], bits[1].max())
    covers = (
        np.empty((2 * most + 3, d), np.int32),
        np.empty((2 * most + 3, d), np.int32),
        np.zeros((2 * most + 3, words), np.uint64),
    )
    present = np.empty(marks.shape[1], dtype=np.uint64)
    sizes, rate = np.empty(most, dtype=np.int64), np.empty(most)
    spread = np.zeros((most, hits.shape[1]))
    before, all_hits = np.zeros(hits.shape[1]), np.zeros(hits.shape[1])
    ways = np.empty(most, dtype=np.int64)
    scores = np.empty(4 * most * d)
    cuts = np.empty((4 * most * d, 2), dtype=np.int64)
    active, narrow, wide, other = np.empty((4, d), dtype=np.int64)
    for node in range(len(begins)):
        start, end = begins[node], ends[node]
        rows = united(marks, counts, order[0, start:end], present)
        if rows < 2 * least:
            continue
        number = narrows = wides = apart = 0
        for j in range(d):
            line = lines[j]
            if line == 0:
                differ = ones(present[bits[0][j]] & bits[3][j]) > 1
            else:
                differ = points[order[line, start], j] != points[order[line, end - 1], j]
            if not differ:
                continue
            active[number] = j
            number += 1
            if line == 0:
                narrow[narrows] = j
                narrows += 1
            elif kinds[j] == 2:
                wide[wides] = j
                wides += 1
            else:
                other[apart] = j
                apart += 1
        axes = narrow[:narrows], wide[:wides], other[:apart]
        others = axes[2]
        found = 0
        # Where only the best cut is asked for, one that gains no more than this cannot be it.
        bar, reach = 1e-12 * rows, (rows * np.log(2.0)) ** EVENNESS
        for a in active[:number]:
            if a == barred[node]:
                continue
            part, group = order[lines[a], start:end], groups[a, start:end]
            if lines[a] == 0:
                number = valued(points, part, a, present[bits[0][a]] & bits[3][a], bits[2][a], group)
            else:
                number = grouped(space, points, part, a, group)
            if number < 2 or not parted(kinds[a], part, counts, group, number, sizes, rows, least):
                continue
            gathered(bits, axes, points, marks, hits, part, group, number, spread, covers)
            for way in range(2 if kinds[a] == 2 and hits.shape[1] > 0 else 1):
                if kinds[a] != 2:
                    ways[:number] = np.arange(number)
                elif way == 0:
                    ranked(sizes, number, ways)
                else:
                    rate[:number] = spread[:number, 0] / sizes[:number]
                    ranked(rate, number, ways)
                clear(others, covers, after + number)
                for i in range(number - 1, -1, -1):
                    g = ways[i]
                    places[2 * a + way, g] = i
                    add(others, covers, g, after + i + 1, after + i)
                whole = rows * total(space, bits, axes, covers, after, a, number)
                if focus > 0:
                    all_hits[:] = 0
                    for g in range(number):
                        all_hits += spread[g]
                    whole -= focus * purity(all_hits, all_hits, 0, rows)
                clear(others, covers, now)
                before[:] = 0
                left = 0
                # In turn each group by itself, but for the ends, and all up to it.
                for turn in range(2 * number):
                    i, alone = turn // 2, turn % 2 == 0
                    g = ways[i]
                    if alone:
                        if kinds[a] == 0 or i == 0 or i == number - 1:
                            continue
                        here = sizes[g]
                    else:
                        left += sizes[g]
                        here = left
                        add(others, covers, now, g, now)
                        if focus > 0:
                            before += spread[g]
                    out = rows - here
                    if here < least or out < least:
                        continue
                    distinct = 1 if alone else i + 1
                    gain = whole - here * total(space, bits, axes, covers, g if alone else now, a, distinct)
                    if focus > 0:
                        mine = spread[g] if alone else before
                        gain += focus * purity(mine, mine, 0, here)
                        gain += focus * purity(all_hits, mine, -1, out)
                    if gain <= bar:
                        continue
                    beyond = after + i + 1
                    if alone:
                        add(others, covers, now, beyond, rest)
                        beyond = rest
                    gain -= out * total(space, bits, axes, covers, beyond, a, number - distinct)
                    if gain <= bar:
                        continue
                    scores[found] = worth(gain, here, out)
                    cuts[found, 0], cuts[found, 1] = 2 * a + way, -1 - i if alone else i
                    if last == 1:
                        bar = max(bar, scores[found] / reach)
                    found += 1
        proposed[node] = found
        if found == 0:
            continue
        if last == 1:
            best = np.full(1, np.argmax(scores[:found]))
        else:
            best = np.argsort(-scores[:found], kind="mergesort")
        for t in range(first, min(last, found)):
            which, at = cuts[best[t]]
            a = which // 2
            axis[t - first, node] = a
            for i in range(start, end):
                place = places[which, groups[a, i]]
                side[t - first, order[lines[a], i]] = place == -1 - at if at < 0 else place <= at
    return proposed


@numba.njit(cache=True)
def cut(order: Any, begins: Any, ends: Any, left: Any) -> Any:  # pragma: no cover - compiled
    """Part the points of nodes in place on every axis, left ones first; where the right ones begin."""
    held = np.empty(order.shape[1], dtype=order.dtype)
    middles = begins.copy()
    for node in range(len(begins)):
        for a in range(len(order)):
            at, kept = begins[node], 0
            for i in range(begins[node], ends[node]):
                p = order[a, i]
                if left[p]:
                    order[a, at] = p
                    at += 1
                else:
                    held[kept] = p
                    kept += 1
            order[a, at : at + kept] = held[:kept]
            middles[node] = at
    return middles
