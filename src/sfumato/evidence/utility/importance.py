"""Do the same columns matter? Permutation importance of both learners, and how its ranks agree."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sfumato.core.keyed import derive, generator
from sfumato.core.values import Finding
from sfumato.evidence.estimators import Taught
from sfumato.evidence.intervals import percentile, resample_counts
from sfumato.evidence.learners import Learned
from sfumato.evidence.report import Report
from sfumato.evidence.utility.calibration import losses_of

LEAST_COLUMNS = 3
MOST_PEOPLE = 2_000
FEW = f"fewer than {LEAST_COLUMNS} columns to rank"


def agreement(report: Report, outcome: Learned, resamples: int, key: bytes, note: str) -> Finding:
    """``learning.importance``: Spearman's correlation of the two rankings of columns.

    The importance of a column is by how much the mean squared error on held-out people rises when its
    values are permuted among them (Breiman 2001; Fisher, Rudin & Dominici 2019). A column that the release
    does not have, or has the same for everybody, matters nothing to the model it taught.
    """
    lesson = outcome.lesson
    people = generator(derive(key, "importance", "people")).permutation(len(outcome.truth))[:MOST_PEOPLE]
    order = generator(derive(key, "importance")).permutation(len(people))
    columns = list(dict.fromkeys(outcome.by_original.owners))
    if len(columns) < LEAST_COLUMNS:
        return report.silent("learning.importance", "no-power", FEW, n=len(people))
    truth = outcome.truth[people]
    before, after = (
        _rises(model, frame[people], truth, columns, order)
        for model, frame in (
            (outcome.by_original, lesson.tested.frame),
            (outcome.by_release, lesson.described),
        )
    )
    values = [
        _spearman(weights @ before.T, weights @ after.T)
        for weights in (np.ones((1, len(people))), *resample_counts(len(people), resamples, key))
    ]
    found = np.concatenate(values)
    if not math.isfinite(found[0]):
        same = "all columns matter alike to one of the models"
        return report.silent("learning.importance", "no-power", same, n=len(people))
    return report.measured(
        "learning.importance",
        percentile(float(found[0]), found[1:]),
        len(people),
        before=1.0,
        baseline=0.0,
        note=f"{len(columns)} columns; {note}",
    )


def _rises(
    model: Taught,
    frame: pl.DataFrame,
    truth: NDArray[np.float64],
    columns: list[str],
    order: NDArray[np.int64],
) -> NDArray[np.float64]:
    """By how much each person's error rises with each column permuted, shape (columns, people)."""
    matrix, owners = model.matrix(frame), np.array(model.owners, dtype=object)
    usual = _losses(model, matrix, truth)
    rises = np.zeros((len(columns), len(truth)))
    for j, column in enumerate(columns):
        of = np.flatnonzero(owners == column)
        if len(of):
            changed = matrix.copy()
            changed[:, of] = matrix[np.ix_(order, of)]
            rises[j] = _losses(model, changed, truth) - usual
    return rises


def _losses(model: Taught, matrix: NDArray[np.float64], truth: NDArray[np.float64]) -> NDArray[np.float64]:
    said = model.predicts(matrix)
    if said.shape[1] > 1:
        return losses_of(said, truth.astype(np.int64))
    return np.asarray((said[:, 0] - truth) ** 2, dtype=np.float64)


def _spearman(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """The rank correlation of each row of two matrices; NaN where all ranks are the same."""
    from scipy.stats import rankdata

    ranks = [rankdata(side, axis=1) for side in (first, second)]
    centered = [side - side.mean(axis=1, keepdims=True) for side in ranks]
    sizes = np.sqrt((centered[0] ** 2).sum(axis=1) * (centered[1] ** 2).sum(axis=1))
    products = (centered[0] * centered[1]).sum(axis=1)
    found: NDArray[np.float64] = np.divide(
        products, sizes, out=np.full(len(sizes), math.nan), where=sizes > 0
    )
    return found
