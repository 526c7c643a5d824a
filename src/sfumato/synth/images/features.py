"""What a kernel sees of an image: features that were fitted to nobody, and through which gradients flow.

Three views of an image, each a vector of norm at most one, weighted so that all together are: its coarse
pixels less their mean; random Fourier features of them (Rahimi & Recht 2007), whose mean over images tells
distributions apart as a Gaussian kernel does; and the moduli of Gabor waves, averaged over places, which is
scattering of the first order (Bruna & Mallat 2013, arXiv 1203.1513).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

#: Coarse pixels are at most so many along a side.
_COARSE = 14
_ANGLES = 4
#: Squares of the weights of pixels, waves and random features: they add up to one.
_PIXELS, _WAVES, _RANDOM = 0.3, 0.3, 0.4
#: Below such a norm a view says little of its image.
_FLAT = 0.1
_FLAT_WAVE = 1e-2


class Features:
    """Features of images of one shape; the same for everybody.

    Args:
        shape: height and width.
        random: how many random frequencies.
        bandwidth: of the Gaussian kernel, root mean square over pixels; every other frequency has half of it.
    """

    def __init__(self, shape: tuple[int, int], random: int, bandwidth: float) -> None:
        least = min(shape)
        self._coarse = -(-max(shape) // _COARSE)
        scales = max(1, int(math.log2(max(least, 1) / 4)))
        self._pool = 2**scales
        self._banks = [_waves(scale) for scale in range(scales)]
        coarse = self._pixels(torch.zeros((1, *shape), dtype=torch.float64)).shape[1]
        # A seed of the method, known to everybody; it is no secret of a fit.
        generator = torch.Generator().manual_seed(1203_1513)
        drawn = torch.randn((coarse, random), generator=generator, dtype=torch.float64)
        self._frequencies = drawn / (bandwidth * math.sqrt(coarse))
        # Every other one is twice as fine: images may fill the range of grey or a part of it.
        self._frequencies[:, ::2] *= 2

    def __call__(self, images: Any) -> Any:
        """Shape (n, width) from a tensor of shape (n, height, width), 0 to 1; no row longer than one."""
        pixels = self._pixels(images)
        turned = pixels @ self._frequencies.to(images)
        count = self._frequencies.shape[1]
        parts = [
            _PIXELS**0.5 * _normed(pixels - pixels.mean(dim=1, keepdim=True), _FLAT),
            _WAVES**0.5 * self._moduli(images),
            (_RANDOM / count) ** 0.5 * turned.cos(),
            (_RANDOM / count) ** 0.5 * turned.sin(),
        ]
        return torch.cat(parts, dim=1)

    def of(self, images: NDArray[np.float32]) -> NDArray[np.float64]:
        """The same for an array, in 64 bits, and certainly no longer than one."""
        with torch.no_grad():
            found = self(torch.from_numpy(images.astype(np.float64))).numpy()
        return np.asarray(found / np.maximum(1.0, np.linalg.norm(found, axis=1, keepdims=True)))

    def _pixels(self, images: Any) -> Any:
        return _pooled(images[:, None], self._coarse).flatten(1)

    def _moduli(self, images: Any) -> Any:
        channels = [_pooled(images[:, None], self._pool)]
        for scale, bank in enumerate(self._banks):
            stride = 2**scale
            swung = functional.conv2d(
                images[:, None], bank.to(images), stride=stride, padding=bank.shape[-1] // 2
            )
            modulus = (swung[:, 0::2].square() + swung[:, 1::2].square() + 1e-6).sqrt()
            channels.append(_pooled(modulus, self._pool // stride))
        # Strides and pools round up alike, so that all channels have as many places.
        stacked = torch.cat(channels, dim=1)
        centred = stacked - stacked.mean(dim=(2, 3), keepdim=True)
        each = _normed(centred.flatten(2).flatten(0, 1), _FLAT_WAVE)
        return each.reshape(len(images), -1) / math.sqrt(stacked.shape[1])


def _pooled(images: Any, size: int) -> Any:
    return images if size == 1 else functional.avg_pool2d(images, size, ceil_mode=True)


def _normed(vectors: Any, flat: float) -> Any:
    """Rows shorter than one, smoothly: a row of zeros has a gradient too."""
    return vectors / (vectors.square().sum(dim=1, keepdim=True) + flat**2).sqrt()


def _waves(scale: int) -> Any:
    """Morlet waves of one size in four directions, real and imaginary parts in turn, shape (8, 1, k, k)."""
    width = 0.8 * 2**scale
    places = np.arange(2 * math.ceil(2.5 * width) + 1) - math.ceil(2.5 * width)
    down, across = np.meshgrid(places, places, indexing="ij")
    bell = np.exp(-(down**2 + across**2) / (2 * width**2))
    filters = []
    for angle in np.pi * np.arange(_ANGLES) / _ANGLES:
        swing = np.exp(0.75j * np.pi / 2**scale * (across * np.cos(angle) + down * np.sin(angle)))
        wave = bell * (swing - (bell * swing).sum() / bell.sum())
        wave /= np.abs(wave).sum()
        filters += [wave.real, wave.imag]
    return torch.from_numpy(np.stack(filters))[:, None]
