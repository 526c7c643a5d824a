"""New rows: synthesizers that learn from a table of people and make rows that are nobody's.

That rows are made does not make them private: every release of them goes through the evidence and the gate.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from sfumato.core.registry import Registry

if TYPE_CHECKING:
    from sfumato.synth import images, relations, sequences
    from sfumato.synth.fitting import fit
    from sfumato.synth.synthetic import Synthetic, load

SYNTHESIZERS = Registry(
    "synthesizer",
    {
        "independent": "sfumato.synth.independent:Independent",
        "copula": "sfumato.synth.copula:Copula",
        "aim": "sfumato.synth.marginals.aim:Aim",
        "mst": "sfumato.synth.marginals.mst:Mst",
        "autoregressive": "sfumato.synth.autoregressive:Autoregressive",
        "vae": "sfumato.synth.vae:Vae",
        "gan": "sfumato.synth.gan:Gan",
        "language-model": "sfumato.synth.language.model:LanguageModel",
    },
)

_PLACES = {
    "fit": "sfumato.synth.fitting",
    **dict.fromkeys(("Synthetic", "load"), "sfumato.synth.synthetic"),
}

#: Rooms within the room: ``sf.synth.sequences.fit``.
_ROOMS = ("images", "relations", "sequences")

__all__ = ["Synthetic", "fit", "images", "load", "relations", "sequences"]


def __getattr__(name: str) -> Any:
    if name in _PLACES:
        return getattr(import_module(_PLACES[name]), name)
    if name in _ROOMS:
        return import_module(f"sfumato.synth.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
