"""Shadow models: the same training on other people, so that each person was taught to some and not to others.

What the models say of a person's own label when the person was among the taught, and when not, is what an
attacker compares the attacked model with (Carlini et al. 2022, arXiv 2112.03570, sec. IV; Zarifzadeh, Liu &
Shokri 2024, arXiv 2312.03262).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sfumato.core.errors import InputError
from sfumato.core.keyed import derive, generator

#: How a shadow model is made: features, labels and a seed to something with ``predict_proba``.
Train = Callable[[Any, Any, int], Any]

#: Added to probabilities before their logit is taken, so that a forest's 1 does not drown all differences.
_SMOOTH = 1e-4
#: What keeps a ratio finite.
_TINY = 1e-12
#: With fewer shadow models a person's own variance is worse than that of all (Carlini et al., sec. VI-A).
_OWN_VARIANCE = 64


@dataclass(frozen=True)
class Told:
    """What models say of people's own labels.

    ``probability`` is what they give it, ``confidence`` the logit of that; shape (people,) for one model,
    (models, people) for several.
    """

    confidence: NDArray[np.float64]
    probability: NDArray[np.float64]


@dataclass(frozen=True)
class Shadows:
    """What shadow models say of people, and who was taught to which, both of shape (models, people)."""

    told: Told
    inside: NDArray[np.bool_]


def told(model: Any, features: Any, truth: NDArray[Any]) -> Told:
    """What a model says of each person's own label; a label that it was never taught has probability 0.

    Raises:
        InputError: ``usage`` if it has no ``predict_proba`` or no ``classes_``, or says something else than
            a probability for each person and class.
    """
    if not hasattr(model, "predict_proba") or not hasattr(model, "classes_"):
        raise InputError(
            "usage", "the model has no predict_proba or no classes_", remedy="give a fitted classifier"
        )
    found = np.asarray(model.predict_proba(features), dtype=np.float64)
    classes = np.asarray(model.classes_)
    if found.shape != (len(truth), len(classes)) or not np.isfinite(found).all():
        raise InputError("usage", "predict_proba gave something else than a probability per person and class")
    own = truth[:, None] == classes[None, :]
    right = np.where(own, found, 0.0).sum(axis=1)
    # The sum of the others, not 1 less the own: it keeps its digits where a model is sure.
    wrong = np.where(own, 0.0, found).sum(axis=1)
    return Told(np.log(right + _SMOOTH) - np.log(wrong + _SMOOTH), right)


def teach(train: Train, features: Any, truth: NDArray[Any], members: int, models: int, key: bytes) -> Shadows:
    """Train shadow models, each on as many people as the attacked one, and ask all of them about everybody.

    Where half of the people are members, each person is taught to exactly half of an even number of models.

    Raises:
        InputError: ``usage`` if somebody was taught to fewer than two models, or to all of them but one.
    """
    people = len(truth)
    inside = _taught(people, members, models, key)
    counts = inside.sum(axis=0)
    if models < 2 or counts.min() < 2 or (models - counts).min() < 2:
        raise InputError(
            "usage",
            f"{models} shadow models are too few: somebody was not taught to two of them and left out by two",
            remedy="ask for more shadows, or audit about as many people who were not taught as members",
        )
    seeds = generator(derive(key, "seeds")).integers(0, 2**31, models)
    found = []
    for taught, seed in zip(inside, seeds, strict=True):
        rows = np.flatnonzero(taught)
        found.append(told(train(rows_of(features, rows), truth[rows], int(seed)), features, truth))
    return Shadows(
        Told(np.stack([each.confidence for each in found]), np.stack([each.probability for each in found])),
        inside,
    )


def _taught(people: int, members: int, models: int, key: bytes) -> NDArray[np.bool_]:
    draw = generator(derive(key, "shadows"))
    inside = np.zeros((models, people), dtype=bool)
    # Models that share an order of the people are taught different parts of it.
    windows = max(1, people // max(1, members))
    for first in range(0, models, windows):
        order = draw.permutation(people)
        for model in range(first, min(first + windows, models)):
            at = (model - first) * members
            inside[model, order[at : at + members]] = True
    return inside


def rows_of(features: Any, rows: NDArray[np.int64]) -> Any:
    """Some rows of a table: an array, a sparse matrix, or a pandas or Polars frame."""
    return features.iloc[rows] if hasattr(features, "iloc") else features[rows]


def likelihood_ratio(target: Told, shadows: Shadows) -> NDArray[np.float64]:
    """LiRA online: the log-likelihood ratio of a person's confidence, taught against not taught.

    Normal distributions whose means are the person's own; with fewer than 64 shadow models the variances
    are those of everybody (Carlini et al. 2022, algorithm 1).
    """
    taught, left_out = (_normal(shadows, inside) for inside in (True, False))
    return _log_normal(target.confidence, *taught) - _log_normal(target.confidence, *left_out)


def surprise(target: Told, shadows: Shadows) -> NDArray[np.float64]:
    """LiRA offline: how far the confidence is above that of models that were not taught the person."""
    mean, deviation = _normal(shadows, False)
    return np.asarray((target.confidence - mean) / deviation, dtype=np.float64)


def relative(target: Told, shadows: Shadows) -> NDArray[np.float64]:
    """RMIA: the probability of the own label over its mean in models taught and not taught the person.

    The published score is the share of a population whose ratio is smaller by a factor. That share rises
    with the person's own ratio and with nothing else, so the ratio orders people in the same way, without
    the population's ties (Zarifzadeh et al. 2024, eq. 6 to 8).
    """
    taught, left_out = (
        np.where(shadows.inside == inside, shadows.told.probability, 0.0).sum(axis=0)
        / (shadows.inside == inside).sum(axis=0)
        for inside in (True, False)
    )
    return np.asarray(target.probability / np.maximum((taught + left_out) / 2, _TINY), dtype=np.float64)


def _normal(shadows: Shadows, inside: bool) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The mean of each person's confidence and its deviation, in models taught the person or not."""
    chosen = shadows.inside == inside
    counts = chosen.sum(axis=0)
    mean = np.where(chosen, shadows.told.confidence, 0.0).sum(axis=0) / counts
    squares = np.where(chosen, (shadows.told.confidence - mean) ** 2, 0.0).sum(axis=0)
    own = squares / (counts - 1)
    everybody = np.full(len(mean), squares.sum() / (counts - 1).sum())
    variance = own if len(shadows.inside) >= _OWN_VARIANCE else everybody
    return mean, np.sqrt(np.maximum(variance, _TINY))


def _log_normal(
    values: NDArray[np.float64], mean: NDArray[np.float64], deviation: NDArray[np.float64]
) -> NDArray[np.float64]:
    return np.asarray(-np.log(deviation) - ((values - mean) / deviation) ** 2 / 2, dtype=np.float64)
