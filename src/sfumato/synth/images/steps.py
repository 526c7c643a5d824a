"""Networks of images trained in steps: under differential privacy with noise, else until nothing gets better.

A network takes flat rows: the image, its class one-hot, and room for what is drawn anew each time it is seen
(noise, a time). ``views`` fills that room; K views of an image are one example, whose gradient is their mean
(De et al. 2022, arXiv 2204.13650; in diffusion "noise multiplicity": Dockhorn et al. 2023, 2210.09929).
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from sfumato.contracts import Params
from sfumato.core.keyed import derive
from sfumato.dp.training.trained import sampled_gaussian
from sfumato.synth.images.method import Learned, Seen, Terms, Watch
from sfumato.synth.images.sums import noisy_sums, one_each, shares_of
from sfumato.synth.learning import Plan, learn, seeded

if TYPE_CHECKING:
    from dp_accounting import DpEvent

#: The part of the cost that shares of classes take: of the inverse variances, as they were without sampling.
_SHARES = 0.05

_BATCH = 64

#: From flat rows, how many views and a torch.Generator (CPU) to views (n, K, width).
Views = Callable[[Any, int, Any], Any]


class StepParams(Params):
    """Parameters of what is trained in steps."""

    steps: int = Field(default=200, ge=1, le=100_000)
    """Steps under differential privacy."""
    batch: int = Field(default=256, ge=1, le=65_536)
    """Expected images (or subjects) in a step under differential privacy."""
    views: int = Field(default=2, ge=1, le=256)
    """How often an image is seen, with other noise, in one step under differential privacy."""
    clip: float = Field(default=1.0, gt=0)
    """Bound of one example's gradient, L2."""
    private_lr: float = Field(default=3e-3, gt=0, le=1)
    """Learning rate of Adam under differential privacy."""
    private_width: int = Field(default=16, ge=4, le=512)
    """Channels of the network under differential privacy."""
    updates: int = Field(default=1500, ge=1, le=1_000_000)
    """About the most steps without differential privacy, of 64 images each."""
    lr: float = Field(default=2e-3, gt=0, le=1)
    """Learning rate without differential privacy."""
    width: int = Field(default=32, ge=4, le=512)
    """Channels of the network without differential privacy."""


def events(params: StepParams, noise: float, size: int) -> Sequence[DpEvent]:
    """The shares of classes, and the steps."""
    rate = min(1.0, params.batch / size)
    alike = noise / (rate * math.sqrt(params.steps))
    return [
        sampled_gaussian(1.0, alike / math.sqrt(_SHARES), 1),
        sampled_gaussian(rate, noise, params.steps),
    ]


def rows_of(seen: Seen, room: int, *, signed: bool) -> Any:
    """Flat rows: pixels (from -1 to 1 if ``signed``), class one-hot, room for what is drawn."""
    import torch

    pixels = seen.pixels.reshape(len(seen.labels), -1)
    parts = [2 * pixels - 1 if signed else pixels, np.eye(seen.classes, dtype=np.float32)[seen.labels]]
    return torch.from_numpy(np.hstack([*parts, np.zeros((len(pixels), room), dtype=np.float32)]))


def taught(
    module: Any,
    rows: Any,
    loss: Callable[[Any], Any],
    views: Views,
    params: StepParams,
    seen: Seen,
    key: bytes,
    terms: Terms | None,
    progress: Watch | None,
) -> Learned:
    """The network trained on rows; ``loss`` is from its outputs to one number a row."""
    if terms is None:
        each = math.ceil(len(rows) / _BATCH)
        epochs = math.ceil(params.updates / each)
        found = learn(
            module,
            (rows,),
            lambda network, batch, draw: loss(network(views(batch[0], 1, draw)[:, 0])),
            Plan(epochs, _BATCH, params.lr, patience=max(10, epochs // 5)),
            derive(key, "learn"),
            progress=progress,
        )
        shares = shares_of(np.bincount(seen.labels, minlength=seen.classes).astype(float))
        facts = {"epochs": found.epochs, "loss": found.loss, "validation": found.validation}
        return Learned(found.module, shares, facts)
    return _noisily(module, rows, loss, views, params, seen, terms, progress)


def _noisily(
    module: Any,
    rows: Any,
    loss: Callable[[Any], Any],
    views: Views,
    params: StepParams,
    seen: Seen,
    terms: Terms,
    progress: Watch | None,
) -> Learned:
    from sfumato.dp.training.train import train

    of_shares = events(params, terms.noise, terms.size)[0]
    terms.budget.spend(of_shares, place="shares of classes", delta=terms.delta)
    counts = noisy_sums(seen, one_each, _multiplier(of_shares))[:, 0]
    # For its one thread: what is drawn inside is under no key that lasts.
    with seeded(secrets.token_bytes(32)):
        trained = train(
            module,
            (rows, seen.labels),
            loss=lambda outputs, _: loss(outputs),
            budget=terms.budget,
            delta=terms.delta,
            noise_multiplier=terms.noise,
            batch=params.batch,
            steps=params.steps,
            clip=params.clip,
            lr=params.private_lr,
            optimizer="adam",
            size=terms.size,
            subject=None if seen.subject is None else list(seen.subject),
            views=lambda inputs, draw: views(inputs, params.views, draw),
            average=1.0 - 1 / max(2, params.steps // 10),
            ghost=False,
            watch=None
            if progress is None
            else lambda now: progress("training with noise", now.step, now.steps),
        )
    return Learned(trained.module.cpu(), shares_of(counts), {"steps": params.steps}, trained.notices)


def _multiplier(event: Any) -> float:
    return float(event.noise_multiplier)


def one_hot(labels: Any, classes: int) -> Any:
    """Shape (n, classes), float32."""
    import torch

    return torch.nn.functional.one_hot(labels, classes).float()


def repeated(rows: Any, views: int) -> Any:
    """Each row so many times, shape (n, views, width): a copy."""
    return rows[:, None].repeat(1, views, 1)


def normals(shape: tuple[int, ...], rows: Any, draw: Any) -> NDArray[Any] | Any:
    """Standard normal numbers from a CPU generator, where the rows are."""
    import torch

    return torch.randn(shape, generator=draw).to(rows)
