"""The networks: small, convolutional, with GroupNorm, so that no image acts on another of its batch."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn
from torch.nn import functional


def groups(channels: int) -> int:
    """How many groups a GroupNorm of so many channels has: of four channels or more."""
    return math.gcd(8, max(1, channels // 4))


def _normed(channels: int) -> Any:
    return nn.GroupNorm(groups(channels), channels)


class Decoder(nn.Module):  # type: ignore[misc]  # torch has no types here
    """From a code and a class to an image, before the sigmoid.

    Args:
        shape: height and width; made on a grid of multiples of four, and cut.
        classes: how many.
        code: numbers in a code.
        width: channels of the finest layer but one.
    """

    def __init__(self, shape: tuple[int, int], classes: int, code: int, width: int) -> None:
        super().__init__()
        self.shape, self.code, self.classes = shape, code, classes
        self._coarse = (2 * width, -(-shape[0] // 4), -(-shape[1] // 4))
        self.first = nn.Linear(code + classes, math.prod(self._coarse))
        self.norms = nn.ModuleList([_normed(2 * width), _normed(width), _normed(max(4, width // 2))])
        self.layers = nn.ModuleList(
            [
                nn.Conv2d(2 * width, width, 3, padding=1),
                nn.Conv2d(width, max(4, width // 2), 3, padding=1),
                nn.Conv2d(max(4, width // 2), 1, 3, padding=1),
            ]
        )

    def forward(self, code: Any, told: Any) -> Any:
        """Shape (n, height, width) from codes (n, code) and classes one-hot (n, classes)."""
        at = self.first(torch.cat([code, told], dim=1)).reshape(-1, *self._coarse)
        for place, (norm, layer) in enumerate(zip(self.norms, self.layers, strict=True)):
            at = functional.silu(norm(at))
            if place < 2:
                at = functional.interpolate(at, scale_factor=2)
            at = layer(at)
        return at[:, 0, : self.shape[0], : self.shape[1]]


class Encoder(nn.Module):  # type: ignore[misc]
    """From an image and its class to mean and logarithm of variance of a code."""

    def __init__(self, shape: tuple[int, int], classes: int, code: int, width: int) -> None:
        super().__init__()
        self._height, self._width = -(-shape[0] // 4) * 4, -(-shape[1] // 4) * 4
        self.layers = nn.ModuleList(
            [nn.Conv2d(1, width, 3, stride=2, padding=1), nn.Conv2d(width, 2 * width, 3, stride=2, padding=1)]
        )
        self.norms = nn.ModuleList([_normed(width), _normed(2 * width)])
        self.last = nn.Linear(2 * width * (self._height // 4) * (self._width // 4) + classes, 2 * code)

    def forward(self, images: Any, told: Any) -> Any:
        """Shape (n, 2 x code) from images (n, height, width), 0 to 1."""
        height, width = images.shape[1:]
        at = functional.pad(images[:, None] - 0.5, (0, self._width - width, 0, self._height - height))
        for layer, norm in zip(self.layers, self.norms, strict=True):
            at = functional.silu(norm(layer(at)))
        return self.last(torch.cat([at.flatten(1), told], dim=1))


class Autoencoder(nn.Module):  # type: ignore[misc]
    """A conditional VAE over flat rows: image, class one-hot, and the noise of its code.

    The noise comes with the row, so that whoever calls decides where it is from.
    """

    def __init__(self, shape: tuple[int, int], classes: int, code: int, width: int) -> None:
        super().__init__()
        self._split = [math.prod(shape), classes, code]
        self.encoder = Encoder(shape, classes, code, width)
        self.decoder = Decoder(shape, classes, code, width)

    def forward(self, rows: Any) -> Any:
        """For each row the image's logits, the image, mean and logarithm of variance of its code."""
        flat, told, noise = rows.split(self._split, dim=1)
        mean, spread = self.encoder(flat.reshape(-1, *self.decoder.shape), told).chunk(2, dim=1)
        spread = spread.clamp(-8.0, 4.0)
        made = self.decoder(mean + noise * (spread / 2).exp(), told).flatten(1)
        return torch.cat([made, flat, mean, spread], dim=1)


class _Block(nn.Module):  # type: ignore[misc]
    """Two convolutions around what is told (time and class), and a way past them."""

    def __init__(self, before: int, after: int, told: int) -> None:
        super().__init__()
        self.first, self.second = _normed(before), _normed(after)
        self.enter = nn.Conv2d(before, after, 3, padding=1)
        self.told = nn.Linear(told, after)
        self.leave = nn.Conv2d(after, after, 3, padding=1)
        self.past = nn.Conv2d(before, after, 1) if before != after else nn.Identity()

    def forward(self, at: Any, told: Any) -> Any:
        inner = self.enter(functional.silu(self.first(at))) + self.told(told)[:, :, None, None]
        return self.past(at) + self.leave(functional.silu(self.second(inner)))


class Denoiser(nn.Module):  # type: ignore[misc]
    """A small UNet (Ronneberger et al. 2015; Ho et al. 2020) of two resolutions, told time and class.

    Args:
        shape: height and width; images above 16 pixels are worked on in cells of 2, above 32 of 4 pixels.
        width: channels of the fine resolution; the coarse one has twice as many.
    """

    _WAVES = 8

    def __init__(self, shape: tuple[int, int], classes: int, width: int) -> None:
        super().__init__()
        self.shape = shape
        self._cell = next(cell for cell in (1, 2, 4, 8) if max(shape) <= 16 * cell)
        step = 2 * self._cell
        self._padding = (0, -shape[1] % step, 0, -shape[0] % step)
        told = 2 * width
        self.tell = nn.Linear(2 * self._WAVES + classes, told)
        self.enter = nn.Conv2d(self._cell**2, width, 3, padding=1)
        self.fine = _Block(width, width, told)
        self.down = nn.Conv2d(width, 2 * width, 3, stride=2, padding=1)
        self.coarse = nn.ModuleList([_Block(2 * width, 2 * width, told) for _ in range(2)])
        self.up = _Block(3 * width, width, told)
        self.norm = _normed(width)
        self.leave = nn.Conv2d(width, self._cell**2, 3, padding=1)

    def forward(self, images: Any, time: Any, told: Any) -> Any:
        """The velocity of noised images (n, height, width) at times (n,), 0 to 1."""
        turns = time[:, None] * math.pi * 2.0 ** torch.arange(self._WAVES, device=time.device) / 2
        said = functional.silu(self.tell(torch.cat([turns.sin(), turns.cos(), told], dim=1)))
        at = functional.pixel_unshuffle(functional.pad(images[:, None], self._padding), self._cell)
        fine = self.fine(self.enter(at), said)
        coarse = self.down(fine)
        for block in self.coarse:
            coarse = block(coarse, said)
        raised = functional.interpolate(coarse, scale_factor=2)
        at = self.up(torch.cat([fine, raised], dim=1), said)
        at = functional.pixel_shuffle(self.leave(functional.silu(self.norm(at))), self._cell)
        return at[:, 0, : self.shape[0], : self.shape[1]]


class Diffused(nn.Module):  # type: ignore[misc]
    """A denoiser over flat rows: image (-1 to 1), class one-hot, noise, time.

    An image x with noise e is cos(u) x + sin(u) e, u a quarter turn times the time; what is foretold is the
    velocity cos(u) e - sin(u) x (Salimans & Ho 2022, arXiv 2202.00512).
    """

    def __init__(self, shape: tuple[int, int], classes: int, width: int) -> None:
        super().__init__()
        pixels = math.prod(shape)
        self._split = [pixels, classes, pixels, 1]
        self.classes = classes
        self.denoiser = Denoiser(shape, classes, width)

    def forward(self, rows: Any) -> Any:
        """For each row the velocity foretold and the true one."""
        flat, told, noise, time = rows.split(self._split, dim=1)
        angle = time * (math.pi / 2)
        noised = angle.cos() * flat + angle.sin() * noise
        found = self.denoiser(noised.reshape(-1, *self.denoiser.shape), time[:, 0], told)
        return torch.cat([found.flatten(1), angle.cos() * noise - angle.sin() * flat], dim=1)
