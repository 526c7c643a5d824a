"""How good a classifier of images is, and how much its probabilities mean: exact figures, for the house."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_RESAMPLES, _BINS = 200, 10

MEASURES = {
    "accuracy": "accuracy",
    "auc": "AUC (mean over classes, one against the rest)",
    "ece": "calibration error (ECE, 10 bins)",
    "brier": "Brier score",
}


def measured(
    truth: NDArray[np.int64], proba: NDArray[np.float64], *, units: Sequence[str] | None, key: bytes
) -> dict[str, tuple[float, float, float]]:
    """Each measure with the 2.5 % and 97.5 % points of a bootstrap over patients (or images).

    Args:
        truth: shape (n,), classes.
        proba: shape (n, classes).
        units: for each image its patient; None if each is for itself.
        key: of the resampling, 32 bytes.
    """
    _, of = np.unique(np.arange(len(truth)) if units is None else np.array(units), return_inverse=True)
    rows = [np.flatnonzero(of == unit) for unit in range(int(of.max()) + 1)]
    draw = np.random.Generator(np.random.PCG64(int.from_bytes(key, "big")))
    exact = _measures(truth, proba)
    again = []
    for _ in range(_RESAMPLES):
        taken = np.concatenate([rows[unit] for unit in draw.integers(0, len(rows), len(rows))])
        if len(np.unique(truth[taken])) == proba.shape[1]:
            again.append(_measures(truth[taken], proba[taken]))
    ends = {name: np.percentile([one[name] for one in again] or [np.nan], [2.5, 97.5]) for name in exact}
    return {
        name: (round(value, 4), round(float(ends[name][0]), 4), round(float(ends[name][1]), 4))
        for name, value in exact.items()
    }


def _measures(truth: NDArray[np.int64], proba: NDArray[np.float64]) -> dict[str, float]:
    from scipy.stats import rankdata

    hit, sure = proba.argmax(axis=1) == truth, proba.max(axis=1)
    bins = np.minimum((sure * _BINS).astype(int), _BINS - 1)
    gaps = [abs(float((sure - hit)[bins == one].sum())) for one in range(_BINS)]
    wanted = np.eye(proba.shape[1])[truth]
    inside = wanted.sum(axis=0)
    # The area under the curve is the Mann-Whitney statistic: ranks summed over a class.
    ranks = (rankdata(proba, axis=0) * wanted).sum(axis=0) - inside * (inside + 1) / 2
    return {
        "accuracy": float(hit.mean()),
        "auc": float(np.mean(ranks / (inside * (len(truth) - inside)))),
        "ece": sum(gaps) / len(truth),
        "brier": float(((proba - wanted) ** 2).sum(axis=1).mean()),
    }
