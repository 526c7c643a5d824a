"""What a trained model is good for, on people who did not teach it.

These figures are of raw rows: beside a release under differential privacy they stay in the house, for nobody
charged them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sfumato.core.keyed import derive
from sfumato.core.values import Finding
from sfumato.evidence.intervals import (
    auc,
    bootstrap_mean,
    clopper_pearson,
    percentile,
    resample_counts,
    weighted_auc,
)
from sfumato.evidence.report import Figure, Metric, Report
from sfumato.evidence.utility.calibration import expected_error

REPORT = Report(
    "model",
    {
        "model.auc": Metric("high", "auc", "area under the ROC curve, on people who did not teach the model"),
        "model.accuracy": Metric("high", "share", "people whose class the model names"),
        "model.calibration": Metric(
            "low", "probability", "how far its probabilities are from what comes true"
        ),
        "model.error": Metric("low", "distance", "mean distance of a foretold number from the true one"),
    },
)
_RESAMPLES = 500
_LEAST = 30

Said = NDArray[np.float64]


def of_classes(said: Said, truth: NDArray[np.int64], before: Said | None, key: bytes) -> list[Finding]:
    """How well probabilities foretell classes.

    Args:
        said: of each class, shape (people, classes).
        truth: the number of each person's class.
        before: what a model without noise says of the same people, None if there is none.
        key: of the resamples.
    """
    n = len(truth)
    if n < _LEAST:
        return [REPORT.silent("model.accuracy", "no-power", "too few people to test on", n=n)]
    right = said.argmax(axis=1) == truth
    found = [
        REPORT.measured(
            "model.accuracy",
            clopper_pearson(int(right.sum()), n),
            n,
            before=None if before is None else float((before.argmax(axis=1) == truth).mean()),
            baseline=float(np.bincount(truth).max() / n),
        )
    ]
    if said.shape[1] == 2:
        positive = truth == 1
        found += [
            REPORT.measured(
                "model.auc",
                _area(positive, said[:, 1], derive(key, "auc")),
                n,
                before=None if before is None else auc(positive, before[:, 1]),
                baseline=0.5,
            ),
            REPORT.measured(
                "model.calibration",
                _error(said[:, 1], positive, derive(key, "calibration")),
                n,
                before=None if before is None else expected_error(before[:, 1], positive),
            ),
        ]
    return found


def of_numbers(said: Said, truth: Said, before: Said | None, key: bytes) -> list[Finding]:
    """How far foretold numbers are from true ones, in the unit of the target; shapes (people,)."""
    n = len(truth)
    if n < _LEAST:
        return [REPORT.silent("model.error", "no-power", "too few people to test on", n=n)]
    return [
        REPORT.measured(
            "model.error",
            bootstrap_mean(np.abs(said - truth), derive(key, "error")),
            n,
            before=None if before is None else float(np.abs(before - truth).mean()),
            baseline=float(np.abs(truth - np.median(truth)).mean()),
        )
    ]


def _area(positive: NDArray[np.bool_], scores: Said, key: bytes) -> Figure:
    blocks = resample_counts(len(scores), _RESAMPLES, key)
    drawn = np.concatenate([weighted_auc(positive, scores, block) for block in blocks])
    return percentile(auc(positive, scores), drawn)


def _error(said: Said, came: NDArray[np.bool_], key: bytes) -> Figure:
    """The calibration error, with resampled people each time."""
    drawn = []
    for block in resample_counts(len(said), _RESAMPLES, key):
        for times in block.astype(np.int64):
            people = np.repeat(np.arange(len(said)), times)
            drawn.append(expected_error(said[people], came[people]))
    return percentile(expected_error(said, came), np.array(drawn))
