"""New images: generators that learn from labelled grey images of people and make images that are nobody's.

>>> import numpy as np
>>> seen, labels = np.random.default_rng(0).integers(0, 256, (40, 8, 8)).astype(np.uint8), np.arange(40) % 2
>>> from sfumato.synth.images import fit
>>> model = fit(seen, labels, params={"steps": 2}, key=1)
>>> model.sample(3, label=1, key=2).images.shape
(3, 8, 8)

That images are made does not make them private: every release of them goes through the evidence and the gate.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from sfumato.core.registry import Registry

if TYPE_CHECKING:
    from sfumato.synth.images.fitting import fit
    from sfumato.synth.images.model import ImageModel, Made, load

METHODS = Registry(
    "image method",
    {
        "kernel": "sfumato.synth.images.kernel:Kernel",
        "cvae": "sfumato.synth.images.cvae:Cvae",
        "diffusion": "sfumato.synth.images.diffusion:Diffusion",
    },
)

_PLACES = {
    "fit": "sfumato.synth.images.fitting",
    **dict.fromkeys(("ImageModel", "Made", "load"), "sfumato.synth.images.model"),
}
__all__ = ["METHODS", "ImageModel", "Made", "fit", "load"]


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_PLACES[name]), name)
