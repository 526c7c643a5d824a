"""Scattering features: what a network sees of an image with filters that were never learned.

An image is filtered with waves of several sizes and directions, the moduli are blurred and sampled
(Mallat 2012; Bruna & Mallat 2013, arXiv 1203.1513). Nothing is fitted, so nothing is spent; a linear model
on top is the strongest private classifier for small sets of small images (Tramer & Boneh 2021,
arXiv 2011.11660). Each channel of each image is then standardized over its own places: that looks at one
image alone, and costs nothing either.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sfumato.core.errors import InputError

#: The wave of the smallest size: its frequency, and its width in pixels (Bruna & Mallat 2013, appendix).
_FREQUENCY, _WIDTH = 0.75 * np.pi, 0.8
#: Images at a time: bounds memory, and changes no result.
_BLOCK = 256
#: Below this spread a channel says nothing of its image.
_FLAT = 1e-3
_LEAST_SIDE = 4


@dataclass(frozen=True)
class Scattering:
    """Features of square images by a scattering transform of the first order.

    Args:
        side: of the images, in pixels.
        scales: sizes of waves, each twice the last; the features lie 2**scales pixels apart.
        angles: directions of waves in half a circle.

    Raises:
        InputError: ``usage``: images too small, or scales that leave no place.

    >>> Scattering.fitting(8)
    Scattering(side=8, scales=1, angles=4)
    >>> Scattering.fitting(8).width
    80
    """

    side: int
    scales: int
    angles: int = 4

    def __post_init__(self) -> None:
        if self.side < _LEAST_SIDE or self.scales < 1 or self.angles < 1 or 2**self.scales > self.side:
            raise InputError(
                "usage",
                f"no scattering with {self.scales} scales and {self.angles} angles of {self.side} pixels",
                remedy="square images of at least 4 pixels, and 2**scales no more than the side",
            )

    @classmethod
    def fitting(cls, side: int) -> Scattering:
        """The transform that leaves about four to seven places along each side."""
        return cls(side, max(1, int(np.log2(max(side, 1) / 4))))

    @property
    def width(self) -> int:
        """How many features an image has."""
        places = len(range(2**self.scales // 2, self.side, 2**self.scales))
        return (1 + self.scales * self.angles) * places**2

    def features(self, images: NDArray[Any]) -> NDArray[np.float32]:
        """The features of images, each vector of L2 norm 1 (or 0 for an image of one shade).

        Args:
            images: shape (n, side, side), grey levels from 0 to 1.

        Returns:
            Shape (n, width); a row depends on its own image alone.
        """
        if images.ndim != 3 or images.shape[1:] != (self.side, self.side):
            raise InputError("usage", f"the images must be {self.side} pixels square, shape (n, side, side)")
        blocks = [self._block(images[at : at + _BLOCK]) for at in range(0, len(images), _BLOCK)]
        return np.concatenate(blocks) if blocks else np.zeros((0, self.width), dtype=np.float32)

    def _block(self, images: NDArray[Any]) -> NDArray[np.float32]:
        margin = 2 ** (self.scales + 1)
        padded = np.pad(images.astype(np.float64), ((0, 0), (margin, margin), (margin, margin)))
        waves, blur = _filters(self.side + 2 * margin, self.scales, self.angles)
        kept = slice(margin + 2**self.scales // 2, margin + self.side, 2**self.scales)

        def blurred(spectrum: NDArray[Any]) -> NDArray[np.float64]:
            return np.asarray(np.fft.ifft2(spectrum * blur).real[:, kept, kept])

        spectrum = np.fft.fft2(padded)
        moduli = (np.abs(np.fft.ifft2(spectrum * wave)) for wave in waves)
        channels = [blurred(spectrum), *(blurred(np.fft.fft2(modulus)) for modulus in moduli)]
        made = _standard(np.stack(channels, axis=1)).reshape(len(images), -1)
        return unit(made).astype(np.float32)


def unit(vectors: NDArray[np.floating[Any]]) -> NDArray[Any]:
    """Rows of L2 norm 1; a row of zeros stays."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(norms > 0, norms, 1.0))


def _standard(pictures: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each picture (the last two axes) with mean 0 and spread 1, as far as it has any."""
    centred = pictures - pictures.mean(axis=(-2, -1), keepdims=True)
    spread = centred.std(axis=(-2, -1), keepdims=True)
    return np.asarray(centred / (spread + _FLAT))


@cache
def _filters(side: int, scales: int, angles: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Morlet waves and the Gaussian blur, in frequencies: (scales * angles, side, side), (side, side)."""
    turn = 2 * np.pi * np.fft.fftfreq(side)
    waves = np.zeros((scales * angles, side, side))
    blur = np.zeros((side, side))
    for down in (-1, 0, 1):
        for across in (-1, 0, 1):
            # Frequencies a full turn apart are one: the filters are summed over their aliases.
            w = np.stack(
                np.meshgrid(turn + 2 * np.pi * down, turn + 2 * np.pi * across, indexing="ij"), axis=-1
            )
            blur += np.exp(-((_WIDTH * 2 ** (scales - 1)) ** 2) * (w**2).sum(axis=-1) / 2)
            for j in range(scales):
                for k in range(angles):
                    waves[j * angles + k] += _morlet(w, j, np.pi * k / angles, angles)
    return waves, blur


def _morlet(w: NDArray[np.float64], scale: int, angle: float, angles: int) -> NDArray[np.float64]:
    """One Morlet wave at frequencies (..., 2): a shifted Gaussian less so much that no constant is left."""
    along = np.array([np.cos(angle), np.sin(angle)])
    aside = np.array([-np.sin(angle), np.cos(angle)])
    width = _WIDTH * 2**scale
    # The more directions, the longer the waves: each sees its own share of the half circle.
    length = width * angles / 4

    def bell(centre: float) -> NDArray[np.float64]:
        return np.asarray(np.exp(-((width * (w @ along - centre)) ** 2 + (length * (w @ aside)) ** 2) / 2))

    centre = _FREQUENCY / 2**scale
    return np.asarray(bell(centre) - np.exp(-((width * centre) ** 2) / 2) * bell(0.0))
