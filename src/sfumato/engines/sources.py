"""Sources of rows: files by path, pattern or folder, and tables that the caller holds.

Whatever the form, a column ends as one of six types (integer, number, text, boolean, date, datetime),
missing is missing in one way, and NaN and infinities count as missing. The text of a reader's own
error is never passed on, for it may quote a person's value.
"""

from __future__ import annotations

import csv
import glob
import gzip
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import polars as pl

from sfumato.contracts import ROW
from sfumato.core.errors import InputError

FORMATS = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
}
COMPRESSIONS = (".gz", ".zst")
_REMEDY_FORMATS = "sfumato reads csv, tsv, parquet and ndjson, the text formats also as .gz or .zst"


@dataclass(frozen=True)
class FileSource:
    """Files of one format, in the order of their names; ``separator`` None is the format's own."""

    paths: tuple[Path, ...]
    format: str
    separator: str | None = None
    encoding: str = "utf-8"
    missing: tuple[str, ...] = ()

    @classmethod
    def find(
        cls,
        place: str,
        folder: Path,
        *,
        form: str | None = None,
        separator: str | None = None,
        encoding: str = "utf-8",
        missing: Sequence[str] = (),
    ) -> FileSource:
        """The files that a path, pattern or folder names.

        Raises:
            InputError: ``source-missing`` or ``source-unreadable``.
        """
        paths = _matches(place, folder)
        forms = {form or _format(path) for path in paths}
        if len(forms) > 1:
            raise InputError(
                "source-unreadable",
                f"files of several formats: {', '.join(sorted(forms))}",
                where=place,
                remedy="name a pattern that matches one format, such as data/*.parquet",
            )
        return cls(tuple(paths), forms.pop(), separator, encoding, tuple(missing))


def _matches(place: str, folder: Path) -> list[Path]:
    path = folder / place
    if path.is_dir():
        found = sorted(p for p in path.iterdir() if p.is_file() and _known(p))
    elif path.exists():
        found = [path]
    else:
        found = sorted(Path(p) for p in glob.glob(str(path), recursive=True) if Path(p).is_file())  # noqa: PTH207
    if not found:
        raise InputError(
            "source-missing",
            "no such file, and no file matches"
            if not path.is_dir()
            else "the folder has no file of a known format",
            where=place,
            remedy=f"the path is relative to the policy's folder; {_REMEDY_FORMATS}",
        )
    return found


def _suffix(path: Path) -> str:
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] in COMPRESSIONS:
        suffixes.pop()
    return suffixes[-1] if suffixes else ""


def _known(path: Path) -> bool:
    return _suffix(path) in FORMATS and not path.name.startswith(".")


def _format(path: Path) -> str:
    if (suffix := _suffix(path)) in FORMATS:
        return FORMATS[suffix]
    raise InputError(
        "source-unreadable",
        f'the ending "{suffix}" tells no format',
        where=path.name,
        remedy=f"say format: csv (or tsv, parquet, ndjson) under dataset.source; {_REMEDY_FORMATS}",
    )


def scan_files(source: FileSource) -> pl.LazyFrame:
    """A lazy frame over files, columns typed, with row numbers in :data:`sfumato.contracts.ROW`.

    Text formats are read once to settle the types: a column is of integers only if every value reads
    as one and reads back the same, so codes with leading zeros stay text.

    Raises:
        InputError: ``source-unreadable``, ``source-encoding``, ``source-columns``, ``source-empty``.
    """
    name = source.paths[0].name if len(source.paths) == 1 else f"{len(source.paths)} {source.format} files"
    _check_headers(source)
    try:
        if source.format == "parquet":
            frame = pl.scan_parquet(list(source.paths), row_index_name=ROW)
            schema = frame.collect_schema()
        elif source.format == "ndjson":
            frame = pl.scan_ndjson(_readable(source), infer_schema_length=None, row_index_name=ROW)
            schema = frame.collect_schema()
        else:
            frame = pl.scan_csv(
                _readable(source),
                separator=_separator(source),
                infer_schema=False,
                null_values=["", *source.missing],
                row_index_name=ROW,
            )
            schema = frame.collect_schema()
            if len(schema) > 1:
                frame = _typed(frame, [column for column in schema if column != ROW])
                schema = frame.collect_schema()
    except (pl.exceptions.PolarsError, OSError, UnicodeError) as error:
        raise _unreadable(source, error) from None
    if len(schema) <= 1:
        raise InputError("source-empty", "no columns", where=name, remedy="check the file and its separator")
    return normalize(frame, missing=source.missing)


def scan_table(table: pl.DataFrame) -> pl.LazyFrame:
    """The same over a table in memory."""
    if table.width == 0:
        raise InputError("source-empty", "no columns", where="the table given")
    return normalize(table.lazy().with_row_index(ROW))


def normalize(frame: pl.LazyFrame, *, missing: Sequence[str] = ()) -> pl.LazyFrame:
    """The frame with every column of one of the six types.

    Raises:
        InputError: ``column-values`` for nested columns.
    """
    changes = []
    for name, dtype in frame.collect_schema().items():
        column = pl.col(name)
        if name == ROW:
            changes.append(column.cast(pl.UInt64))
        elif dtype.is_integer():
            changes.append(column.cast(pl.Int64))
        elif dtype.is_numeric():
            number = column.cast(pl.Float64)
            changes.append(pl.when(number.is_finite()).then(number).alias(name))
        elif dtype in (pl.String, pl.Categorical, pl.Enum, pl.Null):
            text = column.cast(pl.String)
            changes.append(pl.when(~text.is_in(["", *missing])).then(text).alias(name))
        elif dtype == pl.Boolean or dtype == pl.Date:
            changes.append(column)
        elif isinstance(dtype, pl.Datetime):
            changes.append(column.dt.replace_time_zone(None).cast(pl.Datetime("us")))
        elif dtype == pl.Time or isinstance(dtype, pl.Duration):
            changes.append(column.cast(pl.String))
        else:
            raise InputError(
                "column-values",
                "the column holds nested or binary values",
                where=f"column {name}",
                remedy="flatten it into columns of its own, or leave it out of the source",
            )
    return frame.with_columns(changes)


def _separator(source: FileSource) -> str:
    return source.separator or ("\t" if source.format == "tsv" else ",")


def _readable(source: FileSource) -> Any:
    """What the reader takes: paths, or bytes where the encoding has to be changed first."""
    if source.encoding == "utf-8":
        return list(source.paths)
    recoded: list[IO[bytes]] = []
    for path in source.paths:
        with _open(path) as file:
            recoded.append(io.BytesIO(file.read().decode(source.encoding).encode()))
    return recoded


def _open(path: Path) -> IO[bytes]:
    return gzip.open(path) if path.suffix.lower() == ".gz" else path.open("rb")  # type: ignore[return-value]


def _check_headers(source: FileSource) -> None:
    """Equal, unique, non-empty column names in every text file."""
    if source.format not in ("csv", "tsv"):
        return
    expected: list[str] | None = None
    for path in source.paths:
        if path.suffix.lower() == ".zst":
            continue
        header = _header(path, source)
        repeated = sorted({name for name in header if header.count(name) > 1})
        if not any(header):
            raise InputError(
                "source-empty", "no header line", where=path.name, remedy="the first line names the columns"
            )
        if repeated or "" in header:
            what = (
                f'column name "{repeated[0]}" occurs twice'
                if repeated and repeated[0]
                else "a column has no name"
            )
            raise InputError(
                "source-columns", what, where=path.name, remedy="give every column one name of its own"
            )
        if expected is not None and header != expected:
            raise InputError(
                "source-columns",
                f"columns differ from those of {source.paths[0].name}",
                where=path.name,
                remedy="files of one source have the same columns in the same order",
            )
        expected = header


def _header(path: Path, source: FileSource) -> list[str]:
    try:
        with _open(path) as file:
            line = file.readline().decode("utf-8-sig" if source.encoding == "utf-8" else source.encoding)
        return next(csv.reader([line], delimiter=_separator(source)), [])
    except UnicodeDecodeError:
        raise _not_in_encoding(path, 1, source) from None
    except (OSError, EOFError) as error:
        raise InputError(
            "source-unreadable",
            f"cannot be read ({type(error).__name__})",
            where=path.name,
            remedy="check the file",
        ) from None


def _unreadable(source: FileSource, error: Exception) -> InputError:
    """A message that names file and row, found by reading once more, and quotes nothing."""
    if source.format in ("csv", "tsv"):
        for path in source.paths:
            if path.suffix.lower() != ".zst" and (found := _first_bad_row(path, source)) is not None:
                return found
    name = source.paths[0].name if len(source.paths) == 1 else f"{len(source.paths)} {source.format} files"
    return InputError(
        "source-unreadable",
        f"the {source.format} reader gave up ({type(error).__name__})",
        where=name,
        remedy="the file may be damaged, cut short or of another format",
    )


def _first_bad_row(path: Path, source: FileSource) -> InputError | None:
    """The first row that is not in the encoding or has more cells than the header."""
    width, encoding = 0, "utf-8-sig" if source.encoding == "utf-8" else source.encoding
    number = 0
    try:
        with _open(path) as file:
            for line in file:
                number += 1
                line.decode(encoding)
        with io.TextIOWrapper(_open(path), encoding=encoding, newline="") as text:
            reader = csv.reader(text, delimiter=_separator(source))
            for number, row in enumerate(reader, 1):
                width = width or len(row)
                if len(row) > width:
                    return InputError(
                        "source-unreadable",
                        f"row {number} has {len(row)} cells and the header has {width}",
                        where=path.name,
                        remedy="quote cells that hold the separator, or name the right separator",
                    )
    except UnicodeDecodeError:
        return _not_in_encoding(path, number, source)
    except (OSError, EOFError, csv.Error):
        return None
    return None


def _not_in_encoding(path: Path, row: int, source: FileSource) -> InputError:
    return InputError(
        "source-encoding",
        f"line {row} is not valid {source.encoding}",
        where=path.name,
        remedy="say encoding: latin-1 or cp1252 under dataset.source, or convert the file to UTF-8",
    )


def _typed(frame: pl.LazyFrame, columns: Sequence[str]) -> pl.LazyFrame:
    """Text columns with the narrowest type that reads every value and writes it back the same."""
    candidates = _candidates(frame.head(1000), columns)
    kept = _candidates(frame, list(candidates), candidates) if candidates else {}
    return frame.with_columns(_reading(name, kept[name]) for name in columns if name in kept)


_TYPES: tuple[str, ...] = ("integer", "number", "boolean", "date", "datetime")


def _reading(name: str, kind: str) -> pl.Expr:
    text = pl.col(name)
    if kind == "integer":
        return text.cast(pl.Int64, strict=False)
    if kind == "number":
        return text.cast(pl.Float64, strict=False)
    if kind == "boolean":
        yes, no = text.is_in(["true", "True", "TRUE"]), text.is_in(["false", "False", "FALSE"])
        return pl.when(yes).then(True).when(no).then(False).alias(name)
    if kind == "date":
        return text.str.to_date("%Y-%m-%d", strict=False)
    return text.str.to_datetime("%Y-%m-%d %H:%M:%S", strict=False, time_unit="us")


def _fails(name: str, kind: str) -> pl.Expr:
    """Whether any present value does not read as a kind, or would be written back differently."""
    text, read = pl.col(name), _reading(name, kind)
    if kind == "integer":
        bad = read.is_null() | (read.cast(pl.String) != text)
    elif kind == "number":
        # 007.5 is a code; 7.50 and 7.5 are the same number. Words like inf and NaN are not numbers here.
        bad = read.is_null() | text.str.contains(r"^[+-]?0[0-9]|[^0-9eE+.\-]")
    else:
        bad = read.is_null()
    return (bad & text.is_not_null()).any().alias(f"{kind}:{name}")


def _candidates(
    frame: pl.LazyFrame, columns: Sequence[str], kinds: dict[str, str] | None = None
) -> dict[str, str]:
    """The first type that no value contradicts, for each column that has one."""
    asked = [
        (name, kind) for name in columns for kind in _TYPES if kinds is None or _may_be(kind, kinds[name])
    ]
    if not asked:
        return {}
    checks = [_fails(name, kind) for name, kind in asked] + [
        pl.col(name).is_not_null().any().alias(f"present:{name}") for name in columns
    ]
    found = frame.select(checks).collect(engine="streaming").row(0, named=True)
    chosen: dict[str, str] = {}
    for name, kind in asked:
        if found[f"present:{name}"] and not found[f"{kind}:{name}"]:
            chosen.setdefault(name, kind)
    return chosen


def _may_be(kind: str, guess: str) -> bool:
    """What a whole column may turn out to be when its first rows look like ``guess``."""
    return kind == guess or (guess == "integer" and kind == "number")
