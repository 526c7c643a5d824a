"""Kullback-Leibler divergence of the release from the data (Kifer & Gehrke 2006)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from sfumato.anonymity.measures.columns import Classes, Columns
from sfumato.classes.grouping import combine, group


class KLDivergence:
    """Bits by which the tuples' distribution differs from what a reader would assume of the release.

    The reader spreads a class's rows evenly over all tuples that its labels cover, and the suppressed
    rows, as one class, over the whole domain; a tuple's probability is taken from its own class.
    """

    summary: ClassVar[str] = "bits between the tuples' distribution and one spread evenly under the labels"
    nested: ClassVar[bool] = True

    def __init__(self, columns: Columns) -> None:
        self._columns = columns
        _, people = group(combine(list(columns.positions)), columns.counts)
        self._known = _bits(people, columns.rows)
        self._logs = np.log2(np.maximum(columns.volumes, 1))
        base = columns.sums(self._logs, columns.people)
        lengths = np.diff(np.append(columns.starts, len(columns.cells)))
        domains = np.log2(columns.domains)
        self._rest = np.repeat(domains[columns.owners], lengths) - self._logs
        spread = columns.spread(columns.people)
        self._costs = (base + spread - spread[columns.firsts][columns.owners]) / columns.rows
        self._base = base

    def costs(self, gone: NDArray[np.float64], more: int = 0) -> NDArray[np.float64]:  # noqa: ARG002
        """The divergence of each column by itself, shape (levels,); that of tuples is at least their sum."""
        return self._costs

    def total(self, cost: float, suppressed: int) -> float:  # noqa: ARG002 - not of columns
        """The sum, less what rounding may have added."""
        return max(0.0, cost - 1e-9)

    def score(self, classes: Classes) -> float:
        """The score of a node."""
        columns = self._columns
        levels = columns.firsts + np.array(classes.levels)
        covered = (self._base + columns.sums(self._rest, classes.gone))[levels].sum() / columns.rows
        people = np.append(classes.sizes[classes.stays], classes.suppressed)
        return max(0.0, float(covered) + _bits(people, columns.rows) - self._known)

    def floor(self, classes: Classes) -> float:
        """The score with nothing suppressed: classes that join the suppressed ones may tell less together."""
        nobody = np.zeros_like(classes.gone)
        all_stay = replace(classes, stays=np.ones_like(classes.stays), gone=nobody)
        return max(0.0, self.score(all_stay) - 1e-9)


def _bits(people: NDArray[Any], rows: int) -> float:
    """The entropy of a distribution of rows."""
    shares = people[people > 0] / rows
    return float(-(shares * np.log2(shares)).sum())
