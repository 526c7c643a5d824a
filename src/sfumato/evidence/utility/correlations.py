"""How well the associations between columns survive, pair by pair, by one measure for all kinds.

Bias-corrected Cramer's V (Bergsma 2013, *Journal of the Korean Statistical Society* 42:323-328) on
columns in at most 20 categories each: symmetric, 0 for independent columns whatever the table's size,
and it sees curved dependence that a correlation coefficient does not. Marginal distributions do not
enter, so a release with every column right and every dependence destroyed is found out.
"""

from __future__ import annotations

import math
from typing import Annotated, ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field

from sfumato import contracts
from sfumato.contracts import Comparison
from sfumato.core.keyed import derive, generator
from sfumato.core.values import Finding
from sfumato.evidence.columns import direct_identifiers
from sfumato.evidence.features import categories
from sfumato.evidence.overlap import Spread
from sfumato.evidence.report import Figure, Metric, Report

REPORT = Report(
    "correlations",
    {
        "correlations.error": Metric(
            "low", "correlation", "mean change of the association (Cramer's V) over pairs of columns"
        ),
        "correlations.worst_error": Metric(
            "low", "correlation", "largest change of the association of one pair of columns"
        ),
    },
)

#: Groups of people left out in turn; the t quantile has one degree of freedom less.
GROUPS = 20
_T = 2.093024
FLOOR_DRAWS = 4
LEAST_ROWS = 2 * GROUPS

#: Each row's category and how many there are, or what labels that overlap say of it.
_Column = tuple[NDArray[np.int64], int] | Spread


class Correlations:
    """Mean and largest absolute change of Cramer's V over all pairs of released columns.

    Each side is binned in its own terms: a released label is a category, a label of numbers its
    center. Labels that overlap (local recoding) would be associated by the classes that they come from;
    a row with such labels counts in parts in the categories of the original, spread equally over the
    values that each label covers. Intervals are by the jackknife over 20 keyed groups of people (Efron &
    Tibshirani 1993, ch. 11), both sides leaving out the same people; ``baseline`` is what a resample of
    the original with as many rows as the release would show by chance.
    """

    summary: ClassVar[str] = "change of the association between every two columns"
    metrics = REPORT.metrics
    units = REPORT.units
    rowwise: ClassVar[frozenset[str]] = frozenset()
    #: Made rows have these figures of people held out beside them.
    has_floor: ClassVar[bool] = True

    class Params(contracts.Params):
        """``pairs`` is the most pairs compared; of more, a keyed sample."""

        pairs: Annotated[int, Field(ge=1, le=100_000)] = 2_000

    def run(self, comparison: Comparison, params: Correlations.Params) -> list[Finding]:
        """Two findings; without two released columns or enough rows they have no figure."""
        hidden = direct_identifiers(comparison)
        names = [column for column in comparison.released.columns if column not in hidden]
        kept = int(comparison.kept.sum())
        if len(names) < 2:
            note = "fewer than two columns of facts are released"
            return [REPORT.silent(metric, "not-measured", note) for metric in REPORT.table]
        if kept < LEAST_ROWS:
            note = f"fewer than {LEAST_ROWS} rows to compare"
            return [REPORT.silent(metric, "no-power", note, n=kept) for metric in REPORT.table]
        pairs = _pairs(len(names), params.pairs, derive(comparison.key, "correlations", "pairs"))
        changes, floors = _changes(comparison, names, pairs, kept)
        return _findings(names, pairs, changes, floors, kept)


def _pairs(columns: int, most: int, key: bytes) -> NDArray[np.int64]:
    """The pairs of column numbers, shape (pairs, 2)."""
    pairs = np.stack(np.triu_indices(columns, 1), axis=1)
    if len(pairs) > most:
        pairs = pairs[np.sort(generator(key).permutation(len(pairs))[:most])]
    return pairs


def _changes(
    comparison: Comparison, names: list[str], pairs: NDArray[np.int64], kept: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The change of each pair, all people first and then without each group; and chance changes.

    Returns:
        Shapes (pairs, 1 + GROUPS) and (pairs, FLOOR_DRAWS).
    """
    mask = comparison.kept
    released = comparison.released.filter(pl.Series(mask))
    described = comparison.describe(comparison.original)
    before = [categories(comparison.original[name]) for name in names]
    after = [
        _spread(comparison, described[name], released[name])
        if name in comparison.overlapping
        else categories(released[name], comparison.centers.get(name))
        for name in names
    ]
    draw = generator(derive(comparison.key, "correlations", "groups"))
    group = draw.permutation(len(mask)) % GROUPS
    changes, floors = np.empty((len(pairs), 1 + GROUPS)), np.empty((len(pairs), FLOOR_DRAWS))
    for i, (a, b) in enumerate(pairs):
        first = _tables(before[a], before[b], group)
        second = _tables(after[a], after[b], group[mask])
        association = cramers_v(first)
        changes[i] = np.abs(association - cramers_v(second))
        drawn = draw.multinomial(kept, first[0].ravel() / first[0].sum(), size=FLOOR_DRAWS)
        resampled = cramers_v(drawn.reshape(FLOOR_DRAWS, *first.shape[1:]).astype(np.float64))
        floors[i] = np.abs(resampled - association[0])
    return changes, floors


def _spread(comparison: Comparison, values: pl.Series, released: pl.Series) -> Spread:
    return Spread.of(comparison, released, values, *categories(values))


def _tables(a: _Column, b: _Column, group: NDArray[np.int64]) -> NDArray[np.float64]:
    """The cross table of two columns for all people, then without each group."""
    if isinstance(a, Spread) or isinstance(b, Spread):
        parts = [group == g for g in range(GROUPS)]
        rows_a, rows_b = _shares(a), _shares(b)
        by_group = np.stack([rows_a[part].T @ rows_b[part] for part in parts])
    else:
        (codes_a, size_a), (codes_b, size_b) = a, b
        cells = size_a * size_b
        counts = np.bincount(group * cells + codes_a * size_b + codes_b, minlength=GROUPS * cells)
        by_group = counts.reshape(GROUPS, size_a, size_b).astype(np.float64)
    total = by_group.sum(axis=0, keepdims=True)
    return np.concatenate([total, total - by_group])


def _shares(column: _Column) -> NDArray[np.float64]:
    """How far each row is in each category, shape (rows, categories)."""
    if isinstance(column, Spread):
        return column.shares[column.codes]
    codes, size = column
    return np.eye(size)[codes]


def cramers_v(tables: NDArray[np.float64]) -> NDArray[np.float64]:
    """Bias-corrected Cramer's V of each cross table (Bergsma 2013).

    Args:
        tables: counts, shape (tables, a, b); empty rows and columns do not count.

    Returns:
        Shape (tables,), in 0..1; a column of one category is associated with nothing.

    >>> cramers_v(np.array([[[50.0, 0.0], [0.0, 50.0]], [[25.0, 25.0], [25.0, 25.0]]])).round(6)
    array([1., 0.])
    """
    rows, columns = tables.sum(axis=2), tables.sum(axis=1)
    n = tables.sum(axis=(1, 2))
    expected = rows[:, :, None] * columns[:, None, :]
    # chi2 / n = sum of squared counts over the product of margins, less 1.
    squares = np.divide(tables**2, expected, out=np.zeros_like(tables), where=expected > 0)
    phi = np.maximum(0.0, squares.sum(axis=(1, 2)) - 1)
    r, c = (rows > 0).sum(axis=1).astype(np.float64), (columns > 0).sum(axis=1).astype(np.float64)
    less = np.maximum(1.0, n - 1)
    corrected = np.maximum(0.0, phi - (r - 1) * (c - 1) / less)
    least = np.minimum(r - (r - 1) ** 2 / less, c - (c - 1) ** 2 / less) - 1
    ratio = np.divide(corrected, least, out=np.zeros_like(corrected), where=least > 0)
    return np.asarray(np.minimum(1.0, np.sqrt(ratio)), dtype=np.float64)


def _findings(
    names: list[str],
    pairs: NDArray[np.int64],
    changes: NDArray[np.float64],
    floors: NDArray[np.float64],
    kept: int,
) -> list[Finding]:
    worst = int(np.argmax(changes[:, 0]))
    a, b = (names[column] for column in pairs[worst])
    return [
        REPORT.measured(
            "correlations.error",
            _jackknife(changes.mean(axis=0)),
            kept,
            before=0.0,
            baseline=float(floors.mean()),
            note=f"mean over {len(pairs)} pairs of columns",
        ),
        REPORT.measured(
            "correlations.worst_error",
            _jackknife(changes[worst]),
            kept,
            before=0.0,
            baseline=float(floors.max(axis=0).mean()),
            note=f"between {a} and {b}",
        ),
    ]


def _jackknife(values: NDArray[np.float64]) -> Figure:
    """A figure of all people with the interval from the figures without each group."""
    value, left_out = float(values[0]), values[1:]
    variance = (GROUPS - 1) / GROUPS * float(((left_out - left_out.mean()) ** 2).sum())
    half = _T * math.sqrt(variance)
    return Figure(value, max(0.0, value - half), min(1.0, value + half))
