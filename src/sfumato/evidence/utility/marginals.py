"""How well the joint distributions of two and three columns survive: the k-marginal measure of NIST.

The total variation distance of every marginal table of k columns, and their mean. NIST's *k-marginal score*
(NIST PSCR 2018 Differential Privacy Synthetic Data Challenge with k = 3; Task et al. 2023, *SDNist v2:
Deidentified Data Report Tool*, with k = 2) is (2 - m) * 500, with m the mean over tables of the sum of
absolute differences of shares: 1000 for equal tables, 0 for tables that share no cell.
"""

from __future__ import annotations

from itertools import combinations
from typing import Annotated, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from sfumato import contracts
from sfumato.contracts import Comparison
from sfumato.core.keyed import derive, generator
from sfumato.core.values import Finding
from sfumato.evidence.report import Figure, Metric, Report
from sfumato.evidence.utility.influence import influences, interval
from sfumato.evidence.utility.terms import Term, fact_columns, resamples, terms

REPORT = Report(
    "marginals",
    {
        "marginals.two": Metric(
            "low", "distance", "mean total variation distance of the tables of two released columns"
        ),
        "marginals.three": Metric(
            "low", "distance", "mean total variation distance of the tables of three released columns"
        ),
        "marginals.worst": Metric("low", "distance", "largest distance of a table of two released columns"),
        "marginals.score": Metric("high", "ratio", "NIST's k-marginal score, from 0 to 1000"),
    },
)

FEW = "fewer than {} columns of facts are released"
BEST_SCORE = 1000.0


class Marginals:
    """Distances of tables of two and three columns, mean and worst, and NIST's score.

    Each column is in ``bins`` categories, both sides in the same terms (:mod:`~.terms`). ``baseline`` is
    the noise floor: the same figure of a resample of the original with as many rows as the release. It
    grows with the number of cells, so figures compare with it and not with each other. A figure with a
    column as its target is over the tables of two that have this column.
    """

    summary: ClassVar[str] = "distance of every table of two and three columns, and NIST's k-marginal score"
    metrics = REPORT.metrics
    units = REPORT.units
    rowwise: ClassVar[frozenset[str]] = frozenset()
    #: Made rows have these figures of people held out beside them.
    has_floor: ClassVar[bool] = True

    class Params(contracts.Params):
        """``k`` columns a table of the score, ``bins`` a column; of more ``tables``, a keyed sample."""

        k: Literal[2, 3] = 3
        bins: Annotated[int, Field(ge=2, le=100)] = 10
        tables: Annotated[int, Field(ge=1, le=100_000)] = 2_000

    def run(self, comparison: Comparison, params: Marginals.Params) -> list[Finding]:
        """The figures of the whole release, then of each column."""
        names, kept = fact_columns(comparison), int(comparison.kept.sum())
        if len(names) < 2 or not kept:
            note = FEW.format(2) if kept else "the release has no rows"
            return [REPORT.silent(metric, "not-measured", note) for metric in REPORT.table]
        columns = terms(comparison, comparison.describe(comparison.original), names, params.bins)
        tables = _Tables.of(comparison, columns)
        chosen = {k: _sets(len(names), k, params.tables, comparison.key) for k in (2, 3)}
        found = {k: tables.compare(sets) for k, sets in chosen.items() if len(sets)}
        return [*_whole(tables, chosen, found, names, params.k), *_by_column(tables, chosen[2], names)]


class _Compared:
    """What the tables of some sets of columns come to."""

    def __init__(self, distances: NDArray[np.float64], floors: NDArray[np.float64], mean: Figure) -> None:
        self.distances, self.mean = distances, mean
        self.floor = float(floors.mean())
        self.worst_floor = float(floors.max())


class _Tables:
    """The columns as the kernel takes them: those who leave first, and a column of no information."""

    def __init__(
        self,
        before: NDArray[np.uint16],
        after: NDArray[np.uint16],
        weights: NDArray[np.int32],
        sizes: NDArray[np.int64],
    ) -> None:
        self.before, self.after, self.weights, self.sizes = before, after, weights, sizes

    @classmethod
    def of(cls, comparison: Comparison, columns: list[Term]) -> _Tables:
        order = np.argsort(~comparison.kept, kind="stable")
        people, leaving = len(order), int(comparison.kept.sum())
        before = np.zeros((len(columns) + 1, people), dtype=np.uint16)
        after = np.zeros((len(columns) + 1, leaving), dtype=np.uint16)
        for j, column in enumerate(columns):
            before[j], after[j] = column.before[order], column.after[order[:leaving]]
        (drawn,) = resamples(comparison, "marginals", 1)
        weights = np.bincount(drawn, minlength=people)[order].astype(np.int32)
        sizes = np.array([*(column.size for column in columns), 1], dtype=np.int64)
        return cls(before, after, weights, sizes)

    @property
    def leaving(self) -> int:
        return int(self.after.shape[1])

    def compare(self, sets: NDArray[np.int64]) -> _Compared:
        """The tables of sets of columns, shape (sets, at most 3)."""
        from sfumato.evidence.utility.kernels import marginal_distances

        padded = np.full((len(sets), 3), len(self.sizes) - 1, dtype=np.int64)
        padded[:, : sets.shape[1]] = sets
        distances, floors, was, now = marginal_distances(
            self.before, self.after, self.weights, self.sizes, padded
        )
        kept = np.arange(self.before.shape[1]) < self.leaving
        after = np.zeros(len(kept))
        after[kept] = now / (2 * len(sets))
        parts = influences(-was / (2 * len(sets)), after, kept)
        return _Compared(distances, floors, interval(float(distances.mean()), parts))


def _sets(columns: int, k: int, most: int, key: bytes) -> NDArray[np.int64]:
    """Column numbers of the tables of ``k`` columns, shape (tables, k), at most so many."""
    from math import comb

    if comb(columns, k) <= most:
        return np.array(list(combinations(range(columns), k)), dtype=np.int64).reshape(-1, k)
    draw = generator(derive(key, "marginals", str(k)))
    found: set[tuple[int, ...]] = set()
    while len(found) < most:
        found.add(tuple(sorted(int(j) for j in draw.choice(columns, k, replace=False))))
    return np.array(sorted(found), dtype=np.int64)


def _whole(
    tables: _Tables,
    chosen: dict[int, NDArray[np.int64]],
    found: dict[int, _Compared],
    names: list[str],
    k: int,
) -> list[Finding]:
    findings = [_mean("marginals.two", tables, found.get(2)), _mean("marginals.three", tables, found.get(3))]
    worst = int(np.argmax(found[2].distances))
    a, b = (names[j] for j in chosen[2][worst])
    alone = tables.compare(chosen[2][worst : worst + 1])
    findings.append(
        REPORT.measured(
            "marginals.worst",
            alone.mean,
            tables.leaving,
            before=0.0,
            baseline=found[2].worst_floor,
            note=f"between {a} and {b}",
        )
    )
    return [*findings, _score(tables, found.get(k), k)]


def _mean(metric: str, tables: _Tables, found: _Compared | None, target: str = "release") -> Finding:
    if found is None:
        return REPORT.silent(metric, "not-measured", FEW.format(3), n=tables.leaving)
    note = f"mean over {len(found.distances)} tables"
    return REPORT.measured(
        metric, found.mean, tables.leaving, target=target, before=0.0, baseline=found.floor, note=note
    )


def _score(tables: _Tables, found: _Compared | None, k: int) -> Finding:
    if found is None:
        return REPORT.silent("marginals.score", "not-measured", FEW.format(k), n=tables.leaving)
    value, low, high = (score(distance) for distance in (found.mean.value, found.mean.high, found.mean.low))
    note = f"{k} columns a table; a score compares only with scores of the same columns and bins"
    return REPORT.measured(
        "marginals.score",
        Figure(value, low, high),
        tables.leaving,
        before=BEST_SCORE,
        baseline=score(found.floor),
        note=note,
    )


def score(distance: float) -> float:
    """NIST's k-marginal score of a mean total variation distance, half the mean absolute difference.

    >>> score(0.0), score(0.25), score(1.0)
    (1000.0, 750.0, 0.0)
    """
    return (2 - 2 * distance) * 500


def _by_column(tables: _Tables, pairs: NDArray[np.int64], names: list[str]) -> list[Finding]:
    findings = []
    for j, name in enumerate(names):
        with_it = pairs[(pairs == j).any(axis=1)]
        if len(with_it):
            findings.append(_mean("marginals.two", tables, tables.compare(with_it), target=name))
    return findings
