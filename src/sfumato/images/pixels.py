"""The pixels of an image: nothing but pixels kept, and a look for writing in the picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

#: Below this there is no room for writing.
_LEAST_SIDE = 48
#: Heights of letters in pixels.
_LETTERS = (5, 64)
#: So many marks of one height in one line look like a word.
_WORD = 5
#: Writing is put where it hides nothing: this share of each side.
_BORDER = 0.25
#: How far beyond the middle of the grey levels writing stands out, as a share of their range.
_CONTRAST = 0.85
_MOST_MARKS = 5000
#: A frame beyond this is not decoded: the header may promise any size.
_MOST_PIXELS = 2**26

_COMMENTS_JPEG = {0xFE, *range(0xE1, 0xEE), 0xEF}
_ALONE = {0x01, 0xD8, *range(0xD0, 0xD8)}
_SCAN, _END = 0xDA, 0xD9
_COMMENT_J2K, _TILE_J2K = 0x64, 0x90


class PixelsError(ValueError):
    """Pixels that cannot be kept; says why, without a value."""


def trim(dataset: Any, *, compressed: bool) -> bool:
    """Cut what lies behind the pixels, and blank what a compressed stream says beside them.

    Returns:
        Whether there was something.

    Raises:
        PixelsError: no pixels, or fewer than the header says.
    """
    if "PixelData" not in dataset or not dataset.PixelData:
        raise PixelsError("no image in it")
    if compressed:
        cleaned, found = _blanked(bytes(dataset.PixelData))
        dataset.PixelData = cleaned
        return found
    expected = _expected_bytes(dataset)
    if len(dataset.PixelData) < expected:
        raise PixelsError("the image is cut short")
    padded = expected + expected % 2
    found = any(dataset.PixelData[expected:])
    dataset.PixelData = bytes(dataset.PixelData[:expected]).ljust(padded, b"\0")
    return found


def _expected_bytes(dataset: Any) -> int:
    from pydicom.pixels.utils import get_expected_length

    try:
        # A text that is no number is repeated by a product, and not multiplied.
        int(dataset.get("NumberOfFrames") or 1)
        return int(get_expected_length(dataset))
    except (AttributeError, TypeError, ValueError, KeyError):
        raise PixelsError("the header does not say how large the image is") from None


def _blanked(data: bytes) -> tuple[bytes, bool]:
    """Encapsulated fragments with comments and application segments set to zero, lengths unchanged.

    Raises:
        PixelsError: the fragments do not follow one another to the end.
    """
    stream, found = bytearray(data), False
    for start, length in _fragments(data):
        found |= _blank(stream, start, start + length)
    return bytes(stream), found


def _fragments(data: bytes) -> Iterator[tuple[int, int]]:
    at = 0
    while at + 8 <= len(data):
        tag, length = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        if tag == b"\xfe\xff\xdd\xe0":
            return
        if tag != b"\xfe\xff\x00\xe0" or at + 8 + length > len(data):
            break
        yield at + 8, length
        at += 8 + length
    if at != len(data):
        raise PixelsError("the image is cut short")


def _blank(stream: bytearray, start: int, end: int) -> bool:
    """Set the comments of one JPEG, JPEG-LS or JPEG 2000 stream to zero; True if any said something."""
    j2k = stream[start : start + 2] == b"\xff\x4f"
    if not j2k and stream[start : start + 2] != b"\xff\xd8":
        return False
    at, found = start + 2, False
    while at + 4 <= end and stream[at] == 0xFF:
        marker = stream[at + 1]
        if marker in _ALONE:
            at += 2
            continue
        if marker in (_SCAN, _END) or (j2k and marker == _TILE_J2K):
            break
        size = int.from_bytes(stream[at + 2 : at + 4], "big")
        if marker == _COMMENT_J2K if j2k else marker in _COMMENTS_JPEG:
            # A JPEG 2000 comment begins with two bytes that say how it is encoded.
            inside = slice(at + (6 if j2k else 4), min(at + 2 + size, end))
            found |= any(stream[inside])
            stream[inside] = bytes(len(stream[inside]))
        at += 2 + max(size, 2)
    return found


def first_frame(dataset: Any) -> NDArray[np.float64] | None:
    """The first frame as grey levels, shape (rows, columns); None where no decoder here reads it."""
    from pydicom.pixels import pixel_array

    try:
        if int(dataset.Rows) * int(dataset.Columns) > _MOST_PIXELS:
            return None
        pixels = np.asarray(pixel_array(dataset, index=0), dtype=np.float64)
    except Exception:  # noqa: BLE001  each decoder fails in a way of its own
        return None
    if pixels.ndim == 3:
        pixels = pixels.mean(axis=-1)
    return pixels if pixels.ndim == 2 else None


def looks_written(image: NDArray[np.float64]) -> bool:
    """Whether marks near the border stand in a line like letters do: bright on dark, or dark on bright.

    A simple look with a simple aim, to send an image to somebody's eyes. It does not read, it misses
    writing that is faint, tilted, large, joined or in the middle, and it takes scales for writing.

    Args:
        image: shape (rows, columns), grey levels on any scale.
    """
    if min(image.shape) < _LEAST_SIDE:
        return False
    low, high = np.min(image), np.max(image)
    if not high > low:
        return False
    level = (image - low) / (high - low)
    return _has_words(level >= _CONTRAST) or _has_words(level <= 1.0 - _CONTRAST)


def _has_words(marks: NDArray[np.bool_]) -> bool:
    from scipy import ndimage

    labels, count = ndimage.label(marks, structure=np.ones((3, 3)))
    if not _WORD <= count <= _MOST_MARKS:
        return False
    boxes = np.array(
        [
            (rows.start, rows.stop, columns.start, columns.stop)
            for rows, columns in ndimage.find_objects(labels)
        ]
    )
    filled = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    height, width = boxes[:, 1] - boxes[:, 0], boxes[:, 3] - boxes[:, 2]
    middle = (boxes[:, 0] + boxes[:, 1]) / 2
    across = (boxes[:, 2] + boxes[:, 3]) / 2
    rows, columns = marks.shape
    outside = (np.minimum(middle, rows - middle) < _BORDER * rows) | (
        np.minimum(across, columns - across) < _BORDER * columns
    )
    letters = (
        outside
        & (height >= _LETTERS[0])
        & (height <= min(_LETTERS[1], rows // 4))
        & (width <= 2 * height)
        & (filled > 0.12 * height * width)
    )
    return _in_line(middle[letters], across[letters], height[letters])


def _in_line(middle: NDArray[np.float64], across: NDArray[np.float64], height: NDArray[np.int64]) -> bool:
    """Whether enough marks of like height follow one another on one line."""
    for y, tall in zip(middle, height, strict=True):
        same = (np.abs(middle - y) <= 0.35 * tall) & (np.abs(height - tall) <= 0.35 * tall)
        if same.sum() < _WORD:
            continue
        steps = np.diff(np.sort(across[same])) <= 2.5 * tall
        run = 1
        for close in steps:
            run = run + 1 if close else 1
            if run >= _WORD:
                return True
    return False
