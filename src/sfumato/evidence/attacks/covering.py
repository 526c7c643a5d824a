"""Linking register people to classes whose labels overlap, by what the labels cover.

Local recoding gives each class labels of its own, so nobody else can be put into them: a cell agrees if
the label covers the person's value. Fellegi & Sunter's weights then depend on the label: if a register
cell is wrong with probability e, and a wrong one falls under the label as often as anybody's value does
(share p), then a person of the class is covered with probability (1 - e) + e p and a stranger with p. So
a narrow label that covers says more than a broad one, and where labels do not overlap the weights are
those of :mod:`sfumato.evidence.attacks.matching`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sfumato.contracts import COUNT, Comparison
from sfumato.evidence.attacks.matching import GAP, TRUST, Claims, Classes, Compared, Table, gain, posterior
from sfumato.evidence.overlap import blocks, covered, numbered

#: Cells of the matrices of labels and values that a block of people may need.
BLOCK = 1 << 26
#: People compared with their own rows at a time: each with few labels.
PEOPLE = 256
#: Comparisons of labels with values from which the share of people under each label is found.
SHARES = 100_000_000
#: Comparisons of a class with a tuple of the population that may be made to count the people of classes.
MOST = 4_000_000_000


def classes_of(comparison: Comparison, counted: pl.DataFrame, columns: Sequence[str]) -> Table:
    """The classes of a count of a release's tuples, to be looked up or compared as its labels need."""
    classes = Classes.of(counted, columns)
    if set(columns) & set(comparison.overlapping):
        return CoveringClasses(classes, comparison)
    return classes


@dataclass(frozen=True)
class Asked:
    """People as ``describe`` leaves them, and which of their cells say nothing, shape (people, columns)."""

    people: pl.DataFrame
    gaps: NDArray[np.bool_]

    def __len__(self) -> int:
        return self.people.height

    def __getitem__(self, part: slice | NDArray[np.bool_]) -> Asked:
        people = self.people[part] if isinstance(part, slice) else self.people.filter(pl.Series(part))
        return Asked(people, self.gaps[part])


@dataclass(frozen=True)
class Covers:
    """Which labels cover which values, a matrix a column, laid flat one after the other.

    ``codes`` are the value codes of people, shape (people, columns); ``starts`` and ``widths`` say where
    each column's matrix begins and how long its rows are, shape (columns,).
    """

    codes: NDArray[np.int32]
    flat: NDArray[np.bool_]
    starts: NDArray[np.int64]
    widths: NDArray[np.int64]

    @classmethod
    def of(cls, codes: NDArray[np.int32], matrices: Sequence[NDArray[np.bool_]]) -> Covers:
        """Lay matrices flat, row by row."""
        sizes = [matrix.size for matrix in matrices]
        starts = np.cumsum([0, *sizes], dtype=np.int64)[:-1]
        widths = np.array([matrix.shape[1] for matrix in matrices], dtype=np.int64)
        return cls(codes, np.concatenate([matrix.ravel() for matrix in matrices]), starts, widths)


@dataclass(frozen=True)
class CoveringClasses:
    """Classes whose labels overlap in some columns; in the others they are compared for equality.

    An attacker who trusts the register (an error of at most :data:`TRUST`) claims no class that
    contradicts it while there is one that agrees in every cell.
    """

    labelled: Classes
    comparison: Comparison

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns compared."""
        return self.labelled.columns

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Rows of each class, shape (classes,)."""
        return self.labelled.sizes

    @property
    def rows(self) -> int:
        """Rows in all classes."""
        return self.labelled.rows

    @property
    def scanned(self) -> int:
        """All classes."""
        return len(self.sizes)

    def encode(self, described: pl.DataFrame, gaps: NDArray[np.bool_] | None = None) -> Asked:
        """People to compare; the cells of ``gaps``, shape (people, columns), say nothing."""
        people = described.select(self.columns)
        return Asked(people, np.zeros(people.shape, dtype=bool) if gaps is None else gaps)

    def label_codes(self, released: pl.DataFrame) -> NDArray[np.int32]:
        """The label codes of released rows, shape (rows, columns)."""
        return self.labelled.encode(released)

    def locate(self, described: pl.DataFrame) -> None:
        """None: several classes may cover a person."""

    def claim_full(self, described: pl.DataFrame) -> Claims:
        """Claims on those whom a class covers in every column: the narrowest such classes."""
        asked = self.encode(described)
        if not len(asked) or not len(self.sizes):
            none = np.zeros(len(asked))
            return Claims(none - np.inf, none.astype(np.int64), none.copy(), none.astype(bool))
        found = self._narrowest(asked, TRUST)
        weight = found.best + self.floor(asked, TRUST)
        confidence = np.where(found.full, posterior(weight, found.mass, self.rows), 0.0)
        return Claims(weight, found.rows, confidence, found.full)

    def compare(self, people: Asked, error: float) -> Compared:
        """Each person with every class."""
        if error > TRUST:
            return self._best(people, error)
        found = self._narrowest(people, error)
        others = ~found.full
        if others.any():
            for all_of_them, theirs in zip(found, self._best(people[others], error), strict=True):
                all_of_them[others] = theirs
        return found

    def own_gains(
        self, people: Asked, own: NDArray[np.int32], error: float
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """The gains of the cells that the own row's labels cover."""
        agree = np.zeros(own.shape, dtype=bool)
        for start in range(0, len(people), PEOPLE):
            part = slice(start, start + PEOPLE)
            for j, column in enumerate(self.columns):
                labels, at = np.unique(np.maximum(own[part, j], 0), return_inverse=True)
                values, codes = numbered(people.people[column][part])
                covers = covered(
                    self.comparison, column, self.labelled.levels[j]["label"][labels.tolist()], values
                )
                agree[part, j] = covers[at, codes] & (own[part, j] >= 0)
        agree &= ~people.gaps
        gains = np.stack([gain(share, error)[own[:, j]] for j, share in enumerate(self.shares)], axis=1)
        return gains * agree, np.asarray((agree | people.gaps).all(axis=1), dtype=bool)

    def floor(self, people: Asked, error: float) -> NDArray[np.float64]:
        """The weight of a person of whom nothing agrees: log e for each cell that is not a gap."""
        return np.asarray((~people.gaps).sum(axis=1) * np.log(error), dtype=np.float64)

    @cached_property
    def shares(self) -> tuple[NDArray[np.float64], ...]:
        """For each column and label the share of released people whose value it covers, shape (labels,).

        At least the share of rows that have it: those whom a sample of the people lacks are there.
        """
        kept = self.comparison.original.filter(pl.Series(self.comparison.kept))
        described = self.comparison.describe(kept)
        return tuple(
            np.maximum(level["share"].to_numpy(), self._share(column, level["label"], described[column]))
            if column in self.comparison.overlapping
            else level["share"].to_numpy()
            for column, level in zip(self.columns, self.labelled.levels, strict=True)
        )

    def _share(self, column: str, labels: pl.Series, values: pl.Series) -> NDArray[np.float64]:
        most = max(1, SHARES // max(1, len(labels)))
        if values.n_unique() > most:
            values = values.gather_every(-(-len(values) // most))
        counts = values.alias("value").to_frame().group_by("value").len()
        distinct, people = counts["value"], counts["len"].cast(pl.Int64).to_numpy()
        found = np.zeros(len(labels), dtype=np.int64)
        for part in blocks(len(labels), len(distinct)):
            found[part] = covered(self.comparison, column, labels[part], distinct) @ people
        return found / max(1, len(values))

    def _best(self, people: Asked, error: float) -> Compared:
        from sfumato.evidence.attacks.kernels import best_covering

        return self._each_block(best_covering, people, error, np.arange(len(self.columns)))

    def _narrowest(self, people: Asked, error: float) -> Compared:
        from sfumato.evidence.attacks.kernels import narrowest_covering

        return self._each_block(narrowest_covering, people, error, self._telling)

    def _each_block(
        self, kernel: Callable[..., Any], people: Asked, error: float, order: NDArray[np.int64]
    ) -> Compared:
        """What a kernel finds of people, the columns put in an order."""
        classes, sizes = self.labelled.ordered
        gains = np.stack([gain(self.shares[j], error)[classes[j]] for j in order])
        classes, parts = np.ascontiguousarray(classes[order]), []
        for block in self._blocks(people.people):
            covers = self._covers(people.people[block])
            codes = np.where(people.gaps[block], np.int32(GAP), covers.codes)[:, order]
            at = (covers.flat, covers.starts[order], covers.widths[order])
            parts.append(kernel(np.ascontiguousarray(codes), *at, gains, classes, sizes))
        return Compared(*(np.concatenate(part) for part in zip(*parts, strict=True)))

    @cached_property
    def _telling(self) -> NDArray[np.int64]:
        """The columns, those that rule out most people first."""
        shares = [share[codes].mean() for share, codes in zip(self.shares, self.labelled.codes, strict=True)]
        return np.argsort(shares, kind="stable")

    def _blocks(self, people: pl.DataFrame) -> list[slice]:
        """Slices of people such that the matrices of a block have at most :data:`BLOCK` cells."""
        labels = [level.height for level in self.labelled.levels]
        cells = sum(
            many * people[column].n_unique() for many, column in zip(labels, self.columns, strict=True)
        )
        step = people.height if cells <= BLOCK else max(1, BLOCK // sum(labels))
        return [slice(start, start + step) for start in range(0, people.height, step)]

    def _covers(self, people: pl.DataFrame) -> Covers:
        """The value codes of people, and for each column which labels cover which values."""
        values, codes = zip(*(numbered(people[column]) for column in self.columns), strict=True)
        matrices = [
            covered(self.comparison, column, level["label"], found).T
            for column, level, found in zip(self.columns, self.labelled.levels, values, strict=True)
        ]
        return Covers.of(np.stack(codes, axis=1), matrices)

    def count_people(self, population: pl.DataFrame) -> NDArray[np.int64] | None:
        """The people of a population whom each class covers, shape (classes,).

        Args:
            population: distinct tuples as ``describe`` leaves them, with a column :data:`COUNT`.

        Returns:
            None where it would take more than :data:`MOST` comparisons.
        """
        from sfumato.evidence.attacks.kernels import people_covered

        if len(self.sizes) * population.height > MOST:
            return None
        classes, order = self.labelled.codes, self._telling
        # Neighbours share values, so that a block has few of them.
        by_values = sorted(self.columns, key=lambda column: -population[column].n_unique())
        tuples = population.sort(by_values, nulls_last=True)
        found = np.zeros(classes.shape[1], dtype=np.int64)
        for block in self._blocks(tuples):
            covers = self._covers(tuples[block])
            found += people_covered(
                np.ascontiguousarray(covers.codes.T[order]),
                tuples[COUNT][block].cast(pl.Int64).to_numpy(),
                covers.flat,
                covers.starts[order],
                covers.widths[order],
                np.ascontiguousarray(classes[order]),
            )
        return found
