"""What each column transform does to known values."""

from __future__ import annotations

import datetime as dt
import hmac
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from sfumato.core.errors import InputError
from sfumato.transforms import TRANSFORMS

KEY = bytes(range(32))


def applied(name: str, values: list[Any], dtype: Any = None, key: bytes = KEY, **params: Any) -> list[Any]:
    transform, batch = TRANSFORMS.resolve(name)(), pl.Series("x", values, dtype=dtype)
    counts = batch.alias("value").to_frame().group_by("value").len("count")
    state = transform.fit(counts, transform.Params(**params), key)
    return transform.apply(batch, state, key).to_list()


def test_keep_and_drop() -> None:
    assert applied("keep", ["a", None]) == ["a", None]
    assert applied("drop", ["a", None]) == [None, None]
    assert applied("drop", [], pl.Int64) == []


def test_rounding_goes_to_the_nearest_multiple_halves_up() -> None:
    assert applied("round", [2, 3, 7, 8, -2, -3, None], to=5) == [0, 5, 5, 10, 0, -5, None]
    assert applied("round", [2.5, -2.5], to=5) == [5.0, 0.0]
    assert applied("round", [0.24, 0.26, 0.31], to=0.1) == [0.2, 0.3, 0.3]
    assert applied("round", [7], to=2.5) == [7.5]


def test_rounding_keeps_integers_and_numbers_too_large_to_round() -> None:
    assert applied("round", [2**63 - 1, -(2**63), 2**60 + 1], to=10) == [2**63 - 1, -(2**63), 2**60 + 1]
    assert applied("round", [1e308, -1e308], to=0.1) == [1e308, -1e308]
    assert pl.Series(applied("round", [12], to=5)).dtype == pl.Int64


def test_top_and_bottom_coding() -> None:
    assert applied("top-bottom-code", [1, 5, 99, None], bottom=3, top=60) == [3, 5, 60, None]
    assert applied("top-bottom-code", [1, 99], top=60) == [1, 60]
    assert applied("top-bottom-code", [1, 5], bottom=2.5) == [2.5, 5.0]
    assert applied("top-bottom-code", [1, 5], bottom=-1e30) == [1.0, 5.0]


def test_dates_are_cut_to_the_start_of_a_unit() -> None:
    day = dt.date(1988, 11, 17)
    for unit, expected in {
        "week": dt.date(1988, 11, 14),
        "month": dt.date(1988, 11, 1),
        "quarter": dt.date(1988, 10, 1),
        "year": dt.date(1988, 1, 1),
        "decade": dt.date(1980, 1, 1),
    }.items():
        assert applied("truncate-date", [day, None], to=unit) == [expected, None]
        assert applied("truncate-date", [dt.datetime(1988, 11, 17, 23, 59)], to=unit) == [expected]
    assert applied("truncate-date", [dt.date(2000, 1, 1), dt.date(9999, 12, 31)], to="decade") == [
        dt.date(2000, 1, 1),
        dt.date(9990, 1, 1),
    ]


def test_masks_hide_the_length_and_short_texts_whole() -> None:
    texts = ["4929123412341234", "123456", "123", "", None]
    assert applied("mask", texts, keep_first=2, keep_last=2) == ["49***34", "***", "***", "***", None]
    assert applied("mask", texts) == ["***", "***", "***", "***", None]
    assert applied("mask", ["abcdefgh"], keep_last=2, least=5, **{"with": "#"}) == ["#####gh"]
    assert applied("mask", ["äöü€ß😀xy"], keep_first=1, keep_last=1) == ["ä***y"]
    assert applied("mask", [1234567], keep_last=2) == ["***67"]


def test_a_mask_never_shows_a_whole_text() -> None:
    """The broken twin: keeping more at the ends than a text has would show all of it."""
    for length in range(12):
        (masked,) = applied("mask", ["x" * length], keep_first=3, keep_last=3)
        assert masked.count("x") <= max(0, length - 3)


def test_pseudonyms_are_keyed_and_never_a_bare_hash() -> None:
    import hashlib

    values = ["ann@example.org", "bob@example.org", "ann@example.org", None]
    first, second, third, none = applied("pseudonymize", values, domain="person")
    assert first == third != second
    assert none is None
    assert first == hmac.digest(KEY, b"ann@example.org", "sha256").hex()[:32]
    assert first not in hashlib.sha256(b"ann@example.org").hexdigest()
    other = applied("pseudonymize", values, domain="person", key=bytes(32))
    assert not set(other[:3]) & {first, second}
    assert {len(p) for p in applied("pseudonymize", ["a", "b"], domain="person", length=64)} == {64}


def test_generalizing_at_a_fixed_level(tmp_path: Path) -> None:
    ages = [17, 23, 99, None]
    intervals = {"kind": "intervals", "widths": [10, 20], "from": 20, "to": 80}
    assert applied("generalize", ages, level=1, hierarchy=intervals) == ["< 20", "20-29", ">= 80", None]
    assert applied("generalize", ages, level=0, hierarchy=intervals) == ages
    assert applied("generalize", ages, hierarchy=intervals) == ages
    assert applied("generalize", ["a", "b"], level=1) == ["*", "*"]
    (tmp_path / "h.csv").write_text("a;vowel\nb;consonant\n")
    file = {"kind": "file", "path": "h.csv"}
    assert applied("generalize", ["b", "a"], level=1, hierarchy=file, folder=str(tmp_path)) == [
        "consonant",
        "vowel",
    ]
    with pytest.raises(InputError, match="have no row in the hierarchy"):
        applied("generalize", ["a", "c"], level=1, hierarchy=file, folder=str(tmp_path))


@pytest.mark.parametrize(
    ("name", "params"),
    [("round", {"to": 5}), ("top-bottom-code", {"top": 5}), ("truncate-date", {"to": "year"})],
)
def test_a_refusal_says_what_to_do_and_quotes_nothing(name: str, params: dict[str, Any]) -> None:
    with pytest.raises(InputError) as caught:
        applied(name, ["ZZSECRETZZ"], **params)
    assert caught.value.remedy
    assert "ZZSECRETZZ" not in str(caught.value)


def test_every_mean_is_shared_by_k_rows_and_the_sum_stays() -> None:
    values = pl.Series("x", [float(i * i % 97) for i in range(200)])
    transform = TRANSFORMS.resolve("microaggregate")()
    counts = values.alias("value").to_frame().group_by("value").len("count")
    for k in (2, 7, 50):
        state = transform.fit(counts, transform.Params(k=k), bytes(32))
        found = transform.apply(values, state, bytes(32))
        assert found.value_counts()["count"].min() >= k
        assert found.sum() == pytest.approx(values.sum())
