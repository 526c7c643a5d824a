"""The files that rows name: what is read, and what is refused without a word of anybody."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from sfumato.contracts import ROW
from sfumato.core.errors import InputError
from sfumato.pipeline.scans import Scans, read_scans
from sfumato.policy.images import Images
from sfumato.synth.images.png import png

SECRET = "zz-somebody"
ASKED = Images(column="file", folder="scans", label="shows")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "scans" / "more").mkdir(parents=True)
    for number in range(4):
        image = np.full((5, 4), number, dtype=np.uint8)
        (tmp_path / "scans" / f"{SECRET}-{number}.png").write_bytes(png(image))
    (tmp_path / "scans" / "more" / "a.png").write_bytes(png(np.full((5, 4), 9, dtype=np.uint8)))
    (tmp_path / "outside.png").write_bytes(png(np.zeros((5, 4), dtype=np.uint8)))
    return tmp_path


def read(folder: Path, files: list[Any], asked: Images = ASKED, **columns: list[Any]) -> Scans:
    table = pl.DataFrame({"file": files, "shows": [0] * len(files), **columns})
    subject = "person" if "person" in columns else None
    return read_scans(table.lazy().with_row_index(ROW), asked, folder, subject)


def names(*numbers: int) -> list[Any]:
    return [f"{SECRET}-{number}.png" for number in numbers]


def test_images_are_those_of_their_rows(folder: Path) -> None:
    scans = read(folder, [*names(2, 0), "more/a.png", f"./{SECRET}-1.png"])
    assert scans.pixels[:, 0, 0].tolist() == [2, 0, 9, 1]
    assert scans.shape == (5, 4)
    assert scans.of(np.array([3, 0]))[:, 0, 0].tolist() == [1, 2]
    assert read(folder, names(2, 0)).digest != read(folder, names(0, 2)).digest
    assert read(folder, names(1), ASKED.model_copy(update={"size": (5, 4)})).shape == (5, 4)


def test_a_changed_pixel_is_another_source(folder: Path) -> None:
    before = read(folder, names(0, 1)).digest
    assert read(folder, names(0, 1)).digest == before
    (folder / "scans" / f"{SECRET}-1.png").write_bytes(png(np.full((5, 4), 7, dtype=np.uint8)))
    assert read(folder, names(0, 1)).digest != before


def _link(folder: Path) -> str:
    (folder / "scans" / "link.png").symlink_to(folder / "outside.png")
    return "link.png"


def _linked_folder(folder: Path) -> str:
    (folder / "scans" / "elsewhere").symlink_to(folder / "scans" / "more")
    return "elsewhere/a.png"


def _pipe(folder: Path) -> str:
    os.mkfifo(folder / "scans" / "pipe.png")
    return "pipe.png"


def _hard(folder: Path) -> str:
    os.link(folder / "scans" / f"{SECRET}-0.png", folder / "scans" / "again.png")
    return "again.png"


def _of_another_size(folder: Path) -> str:
    (folder / "scans" / "wide.png").write_bytes(png(np.zeros((5, 6), dtype=np.uint8)))
    return "wide.png"


def _broken(folder: Path) -> str:
    content = bytearray((folder / "scans" / f"{SECRET}-1.png").read_bytes())
    content[-20] ^= 1
    (folder / "scans" / "broken.png").write_bytes(content)
    return "broken.png"


@pytest.mark.parametrize(
    ("made", "code", "said"),
    [
        (lambda _: f"{SECRET}-9.png", "source-missing", "no such file"),
        (lambda _: "../outside.png", "column-values", "leaves the folder"),
        (lambda _: f"more/../../{SECRET}.png", "column-values", "leaves the folder"),
        (lambda folder: str(folder / "outside.png"), "column-values", "leaves the folder"),
        (lambda _: "", "column-values", "leaves the folder, or is none|is none"),
        (lambda _: ".", "column-values", "is none"),
        (lambda _: f"{SECRET}\0.png", "column-values", "is none"),
        (lambda _: "more", "source-unreadable", "names no file|cannot be read"),
        (lambda _: f"{SECRET}-0.png/a.png", "source-unreadable", "no folder"),
        (lambda _: "x" * 5000, "source-unreadable", "cannot be read"),
        (_link, "source-unreadable", "link"),
        (_linked_folder, "source-unreadable", "link"),
        (_pipe, "source-unreadable", "names no file"),
        (_hard, "column-values", "the same file as row 1"),
        (lambda _: f"{SECRET}-0.png", "column-values", "the same file as row 1"),
        (lambda _: f"./{SECRET}-0.png", "column-values", "the same file as row 1"),
        (_of_another_size, "column-values", "5 x 6 pixels, and not of 5 x 4"),
        (_broken, "source-unreadable", "damaged"),
        (lambda _: None, "column-values", "no image"),
    ],
)
def test_a_row_that_names_no_image_is_refused_by_its_number(
    folder: Path, made: Callable[[Path], Any], code: str, said: str
) -> None:
    with pytest.raises(InputError, match=said) as caught:
        read(folder, [*names(0), made(folder)])
    assert caught.value.code == code
    assert caught.value.where == "row 2, column file"
    assert caught.value.remedy
    assert SECRET not in str(caught.value)


def test_labels_subjects_and_columns_that_are_missing(folder: Path) -> None:
    with pytest.raises(InputError, match="no label") as caught:
        read(folder, names(0, 1, 2), shows=[1, None, None])
    assert caught.value.where == "row 2, column shows"
    assert "1 more" in caught.value.what
    with pytest.raises(InputError, match="nobody whose it is") as caught:
        read(folder, names(0, 1), person=[SECRET, None])
    assert caught.value.where == "row 2, column person"
    with pytest.raises(InputError, match="no names of files"):
        read(folder, [1, 2])
    with pytest.raises(InputError, match="not a column"):
        read(folder, names(0), ASKED.model_copy(update={"label": "sows"}))
    with pytest.raises(InputError, match="no row names"):
        read_scans(
            pl.DataFrame(schema={"file": pl.String, "shows": pl.Int64}).lazy().with_row_index(ROW),
            ASKED,
            folder,
            None,
        )


def test_a_folder_that_is_none_and_another_size_than_declared(folder: Path) -> None:
    with pytest.raises(InputError, match="folder of the images cannot be opened") as caught:
        read(folder, names(0), ASKED.model_copy(update={"folder": "nowhere"}))
    assert caught.value.code == "source-missing"
    with pytest.raises(InputError, match="and not of 8 x 8"):
        read(folder, names(0), ASKED.model_copy(update={"size": (8, 8)}))
    # Where the policy itself names a link, it says so.
    (folder / "linked").symlink_to(folder / "scans")
    assert read(folder, names(0), ASKED.model_copy(update={"folder": "linked"})).shape == (5, 4)


def test_no_file_stays_open(folder: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(3):
        read(folder, [*names(0), "more/a.png"])
        with pytest.raises(InputError):
            read(folder, ["more/b.png"])
    assert len(list(Path("/proc/self/fd").iterdir())) == before
