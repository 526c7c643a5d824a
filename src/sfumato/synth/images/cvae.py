"""Images from a conditional variational autoencoder (Kingma & Welling 2014; Sohn, Lee & Yan 2015)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field

from sfumato.contracts import Params
from sfumato.core.keyed import derive
from sfumato.synth.images import steps
from sfumato.synth.images.method import Learned, Seen, Terms, Watch
from sfumato.synth.learning import seeded

if TYPE_CHECKING:
    from dp_accounting import DpEvent


class CvaeParams(steps.StepParams):
    """Parameters of the conditional VAE."""

    code: int = Field(default=8, ge=1, le=256)
    """Numbers that an image is made from, beside its class."""
    spread: float = Field(default=0.12, gt=0, le=1)
    """How far pixels (0 to 1) may lie from what the code says, standard deviation; more is blurrier."""


class Cvae:
    """A conditional VAE."""

    Params: ClassVar[type[Params]] = CvaeParams
    summary: ClassVar[str] = "a conditional variational autoencoder; smooth images"

    def __init__(self, params: CvaeParams) -> None:
        self._params = params

    def events(self, noise: float, size: int) -> Sequence[DpEvent]:
        """The shares of classes, and the steps."""
        return steps.events(self._params, noise, size)

    def network(self, shape: tuple[int, int], classes: int, private: bool) -> Any:
        """Encoder and decoder."""
        from sfumato.synth.images.networks import Autoencoder

        width = self._params.private_width if private else self._params.width
        return Autoencoder(shape, classes, self._params.code, width)

    def fit(self, seen: Seen, key: bytes, terms: Terms | None, progress: Watch | None) -> Learned:
        """Learn to tell images from codes, and codes from images."""
        code, pixels = self._params.code, math.prod(seen.shape)
        with seeded(derive(key, "weights")):
            module = self.network(seen.shape, seen.classes, terms is not None)

        def views(rows: Any, count: int, draw: Any) -> Any:
            many = steps.repeated(rows, count)
            many[..., -code:] = steps.normals((len(rows), count, code), rows, draw)
            return many

        def loss(outputs: Any) -> Any:
            made, flat, mean, spread = outputs.split([pixels, pixels, code, code], dim=1)
            missed = (made.sigmoid() - flat).square().sum(dim=1) / (2 * self._params.spread**2)
            told = (mean.square() + spread.exp() - 1 - spread).sum(dim=1) / 2
            # For each pixel, so that clipping and learning rates suit images of any size.
            return (missed + told) / pixels

        rows = steps.rows_of(seen, code, signed=False)
        return steps.taught(module, rows, loss, views, self._params, seen, key, terms, progress)

    def draw(self, module: Any, labels: Any, generator: Any) -> Any:
        """One image for each label: what the decoder says of a code from the prior."""
        import torch

        code = torch.randn((len(labels), self._params.code), generator=generator)
        return module.decoder(code, steps.one_hot(labels, module.decoder.classes)).sigmoid()
