"""Grey images as PNG files (ISO/IEC 15948): pixels, and not a word beside them."""

from __future__ import annotations

import struct
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_GAP, _PAPER = 1, 96


def png(image: NDArray[Any]) -> bytes:
    """One image, shape (height, width), uint8, as an 8-bit grey PNG.

    >>> png(np.zeros((2, 3), dtype=np.uint8))[:8]
    b'\\x89PNG\\r\\n\\x1a\\n'
    """
    height, width = image.shape
    # Every line begins with its filter: none.
    lines = b"".join(b"\0" + line.tobytes() for line in np.ascontiguousarray(image, dtype=np.uint8))
    return b"".join(
        [
            SIGNATURE,
            _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)),
            _chunk(b"IDAT", zlib.compress(lines, 9)),
            _chunk(b"IEND", b""),
        ]
    )


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def grey(images: NDArray[Any], levels: tuple[float, float]) -> NDArray[np.uint8]:
    """Images on any scale as levels from 0 to 255."""
    low, high = levels
    share = np.clip((images.astype(np.float64) - low) / (high - low), 0.0, 1.0)
    return np.asarray(np.rint(share * 255), dtype=np.uint8)


def sheet(images: NDArray[np.uint8], columns: int, side: int = 512) -> bytes:
    """A contact sheet for people to look at: a PNG of all images (n, height, width), row by row.

    Args:
        columns: images in a row.
        side: images are enlarged, pixel by pixel, until the sheet is about so wide.

    >>> len(sheet(np.zeros((5, 8, 8), dtype=np.uint8), 3)) > 60
    True
    """
    count, height, width = images.shape
    rows = max(1, -(-count // columns))
    page = np.full((rows * (height + _GAP) + _GAP, columns * (width + _GAP) + _GAP), _PAPER, dtype=np.uint8)
    for place, image in enumerate(images):
        down, across = divmod(place, columns)
        top, left = _GAP + down * (height + _GAP), _GAP + across * (width + _GAP)
        page[top : top + height, left : left + width] = image
    times = max(1, side // page.shape[1])
    return png(page.repeat(times, axis=0).repeat(times, axis=1))
