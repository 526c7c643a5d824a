"""A generator of images that learned: it makes images of a class, and is saved as numbers and words."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sfumato.core.canonical import canonical_json
from sfumato.core.errors import InputError
from sfumato.core.keyed import derive, generator
from sfumato.dp.training import tensorfile
from sfumato.dp.training.modules import need_deep
from sfumato.synth.images import METHODS
from sfumato.synth.learning import arrays_of, seeded
from sfumato.synth.learning import load as loaded

if TYPE_CHECKING:
    from dp_accounting import DpEvent

_AT_ONCE = 512


class Made(NamedTuple):
    """Images that were made: grey levels (n, height, width), and their labels (n,)."""

    images: NDArray[Any]
    labels: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class ImageModel:
    """A generator of images of classes.

    Attributes:
        method: its name in :data:`~sfumato.synth.images.METHODS`.
        params: of the method, as JSON.
        shape: height and width.
        levels: the grey levels of black and white.
        whole: are levels whole numbers?
        shares: shape (classes,), how likely each class is where none is asked for.
        facts: what was learned and what it cost, for the dossier; JSON, of no person.
        event: what was charged; None without differential privacy, or for a model that was loaded.
    """

    method: str
    params: Mapping[str, Any]
    shape: tuple[int, int]
    levels: tuple[float, float]
    whole: bool
    shares: NDArray[np.float64]
    facts: Mapping[str, Any]
    module: Any
    event: DpEvent | None = None

    @property
    def classes(self) -> int:
        """How many classes it was told of."""
        return len(self.shares)

    def sample(
        self, n: int, *, label: int | Sequence[int] | None = None, key: bytes | int | None = None
    ) -> Made:
        """New images; the same key gives the same.

        Args:
            n: how many, zero or more.
            label: of all of them, or of each; drawn from ``shares`` if None.
            key: 32 bytes or a number; None for fresh images each time.

        Returns:
            Levels as those learned from: uint8 or uint16 for whole numbers, else float32.

        Raises:
            InputError: ``usage``: fewer than none, or labels that are no classes.
        """
        import torch

        own = key_of(key)
        labels = self._labels(n, label, own)
        maker = METHODS.resolve(self.method)
        chosen = maker(maker.Params(**self.params))
        parts = []
        with seeded(derive(own, "images")) as draw, torch.no_grad():
            for at in range(0, n, _AT_ONCE):
                told = torch.from_numpy(labels[at : at + _AT_ONCE])
                parts.append(chosen.draw(self.module, told, draw).numpy())
        low, high = self.levels
        made = np.concatenate(parts) if parts else np.zeros((0, *self.shape), dtype=np.float32)
        images = low + np.clip(made, 0.0, 1.0).astype(np.float64) * (high - low)
        if not self.whole:
            return Made(images.astype(np.float32), labels)
        return Made(np.rint(images).astype(np.uint8 if low >= 0 and high <= 255 else np.int32), labels)

    def _labels(self, n: int, label: int | Sequence[int] | None, key: bytes) -> NDArray[np.int64]:
        if n < 0:
            raise InputError("usage", f"there cannot be {n} images")
        if label is None:
            drawn = generator(derive(key, "labels")).choice(self.classes, size=n, p=self.shares)
            return np.asarray(drawn, dtype=np.int64)
        given = np.asarray(label)
        labels = np.full(n, given) if given.ndim == 0 else given
        whole = np.issubdtype(labels.dtype, np.integer) or not n
        if labels.shape != (n,) or not whole or not bool(((labels >= 0) & (labels < self.classes)).all()):
            raise InputError(
                "usage",
                f"label must be a class from 0 to {self.classes - 1}, or one for each image",
                remedy="leave it out to draw classes as often as they were seen",
            )
        return labels.astype(np.int64)

    def to_safetensors(self) -> bytes:
        """The model as a safetensors file: weights, and how to use them as metadata."""
        document = {
            "method": self.method,
            "params": dict(self.params),
            "shape": list(self.shape),
            "levels": list(self.levels),
            "whole": self.whole,
            "facts": dict(self.facts),
        }
        arrays = {**arrays_of(self.module, "network/"), "shares": self.shares}
        return tensorfile.written(arrays, {"sfumato-images": canonical_json(document).decode()})

    def save(self, path: str | Path) -> None:
        """Write :meth:`to_safetensors` to a file."""
        Path(path).write_bytes(self.to_safetensors())

    def __repr__(self) -> str:
        cost = self.facts.get("epsilon")
        promise = "not private" if cost is None else f"epsilon {cost:.3g} about each {self.facts['unit']}"
        return (
            f"ImageModel({self.method}, {self.shape[0]} x {self.shape[1]}, {self.classes} classes, {promise})"
        )


def load(file: str | Path | bytes) -> ImageModel:
    """The model that was saved.

    Raises:
        InputError: ``source-unreadable``: not such a file; ``usage``: PyTorch is not installed.
    """
    need_deep()
    content = file if isinstance(file, bytes) else Path(file).read_bytes()
    arrays, said = tensorfile.read(content)
    try:
        document = json.loads(said["sfumato-images"])
        height, width = (int(side) for side in document["shape"])
        low, high = (float(level) for level in document["levels"])
        maker = METHODS.resolve(document["method"])
        chosen = maker(maker.Params(**document["params"]))
        shares, facts = arrays.pop("shares"), document["facts"]
        network = chosen.network((height, width), len(shares), "epsilon" in facts)
    except (KeyError, ValueError, TypeError, RuntimeError):
        raise InputError("source-unreadable", "not a generator of images of ours") from None
    return ImageModel(
        method=document["method"],
        params=document["params"],
        shape=(height, width),
        levels=(low, high),
        whole=bool(document["whole"]),
        shares=shares,
        facts=facts,
        module=loaded(network, arrays, "network/"),
    )


def key_of(key: bytes | int | None) -> bytes:
    """32 bytes from what a caller gives: fresh ones for None."""
    if key is None:
        return secrets.token_bytes(32)
    return key if isinstance(key, bytes) else derive(bytes(32), "images", str(key))
