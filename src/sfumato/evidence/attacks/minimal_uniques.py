"""Minimal sample uniques: the smallest sets of columns by which a person is the only one.

SUDA2 (Manning, Haglin & Keane 2008, *A recursive search algorithm for statistical disclosure
assessment*, Data Mining and Knowledge Discovery 16:165-196) asks for all sets of at most some number of
columns of which a person's values are unique and those of no smaller set within are. A set comes
after all sets within it, classes are split column by column, and whoever is unique leaves the branch:
their larger sets are not minimal.

Scores are those of Elliot et al. 2005 (*SUDA: a program for detecting special uniques*, Joint
UNECE/Eurostat work session on statistical data confidentiality): a minimal set of k of A columns, sets of
at most M asked for, counts (A - k)(A - k - 1)...(A - M), M taken no larger than A - 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import comb, prod

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sfumato.contracts import COUNT, PERSON, Comparison
from sfumato.evidence.attacks.matching import Classes

#: Columns whose sets are searched: each has a bit.
MOST_COLUMNS = 60
#: Tuples looked at, and sets found, by one search.
WORK = 1_000_000_000
ENTRIES = 10_000_000
#: Bytes that may hold by which sets each person is unique.
MARKS = 500_000_000


@dataclass(frozen=True)
class Owned:
    """Distinct tuples, and the person who has each where it is one alone.

    ``owners`` are numbers from 0, -1 for a tuple that several people have, shape (tuples,); ``persons`` is
    how many numbers there are and ``people`` how many people. ``ids`` are the persons' numbers in
    :data:`PERSON`, in order, where people have several rows.
    """

    classes: Classes
    owners: NDArray[np.int64]
    persons: int
    people: int
    ids: NDArray[np.uint64] | None = None

    @classmethod
    def of(cls, counted: pl.DataFrame, columns: Sequence[str]) -> Owned:
        """Tuples with their rows (column :data:`COUNT`), one row a person."""
        classes = Classes.of(counted.filter(pl.col(COUNT) > 0), columns)
        owners = np.where(classes.sizes == 1, np.arange(len(classes.sizes)), -1)
        return cls(classes, owners, len(owners), classes.rows)

    @classmethod
    def of_rows(cls, rows: pl.DataFrame, columns: Sequence[str]) -> Owned:
        """Rows with their person's number (column :data:`PERSON`), several a person."""
        ids = rows[PERSON].unique().sort().to_numpy()
        numbered = rows.with_columns(pl.col(PERSON).rank("dense").cast(pl.Int64) - 1)
        whose = numbered.group_by(columns).agg(
            pl.col(PERSON).n_unique().alias(COUNT), pl.col(PERSON).first().alias(PERSON)
        )
        owners = whose.select(pl.when(pl.col(COUNT) == 1).then(PERSON).otherwise(-1)).to_series()
        return cls(Classes.of(whose, columns), owners.to_numpy(), len(ids), len(ids), ids)

    def locate(self, comparison: Comparison, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """The person's number of some released people of a comparison, -1 of whom no tuple is alone.

        Args:
            rows: positions in ``comparison.original``, shape (n,).
        """
        if self.ids is not None:
            assert comparison.people is not None, "histories come with whose they are"
            return np.searchsorted(self.ids, comparison.people[rows])
        found = self.classes.locate(comparison.released[rows])
        return np.where(found >= 0, self.owners[found], -1)


@dataclass(frozen=True)
class MinimalUniques:
    """What a search found: the minimal sets of each person.

    ``columns`` are those of the tuples, ``size`` the largest set asked for. Each entry is a person's
    (``persons``, from :class:`Owned`) and a set (``sets``, bit i for column i), shape (entries,).
    """

    owned: Owned
    size: int
    persons: NDArray[np.int64]
    sets: NDArray[np.int64]

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns, in the order of the bits."""
        return self.owned.classes.columns

    @cached_property
    def sizes(self) -> NDArray[np.int64]:
        """The number of columns of each entry."""
        return np.bitwise_count(self.sets).astype(np.int64)

    @cached_property
    def smallest(self) -> NDArray[np.int64]:
        """The size of the smallest set of each person, 0 if there is none, shape (persons,)."""
        none = self.size + 1
        found = np.full(self.owned.persons, none, dtype=np.int64)
        np.minimum.at(found, self.persons, self.sizes)
        return np.where(found == none, 0, found)

    def share(self, size: int) -> float:
        """The share of people whom at most ``size`` columns single out."""
        return float(((self.smallest > 0) & (self.smallest <= size)).sum() / max(1, self.owned.people))

    @cached_property
    def weights(self) -> NDArray[np.float64]:
        """What each entry counts."""
        by_size = [set_weight(k, self.size, len(self.columns)) for k in range(self.size + 1)]
        return np.array(by_size, dtype=np.float64)[self.sizes]

    @cached_property
    def scores(self) -> NDArray[np.float64]:
        """The SUDA score of each person, shape (persons,)."""
        summed = np.bincount(self.persons, self.weights, minlength=self.owned.persons)
        return np.asarray(summed, dtype=np.float64)

    @property
    def contributions(self) -> NDArray[np.float64]:
        """The share of all scores that comes from sets with each column, shape (columns,); NaN without any.

        A set counts for each of its columns, so these add up to more than 1.
        """
        total = self.weights.sum()
        if not total:
            return np.full(len(self.columns), np.nan)
        having = [((self.sets >> bit) & 1).astype(bool) for bit in range(len(self.columns))]
        return np.array([self.weights[part].sum() / total for part in having], dtype=np.float64)

    @cached_property
    def by_set(self) -> dict[tuple[str, ...], int]:
        """For each set of columns the people for whom it is minimal, most people first."""
        sets, people = np.unique(self.sets, return_counts=True)
        order = np.lexsort((sets, np.bitwise_count(sets), -people))
        return {self._names(int(sets[at])): int(people[at]) for at in order}

    def _names(self, bits: int) -> tuple[str, ...]:
        return tuple(name for bit, name in enumerate(self.columns) if bits >> bit & 1)

    def dis_scores(self, fraction: float) -> NDArray[np.float64]:
        """The chance that a match with each person is right (DIS-SUDA), shape (persons,).

        The file's own chance that a unique match is right (Skinner & Elliot 2002, *Journal of the Royal
        Statistical Society B* 64:855-867) is spread over the people with a score s: odds go with
        s**(1 + (8 - A) / 20), A the number of columns, as in sdcMicro, and never against s.

        Args:
            fraction: the sample's share of the population, in 0..1 without 0.
        """
        classes = self.owned.classes.sizes
        unique = float((self.owned.owners >= 0).sum())
        chance = unique * fraction
        chance /= chance + 2 * float((classes == 2).sum()) * (1 - fraction) or 1.0
        found, scored = np.zeros(len(self.scores)), self.scores > 0
        if not scored.any():
            return found
        if chance >= 1:
            found[scored] = 1.0
            return found
        power = max(0.0, 1 + (8 - len(self.columns)) / 20)
        raised = self.scores[scored] ** power
        odds = raised * np.sort(1 / raised).mean() * chance / (1 - chance)
        found[scored] = odds / (1 + odds)
        return found


def set_weight(size: int, most: int, columns: int) -> int:
    """What a minimal unique set of ``size`` of some columns counts, sets of at most ``most`` asked for.

    >>> [set_weight(size, 3, 9) for size in (1, 2, 3)]
    [336, 42, 6]
    """
    return prod(columns - i for i in range(size, min(most, columns - 1) + 1))


def minimal_uniques(owned: Owned, size: int, *, work: int = WORK, entries: int = ENTRIES) -> MinimalUniques:
    """All minimal unique sets of at most ``size`` columns.

    Where that would look at more than ``work`` tuples, find more than ``entries`` or hold more than
    :data:`MARKS` bytes, the sets are one column smaller, as often as needed; ``size`` of the result says so,
    0 if not even single columns were searched.
    """
    size = max(1, min(size, len(owned.classes.columns)))
    while (found := _Search(owned, size, work, entries).run()) is None and size:
        size -= 1
    assert found is not None, "no sets are found at once"
    return MinimalUniques(owned, size, found[:, 0], found[:, 1])


class _Search:
    """One search: columns of few values first, so that the branches of those of many stay small."""

    def __init__(self, owned: Owned, size: int, work: int, entries: int) -> None:
        codes = owned.classes.codes
        widths = [int(column.max(initial=-1)) + 1 for column in codes]
        # A column that tells nobody apart is in no minimal set, unless there is but one person.
        telling = [i for i, width in enumerate(widths) if width > 1 or owned.people == 1]
        self.order = sorted(telling, key=lambda i: (widths[i], i))[-MOST_COLUMNS:]
        self.codes = [np.ascontiguousarray(codes[i]) for i in self.order]
        self.owners, self.size, self.work, self.most = owned.owners, size, work, entries
        self.scratch = np.zeros((4, max(widths, default=0) + 1), dtype=np.int64)
        self.sets = sum(comb(len(self.order), k) for k in range(1, size))
        self.several, self.persons = owned.ids is not None, owned.persons
        self.numbers: dict[int, int] = {}
        self.found = np.empty((0, 2), dtype=np.int64)
        self.used = 0

    def run(self) -> NDArray[np.int64] | None:
        """Persons and sets, shape (entries, 2); None where the search was too large."""
        rows = np.arange(len(self.owners), dtype=np.int32)
        if not self.size or not (self.owners >= 0).any():
            return np.zeros((0, 2), dtype=np.int64)
        if self.persons * (self.sets // 8 + 1) > MARKS:
            return None
        self.marks = np.zeros((self.persons, self.sets // 8 + 1), dtype=np.uint8)
        if not self._within(rows, np.array([len(rows)]), 0, len(self.order), 1):
            return None
        found = np.stack([self.found[: self.used, 0], self._sets()], axis=1)
        # Several rows of a person may find the same set.
        return np.unique(found, axis=0) if self.several else found

    def _within(
        self, rows: NDArray[np.int32], ends: NDArray[np.int64], columns: int, below: int, size: int
    ) -> bool:
        """Search the sets that add columns before ``below`` to some; False where it grows too large.

        In this order a set comes after all sets within it.
        """
        from sfumato.evidence.attacks.suda_kernels import refine

        for place in range(below):
            self.work -= len(rows)
            if self.work < 0 or self.used > self.most:
                return False
            self._make_room(len(rows))
            chosen, number = columns | 1 << place, -1
            if size < self.size:
                number = self.numbers[chosen] = len(self.numbers)
            kept, cuts, made = refine(
                self.codes[place], rows, ends, self.owners, chosen, number, self._parts(chosen),
                self.scratch, self.marks, self.found, self.used,
            )  # fmt: skip
            self.used += made
            if len(kept) and not self._within(kept, cuts, chosen, place, size + 1):
                return False
        return True

    def _make_room(self, rows: int) -> None:
        if self.used + rows > len(self.found):
            larger = np.empty((max(2 * len(self.found), self.used + rows), 2), dtype=np.int64)
            larger[: self.used] = self.found[: self.used]
            self.found = larger

    def _parts(self, columns: int) -> NDArray[np.int64]:
        """The numbers of the sets within some columns; nobody is newly unique by one never searched."""
        part, parts = (columns - 1) & columns, []
        while part:
            if part in self.numbers:
                parts.append(self.numbers[part])
            part = (part - 1) & columns
        return np.array(parts, dtype=np.int64)

    def _sets(self) -> NDArray[np.int64]:
        """The sets, a bit for each column in the table's order."""
        sets = np.zeros(self.used, dtype=np.int64)
        for place, column in enumerate(self.order):
            sets |= ((self.found[: self.used, 1] >> place) & 1) << column
        return sets
