"""Text files as they lie on disk: opening, headers, and the line at fault when a reader gives up."""

from __future__ import annotations

import csv
import io
import itertools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from sfumato.core.errors import InputError

ENCODINGS = ("utf-8", "latin-1", "cp1252")
#: A cell that is longer holds the rest of the file, for a quote was never closed.
_LARGEST_CELL = 100_000_000
SEPARATOR_WORDS = "a separator is one ASCII character, and no quote or line end"
_SEPARATORS = (",", ";", "\t", "|")
_UTF16 = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True)
class Dialect:
    """How a text file is written."""

    separator: str = ","
    encoding: str = "utf-8"

    @property
    def codec(self) -> str:
        """The encoding for Python, which takes a byte order mark for text unless told."""
        return "utf-8-sig" if self.encoding == "utf-8" else self.encoding


def check_dialect(separator: str | None, encoding: str) -> None:
    """Refuse what no reader takes.

    Raises:
        InputError: ``usage``.
    """
    if encoding not in ENCODINGS:
        raise InputError(
            "usage", f'the encoding "{encoding}" is not read', remedy=f"use one of {', '.join(ENCODINGS)}"
        )
    if separator is not None and not is_separator(separator):
        raise InputError("usage", SEPARATOR_WORDS, remedy="use a comma, a semicolon, a tab or a bar")


def is_separator(text: str) -> bool:
    """Whether readers take a text for a separator."""
    return len(text) == 1 and text.isascii() and text not in '"\r\n\0'


def as_utf8(path: Path, dialect: Dialect) -> io.BytesIO:
    """A whole text file in UTF-8, in memory.

    Raises:
        OSError, UnicodeError: it cannot be read.
    """
    with opened(path, dialect) as text:
        return io.BytesIO(text.read().encode())


def opened(path: Path, dialect: Dialect) -> io.TextIOWrapper:
    """A text file, plain or compressed by its ending, its line ends as they are."""
    return io.TextIOWrapper(pa.input_stream(str(path)), encoding=dialect.codec, newline="")


def is_blank(path: Path, dialect: Dialect) -> bool:
    """Whether a file has nothing but white space, as far as it can be read."""
    try:
        with opened(path, dialect) as text:
            return not any(line.strip() for line in text)
    except UnicodeError:
        return False


def header(path: Path, dialect: Dialect) -> list[str]:
    """The column names in the first row.

    Raises:
        InputError: ``source-encoding``, ``source-empty``, ``source-unreadable`` or ``source-columns``.
    """
    _refuse_utf16(path)
    try:
        with opened(path, dialect) as text:
            first = text.readline()
            names: list[str] = next(_rows(itertools.chain([first], text), dialect), [])
    except UnicodeDecodeError as error:
        # A decoder reads ahead, so the fault may lie further down.
        raise _first_undecodable(path, dialect) or error from None
    except csv.Error:
        raise _misquoted(path, 1) from None
    if not any(names):
        raise InputError(
            "source-empty", "no header line", where=path.name, remedy="the first line names the columns"
        )
    if first.endswith("\r"):
        raise InputError(
            "source-unreadable",
            "its lines end in carriage returns alone",
            where=path.name,
            remedy="write it with line feeds (LF or CRLF)",
        )
    others = [mark for mark in _SEPARATORS if mark != dialect.separator and mark in names[0]]
    if len(names) == 1 and others:
        raise InputError(
            "source-columns",
            f'the first line has one cell, and in it "{others[0]}" as if that parted columns'.replace(
                "\t", "tab"
            ),
            where=path.name,
            remedy="name the right separator, or leave that character out of the column's name",
        )
    return names


def first_bad_row(path: Path, dialect: Dialect) -> InputError | None:
    """The first line that is misquoted, not in the encoding, or of other cells than the header names."""
    if (problem := _first_undecodable(path, dialect)) is not None:
        return problem
    width = 0
    with opened(path, dialect) as text:
        rows = _rows(text, dialect)
        try:
            for row in rows:
                width = width or len(row)
                if row and len(row) != width:
                    return InputError(
                        "source-unreadable",
                        f"line {rows.line_num} has {len(row)} cells and the header has {width}",
                        where=path.name,
                        remedy="quote cells that hold the separator, or name the right separator; "
                        "a short last line means that the file was cut off",
                    )
        except csv.Error:
            return _misquoted(path, rows.line_num)
        except OSError:
            return None
    return None


def first_bad_document(path: Path, dialect: Dialect) -> InputError | None:
    """The first line that is not in the encoding, or not one JSON object."""
    if (problem := _first_undecodable(path, dialect)) is not None:
        return problem
    with opened(path, dialect) as text:
        try:
            for number, line in enumerate(text, 1):
                if line.strip() and not _is_object(line):
                    return InputError(
                        "source-unreadable",
                        f"line {number} is not one JSON object",
                        where=path.name,
                        remedy='write one object a line, such as {"age": 41}',
                    )
        except OSError:
            return None
    return None


def _rows(lines: Any, dialect: Dialect) -> Any:
    csv.field_size_limit(_LARGEST_CELL)
    return csv.reader(lines, delimiter=dialect.separator, strict=True)


def _is_object(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _first_undecodable(path: Path, dialect: Dialect) -> InputError | None:
    try:
        with io.BufferedReader(pa.input_stream(str(path))) as file:
            for number, line in enumerate(file, 1):
                try:
                    line.decode(dialect.codec)
                except UnicodeDecodeError:
                    return _not_in_encoding(path, number, dialect)
    except OSError:
        return None
    return None


def _refuse_utf16(path: Path) -> None:
    with pa.input_stream(str(path)) as file:
        start = file.read(4096)
    if start.startswith(_UTF16) or b"\0" in start.split(b"\n")[0]:
        raise InputError(
            "source-encoding",
            "line 1 looks like UTF-16 or binary data",
            where=path.name,
            remedy="convert the file to UTF-8",
        )


def _not_in_encoding(path: Path, line: int, dialect: Dialect) -> InputError:
    return InputError(
        "source-encoding",
        f"line {line} is not valid {dialect.encoding}",
        where=path.name,
        remedy="say encoding: latin-1 or cp1252 under dataset.source, or convert the file to UTF-8",
    )


def _misquoted(path: Path, line: int) -> InputError:
    return InputError(
        "source-unreadable",
        f"a quoted cell is never closed, or goes on after its quote; the fault shows at line {line}",
        where=path.name,
        remedy="double the quotes inside quoted cells, and close each",
    )
