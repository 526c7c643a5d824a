"""How far each released column's distribution is from the original's, and how much detail is left.

Two losses that must not be mixed. *Distortion* is the total variation distance between what the
release says of the people offered to it and what it would say if nobody had been suppressed and
nothing disturbed: both sides in the release's own terms, so that an honest coarse label is no
distortion. *Detail* is the share of pairs of people whom the column told apart and still does.

Labels that overlap (local recoding) have no terms that a value could be put into. There the values are
compared with the labels' people spread equally over the values they cover, as a reader has to take them:
what that gets wrong of the values under a label is distortion too. Such labels tell two people apart only
if they share no value.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sfumato import contracts
from sfumato.contracts import Comparison
from sfumato.core.keyed import derive, generator
from sfumato.core.values import Finding
from sfumato.evidence.features import LabelBins, NumberBins, labels, numbers
from sfumato.evidence.overlap import Spread, told_apart
from sfumato.evidence.report import Figure, Metric, Report
from sfumato.evidence.utility.numbers import number_findings
from sfumato.evidence.utility.terms import fact_columns

REPORT = Report(
    "distributions",
    {
        "distributions.tv": Metric(
            "low", "distance", "total variation distance of released columns from the original's"
        ),
        "distributions.ks": Metric(
            "low", "distance", "largest difference of the cumulative shares of a column of numbers"
        ),
        "distributions.wasserstein": Metric(
            "low", "distance", "distance that numbers moved, as a share of their mean deviation"
        ),
        "distributions.precision": Metric(
            "high", "share", "share of pairs told apart by a column's original values and still told apart"
        ),
    },
)

RESAMPLES = 200
FLOOR_DRAWS = 20
_Z = 1.959964
#: Parts of the people examined whose detail is compared where they are a sample, and the t quantile.
PARTS = 10
_T = 2.262157
_LEAST_PART = 30


@dataclass(frozen=True)
class _Column:
    """One column of the people offered: how many are in each bin before and after.

    ``joint`` has shape (bins, 1 + bins), those who were suppressed first; a person whose label covers
    several bins counts in each a part.
    """

    name: str
    joint: NDArray[np.float64]


class Distributions:
    """Distance of each released column from the original's, and detail left; the same on average.

    A column of numbers that stays one of numbers is compared in 20 quantile bins of the original
    (one bin a value where there are few), so rounding, top-coding and noise show; any other in the
    release's labels, the original put into them by the published method. ``baseline`` is the noise
    floor: the distance of a resample of the original with as many rows as the release. The intervals
    resample people (95 %, normal, the standard error by the bootstrap), the average's from the mean
    standard error, which is never too small. Columns of numbers have the distances of Kolmogorov &
    Smirnov and of Wasserstein as well (:mod:`~.numbers`).
    """

    summary: ClassVar[str] = "distance of each column's distribution from the original's, and detail left"
    metrics = REPORT.metrics
    units = REPORT.units
    rowwise: ClassVar[frozenset[str]] = frozenset({"distributions.precision"})
    #: Made rows have these figures of people held out beside them.
    has_floor: ClassVar[bool] = True

    class Params(contracts.Params):
        """Nothing to set."""

    def run(self, comparison: Comparison, params: Distributions.Params) -> list[Finding]:
        """One finding a column and metric, and the means over columns with target ``release``."""
        del params
        names, kept = fact_columns(comparison), int(comparison.kept.sum())
        if not names or not kept:
            note = "no column of facts is released" if kept else "the release has no rows"
            return [REPORT.silent(metric, "not-measured", note) for metric in REPORT.table]
        described = comparison.describe(comparison.original)
        return [
            *_distances(comparison, described, names, kept),
            *number_findings(REPORT, comparison, described, names),
            *_precisions(comparison, described, names, kept),
        ]


def _distances(comparison: Comparison, described: pl.DataFrame, names: list[str], kept: int) -> list[Finding]:
    findings, figures, floors = [], [], []
    for name in names:
        column = _Column(name, _joint(comparison, described, name))
        key = derive(comparison.key, "distributions", name)
        figure, floor = _distance(column, kept, key)
        figures.append(figure)
        floors.append(floor)
        findings.append(
            REPORT.measured("distributions.tv", figure, kept, target=name, before=0.0, baseline=floor)
        )
    mean = Figure(*(float(part) for part in np.mean(figures, axis=0)))
    whole = REPORT.measured(
        "distributions.tv",
        mean,
        kept,
        before=0.0,
        baseline=float(np.mean(floors)),
        note=f"mean over {len(names)} released columns",
    )
    return [whole, *findings]


def _joint(comparison: Comparison, described: pl.DataFrame, name: str) -> NDArray[np.float64]:
    overlap = name in comparison.overlapping
    # The values that the labels are of are numbers where labels are not.
    terms = described[name] if overlap else comparison.released[name]
    raw, released = numbers(comparison.original[name]), numbers(terms)
    if raw is not None and released is not None:
        number_bins = NumberBins.fit(raw)
        before, after, size = number_bins.codes(raw), number_bins.codes(released), number_bins.size
    else:
        label_bins = LabelBins.fit(described[name])
        before, size = label_bins.codes(described[name]), label_bins.size
        after = label_bins.codes(terms)
    if not overlap:
        return _crossed(before, np.where(comparison.kept, after + 1, 0), size, size + 1)
    spread = Spread.of(comparison, comparison.released[name], described[name], after, size)
    codes = np.where(comparison.kept, spread.codes + 1, 0)
    crossed = _crossed(before, codes, size, len(spread.shares) + 1)
    return np.column_stack([crossed[:, 0], crossed[:, 1:] @ spread.shares])


def _crossed(
    before: NDArray[np.int64], after: NDArray[np.int64], size: int, width: int
) -> NDArray[np.float64]:
    counts = np.bincount(before * width + after, minlength=size * width)
    return counts.reshape(size, width).astype(np.float64)


def _distance(column: _Column, kept: int, key: bytes) -> tuple[Figure, float]:
    """The distance with its interval, and the distance that chance alone gives."""
    joint, size = column.joint.ravel(), len(column.joint)
    rows = round(joint.sum())
    draw = generator(key)
    value = float(_tv(joint[None], size)[0])
    resampled = _tv(draw.multinomial(rows, joint / rows, size=RESAMPLES).astype(np.float64), size)
    half = _Z * float(np.nanstd(resampled))
    before = column.joint.sum(axis=1) / rows
    drawn = draw.multinomial(kept, before, size=FLOOR_DRAWS) / kept
    floor = float(np.abs(drawn - before).sum(axis=1).mean() / 2)
    return Figure(value, max(0.0, value - half), min(1.0, value + half)), floor


def _tv(joint: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    """The distance of each joint table (..., before x after), its first column the suppressed."""
    tables = joint.reshape(-1, size, size + 1)
    before = tables.sum(axis=2) / tables.sum(axis=(1, 2))[:, None]
    after = tables[:, :, 1:].sum(axis=1)
    left = after.sum(axis=1)
    # A resample in which everybody was suppressed is as far away as can be.
    shares = np.divide(after, left[:, None], out=np.zeros_like(after), where=left[:, None] > 0)
    distance: NDArray[np.float64] = np.where(left > 0, np.abs(before - shares).sum(axis=1) / 2, 1.0)
    return distance


def _precisions(
    comparison: Comparison, described: pl.DataFrame, names: list[str], kept: int
) -> list[Finding]:
    leaving, sampled = np.flatnonzero(comparison.kept), _is_sample(comparison)
    findings, figures = [], []
    for name in names:
        value = _detail(comparison, described, name, leaving)
        if math.isnan(value):
            note = "the original tells nobody apart"
            findings.append(REPORT.silent("distributions.precision", "no-power", note, target=name, n=kept))
            continue
        figures.append(
            _by_parts(comparison, described, name, leaving, value) if sampled else Figure.counted(value)
        )
        findings.append(
            REPORT.measured("distributions.precision", figures[-1], kept, target=name, before=1.0)
        )
    if not figures:
        note = "the original's columns tell nobody apart"
        return [REPORT.silent("distributions.precision", "no-power", note, n=kept), *findings]
    whole = REPORT.measured(
        "distributions.precision",
        Figure(*(float(part) for part in np.mean(figures, axis=0))),
        kept,
        before=1.0,
        note=f"mean over {len(figures)} released columns, pairs of the people examined who left",
    )
    return [whole, *findings]


def _is_sample(comparison: Comparison) -> bool:
    """Were fewer people examined than were offered to the release? Then no figure of them is a count."""
    return comparison.plan.rows - comparison.plan.holdout_rows > comparison.original.height


def _by_parts(
    comparison: Comparison, described: pl.DataFrame, name: str, leaving: NDArray[np.int64], value: float
) -> Figure:
    """The interval from how much ten keyed parts of the people differ; none where they are too small."""
    draw = generator(derive(comparison.key, "distributions", "parts"))
    order = draw.permutation(leaving)
    parts = [order[part::PARTS] for part in range(PARTS)]
    if min(map(len, parts)) < _LEAST_PART:
        return Figure(value, 0.0, 1.0)
    found = np.array([_detail(comparison, described, name, part) for part in parts])
    half = _T * float(np.nanstd(found, ddof=1)) / math.sqrt(PARTS)
    return Figure(value, max(0.0, value - half), min(1.0, value + half))


def _detail(comparison: Comparison, described: pl.DataFrame, name: str, rows: NDArray[np.int64]) -> float:
    """The share of pairs of rows told apart that still are; NaN where there are none."""
    before, after = (frame[name].gather(rows) for frame in (comparison.original, comparison.released))
    apart = _differing(before)
    if not apart:
        return math.nan
    if name in comparison.overlapping:
        return told_apart(comparison, before, after, described[name]) / apart
    # Those that differ in either, less those that do in one only.
    return (apart + _differing(after) - _differing(before, after)) / apart


def _differing(*columns: pl.Series) -> float:
    """The ordered pairs of rows that differ in some of the columns."""
    texts = [labels(column).alias(str(j)) for j, column in enumerate(columns)]
    counts = pl.DataFrame(texts).group_by(pl.all()).len()["len"].cast(pl.Float64)
    return float(len(columns[0])) ** 2 - float((counts * counts).sum())
