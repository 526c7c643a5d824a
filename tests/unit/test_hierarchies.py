"""Hierarchies on known values, and what is said of those that cannot be used: row numbers, never values."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from sfumato.core.errors import InputError
from sfumato.hierarchies import HIERARCHIES
from sfumato.hierarchies.ladder import Ladder


def kind(name: str, folder: Path = Path(), **params: Any) -> Any:
    made = HIERARCHIES.resolve(name)
    return made(made.Params(**params), folder)


def labels(hierarchy: Any, values: list[Any], level: int, dtype: Any = None) -> list[Any]:
    return hierarchy.labels(pl.Series("x", values, dtype=dtype), level).to_list()


def built(hierarchy: Any, values: list[Any], first: list[int] | None = None) -> Ladder:
    rows = first if first is not None else list(range(len(values)))
    return Ladder.build(hierarchy, pl.Series("x", values), pl.Series(rows, dtype=pl.UInt32))


def file(folder: Path, content: str | bytes, **params: Any) -> Any:
    (folder / "h.csv").write_bytes(content.encode() if isinstance(content, str) else content)
    return kind("file", folder, path="h.csv", **params)


def test_intervals_of_whole_numbers() -> None:
    ages = kind("intervals", widths=[5, 10], **{"from": 20, "to": 80})
    assert ages.height == 4
    assert labels(ages, [19, 20, 24, 25, 79, 80, None], 1) == [
        "< 20", "20-24", "20-24", "25-29", "75-79", ">= 80", None,
    ]  # fmt: skip
    assert labels(ages, [19, 25, 79], 2) == ["< 20", "20-29", "70-79"]
    assert labels(ages, [19, None], 3) == ["*", "*"]
    assert labels(kind("intervals", widths=[1, 2]), [-3, 7], 1) == ["< 0", "7"]


def test_intervals_of_other_numbers_and_of_large_ones() -> None:
    widths = kind("intervals", widths=[2.5], **{"from": -5})
    assert labels(widths, [-5.0, 0.1, 2.5], 1) == ["[-5, -2.5)", "[0, 2.5)", "[2.5, 5)"]
    assert labels(kind("intervals", widths=[10]), [3.5], 1) == ["[0, 10)"]
    tens = kind("intervals", widths=[10])
    assert labels(tens, [9_007_199_254_740_989], 1) == ["9007199254740980-9007199254740989"]
    assert len(set(labels(tens, [123_456_789_012_345, 123_456_789_012_355], 1))) == 2


@pytest.mark.parametrize("start", [0, -180])
def test_numbers_on_the_edge_of_decimal_intervals_lie_above_it(start: int) -> None:
    grid = kind("intervals", widths=[0.01, 0.1, 1], **{"from": start})
    hundredths = [round(start + n / 100, 2) for n in range(20_000)]
    assert labels(grid, [0.03, 0.29, 0.3, 1.1], 1) == [
        "[0.03, 0.04)",
        "[0.29, 0.3)",
        "[0.3, 0.31)",
        "[1.1, 1.11)",
    ]
    assert all(
        label.startswith(f"[{number:.12g}, ")
        for number, label in zip(hundredths, labels(grid, hundredths, 1), strict=True)
    )
    beneath = [float(np.nextafter(number, -np.inf)) for number in hundredths[1:]]
    assert labels(grid, beneath, 1) == labels(grid, hundredths[:-1], 1)
    assert labels(grid, [float("inf"), float("nan"), float("-inf")], 1) == [None, None, f"< {start}"]
    assert len(set(built(grid, hundredths).codes[2].tolist())) == 2000


def test_centers_of_intervals() -> None:
    ages = kind("intervals", widths=[10], **{"from": 20, "to": 80})
    values = pl.Series("x", [19, 23, 80, None])
    assert ages.centers(values, 1).to_list() == [20, 25, 80, None]
    assert ages.centers(values, 0).to_list() == [19, 23, 80, None]
    assert ages.centers(values, 2) is None


def test_dates_by_calendar_units() -> None:
    hierarchy = kind("dates", levels=["month", "quarter", "year", "decade"])
    day = [dt.date(1988, 11, 17), dt.date(7, 1, 2), None]
    assert labels(hierarchy, day, 1) == ["1988-11", "0007-01", None]
    assert labels(hierarchy, day, 2) == ["1988-Q4", "0007-Q1", None]
    assert labels(hierarchy, day, 3) == ["1988", "0007", None]
    assert labels(hierarchy, day, 4) == ["1980s", "0s", None]
    assert labels(hierarchy, day, 5) == ["*", "*", "*"]
    assert hierarchy.centers(pl.Series("x", day), 3).to_list() == [1988, 7, None]


def test_dates_that_the_source_holds_as_text() -> None:
    hierarchy = kind("dates", levels=["year"], format="%d/%m/%Y")
    assert labels(hierarchy, ["17/11/1988", None], 1) == ["1988", None]
    with pytest.raises(InputError, match="some values are not dates of the format given") as caught:
        labels(hierarchy, ["17/11/1988", "ZZSECRETZZ"], 1)
    assert "ZZSECRETZZ" not in str(caught.value)


def test_prefixes() -> None:
    codes = kind("prefix", keep=[3, 1])
    assert labels(codes, ["EC1A", "EC1", "E", "", None], 1) == ["EC1*", "EC1", "E", "", None]
    assert labels(codes, ["EC1A", "EC1", "E", "", None], 2) == ["E*", "E*", "E", "", None]
    assert labels(codes, ["EC1A", None], 3) == ["*", "*"]
    assert labels(codes, [90210], 1) == ["902*"]


def test_a_file_in_the_format_of_arx(tmp_path: Path) -> None:
    hierarchy = file(tmp_path, "a;vowel;*\nb;consonant;*\nc;consonant;*\n;none;*\nc;consonant;*\n")
    assert hierarchy.height == 3
    assert labels(hierarchy, ["a", "c", None, "z"], 1) == ["vowel", "consonant", "none", None]
    ladder = built(hierarchy, ["a", "c", None])
    # Consistent duplicate rows count as leaves, and so does the row of missing values, as in ARX.
    assert ladder.size == 5
    assert ladder.shares[1].tolist() == [1 / 5, 3 / 5, 1 / 5]
    assert ladder.shares[0].tolist() == [1 / 5, 2 / 5, 1 / 5]
    assert len(set(ladder.codes[2].tolist())) == 1
    latin = file(tmp_path, "größe|x\n".encode("latin-1"), separator="|", encoding="latin-1")
    assert labels(latin, ["größe"], 1) == ["x"]


def test_centers_of_a_file_are_means_of_its_leaves(tmp_path: Path) -> None:
    hierarchy = file(tmp_path, "1;low;*\n3;low;*\n8;high;*\n")
    assert hierarchy.centers(pl.Series("x", [1, 8]), 1).to_list() == [2, 8]
    assert hierarchy.centers(pl.Series("x", [1, 8]), 2) is None
    words = file(tmp_path, "a;x;*\nb;y;*\n")
    assert words.centers(pl.Series("x", ["a"]), 1) is None


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "it is empty"),
        ("\n\n", "it is empty"),
        ("ZZSECRETZZ;a\nb\n", "row 2 has 1 cells and row 1 has 2"),
        ("ZZSECRETZZ,a\n", "one column only"),
        ("ZZSECRETZZ;a;*\nZZSECRETZZ;b;*\n", "row 2 gives the value of row 1 other labels"),
        ("a;ZZSECRETZZ;x\nb;ZZSECRETZZ;y\n", "levels 1 and 2 do not nest: rows 1 and 2"),
        (b"\xff;a\n", "UnicodeDecodeError"),
        ('"ZZSECRETZZ;a\n', "it cannot be read"),
    ],
)
def test_a_file_that_cannot_be_used(tmp_path: Path, content: str | bytes, words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        file(tmp_path, content)
    assert caught.value.code == "hierarchy-invalid"
    assert "h.csv" in caught.value.where
    assert caught.value.remedy
    assert "ZZSECRETZZ" not in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    for path in ("nope.csv", ".", "a\0b"):
        with pytest.raises(InputError, match="cannot be read"):
            kind("file", tmp_path, path=path)
    with pytest.raises(InputError, match="LookupError"):
        file(tmp_path, "a;b\n", encoding="klingon")


def test_values_that_a_file_does_not_cover_are_counted_with_the_first_row(tmp_path: Path) -> None:
    hierarchy = file(tmp_path, "a;*\nb;*\n")
    with pytest.raises(InputError, match=r"2 distinct value\(s\) .* \(first: data row 6\)") as caught:
        built(hierarchy, ["a", "ZZSECRETZZ", None], [0, 8, 5])
    assert "ZZSECRETZZ" not in str(caught.value)
    with pytest.raises(InputError) as caught:
        built(hierarchy, ["a", "b "])
    assert "only by blanks at the ends" in caught.value.remedy


class Parting:
    """A broken kind: values that share a label at level 1 part again at level 2."""

    height = 4

    def labels(self, values: pl.Series, level: int) -> pl.Series:
        parts = {1: "same", 2: None, 3: "*"}[level]
        return pl.Series([parts if parts else str(i) for i in range(len(values))])

    def domain(self) -> None:
        return None


def test_levels_that_do_not_nest_are_refused_with_row_numbers() -> None:
    with pytest.raises(InputError, match="levels 1 and 2 do not nest: the values of data rows 4 and 8"):
        built(Parting(), ["ZZSECRETZZ", "b"], [7, 3])


def test_a_ladder_for_a_column_that_is_coarse_already() -> None:
    ladder = Ladder.fixed(pl.Series("x", ["a", "b", None]))
    assert ladder.height == 1
    assert ladder.size == 3
    assert np.allclose(ladder.shares[0], 1 / 3)
    assert Ladder.fixed(pl.Series("x", [], dtype=pl.String)).size == 1
