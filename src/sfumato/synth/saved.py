"""A synthesizer that was taught, in a file: numbers and JSON (safetensors), nothing executable."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sfumato.core.canonical import canonical_json
from sfumato.core.errors import InputError
from sfumato.dp.training import tensorfile

if TYPE_CHECKING:
    from sfumato.contracts import SynthesisModel

_FORMAT = "sfumato-synthetic"
_VERSION = "1"
_DOCUMENT = "document"


def content(arrays: Mapping[str, NDArray[Any]], document: Mapping[str, Any]) -> bytes:
    """The bytes of a model's arrays and of a document."""
    tensors = {f"model.{name}": np.asarray(array) for name, array in arrays.items()}
    text = canonical_json(document)
    # A header has little room; a text goes with the numbers, blanks to its end.
    tensors[_DOCUMENT] = np.frombuffer(text + b" " * (-len(text) % 8), dtype="<i8")
    return tensorfile.written(tensors, {"format": _FORMAT, "version": _VERSION})


def write(path: str | Path, file: bytes) -> None:
    """Write a file whole or not at all.

    Raises:
        InputError: ``output-failed``.
    """
    place = Path(path)
    draft = place.with_name(f"{place.name}.part")
    try:
        draft.write_bytes(file)
        draft.replace(place)
    except OSError:
        with suppress(OSError):
            draft.unlink()
        raise InputError("output-failed", "the file could not be written", where=str(path)) from None


def read(path: str | Path) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """The model's arrays and the document of a file.

    Raises:
        InputError: ``source-missing``; ``source-unreadable``: it is no such file.
    """
    try:
        whole = Path(path).read_bytes()
    except FileNotFoundError:
        raise InputError("source-missing", "there is no such file", where=str(path)) from None
    except OSError:
        raise InputError("source-unreadable", "the file cannot be read", where=str(path)) from None
    tensors, metadata = tensorfile.read(whole)
    try:
        if (metadata["format"], metadata["version"]) != (_FORMAT, _VERSION):
            raise ValueError
        document = json.loads(tensors.pop(_DOCUMENT).tobytes())
    except (KeyError, ValueError):
        raise InputError(
            "source-unreadable", "not a synthesizer that sfumato saved", where=str(path)
        ) from None
    return {name.removeprefix("model."): array for name, array in tensors.items()}, document


def place_of(model: SynthesisModel) -> str:
    """Where a model's class lives."""
    return f"{type(model).__module__}:{type(model).__qualname__}"


def class_at(place: str, synthesizer: type[Any]) -> type[SynthesisModel]:
    """The class of a model: one of the package that its synthesizer is in, and no other.

    Raises:
        InputError: ``source-unreadable``.
    """
    module, _, name = place.partition(":")
    home = synthesizer.__module__.rpartition(".")[0]
    if module == synthesizer.__module__ or module.startswith(f"{home}."):
        found = getattr(import_module(module), name, None)
        if isinstance(found, type) and hasattr(found, "restored"):
            return found
    raise InputError("source-unreadable", "the file names a model that is none")
