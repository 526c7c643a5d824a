"""The compiled inner loops over the draws of a part; imported only when they run."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(cache=True, inline="always")
def _rate(counts: Any, distances: Any, drawn: int, terms: Any) -> Any:  # pragma: no cover - compiled
    """By how much a draw breaks the promise: above 0 if it does, the nearer to it the greater."""
    worst = -np.inf
    for i in range(len(distances)):
        worst = max(worst, distances[i] - terms.bounds[i])
    if not terms.counts_matter:
        return worst
    most, values, logs = 0, 0, 0.0
    for people in counts:
        if people:
            most, values = max(most, people), values + 1
            logs += people * np.log(people)
    worst = max(worst, (most - terms.cap) / drawn)
    worst = max(worst, (terms.least - values) / terms.least)
    if terms.even > 0:
        worst = max(worst, terms.even - np.log(drawn) + logs / drawn)
    for i in range(len(terms.factors)):
        rest, top = 0, np.zeros(terms.ranks[i] - 1, dtype=np.int64)
        for people in counts:
            # What falls out of the highest so far is one of the rest.
            one = people
            for j in range(len(top)):
                if one > top[j]:
                    one, top[j] = top[j], one
            rest += one
        worst = max(worst, (most - terms.factors[i] * rest) / (drawn * (1 + terms.factors[i])))
    return worst


@njit(cache=True)
def _flow(counts: Any, flows: Any, distances: Any, terms: Any) -> None:  # pragma: no cover - compiled
    """The people under each node, and the distances."""
    flows[:] = 0
    for i in range(len(terms.roots)):
        distances[i] = terms.rests[i]
        for value in range(len(counts)):
            node = terms.leaves[i, value]
            flows[node] += counts[value]
        first = terms.roots[i - 1] + 1 if i else 0
        # A node comes before its parent.
        for node in range(first, terms.roots[i]):
            distances[i] += terms.costs[node, flows[node]]
            flows[terms.parents[node]] += flows[node]


@njit(cache=True, inline="always")
def _move(
    leaving: int, entering: int, counts: Any, flows: Any, distances: Any, terms: Any
) -> None:  # pragma: no cover - compiled
    """One person less of a value and one more of another."""
    counts[leaving] -= 1
    counts[entering] += 1
    for i in range(len(terms.roots)):
        low, high = terms.leaves[i, leaving], terms.leaves[i, entering]
        while low != high:
            # The lower number cannot be above the other, so it is under their first common node.
            if low < high:
                distances[i] += terms.costs[low, flows[low] - 1] - terms.costs[low, flows[low]]
                flows[low] -= 1
                low = terms.parents[low]
            else:
                distances[i] += terms.costs[high, flows[high] + 1] - terms.costs[high, flows[high]]
                flows[high] += 1
                high = terms.parents[high]


@njit(cache=True, inline="always")
def _pick(place: int, counts: Any) -> int:  # pragma: no cover - compiled
    """The value of the person in some place, if those of one value stand together."""
    value = 0
    while place >= counts[value]:
        place -= counts[value]
        value += 1
    return value


@njit(cache=True)
def _wander(
    draw: Any,
    drawn: int,
    counts: Any,
    others: Any,
    flows: Any,
    distances: Any,
    rating: float,
    terms: Any,
    swaps: int,
    level: float,
) -> float:  # pragma: no cover - compiled
    """Swaps of somebody in a draw for one of the ``others``, but those that rate it below a level."""
    outside = others.sum()
    for _ in range(swaps):
        leaving = _pick(int(draw.random() * drawn), counts)
        entering = _pick(int(draw.random() * outside), others)
        if leaving == entering:
            continue
        _move(leaving, entering, counts, flows, distances, terms)
        found = _rate(counts, distances, drawn, terms)
        if found >= level:
            others[leaving] += 1
            others[entering] -= 1
            rating = found
        else:
            _move(entering, leaving, counts, flows, distances, terms)
    return rating


@njit(cache=True)
def enumerate_draws(
    people: NDArray[np.int64], drawn: int, logs: NDArray[np.float64], terms: Any, found: NDArray[np.float64]
) -> float:  # pragma: no cover - compiled
    """The chance that a draw breaks the promise, from every draw there is.

    Args:
        people: of the class with each value, shape (values,).
        logs: the logarithms of 0! to the factorial of everybody in the class.
        found: people of each value in draws that break it, times their chance, is added here.
    """
    width = len(people)
    counts, left = np.zeros(width, dtype=np.int64), np.zeros(width + 1, dtype=np.int64)
    room = np.zeros(width + 1, dtype=np.int64)
    for value in range(width - 1, -1, -1):
        room[value] = room[value + 1] + people[value]
    flows, distances = np.zeros(len(terms.parents), dtype=np.int64), np.zeros(len(terms.roots))
    whole = logs[room[0]] - logs[drawn] - logs[room[0] - drawn]
    chance, value, down = 0.0, 0, True
    left[0] = drawn
    while value >= 0:
        if value == width:
            _flow(counts, flows, distances, terms)
            if _rate(counts, distances, drawn, terms) > 0:
                ways = -whole
                for v in range(width):
                    ways += logs[people[v]] - logs[counts[v]] - logs[people[v] - counts[v]]
                weight = np.exp(ways)
                chance += weight
                for v in range(width):
                    found[v] += weight * counts[v]
            value, down = value - 1, False
            continue
        if down:
            # At least so many that the values after it have room for the others.
            counts[value] = max(0, left[value] - room[value + 1])
        else:
            counts[value] += 1
        if counts[value] > min(people[value], left[value]):
            value, down = value - 1, False
            continue
        left[value + 1] = left[value] - counts[value]
        value, down = value + 1, True
    return chance


@njit(cache=True)
def split_draws(
    draw: Any,
    people: NDArray[np.int64],
    drawn: int,
    terms: Any,
    particles: int,
    swaps: int,
    levels: int,
    found: NDArray[np.float64],
) -> tuple[float, int]:  # pragma: no cover - compiled
    """The chance that a draw breaks the promise, by splitting (Kahn & Harris 1951; Au & Beck 2001).

    Draws that are nearer to breaking it than half of them are kept and copied, and each changed by swaps of
    one person for another that lead no further away, until enough of them break it.

    Args:
        draw: a generator.
        people: of the class with each value, shape (values,).
        swaps: tried on each draw at each level.
        levels: the most there are; a chance that takes more counts as none.
        found: people of each value in a draw that breaks it, on average, are written here.

    Returns:
        The chance, and the swaps that were tried.
    """
    counts = np.zeros((particles, len(people)), dtype=np.int64)
    others = np.zeros((particles, len(people)), dtype=np.int64)
    flows = np.zeros((particles, len(terms.parents)), dtype=np.int64)
    distances, ratings = np.zeros((particles, len(terms.roots))), np.zeros(particles)
    everybody = people.sum()
    for p in range(particles):
        others[p] = people
        for i in range(drawn):
            value = _pick(int(draw.random() * (everybody - i)), others[p])
            counts[p, value] += 1
            others[p, value] -= 1
        _flow(counts[p], flows[p], distances[p], terms)
        ratings[p] = _rate(counts[p], distances[p], drawn, terms)
    # To draw takes much less than to swap.
    chance, work = 1.0, particles * drawn // 10
    for stage in range(levels):
        broken = (ratings > 0).sum()
        if broken * 4 >= particles:
            _average(counts, ratings, people, drawn, found, stage == 0 and broken * 2 > particles)
            return chance * broken / particles, work
        ordered = np.sort(ratings)
        level = ordered[particles // 2]
        if level == ordered[0]:
            above = ordered[ordered > level]
            if len(above) == 0:
                return 0.0, work
            level = above[0]
        kept = np.flatnonzero(ratings >= level)
        chance *= len(kept) / particles
        for p in range(particles):
            if ratings[p] < level:
                other = kept[int(draw.random() * len(kept))]
                counts[p], others[p], flows[p] = counts[other], others[other], flows[other]
                distances[p], ratings[p] = distances[other], ratings[other]
        for p in range(particles):
            ratings[p] = _wander(
                draw, drawn, counts[p], others[p], flows[p], distances[p], ratings[p], terms, swaps, level
            )
        work += particles * swaps
    return 0.0, work


@njit(cache=True)
def _average(
    counts: Any, ratings: Any, people: Any, drawn: int, found: Any, rest: bool
) -> None:  # pragma: no cover - compiled
    """People of each value in the draws that break it; by ``rest`` from the others, which are few."""
    found[:] = 0.0
    taken = 0
    for p in range(len(ratings)):
        if (ratings[p] > 0) != rest:
            taken += 1
            found += counts[p]
    if rest:
        # All draws together have as many of a value as the class, in proportion.
        usual = people * (drawn / people.sum()) * len(ratings)
        found[:] = np.maximum(0.0, usual - found)
        taken = len(ratings) - taken
    found /= taken
