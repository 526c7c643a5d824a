"""Intervals for shares, differences, means and areas under the ROC curve.

Closed forms where they exist, else the percentile bootstrap (Efron & Tibshirani 1993, ch. 13) with
a keyed generator, all resamples at once. Every interval is two-sided at ``level``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from sfumato.core.keyed import generator
from sfumato.evidence.report import Figure

LEVEL = 0.95

#: Cells of resampling weights held at a time: bounds the memory of a bootstrap to some 30 MB.
_BLOCK = 2_000_000


def _normal_quantile(level: float) -> float:
    from scipy.special import ndtri

    return float(ndtri(0.5 + level / 2))


def wilson(share: float, n: int, level: float = LEVEL) -> Figure:
    """The score interval of a share (Wilson 1927; Brown, Cai & DasGupta 2001).

    It serves the mean of any figures in 0..1 (a link shared among ties counts a fraction) as well:
    their variance is at most that of a yes or no with the same mean, so the interval is at least
    wide enough.

    Args:
        share: the mean, in 0..1.
        n: the number of people; 0 gives an interval of everything and no value.

    >>> [round(part, 4) for part in wilson(0.1, 100)]
    [0.1, 0.0552, 0.1744]
    """
    if n <= 0:
        return Figure(math.nan, 0.0, 1.0)
    z = _normal_quantile(level)
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(max(0.0, share * (1 - share)) / n + z * z / (4 * n * n))
    return Figure(share, min(share, max(0.0, middle - half)), max(share, min(1.0, middle + half)))


def clopper_pearson(successes: int, n: int, level: float = LEVEL) -> Figure:
    """The exact interval of a share of yes or no, never too narrow (Clopper & Pearson 1934).

    >>> [round(part, 4) for part in clopper_pearson(10, 100)]
    [0.1, 0.049, 0.1762]
    """
    from scipy.special import betaincinv

    if n <= 0:
        return Figure(math.nan, 0.0, 1.0)
    tail = (1 - level) / 2
    low = 0.0 if successes == 0 else float(betaincinv(successes, n - successes + 1, tail))
    high = 1.0 if successes == n else float(betaincinv(successes + 1, n - successes, 1 - tail))
    return Figure(successes / n, low, high)


def exact_difference(first: int, of: int, second: int, of_second: int, level: float = LEVEL) -> Figure:
    """The difference of two independent shares of yes or no, never too narrow.

    Clopper & Pearson's limits of both, each missing its share half as often (Bonferroni).

    >>> [round(part, 4) for part in exact_difference(0, 1000, 0, 1000)]
    [0.0, -0.0044, 0.0044]
    """
    one, other = (
        clopper_pearson(successes, n, (1 + level) / 2) for successes, n in ((first, of), (second, of_second))
    )
    return Figure(one.value - other.value, one.low - other.high, one.high - other.low)


def newcombe(first: Figure, second: Figure) -> Figure:
    """The difference of two independent shares from their own score intervals.

    Newcombe's hybrid score method (1998, *Statistics in Medicine* 17:873-890, method 10), which
    keeps its coverage near 0 and 1 where the normal interval collapses.

    >>> [round(part, 4) for part in newcombe(wilson(56 / 70, 70), wilson(48 / 80, 80))]
    [0.2, 0.0524, 0.3339]
    """
    value = first.value - second.value
    below = math.hypot(first.value - first.low, second.high - second.value)
    above = math.hypot(first.high - first.value, second.value - second.low)
    return Figure(value, max(-1.0, value - below), min(1.0, value + above))


def percentile(value: float, resampled: NDArray[np.float64], level: float = LEVEL) -> Figure:
    """A value with the percentiles of its resampled versions, undefined ones left out.

    More than one in twenty undefined leaves no interval to speak of, and no value.
    """
    defined = resampled[np.isfinite(resampled)]
    if not math.isfinite(value) or len(defined) < 0.95 * len(resampled) or not len(defined):
        return Figure(math.nan, math.nan, math.nan)
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return Figure(value, min(value, float(low)), max(value, float(high)))


def resample_counts(n: int, resamples: int, key: bytes) -> Iterator[NDArray[np.float64]]:
    """How often each of ``n`` people is drawn in each resample, in blocks of shape (block, n)."""
    draw = generator(key)
    block = max(1, _BLOCK // max(1, n))
    for start in range(0, resamples, block):
        size = min(block, resamples - start)
        drawn = draw.integers(0, n, size=(size, n)) + np.arange(size)[:, None] * n
        yield np.bincount(drawn.ravel(), minlength=size * n).reshape(size, n).astype(np.float64)


def bootstrap_mean(values: NDArray[np.float64], key: bytes, resamples: int = 500) -> Figure:
    """The mean of figures of people, shape (n,)."""
    if not len(values):
        return Figure(math.nan, math.nan, math.nan)
    means = [counts @ values / len(values) for counts in resample_counts(len(values), resamples, key)]
    return percentile(float(values.mean()), np.concatenate(means))


def bootstrap_difference(
    first: NDArray[np.float64], second: NDArray[np.float64], key: bytes, resamples: int = 500
) -> Figure:
    """The mean of ``first - second``, two figures of the same people, resampled in pairs."""
    return bootstrap_mean(first - second, key, resamples)


def auc(truth: NDArray[np.bool_], scores: NDArray[np.float64]) -> float:
    """The area under the ROC curve, ties counted half (Hanley & McNeil 1982); NaN with one class.

    >>> auc(np.array([False, True, True]), np.array([0.1, 0.1, 0.9]))
    0.75
    """
    return float(weighted_auc(truth, scores, np.ones((1, len(truth))))[0])


def weighted_auc(
    truth: NDArray[np.bool_], scores: NDArray[np.float64], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The area under the ROC curve for each row of people's weights.

    The rank sum of Mann & Whitney (1947) with weights: each positive counts the negatives below it,
    and half of those it ties with.

    Args:
        truth: shape (n,), who is positive.
        scores: shape (n,).
        weights: shape (resamples, n), not negative.

    Returns:
        Shape (resamples,), NaN where a class has no weight.
    """
    if not len(truth):
        return np.full(len(weights), math.nan)
    order = np.argsort(scores, kind="stable")
    ordered, positive = scores[order], truth[order]
    sorted_weights = weights[:, order]
    positives, negatives = sorted_weights * positive, sorted_weights * ~positive
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    tied_positives = np.add.reduceat(positives, starts, axis=1)
    tied_negatives = np.add.reduceat(negatives, starts, axis=1)
    below = np.cumsum(tied_negatives, axis=1) - tied_negatives
    wins = (tied_positives * (below + tied_negatives / 2)).sum(axis=1)
    pairs = positives.sum(axis=1) * negatives.sum(axis=1)
    result: NDArray[np.float64] = np.divide(wins, pairs, out=np.full(len(weights), math.nan), where=pairs > 0)
    return result
