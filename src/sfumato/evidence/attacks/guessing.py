"""Secrets as classes, and what attackers make of the release about them.

A secret of numbers is known if it is placed in the right tenth of people; any other if its label is right.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
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
    "learning_rate": 0.15,
    "max_leaf_nodes": 15,
    "min_samples_leaf": 20,
    "early_stopping": False,
}
_TREES = 240


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
            found[others] = self.rows.posterior(rest, EXACT, self.secret, self.size)
        return Told.by(found)


def _drawn(rows: int, most: int, key: bytes) -> NDArray[np.int64]:
    return np.sort(sample_rows(np.arange(rows), most, derive(key, "alike")))


@dataclass(frozen=True)
class Learner:
    """Gradient boosting on histograms (Friedman 2001) from the known columns to the secret's class."""

    features: tuple[tuple[str, Any, LabelBins | None], ...]
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
        features = tuple(
            (name, centers.get(name), None)
            if numbers(frame[name], centers.get(name)) is not None
            else (name, None, LabelBins.fit(frame[name], 200))
            for name in known
            if frame[name].n_unique() > 1
        )
        inside = np.isin(truth, taught)
        if len(taught) < 2 or not features:
            return cls((), None, taught)
        from sklearn.ensemble import HistGradientBoostingClassifier
        from threadpoolctl import threadpool_limits

        model = HistGradientBoostingClassifier(
            max_iter=max(20, _TREES // (len(taught) if len(taught) > 2 else 4)),
            random_state=int(generator(key).integers(0, 2**31)),
            categorical_features=[levels is not None for _, _, levels in features],
            **_SETTINGS,
        )
        with threadpool_limits(1, user_api="openmp"):
            model.fit(_matrix(features, frame)[inside], truth[inside])
        return cls(features, model, taught)

    def tell(self, people: pl.DataFrame) -> Told:
        """What it says of people in the terms that it was taught in."""
        if self.model is None:
            guess = int(self.taught[0]) if len(self.taught) == 1 else 0
            return Told(np.full(people.height, guess), np.ones(people.height))
        from threadpoolctl import threadpool_limits

        with threadpool_limits(1, user_api="openmp"):
            told = Told.by(self.model.predict_proba(_matrix(self.features, people)))
        return Told(self.model.classes_[told.guess], told.confidence)


def _matrix(
    features: Sequence[tuple[str, Any, LabelBins | None]], frame: pl.DataFrame
) -> NDArray[np.float64]:
    columns = []
    for name, centers, levels in features:
        if levels is None:
            found = numbers(frame[name], centers)
            values = np.full(frame.height, np.nan) if found is None else np.clip(found, -1e300, 1e300)
        else:
            values = levels.codes(frame[name]).astype(np.float64)
            values[values == levels.size - 1] = np.nan
        columns.append(values)
    return np.column_stack(columns)
