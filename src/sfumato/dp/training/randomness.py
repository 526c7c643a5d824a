"""Batches and noise from a cipher's keystream: what nobody can foretell or draw a second time.

Every step of a run has keys of its own, derived from one key that is drawn from the operating system, is
held in memory alone and dies with the process. So a run that is resumed never meets old noise again.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sfumato.core.keyed import derive


class Keystream:
    """Numbers from AES-256 in counter mode.

    Args:
        key: 32 bytes, used for nothing else.
    """

    def __init__(self, key: bytes) -> None:
        from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

        self._encryptor = Cipher(algorithms.AES(key), modes.CTR(bytes(16))).encryptor()

    def words(self, count: int) -> NDArray[np.uint64]:
        """The next numbers, shape (count,), uniform over 0..2**64-1."""
        return np.frombuffer(self._encryptor.update(bytes(8 * count)), dtype="<u8").astype(np.uint64)

    def chosen(self, count: int, rate: float) -> NDArray[np.int64]:
        """Which of ``count`` are in a Poisson sample: each for itself with probability ``rate``.

        The probability is rounded down to a multiple of 2**-64. The order is that of the numbers.
        """
        words = self.words(count)
        if rate >= 1:
            return np.arange(count)
        return np.flatnonzero(words < np.uint64(int(rate * 2.0**64)))

    def normals(self, count: int) -> NDArray[np.float64]:
        """Standard normal numbers, shape (count,): the inverse distribution function at uniform numbers.

        A number's sign is a bit and its tail probability has 127, so that the far tail, beyond 13 standard
        deviations, is as fine as the middle.
        """
        from scipy.special import ndtri

        coarse, fine = self.words(count), self.words(count)
        tail = (coarse >> np.uint64(1)) * 2.0**-63 + fine * 2.0**-127 + 2.0**-128
        size = -ndtri(np.minimum(tail, 1.0) / 2)
        signed: NDArray[np.float64] = np.where(coarse & np.uint64(1), size, -size)
        return signed


@dataclass(frozen=True)
class Randomness:
    """The randomness of one run of a process: a keystream for each step and use.

    Args:
        key: 32 bytes that are drawn anew for each run, or follow from a seed.
    """

    key: bytes

    @classmethod
    def fresh(cls, seed: int | None = None) -> Randomness:
        """From the operating system; from ``seed`` if there is one, and then nothing is private."""
        return cls(secrets.token_bytes(32) if seed is None else derive(bytes(32), "training", str(seed)))

    def stream(self, use: str, step: int) -> Keystream:
        """The keystream of one step for one use (batch, noise, views)."""
        return Keystream(derive(self.key, use, str(step)))

    def __repr__(self) -> str:
        return "Randomness(key=...)"
