"""The distances of Kolmogorov-Smirnov and Wasserstein between columns of numbers, with their noise floor.

With F and G the cumulative shares before and after: the largest |F - G| (Kolmogorov 1933, Smirnov 1948),
and the integral of |F - G| (Wasserstein of order 1; Vallender 1974), which is how far people were moved on
average. The latter is told as a share of the original's mean absolute deviation from its median, so that it
has no unit: 1 is what putting everybody at the median would do.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sfumato.contracts import Comparison
from sfumato.core.values import Finding
from sfumato.evidence.report import Figure, Report
from sfumato.evidence.utility.influence import influences, interval
from sfumato.evidence.utility.terms import number_pair, resamples

FLOOR_DRAWS = 5
LEAST_KNOWN = 10

#: From differences of cumulative shares and the steps between values: a distance, and its derivative at the
#: share after of each value.
Distance = Callable[[NDArray[np.float64], NDArray[np.float64]], tuple[float, NDArray[np.float64]]]


class _Pair(NamedTuple):
    """The people whose number is known before, or after where they leave, and where it lies on the grid."""

    grid: NDArray[np.float64]
    before: NDArray[np.int64]
    after: NDArray[np.int64]

    @classmethod
    def of(cls, before: NDArray[np.float64], after: NDArray[np.float64]) -> _Pair:
        grid = np.unique(np.concatenate([before[~np.isnan(before)], after[~np.isnan(after)]]))
        places = (np.where(np.isnan(v), -1, np.searchsorted(grid, v)) for v in (before, after))
        return cls(grid, *places)


def number_findings(
    report: Report, comparison: Comparison, described: pl.DataFrame, names: list[str]
) -> list[Finding]:
    """``distributions.ks`` and ``distributions.wasserstein`` of each column of numbers, and their means."""
    n = int(comparison.kept.sum())
    drawn = list(resamples(comparison, "numbers", FLOOR_DRAWS))
    pairs = {}
    for name in names:
        values = number_pair(comparison, described[name], name)
        if values is None:
            continue
        known = [~np.isnan(side) for side in values]
        if min(known[0].sum(), (known[1] & comparison.kept).sum()) >= LEAST_KNOWN:
            pairs[name] = _Pair.of(values[0], np.where(comparison.kept, values[1], np.nan))
    distances = {"distributions.ks": _ks, "distributions.wasserstein": _wasserstein}
    return [
        finding
        for metric, distance in distances.items()
        for finding in _findings(report, metric, distance, pairs, drawn, n)
    ]


def _findings(
    report: Report,
    metric: str,
    distance: Distance,
    pairs: dict[str, _Pair],
    drawn: list[NDArray[np.int64]],
    n: int,
) -> list[Finding]:
    each = {name: _measured(pair, distance, drawn) for name, pair in pairs.items()}
    each = {name: found for name, found in each.items() if np.isfinite(found[0]).all()}
    if not each:
        return [report.silent(metric, "not-measured", "no released column has numbers to compare", n=n)]
    mean = Figure(*(float(part) for part in np.mean([figure for figure, _ in each.values()], axis=0)))
    floor = float(np.mean([floor for _, floor in each.values()]))
    note = f"mean over {len(each)} columns of numbers"
    return [
        report.measured(metric, mean, n, before=0.0, baseline=floor, note=note),
        *(
            report.measured(metric, figure, n, target=name, before=0.0, baseline=floor)
            for name, (figure, floor) in each.items()
        ),
    ]


def _measured(pair: _Pair, distance: Distance, drawn: list[NDArray[np.int64]]) -> tuple[Figure, float]:
    """A distance with its interval, and the mean one of resamples."""
    steps = _steps(pair)
    before = _cumulative(pair.before, len(pair.grid))
    value, slope = distance(_cumulative(pair.after, len(pair.grid)) - before, steps)
    parts = _known(-slope, pair.before) + _known(slope, pair.after)
    floors = [distance(_cumulative(pair.before[rows], len(pair.grid)) - before, steps)[0] for rows in drawn]
    top = 1.0 if distance is _ks else np.inf
    return interval(value, parts, 0.0, top), float(np.mean(floors))


def _known(slope: NDArray[np.float64], places: NDArray[np.int64]) -> NDArray[np.float64]:
    """Influences through the side on which people have a number; the others add nothing."""
    known = places >= 0
    return influences(np.zeros(len(places)), slope[places], known)


def _cumulative(places: NDArray[np.int64], size: int) -> NDArray[np.float64]:
    counts = np.bincount(places[places >= 0], minlength=size)
    return np.asarray(np.cumsum(counts) / max(1, counts.sum()), dtype=np.float64)


def _steps(pair: _Pair) -> NDArray[np.float64]:
    """The widths between values in mean absolute deviations of the original; the last is 0."""
    values = pair.grid[pair.before[pair.before >= 0]]
    middle = np.median(values)
    deviation = float(np.abs(values - middle).mean())
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        return np.append(np.diff(pair.grid), 0.0) / deviation


def _ks(difference: NDArray[np.float64], steps: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
    del steps
    most = int(np.argmax(np.abs(difference)))
    sign = np.sign(difference[most])
    return float(abs(difference[most])), np.where(np.arange(len(difference)) <= most, sign, 0.0)


def _wasserstein(
    difference: NDArray[np.float64], steps: NDArray[np.float64]
) -> tuple[float, NDArray[np.float64]]:
    # What somebody at a place adds to the integral: the signed widths from there on.
    signed = np.sign(difference) * steps
    return float(np.abs(difference) @ steps), np.cumsum(signed[::-1])[::-1]
