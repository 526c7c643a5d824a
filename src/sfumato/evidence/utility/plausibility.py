"""Distance to the closest record: are released rows nearer to people of the release than to others?

A figure of plausibility, never of privacy. A release of 5 % exact copies among fresh rows has .526, which
looks like a half; a membership attack finds the copies (Yao, Krčo, Ganev & de Montjoye 2025, arXiv
2505.01524). So no threshold may rest on it: see :data:`sfumato.evidence.UNGATED`.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sfumato import contracts
from sfumato.contracts import COUNT, Comparison
from sfumato.core.keyed import derive, generator
from sfumato.core.values import Finding
from sfumato.evidence.attacks.controls import NO_CONTROL
from sfumato.evidence.attacks.density import Held
from sfumato.evidence.attacks.registers import sample_rows
from sfumato.evidence.columns import factual_columns
from sfumato.evidence.intervals import wilson
from sfumato.evidence.report import Metric, Report, design_note

METRIC = "plausibility.closer_to_train"
REPORT = Report(
    "plausibility",
    {
        METRIC: Metric(
            "low",
            "share",
            "released rows nearer to people of the release than to others; no figure of privacy",
        ),
    },
)

NEVER = "it is no evidence of privacy and misses copies: see the membership attack; "
OVERLAPS = "labels overlap, so nobody outside the release can be put into its terms"
FEW = "fewer than {} people or rows on one side"

LEAST = 20
ROWS = 2_000
PEOPLE = 10_000
#: How often the larger side is cut to the size of the smaller one.
REPEATS = 4


class Plausibility:
    """The share of released rows whose nearest person is one of the release, not one held out.

    Gower's distance over every released column but pseudonyms, numbers as ranks. Both sides are equally
    many people, the larger one cut by keyed draws several times, else the larger would be nearer; ties
    count half. ``baseline`` is a half. Above it rows lie too near to people; at it nothing is shown.
    """

    summary: ClassVar[str] = "whether released rows lie nearer to people of the release than to others"
    metrics = REPORT.metrics
    units = REPORT.units
    rowwise: ClassVar[frozenset[str]] = frozenset()

    class Params(contracts.Params):
        """Nothing to set."""

    def run(self, comparison: Comparison, params: Plausibility.Params) -> list[Finding]:
        """One finding on the release."""
        del params
        columns = factual_columns(comparison)
        inside, outside = np.flatnonzero(comparison.members), np.arange(comparison.control.height)
        if not comparison.kept.any() or not columns:
            return [REPORT.silent(METRIC, "not-measured", "the release has no rows or no column of facts")]
        if not len(outside):
            return [REPORT.silent(METRIC, "not-measured", NO_CONTROL)]
        if set(columns) & set(comparison.overlapping):
            return [REPORT.silent(METRIC, "not-measured", OVERLAPS)]
        rows = _rows(comparison, columns)
        size = min(len(inside), len(outside), PEOPLE)
        if min(size, rows.height) < LEAST:
            return [REPORT.silent(METRIC, "no-power", FEW.format(LEAST), n=min(size, rows.height))]
        nearer = [
            _nearer(
                comparison,
                columns,
                rows,
                *(
                    sample_rows(side, size, derive(comparison.key, "plausibility", who, str(repeat)))
                    for side, who in ((inside, "inside"), (outside, "outside"))
                ),
            )
            for repeat in range(REPEATS if len(inside) != len(outside) or size == PEOPLE else 1)
        ]
        return [
            REPORT.measured(
                METRIC,
                wilson(float(np.mean(nearer)), rows.height),
                rows.height,
                baseline=0.5,
                note=NEVER + design_note(comparison),
            )
        ]


def _rows(comparison: Comparison, columns: tuple[str, ...]) -> pl.DataFrame:
    """A keyed sample of the rows of the release as written."""
    counted = comparison.count(list(columns)).sort(columns, nulls_last=True)
    ends = np.cumsum(counted[COUNT].cast(pl.Int64).to_numpy())
    draw = generator(derive(comparison.key, "plausibility", "rows"))
    drawn = draw.choice(int(ends[-1]), min(ROWS, int(ends[-1])), replace=False, shuffle=False)
    return counted[np.searchsorted(ends, drawn, side="right")].drop(COUNT)


def _nearer(
    comparison: Comparison,
    columns: tuple[str, ...],
    rows: pl.DataFrame,
    inside: NDArray[np.int64],
    outside: NDArray[np.int64],
) -> float:
    """The share of rows nearer to people inside, of as many people inside and outside."""
    points = Held(
        release=comparison.describe(comparison.original[inside]).with_columns(pl.lit(1).alias(COUNT)),
        reference=comparison.describe(comparison.control[outside]),
        people=rows,
        columns=columns,
        centers=comparison.centers,
        key=comparison.key,
    ).points
    near, far = points.distances
    return float(((near < far) + (near == far) / 2).mean())
