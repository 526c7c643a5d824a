"""Gaussian noise on a sum of clipped gradients.

Floating-point numbers can give noise away: which numbers can come out depends on what the noise is added to
(Mironov 2012; Holohan & Braghin 2021, arXiv 2107.10138). So the sum is rounded to a grid first, the noise
too, and both are added as integers. That equals the real Gaussian mechanism on a rounded sum with its
output rounded afterwards, but for the 2**-20 or so by which the probability of a cell may be off.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

from sfumato.dp.training.randomness import Randomness

#: Gradients are clipped this share below the bound: their norms are computed with rounding errors.
SHRINK = 1e-5

_FINE = 20


class Noise(Protocol):
    """Adds the noise of one step; ``inner`` is the bound to clip to, a trace below the one promised."""

    inner: float

    def add(self, sums: Sequence[Any], step: int) -> list[Any]: ...


class GridNoise:
    """Noise from a keystream, added in integers.

    Args:
        std: the standard deviation, in the unit of the gradients.
        clip: the bound of one example's gradient, L2.
        parameters: how many numbers a gradient has.
        randomness: of this run.
    """

    def __init__(self, std: float, clip: float, parameters: int, randomness: Randomness) -> None:
        # Rounding moves a sum by half a cell in each coordinate, two sums apart by a cell: the root of the
        # number of parameters, times the cell, is what it adds to the sensitivity. It is clipped off.
        self.cell = 2.0 ** (math.floor(math.log2(min(std, clip) / math.sqrt(parameters))) - _FINE)
        self.inner = clip * (1 - SHRINK) - self.cell * math.sqrt(parameters)
        self._std, self._randomness = std, randomness

    def add(self, sums: Sequence[Any], step: int) -> list[Any]:
        """The sums (tensors of any shape and device) with noise, 64-bit, where they were."""
        import torch

        stream = self._randomness.stream("noise", step)
        noisy = []
        for one in sums:
            exact = one.detach().double().cpu().numpy()
            cells = np.rint(exact / self.cell).astype(np.int64)
            cells += (
                np.rint(stream.normals(exact.size) * (self._std / self.cell))
                .astype(np.int64)
                .reshape(exact.shape)
            )
            noisy.append(torch.from_numpy(cells * self.cell).to(one.device))
        return noisy


class TorchNoise:
    """Noise from PyTorch's own generator, on the device of the gradients: fast, and not cryptographic."""

    def __init__(self, std: float, clip: float, randomness: Randomness) -> None:
        self.inner = clip * (1 - SHRINK)
        self._std, self._randomness = std, randomness

    def add(self, sums: Sequence[Any], step: int) -> list[Any]:
        """The sums with noise, 64-bit, where they were."""
        import torch

        seed = int(self._randomness.stream("noise", step).words(1)[0] >> np.uint64(1))
        generators = {one.device: torch.Generator(one.device).manual_seed(seed) for one in sums}
        return [
            one.double()
            + self._std * torch.randn(one.shape, generator=generators[one.device], device=one.device).double()
            for one in sums
        ]
