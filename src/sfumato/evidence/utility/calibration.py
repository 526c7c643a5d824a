"""Do a model's probabilities come true? The Brier score and the expected calibration error."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sfumato.core.keyed import derive, generator
from sfumato.core.values import Finding
from sfumato.evidence.intervals import percentile, resample_counts
from sfumato.evidence.learners import Learned
from sfumato.evidence.report import Report

BINS = 10
FLOOR_DRAWS = 20
NO_PROBABILITIES = "the target is a number, and has no probabilities"


def calibration(
    report: Report,
    outcome: Learned,
    drawn: NDArray[np.float64] | None,
    resamples: int,
    key: bytes,
    note: str,
) -> list[Finding]:
    """``learning.brier`` and ``learning.calibration``.

    The Brier score (1950) is the mean over people of the squared error of the probabilities, halved so that
    two classes have the usual figure; its ``baseline`` is saying the original's shares of everybody. The
    calibration error (Naeini, Cooper & Hauskrecht 2015) is the mean difference, over ten bins of as many
    people, of the probability of the greater of two classes, or of the most likely of more, and how often it
    came true; its ``baseline`` is what true probabilities would show by chance (Bröcker & Smith 2007).

    Args:
        drawn: what a learner says that was taught by a resample of the original.
    """
    metrics = ("learning.brier", "learning.calibration")
    if not outcome.classes:
        return [report.silent(metric, "not-measured", NO_PROBABILITIES) for metric in metrics]
    truth, n = outcome.truth, len(outcome.truth)
    losses = {
        name: losses_of(said, truth) for name, said in (("before", outcome.before), ("after", outcome.after))
    }
    blind = losses_of(np.tile(outcome.rates, (n, 1)), truth)
    before, after = (_events(said, truth) for said in (outcome.before, outcome.after))
    means, errors = [], []
    for weights in resample_counts(n, resamples, key):
        means.append(weights @ losses["after"] / n)
        errors.append(_errors(*after, weights))
    return [
        report.measured(
            "learning.brier",
            percentile(float(losses["after"].mean()), np.concatenate(means)),
            n,
            before=float(losses["before"].mean()),
            baseline=float(blind.mean()),
            control=None if drawn is None else float(losses_of(drawn, truth).mean()),
            note=note,
        ),
        report.measured(
            "learning.calibration",
            percentile(expected_error(*after), np.concatenate(errors)),
            n,
            before=expected_error(*before),
            baseline=_by_chance(after[0], derive(key, "calibration")),
            control=None if drawn is None else expected_error(*_events(drawn, truth)),
            note=note,
        ),
    ]


def losses_of(said: NDArray[np.float64], truth: NDArray[np.int64]) -> NDArray[np.float64]:
    """Each person's squared error of the probabilities, halved, shape (people,)."""
    found: NDArray[np.float64] = ((said - np.eye(said.shape[1])[truth]) ** 2).sum(axis=1) / 2
    return found


def _events(
    said: NDArray[np.float64], truth: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """What is foretold of each person with which probability, and whether it came true."""
    if said.shape[1] == 2:
        return said[:, 1], truth == 1
    likely = said.argmax(axis=1)
    return said[np.arange(len(said)), likely], likely == truth


def expected_error(said: NDArray[np.float64], came: NDArray[np.bool_]) -> float:
    """The expected calibration error in bins of as many people.

    >>> said = np.repeat([0.1, 0.9], 50)
    >>> came = np.arange(100) >= 50
    >>> round(expected_error(said, came), 6)
    0.1
    """
    return float(_errors(said, came, np.ones((1, len(said))))[0])


def _errors(
    said: NDArray[np.float64], came: NDArray[np.bool_], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The calibration error for each row of people's weights, shape (resamples,)."""
    order = np.argsort(said, kind="stable")
    # Equal probabilities are in one bin, so that the order of people makes no difference.
    edges = np.searchsorted(said[order], said[order][np.arange(BINS) * len(said) // BINS])
    starts = np.unique(edges)
    signed = (came - said)[order]
    within = np.add.reduceat(weights[:, order] * signed, starts, axis=1)
    return np.asarray(np.abs(within).sum(axis=1) / len(said), dtype=np.float64)


def _by_chance(said: NDArray[np.float64], key: bytes) -> float:
    """The mean error if each probability were true."""
    draw = generator(key)
    return float(np.mean([expected_error(said, draw.random(len(said)) < said) for _ in range(FLOOR_DRAWS)]))
