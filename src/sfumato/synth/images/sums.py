"""Sums over examples that are exact before the noise, class by class, no example longer than one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sfumato.dp.mechanisms import gaussian, gaussian_sigma
from sfumato.synth.images.method import Seen

#: A vector of norm 1 is so many steps of the grid long.
GRID = 2**24
_BLOCK = 512

#: From images (n, height, width) to vectors (n, width), none longer than one.
Features = Callable[[NDArray[np.float32]], NDArray[np.float64]]


def class_sums(seen: Seen, features: Features) -> NDArray[np.int64]:
    """The sum over examples of their features, in the rows of their classes, shape (classes, width).

    An example is an image, or the mean over a subject's images of the same; one more of them moves the sum by
    at most :data:`GRID` in L2, over all classes together.
    """
    if seen.subject is None:
        width = features(seen.pixels[:1]).shape[1]
        sums = np.zeros((seen.classes, width), dtype=np.int64)
        for at in range(0, len(seen.labels), _BLOCK):
            np.add.at(sums, seen.labels[at : at + _BLOCK], _whole(features(seen.pixels[at : at + _BLOCK])))
        return sums
    # The images of one subject and class are averaged before anything is rounded.
    pairs, of = np.unique(seen.subject * seen.classes + seen.labels, return_inverse=True)
    each = np.bincount(seen.subject)[seen.subject]
    means: NDArray[Any] = np.zeros((len(pairs), features(seen.pixels[:1]).shape[1]))
    for at in range(0, len(of), _BLOCK):
        part = slice(at, at + _BLOCK)
        np.add.at(means, of[part], features(seen.pixels[part]) / each[part, None])
    sums = np.zeros((seen.classes, means.shape[1]), dtype=np.int64)
    np.add.at(sums, pairs % seen.classes, _whole(means))
    return sums


def _whole(vectors: NDArray[np.float64]) -> NDArray[np.int64]:
    # Towards zero, for a vector must not grow; none is longer than one but for rounding errors.
    return np.trunc(vectors * (GRID * (1 - 1e-6))).astype(np.int64)


def noisy_sums(seen: Seen, features: Features, multiplier: float | None) -> NDArray[np.float64]:
    """:func:`class_sums` in units of one example, with noise of that multiplier; None for none."""
    sums = class_sums(seen, features)
    if multiplier is not None:
        sums = gaussian(sums.ravel(), gaussian_sigma(multiplier, float(GRID))).reshape(sums.shape)
    return sums / GRID


def shares_of(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Noisy counts of classes as shares; all alike where nothing is left.

    >>> shares_of(np.array([3.0, -1.0, 1.0])).tolist()
    [0.75, 0.0, 0.25]
    """
    kept = np.maximum(counts, 0.0)
    total = kept.sum()
    return np.asarray(kept / total if total > 0 else np.full(len(kept), 1 / len(kept)))


def one_each(pixels: NDArray[np.float32]) -> NDArray[np.float64]:
    """The feature that counts images."""
    return np.ones((len(pixels), 1))
