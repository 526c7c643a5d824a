"""Can a model tell the release from the original? The propensity score measure with a null of its own.

Rows of the original and of the release are put together, a classifier says of each how likely it is
released, and pMSE is the mean squared distance of that from the share of released rows (Woo, Reiter,
Oganian & Karr 2009, *Journal of Privacy and Confidentiality* 1:111-124). Divided by what it is where nothing
can be told, by permuting who is released, it is the pMSE ratio (Snoke, Raab, Nowok, Dibben & Slavkovic 2018,
*Journal of the Royal Statistical Society A* 181:663-688). The classifier is gradient boosting: a model of
main effects alone sees no dependence, and calls shuffled columns perfect.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from sfumato import contracts
from sfumato.contracts import Comparison
from sfumato.core.keyed import derive, generator
from sfumato.core.values import Finding
from sfumato.evidence.intervals import auc
from sfumato.evidence.report import Figure, Metric, Report
from sfumato.evidence.utility.terms import Term, fact_columns, terms

REPORT = Report(
    "propensity",
    {
        "propensity.pmse_ratio": Metric(
            "low", "ratio", "how well boosting tells release from original, over what chance gives"
        ),
        "propensity.auc": Metric(
            "low", "auc", "area under the ROC curve of telling rows of the release from the original's"
        ),
    },
)

#: Parts of the people, each judged by a model of its own, and the t quantile of one less.
PARTS = 5
_T = 2.776445
LEAST_PART = 50
BINS = 50
_SETTINGS = {
    "max_iter": 40,
    "learning_rate": 0.1,
    "max_leaf_nodes": 15,
    "min_samples_leaf": 10,
    "early_stopping": False,
}
_ASSUMES = "a classifier with interactions, taught on {} rows of each side"


class Propensity:
    """The pMSE ratio, and the area under the ROC curve on rows that the classifier was not taught.

    Five keyed parts of the people are judged apart; intervals are by the jackknife over them for the ratio
    and by their spread for the area. A ratio of 1 is chance; it grows with the rows, so the note says how
    many there were. ``baseline`` is the same figure of a resample of the original in the release's place.
    Both sides are in the same terms, as for the marginal tables.
    """

    summary: ClassVar[str] = "whether a classifier with interactions tells the release from the original"
    metrics = REPORT.metrics
    units = REPORT.units
    rowwise: ClassVar[frozenset[str]] = frozenset()
    #: Made rows have these figures of people held out beside them.
    has_floor: ClassVar[bool] = True

    class Params(contracts.Params):
        """``rows`` of a part at most, of each side."""

        rows: Annotated[int, Field(ge=LEAST_PART, le=100_000)] = 2_000

    def run(self, comparison: Comparison, params: Propensity.Params) -> list[Finding]:
        """Two findings on the release."""
        names, kept = fact_columns(comparison), np.flatnonzero(comparison.kept)
        if not names or not len(kept):
            note = "no column of facts is released" if len(kept) else "the release has no rows"
            return [REPORT.silent(metric, "not-measured", note) for metric in REPORT.table]
        draw = generator(derive(comparison.key, "propensity", "parts"))
        order = draw.permutation(len(comparison.kept))
        # The same people on both sides of a part, so that no part has seen the people of another.
        parts = [
            (order[part::PARTS], order[part::PARTS][comparison.kept[order[part::PARTS]]])
            for part in range(PARTS)
        ]
        size = min(params.rows, *(len(leaving) for _, leaving in parts))
        if size < LEAST_PART:
            note = f"fewer than {PARTS * LEAST_PART} rows to compare"
            return [REPORT.silent(metric, "no-power", note, n=len(kept)) for metric in REPORT.table]
        columns = terms(comparison, comparison.describe(comparison.original), names, BINS)
        before, after = _matrices(columns)
        pairs = [(before[people[:size]], after[leaving[:size]]) for people, leaving in parts]
        floor = [(before[people[:size]], before[draw.choice(people, size)]) for people, _ in parts]
        categorical = [not column.ordered for column in columns]
        found, chance = _Judged.of(pairs, categorical, draw), _Judged.of(floor, categorical, draw)
        return _findings(found, chance, size)


def _matrices(columns: list[Term]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    before, after = (
        np.column_stack([getattr(column, side) for column in columns]).astype(np.float64)
        for side in ("before", "after")
    )
    return before, after


class _Judged:
    """pMSE and its null in each part, and the area on the next part's rows."""

    def __init__(
        self, observed: NDArray[np.float64], null: NDArray[np.float64], areas: NDArray[np.float64]
    ) -> None:
        self.observed, self.null, self.areas = observed, null, areas

    @classmethod
    def of(
        cls,
        pairs: list[tuple[NDArray[np.float64], NDArray[np.float64]]],
        categorical: list[bool],
        draw: np.random.Generator,
    ) -> _Judged:
        observed, null, areas = [], [], []
        for part, (before, after) in enumerate(pairs):
            rows = np.concatenate([before, after])
            released = np.arange(len(rows)) >= len(before)
            model = _taught(rows, released, categorical)
            observed.append(_pmse(model, rows))
            null.append(_pmse(_taught(rows, draw.permutation(released), categorical), rows))
            others = np.concatenate(pairs[(part + 1) % len(pairs)])
            areas.append(auc(np.arange(len(others)) >= len(others) // 2, _scores(model, others)))
        return cls(np.array(observed), np.array(null), np.array(areas))

    @property
    def ratio(self) -> Figure:
        """The ratio of sums with the jackknife's interval."""
        if not self.null.sum() > 0:
            return Figure(math.nan, math.nan, math.nan)
        value = float(self.observed.sum() / self.null.sum())
        without = (self.observed.sum() - self.observed) / (self.null.sum() - self.null)
        half = _T * math.sqrt((PARTS - 1) / PARTS * float(((without - without.mean()) ** 2).sum()))
        return Figure(value, max(0.0, value - half), value + half)

    @property
    def area(self) -> Figure:
        value = float(self.areas.mean())
        half = _T * float(self.areas.std(ddof=1)) / math.sqrt(PARTS)
        return Figure(value, max(0.0, value - half), min(1.0, value + half))


def _taught(rows: NDArray[np.float64], released: NDArray[np.bool_], categorical: list[bool]) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier
    from threadpoolctl import threadpool_limits

    if (rows == rows[0]).all():
        return None
    model = HistGradientBoostingClassifier(random_state=0, categorical_features=categorical, **_SETTINGS)
    with threadpool_limits(1, user_api="openmp"):
        return model.fit(rows, released)


def _scores(model: Any, rows: NDArray[np.float64]) -> NDArray[np.float64]:
    from threadpoolctl import threadpool_limits

    # Rows that are all alike tell nothing of where they are from.
    if model is None:
        return np.full(len(rows), 0.5)
    with threadpool_limits(1, user_api="openmp"):
        return np.asarray(model.predict_proba(rows)[:, 1], dtype=np.float64)


def _pmse(model: Any, rows: NDArray[np.float64]) -> float:
    # Both sides have as many rows.
    return float(((_scores(model, rows) - 0.5) ** 2).mean())


def _findings(found: _Judged, chance: _Judged, size: int) -> list[Finding]:
    note, n = f"{PARTS} parts of about {size // 10 * 10} rows of each side", PARTS * size
    assumes = _ASSUMES.format(size // 10 * 10)
    floor = chance.ratio.value
    return [
        REPORT.measured(
            "propensity.pmse_ratio",
            found.ratio,
            n,
            baseline=floor,
            assumes=assumes,
            note=note if math.isfinite(found.ratio.value) else "the rows are all alike",
        ),
        REPORT.measured(
            "propensity.auc",
            found.area,
            n,
            baseline=chance.area.value,
            assumes=assumes,
            note=note,
        ),
    ]
