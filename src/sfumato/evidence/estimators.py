"""The kinds of models that are taught: boosting, a forest, and a linear one, for classes and for numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sfumato.core.keyed import derive, generator
from sfumato.evidence.features import NumberBins
from sfumato.evidence.reading import Feature, Reader

Kind = Literal["boosting", "forest", "linear"]

BOOSTING = {
    "max_iter": 80,
    "learning_rate": 0.08,
    "max_leaf_nodes": 15,
    "min_samples_leaf": 20,
    "l2_regularization": 1.0,
    "max_features": 0.5,
    "early_stopping": False,
}
FOREST = {"n_estimators": 60, "min_samples_leaf": 5, "max_features": 0.5}
#: Of more classes boosting has one model and fewer rounds, for each round is a tree a class.
MANY_CLASSES, FEW_ROUNDS = 10, 30
#: Categories of a column that a linear model tells apart.
_INDICATORS = 20

Predict = Callable[[NDArray[np.float64]], NDArray[np.float64]]


@dataclass(frozen=True)
class Task:
    """What is learned: the number of classes, 0 for a number."""

    classes: int


@dataclass(frozen=True)
class Taught:
    """A model with the columns that it reads."""

    features: tuple[Feature, ...]
    predicts: Predict

    def matrix(self, frame: pl.DataFrame) -> NDArray[np.float64]:
        """Described people as the model sees them, shape (rows, parts)."""
        if not self.features:
            return np.zeros((frame.height, 0))
        return np.column_stack([feature.tested(frame) for feature in self.features])

    @cached_property
    def owners(self) -> tuple[str, ...]:
        """The column that each part of the matrix is of."""
        return tuple(feature.name for feature in self.features for _ in feature.categorical)

    def predict(self, frame: pl.DataFrame) -> NDArray[np.float64]:
        """Probabilities of the classes, shape (rows, classes), or numbers, shape (rows, 1)."""
        return self.predicts(self.matrix(frame))


def teach(
    kind: Kind,
    frame: pl.DataFrame,
    names: Sequence[str],
    truth: NDArray[Any],
    task: Task,
    read: Reader,
    key: bytes,
    bags: int,
) -> Taught:
    """A model of some columns of a frame.

    Args:
        truth: numbers of classes, or numbers, shape (rows,).
        bags: models with different seeds whose predictions are averaged, of boosting.
    """
    names = [name for name in names if frame[name].n_unique() > 1]
    # A target of numbers is read in quarters where labels have rates of their own.
    grouped = truth if task.classes else NumberBins.fit(truth.astype(np.float64), 4).codes(truth)
    features = tuple(read(frame[name], grouped.astype(np.int64)) for name in names)
    if not features or len(np.unique(truth)) < 2:
        return Taught((), _constant(truth, task))
    matrix = np.column_stack([feature.taught(frame) for feature in features])
    categorical = [part for feature in features for part in feature.categorical]
    seeds = generator(derive(key, "learning", "seeds")).integers(0, 2**31, bags)
    made = {"boosting": _boosting, "forest": _forest, "linear": _linear}[kind]
    return Taught(features, made(matrix, categorical, truth, task, [int(seed) for seed in seeds]))


def _constant(truth: NDArray[Any], task: Task) -> Predict:
    """What is said where nothing was learned: the class shares or the mean of what was taught."""
    if task.classes:
        said = np.bincount(truth, minlength=task.classes) / max(1, len(truth))
    else:
        said = np.array([truth.mean() if len(truth) else 0.0])
    return lambda matrix: np.tile(said, (len(matrix), 1))


def _predictor(models: Sequence[Any], task: Task) -> Predict:
    from threadpoolctl import threadpool_limits

    def predict(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        total = np.zeros((len(matrix), task.classes or 1))
        with threadpool_limits(1, user_api="openmp"):
            for model in models:
                if task.classes:
                    # A class that was not taught keeps probability 0.
                    total[:, model.classes_] += model.predict_proba(matrix)
                else:
                    total[:, 0] += model.predict(matrix)
        return total / len(models)

    return predict


def _boosting(
    matrix: NDArray[np.float64], categorical: list[bool], truth: NDArray[Any], task: Task, seeds: list[int]
) -> Predict:
    """Gradient boosting (Friedman 2001) on histograms, several seeds averaged."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    from threadpoolctl import threadpool_limits

    many = task.classes > MANY_CLASSES
    settings = {**BOOSTING, **({"max_iter": FEW_ROUNDS} if many else {})}
    made = HistGradientBoostingClassifier if task.classes else HistGradientBoostingRegressor
    # One thread: these models are small, threads that wait on a busy machine cost more than they bring, and
    # sums come out in the same order everywhere.
    with threadpool_limits(1, user_api="openmp"):
        models = [
            made(random_state=seed, categorical_features=categorical, **settings).fit(matrix, truth)
            for seed in (seeds[:1] if many else seeds)
        ]
    return _predictor(models, task)


def _forest(
    matrix: NDArray[np.float64], categorical: list[bool], truth: NDArray[Any], task: Task, seeds: list[int]
) -> Predict:
    """A random forest (Breiman 2001) on categories by frequency."""
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

    del categorical
    made = RandomForestClassifier if task.classes else RandomForestRegressor
    model = made(random_state=seeds[0], n_jobs=1, **FOREST).fit(_known(matrix), truth)
    found = _predictor([model], task)
    return lambda tested: found(_known(tested))


def _known(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """A forest's numbers are of 32 bits; missing is below all."""
    return np.clip(np.nan_to_num(matrix, nan=-1e30), -1e30, 1e30)


def _linear(
    matrix: NDArray[np.float64], categorical: list[bool], truth: NDArray[Any], task: Task, seeds: list[int]
) -> Predict:
    """Logistic regression, or ridge regression of numbers, on standardized numbers and indicators."""
    from sklearn.linear_model import LogisticRegression, Ridge

    del seeds
    expand = _expansion(matrix, categorical)
    model = LogisticRegression(max_iter=200, tol=1e-3) if task.classes else Ridge()
    found = _predictor([_quietly(model, expand(matrix), truth)], task)
    return lambda tested: found(expand(tested))


def _quietly(model: Any, matrix: NDArray[np.float64], truth: NDArray[Any]) -> Any:
    """A fit that stops after its rounds is as good as is needed here."""
    import warnings

    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(matrix, truth)


def _expansion(taught: NDArray[np.float64], categorical: list[bool]) -> Predict:
    """Numbers in standard deviations, missing as the mean, and categories as indicators."""
    middles, scales = np.zeros(taught.shape[1]), np.ones(taught.shape[1])
    for j, column in enumerate(taught.T):
        known = column[~np.isnan(column)]
        if len(known) and not categorical[j]:
            middles[j] = np.clip(np.median(known), -1e100, 1e100)
            scales[j] = max(1e-100, float(np.clip(known - middles[j], -1e100, 1e100).std())) or 1.0

    def expand(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        parts = []
        for j, column in enumerate(matrix.T):
            if categorical[j]:
                parts.append((column[:, None] == np.arange(_INDICATORS)).astype(np.float64))
            else:
                # Beyond ten deviations a number says no more, so that one cannot rule the rest.
                parts.append(np.clip(np.nan_to_num((column - middles[j]) / scales[j]), -10, 10)[:, None])
        return np.hstack(parts)

    return expand
