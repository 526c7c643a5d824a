"""Cell suppression in the shapes that break tools."""

from __future__ import annotations

import numpy as np
import pytest

from sfumato.anonymity.cells import smallest_tuples, suppress_cells
from sfumato.core.errors import InputError


def test_a_dear_column_is_blanked_last() -> None:
    codes, counts = np.array([[0, 0, 1, 1], [0, 1, 0, 1]]), np.ones(4, dtype=np.int64)
    assert not suppress_cells(codes, counts, 2, np.array([9.0, 1.0])).blanks[0].any()
    assert not suppress_cells(codes, counts, 2, np.array([1.0, 9.0])).blanks[1].any()


def test_a_rich_tuple_lends_a_row_to_a_poor_one() -> None:
    """Five and one: one more blank saves the single row from losing both."""
    codes, counts = np.array([[0, 0], [0, 1]]), np.array([5, 1])
    found = suppress_cells(codes, counts, 2)
    assert found.cells == 2
    assert smallest_tuples(codes, found).min() >= 2


def test_nothing_is_blanked_where_all_share() -> None:
    assert suppress_cells(np.zeros((3, 1), dtype=np.int64), np.array([7]), 7).cells == 0


def test_a_column_of_distinct_values_goes_whole() -> None:
    codes = np.stack([np.arange(50), np.zeros(50, dtype=np.int64)])
    found = suppress_cells(codes, np.ones(50, dtype=np.int64), 5)
    assert found.cells == found.bound == 50
    assert found.blanks[0].all()


def test_k_rows_in_all() -> None:
    codes = np.arange(6).reshape(2, 3)
    found = suppress_cells(codes, np.ones(3, dtype=np.int64), 3)
    assert found.blanks.all()


def test_a_unit_of_a_million_rows_costs_no_more_than_a_small_one() -> None:
    codes, counts = np.array([[0, 1], [0, 0]]), np.array([10**9, 1])
    found = suppress_cells(codes, counts, 5)
    assert found.counts.sum() == 10**9 + 1
    assert found.cells == 5
    assert smallest_tuples(codes, found).min() >= 5


@pytest.mark.parametrize("room", [2, 3, 7])
def test_a_table_of_masks_that_is_cut_keeps_the_promise_and_no_bound(room: int, monkeypatch) -> None:
    monkeypatch.setattr("sfumato.anonymity.cells._LARGEST_TABLE", 40 * room)
    codes = np.random.default_rng(room).integers(0, 3, (3, 40))
    found = suppress_cells(codes, np.ones(40, dtype=np.int64), 3, np.array([3.0, 1.0, 2.0]))
    assert found.bound is None
    assert smallest_tuples(codes, found).min() >= 3


def test_a_table_with_room_for_all_masks_has_a_bound(monkeypatch) -> None:
    monkeypatch.setattr("sfumato.anonymity.cells._LARGEST_TABLE", 40 * 8)
    codes = np.random.default_rng(8).integers(0, 3, (3, 40))
    found = suppress_cells(codes, np.ones(40, dtype=np.int64), 3)
    assert found.bound is not None
    assert found.bound <= found.cells


def test_nine_columns_have_no_bound() -> None:
    codes, counts = np.zeros((9, 2), dtype=np.int64), np.array([3, 3])
    assert suppress_cells(codes, counts, 3).bound is None
    assert suppress_cells(codes[:8], counts, 3).bound == 0


def test_nobody() -> None:
    found = suppress_cells(np.zeros((2, 3), dtype=np.int64), np.zeros(3, dtype=np.int64), 2)
    assert found.cells == 0 == len(found.units)


@pytest.mark.parametrize(
    ("codes", "counts", "k", "weights", "code"),
    [
        ([[0, 1]], [1, 1], 3, None, "anonymity-impossible"),
        ([[0, -1]], [1, 1], 2, None, "usage"),
        ([[0, 1]], [1, -1], 2, None, "usage"),
        ([[0, 1]], [1], 2, None, "usage"),
        ([[0, 1]], [1, 1], 0, None, "usage"),
        ([[0, 1]], [1, 1], 2, [0.0], "usage"),
        ([[0, 1]], [1, 1], 2, [np.inf], "usage"),
        ([[0, 1]], [1, 1], 2, [1.0, 1.0], "usage"),
    ],
)
def test_what_cannot_be_is_refused(codes, counts, k, weights, code) -> None:
    with pytest.raises(InputError) as caught:
        suppress_cells(np.array(codes), np.array(counts), k, None if weights is None else np.array(weights))
    assert caught.value.code == code
