"""PNG files of others: every kind that there is, every filter, and whatever is no image."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from sfumato.synth.images.png import png
from sfumato.synth.images.reading import MOST_BYTES, PngError, read_png

SIGNATURE = b"\x89PNG\r\n\x1a\n"
DRAW = np.random.default_rng(0)


def chunk(kind: bytes, data: bytes, crc: int | None = None) -> bytes:
    told = zlib.crc32(kind + data) if crc is None else crc
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", told)


def file(
    lines: bytes,
    width: int = 5,
    height: int = 4,
    depth: int = 8,
    colour: int = 0,
    interlaced: int = 0,
    between: Sequence[bytes] = (),
) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced)
    parts = [chunk(b"IHDR", header), *between, chunk(b"IDAT", zlib.compress(lines)), chunk(b"IEND", b"")]
    return SIGNATURE + b"".join(parts)


def unfiltered(rows: NDArray[np.uint8]) -> bytes:
    return b"".join(b"\0" + row.tobytes() for row in rows)


def filtered(rows: NDArray[np.uint8], step: int, kinds: Sequence[int]) -> bytes:
    """Lines filtered as the standard says, byte by byte."""
    height, width = rows.shape
    out = bytearray()
    for y in range(height):
        out.append(kinds[y])
        for x in range(width):
            a = int(rows[y, x - step]) if x >= step else 0
            b = int(rows[y - 1, x]) if y else 0
            c = int(rows[y - 1, x - step]) if y and x >= step else 0
            nearest = min((a, b, c), key=lambda one, p=a + b - c: abs(p - one))  # type: ignore[misc]
            guess = (0, a, b, (a + b) // 2, nearest)[kinds[y]]
            out.append((int(rows[y, x]) - guess) % 256)
    return bytes(out)


@pytest.mark.parametrize("shape", [(4, 4), (8, 5), (128, 128)])
def test_what_is_written_is_read(shape: tuple[int, int]) -> None:
    image = DRAW.integers(0, 256, shape).astype(np.uint8)
    assert (read_png(png(image)) == image).all()


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("kinds", [(0, 1, 2, 3, 4, 4, 3, 2), (1,) * 8, (2,) * 8, (3,) * 8, (4,) * 8])
def test_every_filter(channels: int, kinds: tuple[int, ...]) -> None:
    pixels = DRAW.integers(0, 256, (8, 6, channels)).astype(np.uint8)
    lines = filtered(pixels.reshape(8, -1), channels, kinds)
    read = read_png(file(lines, 6, 8, colour=0 if channels == 1 else 2))
    grey = pixels[..., 0] if channels == 1 else np.rint(pixels @ np.array([0.299, 0.587, 0.114]))
    assert (read == grey).all()


def test_few_bits_many_bits_and_palettes() -> None:
    bits = np.array([[1, 0, 1, 1, 0]] * 4)
    packed = np.packbits(bits, axis=1)
    assert (read_png(file(unfiltered(packed), depth=1)) == bits * 255).all()
    fours = np.array([[0x0F, 0x80, 0x10]] * 4, dtype=np.uint8)
    assert read_png(file(unfiltered(fours), depth=4))[0].tolist() == [0, 255, 136, 0, 17]
    sixteen = np.array([[255, 255, 0, 0, 128, 0, 1, 0, 0, 127]] * 4, dtype=np.uint8)
    assert read_png(file(unfiltered(sixteen), depth=16))[0].tolist() == [255, 0, 128, 1, 0]
    places = np.array([[0, 1, 2, 1, 0]] * 4, dtype=np.uint8)
    palette = chunk(b"PLTE", bytes([0, 0, 0, 255, 255, 255, 255, 0, 0]))
    assert read_png(file(unfiltered(places), colour=3, between=[palette]))[0].tolist() == [0, 255, 76, 255, 0]
    with pytest.raises(PngError, match="palette"):
        read_png(file(unfiltered(places), colour=3, between=[chunk(b"PLTE", bytes(3))]))


@pytest.mark.parametrize(("colour", "channels"), [(4, 2), (6, 4)])
def test_only_what_hides_nothing(colour: int, channels: int) -> None:
    pixels = DRAW.integers(0, 256, (4, 5, channels)).astype(np.uint8)
    pixels[..., -1] = 255
    assert read_png(file(unfiltered(pixels.reshape(4, -1)), colour=colour)).shape == (4, 5)
    pixels[2, 3, -1] = 254
    with pytest.raises(PngError, match="transparent"):
        read_png(file(unfiltered(pixels.reshape(4, -1)), colour=colour))


WHOLE = file(unfiltered(np.zeros((4, 5), dtype=np.uint8)))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "no PNG"),
        (b"\xff\xd8\xff\xe0 a JPEG", "no PNG"),
        (SIGNATURE, "breaks off"),
        (WHOLE[:-3], "breaks off"),
        (WHOLE[:40], "breaks off|damaged"),
        (WHOLE[:20] + b"\x09" + WHOLE[21:], "damaged"),
        (SIGNATURE + chunk(b"tEXt", b"hello") + WHOLE[8:], "no PNG"),
        (file(b"\0" * 24, colour=5), "kind of PNG"),
        (file(b"\0" * 24, depth=3), "kind of PNG"),
        (file(b"\0" * 24, interlaced=1), "interlaced"),
        (file(b"\0" * 24, width=3), "4 x 3 pixels"),
        (file(b"\0", width=2**31 - 1, height=2**31 - 1), "pixels"),
        (file(b"\0" * 23), "pixels are damaged"),
        (file(b"\0" * 25), "pixels are damaged"),
        (file(b"\5" + b"\0" * 23), "pixels are damaged"),
        (SIGNATURE + chunk(b"IHDR", b"short") + WHOLE[33:], "no PNG"),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * MOST_BYTES, "larger"),
        # A little file that unpacks to sixteen million bytes is not unpacked.
        (file(b"\0" * 2**24), "pixels are damaged"),
    ],
)
def test_what_is_no_image_is_refused_in_words(content: bytes, said: str) -> None:
    with pytest.raises(PngError, match=said) as caught:
        read_png(content)
    assert caught.value.remedy


def test_any_bytes_changed_are_an_image_or_an_error() -> None:
    whole = png(DRAW.integers(0, 256, (6, 7)).astype(np.uint8))
    for _ in range(300):
        changed = bytearray(whole)
        for at in DRAW.integers(8, len(whole), 3):
            changed[at] = DRAW.integers(0, 256)
        try:
            assert read_png(bytes(changed)).dtype == np.uint8
        except PngError:
            continue
