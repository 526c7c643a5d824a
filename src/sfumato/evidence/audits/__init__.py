"""Audits: attempts to prove a claim of differential privacy wrong. They can prove none right.

The public names, ``sf.audit``, loaded when they are first used::

    import sfumato as sf

    audit = sf.audit.mechanism(run, table, neighbour, epsilon=1.0)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sfumato.evidence.audits.looking import instrument
    from sfumato.evidence.audits.onerun import epsilon_lower, p_value
    from sfumato.evidence.audits.outcome import Audit, findings, unaudited
    from sfumato.evidence.audits.own import house
    from sfumato.evidence.audits.record import Record
    from sfumato.evidence.audits.released import release
    from sfumato.evidence.audits.repeated import mechanism
    from sfumato.evidence.audits.taught import by_guessing, estimator, training

_ROOM = "sfumato.evidence.audits"
_PLACES = {
    "Audit": f"{_ROOM}.outcome",
    "Record": f"{_ROOM}.record",
    "by_guessing": f"{_ROOM}.taught",
    "epsilon_lower": f"{_ROOM}.onerun",
    "estimator": f"{_ROOM}.taught",
    "findings": f"{_ROOM}.outcome",
    "house": f"{_ROOM}.own",
    "instrument": f"{_ROOM}.looking",
    "mechanism": f"{_ROOM}.repeated",
    "p_value": f"{_ROOM}.onerun",
    "release": f"{_ROOM}.released",
    "training": f"{_ROOM}.taught",
    "unaudited": f"{_ROOM}.outcome",
}

__all__ = [
    "Audit",
    "Record",
    "by_guessing",
    "epsilon_lower",
    "estimator",
    "findings",
    "house",
    "instrument",
    "mechanism",
    "p_value",
    "release",
    "training",
    "unaudited",
]


def __getattr__(name: str) -> Any:
    if name in _PLACES:
        return getattr(import_module(_PLACES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
