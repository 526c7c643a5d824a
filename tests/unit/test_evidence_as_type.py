"""Registers read as text meet releases of other types, whatever they hold."""

from __future__ import annotations

from datetime import date, datetime, time

import polars as pl
import pytest

from sfumato.evidence.features import LabelBins, as_type, label_codes


@pytest.mark.parametrize(
    ("text", "dtype", "value"),
    [
        ("2020-01-02", pl.Date(), date(2020, 1, 2)),
        ("2020-01-02 03:04:05", pl.Datetime("us"), datetime(2020, 1, 2, 3, 4, 5)),
        ("03:04:05", pl.Time(), time(3, 4, 5)),
    ],
)
def test_text_is_read_as_dates_and_times(text: str, dtype: pl.DataType, value: object) -> None:
    held, lost = as_type(pl.Series([text, "no date", None]), dtype)
    assert held.to_list() == [value, None, None]
    assert lost.to_list() == [False, True, False]


@pytest.mark.parametrize("dtype", [pl.Duration("us"), pl.Boolean(), pl.List(pl.Int64)])
def test_where_there_is_no_way_everything_is_lost(dtype: pl.DataType) -> None:
    held, lost = as_type(pl.Series(["x", None]), dtype)
    assert held.dtype == dtype
    assert held.null_count() == 2
    assert lost.to_list() == [True, False]


def test_labels_have_their_places_others_and_missing_their_own() -> None:
    levels = pl.Series(["b", "", "é"])
    assert label_codes(pl.Series(["é", "b", "", "z", None]), levels).tolist() == [2, 0, 1, -1, -1]
    assert LabelBins(levels).codes(pl.Series(["é", "z", None])).tolist() == [2, 3, 4]
    nothing = LabelBins.fit(pl.Series([None], dtype=pl.String))
    assert nothing.codes(pl.Series(["a", None])).tolist() == [0, 1]
