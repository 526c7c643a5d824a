"""How likely each released row is the source of what is known of a person, column by column.

A cell of what is known comes from the row's own with probability 1 - slips - errors, from a like one (a
number in the same of twenty bins) with probability slips, and from anybody with probability errors. So a
cell that shows a value which a share p of people have says

    errors + slips [same bin] / p_bin + (1 - slips - errors) [same label] / p

times as much for a row as for anybody: the mixture of Fellegi & Sunter's weights (1969) with a likeness of
numbers. Where labels overlap a row's label agrees if it covers the value, and p is the share it covers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sfumato.contracts import Comparison
from sfumato.evidence.attacks.terms import no_numbers_missing
from sfumato.evidence.features import NumberBins, numbers
from sfumato.evidence.overlap import blocks, covered, numbered

#: People of whom a table of values and labels is in memory at a time.
PEOPLE = 320


class Trust(NamedTuple):
    """How far the attacker trusts that a row shows what the person has."""

    name: str
    slips: float
    errors: float


EXACT = Trust("equal values", 0.0005, 0.0005)
LIKE = Trust("like values", 0.3, 0.1)


@dataclass(frozen=True)
class _Column:
    """A column's labels with the share of people whom each fits, and the bin of each, shape (labels,)."""

    name: str
    labels: pl.Series
    shares: NDArray[np.float64]
    bins: NumberBins | None
    of_label: NDArray[np.int64]
    of_bin: NDArray[np.float64]


@dataclass(frozen=True)
class Rows:
    """Released rows as codes of labels, shape (columns, rows), and how many people each stands for."""

    comparison: Comparison
    columns: tuple[_Column, ...]
    codes: NDArray[np.int32]
    weights: NDArray[np.float32]

    @classmethod
    def of(
        cls,
        comparison: Comparison,
        names: Sequence[str],
        rows: pl.DataFrame,
        weights: NDArray[np.int64],
        people: pl.DataFrame,
    ) -> Rows:
        """Rows of a release; ``people`` as ``describe`` leaves them say what overlapping labels cover."""
        found, codes = [], []
        for name in names:
            labels, code = numbered(no_numbers_missing(rows[name]))
            found.append(_column(comparison, labels, code, weights, no_numbers_missing(people[name])))
            codes.append(code)
        return cls(comparison, tuple(found), np.stack(codes), weights.astype(np.float32))

    def __len__(self) -> int:
        return len(self.weights)

    def take(self, rows: NDArray[np.int64]) -> Rows:
        """Some of the rows."""
        return Rows(self.comparison, self.columns, self.codes[:, rows], self.weights[rows])

    def likelihoods(self, people: pl.DataFrame, among: Sequence[int], trust: Trust) -> NDArray[np.float32]:
        """Of each person and row relative to the person's best, by some columns, shape (people, rows)."""
        from sfumato.evidence.attacks.likeness_kernels import likelihoods

        codes = np.ascontiguousarray(self.codes[list(among)])
        found = np.zeros((people.height, len(self)), dtype=np.float32)
        for start in range(0, people.height, PEOPLE):
            part = slice(start, start + PEOPLE)
            flat, at = self._tables(people[part], among, trust)
            likelihoods(flat, at, codes, found[part])
        return found

    def each_column(self, people: pl.DataFrame, trust: Trust) -> NDArray[np.float32]:
        """Log-likelihoods of each person and row by each column, shape (columns, people, rows)."""
        flat, at = self._tables(people, range(len(self.columns)), trust)
        return np.stack(
            [flat[at[:, j, None] + codes[None]] for j, codes in enumerate(self.codes)], dtype=np.float32
        )

    def posterior(
        self, people: pl.DataFrame, trust: Trust, secret: NDArray[np.int64], classes: int
    ) -> NDArray[np.float64]:
        """The probability of each class of a row's secret for each person, shape (people, classes)."""
        from sfumato.evidence.attacks.likeness_kernels import posterior

        found = np.zeros((people.height, classes))
        for start in range(0, people.height, PEOPLE):
            part = slice(start, start + PEOPLE)
            flat, at = self._tables(people[part], range(len(self.columns)), trust)
            posterior(flat, at, self.codes, self.weights, secret, found[part])
        return found

    def _tables(
        self, people: pl.DataFrame, among: Sequence[int], trust: Trust
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Log-likelihoods of every value of some people under every label, laid flat, and where a
        person's part of each column begins, shape (people, columns)."""
        flat, starts, size = [], [], 0
        for j in among:
            column = self.columns[j]
            values, codes = numbered(no_numbers_missing(people[column.name]))
            table = _table(self.comparison, column, values, trust)
            flat.append(table.ravel())
            starts.append(size + codes.astype(np.int64) * len(column.labels))
            size += table.size
        return np.concatenate(flat), np.stack(starts, axis=1)


def _column(
    comparison: Comparison,
    labels: pl.Series,
    codes: NDArray[np.int32],
    weights: NDArray[np.int64],
    values: pl.Series,
) -> _Column:
    total = max(1, int(weights.sum()))
    shares = np.bincount(codes, weights, minlength=len(labels)) / total
    if labels.name in comparison.overlapping:
        shares = np.maximum(shares, _covered_share(comparison, labels, values))
    figures = numbers(labels, comparison.centers.get(labels.name))
    if figures is None or np.isnan(figures).all():
        none = np.zeros(len(labels), dtype=np.int64)
        return _Column(labels.name, labels, shares, None, none, np.ones(1))
    bins = NumberBins.fit(figures[codes])
    of_label = bins.codes(figures)
    of_bin = np.bincount(of_label[codes], weights, minlength=bins.size) / total
    return _Column(labels.name, labels, shares, bins, of_label, np.maximum(of_bin, 1 / total))


def _covered_share(comparison: Comparison, labels: pl.Series, values: pl.Series) -> NDArray[np.float64]:
    counts = values.alias("value").to_frame().group_by("value").len().sort("value", nulls_last=True)
    people = counts["len"].cast(pl.Int64).to_numpy()
    found = np.zeros(len(labels))
    for part in blocks(len(labels), counts.height):
        found[part] = covered(comparison, labels.name, labels[part], counts["value"]) @ people
    return found / max(1, len(values))


def _table(comparison: Comparison, column: _Column, values: pl.Series, trust: Trust) -> NDArray[np.float32]:
    """Log-likelihoods relative to anybody's, shape (values, labels)."""
    agree = covered(comparison, column.name, column.labels, values).T
    own = 1 - trust.slips - trust.errors
    found = trust.errors + np.where(agree, own / column.shares, 0.0)
    figures = None
    if column.bins is not None:
        figures = numbers(values, comparison.centers.get(column.name))
    if column.bins is None or figures is None:
        return np.log(found + trust.slips).astype(np.float32)
    bins = column.bins.codes(figures)
    like = bins[:, None] == column.of_label[None]
    return np.log(found + np.where(like, trust.slips / column.of_bin[bins][:, None], 0.0)).astype(np.float32)
