"""A classifier of small images under differential privacy, with no setting left to choose on the data.

Scattering features, which are fitted to nothing; their mean, drawn with noise and taken away, for what all
images share says nothing and takes up the clipping bound; a linear model by steps over *all* examples (the
widest batch has the least noise for its cost), gradients clipped to a small bound, weights averaged. What is
left to choose follows from public figures (size, width, epsilon) by a rule that was found on drawings of
digits that a program made up (``benchmarks/dp/images.py``), never on anybody's images.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from sfumato.core.errors import InputError
from sfumato.dp.accounting import noise_for
from sfumato.dp.events import composed
from sfumato.dp.mechanisms import gaussian, gaussian_sigma
from sfumato.dp.training import tensorfile
from sfumato.dp.training.modules import need_deep
from sfumato.dp.training.scattering import Scattering, unit
from sfumato.dp.training.trained import ROWS_COUNTED, Progress, sampled_gaussian

if TYPE_CHECKING:
    from dp_accounting import DpEvent

    from sfumato.dp.budget import Budget, Receipt

STEPS = 200
#: A gradient's bound; a linear model on unit vectors has gradients of at most the root of two.
CLIP = 0.1
#: The part of the cost (of its inverse variances) that the mean takes.
_MEAN_SHARE = 0.05
#: The constant beside the features, for the intercepts.
_CONSTANT = 0.5
#: The learning rate over the bound: signal over noise, and no more than a step can be without any.
_RATE, _MOST_RATE = 0.01, 3.0
#: Grid of the sum behind the mean: a vector of norm 1 is so many steps long.
_GRID = 2**24
_NOTICE_MEAN = "the mean of the features is part of the cost"


@dataclass(frozen=True, eq=False)
class ImageClassifier:
    """A linear model on scattering features, and what it cost.

    Attributes:
        scattering: the features.
        levels: the grey levels of black and white.
        centre: shape (width,), the noisy mean of the features.
        weights: shape (classes, width + 1).
        epsilon, delta: what it cost about each ``unit``, mean included, under the budget's relation.
        replace_epsilon: the same if one unit is replaced.
        event: what was charged.
        private: false if somebody knows the noise (a seed).
    """

    scattering: Scattering
    levels: tuple[float, float]
    centre: NDArray[np.float32]
    weights: NDArray[np.float32]
    epsilon: float
    delta: float
    replace_epsilon: float
    unit: str
    event: DpEvent
    private: bool
    notices: tuple[str, ...]

    def predict_proba(self, images: NDArray[Any]) -> NDArray[np.float64]:
        """The probability of each class, shape (n, classes), for images of shape (n, side, side)."""
        features = self.scattering.features(_levelled(images, self.levels))
        scores = _centred(features, self.centre).astype(np.float64) @ self.weights.T.astype(np.float64)
        powers = np.exp(scores - scores.max(axis=1, keepdims=True))
        return np.asarray(powers / powers.sum(axis=1, keepdims=True))

    def predict(self, images: NDArray[Any]) -> NDArray[np.int64]:
        """The likeliest class of each image, shape (n,)."""
        return np.asarray(self.predict_proba(images).argmax(axis=1))

    def to_safetensors(self, card: Mapping[str, str] | None = None) -> bytes:
        """The model as a safetensors file, with how to compute its features, and ``card``, as metadata."""
        low, high = self.levels
        return tensorfile.written(
            {"centre": self.centre, "weights": self.weights},
            {
                "features": "scattering, first order, Morlet; channels standardized, unit norm",
                "side": str(self.scattering.side),
                "scales": str(self.scattering.scales),
                "angles": str(self.scattering.angles),
                "levels": f"{low:g} {high:g}",
                "constant": f"{_CONSTANT:g}",
                **(card or {}),
            },
        )


def classify_images(
    images: NDArray[Any],
    labels: NDArray[Any],
    *,
    classes: int,
    budget: Budget,
    epsilon: float,
    delta: float,
    levels: tuple[float, float] = (0.0, 255.0),
    subject: Sequence[Any] | None = None,
    size: int | None = None,
    scattering: Scattering | None = None,
    steps: int = STEPS,
    seed: int | None = None,
    place: str = "image classifier",
    by: str = "",
    why: str = "",
    watch: Callable[[Progress], None] | None = None,
) -> ImageClassifier:
    """Train a classifier of small square images under differential privacy.

    Everything that depends on the images is charged in one piece before the first draw: the mean of the
    features, and ``steps`` noisy sums of clipped gradients over all examples.

    Args:
        images: shape (n, side, side).
        labels: shape (n,), classes from 0 to ``classes`` - 1; how many there are is declared.
        budget: charged; its unit and relation count.
        epsilon, delta: the noise is chosen so that all of it costs at most this.
        levels: the grey levels of black and white, declared; others are cut to them.
        subject: for each image whose it is, for a budget of the unit "subject".
        size: about how many examples (images, or subjects) there are, as everybody may know it.
        scattering: other features than :meth:`Scattering.fitting`.
        seed: for tests: the same noise again, and nothing is private.
        place, by, why: for the ledger.
        watch: called after each step.

    Raises:
        InputError: ``usage``, before anything is charged.
        RefusedError: the budget does not allow it; nothing was drawn.
    """
    need_deep()
    _check(images, labels, classes, levels)
    scattering = scattering or Scattering.fitting(images.shape[1])
    features = scattering.features(_levelled(images, levels))
    count = size or (len(images) if subject is None else len(set(subject)))
    relation = budget.relation
    noise = noise_for(lambda one: composed(list(_events(one, steps))), epsilon, delta, relation=relation)
    for_mean, for_steps = _events(noise, steps)
    receipt = budget.spend(composed([for_mean, for_steps]), place=place, by=by, why=why, delta=delta)
    centre = _mean(features, subject, for_mean.noise_multiplier, count, seed)
    trained = _steps(
        _centred(features, centre),
        labels,
        _Prepaid(budget, receipt, for_steps),
        classes=classes,
        noise=noise / math.sqrt(1 - _MEAN_SHARE),
        steps=steps,
        count=count,
        delta=delta,
        subject=subject,
        seed=seed,
        watch=watch,
    )
    from sfumato.dp.accounting import epsilon_of

    cost = epsilon_of(composed([for_mean, for_steps]), delta, relation=relation)
    counted = (ROWS_COUNTED,) if size is None and relation == "add-remove" else ()
    own = tuple(notice for notice in trained.notices if notice != ROWS_COUNTED)
    return ImageClassifier(
        scattering=scattering,
        levels=levels,
        centre=centre,
        weights=trained.module.weight.detach().cpu().numpy().astype(np.float32),
        epsilon=cost.epsilon,
        delta=delta,
        replace_epsilon=cost.replace_epsilon,
        unit=budget.unit,
        event=composed([for_mean, for_steps]),
        private=trained.private,
        notices=(_NOTICE_MEAN, *counted, *own),
    )


def _check(images: NDArray[Any], labels: NDArray[Any], classes: int, levels: tuple[float, float]) -> None:
    whole = np.issubdtype(np.asarray(labels).dtype, np.integer)
    if (
        images.ndim != 3
        or images.shape[1] != images.shape[2]
        or labels.shape != (len(images),)
        or not len(images)
    ):
        raise InputError(
            "usage",
            "images and labels must be of shapes (n, side, side) and (n,), n at least one",
            remedy="cut or scale the images to squares by a rule that looks at one image alone",
        )
    if classes < 2 or not whole or not bool(((labels >= 0) & (labels < classes)).all()):
        raise InputError("usage", f"the labels are not whole numbers from 0 to below {classes}")
    if not levels[0] < levels[1]:
        raise InputError("usage", "the level of white must be above that of black")


def _levelled(images: NDArray[Any], levels: tuple[float, float]) -> NDArray[np.float64]:
    """Grey levels from 0 to 1; what is no number is black."""
    low, high = levels
    scaled = (np.nan_to_num(np.asarray(images, dtype=np.float64), nan=low) - low) / (high - low)
    return np.clip(scaled, 0.0, 1.0)


def _events(noise: float, steps: int) -> tuple[Any, Any]:
    """The events of mean and steps: inverse variances in a fixed proportion."""
    mean = sampled_gaussian(1.0, noise / math.sqrt(steps * _MEAN_SHARE), 1)
    return mean, sampled_gaussian(1.0, noise / math.sqrt(1 - _MEAN_SHARE), steps)


def _mean(
    features: NDArray[np.float32],
    subject: Sequence[Any] | None,
    multiplier: float,
    count: int,
    seed: int | None,
) -> NDArray[np.float32]:
    """The noisy sum of the examples' features over their public number; an example is no longer than 1."""
    examples = features.astype(np.float64)
    if subject is not None:
        _, of = np.unique(np.asarray(subject), return_inverse=True)
        sums = np.zeros((int(of.max()) + 1, features.shape[1]))
        np.add.at(sums, of, examples)
        examples = sums / np.bincount(of)[:, None]
    # Towards zero, for a vector must not grow; the rows are no longer than one but for rounding errors.
    whole = np.trunc(examples * (_GRID * (1 - 1e-6))).astype(np.int64).sum(axis=0)
    sigma = gaussian_sigma(multiplier, float(_GRID))
    if seed is None:
        noisy = gaussian(whole, sigma)
    else:
        noisy = whole + np.rint(np.random.default_rng(seed).normal(0, sigma, whole.shape)).astype(np.int64)
    return (noisy / _GRID / count).astype(np.float32)


def _centred(features: NDArray[np.float32], centre: NDArray[np.float32]) -> NDArray[np.float32]:
    """Features less the mean, of unit norm, with the constant beside them, of unit norm again."""
    turned = unit(features - centre)
    constant = np.full((len(turned), 1), _CONSTANT)
    return (np.hstack([turned, constant]) / math.sqrt(1 + _CONSTANT**2)).astype(np.float32)


def _steps(
    rows: NDArray[np.float32],
    labels: NDArray[Any],
    paid: _Prepaid,
    *,
    classes: int,
    noise: float,
    steps: int,
    count: int,
    delta: float,
    subject: Sequence[Any] | None,
    seed: int | None,
    watch: Callable[[Progress], None] | None,
) -> Any:
    """The linear model by DP-SGD over all examples in each step."""
    import torch

    from sfumato.dp.training.train import train

    layer = torch.nn.Linear(rows.shape[1], classes, bias=False)
    torch.nn.init.zeros_(layer.weight)
    # The noise of all steps together, against the signal of all examples in so many dimensions.
    together = noise / math.sqrt(steps)
    rate = min(_MOST_RATE, _RATE * count / (together * math.sqrt(rows.shape[1])))
    return train(
        layer,
        (torch.from_numpy(rows), torch.from_numpy(np.asarray(labels, dtype=np.int64))),
        loss="cross-entropy",
        budget=cast("Budget", paid),
        noise_multiplier=noise,
        delta=delta,
        batch=count,
        size=count,
        steps=steps,
        clip=CLIP,
        lr=rate / CLIP,
        average=1.0,
        subject=subject,
        seed=seed,
        watch=watch,
    )


class _Prepaid:
    """A budget that was charged one event already, together with others: it gives its receipt out once."""

    def __init__(self, budget: Budget, receipt: Receipt, event: DpEvent) -> None:
        self._budget, self._receipt, self._left = budget, receipt, [event]
        self.unit, self.relation, self.dataset = budget.unit, budget.relation, budget.dataset

    def spend(self, event: DpEvent, **_: Any) -> Receipt:
        """The receipt for what was charged; anything else, or a second time, was not."""
        if not self._left or event != self._left.pop():
            raise AssertionError("this was not charged")
        return self._receipt

    def settle(self, receipt: Receipt, answers: Mapping[str, Any]) -> None:
        """As the budget does."""
        self._budget.settle(receipt, answers)

    def unbounded(self, **said: Any) -> Receipt:
        """As the budget does."""
        return self._budget.unbounded(**said)
