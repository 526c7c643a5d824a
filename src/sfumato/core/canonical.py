"""Canonical JSON and digests, so that equal values have equal bytes on every machine.

Sorted keys, no blanks, UTF-8, floats as their shortest round-trip decimal, and no NaN or infinity:
a figure that does not exist is ``null`` and says why in words.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any


def canonical_json(value: Any) -> bytes:
    """The one byte string of a JSON value.

    Raises:
        ValueError: for NaN or infinity, which JSON does not have.

    >>> canonical_json({"b": 1, "a": [None, 0.1]})
    b'{"a":[null,0.1],"b":1}'
    """
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode()


def sha256(data: bytes) -> str:
    """The SHA-256 digest as lower-case hex (FIPS 180-4)."""
    return hashlib.sha256(data).hexdigest()


def commitment(salt: bytes, data: bytes) -> str:
    """A salted commitment to a private input: HMAC-SHA256 (RFC 2104) under a salt kept in custody.

    A bare digest of a guessable input (a small file, a path) can be found by trying; this cannot
    without the salt. Shown the salt and the input, anyone can check it.
    """
    return hmac.digest(salt, data, "sha256").hex()
