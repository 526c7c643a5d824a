"""Cell suppression against brute force and against its promise."""

from __future__ import annotations

from itertools import product

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from sfumato.anonymity.cells import Suppression, smallest_tuples, suppress_cells


def tables(units: int, columns: int) -> st.SearchStrategy[tuple[np.ndarray, np.ndarray]]:
    return st.tuples(st.integers(1, columns), st.integers(1, units)).flatmap(
        lambda shape: st.tuples(
            hnp.arrays(np.int64, shape, elements=st.integers(0, 2)),
            hnp.arrays(np.int64, shape[1], elements=st.integers(0, 4)),
        )
    )


def shown(codes: np.ndarray, found: Suppression) -> list[tuple]:
    """The tuple of every row, None for a blank."""
    return [
        tuple(None if gone else int(code) for gone, code in zip(blank, codes[:, unit], strict=True))
        for unit, blank, count in zip(found.units, found.blanks.T, found.counts, strict=True)
        for _ in range(count)
    ]


@settings(max_examples=150, deadline=None)
@given(tables(20, 4), st.integers(1, 6))
def test_every_tuple_is_shared_by_k(table, k: int) -> None:
    codes, counts = table
    k = max(1, min(k, int(counts.sum())))
    found = suppress_cells(codes, counts, k)
    assert np.bincount(found.units, found.counts, len(counts)).tolist() == counts.tolist()
    tuples = shown(codes, found)
    assert all(tuples.count(one) >= k for one in set(tuples))
    sizes = [tuples.count(one) for one in tuples]
    assert np.repeat(smallest_tuples(codes, found), found.counts).tolist() == sizes
    assert found.cells == sum(one.count(None) for one in tuples)
    assert found.bound is not None
    assert found.bound - 1e-9 <= found.cells


@settings(max_examples=60, deadline=None)
@given(tables(4, 2), st.integers(2, 3))
def test_close_to_the_least_of_all_suppressions(table, k: int) -> None:
    codes, counts = table
    rows = np.repeat(np.arange(len(counts)), np.minimum(counts, 2))
    if len(rows) < k:
        return
    masks = list(product([False, True], repeat=len(codes)))
    least = np.inf
    for chosen in product(masks, repeat=len(rows)):
        tuples = [
            tuple(None if gone else int(code) for gone, code in zip(mask, codes[:, row], strict=True))
            for mask, row in zip(chosen, rows, strict=True)
        ]
        if all(tuples.count(one) >= k for one in tuples):
            least = min(least, sum(sum(mask) for mask in chosen))
    found = suppress_cells(codes, np.minimum(counts, 2), k)
    assert found.bound is not None
    assert found.bound - 1e-9 <= least <= found.cells <= least + k


@settings(max_examples=40, deadline=None)
@given(tables(20, 3), st.integers(1, 4))
def test_repeated_units_change_nothing_that_is_promised(table, k: int) -> None:
    """The same tuple in two units counts as one."""
    codes, counts = np.hstack([table[0], table[0]]), np.concatenate([table[1], table[1]])
    k = max(1, min(k, int(counts.sum())))
    tuples = shown(codes, suppress_cells(codes, counts, k))
    assert all(tuples.count(one) >= k for one in set(tuples))


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(9, 30), st.integers(2, 4))
def test_many_columns(seed: int, columns: int, k: int) -> None:
    draw = np.random.default_rng(seed)
    codes = draw.integers(0, 2, (columns, 40)) * (draw.random((columns, 40)) < 0.3)
    counts = draw.integers(0, 3, 40)
    found = suppress_cells(codes, counts, k)
    tuples = shown(codes, found)
    assert all(tuples.count(one) >= k for one in set(tuples))
    assert found.bound is None
