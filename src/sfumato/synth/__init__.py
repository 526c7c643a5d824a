"""New rows: synthesizers that learn from a table of people and make rows that are nobody's.

That rows are made does not make them private: every release of them goes through the evidence and the gate.
"""

from __future__ import annotations

from sfumato.core.registry import Registry

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
    },
)
