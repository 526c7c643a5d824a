"""Sources: what is found, of which types its columns are, and where a text file is at fault."""

from __future__ import annotations

import datetime as dt
import gzip
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sfumato.contracts import ROW
from sfumato.core.errors import InputError
from sfumato.engines import textfiles
from sfumato.engines.local import LocalEngine
from sfumato.engines.sources import FileSource, check_names, normalize, scan_files, scan_table
from sfumato.engines.textfiles import Dialect


def read(folder: Path, content: str | bytes, name: str = "a.csv", **options: Any) -> pl.DataFrame:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return scan_files(FileSource.find(name, folder, **options)).collect()


def values(folder: Path, *cells: str) -> pl.Series:
    """A column of text cells as it is read; a second column keeps blank cells from being blank lines."""
    return read(folder, "a,b\n" + "".join(f"{cell},x\n" for cell in cells))["a"]


# Finding files.


def test_paths_patterns_and_folders(tmp_path: Path) -> None:
    for name in ("b.csv", "a.csv", ".hidden.csv", "readme.txt"):
        (tmp_path / name).write_text("x,y\n1,2\n")
    names = [path.name for path in FileSource.find(".", tmp_path).paths]
    assert names == ["a.csv", "b.csv"]
    assert [path.name for path in FileSource.find("?.csv", tmp_path).paths] == ["a.csv", "b.csv"]
    assert FileSource.find("a.csv", tmp_path).label == "a.csv"
    assert FileSource.find(".", tmp_path).label == "2 csv files"
    assert FileSource.find("readme.txt", tmp_path, form="csv").format == "csv"


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("a.csv", "csv"), ("a.CSV", "csv"), ("a.csv.gz", "csv"), ("a.tsv.zst", "tsv"), ("a.pq", "parquet"),
        ("a.parquet", "parquet"), ("a.jsonl", "ndjson"), ("a.2020.ndjson.gz", "ndjson"),
    ],
)  # fmt: skip
def test_the_ending_tells_the_format(tmp_path: Path, name: str, form: str) -> None:
    (tmp_path / name).write_text("")
    assert FileSource.find(name, tmp_path).format == form


@pytest.mark.parametrize("separator", ["", "ab", "é", '"', "\n", "\r", "\0"])
def test_separators_that_no_reader_takes(tmp_path: Path, separator: str) -> None:
    with pytest.raises(InputError, match="one ASCII character"):
        FileSource.find("a.csv", tmp_path, separator=separator)


def test_a_path_that_no_file_system_takes(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        FileSource.find("a\0b", tmp_path)
    assert caught.value.code == "source-missing"


# Types.


@pytest.mark.parametrize(
    ("cells", "dtype"),
    [
        (["1", "-2", ""], pl.Int64),
        (["9223372036854775807", "-9223372036854775808"], pl.Int64),
        (["1", "2.5"], pl.Float64),
        (["1e5", "-.5", "7.50"], pl.Float64),
        (["0.1234567890123456789"], pl.Float64),
        (["true", "FALSE", "True"], pl.Boolean),
        (["2020-02-29", ""], pl.Date),
        (["2020-02-29 10:11:12", "2020-02-29 00:00:00"], pl.Datetime("us")),
        # What would be written back differently, or read in another way elsewhere, is text.
        (["007", "12"], pl.String),
        (["+1", "2"], pl.Float64),
        (["00.5", "1"], pl.String),
        (["-0", "1"], pl.Float64),
        (["12345678901234567890"], pl.String),
        (["1234567890123456", "1.5"], pl.String),
        (["1e999", "1"], pl.String),
        (["inf", "1"], pl.String),
        (["NaN", "1"], pl.String),
        (["1 ", "2"], pl.String),
        (["1_000"], pl.String),
        (["0x10"], pl.String),
        (["٣", "1"], pl.String),
        (["yes", "no"], pl.String),
        (["2020-02-30"], pl.String),
        (["2020-2-3"], pl.String),
        (["99999-01-01"], pl.String),
        (["", ""], pl.String),
    ],
    ids=str,
)
def test_a_column_has_the_narrowest_type_that_loses_nothing(
    tmp_path: Path, cells: list[str], dtype: Any
) -> None:
    column = values(tmp_path, *cells)
    assert column.dtype == dtype
    assert column.null_count() == cells.count("")
    if dtype == pl.String:
        assert column.to_list() == [cell or None for cell in cells]


def test_one_odd_value_far_down_keeps_a_column_text(tmp_path: Path) -> None:
    """The first rows are only a guess; the whole column decides."""
    assert values(tmp_path, *["7"] * 3000, "x").dtype == pl.String
    assert values(tmp_path, *["7"] * 3000, "7.5").dtype == pl.Float64
    assert values(tmp_path, *["7.5"] * 3000, "7").dtype == pl.Float64
    assert values(tmp_path, *[""] * 3000, "7").dtype == pl.Int64
    assert values(tmp_path, *["2020-01-01"] * 3000, "2020-13-01").dtype == pl.String


@settings(max_examples=40, deadline=None)
@given(cells=st.lists(st.text("0123456789+-.eE xnaNif", max_size=9), min_size=1, max_size=6))
def test_no_value_is_lost_in_reading(tmp_path_factory: pytest.TempPathFactory, cells: list[str]) -> None:
    column = values(tmp_path_factory.getbasetemp(), *cells)
    assert column.null_count() == cells.count("")
    for cell, read_value in zip(cells, column, strict=True):
        if column.dtype == pl.Int64 and cell:
            assert str(read_value) == cell
        elif column.dtype == pl.Float64 and cell:
            assert float(cell) == read_value
        else:
            assert (read_value or "") == cell


def test_codes_for_missing_and_blank_lines(tmp_path: Path) -> None:
    frame = read(tmp_path, "a,b\n1,99\n\nNA,x\n,\n", missing=("NA", "99"))
    assert frame["a"].to_list() == [1, None]
    assert frame["b"].to_list() == [None, "x"]
    assert frame[ROW].to_list() == [0, 2]
    # In a table of one column an empty line is a person of whom nothing is known.
    assert read(tmp_path, "a\n1\n\n3\n")["a"].to_list() == [1, None, 3]


def test_every_type_of_a_table_in_memory_ends_as_one_of_six() -> None:
    table = pl.DataFrame(
        {
            "small": pl.Series([1, None], dtype=pl.UInt8),
            "huge": pl.Series([2**64 - 1, 1], dtype=pl.UInt64),
            "fits": pl.Series([2**62, 1], dtype=pl.UInt64),
            "wide": pl.Series([-(2**100), 1], dtype=pl.Int128),
            "float": pl.Series([float("nan"), 0.5], dtype=pl.Float32),
            "inf": [float("inf"), 1.0],
            "decimal": [Decimal("1.50"), None],
            "category": pl.Series(["a", ""], dtype=pl.Categorical),
            "enum": pl.Series(["a", None], dtype=pl.Enum(["a"])),
            "null": [None, None],
            "bool": [True, None],
            "date": [dt.date(2020, 1, 1), None],
            "zoned": pl.Series([dt.datetime(2020, 1, 1), None]).dt.replace_time_zone("Europe/Berlin"),
            "time": [dt.time(1, 2), None],
            "duration": [dt.timedelta(1), None],
        }
    )
    frame = scan_table(table).collect()
    assert frame.drop(ROW).schema == {
        "small": pl.Int64, "huge": pl.String, "fits": pl.Int64, "wide": pl.String, "float": pl.Float64,
        "inf": pl.Float64, "decimal": pl.Float64, "category": pl.String, "enum": pl.String, "null": pl.String,
        "bool": pl.Boolean, "date": pl.Date, "zoned": pl.Datetime("us"), "time": pl.String,
        "duration": pl.Float64,
    }  # fmt: skip
    assert frame["huge"].to_list() == [str(2**64 - 1), "1"]
    assert frame["wide"].to_list() == [str(-(2**100)), "1"]
    assert frame["float"].to_list() == [None, 0.5]
    assert frame["inf"].to_list() == [None, 1.0]
    assert frame["category"].to_list() == ["a", None]


@pytest.mark.parametrize("column", [[[1]], [{"x": 1}], [b"ZZSECRETZZ"]], ids=["list", "struct", "binary"])
def test_nested_columns_are_refused_by_name(column: list[Any]) -> None:
    with pytest.raises(InputError, match="nested or binary") as caught:
        normalize(pl.LazyFrame({"x": column}))
    assert caught.value.where == "column x"
    assert "ZZSECRETZZ" not in str(caught.value)


@pytest.mark.parametrize(
    ("names", "words"),
    [([], "no columns"), (["a", "b", "a"], '"a" occurs twice'), (["a", ""], "column 2 has no name"),
     (["a", " "], "column 2 has no name"), (["__sfumato_row__"], "is reserved"),
     (["__sfumato_anything"], "is reserved")],
)  # fmt: skip
def test_names_that_cannot_be_used(names: list[str], words: str) -> None:
    with pytest.raises(InputError, match=words):
        check_names(names, "a.csv")
    if names and len(set(names)) == len(names):
        with pytest.raises(InputError, match=words):
            scan_table(pl.DataFrame({name: [1] for name in names}))


def test_a_table_in_memory_without_columns_or_rows() -> None:
    with pytest.raises(InputError, match="no columns"):
        LocalEngine().scan(pl.DataFrame())
    with pytest.raises(InputError, match="no rows") as caught:
        LocalEngine().scan(pl.DataFrame({"a": []}))
    assert caught.value.where == "the table given"


# Several files.


def test_rows_are_numbered_over_all_files(tmp_path: Path) -> None:
    for name, rows in (("a", "1,x\n2,y\n"), ("b", "\n3,z\n")):
        (tmp_path / f"{name}.csv").write_text("n,t\n" + rows)
    frame = scan_files(FileSource.find("*.csv", tmp_path)).collect()
    assert frame[ROW].to_list() == [0, 1, 3]
    assert frame["n"].to_list() == [1, 2, 3]


def test_files_that_carry_types_go_together_where_nothing_is_lost(tmp_path: Path) -> None:
    pl.DataFrame({"a": [1, 2], "b": ["x", None]}).write_parquet(tmp_path / "1.parquet")
    pl.DataFrame({"a": [0.5], "b": ["y"]}).write_parquet(tmp_path / "2.parquet")
    pl.DataFrame({"a": [None], "b": [None]}).write_parquet(tmp_path / "3.parquet")
    frame = scan_files(FileSource.find("*.parquet", tmp_path)).collect()
    assert frame["a"].to_list() == [1.0, 2.0, 0.5, None]
    assert frame["b"].to_list() == ["x", None, "y", None]
    assert frame[ROW].to_list() == [0, 1, 2, 3]
    (tmp_path / "1.ndjson").write_text('{"b":"x","a":1}\n')
    (tmp_path / "2.ndjson").write_text('{"a":2}\n{"a":3,"b":"y"}\n')
    frame = scan_files(FileSource.find("*.ndjson", tmp_path)).collect()
    assert frame.select("a", "b").rows() == [(1, "x"), (2, None), (3, "y")]


def test_known_types_are_taken_and_not_found_out(tmp_path: Path) -> None:
    """A release read back: the code 2020 stays text, and a row without values stays a row."""
    path = tmp_path / "a.csv"
    path.write_text("code,day\n2020,2020-01-01\n,\n1.50,2020-01-02\n")
    known = FileSource((path,), "csv", types={"code": pl.String(), "day": pl.Date()})
    frame = scan_files(known).drop(ROW).collect()
    assert frame.rows() == [("2020", dt.date(2020, 1, 1)), (None, None), ("1.50", dt.date(2020, 1, 2))]
    guessed = scan_files(FileSource((path,), "csv")).drop(ROW).collect()
    assert guessed.rows() == [(2020.0, dt.date(2020, 1, 1)), (1.5, dt.date(2020, 1, 2))]


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252"])
def test_other_encodings_plain_and_compressed(tmp_path: Path, encoding: str) -> None:
    content = "größe,n\nZürich,1\n".encode(encoding)
    frame = read(tmp_path, content, encoding=encoding)
    assert frame.select("größe", "n").rows() == [("Zürich", 1)]
    frame = read(tmp_path, gzip.compress(content), name="b.csv.gz", encoding=encoding)
    assert frame["größe"].to_list() == ["Zürich"]
    frame = read(tmp_path, '{"ö":"ü"}\n'.encode(encoding), name="c.ndjson", encoding=encoding)
    assert frame["ö"].to_list() == ["ü"]
    if encoding == "cp1252":
        with pytest.raises(InputError, match="line 2 is not valid cp1252"):
            read(tmp_path, b"a,b\n\x81,1\n", encoding=encoding)


# Lines at fault.


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("a,b\n1,2\n", None),
        ('a,b\n"x\ny",2\n\n1,"say ""z"""\n', None),
        ('a,b\n"x\ny",2\n1,2,3\n', "line 4 has 3 cells and the header has 2"),
        ("a,b\n1\n", "line 2 has 1 cells"),
        ('a,b\n"x\n1,2\n', "never closed"),
        ('a,b\n"x"y,2\n', "goes on after its quote; the fault shows at line 2"),
        (b"a,b\n1,2\n\xff,2\n", "line 3 is not valid utf-8"),
    ],
)
def test_the_first_bad_row(tmp_path: Path, content: str | bytes, words: str | None) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    found = textfiles.first_bad_row(path, Dialect())
    assert (found is None) == (words is None)
    if found is not None and words is not None:
        assert words in found.what
        assert found.where == "a.csv"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('{"a": 1}\n\n{"a": {"b": [1]}}\n', None),
        ('{"a": 1}\n[1]\n', "line 2 is not one JSON object"),
        ('{"a": 1}\n{"a": \n', "line 2"),
        ("[" * 100_000, "line 1"),
        (b'{"a": "\xff"}\n', "line 1 is not valid utf-8"),
    ],
)
def test_the_first_bad_document(tmp_path: Path, content: str | bytes, words: str | None) -> None:
    path = tmp_path / "a.ndjson"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    found = textfiles.first_bad_document(path, Dialect())
    assert (found is None) == (words is None)
    if found is not None and words is not None:
        assert words in found.what


@settings(max_examples=60, deadline=None)
@given(content=st.binary(max_size=120), name=st.sampled_from(["a.csv", "a.ndjson", "a.parquet", "a.csv.gz"]))
def test_no_bytes_at_all_bring_anything_but_one_clear_error(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, name: str
) -> None:
    folder = tmp_path_factory.getbasetemp()
    try:
        frame = read(folder, content, name)
    except InputError as error:
        assert error.code.startswith(("source-", "column-"))
    else:
        assert frame.width >= 2
