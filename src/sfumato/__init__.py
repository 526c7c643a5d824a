"""sfumato: take the person out, keep the picture.

The public names, loaded when they are first used::

    import sfumato as sf

    inventory = sf.inspect(table, target="employ")
    result = sf.run("policy.yaml", output="out")
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sfumato import dp, images, synth
    from sfumato.anonymity.assess import Assessment
    from sfumato.api import (
        Result,
        attack,
        check,
        evaluate,
        inspect,
        mapping,
        people_at_risk,
        plan,
        risk,
        run,
        tune,
        verify,
        withdraw,
    )
    from sfumato.core.errors import InputError, PolicyError, RefusedError, SfumatoError
    from sfumato.core.values import Decision, Finding, Inventory, Plan
    from sfumato.evidence import audits as audit
    from sfumato.evidence.models.membership import ModelAttack, attack_model
    from sfumato.tuning.outcome import Tuned

__version__ = "0.1.0"

_PLACES = {
    **dict.fromkeys(
        (
            "Result",
            "attack",
            "attack_model",
            "check",
            "evaluate",
            "inspect",
            "mapping",
            "people_at_risk",
            "plan",
            "risk",
            "run",
            "tune",
            "verify",
            "withdraw",
        ),
        "sfumato.api",
    ),
    "Assessment": "sfumato.anonymity.assess",
    "Tuned": "sfumato.tuning.outcome",
    **dict.fromkeys(("ModelAttack", "attack_model"), "sfumato.evidence.models.membership"),
    **dict.fromkeys(("InputError", "PolicyError", "RefusedError", "SfumatoError"), "sfumato.core.errors"),
    **dict.fromkeys(("Decision", "Finding", "Inventory", "Plan"), "sfumato.core.values"),
}

#: Rooms that are namespaces of their own: ``sf.dp.Budget``.
_ROOMS = {
    "audit": "sfumato.evidence.audits",
    "dp": "sfumato.dp",
    "images": "sfumato.images",
    "synth": "sfumato.synth",
}

__all__ = [
    "Assessment",
    "Decision",
    "Finding",
    "InputError",
    "Inventory",
    "ModelAttack",
    "Plan",
    "PolicyError",
    "RefusedError",
    "Result",
    "SfumatoError",
    "Tuned",
    "__version__",
    "attack",
    "attack_model",
    "audit",
    "check",
    "dp",
    "evaluate",
    "images",
    "inspect",
    "mapping",
    "people_at_risk",
    "plan",
    "risk",
    "run",
    "synth",
    "tune",
    "verify",
    "withdraw",
]


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return import_module(_ROOMS[name])
    if name in _PLACES:
        return getattr(import_module(_PLACES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
