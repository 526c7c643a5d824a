"""Logistic regression under differential privacy: noisy gradient descent over all rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin

from sfumato.dp.training.charging import Terms
from sfumato.dp.training.features import Bounds, Categories, Declared
from sfumato.dp.training.labels import coded
from sfumato.dp.training.sums import RowSums
from sfumato.dp.training.trained import sampled_gaussian

if TYPE_CHECKING:
    from sfumato.dp.budget import Budget

#: The rule of the schedule. It was found on other data (bank marketing, credit defaults, census) and looks at
#: the number of rows, as everybody may know it, and at the noise alone.
_CLIP = 0.5
_REACH, _LONGEST = 4.0, 60_000.0
_STRIDE, _LEAST_STEPS = 150.0, 60
_MOMENTUM = 0.9


class LogisticRegression(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Logistic regression, from declared domains, for a price in epsilon.

    Every step sums the rows' gradients, each cut to an L2 norm, and adds discrete Gaussian noise (OpenDP);
    the answer is the mean of the second half of the steps. All rows take part in every step: samples would
    only add noise of their own where a step over all rows is cheap. How far the descent goes follows from the
    number of rows and the noise by a fixed rule, so there is nothing to tune and no choice among runs to pay
    for.

    Args:
        budget: charged before anything is drawn; its unit is the row, or the subject of one row.
        epsilon, delta: the most that the fit may cost.
        bounds: declared bounds of each number, by name or place; a pair stands for all columns.
        categories: declared values of each category.
        classes: the declared classes, two or more.
        size: about how many rows there are, as everybody may know it; else their number is used as if public.
        knots: straight pieces that a number's effect may have, plus one; 2 is a straight line.
        missing: "refuse", or "category": a missing value is a value of its own.
        place, by, why: for the ledger.

    Attributes:
        classes_, coef_, intercept_: as in scikit-learn; coefficients of ``feature_names_``.
        event_, epsilon_, replace_epsilon_: what was charged, and its epsilon if a row is replaced.
        notices_: what the epsilon does not hold for.

    >>> from sfumato.dp.budget import Budget
    >>> model = LogisticRegression(
    ...     budget=Budget(3.0, 1e-6), epsilon=3.0, delta=1e-6, bounds=(0, 1), classes=[0, 1], size=1000
    ... )
    >>> numbers = np.linspace(0, 1, 1000)[:, None]
    >>> model.fit(numbers, numbers[:, 0] > 0.5).predict([[0.1], [0.9]]).tolist()
    [0, 1]
    """

    def __init__(
        self,
        *,
        budget: Budget | None = None,
        epsilon: float = 1.0,
        delta: float = 1e-6,
        bounds: Bounds | None = None,
        categories: Categories | None = None,
        classes: Sequence[Any] | None = None,
        size: int | None = None,
        knots: int = 8,
        missing: str = "refuse",
        place: str = "logistic regression",
        by: str = "",
        why: str = "",
    ) -> None:
        self.budget, self.epsilon, self.delta = budget, epsilon, delta
        self.bounds, self.categories, self.classes = bounds, categories, classes
        self.size, self.knots, self.missing = size, knots, missing
        self.place, self.by, self.why = place, by, why

    def fit(self, X: Any, y: Any, subject: Sequence[Any] | None = None) -> LogisticRegression:  # noqa: N803
        """Learn from a table (n, columns) and n labels.

        ``subject`` says whose each row is, where the budget is about subjects: one row of each.

        Raises:
            InputError: ``usage`` for domains or classes that are not declared; ``column-values``. Nothing is
                charged then.
            RefusedError: ``budget-spent``.
        """
        self.features_ = Declared(self.bounds, self.categories, self.knots, self.missing).fit(X)
        design = self.features_.design(X)
        self.classes_, labels = coded(y, self.classes, design.shape[0])
        terms = Terms(
            self.budget, self.epsilon, self.delta, self.size, self.place, self.by, self.why, subject
        )
        size, self.notices_ = terms.public_size(design.shape[0])
        once = terms.noise(lambda noise: sampled_gaussian(1.0, noise, 1))
        reach = min(_LONGEST, _REACH * size / once)
        steps = max(_LEAST_STEPS, math.ceil(reach / _STRIDE))
        noise = once * math.sqrt(steps)
        self.event_ = sampled_gaussian(1.0, noise, steps)
        cost = terms.charge(self.event_)
        self.epsilon_, self.replace_epsilon_ = cost.epsilon, cost.replace_epsilon
        truth = np.eye(len(self.classes_))[labels]
        weights = _descended(
            design,
            truth[:, 1:] if len(self.classes_) == 2 else truth,
            self.features_,
            size=size,
            noise=noise,
            steps=steps,
            reach=reach,
        )
        self.n_features_in_ = len(self.features_.columns)
        self.feature_names_ = self.features_.names[1:]
        self.coef_, self.intercept_ = weights[1:].T, weights[0]
        return self

    def decision_function(self, X: Any) -> NDArray[np.float64]:  # noqa: N803
        """Log odds, shape (n,) for two classes, else scores (n, classes)."""
        scores = self._scores(X)
        return scores[:, 0] if scores.shape[1] == 1 else scores

    def _scores(self, table: Any) -> NDArray[np.float64]:
        from sklearn.utils.validation import check_is_fitted

        check_is_fitted(self, "coef_")
        scores: NDArray[np.float64] = self.features_.design(table)[:, 1:] @ self.coef_.T + self.intercept_
        return scores

    def predict_proba(self, X: Any) -> NDArray[np.float64]:  # noqa: N803
        """Probabilities, shape (n, classes)."""
        return _probabilities(self._scores(X))

    def predict(self, X: Any) -> NDArray[Any]:  # noqa: N803
        """The likeliest class of each row."""
        predicted: NDArray[Any] = self.classes_[self.predict_proba(X).argmax(axis=1)]
        return predicted


def _descended(
    design: Any,
    truth: NDArray[np.float64],
    features: Declared,
    *,
    size: int,
    noise: float,
    steps: int,
    reach: float,
) -> NDArray[np.float64]:
    """Weights (features, scores): heavy-ball descent whose step lengths add up to ``reach``.

    ``truth`` has a column a score: one for two classes, else one for each.
    """
    sums = RowSums(design, features.radius, features.filled)
    weights = np.zeros((design.shape[1], truth.shape[1]))
    speed, mean = np.zeros_like(weights), np.zeros_like(weights)
    length, kept = reach / steps * (1 - _MOMENTUM), 0
    for step in range(steps):
        wrong = _probabilities(design @ weights / features.radius)[:, -truth.shape[1] :] - truth
        speed = _MOMENTUM * speed + sums.noisy(wrong, _CLIP, noise) / size
        weights = weights - length * speed
        if step >= steps // 2:
            kept += 1
            mean += (weights - mean) / kept
    return mean / features.radius


def _probabilities(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of each class; a single score is the log odds of the second of two."""
    from scipy.special import expit, softmax

    if scores.shape[1] == 1:
        second = expit(scores[:, 0])
        return np.stack([1 - second, second], axis=1)
    probabilities: NDArray[np.float64] = softmax(scores, axis=1)
    return probabilities
