"""PNG files of others (ISO/IEC 15948) as grey levels: pixels are taken, and not a word beside them.

Whatever a file says of itself is believed only after its size was: a few bytes can claim to be a gigabyte.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sfumato.synth.images.fitting import LEAST_SIDE, MOST_SIDE
from sfumato.synth.images.png import SIGNATURE

#: No file of an image this small is larger, also with long texts beside the pixels.
MOST_BYTES = 4 * 2**20
#: How many numbers a pixel has, by the kind of colour: grey, colours, palette, and the first two with alpha.
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
#: How light red, green and blue are (ITU-R BT.601).
_LUMA = np.array([0.299, 0.587, 0.114])
_SAVE = "save it as an 8-bit PNG without transparency and interlacing"


class PngError(Exception):
    """Why a file is no image that can be read, and what to do about it; nothing in it is of the image."""

    def __init__(self, what: str, remedy: str = _SAVE) -> None:
        self.what, self.remedy = what, remedy
        super().__init__(what)


@dataclass(frozen=True)
class _Header:
    width: int
    height: int
    depth: int
    colour: int

    @property
    def channels(self) -> int:
        return _CHANNELS[self.colour]

    @property
    def stride(self) -> int:
        """Bytes of a line."""
        return (self.width * self.channels * self.depth + 7) // 8


def read_png(content: bytes) -> NDArray[np.uint8]:
    """The grey levels of a PNG file, shape (height, width), 0 black to 255 white.

    Colours become grey by how light they are (ITU-R BT.601), one bit to sixteen become eight.

    Raises:
        PngError: not a PNG, damaged, of a size that no generator takes, interlaced, or partly transparent.

    >>> from sfumato.synth.images.png import png
    >>> read_png(png(np.eye(4, dtype=np.uint8) * 9)).diagonal().tolist()
    [9, 9, 9, 9]
    """
    if len(content) > MOST_BYTES:
        raise PngError("the file is larger than any such image")
    if not content.startswith(SIGNATURE):
        raise PngError("the file is no PNG")
    chunks = list(_chunks(content[len(SIGNATURE) :]))
    header = _header(chunks[0])
    palette = next((data for kind, data in chunks if kind == b"PLTE"), b"")
    lines = _lines(header, b"".join(data for kind, data in chunks if kind == b"IDAT"))
    return _grey(header, _samples(header, lines), palette)


def _chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Each chunk's kind and data, up to the last."""
    at, kind = 0, b""
    while kind != b"IEND":
        if at + 12 > len(content):
            raise PngError("the file breaks off", "copy it again from where it came from")
        (length,) = struct.unpack_from(">I", content, at)
        end = at + 8 + length
        kind, data = content[at + 4 : at + 8], content[at + 8 : end]
        if len(content) < end + 4 or struct.unpack_from(">I", content, end)[0] != zlib.crc32(kind + data):
            raise PngError("the file is damaged", "copy it again from where it came from")
        yield kind, data
        at = end + 4


def _header(chunk: tuple[bytes, bytes]) -> _Header:
    kind, data = chunk
    if kind != b"IHDR" or len(data) != 13:
        raise PngError("the file is no PNG")
    width, height, depth, colour, packing, filtering, interlaced = struct.unpack(">IIBBBBB", data)
    if depth not in _DEPTHS.get(colour, ()) or packing or filtering:
        raise PngError("the file is of a kind of PNG that there is not")
    if not (LEAST_SIDE <= width <= MOST_SIDE and LEAST_SIDE <= height <= MOST_SIDE):
        raise PngError(
            f"the image is of {height} x {width} pixels",
            f"scale all images to one size with sides from {LEAST_SIDE} to {MOST_SIDE}",
        )
    if interlaced:
        raise PngError("the file is interlaced")
    return _Header(width, height, depth, colour)


def _lines(header: _Header, packed: bytes) -> NDArray[np.uint8]:
    """The bytes of each line, shape (height, stride), its filter undone."""
    from sfumato.synth.images.reading_kernels import unfilter

    size = header.height * (header.stride + 1)
    unpacking = zlib.decompressobj()
    try:
        # One more than there may be: what a line too many would begin with.
        plain = unpacking.decompress(packed, size + 1)
    except zlib.error:
        plain = b""
    if len(plain) != size:
        raise PngError("the pixels are damaged", "copy it again from where it came from")
    lines = np.frombuffer(plain, dtype=np.uint8).reshape(header.height, header.stride + 1).copy()
    if lines[:, 0].max() > 4:
        raise PngError("the pixels are damaged", "copy it again from where it came from")
    unfilter(lines, max(1, header.channels * header.depth // 8))
    return lines[:, 1:]


def _samples(header: _Header, lines: NDArray[np.uint8]) -> NDArray[np.int64]:
    """The numbers of each pixel as they are in the file, shape (height, width, channels)."""
    shape = (header.height, header.width, header.channels)
    if header.depth == 16:
        return np.ascontiguousarray(lines).view(">u2").astype(np.int64).reshape(shape)
    if header.depth == 8:
        return lines.astype(np.int64).reshape(shape)
    bits = np.unpackbits(lines, axis=1)[:, : header.width * header.depth]
    weights = 1 << np.arange(header.depth)[::-1]
    return np.asarray(bits.reshape(*shape, header.depth).astype(np.int64) @ weights)


def _grey(header: _Header, samples: NDArray[np.int64], palette: bytes) -> NDArray[np.uint8]:
    if header.colour == 3:
        colours = np.frombuffer(palette[: len(palette) // 3 * 3], dtype=np.uint8).reshape(-1, 3)
        if samples.max() >= len(colours):
            raise PngError("a colour is missing in its palette")
        return _levels(colours[samples[..., 0]] @ _LUMA)
    white = 2**header.depth - 1
    if header.colour in (4, 6) and (samples[..., -1] < white).any():
        raise PngError("the image is partly transparent")
    grey = samples[..., :3] @ _LUMA if header.colour in (2, 6) else samples[..., 0]
    return _levels(grey * (255 / white))


def _levels(shades: NDArray[np.float64]) -> NDArray[np.uint8]:
    return np.asarray(np.rint(shades), dtype=np.uint8)
