"""What made images are good for: a classifier that they teach, and how like real ones they are as a whole."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from sfumato.core.keyed import derive
from sfumato.core.values import Finding
from sfumato.evidence.images.nearness import LEAST
from sfumato.evidence.images.pictures import SPACES, Pictures
from sfumato.evidence.intervals import percentile, resample_counts, weighted_auc
from sfumato.evidence.report import Figure, Report

_RESAMPLES = 300
_MOST = 1000
_FEW = f"fewer than {LEAST} images were made or held out"
_ONE_CLASS = "of one class alone, and nothing can be told apart"
_LEARNER = "a linear classifier on scattering features, tested on real images held out"


def worth(
    report: Report, made: Pictures, learned: Pictures, held: Pictures, classes: int, key: bytes
) -> Iterator[Finding]:
    """The classifier, balance of classes, distance and variety."""
    few = min(len(made), len(held)) < LEAST
    if few or len(np.unique(held.labels)) < 2:
        for metric in ("images.classifier_accuracy", "images.classifier_auc"):
            yield report.silent(metric, "no-power", _FEW if few else _ONE_CLASS, n=len(held))
    else:
        yield from _classifier(report, made, learned, held, classes, derive(key, "classifier"))
    if few:
        for metric in ("images.class_balance", "images.variety"):
            yield report.silent(metric, "no-power", _FEW, n=len(made))
        for space in SPACES:
            yield report.silent("images.distance", "no-power", _FEW, target=space, n=len(made))
        return
    yield _balance(report, made, learned, held, classes, derive(key, "balance"))
    parts = [
        some.some(_MOST, derive(key, "some", name))
        for name, some in zip("mlh", (made, learned, held), strict=True)
    ]
    for space in SPACES:
        yield _distance(report, space, *(part.space(space) for part in parts))
    yield _variety(report, parts[0], parts[1], parts[2], derive(key, "variety"))


def _classifier(
    report: Report, made: Pictures, learned: Pictures, held: Pictures, classes: int, key: bytes
) -> Iterator[Finding]:
    ours, real = (taught(some, held, classes) for some in (made, learned))
    weights = np.concatenate(
        [counts[:, held.of] for counts in resample_counts(int(held.of.max()) + 1, _RESAMPLES, key)]
    )
    even = np.ones((1, len(held)))
    guess = float(np.bincount(held.labels).max() / len(held))

    def accuracy(proba: NDArray[np.float64], weight: NDArray[np.float64]) -> NDArray[np.float64]:
        hit = (proba.argmax(axis=1) == held.labels).astype(float)
        return np.asarray(weight @ hit / weight.sum(axis=1))

    def area(proba: NDArray[np.float64], weight: NDArray[np.float64]) -> NDArray[np.float64]:
        present = np.unique(held.labels)
        areas = [weighted_auc(held.labels == kind, proba[:, kind], weight) for kind in present]
        return np.asarray(np.mean(areas, axis=0))

    for metric, figure, baseline in (
        ("images.classifier_accuracy", accuracy, guess),
        ("images.classifier_auc", area, 0.5),
    ):
        yield report.measured(
            metric,
            percentile(float(figure(ours, even)[0]), figure(ours, weights)),
            len(held),
            before=float(figure(real, even)[0]),
            baseline=baseline,
            note=_LEARNER,
        )


def taught(some: Pictures, held: Pictures, classes: int) -> NDArray[np.float64]:
    """What a classifier taught by some images says of those held out: probabilities, shape (n, classes)."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    proba = np.zeros((len(held), classes))
    present = np.unique(some.labels)
    if len(present) == 1:
        proba[:, present] = 1.0
        return proba
    with threadpool_limits(1), warnings.catch_warnings():
        # Made images may be told apart wholly; the number of steps is fixed, and so is what comes of them.
        warnings.simplefilter("ignore", ConvergenceWarning)
        fitted = LogisticRegression(C=100.0, max_iter=2000).fit(some.space("features"), some.labels)
        proba[:, present] = fitted.predict_proba(held.space("features"))
    return proba


def _balance(
    report: Report, made: Pictures, learned: Pictures, held: Pictures, classes: int, key: bytes
) -> Finding:
    """Total variation between the classes of made and of held-out images."""
    shares = [np.bincount(some.labels, minlength=classes) / len(some) for some in (made, learned)]
    kinds = np.eye(classes)[held.labels]
    resampled = []
    for counts in resample_counts(int(held.of.max()) + 1, _RESAMPLES, key):
        weights = counts[:, held.of]
        theirs = weights @ kinds / weights.sum(axis=1, keepdims=True)
        resampled.append(np.abs(theirs - shares[0]).sum(axis=1) / 2)
    ours, real = (float(np.abs(share - kinds.mean(axis=0)).sum() / 2) for share in shares)
    return report.measured(
        "images.class_balance",
        percentile(ours, np.concatenate(resampled)),
        len(made),
        control=real,
        note="total variation; the control is that of the images learned from",
    )


def _distance(
    report: Report,
    space: str,
    made: NDArray[np.float64],
    learned: NDArray[np.float64],
    held: NDArray[np.float64],
) -> Finding:
    scale = _median(learned, held)
    return report.measured(
        "images.distance",
        discrepancy(made, held, scale),
        len(made),
        target=space,
        control=discrepancy(learned, held, scale).value,
        note="the control is the distance between images learned from and held out: the noise floor",
    )


def discrepancy(first: NDArray[np.float64], second: NDArray[np.float64], scale: float) -> Figure:
    """The squared maximum mean discrepancy, unbiased, with a normal interval (Gretton et al. 2012).

    Args:
        first, second: shapes (n, width) and (m, width), two at least.
        scale: of the Gaussian kernel, L2.

    >>> draw = np.random.default_rng(0)
    >>> one, other = draw.normal(0, 1, (300, 2)), draw.normal(1, 1, (300, 2))
    >>> 0.1 < discrepancy(one, other, 1.0).value < 0.4
    True
    """
    n, m = len(first), len(second)
    own = _kernel(first, first, scale)
    theirs = _kernel(second, second, scale)
    cross = _kernel(first, second, scale)
    # Each point's part: the mean over others of its own kind less that over the other kind.
    here = (own.sum(axis=1) - 1) / (n - 1) - cross.mean(axis=1)
    there = (theirs.sum(axis=1) - 1) / (m - 1) - cross.mean(axis=0)
    value = float(here.mean() + there.mean())
    half = 1.96 * 2 * math.sqrt(float(here.var(ddof=1)) / n + float(there.var(ddof=1)) / m)
    return Figure(value, value - half, value + half)


def _kernel(one: NDArray[np.float64], other: NDArray[np.float64], scale: float) -> NDArray[np.float64]:
    return np.asarray(np.exp(-_squared(one, other) / (2 * scale**2)))


def _squared(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    found = (one**2).sum(axis=1)[:, None] + (other**2).sum(axis=1) - 2 * one @ other.T
    return np.asarray(np.maximum(found, 0.0))


def _median(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    found = float(np.sqrt(np.median(_squared(one, other))))
    return found if found > 0 else 1.0


def _variety(report: Report, made: Pictures, learned: Pictures, held: Pictures, key: bytes) -> Finding:
    """How unlike images of one class are, as a share of how unlike real ones are."""
    theirs, control = _spread(held)[1], _spread(learned)[1]
    values, ours = _spread(made)
    resampled = [
        counts @ values / counts.sum(axis=1) for counts in resample_counts(len(values), _RESAMPLES, key)
    ]
    figure = percentile(ours, np.concatenate(resampled))
    ratio = Figure(*(part / theirs if theirs > 0 else math.nan for part in figure))
    return report.measured(
        "images.variety",
        ratio,
        len(made),
        control=control / theirs if theirs > 0 else None,
        note="variance of pixels inside a class over that of real images held out; near zero, all are alike",
    )


def _spread(some: Pictures) -> tuple[NDArray[np.float64], float]:
    """Each image's squared distance from the mean of its class, and their mean."""
    flat = some.space("pixels")
    _, kinds = np.unique(some.labels, return_inverse=True)
    counts = np.bincount(kinds)
    means = np.zeros((len(counts), flat.shape[1]))
    np.add.at(means, kinds, flat)
    apart = ((flat - (means / counts[:, None])[kinds]) ** 2).sum(axis=1)
    # Of few images the mean lies too near: the usual correction.
    apart = apart * (counts / np.maximum(counts - 1, 1))[kinds]
    return apart, float(apart.mean())
