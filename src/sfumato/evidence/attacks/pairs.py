"""All pairs of register people and classes of released rows, scored column by column.

An attacker says what each pair of a value and a label adds to a score; who scores best is found over all
pairs, with no candidate left out, in blocks of people whose tables of values and labels fit in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sfumato.contracts import Comparison
from sfumato.evidence.attacks.covering import CoveringClasses
from sfumato.evidence.attacks.matching import Classes, Table
from sfumato.evidence.features import encode_labels, numbers
from sfumato.evidence.overlap import covered, numbered

#: Cells of the tables of values and labels that a block of people may need: 64 MB.
TABLE = 1 << 24


@dataclass(frozen=True)
class Beside:
    """A column of a release beside the same column of a register.

    Args:
        labels: the distinct labels, shape (labels,).
        shares: for each label the share of released people whom it fits, shape (labels,).
        values: the distinct values of the register in the release's own terms, shape (values,).
        codes: the label that each value is, -1 for none, shape (values,).
        label_numbers, value_numbers: the labels and values as numbers, NaN where they are none; None if
            the column is not one of numbers.
        covers: where labels overlap, which of them cover some values, shape (values, labels).
    """

    labels: pl.Series
    shares: NDArray[np.float64]
    values: pl.Series
    codes: NDArray[np.int32]
    label_numbers: NDArray[np.float64] | None
    value_numbers: NDArray[np.float64] | None
    covers: Callable[[NDArray[np.int64]], NDArray[np.bool_]] | None

    @property
    def span(self) -> float:
        """The range of the labels' numbers, 0 without any, infinite if it is too great for a number."""
        assert self.label_numbers is not None
        finite = self.label_numbers[np.isfinite(self.label_numbers)]
        with np.errstate(over="ignore"):
            return float(finite.max() - finite.min()) if len(finite) else 0.0

    def distances(self, values: NDArray[np.int64]) -> NDArray[np.float64]:
        """How far the numbers of some values are from those of the labels, shape (values, labels)."""
        assert self.value_numbers is not None and self.label_numbers is not None
        with np.errstate(invalid="ignore", over="ignore"):
            return np.abs(self.value_numbers[values][:, None] - self.label_numbers)

    def agree(self, values: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which labels fit some values, shape (values, labels)."""
        if self.covers is not None:
            return self.covers(values)
        return np.asarray(self.codes[values][:, None] == np.arange(len(self.labels)))


@dataclass(frozen=True)
class Scored:
    """What a column's pairs add to a score.

    Args:
        hits: where a value is a label, shape (labels,).
        miss: where it is not.
        table: instead of both, the scores of some values with all labels, shape (values, labels).
        most: no score is greater than this or less than minus this.
    """

    hits: NDArray[np.float64]
    miss: float
    table: Callable[[NDArray[np.int64]], NDArray[np.float64]] | None
    most: float


class Best(NamedTuple):
    """The best of all pairs of each person, shape (people,) each.

    ``score`` is the best sum, ``rows`` the rows that reach it, ``mass`` the sum over all rows of
    exp(score - best), ``own`` the score of the own row (the best one's exactly if it ties with it).
    """

    score: NDArray[np.float64]
    rows: NDArray[np.int64]
    mass: NDArray[np.float64]
    own: NDArray[np.float64]


class Layout(NamedTuple):
    """Scores of a block of people as the kernels take them (:mod:`sfumato.evidence.attacks.pair_kernels`)."""

    people: NDArray[np.int32]
    tabled: NDArray[np.bool_]
    flat: NDArray[np.int32]
    starts: NDArray[np.int64]
    widths: NDArray[np.int64]
    misses: NDArray[np.int32]


@dataclass(frozen=True)
class Pairs:
    """A register beside the classes of a release.

    Args:
        columns: what can be compared.
        people: the number of each person's value in each column, shape (people, columns); negative for
            a cell that says nothing.
        classes: label codes, shape (columns, classes).
        sizes: rows of each class, shape (classes,).
    """

    columns: tuple[Beside, ...]
    people: NDArray[np.int32]
    classes: NDArray[np.int32]
    sizes: NDArray[np.int64]

    @classmethod
    def of(
        cls, comparison: Comparison, table: Table, described: pl.DataFrame, gaps: NDArray[np.bool_]
    ) -> Pairs:
        """People as ``describe`` leaves them beside classes; the cells of ``gaps`` say nothing."""
        from sfumato.evidence.attacks.pair_kernels import GAP

        labelled, shares = _labelled(table)
        overlapping = comparison.overlapping if isinstance(table, CoveringClasses) else ()
        columns, people = [], []
        for level, share, name in zip(labelled.levels, shares, labelled.columns, strict=True):
            values, at = numbered(described[name])
            columns.append(_beside(comparison, level, share, values.alias(name), name in overlapping))
            people.append(at)
        codes = np.stack(people, axis=1) if people else np.empty((described.height, 0), dtype=np.int32)
        codes[gaps] = GAP
        return cls(tuple(columns), codes, *labelled.ordered)

    def __getitem__(self, part: slice | NDArray[np.int64]) -> Pairs:
        return Pairs(self.columns, self.people[part], self.classes, self.sizes)

    def layout(
        self, scored: Sequence[Scored], bits: int, people: NDArray[np.int32], order: NDArray[np.int64]
    ) -> Layout:
        """The scores of a block of people in whole numbers, columns in an order."""
        flat, codes, starts = [], [], [0]
        for j in order:
            column, scores, at = self.columns[j], scored[j], people[:, j]
            if scores.table is None:
                here = np.where(at < 0, at, column.codes[np.maximum(at, 0)] if len(column.codes) else -1)
                block = scores.hits
            else:
                known = known_values(at)
                here = np.where(at < 0, at, np.searchsorted(known, at))
                block = scores.table(known).ravel()
            flat.append(_whole(block, bits))
            codes.append(here.astype(np.int32))
            starts.append(starts[-1] + len(block))
        misses = np.array([scored[j].miss for j in order], dtype=np.float64)
        return Layout(
            np.stack(codes, axis=1) if codes else np.empty((len(people), 0), dtype=np.int32),
            np.array([scored[j].table is not None for j in order], dtype=bool),
            np.concatenate([*flat, np.zeros(1, dtype=np.int32)]),
            np.array(starts, dtype=np.int64)[:-1],
            np.array([len(self.columns[j].labels) for j in order], dtype=np.int64),
            _whole(misses, bits),
        )

    def best(self, scored: Sequence[Scored], own: NDArray[np.int32] | None = None) -> Best:
        """The best pairs of each person.

        Args:
            scored: what each column adds.
            own: the label codes of the people's own rows, shape (people, columns); without, nobody's own
                row scores.
        """
        from sfumato.evidence.attacks.pair_kernels import best_scores

        n = len(self.people)
        score, mass, mine = np.zeros(n), np.zeros(n), np.full(n, -np.inf)
        rows, bits = np.zeros(n, dtype=np.int64), resolution(scored)
        if not len(self.sizes):
            return Best(score, rows, mass, mine)
        order = self._order(scored)
        classes = np.ascontiguousarray(self.classes[order])
        for block in self._blocks(scored):
            people = self.people[block]
            layout = self.layout(scored, bits, people, order)
            sums, tied, likelihood = _sorted(best_scores, layout, classes, self.sizes, bits)
            score[block], rows[block], mass[block] = sums / 2.0**bits, tied, likelihood
            if own is not None:
                theirs = _own(layout, own[block][:, order])
                near = theirs >= sums.astype(np.int64) - len(order)
                mine[block] = np.where(near, score[block], theirs / 2.0**bits)
        return Best(score, rows, mass, mine)

    def _order(self, scored: Sequence[Scored]) -> NDArray[np.int64]:
        """Columns with tables first, then those of few values, for people who begin alike share sums."""
        sizes = [(scores.table is None, len(column.values)) for scores, column in
                 zip(scored, self.columns, strict=True)]  # fmt: skip
        return np.array(sorted(range(len(sizes)), key=lambda j: sizes[j]), dtype=np.int64)

    def _blocks(self, scored: Sequence[Scored]) -> Iterator[slice]:
        step = self.affordable(scored)
        return (slice(start, start + step) for start in range(0, len(self.people), step))

    def affordable(self, scored: Sequence[Scored]) -> int:
        """How many people may have their tables in memory at once."""
        tables = [column for column, scores in zip(self.columns, scored, strict=True) if scores.table]
        if sum(len(column.values) * len(column.labels) for column in tables) <= TABLE:
            return max(1, len(self.people))
        return max(1, TABLE // sum(len(column.labels) for column in tables))


def known_values(people: NDArray[np.int32]) -> NDArray[np.int64]:
    """The distinct numbers of values in a column of people, gaps apart."""
    return np.unique(people[people >= 0]).astype(np.int64)


def resolution(scored: Sequence[Scored]) -> int:
    """The bits of a unit of score that leave room for the greatest sum in a whole number of 32 bits."""
    most = sum(scores.most for scores in scored)
    return int(np.clip(np.floor(30 - np.log2(max(most, 1e-3))), 8, 24))


def _whole(scores: NDArray[np.float64], bits: int) -> NDArray[np.int32]:
    return np.rint(scores * 2.0**bits).astype(np.int32)


def _sorted(
    kernel: Callable[..., tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.float64]]],
    layout: Layout,
    classes: NDArray[np.int32],
    sizes: NDArray[np.int64],
    bits: int,
) -> tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.float64]]:
    """What the kernel finds of people, who are put in order and compared once if they are alike."""
    people = layout.people
    n, d = people.shape
    order = np.lexsort(people.T[::-1]) if d else np.arange(n)
    ordered = people[order]
    new = np.ones(n, dtype=bool)
    new[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    distinct = layout._replace(people=np.ascontiguousarray(ordered[new]))
    found = kernel(*distinct, classes, sizes, bits)
    back = np.empty(n, dtype=np.int64)
    back[order] = np.cumsum(new) - 1
    return found[0][back], found[1][back], found[2][back]


def _own(layout: Layout, own: NDArray[np.int32]) -> NDArray[np.int64]:
    """The scores of the own rows; a label that no class has agrees with nothing."""
    total = np.zeros(len(own), dtype=np.int64)
    for j in range(own.shape[1]):
        code, label = layout.people[:, j], own[:, j]
        if layout.tabled[j]:
            inside = np.where((code < 0) | (label < 0), 0, code * layout.widths[j] + label)
            added = np.where(label < 0, layout.misses[j], layout.flat[layout.starts[j] + inside])
        else:
            hit = layout.flat[layout.starts[j] + np.maximum(code, 0)]
            added = np.where((code == label) & (code >= 0), hit, layout.misses[j])
        total += np.where(code < -1, 0, added)
    return total


def _labelled(table: Table) -> tuple[Classes, Sequence[NDArray[np.float64]]]:
    if isinstance(table, CoveringClasses):
        return table.labelled, table.shares
    assert isinstance(table, Classes)
    return table, [level["share"].to_numpy() for level in table.levels]


def _beside(
    comparison: Comparison,
    level: pl.DataFrame,
    shares: NDArray[np.float64],
    values: pl.Series,
    overlapping: bool,
) -> Beside:
    name, labels = values.name, level["label"]
    centers = comparison.centers.get(name)
    sides = numbers(labels, centers), numbers(values, centers)
    both = sides[0] is not None and sides[1] is not None

    def covers(some: NDArray[np.int64]) -> NDArray[np.bool_]:
        return covered(comparison, name, labels, values[some.tolist()]).T

    return Beside(
        labels,
        shares,
        values,
        encode_labels(values, level),
        sides[0] if both else None,
        sides[1] if both else None,
        covers if overlapping else None,
    )
