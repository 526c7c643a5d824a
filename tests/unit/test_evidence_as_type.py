"""Registers read as text meet releases of other types, whatever they hold."""

from __future__ import annotations

from datetime import date, datetime, time

import polars as pl
import pytest

from sfumato.evidence.features import UNKNOWN, LabelBins, as_type, encode_labels, label_codes
from sfumato.evidence.overlap import numbered


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


@pytest.mark.parametrize("missing", [False, True])
@pytest.mark.parametrize(
    ("known", "asked"),
    [
        ([3, 1, 2], [1, 2, 3, 4, 0, 3]),
        ([2**62, -(2**62)], [2**62, 0, -(2**62)]),
        (["b", "", "a"], ["a", "b", "c", "", "a"]),
        ([0.5, -1.0], [0.5, 0.0, -1.0]),
        ([date(2020, 1, 1)], [date(2020, 1, 1), date(2021, 1, 1)]),
        ([True, False], [False, True]),
    ],
)
def test_codes_are_those_of_the_labels(known: list[object], asked: list[object], missing: bool) -> None:
    labels = pl.Series([*known, *([None] if missing else [])])
    level = pl.DataFrame({"label": labels}).with_row_index("code")
    place = {label: code for code, label in enumerate(labels.to_list())}
    values = pl.Series([*asked, None], dtype=labels.dtype)
    expected = [place.get(value, UNKNOWN) for value in values.to_list()]
    assert encode_labels(values, level).tolist() == expected
    assert encode_labels(values.drop_nulls(), level).tolist() == expected[:-1]
    assert encode_labels(values, level.clear()).tolist() == [UNKNOWN] * len(expected)


@pytest.mark.parametrize(
    "values",
    [pl.Series([3, 1, 3], dtype=pl.UInt8), pl.Series([3, None, -1]), pl.Series(["b", None, "a", "b"])],
)
def test_numbered_values_are_in_order_with_missing_last(values: pl.Series) -> None:
    distinct, codes = numbered(values)
    assert distinct.dtype == values.dtype
    assert distinct.equals(values.unique().sort(nulls_last=True))
    assert distinct[codes.tolist()].to_list() == values.to_list()
