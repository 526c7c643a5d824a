"""What every engine must do: one body for all of them, the same rows from each."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sfumato.contracts import ROW
from sfumato.core.keyed import derive, draws
from sfumato.engines import local
from sfumato.engines.local import LocalEngine
from sfumato.engines.sources import FileSource

ENGINES = [LocalEngine]
KEY = derive(bytes(32), "contract")


def table(rows: int) -> pl.DataFrame:
    """Rows of an integer and a text with gaps."""
    numbers = np.arange(rows)
    texts = [None if number % 11 == 0 else f"t{number % 7}" for number in numbers]
    return pl.DataFrame({"number": numbers % 13, "text": texts})


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest):
    return request.param()


def test_rows_are_numbered_in_the_sources_order(engine, tmp_path: Path) -> None:
    whole = table(100)
    whole[:40].write_parquet(tmp_path / "a.parquet")
    whole[40:].write_parquet(tmp_path / "b.parquet")
    frame = engine.scan(FileSource.find("*.parquet", tmp_path)).collect().sort(ROW)
    assert frame[ROW].to_list() == list(range(100))
    assert frame.drop(ROW).equals(whole)


def test_the_schema_has_no_row_numbers(engine) -> None:
    assert list(engine.schema(engine.scan(table(3)))) == ["number", "text"]


def test_aggregates_are_those_of_a_dictionary(engine) -> None:
    frame = engine.scan(table(500))
    found = engine.aggregate(frame, ["number", "text"], [pl.len().alias("n")])
    counted: dict[tuple[int, str | None], int] = {}
    for row in table(500).rows():
        counted[row] = counted.get(row, 0) + 1
    assert {(number, text): n for number, text, n in found.rows()} == counted


def test_map_applies_a_pure_function_to_every_row(engine) -> None:
    frame = engine.scan(table(300))
    mapped = engine.map(frame, lambda batch: batch.select(pl.col("number") * 2), {"number": pl.Int64})
    assert sorted(mapped.collect()["number"]) == sorted(table(300)["number"] * 2)


@settings(max_examples=20, deadline=None)
@given(rows=st.integers(1, 400), size=st.integers(1, 500))
def test_a_sample_is_the_rows_with_the_smallest_draws(rows: int, size: int) -> None:
    for engine in (kind() for kind in ENGINES):
        numbers = np.arange(rows, dtype=np.uint64)
        expected = sorted(numbers[np.argsort(draws(KEY, numbers), kind="stable")][:size].tolist())
        assert engine.sample(engine.scan(table(rows)), KEY, size)[ROW].to_list() == expected


@pytest.mark.parametrize("form", ["parquet", "csv"])
@pytest.mark.parametrize("bucket", [10_000, 97])
def test_rows_are_written_in_keyed_order_whatever_the_buckets(
    engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str, bucket: int
) -> None:
    monkeypatch.setattr(local, "BUCKET_ROWS", bucket)
    rows = 1000
    (path,) = engine.write(engine.scan(table(rows)), ["text", "number"], tmp_path, "out", form, KEY)
    order = np.argsort(draws(KEY, np.arange(rows, dtype=np.uint64)))
    expected = table(rows)[order].select("text", "number")
    read = pl.read_parquet(path) if form == "parquet" else pl.read_csv(path)
    assert read.equals(expected)
    assert [left.name for left in tmp_path.iterdir()] == [f"out.{form}"]


def test_only_the_columns_named_are_written(engine, tmp_path: Path) -> None:
    (path,) = engine.write(engine.scan(table(10)), ["text"], tmp_path, "out", "parquet", KEY)
    assert pl.read_parquet(path).columns == ["text"]


def test_an_empty_part_is_written_with_its_columns(engine, tmp_path: Path) -> None:
    frame = engine.scan(table(10)).filter(pl.lit(False))
    (path,) = engine.write(frame, ["text", "number"], tmp_path, "out", "parquet", KEY)
    assert pl.read_parquet(path).schema == {"text": pl.String, "number": pl.Int64}
