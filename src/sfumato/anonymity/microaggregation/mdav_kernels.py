"""The compiled MDAV and V-MDAV, over points about their mean.

Import it inside functions, for it loads numba.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from sfumato.anonymity.microaggregation.distances import apart


@numba.njit(cache=True)
def farthest(points: Any, numbers: Any, left: Any, centre: Any) -> Any:  # pragma: no cover - compiled
    """The place of the point farthest from a centre, of shape (1, d); the first of equal ones."""
    at, most = -1, -1.0
    for i in range(left):
        found = apart(points, i, centre, 0)
        if found > most or (found == most and numbers[i] < numbers[at]):
            at, most = i, found
    return at


@numba.njit(cache=True)
def nearest(points: Any, numbers: Any, left: Any, seed: Any, k: Any, found: Any) -> Any:  # pragma: no cover
    """The places of the k points nearest to one of them, itself first; equal ones by number."""
    distances = np.full(k, np.inf)
    held = 0
    for i in range(left):
        distance = -1.0 if i == seed else apart(points, i, points, seed)
        if held == k and distance > distances[k - 1]:
            continue
        slot = min(held, k - 1)
        if held == k and distance == distances[slot] and numbers[i] > numbers[found[slot]]:
            continue
        while slot > 0 and (
            distances[slot - 1] > distance
            or (distances[slot - 1] == distance and numbers[found[slot - 1]] > numbers[i])
        ):
            distances[slot], found[slot] = distances[slot - 1], found[slot - 1]
            slot -= 1
        distances[slot], found[slot] = distance, i
        held = min(held + 1, k)


@numba.njit(cache=True)
def mean_of(points: Any, left: Any, mean: Any) -> Any:  # pragma: no cover - compiled
    mean[:] = 0.0
    for i in range(left):
        for j in range(points.shape[1]):
            mean[0, j] += points[i, j]
    for j in range(points.shape[1]):
        mean[0, j] /= left


@numba.njit(cache=True)
def take(
    points: Any, numbers: Any, left: Any, places: Any, classes: Any, made: Any
) -> Any:  # pragma: no cover - compiled
    """Give points a class, and close the gaps with the last ones."""
    for place in np.sort(places)[::-1]:
        classes[numbers[place]] = made
        left -= 1
        numbers[place] = numbers[left]
        for j in range(points.shape[1]):
            points[place, j] = points[left, j]
    return left


@numba.njit(cache=True)
def fixed(points: Any, k: Any) -> Any:  # pragma: no cover - compiled
    """MDAV."""
    points = points.copy()
    left, d = points.shape
    numbers = np.arange(left)
    classes = np.empty(left, dtype=np.int64)
    places = np.empty(k, dtype=np.int64)
    mean = np.empty((1, d))
    opposite = np.empty((1, d))
    made = 0
    while left >= 2 * k:
        both = left >= 3 * k
        mean_of(points, left, mean)
        seed = farthest(points, numbers, left, mean)
        opposite[0] = points[seed]
        nearest(points, numbers, left, seed, k, places)
        left = take(points, numbers, left, places, classes, made)
        made += 1
        if both:
            seed = farthest(points, numbers, left, opposite)
            nearest(points, numbers, left, seed, k, places)
            left = take(points, numbers, left, places, classes, made)
            made += 1
    classes[numbers[:left]] = made
    return classes


@numba.njit(cache=True)
def closest(points: Any, classes: Any, seed: Any) -> Any:  # pragma: no cover - compiled
    """The free point nearest to a point, and its distance; -1 if none is free."""
    at, least = -1, np.inf
    for i in range(len(points)):
        if classes[i] < 0 and i != seed:
            distance = apart(points, i, points, seed)
            if distance < least:
                at, least = i, distance
    return at, least


@numba.njit(cache=True)
def grow(
    points: Any, classes: Any, made: Any, members: Any, k: Any, gamma: Any, left: Any
) -> Any:  # pragma: no cover - compiled
    """Free points join a class of k as long as they are nearer to it than to others; its size."""
    near = np.full(len(members), -1, dtype=np.int64)
    gaps = np.empty(len(members))
    size = k
    for u in range(size):
        near[u], gaps[u] = closest(points, classes, members[u])
    while size < 2 * k - 1 and left > size - k:
        at, inside = -1, np.inf
        for u in range(size):
            if near[u] >= 0 and classes[near[u]] >= 0:
                near[u], gaps[u] = closest(points, classes, members[u])
            if gaps[u] < inside or (gaps[u] == inside and near[u] < at):
                at, inside = near[u], gaps[u]
        _, alone = closest(points, classes, at)
        if not np.sqrt(inside) < gamma * np.sqrt(alone):
            break
        classes[at] = made
        members[size] = at
        near[size], gaps[size] = closest(points, classes, at)
        size += 1
    return size


@numba.njit(cache=True)
def join_nearest(points: Any, classes: Any, means: Any) -> Any:  # pragma: no cover - compiled
    """Points that are left over join the class of the nearest mean."""
    for i in range(len(points)):
        if classes[i] < 0:
            least = np.inf
            for c in range(len(means)):
                distance = apart(points, i, means, c)
                if distance < least:
                    classes[i], least = c, distance


@numba.njit(cache=True)
def variable(points: Any, k: Any, gamma: Any) -> Any:  # pragma: no cover - compiled
    """V-MDAV."""
    n, d = points.shape
    classes = np.full(n, -1, dtype=np.int64)
    means = np.zeros((n // k + 1, d))
    outside = np.argsort(-(points * points).sum(axis=1), kind="mergesort")
    members = np.empty(2 * k, dtype=np.int64)
    made, left, reach = 0, n, 0
    while left >= k:
        while classes[outside[reach]] >= 0:
            reach += 1
        members[0] = outside[reach]
        classes[members[0]] = made
        for size in range(1, k):
            members[size], _ = closest(points, classes, members[0])
            classes[members[size]] = made
        size = grow(points, classes, made, members, k, gamma, left - k)
        left -= size
        for u in range(size):
            means[made] += points[members[u]]
        means[made] /= size
        made += 1
    join_nearest(points, classes, means[:made])
    return classes
