"""k^m-anonymity against brute force."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sfumato.anonymity.baskets import global_items, km_violations, suppress_values
from sfumato.core.errors import InputError

baskets = st.lists(st.lists(st.integers(0, 5), max_size=5), min_size=1, max_size=14)


def layout(drawn: list[list[int]]) -> tuple[np.ndarray, np.ndarray]:
    starts = np.concatenate([[0], np.cumsum([len(one) for one in drawn])]).astype(np.int64)
    return starts, np.array([item for one in drawn for item in one], dtype=np.int64)


def rare(drawn: list[list[int]], k: int, m: int) -> list[tuple[int, ...]]:
    """By the definition: every combination of every basket counted, the smallest kept."""
    sets = [set(one) for one in drawn]
    all_of = {c for one in sets for size in range(1, m + 1) for c in combinations(sorted(one), size)}
    bad = {c for c in all_of if sum(set(c) <= one for one in sets) < k}
    return sorted((c for c in bad if not any(set(b) < set(c) for b in bad)), key=lambda c: (len(c), c))


def left(drawn: list[list[int]], gone: np.ndarray) -> list[list[int]]:
    flags = iter(gone.tolist())
    return [[item for item in one if not next(flags)] for one in drawn]


@settings(max_examples=150, deadline=None)
@given(baskets, st.integers(1, 4), st.integers(1, 3))
def test_violations_are_those_of_the_definition(drawn: list[list[int]], k: int, m: int) -> None:
    assert km_violations(*layout(drawn), k, m) == rare(drawn, k, m)


@settings(max_examples=150, deadline=None)
@given(baskets, st.integers(1, 4), st.integers(1, 3), st.sampled_from(["local", "global"]))
def test_what_is_left_is_anonymous(drawn: list[list[int]], k: int, m: int, scope: str) -> None:
    starts, items = layout(drawn)
    gone = suppress_values(starts, items, k, m, scope)
    assert not rare(left(drawn, gone), k, m)
    assert gone.any() == bool(rare(drawn, k, m))
    if scope == "global":
        assert not set(items[gone].tolist()) & set(items[~gone].tolist())


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.lists(st.integers(0, 3), max_size=3, unique=True), min_size=1, max_size=5), st.integers(2, 3)
)
def test_near_the_least_of_all_local_suppressions(drawn: list[list[int]], k: int) -> None:
    starts, items = layout(drawn)
    ours = int(suppress_values(starts, items, k, 2).sum())
    entries = range(len(items))
    for size in range(ours + 1):
        found = any(
            not rare(left(drawn, np.isin(np.arange(len(items)), chosen)), k, 2)
            for chosen in combinations(entries, size)
        )
        if found:
            assert ours <= 2 * size + 1
            return
    raise AssertionError("what was dropped is not enough")


@settings(max_examples=60, deadline=None)
@given(baskets, st.integers(2, 4), st.integers(1, 3))
def test_no_entry_alone_could_come_back(drawn: list[list[int]], k: int, m: int) -> None:
    drawn = [sorted(set(one)) for one in drawn]
    gone = suppress_values(*layout(drawn), k, m)
    for entry in np.flatnonzero(gone):
        back = gone.copy()
        back[entry] = False
        assert rare(left(drawn, back), k, m)


def test_the_published_idea() -> None:
    """One known item is safe, two are not: {0, 1} has one basket only."""
    drawn = [[0], [0], [1], [1], [0, 1]]
    assert km_violations(*layout(drawn), 2, 1) == []
    assert km_violations(*layout(drawn), 2, 2) == [(0, 1)]
    assert suppress_values(*layout(drawn), 2, 2).sum() == 1


@pytest.mark.parametrize(
    ("starts", "items", "k", "m"),
    [
        ([1, 2], [0, 1], 2, 1),
        ([0, 1], [0, 1], 2, 1),
        ([0, 1], [-1], 2, 1),
        ([0, 1], [0], 0, 1),
        ([0, 1], [0], 2, 4),
    ],
)
def test_what_cannot_be_is_refused(starts, items, k: int, m: int) -> None:
    with pytest.raises(InputError):
        km_violations(np.array(starts), np.array(items), k, m)


def test_baskets_too_large_to_count_are_refused() -> None:
    with pytest.raises(InputError, match="combinations"):
        suppress_values(np.array([0, 2000]), np.arange(2000), 1, 3)
    with pytest.raises(InputError, match="locally or globally"):
        suppress_values(np.array([0, 1]), np.array([0]), 2, 1, "elsewhere")  # type: ignore[arg-type]


counted = st.lists(st.tuples(st.lists(st.integers(0, 5), max_size=5), st.integers(0, 4)), max_size=9)


def repeated(pairs: list[tuple[list[int], int]]) -> list[list[int]]:
    return [basket for basket, count in pairs for _ in range(count)]


@settings(max_examples=150, deadline=None)
@given(counted, st.integers(1, 5), st.integers(1, 3))
def test_counts_are_repetitions(pairs: list[tuple[list[int], int]], k: int, m: int) -> None:
    starts, items = layout([basket for basket, _ in pairs])
    counts = np.array([count for _, count in pairs], dtype=np.int64)
    rows = layout(repeated(pairs))
    assert km_violations(starts, items, k, m, counts) == km_violations(*rows, k, m)
    assert global_items(starts, items, k, m, counts).tolist() == global_items(*rows, k, m).tolist()


@settings(max_examples=150, deadline=None)
@given(counted, st.integers(1, 5), st.integers(1, 3), st.sampled_from(["local", "global"]))
def test_what_is_left_of_counted_baskets_is_anonymous(pairs, k: int, m: int, scope: str) -> None:
    drawn = [basket for basket, _ in pairs]
    starts, items = layout(drawn)
    counts = np.array([count for _, count in pairs], dtype=np.int64)
    kept = left(drawn, suppress_values(starts, items, k, m, scope, counts))
    assert not rare(repeated(list(zip(kept, counts.tolist(), strict=True))), k, m)


@settings(max_examples=60, deadline=None)
@given(counted, st.integers(2, 5), st.integers(1, 3))
def test_no_counted_entry_alone_could_come_back(pairs, k: int, m: int) -> None:
    drawn = [sorted(set(basket)) for basket, _ in pairs]
    counts = np.array([count for _, count in pairs], dtype=np.int64)
    starts, items = layout(drawn)
    gone = suppress_values(starts, items, k, m, counts=counts)
    for entry in np.flatnonzero(gone & np.repeat(counts > 0, np.diff(starts))):
        back = gone.copy()
        back[entry] = False
        kept = left(drawn, back)
        assert rare(repeated(list(zip(kept, counts.tolist(), strict=True))), k, m)


@settings(max_examples=100, deadline=None)
@given(baskets, st.integers(1, 4), st.integers(1, 3))
def test_items_dropped_everywhere(drawn: list[list[int]], k: int, m: int) -> None:
    starts, items = layout(drawn)
    gone = global_items(starts, items, k, m)
    assert gone.tolist() == sorted(set(gone.tolist()))
    assert suppress_values(starts, items, k, m, "global").tolist() == np.isin(items, gone).tolist()
    assert not rare([[item for item in one if item not in gone] for one in drawn], k, m)


@pytest.mark.parametrize("counts", [[1], [1, -1], [[1, 1]]])
def test_wrong_counts_are_refused(counts) -> None:
    for asked in (km_violations, global_items):
        with pytest.raises(InputError, match="one for each basket"):
            asked(np.array([0, 1, 1]), np.array([0]), 2, 1, np.array(counts))
