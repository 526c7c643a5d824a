"""The rows as written: their files, columns, types and counts."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import polars as pl

from sfumato.core.errors import InputError
from sfumato.engines.local import LocalEngine
from sfumato.engines.sources import FileSource
from sfumato.pipeline.comparing import counted
from sfumato.pipeline.fitted import Fitted
from sfumato.release.account import DataFile


def read_back(fitted: Fitted, written: Sequence[Path]) -> pl.LazyFrame:
    """The rows as written, in the types that the plan gives them."""
    engine, types = fitted.snapshot.engine, fitted.types()
    source = FileSource(tuple(written), fitted.snapshot.policy.release.format, types=types)
    return engine.scan(source).with_columns(pl.col(name).cast(dtype) for name, dtype in types.items())


def counter(fitted: Fitted, written: Sequence[Path]) -> Callable[[Sequence[str]], pl.DataFrame]:
    """Counts over the rows as written."""
    frame = read_back(fitted, written).select(*fitted.released)
    return lambda columns: counted(frame, columns)


def recheck_columns(fitted: Fitted, data: Sequence[DataFile]) -> None:
    """Check that the files as written have just the columns that the plan lets leave.

    Raises:
        InputError: ``recheck-failed``.
    """
    for file in data:
        if tuple(file.columns) != fitted.released:
            raise InputError(
                "recheck-failed",
                "the rows as written have other columns than the plan lets leave",
                remedy="nothing was released; please report this as a bug",
            )


def data_file(path: Path, types: Mapping[str, pl.DataType]) -> DataFile:
    """A file of data, with the types of its columns."""
    engine = LocalEngine()
    schema = engine.schema(engine.scan(FileSource((path,), path.suffix[1:], types=types)))
    return DataFile(path.name, {name: _type_name(dtype) for name, dtype in schema.items()})


def _type_name(dtype: pl.DataType) -> str:
    if dtype.is_integer():
        return "integer"
    if dtype.is_numeric():
        return "number"
    names: Mapping[Any, str] = {pl.Boolean: "boolean", pl.Date: "date"}
    return names.get(dtype, "datetime" if isinstance(dtype, pl.Datetime) else "text")


def parquet(table: pl.DataFrame) -> bytes:
    """A table for custody."""
    buffer = io.BytesIO()
    table.write_parquet(buffer, compression="zstd")
    return buffer.getvalue()
