"""Sources of rows: files by path, pattern or folder, and tables that the caller holds.

Whatever the form, a column ends as one of six types (integer, number, text, boolean, date, datetime),
missing is missing in one way, and NaN and infinities count as missing. A file is read once from end to
end before anything is made of it, so that what is wrong with it is said at once and in one place. The
text of a reader's own error is never passed on, for it may quote a person's value.
"""

from __future__ import annotations

import glob
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet

from sfumato.contracts import ROW
from sfumato.core.errors import InputError
from sfumato.engines import textfiles
from sfumato.engines.columntypes import Settled, readings, settle

FORMATS = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
}
COMPRESSIONS = (".gz", ".zst")
#: Names that begin so are the house's own.
RESERVED = "__sfumato_"
_REMEDY_FORMATS = "sfumato reads csv, tsv, parquet and ndjson, the text formats also as .gz or .zst"
_DAMAGED = "the file may be damaged, cut short or of another format"
_LARGEST = 2**63 - 1


@dataclass(frozen=True)
class FileSource:
    """Files of one format, in the order of their names; ``separator`` None is the format's own.

    ``types`` says what the columns of csv files are; without it that is found out from their values.
    """

    paths: tuple[Path, ...]
    format: str
    separator: str | None = None
    encoding: str = "utf-8"
    missing: tuple[str, ...] = ()
    types: Mapping[str, pl.DataType] | None = None

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
            InputError: ``source-missing`` or ``source-unreadable``, ``usage`` for a separator or an
                encoding that no reader takes.
        """
        textfiles.check_dialect(separator, encoding)
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

    @property
    def label(self) -> str:
        """The source in a message: its file, or how many there are."""
        return self.paths[0].name if len(self.paths) == 1 else f"{len(self.paths)} {self.format} files"

    @property
    def text(self) -> textfiles.Dialect:
        """How its text files are written."""
        separator = self.separator or ("\t" if self.format == "tsv" else ",")
        return textfiles.Dialect(separator, self.encoding)


def _matches(place: str, folder: Path) -> list[Path]:
    if "\0" in place:
        raise InputError("source-missing", "a path has no NUL character", remedy="check the path")
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
    if not found[0].is_file():
        raise InputError(
            "source-unreadable",
            "it is a pipe or a device, and a source is read more than once",
            where=place,
            remedy="write it to a file first",
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
        f'the ending "{suffix}" tells no format' if suffix else "a name without an ending tells no format",
        where=path.name,
        remedy=f"say format: csv (or tsv, parquet, ndjson) under dataset.source; {_REMEDY_FORMATS}",
    )


def scan_files(source: FileSource) -> pl.LazyFrame:
    """A lazy frame over files, columns typed, with row numbers in :data:`sfumato.contracts.ROW`.

    The files are read through once, text formats to settle the types: a column is of integers only if
    every value reads as one and reads back the same, so codes with leading zeros stay text. In a text
    file of several columns a row without any value is a blank line and no person.

    Raises:
        InputError: ``source-unreadable``, ``source-encoding``, ``source-columns``, ``source-empty``,
            ``column-values``.
    """
    readers: Mapping[str, Callable[[FileSource], pl.LazyFrame]] = {
        "parquet": _scan_parquet,
        "ndjson": _scan_ndjson,
        "csv": _scan_csv,
        "tsv": _scan_csv,
    }
    try:
        frame = readers[source.format](source)
        return normalize(frame, missing=source.missing)
    except (pl.exceptions.PolarsError, pa.ArrowException, OSError, UnicodeError) as error:
        raise _unreadable(source, error) from None


def scan_table(table: pl.DataFrame) -> pl.LazyFrame:
    """The same over a table in memory."""
    check_names(table.columns, "the table given")
    return normalize(table.lazy().with_row_index(ROW))


def check_names(names: Sequence[str], where: str) -> None:
    """Refuse a table without columns, and names that cannot tell one column from another.

    Raises:
        InputError: ``source-empty`` or ``source-columns``.
    """
    if not names:
        raise InputError(
            "source-empty", "no columns", where=where, remedy="check the file and how it was written"
        )
    remedy = "give every column one name of its own"
    for number, name in enumerate(names, 1):
        if not name.strip():
            raise InputError("source-columns", f"column {number} has no name", where=where, remedy=remedy)
        if name in names[: number - 1]:
            raise InputError(
                "source-columns", f'the column name "{name}" occurs twice', where=where, remedy=remedy
            )
        if name == "*" or (name.startswith("^") and name.endswith("$")):
            raise InputError(
                "source-columns",
                f'the column name "{name}" reads as a pattern for columns',
                where=where,
                remedy="rename the column",
            )
        if name.startswith(RESERVED):
            raise InputError(
                "source-columns",
                f'the column name "{name}" is reserved',
                where=where,
                remedy=f"rename the column: names that begin with {RESERVED} are used inside",
            )


def normalize(frame: pl.LazyFrame, *, missing: Sequence[str] = ()) -> pl.LazyFrame:
    """The frame with every column of one of the six types; a duration is a number of seconds.

    Raises:
        InputError: ``column-values`` for nested columns.
    """
    schema = frame.collect_schema()
    wide = _beyond_int64(frame, schema)
    changes = []
    for name, dtype in schema.items():
        column = pl.col(name)
        if name == ROW:
            changes.append(column.cast(pl.UInt64))
        elif dtype.is_integer():
            changes.append(column.cast(pl.String if name in wide else pl.Int64))
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
        elif isinstance(dtype, pl.Duration):
            changes.append(column.dt.total_microseconds() / 1e6)
        elif dtype == pl.Time:
            changes.append(column.cast(pl.String))
        else:
            raise InputError(
                "column-values",
                "the column holds nested or binary values",
                where=f"column {name}",
                remedy="flatten it into columns of its own, or leave it out of the source",
            )
    return frame.with_columns(changes)


def _beyond_int64(frame: pl.LazyFrame, schema: Mapping[str, Any]) -> frozenset[str]:
    """Columns of integers that a 64-bit signed integer cannot hold: numbers of things, kept as text."""
    names = [name for name, dtype in schema.items() if dtype in (pl.UInt64, pl.Int128, pl.UInt128)]
    names = [name for name in names if name != ROW]
    if not names:
        return frozenset()
    ends = frame.select(
        pl.col(names).max().cast(pl.Int128).name.suffix(":max"),
        pl.col(names).min().cast(pl.Int128).name.suffix(":min"),
    )
    found = ends.collect(engine="streaming").row(0, named=True)
    return frozenset(
        name
        for name in names
        if (found[f"{name}:max"] or 0) > _LARGEST or (found[f"{name}:min"] or 0) < -_LARGEST - 1
    )


def _scan_csv(source: FileSource) -> pl.LazyFrame:
    names = _same_names(source, lambda path: textfiles.header(path, source.text))
    frame = pl.scan_csv(
        _readable(source, source.paths),
        separator=source.text.separator,
        infer_schema=False,
        null_values=["", *source.missing],
        row_index_name=ROW,
        # Polars leaves doubled quotes in names as they are.
        with_column_names=lambda _: names,
    )
    if source.types is not None:
        return frame.with_columns(readings(source.types))
    found = settle(frame, names)
    _check_cells(source, found)
    if found.blank_rows and len(names) > 1:
        frame = frame.filter(~pl.all_horizontal(pl.col(names).is_null()))
    return frame.with_columns(found.readings())


def _check_cells(source: FileSource, found: Settled) -> None:
    """Rows with too few cells. Polars fills them up, so they show only in the last column."""
    if not found.last_missing:
        return
    for path in source.paths:
        if (problem := textfiles.first_bad_row(path, source.text)) is not None:
            raise problem


def _readable(source: FileSource, paths: Sequence[Path]) -> Any:
    """What a reader takes: paths, or bytes where the encoding has to be changed first."""
    if source.encoding == "utf-8":
        return list(paths)
    return [textfiles.as_utf8(path, source.text) for path in paths]


def _scan_ndjson(source: FileSource) -> pl.LazyFrame:
    def scan(paths: Sequence[Path], **index: Any) -> pl.LazyFrame:
        return pl.scan_ndjson(_readable(source, paths), infer_schema_length=None, **index)

    for path in source.paths:
        if textfiles.is_blank(path, source.text):
            raise InputError("source-empty", "no rows", where=path.name, remedy="check how it was written")
    return _scan_alike(source, scan, ordered=False)


def _scan_parquet(source: FileSource) -> pl.LazyFrame:
    for path in source.paths:
        with pa.parquet.ParquetFile(path) as file:
            check_names(file.schema_arrow.names, path.name)
            # A damaged page is met here, by a reader that says so quietly.
            for _ in file.iter_batches():
                pass
    return _scan_alike(source, pl.scan_parquet, ordered=True)


def _scan_alike(source: FileSource, scan: Callable[..., pl.LazyFrame], *, ordered: bool) -> pl.LazyFrame:
    """One frame over files that carry their own types; integers and other numbers go together."""
    if len(source.paths) == 1:
        frame = scan(list(source.paths), row_index_name=ROW)
        check_names([name for name in frame.collect_schema() if name != ROW], source.label)
        return frame
    schemas = {path: scan([path]).collect_schema() for path in source.paths}
    names = _same_names(source, lambda path: schemas[path].names(), ordered=ordered)
    first = schemas[source.paths[0]]
    if all(schema == first for schema in schemas.values()):
        return scan(list(source.paths), row_index_name=ROW)
    for path, schema in schemas.items():
        for name in names:
            if not _together(schema[name], first[name]):
                raise InputError(
                    "source-columns",
                    f"the column is of another type than in {source.paths[0].name}",
                    where=f"{path.name}, column {name}",
                    remedy="write the files of one source with the same types",
                )
    frames = [scan([path]).select(names) for path in source.paths]
    return pl.concat(frames, how="vertical_relaxed").with_row_index(ROW)


def _together(one: pl.DataType, other: pl.DataType) -> bool:
    return one == other or pl.Null in (one, other) or (one.is_numeric() and other.is_numeric())


def _same_names(
    source: FileSource, names_of: Callable[[Path], Sequence[str]], *, ordered: bool = True
) -> list[str]:
    """The column names of every file of a source."""
    expected: list[str] = []
    for path in source.paths:
        names = list(names_of(path))
        check_names(names, path.name)
        if expected and (names != expected if ordered else set(names) != set(expected)):
            raise InputError(
                "source-columns",
                f"columns differ from those of {source.paths[0].name}",
                where=path.name,
                remedy="files of one source have the same columns in the same order",
            )
        expected = expected or names
    return expected


def _unreadable(source: FileSource, error: Exception) -> InputError:
    """A message that names file and line, found by reading once more, and quotes nothing."""
    finders = {"csv": textfiles.first_bad_row, "tsv": textfiles.first_bad_row}
    find = finders.get(source.format, textfiles.first_bad_document if source.format == "ndjson" else None)
    for path in source.paths:
        if find is not None and (problem := find(path, source.text)) is not None:
            return problem
    return InputError(
        "source-unreadable",
        f"cannot be read as {source.format} ({type(error).__name__})",
        where=source.label,
        remedy=_DAMAGED,
    )
