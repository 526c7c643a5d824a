"""Does a regression of the target say the same? Intervals of coefficients, before and after.

The linear or logistic model that an analyst would fit to the target on all other columns, once on the
original and once on the release: how far the 95 % intervals of each coefficient overlap (Karr, Kohnen,
Oganian, Reiter & Sanil 2006, *The American Statistician* 60:224-232), and how many standard errors of the
original it moved.
"""

from __future__ import annotations

import math
from typing import ClassVar, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sfumato import contracts
from sfumato.contracts import Comparison
from sfumato.core.keyed import derive, generator
from sfumato.core.values import Finding
from sfumato.evidence.features import labels
from sfumato.evidence.report import Figure, Metric, Report
from sfumato.evidence.utility.designs import Design, design, raw_pair, usable
from sfumato.evidence.utility.glm import GROUPS, Fit, T, fit, overlaps
from sfumato.evidence.utility.terms import fact_columns, resamples

REPORT = Report(
    "regression",
    {
        "regression.overlap": Metric(
            "high", "ratio", "mean overlap of the intervals of coefficients for the target, before and after"
        ),
        "regression.difference": Metric(
            "low", "ratio", "mean change of a coefficient in standard errors of the original"
        ),
        "regression.same_sign": Metric(
            "high", "ratio", "share of coefficients clearly not 0 that still are, with the same sign"
        ),
    },
)

MOST_CLASSES = 10
LEAST_PER_CLASS = 20
LEAST_ROWS = 100
_Z = 1.959964


class _Target(NamedTuple):
    """The target of one model on both sides, NaN where it is not known."""

    before: NDArray[np.float64]
    after: NDArray[np.float64]
    logistic: bool


class _Pair(NamedTuple):
    """Models of the original, of the release and of a resample of the original."""

    before: Fit
    after: Fit
    drawn: Fit


class Regression:
    """Interval overlap, standardized difference and sign of the coefficients of a model of the target.

    A target of numbers has a linear model, one of two classes a logistic one, more classes one against the
    rest each. ``baseline`` is the same between the original and a resample of it. Intervals are by the
    jackknife over 20 keyed groups of people.
    """

    summary: ClassVar[str] = "whether the coefficients of a regression of the target are the same"
    metrics = REPORT.metrics
    units = REPORT.units
    rowwise: ClassVar[frozenset[str]] = frozenset()
    #: Made rows have these figures of people held out beside them.
    has_floor: ClassVar[bool] = True

    class Params(contracts.Params):
        """Nothing to set."""

    def run(self, comparison: Comparison, params: Regression.Params) -> list[Finding]:
        """The figures of all coefficients, and of each column's."""
        del params
        kept = int(comparison.kept.sum())
        targets = _targets(comparison)
        if isinstance(targets, str):
            return [REPORT.silent(metric, "not-measured", targets) for metric in REPORT.table]
        hidden = _hidden(comparison)
        names = [name for name in fact_columns(comparison) if name not in hidden]
        found = design(comparison, comparison.describe(comparison.original), names)
        if not targets or not found.columns or kept < LEAST_ROWS:
            note = f"fewer than {LEAST_ROWS} rows, or no class or column to fit a model to"
            return [REPORT.silent(metric, "no-power", note, n=kept) for metric in REPORT.table]
        pairs = [_fitted(comparison, found, target) for target in targets]
        return _findings(found, pairs, kept)


def _hidden(comparison: Comparison) -> frozenset[str]:
    """Columns that are no regressors: the target, what gives it away, and texts that hardly repeat."""
    return frozenset(
        profile.name
        for profile in comparison.inventory.columns
        if profile.determines_target or (profile.dtype == "text" and profile.distinction > 0.5)
    ) | {str(comparison.inventory.target)}


def _targets(comparison: Comparison) -> list[_Target] | str:
    """The targets of the models, or why there are none."""
    name = comparison.inventory.target
    if name is None:
        return "the dataset has no target"
    if name not in comparison.released.columns:
        return "the target does not leave"
    if not comparison.kept.any():
        return "the release has no rows"
    original, released = comparison.original[name], comparison.released[name]
    pair = raw_pair(comparison, original, name)
    if original.drop_nulls().n_unique() > MOST_CLASSES:
        if pair is None:
            return f"the target has more than {MOST_CLASSES} classes"
        return _linear(*pair)
    classes = labels(original.drop_nulls().unique().sort())
    if not set(labels(released.filter(pl.Series(comparison.kept))).drop_nulls()) <= set(classes):
        return "the release has other classes of the target than the original"
    return _logistic(labels(original), labels(released), list(classes))


def _linear(before: NDArray[np.float64], after: NDArray[np.float64]) -> list[_Target]:
    known = before[usable(before)]
    scale = float(known.std()) if len(known) else 0.0
    if not scale > 0:
        return []
    first, second = (
        (np.where(usable(side), side, np.nan) - known.mean()) / scale for side in (before, after)
    )
    return [_Target(first, second, False)]


def _logistic(before: pl.Series, after: pl.Series, classes: list[str]) -> list[_Target]:
    """One against the rest, for each class of people enough; of two classes the greater."""
    found = []
    for label in classes[1:] if len(classes) == 2 else classes:
        sides = [
            (side == label).cast(pl.Float64).fill_null(float("nan")).to_numpy() for side in (before, after)
        ]
        counts = np.nansum(sides[0]), np.nansum(1 - sides[0])
        if min(counts) >= LEAST_PER_CLASS:
            found.append(_Target(sides[0], sides[1], True))
    return found


def _fitted(comparison: Comparison, found: Design, target: _Target) -> _Pair:
    draw = generator(derive(comparison.key, "regression", "groups"))
    group = draw.permutation(len(comparison.kept)) % GROUPS
    (drawn,) = resamples(comparison, "regression", 1)

    def model(matrix: NDArray[np.float64], truth: NDArray[np.float64], rows: NDArray[np.int64]) -> Fit:
        known = rows[~np.isnan(truth[rows])]
        return fit(matrix[known], truth[known], group[known], target.logistic)

    return _Pair(
        model(found.before, target.before, np.arange(len(group))),
        model(found.after, target.after, np.flatnonzero(comparison.kept)),
        model(found.before, target.before, drawn),
    )


def _findings(found: Design, pairs: list[_Pair], n: int) -> list[Finding]:
    columns = np.array(found.columns * len(pairs))
    measures = {
        "regression.overlap": _overlap,
        "regression.difference": _difference,
        "regression.same_sign": _same_sign,
    }
    findings = []
    for metric, measure in measures.items():
        values = np.concatenate([measure(pair.before, pair.after) for pair in pairs], axis=1)
        floors = np.concatenate([measure(pair.before, pair.drawn) for pair in pairs], axis=1)
        many = int(np.isfinite(values[0]).sum())
        findings.append(_finding(metric, values, floors, n, "release", f"{many} coefficients"))
        if metric != "regression.same_sign":
            for name in dict.fromkeys(found.columns):
                of = columns == name
                findings.append(_finding(metric, values[:, of], floors[:, of], n, name, ""))
    return findings


def _finding(
    metric: str,
    values: NDArray[np.float64],
    floors: NDArray[np.float64],
    n: int,
    target: str,
    note: str,
) -> Finding:
    if not np.isfinite(values).any(axis=1).all():
        clear = "no coefficient of the original is clearly not 0"
        return REPORT.silent(metric, "no-power", clear, target=target, n=n)
    best = 0.0 if metric == "regression.difference" else 1.0
    top = math.inf if metric == "regression.difference" else 1.0
    figure = jackknife(np.nanmean(values, axis=1), top=top)
    floor = float(np.nanmean(floors[0]))
    return REPORT.measured(metric, figure, n, target=target, before=best, baseline=floor, note=note)


def jackknife(values: NDArray[np.float64], low: float = 0.0, top: float = 1.0) -> Figure:
    """A figure of all people, first, with the interval from those without each group."""
    value, left_out = float(values[0]), values[1:]
    half = T * math.sqrt((GROUPS - 1) / GROUPS * float(((left_out - left_out.mean()) ** 2).sum()))
    return Figure(value, min(value, max(low, value - half)), max(value, min(top, value + half)))


def _overlap(before: Fit, after: Fit) -> NDArray[np.float64]:
    return overlaps(before.coefficients, _Z * before.errors, after.coefficients, _Z * after.errors)


def _difference(before: Fit, after: Fit) -> NDArray[np.float64]:
    change = np.abs(after.coefficients - before.coefficients)
    return np.divide(change, before.errors, out=np.zeros_like(change), where=before.errors > 0)


def _same_sign(before: Fit, after: Fit) -> NDArray[np.float64]:
    """1 or 0 for coefficients that are clearly not 0 in the original of everybody, NaN for the others.

    A sign that could be chance is not the same: half of all coefficients of noise have the right one.
    """
    clear = np.abs(before.coefficients[0]) > _Z * before.errors[0]
    same = np.sign(before.coefficients) * after.coefficients > _Z * after.errors
    return np.where(clear, same, np.nan)
