"""Figures of what is counted by person, with intervals that resample people: a person is one draw, however
much there is of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sfumato.core.keyed import derive
from sfumato.core.values import Finding
from sfumato.evidence.intervals import resample_counts
from sfumato.evidence.report import Figure, Report

#: Stretches in which numbers are compared.
BINS = 200
_Z = 1.959964

#: Counts by person, shape (people, what is counted), or such a sparse array.
Counts = NDArray[np.float64]


@dataclass(frozen=True)
class Measured:
    """One figure: a distance of what is counted of those who taught and of made ones; of several, the mean.

    ``people`` are how many each side has.
    """

    metric: str
    target: str
    people: tuple[int, int]
    sides: Iterable[tuple[Any, Any]]
    apart: Callable[[Counts, Counts], NDArray[np.float64]]


def finding(report: Report, one: Measured, resamples: int, key: bytes, nobody: str, note: str) -> Finding:
    """A figure with its interval (95 %, normal, the standard error by the bootstrap).

    Args:
        nobody: why there is no figure where nothing is counted on one of the sides.
    """
    weights = [
        np.concatenate([np.ones((1, many)), *resample_counts(many, resamples, derive(key, str(place)))])
        for place, many in enumerate(one.people)
    ]
    found = []
    for sides in one.sides:
        # Per person of its side, so that sides of different size compare.
        totals = [drawn @ side / many for drawn, side, many in zip(weights, sides, one.people, strict=True)]
        if not all(total[0].sum() for total in totals):
            return report.silent(one.metric, "no-power", nobody, target=one.target, n=one.people[0])
        found.append(one.apart(totals[0], totals[1]))
    apart = np.mean(found, axis=0)
    value, error = float(apart[0]), float(np.std(apart[1:]))
    figure = Figure(value, max(0.0, value - _Z * error), value + _Z * error)
    return report.measured(one.metric, figure, one.people[0], target=one.target, note=note)


def kolmogorov(taught: Counts, made: Counts) -> NDArray[np.float64]:
    """The largest difference of cumulative shares, of each row of totals."""
    apart = np.abs(np.cumsum(_shares(taught), axis=1) - np.cumsum(_shares(made), axis=1))
    return np.asarray(apart.max(axis=1))


def variation(taught: Counts, made: Counts) -> NDArray[np.float64]:
    """The total variation distance of each row of totals."""
    return np.asarray(np.abs(_shares(taught) - _shares(made)).sum(axis=1) / 2)


def means_apart(taught: Counts, made: Counts) -> NDArray[np.float64]:
    """How far the mean is off, as a share of that of who taught."""
    return np.asarray(np.abs(made / np.maximum(taught, np.finfo(float).tiny) - 1)[:, 0])


def cuts(*values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Up to which value each stretch goes; one a value where there are few."""
    distinct = np.unique(np.concatenate(values))
    if len(distinct) <= BINS:
        return distinct
    shares = np.arange(1, BINS // 2) / (BINS // 2)
    return np.unique([np.quantile(part, shares, method="lower") for part in values if len(part)])


def _shares(totals: Counts) -> Counts:
    return np.asarray(totals / np.maximum(totals.sum(axis=1, keepdims=True), np.finfo(float).tiny))
