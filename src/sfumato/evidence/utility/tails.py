"""What is left of the few: extreme numbers, rare categories, and rare combinations of two columns.

Means hide them, and a release that suppresses, top-codes or invents people loses them first. What counts as
rare is fixed on the original; fewer than 10 people are no category that a figure could rest on.
"""

from __future__ import annotations

from itertools import combinations
from typing import Annotated, ClassVar, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field

from sfumato import contracts
from sfumato.contracts import Comparison
from sfumato.core.disclosure import LEAST
from sfumato.core.keyed import derive, generator
from sfumato.core.values import Finding
from sfumato.evidence.features import LabelBins, numbers
from sfumato.evidence.report import Figure, Metric, Report
from sfumato.evidence.utility.influence import influences, interval
from sfumato.evidence.utility.terms import fact_columns, number_pair, recognised, resamples, terms

REPORT = Report(
    "tails",
    {
        "tails.extremes": Metric(
            "low", "distance", "relative change of the share of people beyond a column's extreme quantiles"
        ),
        "tails.categories": Metric(
            "high", "ratio", "how much of the people in rare categories the release still shows as such"
        ),
        "tails.combinations": Metric(
            "high", "ratio", "how much of the people in rare combinations of two columns is still there"
        ),
    },
)

#: Integers of so few values are categories as well.
CODES = 50
#: Categories of a column that are looked at, the most frequent ones.
MOST_CATEGORIES = 500
#: A tail may hold so many times its share where many people have the same value.
_TIED = 3
FLOOR_DRAWS = 5


class _Part(NamedTuple):
    """Who is in a tail before and after, shape (people,) each."""

    before: NDArray[np.bool_]
    after: NDArray[np.bool_]


class Tails:
    """Extreme quantiles, rare categories and rare combinations, against a resample of the original.

    ``tails.extremes`` compares the shares a and b, before and after, of people beyond the quantile at
    ``rare`` and at 1 - ``rare``: \\|a - b\\| / max(a, b), 1 where a tail is gone. ``tails.categories`` and
    ``tails.combinations`` are Σ min(p, q) / Σ p over the rare ones, p and q their shares before and
    after: 1 if all are there, and no more for there being too many. A category is still there only
    under a label that stands for it alone; combinations are compared in the release's own terms.
    """

    summary: ClassVar[str] = "extreme numbers, rare categories and rare combinations still there"
    metrics = REPORT.metrics
    units = REPORT.units
    rowwise: ClassVar[frozenset[str]] = frozenset()
    #: Made rows have these figures of people held out beside them.
    has_floor: ClassVar[bool] = True

    class Params(contracts.Params):
        """``rare`` is the most of everybody; ``bins`` a column and ``pairs`` at most for combinations."""

        rare: Annotated[float, Field(gt=0, le=0.1)] = 0.01
        bins: Annotated[int, Field(ge=2, le=100)] = 20
        pairs: Annotated[int, Field(ge=1, le=100_000)] = 2_000

    def run(self, comparison: Comparison, params: Tails.Params) -> list[Finding]:
        """Figures of the release, and of each column for the first two."""
        names, kept = fact_columns(comparison), int(comparison.kept.sum())
        if not names or not kept:
            note = "no column of facts is released" if kept else "the release has no rows"
            return [REPORT.silent(metric, "not-measured", note) for metric in REPORT.table]
        described = comparison.describe(comparison.original)
        return [
            *_extremes(comparison, described, names, params.rare),
            *_categories(comparison, described, names, params.rare),
            _combinations(comparison, described, names, params),
        ]


def _extremes(
    comparison: Comparison, described: pl.DataFrame, names: list[str], rare: float
) -> list[Finding]:
    drawn = list(resamples(comparison, "tails", FLOOR_DRAWS))
    n = int(comparison.kept.sum())
    findings, figures, floors = [], [], []
    influence: list[NDArray[np.float64]] = []
    for name in names:
        pair = number_pair(comparison, described[name], name)
        parts = [] if pair is None else list(_tails(*pair, rare))
        if not parts:
            continue
        found = [_changed(part, comparison.kept) for part in parts]
        value = float(np.mean([change for change, _ in found]))
        along = np.asarray(np.mean([parts for _, parts in found], axis=0), dtype=np.float64)
        floor = float(np.mean([_resampled(part, rows) for part in parts for rows in drawn]))
        figures.append(value)
        floors.append(floor)
        influence.append(along)
        findings.append(
            REPORT.measured(
                "tails.extremes", interval(value, along), n, target=name, before=0.0, baseline=floor
            )
        )
    if not findings:
        note = "no released column of numbers has tails"
        return [REPORT.silent("tails.extremes", "not-measured", note, n=n)]
    whole = REPORT.measured(
        "tails.extremes",
        interval(float(np.mean(figures)), np.asarray(np.mean(influence, axis=0), dtype=np.float64)),
        n,
        before=0.0,
        baseline=float(np.mean(floors)),
        note=f"mean over {len(figures)} columns of numbers, people beyond {rare:g} and {1 - rare:g}",
    )
    return [whole, *findings]


def _tails(before: NDArray[np.float64], after: NDArray[np.float64], rare: float) -> list[_Part]:
    """The upper and the lower tail, where there is one that is not most of the people."""
    parts = []
    for sign in (1.0, -1.0):
        values, others = sign * before, sign * after
        known = values[~np.isnan(values)]
        if len(known) < LEAST:
            continue
        edge = np.quantile(known, 1 - rare, method="inverted_cdf")
        for inside, outside in ((values >= edge, others >= edge), (values > edge, others > edge)):
            if LEAST <= inside.sum() <= max(LEAST, _TIED * rare * len(known)):
                parts.append(_Part(inside, outside))
                break
    return parts


def _changed(part: _Part, kept: NDArray[np.bool_]) -> tuple[float, NDArray[np.float64]]:
    """\\|a - b\\| / max(a, b), and what each person adds to it."""
    a, b = float(part.before.mean()), float(part.after[kept].mean())
    most, least = max(a, b), min(a, b)
    # The derivatives of 1 - least / most.
    of_least, of_most = -1 / most, least / most**2
    by_before, by_after = (of_most, of_least) if a > b else (of_least, of_most)
    if a == b:
        by_before = by_after = 0.0
    before, after = (side.astype(np.float64) for side in part)
    return 1 - least / most, influences(by_before * before, by_after * after, kept)


def _resampled(part: _Part, rows: NDArray[np.int64]) -> float:
    a, b = float(part.before.mean()), float(part.before[rows].mean())
    return 1 - min(a, b) / max(a, b)


class _Covered(NamedTuple):
    """Sums over rare categories: before, the lesser of both, the same of a resample; and influences."""

    rare: float
    there: float
    drawn: float
    rare_parts: NDArray[np.float64]
    there_parts: NDArray[np.float64]
    many: int

    def figure(self) -> Figure:
        value = self.there / self.rare
        return interval(value, (self.there_parts - value * self.rare_parts) / self.rare)


def _categories(
    comparison: Comparison, described: pl.DataFrame, names: list[str], rare: float
) -> list[Finding]:
    (drawn,) = resamples(comparison, "tails categories", 1)
    n = int(comparison.kept.sum())
    findings, every = [], []
    for name in names:
        if not _is_categorical(comparison.original[name]):
            continue
        found = _rare_categories(comparison, described[name], name, rare, drawn)
        if found is None:
            continue
        every.append(found)
        findings.append(_covered("tails.categories", found, n, "rare categories", name))
    if not every:
        note = f"no column has a rare category of {LEAST} people or more"
        return [REPORT.silent("tails.categories", "no-power", note, n=n)]
    total = _Covered(
        sum(found.rare for found in every),
        sum(found.there for found in every),
        sum(found.drawn for found in every),
        np.sum([found.rare_parts for found in every], axis=0),
        np.sum([found.there_parts for found in every], axis=0),
        sum(found.many for found in every),
    )
    return [_covered("tails.categories", total, n, "rare categories", "release"), *findings]


def _is_categorical(series: pl.Series) -> bool:
    return numbers(series) is None or (
        (series.dtype.is_integer() or series.dtype == pl.Boolean) and series.n_unique() <= CODES
    )


def _rare_categories(
    comparison: Comparison, described: pl.Series, name: str, rare: float, drawn: NDArray[np.int64]
) -> _Covered | None:
    original, kept = comparison.original[name], comparison.kept
    levels = LabelBins.fit(original, MOST_CATEGORIES)
    before = levels.codes(original)
    counts = np.bincount(before, minlength=levels.size + 1).astype(np.float64)
    few = (counts >= LEAST) & (counts <= rare * len(before))
    # Neither all others together nor the missing are a category.
    few[levels.size - 2 :] = False
    if not few.any():
        return None
    after = recognised(comparison, described, name, before, levels.size)
    p = counts / len(before)
    q, resampled = (
        np.bincount(codes, minlength=len(p)) / len(codes) for codes in (after[kept], before[drawn])
    )
    less = q < p
    return _Covered(
        float(p[few].sum()),
        float(np.minimum(p, q)[few].sum()),
        float(np.minimum(p, resampled)[few].sum()),
        influences(few[before].astype(float), np.zeros(len(before)), kept),
        influences((few & ~less)[before].astype(float), (few & less)[after].astype(float), kept),
        int(few.sum()),
    )


def _covered(metric: str, found: _Covered, n: int, what: str, target: str) -> Finding:
    return REPORT.measured(
        metric,
        found.figure(),
        n,
        target=target,
        before=1.0,
        baseline=found.drawn / found.rare,
        note=f"{found.many} {what}",
    )


def _combinations(
    comparison: Comparison, described: pl.DataFrame, names: list[str], params: Tails.Params
) -> Finding:
    from sfumato.evidence.utility.kernels import rare_combinations

    n, people = int(comparison.kept.sum()), len(comparison.kept)
    if len(names) < 2:
        note = "fewer than two columns of facts are released"
        return REPORT.silent("tails.combinations", "not-measured", note, n=n)
    columns = terms(comparison, described, names, params.bins)
    order = np.argsort(~comparison.kept, kind="stable")
    before = np.array([column.before for column in columns], dtype=np.uint16)[:, order]
    after = np.array([column.after for column in columns], dtype=np.uint16)[:, order[:n]]
    (drawn,) = resamples(comparison, "tails combinations", 1)
    weights = np.bincount(drawn, minlength=people)[order].astype(np.int32)
    sizes = np.array([column.size for column in columns], dtype=np.int64)
    pairs = np.array(list(combinations(range(len(names)), 2)), dtype=np.int64)
    if len(pairs) > params.pairs:
        draw = generator(derive(comparison.key, "tails", "pairs"))
        pairs = pairs[np.sort(draw.permutation(len(pairs))[: params.pairs])]
    sums, rare, full, less, found = rare_combinations(
        before, after, weights, sizes, pairs, LEAST, params.rare * people
    )
    if not found:
        note = f"no combination of two columns has {LEAST} people and is rare"
        return REPORT.silent("tails.combinations", "no-power", note, n=n)
    leaving = np.arange(people) < n
    gone = np.zeros(people)
    gone[leaving] = less
    covered = _Covered(
        float(sums[0]),
        float(sums[1]),
        float(sums[2]),
        influences(rare.astype(float), np.zeros(people), leaving),
        influences(full.astype(float), gone, leaving),
        found,
    )
    return _covered("tails.combinations", covered, n, "rare combinations", "release")
