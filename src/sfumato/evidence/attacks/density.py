"""How much denser a release is around a person than people of that kind are: four ways to score it.

A release that was made from a person has a row there, or more rows than others would bring. The attacker
compares the release with a reference, people of the same population who are not in it (van Breugel et al.
2023, *Membership inference attacks against synthetic data through overfitting detection*, arXiv 2302.12580).
No way is best on every release, so each is a score of its own, greater for members:

- exact matches: rows of the release that agree in every column, over those of the reference. Of a person
  whose copy is there, a rows are a / (rows expected) times as likely as of a stranger (Poisson).
- nearest rows: the distance to the nearest of the reference over that to the nearest of the release, in
  Gower's (1971) distance with numbers as ranks. Sure of copies, and finds numbers with noise.
- density of rows: the kernel density of the release over that of the reference. A cell that agrees counts
  by the log of how seldom it does by chance, as in :mod:`sfumato.evidence.attacks.matching`, so that rows
  of which some cells were replaced are found as well.
- classifier: the share of fully grown random trees (Geurts, Ernst & Wehenkel 2006, *Machine Learning*
  63:3-42) that hold the person for one of the release's rows. It sees interactions, and no exact copy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sfumato.contracts import COUNT
from sfumato.core.keyed import derive, generator
from sfumato.evidence.attacks.matching import Classes
from sfumato.evidence.features import labels, numbers

EXACT = "exact matches"
NEAREST = "nearest rows"
DENSITY = "density of rows"
CLASSIFIER = "classifier"

#: Comparisons of one cell with one row that the slow ways may cost; rows of a release are cut to fit.
CELLS = 6_000_000_000
LEAST_ROWS = 1_000
MOST_ROWS = 50_000

#: What keeps a distance from being 0: a thousandth of a column.
_CLOSE = 1e-3
#: The share of cells in which a row made from a person says something else.
_ERROR = 0.2
#: A number agrees within either of these shares of all people, so that little and much noise are found.
_WIDTHS = (np.float32(0.005), np.float32(0.1))
#: Where a missing number stands: farther from every rank than any width, and none from itself.
_MISSING = -2.0
_LARGE = 1e300
_TREES = 16


@dataclass(frozen=True)
class Held:
    """What the attacker holds, in the release's own terms, and the people in question.

    ``release`` has distinct tuples with their rows in a column :data:`COUNT`, ``reference`` and ``people``
    a row for each person. ``columns``, at least one, are compared; ``centers`` are numbers for the labels
    of numeric ones.
    """

    release: pl.DataFrame
    reference: pl.DataFrame
    people: pl.DataFrame
    columns: tuple[str, ...]
    centers: Mapping[str, Mapping[str, float]]
    key: bytes

    @property
    def rows(self) -> int:
        """The rows of the release."""
        return int(self.release[COUNT].sum())

    @property
    def compared(self) -> int:
        """How many rows of the release the slow ways look at."""
        pairs = max(1, self.people.height * len(self.columns))
        return min(self.rows, MOST_ROWS, max(LEAST_ROWS, CELLS // pairs))

    @cached_property
    def points(self) -> Points:
        """Release, reference and people as coordinates; of a large release a keyed sample of its rows."""
        ordered = self.release.sort(self.columns, nulls_last=True)
        sizes = ordered[COUNT].cast(pl.Int64).to_numpy()
        if self.compared < self.rows:
            draw = generator(derive(self.key, "rows"))
            drawn = draw.choice(self.rows, self.compared, replace=False, shuffle=False)
            chosen = np.searchsorted(np.cumsum(sizes), drawn, side="right")
            sizes = np.bincount(chosen, minlength=len(sizes))
            ordered, sizes = ordered.filter(pl.Series(sizes > 0)), sizes[sizes > 0]
        return Points.of(self, ordered, sizes.astype(np.float64))


@dataclass(frozen=True)
class Points:
    """Coordinates, shape (rows, columns) each: ranks of numbers in 0..1, codes of categories.

    ``sizes`` is how many rows each tuple of the release stands for, ``numeric`` which columns are numbers.
    """

    release: NDArray[np.float32]
    reference: NDArray[np.float32]
    people: NDArray[np.float32]
    sizes: NDArray[np.float64]
    numeric: NDArray[np.bool_]

    @classmethod
    def of(cls, held: Held, release: pl.DataFrame, sizes: NDArray[np.float64]) -> Points:
        """The coordinates of some tuples of the release, of the reference and of the people."""
        frames = (release, held.reference, held.people)
        weights = np.concatenate(
            [sizes / sizes.sum(), np.full(held.reference.height, 1 / held.reference.height)]
        )
        found = [
            _column([frame[column] for frame in frames], weights, held.centers.get(column))
            for column in held.columns
        ]
        matrix = np.stack([at for at, _ in found], axis=1).astype(np.float32)
        parts = np.split(matrix, np.cumsum([frame.height for frame in frames])[:-1])
        numeric = np.array([is_number for _, is_number in found], dtype=bool)
        return cls(parts[0], parts[1], parts[2], sizes, numeric)

    @cached_property
    def distances(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Each person's distance to the nearest row of the release, and of the reference."""
        return self.to(self.release), self.to(self.reference)

    def to(self, rows: NDArray[np.float32]) -> NDArray[np.float64]:
        """Each person's distance to the nearest of some rows."""
        from sfumato.evidence.attacks.density_kernels import nearest

        return nearest(self.people, np.ascontiguousarray(rows.T), self.numeric).astype(np.float64)


def _column(
    parts: Sequence[pl.Series], weights: NDArray[np.float64], centers: Mapping[str, float] | None
) -> tuple[NDArray[np.float64], bool]:
    """One column of all tables as coordinates, and whether it is one of numbers.

    Args:
        parts: of the release, the reference and the people.
        weights: of the values of the first two, by which numbers are ranked.
    """
    read = [numbers(part, centers) for part in parts]
    figures = [part for part in read if part is not None]
    if len(figures) == len(parts):
        return _ranks(np.clip(np.concatenate(figures), -_LARGE, _LARGE), weights), True
    texts = pl.concat([labels(part).alias("") for part in parts])
    return texts.rank("dense").fill_null(0).to_numpy().astype(np.float64), False


def _ranks(values: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """The share of the weighted values below each, half of those that tie with it counted."""
    first = values[: len(weights)]
    known = ~np.isnan(first)
    ranked = np.full(len(values), _MISSING)
    if known.any():
        levels, at = np.unique(first[known], return_inverse=True)
        mass = np.bincount(at, weights[known])
        middles = (np.cumsum(mass) - mass / 2) / mass.sum()
        there = ~np.isnan(values)
        ranked[there] = np.interp(values[there], levels, middles)
    return ranked


def scores(held: Held) -> dict[str, NDArray[np.float64]]:
    """The score of each person by every way, shape (people,)."""
    return {
        EXACT: exact_matches(held),
        NEAREST: nearest_rows(held.points),
        DENSITY: density_of_rows(held.points),
        CLASSIFIER: classified(held.points, held.key),
    }


def exact_matches(held: Held) -> NDArray[np.float64]:
    """The log of rows that agree in every column over those expected; minus infinity if none agrees."""
    columns = list(held.columns)
    reference = held.reference.group_by(columns).len(COUNT)
    counts = []
    for counted in (held.release, reference):
        classes = Classes.of(counted, columns)
        at = classes.locate(held.people)
        counts.append(np.where(at >= 0, classes.sizes[at], 0))
    return np.where(counts[0] > 0, np.log(np.maximum(1, counts[0]) / (counts[1] + 0.5)), -np.inf)


def nearest_rows(points: Points) -> NDArray[np.float64]:
    """The log of the distance to the reference over the distance to the release."""
    near, far = points.distances
    return np.asarray(np.log((far + _CLOSE) / (near + _CLOSE)), dtype=np.float64)


def nearer(points: Points, factor: float) -> NDArray[np.bool_]:
    """Who is nearer to a row of the release than to anybody in the reference, by a factor."""
    near, far = points.distances
    return np.asarray((far > _CLOSE) & (near * factor < far), dtype=np.bool_)


def density_of_rows(points: Points) -> NDArray[np.float64]:
    """The log of the release's density over the reference's, both over that of strangers."""
    from sfumato.evidence.attacks.density_kernels import log_density

    narrow, wide = (_gains(points, float(width)) for width in _WIDTHS)
    inside, outside = (
        log_density(
            points.people,
            np.ascontiguousarray(part.T),
            sizes / sizes.sum(),
            points.numeric,
            narrow,
            wide,
            _WIDTHS,
        )
        for part, sizes in (
            (points.release, points.sizes),
            (points.reference, np.ones(len(points.reference))),
        )
    )
    # A stranger has density 1 everywhere; where the reference has nobody it is no thinner than that.
    return np.asarray(inside - np.logaddexp(outside, 0.0), dtype=np.float64)


def _gains(points: Points, width: float) -> NDArray[np.float32]:
    """What agreement of a cell adds, log((1 - e + e p) / (e p)) with p its share of the reference."""
    found = np.empty_like(points.people)
    rows = len(points.reference)
    for j, numeric in enumerate(points.numeric):
        ordered, at = np.sort(points.reference[:, j]), points.people[:, j]
        half = np.float32(width / 2 if numeric else 0.0)
        inside = np.searchsorted(ordered, at + half, "right") - np.searchsorted(ordered, at - half, "left")
        share = np.maximum(inside, 1) / rows
        found[:, j] = np.log((1 - _ERROR + _ERROR * share) / (_ERROR * share))
    return found


def classified(points: Points, key: bytes) -> NDArray[np.float64]:
    """The share of trees, taught to tell the release from the reference, that say release."""
    from sklearn.ensemble import ExtraTreesClassifier

    rows = np.concatenate([points.release, points.reference])
    inside = np.repeat([1, 0], [len(points.release), len(points.reference)])
    weights = np.concatenate(
        [
            points.sizes / points.sizes.sum(),
            np.full(len(points.reference), 1 / len(points.reference)),
        ]
    )
    seed = int(generator(derive(key, "trees")).integers(0, 2**31))
    trees = ExtraTreesClassifier(_TREES, random_state=seed, n_jobs=1)
    # Weights of mean 1: a tree takes no tiny sum of weights for nothing.
    trees.fit(rows, inside, sample_weight=weights * len(weights) / 2)
    return np.asarray(trees.predict_proba(points.people)[:, 1], dtype=np.float64)
