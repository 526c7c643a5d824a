"""Arrays in the safetensors format: a JSON header and plain numbers; nothing in it can be executed.

The format is eight bytes of header length (little-endian), the header, the numbers
(https://github.com/huggingface/safetensors, "Format"). Models leave the house as such a file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sfumato.core.canonical import canonical_json
from sfumato.core.errors import InputError

_KINDS = {"F32": "<f4", "F64": "<f8", "I64": "<i8"}
_MOST_HEADER = 2**20


def written(tensors: Mapping[str, NDArray[Any]], metadata: Mapping[str, str]) -> bytes:
    """A safetensors file of arrays in the order of their names.

    >>> content = written({"weights": np.zeros((2, 3), dtype=np.float32)}, {"made": "up"})
    >>> len(content) % 8, read(content)[0]["weights"].shape
    (0, (2, 3))
    """
    header: dict[str, Any] = {"__metadata__": dict(metadata)}
    pieces: list[bytes] = []
    at = 0
    for name in sorted(tensors):
        array = tensors[name]
        kind = next(kind for kind, dtype in _KINDS.items() if np.dtype(dtype) == array.dtype)
        piece = np.ascontiguousarray(array, dtype=_KINDS[kind]).tobytes()
        header[name] = {
            "dtype": kind,
            "shape": list(array.shape),
            "data_offsets": [at, at + len(piece)],
        }
        pieces.append(piece)
        at += len(piece)
    content = canonical_json(header)
    # Numbers begin at a multiple of eight.
    content += b" " * (-len(content) % 8)
    return len(content).to_bytes(8, "little") + content + b"".join(pieces)


def read(content: bytes) -> tuple[dict[str, NDArray[Any]], dict[str, str]]:
    """Arrays and metadata of a safetensors file.

    Raises:
        InputError: ``source-unreadable``: it is none, or has other kinds of numbers than ours.
    """
    try:
        length = int.from_bytes(content[:8], "little")
        if not 0 < length <= min(_MOST_HEADER, len(content)):
            raise ValueError
        header = json.loads(content[8 : 8 + length])
        metadata = header.pop("__metadata__", {})
        found = {}
        for name, said in header.items():
            begin, end = said["data_offsets"]
            numbers = np.frombuffer(
                content[8 + length + begin : 8 + length + end], dtype=_KINDS[said["dtype"]]
            )
            found[name] = numbers.reshape(said["shape"])
    except (ValueError, KeyError, TypeError, AttributeError):
        raise InputError("source-unreadable", "not a safetensors file of ours") from None
    return found, metadata
