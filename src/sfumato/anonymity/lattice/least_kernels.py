"""The compiled part of the bounds on what may be kept of a class.

Import it inside functions, for it loads numba. What may be kept of a class are at most the people for
whom a convex function of their number, 0 for nobody, is not above 0. Newton's steps from all people down
never pass its root, so each of them is a bound.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

#: Steps that gain less than such a share of the people are rounding, or not worth another.
_GAIN = 1e-12

#: People are whole, so fewer than this are none.
_FEW = 0.5

#: A height is found to 1 / 2^12 of the highest, from above.
_HALVINGS = 13


@numba.njit(cache=True)
def capped(starts: Any, values: Any, counts: Any, caps: Any, share: float) -> Any:  # pragma: no cover
    """The most people M of each class that have min(n_v, caps_v M) summed over values of share M at least."""
    found = np.zeros(len(starts) - 1)
    for c in range(len(found)):
        people = 0.0
        for e in range(starts[c], starts[c + 1]):
            people += counts[e]
        while people >= _FEW:
            loose, tight = 0.0, 0.0
            for e in range(starts[c], starts[c + 1]):
                cap = caps[values[e]]
                if counts[e] < cap * people:
                    loose += counts[e]
                else:
                    tight += cap
            if loose >= (share - tight - _GAIN) * people:
                break
            fewer = loose / (share - tight)
            if fewer >= people * (1 - _GAIN):
                break
            people = fewer
        found[c] = people
    return found


@numba.njit(cache=True)
def moved(  # pragma: no cover - compiled
    starts: Any, leaves: Any, counts: Any, parents: Any, shares: Any, heights: Any, within: float
) -> Any:
    """The most people M of each class who can be M times the table's shares at a cost of within M.

    Nodes, parents, shares and heights are those of a tree of values. From the leaves up, people whom
    the table has too many of below a node take places that the class has too many of there.
    """
    found = np.zeros(len(starts) - 1)
    nodes = np.empty(len(parents), dtype=np.int64)
    seen = np.full(len(parents), -1)
    known = np.zeros(len(parents))
    # What a node's children leave unmatched: of the table (by one person more, too) and of the class.
    wanted, slope = np.zeros(len(parents)), np.zeros(len(parents))
    places, fall = np.zeros(len(parents)), np.zeros(len(parents))
    for c in range(len(found)):
        people, touched = 0.0, 0
        for e in range(starts[c], starts[c + 1]):
            people += counts[e]
            node = leaves[e]
            if seen[node] != c:
                seen[node] = c
                nodes[touched] = node
                touched += 1
        # Nodes join the end of the list as their first child is read, so parents follow children.
        at = 0
        while at < touched:
            parent = parents[nodes[at]]
            if parent != nodes[at]:
                known[parent] += shares[nodes[at]]
                if seen[parent] != c:
                    seen[parent] = c
                    nodes[touched] = parent
                    touched += 1
            at += 1
        while people >= _FEW:
            for e in range(starts[c], starts[c + 1]):
                places[leaves[e]] += counts[e]
            cost, rise = 0.0, 0.0
            for at in range(touched):
                node = nodes[at]
                rest = shares[node] - known[node]
                want, more = wanted[node] + rest * people, slope[node] + rest
                have, less = places[node], fall[node]
                height = heights[node]
                # With fewer people, what is equal now leaves places: rounding must not tell otherwise.
                if want > have + _GAIN * people:
                    cost += height * have
                    rise += height * less
                    want, more, have, less = want - have, more - less, 0.0, 0.0
                else:
                    cost += height * want
                    rise += height * more
                    want, more, have, less = 0.0, 0.0, have - want, less - more
                parent = parents[node]
                if parent != node:
                    wanted[parent] += want
                    slope[parent] += more
                    places[parent] += have
                    fall[parent] += less
            for at in range(touched):
                node = nodes[at]
                wanted[node] = slope[node] = places[node] = fall[node] = 0.0
            over = cost - within * people
            if over <= _GAIN * people:
                break
            fewer = people - over / (rise - within) if rise > within else people
            if fewer >= people * (1 - _GAIN):
                break
            people = fewer
        for at in range(touched):
            known[nodes[at]] = 0.0
        found[c] = people
    return found


@numba.njit(cache=True)
def levelled(starts: Any, counts: Any, nats: float) -> Any:  # pragma: no cover - compiled
    """The most people of each class whose entropy is so many nats: all values cut to one height.

    Of all ways to keep so many people, that is the one of most entropy.
    """
    found = np.zeros(len(starts) - 1)
    for c in range(len(found)):
        here = counts[starts[c] : starts[c + 1]]
        if not len(here) or np.log(len(here)) < nats:
            continue
        low, high = 0.0, float(here.max())
        height = high
        for step in range(_HALVINGS):
            people, weighed = 0.0, 0.0
            for count in here:
                kept = min(float(count), height)
                people += kept
                weighed += kept * np.log(kept)
            if np.log(people) - weighed / people >= nats:
                if step == 0:
                    break
                low = height
            else:
                high = height
            height = (low + high) / 2
        for count in here:
            found[c] += min(float(count), high)
    return found
