"""Microaggregation against brute force and against its promises, on small random tables."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from sfumato.anonymity.microaggregation import (
    aggregate,
    close,
    cluster,
    loss,
    mdav,
    univariate,
    univariate_units,
    vmdav,
)
from sfumato.anonymity.microaggregation.closeness import strata_bound


def tables(most: int, columns: int = 3) -> st.SearchStrategy[np.ndarray]:
    """Points of small integers, so that ties and duplicates are common and sums exact."""
    return st.tuples(st.integers(1, most), st.integers(1, columns)).flatmap(
        lambda shape: hnp.arrays(np.float64, shape, elements=st.integers(-4, 4).map(float))
    )


def partitions(rows: list[int], k: int):
    """Every way to put rows into classes of at least k."""
    if not rows:
        yield []
        return
    first, rest = rows[0], rows[1:]
    for mask in range(2 ** len(rest)):
        mine = [first] + [row for i, row in enumerate(rest) if mask >> i & 1]
        others = [row for i, row in enumerate(rest) if not mask >> i & 1]
        if len(mine) >= k and (not others or len(others) >= k):
            for more in partitions(others, k):
                yield [mine, *more]


def within(points: np.ndarray, groups: list[list[int]]) -> float:
    return sum(float(((points[g] - points[g].mean(axis=0)) ** 2).sum()) for g in groups)


def members(classes: np.ndarray) -> list[list[int]]:
    return [np.flatnonzero(classes == c).tolist() for c in range(classes.max() + 1)]


@settings(max_examples=60, deadline=None)
@given(hnp.arrays(np.float64, st.integers(1, 9), elements=st.integers(0, 12).map(float)), st.integers(1, 4))
def test_one_column_is_optimal_among_all_partitions(values: np.ndarray, k: int) -> None:
    k = min(k, len(values))
    classes = univariate(values, k)
    assert np.bincount(classes).min() >= k
    points = values[:, None]
    best = min(within(points, groups) for groups in partitions(list(range(len(values))), k))
    assert within(points, members(classes)) == pytest.approx(best, abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(hnp.arrays(np.float64, st.integers(8, 60), elements=st.floats(-1e3, 1e3)), st.integers(2, 4))
def test_one_column_is_optimal_among_runs(values: np.ndarray, k: int) -> None:
    """Against the plain recursion over all cuts, with sizes of any length."""
    held = np.sort(values)
    best = [0.0] + [np.inf] * len(held)
    for stop in range(k, len(held) + 1):
        for start in range(stop - k + 1):
            cost = best[start] + float(((held[start:stop] - held[start:stop].mean()) ** 2).sum())
            best[stop] = min(best[stop], cost)
    assert within(values[:, None], members(univariate(values, k))) == pytest.approx(
        best[-1], rel=1e-9, abs=1e-6
    )


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 6)), min_size=1, max_size=8), st.integers(1, 3))
def test_counts_are_rows(pairs: list[tuple[int, int]], k: int) -> None:
    values, counts = np.array([p[0] for p in pairs], dtype=float), np.array([p[1] for p in pairs])
    if counts.sum() < k:
        return
    found = univariate_units(values, counts, k)
    assert np.bincount(found.units, found.counts, len(values)).tolist() == counts.tolist()
    assert np.bincount(found.classes, found.counts).min() >= k
    rows = np.repeat(values, counts)
    grouped = np.repeat(values[found.units], found.counts)[:, None]
    ours = within(grouped, members(np.repeat(found.classes, found.counts)))
    assert ours == pytest.approx(within(rows[:, None], members(univariate(rows, k))))


def plain_mdav(points: np.ndarray, k: int) -> np.ndarray:
    """As published, word for word."""
    left, classes, made = list(range(len(points))), np.empty(len(points), dtype=int), 0

    def far(spot: np.ndarray) -> int:
        return max(left, key=lambda i: (float(((points[i] - spot) ** 2).sum()), -i))

    def take(seed: int) -> None:
        nonlocal made
        order = sorted(left, key=lambda i: (i != seed, float(((points[i] - points[seed]) ** 2).sum()), i))
        for i in order[:k]:
            classes[i] = made
            left.remove(i)
        made += 1

    while len(left) >= 3 * k:
        seed = far(points[left].mean(axis=0))
        take(seed)
        take(far(points[seed]))
    if len(left) >= 2 * k:
        take(far(points[left].mean(axis=0)))
    classes[left] = made
    return classes


@settings(max_examples=80, deadline=None)
@given(st.integers(4, 40), st.integers(2, 4), st.integers(0, 2**32 - 1))
def test_mdav_is_the_published_one(n: int, k: int, seed: int) -> None:
    points = np.random.default_rng(seed).normal(size=(n, 2))
    assert mdav(points, min(k, n)).tolist() == plain_mdav(points - points.mean(axis=0), min(k, n)).tolist()


@settings(max_examples=100, deadline=None)
@given(tables(60), st.integers(1, 6))
def test_sizes_of_every_method(points: np.ndarray, k: int) -> None:
    k = min(k, len(points))
    for found, most in (
        (mdav(points, k), 2 * k - 1),
        (cluster(points, k), 2 * k - 1),
        (vmdav(points, k), 3 * k),
    ):
        sizes = np.bincount(found)
        assert len(found) == len(points)
        assert sizes.min() >= k
        assert sizes.max() <= most


@settings(max_examples=80, deadline=None)
@given(tables(50), st.integers(2, 4))
def test_the_local_search_never_loses(points: np.ndarray, k: int) -> None:
    """With one part the search starts from MDAV and only takes what saves."""
    k = min(k, len(points))
    assert loss(points, cluster(points, k)) <= loss(points, mdav(points, k)) + 1e-12


@settings(max_examples=30, deadline=None)
@given(hnp.arrays(np.float64, (8, 2), elements=st.integers(0, 6).map(float)), st.integers(2, 3))
def test_no_partition_is_better_than_brute_force_says(points: np.ndarray, k: int) -> None:
    """And a swap, a move or a chain of three never claims more than it saves."""
    best = min(within(points, groups) for groups in partitions(list(range(8)), k))
    ours = within(points, members(cluster(points, k)))
    assert best - 1e-9 <= ours <= 3 * best + 1e-9


@given(tables(30), st.integers(1, 4), st.integers(0, 5))
@settings(max_examples=30, deadline=None)
def test_same_points_same_classes(points: np.ndarray, k: int, shift: int) -> None:
    k = min(k, len(points))
    again = np.asfortranarray(points + shift)
    assert cluster(points, k).tolist() == cluster(points.copy(), k).tolist()
    assert np.bincount(cluster(again, k)).min() >= k


def distances(classes: np.ndarray, sensitive: np.ndarray) -> list[float]:
    """The ordered earth mover's distance of each class, from its definition."""
    values = np.unique(sensitive)
    if len(values) == 1:
        return [0.0] * (int(classes.max()) + 1)
    overall = np.array([np.mean(sensitive <= v) for v in values])
    return [
        float(np.abs(np.array([np.mean(sensitive[g] <= v) for v in values]) - overall).sum())
        / (len(values) - 1)
        for g in members(classes)
    ]


@settings(max_examples=100, deadline=None)
@given(tables(40), st.integers(1, 4), st.floats(0, 1), st.data())
def test_close_classes_are_close(points: np.ndarray, k: int, t: float, data) -> None:
    k = min(k, len(points))
    sensitive = data.draw(hnp.arrays(np.int64, len(points), elements=st.integers(0, 9)))
    classes = close(points, sensitive, k, t)
    assert np.bincount(classes).min() >= k
    assert max(distances(classes, sensitive)) <= t + 1e-12


@settings(max_examples=60, deadline=None)
@given(
    hnp.arrays(np.int64, st.integers(2, 10), elements=st.integers(0, 5)), st.integers(1, 4), st.integers(1, 3)
)
def test_the_bound_of_strata_holds(values: np.ndarray, strata: int, each: int) -> None:
    """Any class with equally many rows of each stratum keeps it, whichever rows those are."""
    sensitive = np.sort(np.repeat(values, strata * each))
    below = np.cumsum(np.unique(sensitive, return_counts=True)[1])
    draw = np.random.default_rng(len(values))
    for part in (0, 1, -1):
        rows = []
        for stratum in np.split(np.arange(len(sensitive)), strata):
            one = {0: stratum[:each], -1: stratum[-each:]}.get(part)
            rows.append(draw.choice(stratum, each, replace=False) if one is None else one)
        classes = np.ones(len(sensitive), dtype=np.int64)
        classes[np.concatenate(rows)] = 0
        assert distances(classes, sensitive)[0] <= strata_bound(below, strata) + 1e-9


def test_a_bound_without_the_own_stratum_would_be_caught() -> None:
    """The broken twin: as if the class had exactly the table's shares at the edges of strata only."""
    below = np.cumsum(np.full(8, 2))
    assert strata_bound(below, 2) > strata_bound(below, 4) > 0


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.none() | st.integers(-5, 5)), min_size=1, max_size=30),
    st.sampled_from(["mean", "median", "mode"]),
)
def test_class_values(pairs: list[tuple[int, int | None]], how: str) -> None:
    classes = np.unique([c for c, _ in pairs], return_inverse=True)[1]
    values = np.array([np.nan if v is None else float(v) for _, v in pairs])
    found = aggregate(values, classes, how)
    for group, ours in zip(members(classes), found, strict=True):
        held = sorted(values[group][~np.isnan(values[group])].tolist())
        if not held:
            assert np.isnan(ours)
        elif how == "mode":
            assert ours == max(sorted(set(held)), key=held.count)
        else:
            assert ours == pytest.approx(np.mean(held) if how == "mean" else np.median(held))


@settings(deadline=None)
@given(hnp.arrays(np.float64, st.integers(2, 30), elements=st.integers(0, 5).map(float)))
def test_runs_of_one_column_do_not_overlap(values: np.ndarray) -> None:
    classes = univariate(values, 2)
    spans = [(values[g].min(), values[g].max()) for g in members(classes)]
    assert all(left[1] <= right[0] for left, right in pairwise(spans))
