"""How likely each released row is the source of what is known of a person, column by column.

A cell of what is known comes from the row's own with probability 1 - slips - errors, from a like one (a
number in the same of twenty bins) with probability slips, and from anybody with probability errors. So a
cell that shows a value which a share p of people have says

    errors + slips [same bin] / p_bin + (1 - slips - errors) [same label] / p

times as much for a row as for anybody: the mixture of Fellegi & Sunter's weights (1969) with a likeness of
numbers. Where labels overlap a row's label agrees if it covers the value, and p is the share it covers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sfumato.contracts import Comparison
from sfumato.evidence.attacks.terms import no_numbers_missing
from sfumato.evidence.features import NumberBins, encode_labels, numbers
from sfumato.evidence.overlap import blocks, covered, numbered

#: People of whom a table of values and labels is in memory at a time.
PEOPLE = 320
#: People whose likelihoods are made at a time, so that they stay in the cache.
_AT_ONCE = 32
#: Distinct keys that tuples may have.
_MOST_KEYS = 1 << 62


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

    @cached_property
    def bins(self) -> NDArray[np.int32]:
        """The bin of each row's labels, shape (columns, rows)."""
        found = [column.of_label[codes] for column, codes in zip(self.columns, self.codes, strict=True)]
        return np.stack(found).astype(np.int32)

    def distinct(
        self, among: Sequence[int], people: Sequence[Cells]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """A row for each tuple of some columns that differs for any of the people, and each row's number.

        Labels that none of them has differ by their bins only.
        """
        key, many = np.zeros(len(self), dtype=np.int64), 1
        for j in among:
            codes, width = self._told_apart(j, people)
            if many * width > _MOST_KEYS:
                here, key = np.unique(key, return_inverse=True)
                many = len(here)
            key, many = key * width + codes, many * width
        _, first, number = np.unique(key, return_index=True, return_inverse=True)
        return first, number

    def _told_apart(self, j: int, people: Sequence[Cells]) -> tuple[NDArray[np.int64], int]:
        """What of a column differs for some of the people, shape (rows,), and how many codes there are."""
        column = self.columns[j]
        labels = len(column.labels)
        codes = np.arange(labels)
        if column.name not in self.comparison.overlapping:
            somebody = np.zeros(labels, dtype=bool)
            for cells in people:
                own = cells.columns[j].own
                somebody[own[own >= 0]] = True
            codes = np.where(somebody, codes, labels + column.of_label)
        return codes[self.codes[j]], labels + int(column.of_label.max()) + 1

    def cells(self, people: pl.DataFrame) -> Cells:
        """What is known of people as ``describe`` leaves them, in terms of the labels."""
        found = [
            _cell(self.comparison, column, no_numbers_missing(people[column.name])) for column in self.columns
        ]
        return Cells(self, tuple(found), people.height)


class _Cell(NamedTuple):
    """A column of what is known of people.

    ``own`` is the label that each has and ``like`` its bin, shape (people,); ``numeric`` says whether bins
    count. Where labels overlap the distinct ``values`` stand for them, and ``own`` is the number of one.
    """

    own: NDArray[np.int32]
    like: NDArray[np.int64]
    numeric: bool
    values: pl.Series | None


@dataclass(frozen=True)
class Cells:
    """What is known of some people, to be compared with rows."""

    rows: Rows
    columns: tuple[_Cell, ...]
    people: int

    def __len__(self) -> int:
        return self.people

    def likelihoods(
        self, trust: Trust, among: Sequence[int], rows: NDArray[np.int64]
    ) -> Iterator[tuple[slice, NDArray[np.float32]]]:
        """Of people and some rows relative to each one's best, by some columns, shape (people, rows).

        Yields:
            some of the people, and their likelihoods.
        """
        from sfumato.evidence.attacks.likeness_kernels import relative

        for part, found in self._scores(trust, among, rows):
            relative(found, found.max(axis=1))
            yield part, np.exp(found, out=found)

    def posterior(self, trust: Trust, secret: NDArray[np.int64], classes: int) -> NDArray[np.float64]:
        """The probability of each class of a row's secret for each person, shape (people, classes)."""
        from sfumato.evidence.attacks.likeness_kernels import posterior

        shares = np.zeros((self.people, classes))
        every = range(len(self.columns)), np.arange(len(self.rows))
        for part, found in self._scores(trust, *every):
            posterior(found, found.max(axis=1), self.rows.weights, secret, shares[part])
        return shares

    def _scores(
        self, trust: Trust, among: Sequence[int], rows: NDArray[np.int64]
    ) -> Iterator[tuple[slice, NDArray[np.float32]]]:
        """Log-likelihoods of people and some rows, up to a term of each person's, shape (people, rows)."""
        from sfumato.evidence.attacks.likeness_kernels import scores

        every = self.rows.codes, self.rows.bins
        labels, bins = (np.stack([codes[j][rows] for j in among]) for codes in every)
        for start in range(0, self.people, PEOPLE):
            some = slice(start, min(start + PEOPLE, self.people))
            own, like, gains, tables, at = self._compared(trust, among, some)
            for first in range(start, some.stop, _AT_ONCE):
                part = slice(first, min(first + _AT_ONCE, some.stop))
                found = np.zeros((part.stop - first, labels.shape[1]), dtype=np.float32)
                scores(labels, bins, own, like, gains, tables, at, first - start, found)
                yield part, found

    def _compared(self, trust: Trust, among: Sequence[int], some: slice) -> tuple[NDArray[Any], ...]:
        """Own labels and bins, gains, tables and places in them, as the kernels take them."""
        own = np.stack([self.columns[j].own[some] for j in among])
        like = np.stack([self.columns[j].like[some] for j in among]).astype(np.int32)
        gains = np.zeros((*own.shape, 3), dtype=np.float32)
        at = np.full(own.shape, -1, dtype=np.int64)
        tables, size = [np.zeros(0, dtype=np.float32)], 0
        for place, j in enumerate(among):
            cell, column = self.columns[j], self.rows.columns[j]
            if cell.values is None:
                gains[place] = self._gains(trust)[j][some]
            else:
                here, number = np.unique(own[place], return_inverse=True)
                table = _table(self.rows.comparison, column, cell.values[here], trust)
                at[place] = size + number * table.shape[1]
                tables.append(table.ravel())
                size += table.size
        return own, like, gains, np.concatenate(tables), at

    def _gains(self, trust: Trust) -> list[NDArray[np.float32]]:
        if trust not in self._by_trust:
            pairs = zip(self.rows.columns, self.columns, strict=True)
            self._by_trust[trust] = [_gains(column, cell, trust) for column, cell in pairs]
        return self._by_trust[trust]

    @cached_property
    def _by_trust(self) -> dict[Trust, list[NDArray[np.float32]]]:
        return {}


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


def _cell(comparison: Comparison, column: _Column, people: pl.Series) -> _Cell:
    if column.name in comparison.overlapping:
        values, own = numbered(people)
        return _Cell(own, np.zeros(len(own), dtype=np.int64), False, values)
    own = encode_labels(people, pl.DataFrame({"label": column.labels}).with_row_index("code"))
    figures = None
    if column.bins is not None:
        figures = numbers(people, comparison.centers.get(column.name))
    if column.bins is None or figures is None:
        return _Cell(own, np.zeros(len(own), dtype=np.int64), False, None)
    return _Cell(own, column.bins.codes(figures), True, None)


def _gains(column: _Column, cell: _Cell, trust: Trust) -> NDArray[np.float32]:
    """Log-likelihoods of the own label, of one in the same bin, of any other, shape (people, 3)."""
    if cell.values is not None:
        return np.zeros((len(cell.own), 3), dtype=np.float32)
    agree = (1 - trust.slips - trust.errors) / column.shares[cell.own]
    slips = trust.slips / column.of_bin[cell.like] if cell.numeric else np.full(len(cell.own), trust.slips)
    near = trust.errors + slips
    # A value of which no label is in the same bin still has one bin that is its own.
    inside = column.of_label[cell.own] == cell.like if cell.numeric else True
    same = trust.errors + agree + np.where(inside, slips, 0.0)
    other = np.full(len(near), trust.errors) if cell.numeric else near
    return np.log(np.stack([same, near, other], axis=1)).astype(np.float32)


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
