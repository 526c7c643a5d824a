"""The images that a source's rows name: each a file inside one folder, read once, and of the source's digest.

A table of paths is somebody's word. So a path may not leave the folder, no link is followed, and no file is
two rows' image: under differential privacy it would be two examples, of whom one is protected.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sfumato.contracts import ROW
from sfumato.core.errors import InputError, nearest
from sfumato.policy.images import Images

_FIRST = 1


@dataclass(frozen=True, eq=False)
class Scans:
    """Every row's image.

    Attributes:
        rows: the rows' numbers, in their order, shape (n,).
        pixels: grey levels, shape (n, height, width).
        digest: SHA-256 of all files' bytes, in that order.
    """

    rows: NDArray[np.int64]
    pixels: NDArray[np.uint8]
    digest: str

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        return self.pixels.shape[1], self.pixels.shape[2]

    def of(self, rows: NDArray[np.int64]) -> NDArray[np.uint8]:
        """The images of some rows, by their numbers."""
        return self.pixels[np.searchsorted(self.rows, rows)]


def read_scans(frame: pl.LazyFrame, asked: Images, folder: Path, subject: str | None) -> Scans:
    """Read the image of every row.

    Args:
        frame: the source's rows with their numbers.
        folder: what the policy's paths are relative to.
        subject: the column that says whose a row is.

    Raises:
        InputError: ``source-missing``, ``source-unreadable``, ``column-values``: a file that is not there or
            no such image, a row without one, without a label or without a subject; rows are counted from 1,
            and nothing else of them is said.
    """
    known = frame.collect_schema()
    wanted = (*asked.columns, *(() if subject is None else (subject,)))
    for name in wanted:
        if name not in known:
            raise InputError(
                "policy-mismatch",
                f'"{name}" is not a column of the source',
                where="synthesis.images" if name != subject else "dataset.subject",
                remedy=nearest(name, [column for column in known if column != ROW]),
            )
    if known[asked.column] != pl.String:
        raise InputError(
            "column-values",
            "these are no names of files",
            where=f"column {asked.column}",
            remedy="name under synthesis.images the column with the images' files, such as scan-1.png",
        )
    missing = [pl.col(name).is_null().alias(f"missing {i}") for i, name in enumerate(wanted)]
    table = frame.select(ROW, pl.col(asked.column), *missing).sort(ROW).collect(engine="streaming")
    if not table.height:
        raise InputError("source-empty", "no row names an image", where=f"column {asked.column}")
    for i, what in enumerate(("no image", "no label", "nobody whose it is")[: len(wanted)]):
        gone = table.filter(pl.col(f"missing {i}"))
        if gone.height:
            raise InputError(
                "column-values",
                f"this row, and {gone.height - 1} more, has {what}" if gone.height > 1 else f"it has {what}",
                where=_place(gone[ROW][0], wanted[i]),
                remedy="leave such rows out of the source, or complete them",
            )
    return _read(table[ROW].to_list(), table[asked.column].to_list(), asked, folder)


def _place(row: int, column: str) -> str:
    return f"row {row + _FIRST}, column {column}"


def _read(rows: list[int], names: list[str], asked: Images, folder: Path) -> Scans:
    digest, pixels = hashlib.sha256(), None
    with _Folder.open(folder / asked.folder) as opened:
        for number, (row, name) in enumerate(zip(rows, names, strict=True)):
            where = _place(row, asked.column)
            content = opened.content(name, row, where)
            image = _image(content, where)
            shape = asked.size or (image.shape if pixels is None else pixels.shape[1:])
            if image.shape != shape:
                raise InputError(
                    "column-values",
                    f"the image is of {_pixels(image.shape)}, and not of {_pixels(shape)}",
                    where=where,
                    remedy="scale all images to one size, by a rule that looks at one image alone",
                )
            if pixels is None:
                pixels = np.empty((len(rows), *shape), dtype=np.uint8)
            pixels[number] = image
            digest.update(hashlib.sha256(content).digest())
    assert pixels is not None
    return Scans(np.array(rows, dtype=np.int64), pixels, digest.hexdigest())


def _pixels(shape: tuple[int, ...]) -> str:
    return f"{shape[0]} x {shape[1]} pixels"


def _image(content: bytes, where: str) -> NDArray[np.uint8]:
    from sfumato.synth.images.reading import PngError, read_png

    try:
        return read_png(content)
    except PngError as error:
        raise InputError("source-unreadable", error.what, where=where, remedy=error.remedy) from None


@dataclass
class _Folder:
    """An open folder, and the files in it that were read, each with its row."""

    descriptor: int
    read: dict[tuple[int, int], int] = field(default_factory=dict)

    @classmethod
    @contextmanager
    def open(cls, folder: Path) -> Iterator[_Folder]:
        """A folder by its name; where it is a link, that is the policy's word."""
        try:
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            raise InputError(
                "source-missing",
                f"the folder of the images cannot be opened ({error.strerror})",
                where="synthesis.images.folder",
                remedy="name the folder that the files lie in, relative to the policy's",
            ) from None
        try:
            yield cls(descriptor)
        finally:
            os.close(descriptor)

    def content(self, name: str, row: int, where: str) -> bytes:
        """The bytes of a file by its path in the folder."""
        from sfumato.synth.images.reading import MOST_BYTES

        path = PurePosixPath(name)
        if path.is_absolute() or not path.parts or ".." in path.parts or "\0" in name:
            raise InputError(
                "column-values",
                "the path leaves the folder of the images, or is none",
                where=where,
                remedy="write paths that are relative to synthesis.images.folder, without ..",
            )
        try:
            with os.fdopen(self._opened(path.parts), "rb") as file:
                about = os.fstat(file.fileno())
                if not stat.S_ISREG(about.st_mode):
                    raise InputError(
                        "source-unreadable", "it names no file", where=where, remedy="name a PNG file"
                    )
                self._refuse_twice((about.st_dev, about.st_ino), row, where)
                return file.read(MOST_BYTES + 1)
        except OSError as error:
            raise _unopened(error, where) from None

    def _opened(self, parts: tuple[str, ...]) -> int:
        """The file's descriptor; no link on the way is followed."""
        at, own = self.descriptor, False
        try:
            for part in parts[:-1]:
                below = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=at)
                if own:
                    os.close(at)
                at, own = below, True
            # A pipe that nobody writes to would keep the reader waiting.
            return os.open(parts[-1], os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=at)
        finally:
            if own:
                os.close(at)

    def _refuse_twice(self, file: tuple[int, int], row: int, where: str) -> None:
        first = self.read.setdefault(file, row)
        if first != row:
            raise InputError(
                "column-values",
                f"it names the same file as row {first + _FIRST}",
                where=where,
                remedy="name each image once; dataset.subject says whose each is",
            )


def _unopened(error: OSError, where: str) -> InputError:
    """What is wrong with a file, without its name."""
    if error.errno in (errno.ELOOP, errno.ENOTDIR):
        return InputError(
            "source-unreadable",
            "a part of the path is a link, or no folder; links are not followed",
            where=where,
            remedy="put the files themselves into the folder",
        )
    if error.errno == errno.ENOENT:
        return InputError(
            "source-missing",
            "there is no such file",
            where=where,
            remedy="check synthesis.images.folder, and that every file was copied",
        )
    return InputError(
        "source-unreadable",
        f"the file cannot be read ({error.strerror})",
        where=where,
        remedy="check who may read it, and whether its name is too long",
    )
