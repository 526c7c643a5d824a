"""Keyed randomness: the same key, domain and row give the same draw, whatever the batch or engine.

Everything random that is not differential-privacy noise (splits, order, samples, simulated errors)
comes from here. A draw is AES-256 of the row's number under a key derived for the domain, so it is a
pseudo-random permutation of row numbers: unpredictable without the key, and the same on every engine.
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING

from sfumato.core.canonical import canonical_json

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def derive(key: bytes, *domain: str) -> bytes:
    """A 32-byte key for one use of ``key``: HMAC-SHA256 over the domain's canonical JSON.

    Two domains never share a key, for the parts are encoded and not just joined.

    >>> derive(bytes(32), "a", "bc") == derive(bytes(32), "ab", "c")
    False
    """
    return hmac.digest(key, canonical_json(list(domain)), "sha256")


def draws(key: bytes, rows: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """One 64-bit draw for each row number.

    Args:
        key: 32 bytes, from :func:`derive`.
        rows: shape (n,), the row numbers, in any order.

    Returns:
        Shape (n,), uniform over 0..2**64-1, depending on key and row number alone.
    """
    import numpy as np
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    blocks = np.zeros((len(rows), 2), dtype="<u8")
    blocks[:, 0] = rows
    # Every block is a different row number, so the codebook mode is a keyed permutation here.
    encryptor = Cipher(algorithms.AES(key), modes.ECB()).encryptor()  # noqa: S305
    encrypted = encryptor.update(blocks.tobytes()) + encryptor.finalize()
    return np.frombuffer(encrypted, dtype="<u8").reshape(-1, 2)[:, 0].astype(np.uint64)


def uniforms(key: bytes, rows: NDArray[np.uint64]) -> NDArray[np.float64]:
    """:func:`draws` as floats in [0, 1), with 53 random bits each."""
    import numpy as np

    return (draws(key, rows) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def generator(key: bytes) -> np.random.Generator:
    """A NumPy generator seeded from a derived key, for simulations inside one probe."""
    import numpy as np

    return np.random.Generator(np.random.PCG64(int.from_bytes(key, "big")))
