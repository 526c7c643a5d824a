"""Medical images: what their headers tell of a person taken out, what their pixels may show flagged.

::

    report = sfumato.images.clean("scans", "cleaned", key=key)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sfumato.images.cleaning import clean
    from sfumato.images.report import Cleaned

_PLACES = {"clean": "sfumato.images.cleaning", "Cleaned": "sfumato.images.report"}

__all__ = ["Cleaned", "clean"]


def __getattr__(name: str) -> Any:
    if name in _PLACES:
        return getattr(import_module(_PLACES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
