"""How far each released column's distribution is from the original's, and how much detail is left.

Two losses that must not be mixed. *Distortion* is the total variation distance between what the
release says of the people offered to it and what it would say if nobody had been suppressed and
nothing disturbed: both sides in the release's own terms, so that an honest coarse label is no
distortion. *Detail* is the share of pairs of people whom the column told apart and still does.
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
from sfumato.evidence.columns import direct_identifiers
from sfumato.evidence.features import LabelBins, NumberBins, labels, numbers
from sfumato.evidence.report import Figure, Metric, Report

REPORT = Report(
    "distributions",
    {
        "distributions.tv": Metric(
            "low", "distance", "total variation distance of released columns from the original's"
        ),
        "distributions.precision": Metric(
            "high", "share", "share of pairs told apart by a column's original values and still told apart"
        ),
    },
)

RESAMPLES = 200
FLOOR_DRAWS = 20
_Z = 1.959964


@dataclass(frozen=True)
class _Column:
    """One column of the people offered: their bin before, and after (-1 if suppressed)."""

    name: str
    before: NDArray[np.int64]
    after: NDArray[np.int64]
    size: int


class Distributions:
    """Total variation distance and detail left, for each released column and on average.

    A column of numbers that stays one of numbers is compared in 20 quantile bins of the original
    (one bin a value where there are few), so rounding, top-coding and noise show; any other in the
    release's labels, the original put into them by the published method. ``baseline`` is the noise
    floor: the distance of a resample of the original with as many rows as the release. The intervals
    resample people (95 %, normal, the standard error by the bootstrap), the average's from the mean
    standard error, which is never too small.
    """

    summary: ClassVar[str] = "distance of each column's distribution from the original's, and detail left"
    metrics = REPORT.metrics
    units = REPORT.units

    class Params(contracts.Params):
        """Nothing to set."""

    def run(self, comparison: Comparison, params: Distributions.Params) -> list[Finding]:
        """One finding a column and metric, and the means over columns with target ``release``."""
        del params
        hidden = direct_identifiers(comparison)
        names = [column for column in comparison.released.columns if column not in hidden]
        kept = int(comparison.kept.sum())
        if not names or not kept:
            note = "no column of facts is released" if kept else "the release has no rows"
            return [REPORT.silent(metric, "not-measured", note) for metric in REPORT.table]
        return [*_distances(comparison, names, kept), *_precisions(comparison, names, kept)]


def _distances(comparison: Comparison, names: list[str], kept: int) -> list[Finding]:
    described = comparison.describe(comparison.original)
    findings, figures, floors = [], [], []
    for name in names:
        column = _coded(comparison, described, name)
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


def _coded(comparison: Comparison, described: pl.DataFrame, name: str) -> _Column:
    raw, released = numbers(comparison.original[name]), numbers(comparison.released[name])
    if raw is not None and released is not None:
        number_bins = NumberBins.fit(raw)
        before, after, size = number_bins.codes(raw), number_bins.codes(released), number_bins.size
    else:
        label_bins = LabelBins.fit(described[name])
        before, size = label_bins.codes(described[name]), label_bins.size
        after = label_bins.codes(comparison.released[name])
    return _Column(name, before, np.where(comparison.kept, after, -1), size)


def _distance(column: _Column, kept: int, key: bytes) -> tuple[Figure, float]:
    """The distance with its interval, and the distance that chance alone gives."""
    rows, size = len(column.before), column.size
    joint = np.bincount(column.before * (size + 1) + column.after + 1, minlength=size * (size + 1))
    draw = generator(key)
    value = float(_tv(joint[None].astype(np.float64), size)[0])
    resampled = _tv(draw.multinomial(rows, joint / rows, size=RESAMPLES).astype(np.float64), size)
    half = _Z * float(np.nanstd(resampled))
    before = np.bincount(column.before, minlength=size) / rows
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


def _precisions(comparison: Comparison, names: list[str], kept: int) -> list[Finding]:
    findings, values = [], []
    mask = pl.Series(comparison.kept)
    for name in names:
        pair = pl.DataFrame(
            {"before": labels(comparison.original[name]), "after": labels(comparison.released[name])}
        ).filter(mask)
        value = _told_apart(pair)
        if math.isnan(value):
            findings.append(
                REPORT.silent(
                    "distributions.precision",
                    "no-power",
                    "the original tells nobody apart",
                    target=name,
                    n=kept,
                )
            )
            continue
        values.append(value)
        findings.append(
            REPORT.measured("distributions.precision", Figure.counted(value), kept, target=name, before=1.0)
        )
    if not values:
        whole = REPORT.silent(
            "distributions.precision", "no-power", "the original's columns tell nobody apart", n=kept
        )
    else:
        whole = REPORT.measured(
            "distributions.precision",
            Figure.counted(float(np.mean(values))),
            kept,
            before=1.0,
            note=f"mean over {len(values)} released columns, pairs of the people examined who left",
        )
    return [whole, *findings]


def _told_apart(pair: pl.DataFrame) -> float:
    """Of the ordered pairs of rows that differ before, the share that differs after; NaN of none."""
    rows = pair.height

    def same(*columns: str) -> float:
        counts = pair.group_by(columns).len()["len"].cast(pl.Float64)
        return float((counts * counts).sum())

    apart_before = float(rows) ** 2 - same("before")
    if not apart_before:
        return math.nan
    apart_both = apart_before - same("after") + same("before", "after")
    return apart_both / apart_before
