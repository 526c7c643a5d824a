"""Cuts of nodes: the compiled kernels of a top-down partition.

A node's points lie together in the order of each axis. To find its cuts, neighbours that no cut parts
are put into groups, an axis at a time, and what each group covers on all axes is summed up; then two
sweeps over the groups, up and down, give the cost of both sides of every cut. The module loads numba:
import it inside functions. The functions are no closures: those that numba keeps on disk are found again
only if they are not.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

#: An axis of a node is cut at no more places than this; finer ones come up again in its parts.
PLACES = 256

#: What a group covers on other axes is looked up for no more than about so many points of a node.
SEEN = 2048

#: The exponent of a cut's entropy in its score. A cut is worth what it gains, but an even one leaves
#: more to be gained below; of the exponents 0 to 1 this was the best on Adult at k = 5 and 50.
EVENNESS = 0.2

#: The lowest rank of a cover of nothing.
NONE = np.int32(2147483647)


@numba.njit(cache=True)
def bits(word: Any) -> Any:  # pragma: no cover - compiled
    """The number of bits set."""
    word = word - ((word >> np.uint64(1)) & np.uint64(0x5555555555555555))
    word = (word & np.uint64(0x3333333333333333)) + ((word >> np.uint64(2)) & np.uint64(0x3333333333333333))
    word = (word + (word >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return np.int64((word * np.uint64(0x0101010101010101)) >> np.uint64(56))


@numba.njit(cache=True)
def loss(space: Any, j: Any, low: Any, high: Any, distinct: Any) -> Any:  # pragma: no cover - compiled
    """What a label of axis j loses that covers ranks from low to high, or so many distinct values."""
    kinds, starts, weights, numbers, labels, losses = space
    if kinds[j] == 2:
        return (distinct - 1) * weights[j]
    at = starts[j]
    if kinds[j] == 0:
        if low == high:
            return 0.0
        top = numbers[at + high]
        return weights[j] if np.isnan(top) else (top - numbers[at + low]) * weights[j]
    for level in range(len(labels)):
        if labels[level, at + low] == labels[level, at + high]:
            return losses[level, at + low] * weights[j]
    return weights[j]


@numba.njit(cache=True)
def total(
    space: Any, words: Any, axes: Any, covers: Any, row: Any, own: Any, distinct: Any
) -> Any:  # pragma: no cover - compiled
    """What a cover loses over some axes; ``distinct`` is the exact number of values of axis ``own``."""
    lows, highs, masks = covers
    kinds, _, weights = space[0], space[1], space[2]
    found = 0.0
    for j in axes:
        if kinds[j] != 2:
            found += loss(space, j, lows[row, j], highs[row, j], 0)
            continue
        several = distinct
        if j != own:
            several = bits(masks[row, words[j]])
            for w in range(words[j] + 1, words[j + 1]):
                several += bits(masks[row, w])
        found += (several - 1) * weights[j]
    return found


@numba.njit(cache=True)
def add(others: Any, covers: Any, one: Any, other: Any, into: Any) -> Any:  # pragma: no cover - compiled
    """The union of two covers; ``others`` are the axes that are not sets."""
    lows, highs, masks = covers
    for w in range(masks.shape[1]):
        masks[into, w] = masks[one, w] | masks[other, w]
    for j in others:
        lows[into, j] = min(lows[one, j], lows[other, j])
        highs[into, j] = max(highs[one, j], highs[other, j])


@numba.njit(cache=True)
def clear(others: Any, covers: Any, row: Any) -> Any:  # pragma: no cover - compiled
    """A cover of nothing."""
    lows, highs, masks = covers
    for w in range(masks.shape[1]):
        masks[row, w] = 0
    for j in others:
        lows[row, j] = NONE
        highs[row, j] = -1


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
def parted(
    kind: Any, order: Any, counts: Any, groups: Any, number: Any, sizes: Any, rows: Any, least: Any
) -> Any:  # pragma: no cover - compiled
    """Count the people of each group; whether some cut may leave enough of them on both sides."""
    sizes[:number] = 0
    for i in range(len(order)):
        sizes[groups[i]] += counts[order[i]]
    left = 0
    small = True
    for g in range(number):
        left += sizes[g]
        if least <= left <= rows - least or (kind != 0 and least <= sizes[g] <= rows - least):
            return True
        small = small and sizes[g] < least
    # Sets of small groups are put together in other orders than this.
    return kind == 2 and small


@numba.njit(cache=True)
def gathered(
    words: Any,
    sets: Any,
    others: Any,
    points: Any,
    hits: Any,
    order: Any,
    groups: Any,
    number: Any,
    spread: Any,
    covers: Any,
) -> Any:  # pragma: no cover - compiled
    """What each group covers, and how many people of each target value it has."""
    lows, highs, masks = covers
    spread[:number] = 0
    for g in range(number):
        clear(others, covers, g)
    step = 1 + len(order) // SEEN
    for i in range(len(order)):
        p, g = order[i], groups[i]
        for t in range(hits.shape[1]):
            spread[g, t] += hits[p, t]
        # The first and the last of a group tell what it covers on its own axis.
        if i % step and g == groups[i - 1] and i + 1 < len(order) and g == groups[i + 1]:
            continue
        for j in sets:
            x = points[p, j]
            w = words[j] + ((x >> 6) & (words[j + 1] - words[j] - 1))
            masks[g, w] |= np.uint64(1) << np.uint64(x & 63)
        for j in others:
            lows[g, j] = min(lows[g, j], points[p, j])
            highs[g, j] = max(highs[g, j], points[p, j])


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
def purity(first: Any, second: Any, sign: Any, rows: Any) -> Any:  # pragma: no cover - compiled
    """People times the chance that two of them have the same target value, of a sum of counts."""
    found = 0.0
    for t in range(len(first)):
        found += (first[t] + sign * second[t]) ** 2
    return found / rows


@numba.njit(cache=True)
def propose(
    space: Any,
    words: Any,
    points: Any,
    counts: Any,
    hits: Any,
    focus: Any,
    order: Any,
    begins: Any,
    ends: Any,
    least: Any,
    first: Any,
    last: Any,
    side: Any,
) -> Any:  # pragma: no cover - compiled
    """The cuts of each node, ranked ``first`` to ``last`` by score: how many there are.

    ``side[t, p]`` says whether point p lies left of cut ``first + t`` of its node.
    """
    kinds = space[0]
    n, d = points.shape
    most = min(n, 2 * PLACES + 2)
    proposed = np.zeros(len(begins), dtype=np.int64)
    groups = np.empty((d, n), dtype=np.int32)
    places = np.empty((2 * d, most), dtype=np.int32)
    # Covers of each group, of what lies after it, of what lies before, and of all but one group.
    after, now, rest = most, 2 * most + 1, 2 * most + 2
    shape = (2 * most + 3, words[d])
    covers = (
        np.empty((2 * most + 3, d), np.int32),
        np.empty((2 * most + 3, d), np.int32),
        np.zeros(shape, np.uint64),
    )
    sizes, rate = np.empty(most, dtype=np.int64), np.empty(most)
    spread = np.zeros((most, hits.shape[1]))
    before, all_hits = np.zeros(hits.shape[1]), np.zeros(hits.shape[1])
    ways = np.empty(most, dtype=np.int64)
    scores = np.empty(4 * most * d)
    cuts = np.empty((4 * most * d, 2), dtype=np.int64)
    active, inner, outer = np.empty((3, d), dtype=np.int64)
    for node in range(len(begins)):
        start, end = begins[node], ends[node]
        rows = 0
        for i in range(start, end):
            rows += counts[order[0, i]]
        if rows < 2 * least:
            continue
        number = several = apart = 0
        for j in range(d):
            if points[order[j, start], j] != points[order[j, end - 1], j]:
                active[number] = j
                number += 1
                if kinds[j] == 2:
                    inner[several] = j
                    several += 1
                else:
                    outer[apart] = j
                    apart += 1
        axes = active[:number]
        sets, others = inner[:several], outer[:apart]
        found = 0
        # Where only the best cut is asked for, one that gains no more than this cannot be it.
        bar, reach = 1e-12 * rows, (rows * np.log(2.0)) ** EVENNESS
        for a in axes:
            part = order[a, start:end]
            number = grouped(space, points, part, a, groups[a, start:end])
            if number < 2 or not parted(
                kinds[a], part, counts, groups[a, start:end], number, sizes, rows, least
            ):
                continue
            gathered(words, sets, others, points, hits, part, groups[a, start:end], number, spread, covers)
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
                whole = rows * total(space, words, axes, covers, after, a, number)
                if focus > 0:
                    all_hits[:] = 0
                    for g in range(number):
                        all_hits += spread[g]
                    whole -= focus * purity(all_hits, all_hits, 0, rows)
                clear(others, covers, now)
                before[:] = 0
                left = 0
                for i in range(number):
                    g = ways[i]
                    out = rows - sizes[g]
                    if kinds[a] != 0 and 0 < i < number - 1 and sizes[g] >= least and out >= least:
                        add(others, covers, now, after + i + 1, rest)
                        gain = whole - sizes[g] * total(space, words, axes, covers, g, a, 1)
                        if focus > 0:
                            gain += focus * purity(spread[g], spread[g], 0, sizes[g])
                            gain += focus * purity(all_hits, spread[g], -1, out)
                        if gain > bar:
                            gain -= out * total(space, words, axes, covers, rest, a, number - 1)
                        if gain > bar:
                            scores[found] = worth(gain, sizes[g], out)
                            cuts[found, 0], cuts[found, 1] = 2 * a + way, -1 - i
                            if last == 1:
                                bar = max(bar, scores[found] / reach)
                            found += 1
                    left += sizes[g]
                    out = rows - left
                    add(others, covers, now, g, now)
                    if focus > 0:
                        before += spread[g]
                    if left >= least and out >= least:
                        gain = whole - left * total(space, words, axes, covers, now, a, i + 1)
                        if focus > 0:
                            gain += focus * purity(before, before, 0, left)
                            gain += focus * purity(all_hits, before, -1, out)
                        if gain > bar:
                            gain -= out * total(space, words, axes, covers, after + i + 1, a, number - i - 1)
                        if gain > bar:
                            scores[found] = worth(gain, left, out)
                            cuts[found, 0], cuts[found, 1] = 2 * a + way, i
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
            for i in range(start, end):
                place = places[which, groups[a, i]]
                side[t - first, order[a, i]] = place == -1 - at if at < 0 else place <= at
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
