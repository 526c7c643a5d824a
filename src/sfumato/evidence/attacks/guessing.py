"""Secrets as classes, and what attackers make of the release about them.

A secret of numbers is known if it is placed in the right tenth of people; any other if its label is right.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sfumato.contracts import COUNT, Comparison
from sfumato.core.keyed import derive, generator
from sfumato.evidence.attacks.likeness import EXACT, Rows
from sfumato.evidence.attacks.matching import Classes
from sfumato.evidence.attacks.registers import sample_rows
from sfumato.evidence.features import LabelBins, NumberBins, numbers

#: Classes of a secret: tenths of numbers, the most frequent labels of others.
TENTHS = 10
MOST_LABELS = 50
#: Numbers with at most so many values are labels.
FEW_NUMBERS = 20
#: Classes and rows that a learner is taught, and its size.
TAUGHT_CLASSES = 8
TAUGHT_ROWS = 10_000
_SETTINGS = {
    "max_leaf_nodes": 10,
    "min_samples_leaf": 20,
    # Without it steps this long run away where there are several classes.
    "l2_regularization": 3.0,
    "early_stopping": False,
}
#: Rounds and length of their steps for two classes; trees in all, and length of their steps, for several.
_TWO, _SEVERAL = (15, 0.5), (80, 0.35)
_LEAST_ROUNDS = 10
#: Labels of a column that a learner tells apart, and rows that stand for the share of any of them.
_LEVELS, _PRIOR = 200, 5
_LARGEST = 1e300


@dataclass(frozen=True)
class Secret:
    """A column to be found out: how its values are put into classes, numbered from 0.

    The last class is of missing values, and the last but one of rare labels if there is no order; a guess
    of either is never right.
    """

    name: str
    bins: NumberBins | LabelBins
    centers: Any

    @classmethod
    def of(cls, comparison: Comparison, name: str, rows: pl.Series) -> Secret | None:
        """A secret as the release shows it; None if its labels overlap and are not numbers."""
        centers = comparison.centers.get(name)
        figures = numbers(rows, centers)
        raw = numbers(comparison.original[name])
        many = rows.drop_nulls().n_unique() > FEW_NUMBERS or name in comparison.overlapping
        if figures is not None and raw is not None and many:
            return cls(name, NumberBins.fit(raw, TENTHS), centers)
        return None if name in comparison.overlapping else cls(name, LabelBins.fit(rows, MOST_LABELS), None)

    @property
    def classes(self) -> int:
        """How many classes there are."""
        return self.bins.size

    def of_rows(self, series: pl.Series) -> NDArray[np.int64]:
        """The class of released values."""
        if isinstance(self.bins, LabelBins):
            return self.bins.codes(series)
        figures = numbers(series, self.centers)
        return self.bins.codes(np.full(len(series), np.nan) if figures is None else figures)

    def of_people(self, raw: pl.DataFrame, described: pl.DataFrame) -> NDArray[np.int64]:
        """The class of people, -1 for those of whom there is nothing to find out."""
        figures = None if isinstance(self.bins, LabelBins) else numbers(raw[self.name])
        if figures is None:
            found = self.of_rows(described[self.name])
            unknown = self.classes - (1 if isinstance(self.bins, NumberBins) else 2)
        else:
            assert isinstance(self.bins, NumberBins)
            found, unknown = self.bins.codes(figures), self.classes - 1
        return np.where(found >= unknown, -1, found)


@dataclass(frozen=True)
class Told:
    """What an attacker says of people: a guess and how sure it is, shape (people,) each."""

    guess: NDArray[np.int64]
    confidence: NDArray[np.float64]

    @classmethod
    def by(cls, probabilities: NDArray[np.float64]) -> Told:
        """The most probable class."""
        return cls(probabilities.argmax(axis=1), probabilities.max(axis=1))

    def __getitem__(self, part: slice) -> Told:
        return Told(self.guess[part], self.confidence[part])


@dataclass(frozen=True)
class ByClass:
    """Guesses what most rows have that are the same in the known columns, or most alike if none is."""

    known: tuple[str, ...]
    rows: Rows
    secret: NDArray[np.int64]
    size: int
    exact: Classes | None
    shares: NDArray[np.float64]

    @classmethod
    def of(
        cls,
        comparison: Comparison,
        known: Sequence[str],
        secret: Secret,
        released: tuple[pl.DataFrame, NDArray[np.int64]],
        people: pl.DataFrame,
        most: int | None = None,
    ) -> ByClass:
        """From rows and how many people each stands for; those alike are sought among at most so many."""
        frame, weights = released
        coded = frame.select(known).with_columns(
            pl.Series("__sfumato_secret__", secret.of_rows(frame[secret.name])), pl.Series(COUNT, weights)
        )
        keys = [*known, "__sfumato_secret__"]
        tuples = coded.group_by(keys).agg(pl.col(COUNT).sum()).sort(keys, nulls_last=True)
        codes, counts = tuples["__sfumato_secret__"].to_numpy(), tuples[COUNT].to_numpy()
        alike = np.arange(len(codes)) if most is None else _drawn(len(codes), most, comparison.key)
        rows = Rows.of(comparison, known, tuples[alike].select(known), counts[alike], people)
        if set(known) & set(comparison.overlapping):
            return cls(tuple(known), rows, codes[alike], secret.classes, None, np.zeros((0, secret.classes)))
        numbered = tuples.select(pl.struct(known).rle_id().cast(pl.Int64)).to_series().to_numpy()
        shares = np.zeros((int(numbered.max()) + 1, secret.classes))
        np.add.at(shares, (numbered, codes), counts)
        first = np.unique(numbered, return_index=True)[1]
        exact = Classes.of(tuples[first].select(*known, COUNT), known)
        shares /= shares.sum(axis=1, keepdims=True)
        return cls(tuple(known), rows, codes[alike], secret.classes, exact, shares)

    def tell(self, people: pl.DataFrame) -> Told:
        """What it says of people as ``describe`` leaves them."""
        found = np.zeros((people.height, self.size))
        at = (
            np.full(people.height, -1) if self.exact is None else self.exact.locate(people.select(self.known))
        )
        found[at >= 0] = self.shares[at[at >= 0]]
        others = at < 0
        if others.any():
            rest = people.filter(pl.Series(others))
            found[others] = self.rows.cells(rest).posterior(EXACT, self.secret, self.size)
        return Told.by(found)


def _drawn(rows: int, most: int, key: bytes) -> NDArray[np.int64]:
    return np.sort(sample_rows(np.arange(rows), most, derive(key, "alike")))


@dataclass(frozen=True)
class _Feature:
    """A column as a learner has it: a number, or the place of its label in an order."""

    name: str
    centers: Any
    levels: LabelBins | None = None
    places: NDArray[np.float64] | None = None

    @classmethod
    def of(
        cls, column: pl.Series, centers: Any, frequent: NDArray[np.bool_]
    ) -> tuple[_Feature, NDArray[np.float64]]:
        """A feature and its values.

        Labels are ordered by how often they go with the most frequent class of the secret: of two classes
        the best split of labels is one of that order (Fisher 1958, *JASA* 53).
        """
        found = numbers(column, centers)
        if found is not None:
            return cls(column.name, centers), np.clip(found, -_LARGEST, _LARGEST)
        levels = LabelBins.fit(column, _LEVELS)
        codes = levels.codes(column)
        rows, hits = (np.bincount(codes, each, minlength=levels.size) for each in (None, frequent))
        shares = (hits + _PRIOR * frequent.mean()) / (rows + _PRIOR)
        places = np.argsort(np.argsort(shares, kind="stable"), kind="stable").astype(np.float64)
        places[levels.size - 1] = np.nan
        return cls(column.name, None, levels, places), places[codes]

    @property
    def is_label(self) -> bool:
        """Whether it is the place of a label."""
        return self.levels is not None

    def values(self, frame: pl.DataFrame) -> NDArray[np.float64]:
        """The column of a frame, missing as NaN."""
        if self.levels is not None and self.places is not None:
            return self.places[self.levels.codes(frame[self.name])]
        found = numbers(frame[self.name], self.centers)
        return np.full(frame.height, np.nan) if found is None else np.clip(found, -_LARGEST, _LARGEST)


@dataclass(frozen=True)
class Learner:
    """Gradient boosting on histograms (Friedman 2001) from the known columns to the secret's class."""

    features: tuple[_Feature, ...]
    model: Any
    taught: NDArray[np.int64]

    @classmethod
    def of(
        cls, centers: Any, known: Sequence[str], frame: pl.DataFrame, truth: NDArray[np.int64], key: bytes
    ) -> Learner:
        """Taught by rows whose secret's class is known (not negative)."""
        frame, truth = frame.filter(pl.Series(truth >= 0)), truth[truth >= 0]
        counts = np.bincount(truth)
        taught = np.sort(np.argsort(-counts, kind="stable")[:TAUGHT_CLASSES])
        taught = taught[counts[taught] > 0]
        frequent = truth == counts.argmax()
        every = [_Feature.of(frame[name], centers.get(name), frequent) for name in known]
        telling = [(feature, values) for feature, values in every if _tells(values)]
        if len(taught) < 2 or not telling:
            return cls((), None, taught)
        from sklearn.ensemble import HistGradientBoostingClassifier

        several = len(taught) > 2
        inside = np.isin(truth, taught)
        trees, step = _SEVERAL if several else _TWO
        model = HistGradientBoostingClassifier(
            max_iter=max(_LEAST_ROUNDS, trees // len(taught)) if several else trees,
            learning_rate=step,
            random_state=int(generator(key).integers(0, 2**31)),
            categorical_features=[several and feature.is_label for feature, _ in telling],
            **_SETTINGS,
        )
        with _threads().limit(limits=1, user_api="openmp"):
            model.fit(np.column_stack([values for _, values in telling])[inside], truth[inside])
        return cls(tuple(feature for feature, _ in telling), model, taught)

    def tell(self, people: pl.DataFrame) -> Told:
        """What it says of people in the terms that it was taught in."""
        if self.model is None:
            guess = int(self.taught[0]) if len(self.taught) == 1 else 0
            return Told(np.full(people.height, guess), np.ones(people.height))
        matrix = np.column_stack([feature.values(people) for feature in self.features])
        with _threads().limit(limits=1, user_api="openmp"):
            told = Told.by(self.model.predict_proba(matrix))
        return Told(self.model.classes_[told.guess], told.confidence)


def _tells(values: NDArray[np.float64]) -> bool:
    """Whether there are two values, one of them perhaps missing."""
    missing = np.isnan(values)
    known = values[~missing]
    return bool(len(known) and (missing.any() or known.min() < known.max()))


@cache
def _threads() -> Any:
    """The libraries whose threads can be limited; to look for them takes longer than a small model does."""
    import sklearn.ensemble  # noqa: F401 - it brings OpenMP, which must be there to be found
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
