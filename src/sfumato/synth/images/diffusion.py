"""Images from a small diffusion model that is told the class (Ho, Jain & Abbeel 2020, arXiv 2006.11239)."""

from __future__ import annotations

import itertools
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

#: Times stay this far from their ends, where there is nothing to foretell.
_EDGE = 0.01


class DiffusionParams(steps.StepParams):
    """Parameters of the diffusion model."""

    sampling: int = Field(default=25, ge=1, le=1000)
    """Steps of denoising in which an image is made (DDIM: Song, Meng & Ermon 2021, arXiv 2010.02502)."""
    updates: int = Field(default=1200, ge=1, le=1_000_000)
    """About the most steps without differential privacy, of 64 images each."""
    width: int = Field(default=16, ge=4, le=512)
    """Channels of the network without differential privacy; 32 or more where there is a GPU."""
    private_width: int = Field(default=8, ge=4, le=512)
    """Channels of the network under differential privacy."""


class Diffusion:
    """A conditional diffusion model."""

    Params: ClassVar[type[Params]] = DiffusionParams
    summary: ClassVar[str] = "a small diffusion model told the class; sharp images, slow to train"

    def __init__(self, params: DiffusionParams) -> None:
        self._params = params

    def events(self, noise: float, size: int) -> Sequence[DpEvent]:
        """The shares of classes, and the steps."""
        return steps.events(self._params, noise, size)

    def network(self, shape: tuple[int, int], classes: int, private: bool) -> Any:
        """The denoiser."""
        from sfumato.synth.images.networks import Diffused

        return Diffused(shape, classes, self._params.private_width if private else self._params.width)

    def fit(self, seen: Seen, key: bytes, terms: Terms | None, progress: Watch | None) -> Learned:
        """Learn to take noise off images."""
        import torch

        pixels = math.prod(seen.shape)
        with seeded(derive(key, "weights")):
            module = self.network(seen.shape, seen.classes, terms is not None)

        def views(rows: Any, count: int, draw: Any) -> Any:
            many = steps.repeated(rows, count)
            many[..., -pixels - 1 : -1] = steps.normals((len(rows), count, pixels), rows, draw)
            # One time from each part of the way: the mean over them varies less.
            times = (torch.arange(count) + torch.rand((len(rows), count), generator=draw)) / count
            many[..., -1] = (_EDGE + (1 - 2 * _EDGE) * times).to(rows)
            return many

        def loss(outputs: Any) -> Any:
            found, true = outputs.chunk(2, dim=1)
            return (found - true).square().mean(dim=1)

        rows = steps.rows_of(seen, pixels + 1, signed=True)
        return steps.taught(module, rows, loss, views, self._params, seen, key, terms, progress)

    def draw(self, module: Any, labels: Any, generator: Any) -> Any:
        """One image for each label, from noise, by deterministic denoising."""
        import torch

        denoiser = module.denoiser
        told = steps.one_hot(labels, module.classes)
        at = torch.randn((len(labels), *denoiser.shape), generator=generator)
        angles = torch.linspace(1 - _EDGE, _EDGE, self._params.sampling + 1) * (math.pi / 2)
        for now, after in itertools.pairwise(angles):
            velocity = denoiser(at, torch.full((len(at),), float(now / (math.pi / 2))), told)
            image = (now.cos() * at - now.sin() * velocity).clamp(-1, 1)
            noise = (at - now.cos() * image) / now.sin()
            at = after.cos() * image + after.sin() * noise
        return ((image + 1) / 2).clamp(0, 1)
