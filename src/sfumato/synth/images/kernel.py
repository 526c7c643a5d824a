"""Images from noisy kernel means: what is private is one sum, drawn once, and all else is computed from it.

The mean of random features over the images of each class, with noise, is matched by a generator (DP-MERF:
Harder, Adamczewski & Park 2021, arXiv 2002.11603). The features are :mod:`sfumato.synth.images.features`; the
class itself is one of them, so that shares of classes come from the same draw. A generator's own features are
compared by the unbiased estimate of the squared distance: the usual one charges a batch for its variety, and
images of a class all become alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from sfumato.contracts import Params
from sfumato.core.keyed import derive
from sfumato.synth.images.method import Learned, Seen, Terms, Watch
from sfumato.synth.images.sums import noisy_sums, shares_of
from sfumato.synth.learning import device, seeded

if TYPE_CHECKING:
    from dp_accounting import DpEvent

#: The part of an example's squared length that says its class alone.
_CLASS = 0.1


class KernelParams(Params):
    """Parameters of the kernel method."""

    steps: int = Field(default=400, ge=1, le=100_000)
    """Steps of the generator; they cost no privacy."""
    each: int = Field(default=32, ge=2, le=65_536)
    """Images made of each class in a step."""
    random: int = Field(default=300, ge=1, le=20_000)
    """Random frequencies; more of them see more, and take more noise in all."""
    bandwidth: float = Field(default=0.2, gt=0, le=10)
    """Of the kernel: by how much images differ that it calls unlike, root mean square over pixels, 0 to 1."""
    code: int = Field(default=16, ge=1, le=512)
    """Numbers that an image is made from, beside its class."""
    width: int = Field(default=32, ge=4, le=512)
    """Channels of the generator."""
    lr: float = Field(default=2e-3, gt=0, le=1)
    """Learning rate of the generator."""


class Kernel:
    """A generator that matches noisy kernel means of each class."""

    Params: ClassVar[type[Params]] = KernelParams
    summary: ClassVar[str] = (
        "kernel means of each class with noise, matched by a generator: quick, for small epsilons"
    )

    def __init__(self, params: KernelParams) -> None:
        self._params = params

    def events(self, noise: float, size: int) -> Sequence[DpEvent]:
        """One Gaussian."""
        from sfumato.dp.training.trained import sampled_gaussian

        del size
        return [sampled_gaussian(1.0, noise, 1)]

    def network(self, shape: tuple[int, int], classes: int, private: bool) -> Any:
        """The generator."""
        from sfumato.synth.images.networks import Decoder

        del private
        return Decoder(shape, classes, self._params.code, self._params.width)

    def fit(self, seen: Seen, key: bytes, terms: Terms | None, progress: Watch | None) -> Learned:
        """Draw the means, and train a generator on them."""
        from sfumato.synth.images.features import Features

        features = Features(seen.shape, self._params.random, self._params.bandwidth)
        if terms is not None:
            terms.budget.spend(
                self.events(terms.noise, terms.size)[0], place="kernel means", delta=terms.delta
            )
        multiplier = None if terms is None else terms.noise
        found = noisy_sums(seen, lambda pixels: told(features.of(pixels)), multiplier)
        # From here on nothing is of people but through what was drawn.
        counts = found[:, 0] / _CLASS**0.5
        floor = 1e-9 if multiplier is None else multiplier / _CLASS**0.5
        means = found[:, 1:] / (1 - _CLASS) ** 0.5 / np.maximum(counts, floor)[:, None]
        shares = shares_of(counts)
        with seeded(derive(key, "generator")):
            module = self.network(seen.shape, seen.classes, terms is not None)
            self._match(module, features, means, shares, progress)
        return Learned(module, shares, {"features": means.shape[1], "frequencies": self._params.random})

    def _match(
        self,
        module: Any,
        features: Any,
        means: NDArray[np.float64],
        shares: NDArray[np.float64],
        progress: Watch | None,
    ) -> None:
        """Train the generator until its own means are those."""
        import torch

        place, steps, each = device(), self._params.steps, self._params.each
        module.to(place).train()
        present = np.flatnonzero(shares > 0)
        target = torch.from_numpy(means[present]).float().to(place)
        weights = torch.from_numpy(shares[present]).float().to(place)
        told = _one_hot(torch.from_numpy(np.repeat(present, each)), module.classes).to(place)
        optimizer = torch.optim.Adam(module.parameters(), lr=self._params.lr)
        falling = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        for step in range(steps):
            code = torch.randn((len(told), module.code)).to(place)
            made = features(module(code, told).sigmoid()).reshape(len(present), each, -1)
            apart = (made.mean(dim=1) - target).square().sum(dim=1)
            by_chance = made.var(dim=1).sum(dim=1) / each
            loss = (weights * (apart - by_chance)).sum()
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            falling.step()
            if progress is not None:
                progress("training the generator", step + 1, steps)
        module.eval().cpu()

    def draw(self, module: Any, labels: Any, generator: Any) -> Any:
        """One image for each label."""
        import torch

        code = torch.randn((len(labels), module.code), generator=generator)
        return module(code, _one_hot(labels, module.classes)).sigmoid()


def told(features: NDArray[np.float64]) -> NDArray[np.float64]:
    """Features no longer than one with the class's own before them, no longer than one."""
    own = np.full((len(features), 1), _CLASS**0.5)
    return np.hstack([own, (1 - _CLASS) ** 0.5 * features])


def _one_hot(labels: Any, classes: int) -> Any:
    import torch

    return torch.nn.functional.one_hot(labels, classes).float()
