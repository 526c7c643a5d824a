"""Two learners, one taught by the release and one by the original, tested on the same held-out people.

Both are the same small gradient boosting with the same seeds, so that they differ by what they were
taught alone. The held-out people are original and were neither fitted nor released; for the learner
of the release they are put into its terms by the published method, as a recipient would do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sfumato.contracts import Comparison
from sfumato.core.keyed import derive, generator
from sfumato.core.values import Status
from sfumato.evidence.columns import direct_identifiers
from sfumato.evidence.features import LabelBins, labels, numbers
from sfumato.evidence.overlap import Spread

#: Models with different seeds whose probabilities are averaged: less noise from the teaching itself.
BAGS = 4
MOST_CLASSES = 10
LEAST_PER_CLASS = 10
_LEVELS = 200
#: Values of a column with overlapping labels that are told apart, and people who stand for the prior of each.
_VALUES = 50
_PRIOR = 10
_LARGE = 1e300
_SETTINGS = {
    "max_iter": 80,
    "learning_rate": 0.08,
    "max_leaf_nodes": 15,
    "min_samples_leaf": 20,
    "l2_regularization": 1.0,
    "max_features": 0.5,
    "early_stopping": False,
}


@dataclass(frozen=True)
class Unlearned:
    """Why nothing could be learned."""

    status: Status
    note: str


@dataclass(frozen=True)
class Learned:
    """What both learners say of the held-out people.

    ``classes`` are the target's labels in order; ``truth`` has the number of each person's, shape
    (people,), and ``people`` their rows in ``comparison.control``. ``before`` (taught by the original)
    and ``after`` (taught by the release) are probabilities, shape (people, classes). ``rates`` are
    the shares of the classes in the original.
    """

    classes: tuple[str, ...]
    truth: NDArray[np.int64]
    people: NDArray[np.int64]
    before: NDArray[np.float64]
    after: NDArray[np.float64]
    rates: NDArray[np.float64]


class _Sharing(Comparison):
    """A comparison that teaches its learners once, when the first probe asks."""

    @cached_property
    def learned(self) -> Learned | Unlearned:
        return _learn(self)


def share_learners(comparison: Comparison) -> Comparison:
    """The same comparison, with learners that all probes share."""
    return _Sharing(**{field.name: getattr(comparison, field.name) for field in fields(comparison)})


def learned(comparison: Comparison) -> Learned | Unlearned:
    """What the learners of a comparison say, or why there are none."""
    return comparison.learned if isinstance(comparison, _Sharing) else _learn(comparison)


def _learn(comparison: Comparison) -> Learned | Unlearned:
    target = comparison.inventory.target
    refusal = _refuse(comparison, target)
    if refusal is not None or target is None:
        return refusal or Unlearned("not-measured", "the dataset has no target")
    original = comparison.original.filter(pl.col(target).is_not_null())
    classes = _classes(original[target])
    control = comparison.control.with_row_index("__sfumato_person__").filter(
        labels(comparison.control[target]).is_in(list(classes))
    )
    truth = _numbered(control[target], classes)
    few = _too_few(np.bincount(_numbered(original[target], classes)), np.bincount(truth))
    if few is not None:
        return few
    people = control["__sfumato_person__"].to_numpy().astype(np.int64)
    held_out = comparison.control[people]
    released = comparison.released.filter(
        pl.Series(comparison.kept) & comparison.released[target].is_not_null()
    )
    if not set(labels(released[target]).unique()) <= set(classes):
        return Unlearned("not-measured", "the release has other classes of the target than the original")
    hidden = _hidden(comparison, target)
    before = _Learner.teach(original, target, classes, hidden, lambda raw, _: _plain(raw), comparison.key)
    after = _Learner.teach(released, target, classes, hidden, _reader(comparison), comparison.key)
    return Learned(
        classes,
        truth,
        people,
        before.probabilities(held_out),
        after.probabilities(comparison.describe(held_out)),
        np.bincount(_numbered(original[target], classes), minlength=len(classes)) / original.height,
    )


def _refuse(comparison: Comparison, target: str | None) -> Unlearned | None:
    if target is None:
        return Unlearned("not-measured", "the dataset has no target")
    if target not in comparison.released.columns:
        return Unlearned("not-measured", "the target does not leave")
    if not comparison.control.height:
        return Unlearned("not-measured", "nobody was held out to test on")
    if not comparison.kept.any():
        return Unlearned("not-measured", "the release has no rows")
    distinct = comparison.original[target].drop_nulls().n_unique()
    if distinct > MOST_CLASSES:
        return Unlearned("not-measured", f"the target has more than {MOST_CLASSES} values")
    if distinct < 2:
        return Unlearned("no-power", "the target has one class only")
    return None


def _too_few(taught: NDArray[np.int64], tested: NDArray[np.int64]) -> Unlearned | None:
    """At least two classes must have people enough to teach and to test."""
    width = max(len(taught), len(tested))
    enough = np.minimum(np.pad(taught, (0, width - len(taught))), np.pad(tested, (0, width - len(tested))))
    if (enough >= LEAST_PER_CLASS).sum() < 2:
        return Unlearned("no-power", f"fewer than {LEAST_PER_CLASS} people of a class of the target")
    return None


def _classes(series: pl.Series) -> tuple[str, ...]:
    """The labels in the order of their values."""
    return tuple(labels(series.unique().sort()))


def _numbered(series: pl.Series, classes: Sequence[str]) -> NDArray[np.int64]:
    levels = pl.Series(classes, dtype=pl.String)
    return (
        labels(series)
        .replace_strict(levels, pl.Series(np.arange(len(classes))), return_dtype=pl.Int64)
        .to_numpy()
        .copy()
    )


def _hidden(comparison: Comparison, target: str) -> frozenset[str]:
    """Columns that neither learner may use: identifiers, near-unique text, and what gives the target away."""
    given_away = {
        profile.name
        for profile in comparison.inventory.columns
        if profile.determines_target or (profile.dtype == "text" and profile.distinction > 0.5)
    }
    return direct_identifiers(comparison) | given_away | {target}


class _Feature(Protocol):
    """One column as the learner sees it."""

    @property
    def categorical(self) -> tuple[bool, ...]:
        """Which of its parts are categories by number, shape (parts,)."""

    def taught(self, frame: pl.DataFrame) -> NDArray[np.float64]:
        """Of the rows that it was fitted to, shape (rows, parts), or (rows,) if there is one part."""

    def tested(self, frame: pl.DataFrame) -> NDArray[np.float64]:
        """Of described people."""


#: How the learner sees a column, given the number of each row's class.
Reader = Callable[[pl.Series, NDArray[np.int64]], _Feature]


@dataclass(frozen=True)
class _Numbers:
    """Numbers, or labels as their centers."""

    name: str
    centers: Mapping[str, float] | None
    categorical: tuple[bool, ...] = (False,)

    def tested(self, frame: pl.DataFrame) -> NDArray[np.float64]:
        found = numbers(frame[self.name], self.centers)
        # Infinite numbers are very large ones, so that the bins have middles.
        return np.full(frame.height, np.nan) if found is None else np.clip(found, -_LARGE, _LARGE)

    taught = tested


@dataclass(frozen=True)
class _Categories:
    """Categories, numbered by frequency."""

    name: str
    levels: LabelBins
    categorical: tuple[bool, ...] = (True,)

    def tested(self, frame: pl.DataFrame) -> NDArray[np.float64]:
        codes = self.levels.codes(frame[self.name]).astype(np.float64)
        codes[codes == self.levels.size - 1] = np.nan
        return codes

    taught = tested


@dataclass(frozen=True)
class _Mixtures:
    """Labels that overlap: the category where a label leaves no choice, and rates where it does.

    ``rates`` are the shares of the classes in each category, of which a label has the mean over what it
    covers (target encoding: Micci-Barreca 2001, *SIGKDD Explorations* 3:27-32).
    """

    name: str
    levels: LabelBins
    spread: Spread
    rates: NDArray[np.float64]

    @classmethod
    def fit(cls, name: str, levels: LabelBins, spread: Spread, truth: NDArray[np.int64]) -> _Mixtures:
        within = spread.shares[spread.codes]
        classes = np.eye(int(truth.max(initial=0)) + 1)[truth]
        # Rare categories have the rates of everybody; those of the first class follow from the others.
        sums = within.T @ classes + _PRIOR * classes.mean(axis=0)
        return cls(name, levels, spread, (sums / (within.sum(axis=0)[:, None] + _PRIOR))[:, 1:])

    @property
    def categorical(self) -> tuple[bool, ...]:
        return True, *[False] * self.rates.shape[1]

    def taught(self, frame: pl.DataFrame) -> NDArray[np.float64]:
        del frame
        return self._matrix(self.spread.shares[self.spread.codes])

    def tested(self, frame: pl.DataFrame) -> NDArray[np.float64]:
        return self._matrix(np.eye(self.levels.size)[self.levels.codes(frame[self.name])])

    def _matrix(self, shares: NDArray[np.float64]) -> NDArray[np.float64]:
        sure = (shares[:, :-1] == 1).any(axis=1)
        return np.column_stack([np.where(sure, shares.argmax(axis=1), np.nan), shares @ self.rates])


def _plain(series: pl.Series, centers: Mapping[str, float] | None = None) -> _Feature:
    if numbers(series, centers) is not None:
        return _Numbers(series.name, centers)
    return _Categories(series.name, LabelBins.fit(series, _LEVELS))


def _reader(comparison: Comparison) -> Reader:
    """How the columns of a release are read; which values they have is all that is taken of the original."""
    described = comparison.describe(comparison.original)

    def read(series: pl.Series, truth: NDArray[np.int64]) -> _Feature:
        centers = comparison.centers.get(series.name)
        if series.name not in comparison.overlapping or numbers(series, centers) is not None:
            return _plain(series, centers)
        values = described[series.name]
        levels = LabelBins.fit(values, _VALUES)
        spread = Spread.of(comparison, series, values, levels.codes(values), levels.size)
        return _Mixtures.fit(series.name, levels, spread, truth)

    return read


@dataclass(frozen=True)
class _Learner:
    """Gradient boosting (Friedman 2001) on histograms, several seeds averaged."""

    features: tuple[_Feature, ...]
    models: tuple[Any, ...]
    #: The probabilities where nothing was learned: the class shares of what was taught.
    shares: NDArray[np.float64]

    @classmethod
    def teach(
        cls,
        frame: pl.DataFrame,
        target: str,
        classes: Sequence[str],
        hidden: frozenset[str],
        read: Reader,
        key: bytes,
    ) -> _Learner:
        names = [column for column in frame.columns if column not in hidden and frame[column].n_unique() > 1]
        truth = _numbered(frame[target], classes)
        features = tuple(read(frame[name], truth) for name in names)
        counts = np.bincount(truth, minlength=len(classes))
        shares = counts / max(1, len(truth))
        if not features or (counts > 0).sum() < 2:
            return cls((), (), shares)
        from sklearn.ensemble import HistGradientBoostingClassifier
        from threadpoolctl import threadpool_limits

        matrix = np.column_stack([feature.taught(frame) for feature in features])
        categorical = [part for feature in features for part in feature.categorical]
        seeds = generator(derive(key, "learning", "seeds")).integers(0, 2**31, BAGS)
        # One thread: these models are small, threads that wait on a busy machine cost more than they
        # bring, and sums come out in the same order everywhere.
        with threadpool_limits(1, user_api="openmp"):
            models = tuple(
                HistGradientBoostingClassifier(
                    random_state=int(seed), categorical_features=categorical, **_SETTINGS
                ).fit(matrix, truth)
                for seed in seeds
            )
        return cls(features, models, shares)

    def probabilities(self, frame: pl.DataFrame) -> NDArray[np.float64]:
        """Shape (rows, classes)."""
        if not self.models:
            return np.tile(self.shares, (frame.height, 1))
        from threadpoolctl import threadpool_limits

        matrix = np.column_stack([feature.tested(frame) for feature in self.features])
        total = np.zeros((frame.height, len(self.shares)))
        with threadpool_limits(1, user_api="openmp"):
            for model in self.models:
                # A class that was not taught keeps probability 0.
                total[:, model.classes_] += model.predict_proba(matrix)
        return total / len(self.models)
