"""Codes from the scores of all fields: drawn, weighed, and brought to the shares they shall have."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from sfumato.dp.mechanisms import gaussian, gaussian_sigma
from sfumato.synth.networks.vae import spans

if TYPE_CHECKING:
    from sfumato.synth.coded import Coded

Numbers = NDArray[np.float32]

_ROUNDS = 25
_LEAST_SHARE = 1e-9
#: Below, exponentials are near the end of what a number of 32 bits can be.
_LEAST_TOTAL = 1e-30


def shares(coded: Coded) -> NDArray[np.float64]:
    """The share of each code in its field, field after field, shape (sum of sizes,)."""
    return counts(coded) / len(coded.codes)


def counts(coded: Coded) -> NDArray[np.int64]:
    """How many rows have each code, shape (sum of sizes,)."""
    columns = [np.bincount(coded.codes[:, at], minlength=size) for at, size in enumerate(coded.sizes)]
    return np.concatenate(columns).astype(np.int64)


def noisy_shares(coded: Coded, multiplier: float) -> NDArray[np.float64]:
    """As :func:`shares`, from counts with noise: a Gaussian mechanism, charged by the caller.

    One row is in one count of each field, so it moves them by the root of their number.
    """
    sigma = gaussian_sigma(multiplier, math.sqrt(len(coded.sizes)))
    noisy = gaussian(counts(coded), sigma).astype(np.float64)
    return np.concatenate([_share(noisy[span]) for span in spans(coded.sizes)])


def _share(noisy: NDArray[np.float64]) -> NDArray[np.float64]:
    """The nearest shares to noisy counts, none below zero (Duchi et al. 2008)."""
    total = max(float(noisy.sum()), 1.0)
    falling = np.sort(noisy)[::-1]
    excess = (np.cumsum(falling) - total) / np.arange(1, len(noisy) + 1)
    cut = excess[np.flatnonzero(falling > excess)[-1]]
    found: NDArray[np.float64] = np.maximum(noisy - cut, 0.0) / total
    return found


def softmax(scores: Numbers) -> Numbers:
    """Probabilities of one field, shape (rows, size)."""
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    found: Numbers = powers / powers.sum(axis=1, keepdims=True)
    return found


def drawn(
    scores: Numbers, random: np.random.Generator, allowed: NDArray[np.bool_] | None = None
) -> NDArray[np.int32]:
    """One code a row, shape (rows,), each by the exponential of its score; none that is not allowed.

    Rows lie side by side, so that every step is one over many rows.

    Args:
        scores: of one field, shape (size, rows).
        allowed: codes, shape (size,).
    """
    sums = _summed(scores, allowed)
    if not (np.isfinite(sums[-1]) & (sums[-1] > _LEAST_TOTAL)).all():
        kept = scores if allowed is None else scores[allowed]
        sums = _summed(scores - kept.max(axis=0), allowed)
    at = random.random(sums.shape[1], dtype=np.float32) * sums[-1]
    # At the very end of the scale rounding could find a code behind the last that can be.
    at = np.minimum(at, np.nextafter(sums[-1], np.float32(0)))
    # Counted in bytes where a byte holds them.
    count = np.uint8 if len(sums) < 256 else np.int32
    found: NDArray[np.int32] = np.add.reduce((sums <= at).view(np.uint8), axis=0, dtype=count).astype(
        np.int32
    )
    return found


def _summed(scores: Numbers, allowed: NDArray[np.bool_] | None) -> Numbers:
    """Sums of exponentials over the codes up to each."""
    with np.errstate(over="ignore"):
        sums: Numbers = np.exp(scores)
        if allowed is not None:
            sums[~allowed] = 0
        for before, heap in itertools.pairwise(sums):
            heap += before
    return sums


def calibrated(
    scores: Callable[[slice], Numbers], sizes: Sequence[int], wanted: NDArray[np.float64]
) -> Numbers:
    """What to add to the scores so that the codes' mean probabilities are the wanted shares.

    Args:
        scores: of made rows, for the span of a field, shape (rows, size).
        wanted: shape (sum of sizes,).
    """
    shift = np.zeros(sum(sizes), dtype=np.float32)
    for span in spans(sizes):
        if span.stop - span.start == 1:
            continue
        plain, target = scores(span), np.log(np.maximum(wanted[span], _LEAST_SHARE))
        for _ in range(_ROUNDS):
            mean = softmax(plain + shift[span]).mean(axis=0, dtype=np.float64)
            shift[span] += (target - np.log(np.maximum(mean, _LEAST_SHARE))).astype(np.float32)
        shift[span] -= shift[span].max()
    return shift
