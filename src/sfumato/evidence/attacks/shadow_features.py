"""What a release shows of somebody: numbers from which it may be learned whether they are in it.

How many rows agree with the person in some columns, drawn at random, and in all of them (the query features
of Houssiau et al. 2022, *TAPAS: a toolbox for adversarial privacy auditing of synthetic data*, arXiv
2211.06550), and how near the nearest row is (Stadler, Oprisanu & Troncoso 2022, *Synthetic data -
anonymisation groundhog day*, USENIX Security). Each release is read in its own terms; a label that overlaps
with others agrees with whom it covers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sfumato.contracts import COUNT, Comparison
from sfumato.core.keyed import derive, generator
from sfumato.evidence.attacks.density import Held, Points, nearest_rows
from sfumato.evidence.attacks.terms import no_numbers_missing
from sfumato.evidence.features import BINS, NumberBins, encode_labels, numbers
from sfumato.evidence.overlap import covered, numbered

#: Comparisons of one cell with one row that distances may cost for each release; its rows are cut to fit.
CELLS = 1_000_000_000
#: People compared with labels that overlap at a time.
PEOPLE = 256
#: The most columns that a query asks for, if not all.
_MOST = 5
_MOST_KEYS = 1 << 62
_CLOSE = 1e-3


@dataclass(frozen=True)
class Questions:
    """What is asked of each release, of people of whom some columns are known.

    ``asked`` are the queries: places of columns, and C more for those of the C columns in ``bins`` of
    numbers, which says None of others.
    """

    columns: tuple[str, ...]
    asked: tuple[tuple[int, ...], ...]
    bins: tuple[NumberBins | None, ...]
    reference: pl.DataFrame

    @classmethod
    def of(cls, columns: Sequence[str], reference: pl.DataFrame, many: int, key: bytes) -> Questions:
        """Queries drawn by key: all columns, all of them with numbers in bins, and random ones.

        Args:
            reference: raw rows of people who are in no release.
        """
        bins = tuple(_bins(reference[column]) for column in columns)
        coarse = [place + len(columns) if bins[place] else place for place in range(len(columns))]
        draw = generator(derive(key, "queries"))
        asked = [tuple(range(len(columns))), tuple(coarse)]
        for _ in range(many):
            size = int(draw.integers(1, min(_MOST, len(columns)) + 1))
            chosen = np.sort(draw.choice(len(columns), size, replace=False))
            asked.append(tuple(coarse[j] if draw.random() < 0.5 else int(j) for j in chosen))
        return cls(tuple(columns), tuple(dict.fromkeys(asked)), bins, reference)

    def answered(
        self, release: Comparison, people: pl.DataFrame, size: int
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """What a release shows of people, raw rows of them.

        Args:
            size: counts are as in a release of so many rows.

        Returns:
            Counts by query, shape (people, queries), and what else is seen, shape (people, features).
        """
        counted = release.count(list(self.columns)).sort(self.columns, nulls_last=True)
        weights = counted[COUNT].cast(pl.Float64).to_numpy()
        described = release.describe(people)
        scale = size / max(1.0, float(weights.sum()))
        if set(self.columns) & set(release.overlapping):
            return self._covered(release, counted, weights, described) * scale, np.zeros((people.height, 0))
        found = self._matched(release, counted, weights, described)
        return found * scale, self._near(release, counted, described)

    def _matched(
        self, release: Comparison, counted: pl.DataFrame, weights: NDArray[np.float64], people: pl.DataFrame
    ) -> NDArray[np.float64]:
        """Rows that agree in the columns of each query."""
        codes = [
            _codes(counted[name], people[name]) for name in self.columns
        ] + [
            _binned(release, bins, counted[name], people[name])
            for name, bins in zip(self.columns, self.bins, strict=True)
        ]  # fmt: skip
        found = [_agreeing([codes[j] for j in query], weights) for query in self.asked]
        return np.stack(found, axis=1)

    def _covered(
        self, release: Comparison, counted: pl.DataFrame, weights: NDArray[np.float64], people: pl.DataFrame
    ) -> NDArray[np.float64]:
        """Rows whose labels cover the person in the columns of each query; numbers are in no bins."""
        rows = [numbered(no_numbers_missing(counted[name])) for name in self.columns]
        values = [numbered(no_numbers_missing(people[name])) for name in self.columns]
        heavy, found = weights.astype(np.float32), np.zeros((people.height, len(self.asked)))
        for start in range(0, people.height, PEOPLE):
            part, agree = slice(start, start + PEOPLE), []
            for name, (labels, of_row), (known, of_person) in zip(self.columns, rows, values, strict=True):
                here, at = np.unique(of_person[part], return_inverse=True)
                agree.append(covered(release, name, labels, known[here.tolist()])[of_row][:, at])
            for number, query in enumerate(self.asked):
                every = np.logical_and.reduce([agree[j % len(self.columns)] for j in query])
                found[part, number] = heavy @ every.astype(np.float32)
        return found

    def _near(self, release: Comparison, counted: pl.DataFrame, people: pl.DataFrame) -> NDArray[np.float64]:
        """The log of the distance to the nearest row, and of that to the nearest of the reference over it."""
        reference = release.describe(self.reference)
        held = Held(counted, reference, people, self.columns, release.centers, release.key)
        most = max(1, CELLS // max(1, people.height * len(self.columns)))
        if counted.height > most:
            drawn = generator(derive(release.key, "near")).choice(counted.height, most, replace=False)
            counted = counted[np.sort(drawn)]
        points = Points.of(held, counted, counted[COUNT].cast(pl.Float64).to_numpy())
        return np.stack([np.log(points.distances[0] + _CLOSE), nearest_rows(points)], axis=1)


def _bins(column: pl.Series) -> NumberBins | None:
    """Bins of a column of many numbers."""
    figures = numbers(column)
    if figures is None or column.drop_nulls().n_unique() <= BINS:
        return None
    return NumberBins.fit(figures)


Codes = tuple[NDArray[np.int64], NDArray[np.int64], int]


def _codes(rows: pl.Series, people: pl.Series) -> Codes:
    """Codes of rows and of people, -1 for a value that no row has, and how many there are."""
    labels, of_rows = numbered(no_numbers_missing(rows))
    level = pl.DataFrame({"label": labels}).with_row_index("code")
    of_people = encode_labels(no_numbers_missing(people), level)
    return of_rows.astype(np.int64), of_people.astype(np.int64), len(labels)


def _binned(release: Comparison, bins: NumberBins | None, rows: pl.Series, people: pl.Series) -> Codes:
    """The same with numbers in bins; everything is one where the column is not of numbers."""
    centers = release.centers.get(rows.name)
    read = [numbers(part, centers) for part in (rows, people)]
    of_rows, of_people = (
        np.zeros(len(part), dtype=np.int64) if bins is None or figures is None else bins.codes(figures)
        for part, figures in zip((rows, people), read, strict=True)
    )
    return of_rows, of_people, 1 if bins is None else bins.size


def _agreeing(codes: Sequence[Codes], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """The rows that have all codes of each person, shape (people,)."""
    rows, people, many = codes[0]
    unknown = people < 0
    for of_rows, of_people, width in codes[1:]:
        if many * width > _MOST_KEYS:
            known, rows = np.unique(rows, return_inverse=True)
            people, missing = _placed(known, people)
            unknown, many = unknown | missing, len(known)
        rows, people, many = rows * width + of_rows, people * width + of_people, many * width
        unknown = unknown | (of_people < 0)
    known, at = np.unique(rows, return_inverse=True)
    place, missing = _placed(known, people)
    counts = np.bincount(at, weights, minlength=len(known) + 1)
    return np.where(unknown | missing, 0.0, counts[place])


def _placed(
    known: NDArray[np.int64], people: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """The place of each person's key among those of rows, and who has none."""
    place = np.searchsorted(known, people)
    missing = np.append(known, -1)[place] != people
    return place, missing
