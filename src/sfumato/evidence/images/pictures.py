"""Labelled images as the evidence sees them: pixels from 0 to 1, and features that were fitted to nobody."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sfumato.core.errors import InputError
from sfumato.core.keyed import generator
from sfumato.dp.training.scattering import Scattering

#: Distances are compared in these.
SPACES = ("pixels", "features")
_LEAST_SIDE = 4


@dataclass(frozen=True, eq=False)
class Pictures:
    """Grey images with labels.

    Attributes:
        pixels: shape (n, height, width), 0 black to 1 white.
        labels: shape (n,), from 0 on.
        of: for each image the number of its subject, or its own, shape (n,).
    """

    pixels: NDArray[np.float32]
    labels: NDArray[np.int64]
    of: NDArray[np.int64]

    @classmethod
    def of_levels(
        cls,
        images: NDArray[Any],
        labels: NDArray[Any] | None = None,
        *,
        levels: tuple[float, float] = (0.0, 255.0),
        subject: Sequence[Any] | None = None,
    ) -> Pictures:
        """From images on any scale of grey.

        Raises:
            InputError: ``usage``: not of shape (n, height, width), or labels or subjects of other images.
        """
        pixels = np.asarray(images)
        kinds = np.zeros(len(pixels), dtype=np.int64) if labels is None else np.asarray(labels)
        units = np.arange(len(pixels)) if subject is None else np.asarray(subject)
        if pixels.ndim != 3 or kinds.shape != (len(pixels),) or units.shape != (len(pixels),):
            raise InputError("usage", "images must be of shape (n, height, width), with a label for each")
        low, high = levels
        scaled = (np.nan_to_num(pixels.astype(np.float32), nan=low) - low) / (high - low)
        _, of = np.unique(units, return_inverse=True)
        return cls(np.clip(scaled, 0.0, 1.0).astype(np.float32), kinds.astype(np.int64), of.astype(np.int64))

    def __len__(self) -> int:
        return len(self.labels)

    @cached_property
    def _spaces(self) -> dict[str, NDArray[np.float64]]:
        """Vectors of the images in each of :data:`SPACES`."""
        height, width = self.pixels.shape[1:]
        side = max(height, width, _LEAST_SIDE)
        square = np.pad(self.pixels, ((0, 0), (0, side - height), (0, side - width)))
        return {
            "pixels": self.pixels.reshape(len(self), -1).astype(np.float64),
            "features": Scattering.fitting(side).features(square).astype(np.float64),
        }

    def space(self, name: str) -> NDArray[np.float64]:
        """Vectors of the images, shape (n, width)."""
        return self._spaces[name]

    def some(self, most: int, key: bytes) -> Pictures:
        """At most so many of them, a keyed choice, in their order."""
        if len(self) <= most:
            return self
        return self.at(np.sort(generator(key).choice(len(self), most, replace=False)))

    def at(self, places: NDArray[np.int64]) -> Pictures:
        """Those at some places."""
        return Pictures(self.pixels[places], self.labels[places], self.of[places])
