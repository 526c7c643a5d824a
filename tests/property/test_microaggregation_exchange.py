"""The local search over classes, move by move: what it claims is what it saves, and sizes keep."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sfumato.anonymity.microaggregation import exchange as search

cases = st.tuples(st.integers(2, 7), st.integers(2, 4), st.integers(1, 3), st.integers(0, 2**32 - 1))


def drawn(count: int, k: int, d: int, seed: int, spare: int = 1) -> tuple[search.Layout, np.ndarray]:
    """Classes of k to 2k - ``spare`` points of small integers in random places, all classes near."""
    draw = np.random.default_rng(seed)
    classes = np.repeat(np.arange(count), draw.integers(k, 2 * k - spare + 1, count))
    points = draw.integers(-4, 5, (len(classes), d)).astype(float)
    near = np.array([[b for b in draw.permutation(count) if b != a] for a in range(count)])
    return search.fill(points, classes, count, 2 * k), near


def squares(p: search.Layout) -> float:
    """From its definition."""
    return sum(
        float(((p.points[p.classes == c] - p.points[p.classes == c].mean(axis=0)) ** 2).sum())
        for c in np.unique(p.classes)
    )


def check(p: search.Layout, k: int) -> None:
    """Members, sizes, means and radii are those of the classes, which have k to 2k points or none."""
    for c in range(len(p.sizes)):
        inside = np.flatnonzero(p.classes == c)
        assert sorted(p.members[c, : p.sizes[c]].tolist()) == inside.tolist()
        assert p.sizes[c] == 0 or k <= p.sizes[c] <= 2 * k
        if p.sizes[c]:
            assert p.centres[c] == pytest.approx(p.points[inside].mean(axis=0), abs=1e-12)
            gaps = np.sqrt(((p.points[inside] - p.centres[c]) ** 2).sum(axis=1))
            assert p.radii[c] == pytest.approx(gaps.max(), abs=1e-12)


@settings(max_examples=150, deadline=None)
@given(cases, st.booleans())
def test_each_chain_saves_what_it_claims(case, deep: bool) -> None:
    p, near = drawn(*case)
    k, chain = case[1], np.empty(5, dtype=np.int64)
    for a in range(len(p.sizes)):
        before = squares(p)
        claimed = search.best_chain(p, near, a, k, deep, chain)
        if claimed < -1e-9:
            search.carry_out(p, a, chain)
            assert squares(p) - before == pytest.approx(claimed, abs=1e-9)
            check(p, k)


@settings(max_examples=60, deadline=None)
@given(cases)
def test_no_swap_is_better_than_the_best_chain(case) -> None:
    """Every swap and every move tried by hand; a swap is found from one of its two classes at least."""
    p, near = drawn(*case)
    k = case[1]
    start = squares(p)
    chain = np.empty(5, dtype=np.int64)
    claimed = min(search.best_chain(p, near, a, k, True, chain) for a in range(len(p.sizes)))
    for a in range(len(p.sizes)):
        for x in np.flatnonzero(p.classes == a):
            others = [(y, int(p.classes[y])) for y in np.flatnonzero(p.classes != a)]
            if p.sizes[a] > k:
                others += [(-1, b) for b in near[a] if p.sizes[b] < 2 * k]
            for y, b in others:
                trial = p._replace(classes=p.classes.copy())
                trial.classes[x] = b
                if y >= 0:
                    trial.classes[y] = a
                assert claimed <= squares(trial) - start + 1e-9


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_a_cycle_of_three_that_saves_is_found_from_one_of_its_classes(seed: int) -> None:
    """Three full classes, so that nothing but swaps and cycles is allowed."""
    draw = np.random.default_rng(seed)
    classes = np.repeat(np.arange(3), 2)
    points = draw.integers(-4, 5, (6, 2)).astype(float)
    p = search.fill(points, classes, 3, 2)
    near = np.array([[1, 2], [2, 0], [0, 1]])
    start, best = squares(p), 0.0
    for a, b, c in permutations(range(3)):
        for x, y, z in ((x, y, z) for x in (0, 1) for y in (0, 1) for z in (0, 1)):
            trial = p._replace(classes=classes.copy())
            trial.classes[2 * a + x], trial.classes[2 * b + y], trial.classes[2 * c + z] = b, c, a
            best = min(best, squares(trial) - start)
    chain = np.empty(5, dtype=np.int64)
    assert min(search.best_chain(p, near, a, 2, True, chain) for a in range(3)) <= best + 1e-9


@settings(max_examples=100, deadline=None)
@given(cases, st.booleans())
def test_a_round_never_loses(case, deep: bool) -> None:
    p, near = drawn(*case)
    before = squares(p)
    assert search.within(p) == pytest.approx(before, abs=1e-9)
    every = np.ones(len(p.sizes), dtype=bool)
    saved, again = search.exchange(p, near, case[1], deep, 1e-9, every)
    assert squares(p) == pytest.approx(before - saved, abs=1e-7)
    assert saved >= 0
    assert again.any() == (saved > 0)
    check(p, case[1])


@settings(max_examples=100, deadline=None)
@given(cases, st.integers(0, 2))
def test_a_class_dissolved_never_loses(case, spare: int) -> None:
    p, near = drawn(*case, spare=spare)
    before = squares(p)
    gone = search.dissolve(p, near)
    assert squares(p) <= before + 1e-9
    assert (p.sizes == 0).sum() == gone
    check(p, case[1])


def test_a_far_class_between_two_near_ones_is_dissolved() -> None:
    points = np.array([[0.0], [0.0], [9.0], [9.0], [0.0], [9.0]])
    p = search.fill(points, np.array([0, 0, 1, 1, 2, 2]), 3, 4)
    assert search.dissolve(p, np.array([[1, 2], [0, 2], [0, 1]])) == 1
    assert squares(p) == 0.0


def test_a_claim_without_the_shift_of_the_mean_would_be_caught() -> None:
    """The broken twin: a swap reckoned as if both means stayed where they are."""
    points = np.array([[0.0], [6.0], [4.0], [10.0]])
    p = search.fill(points, np.array([0, 0, 1, 1]), 2, 4)
    chain = np.empty(5, dtype=np.int64)
    claimed = search.best_chain(p, np.array([[1], [0]]), 0, 2, True, chain)
    unmoved = sum(
        float(((points[i] - p.centres[c]) ** 2).sum()) - float(((points[i] - p.centres[1 - c]) ** 2).sum())
        for i, c in ((1, 1), (2, 0))
    )
    before = squares(p)
    search.carry_out(p, 0, chain)
    assert squares(p) - before == pytest.approx(claimed)
    assert unmoved > claimed
