"""Linear regression under differential privacy: the sums that least squares needs, with noise, once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, RegressorMixin

from sfumato.core.errors import InputError
from sfumato.dp.training.charging import Terms
from sfumato.dp.training.features import Bounds, Categories, Declared
from sfumato.dp.training.sums import noisy_moments
from sfumato.dp.training.trained import sampled_gaussian

if TYPE_CHECKING:
    from sfumato.dp.budget import Budget


class LinearRegression(RegressorMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Least squares, from declared domains, for a price in epsilon.

    The second moments of features and target are summed and noised once, by discrete Gaussian noise (OpenDP)
    of the least size for the epsilon (analytic: Balle & Wang 2018). The ridge is as large as the noise
    (as in Wang 2018, arXiv 1803.02596, but without a private eigenvalue).

    Args:
        budget: charged before anything is drawn; its unit is the row, or the subject of one row.
        epsilon, delta: the most that the fit may cost.
        bounds: declared bounds of each number, by name or place; a pair stands for all columns.
        categories: declared values of each category.
        target: declared bounds of the target; values beyond are moved to them.
        knots: straight pieces that a number's effect may have, plus one; 2 is a straight line.
        missing: "refuse", or "category": a missing value is a value of its own.
        place, by, why: for the ledger.

    Attributes:
        coef_, intercept_: as in scikit-learn; coefficients of ``feature_names_``.
        event_, epsilon_, replace_epsilon_: what was charged, and its epsilon if a row is replaced.

    >>> from sfumato.dp.budget import Budget
    >>> model = LinearRegression(budget=Budget(3.0, 1e-6), epsilon=3.0, bounds=(0, 1), target=(0, 10))
    >>> numbers = np.linspace(0, 1, 5000)[:, None]
    >>> bool(abs(model.fit(numbers, 10 * numbers[:, 0]).predict([[0.5]])[0] - 5) < 1)
    True
    """

    def __init__(
        self,
        *,
        budget: Budget | None = None,
        epsilon: float = 1.0,
        delta: float = 1e-6,
        bounds: Bounds | None = None,
        categories: Categories | None = None,
        target: tuple[float, float] | None = None,
        knots: int = 2,
        missing: str = "refuse",
        place: str = "linear regression",
        by: str = "",
        why: str = "",
    ) -> None:
        self.budget, self.epsilon, self.delta = budget, epsilon, delta
        self.bounds, self.categories, self.target = bounds, categories, target
        self.knots, self.missing = knots, missing
        self.place, self.by, self.why = place, by, why

    def fit(self, X: Any, y: Any, subject: Sequence[Any] | None = None) -> LinearRegression:  # noqa: N803
        """Learn from a table (n, columns) and n numbers.

        ``subject`` says whose each row is, where the budget is about subjects: one row of each.

        Raises:
            InputError: ``usage`` for domains that are not declared; ``column-values``. Nothing is charged
                then.
            RefusedError: ``budget-spent``.
        """
        self.features_ = Declared(self.bounds, self.categories, self.knots, self.missing).fit(X)
        design = self.features_.design(X)
        middle, reach = self._target()
        terms = Terms(self.budget, self.epsilon, self.delta, None, self.place, self.by, self.why, subject)
        terms.public_size(design.shape[0])
        truth = _numbers(y, design.shape[0])
        noise = terms.noise(lambda one: sampled_gaussian(1.0, one, 1))
        self.event_ = sampled_gaussian(1.0, noise, 1)
        cost = terms.charge(self.event_)
        self.epsilon_, self.replace_epsilon_ = cost.epsilon, cost.replace_epsilon
        # The target is as long as the features are: neither drowns in the other's noise.
        radius = self.features_.radius
        scaled = np.clip((truth - middle) / reach, -1, 1) * radius
        moments = noisy_moments(design, scaled, radius * math.sqrt(2), self.features_.filled, noise)
        width = design.shape[1]
        ridge = noise * math.sqrt(2 * width)
        inner = moments[:width, :width] + ridge * np.eye(width)
        values, vectors = np.linalg.eigh(inner)
        weights = vectors @ ((vectors.T @ moments[:width, width]) / np.maximum(values, ridge / 2))
        weights = weights * reach / radius
        self.n_features_in_ = len(self.features_.columns)
        self.feature_names_ = self.features_.names[1:]
        self.coef_, self.intercept_ = weights[1:], float(weights[0]) + middle
        return self

    def _target(self) -> tuple[float, float]:
        """Middle and half width of the target's declared bounds."""
        if self.target is None:
            raise InputError("usage", "the target has no declared bounds", remedy="target=(low, high)")
        low, high = (float(end) for end in self.target)
        if not -math.inf < low < high < math.inf:
            raise InputError("usage", "the bounds of the target are no interval")
        return (low + high) / 2, (high - low) / 2

    def predict(self, X: Any) -> NDArray[np.float64]:  # noqa: N803
        """The expected target of each row, moved into its declared bounds."""
        from sklearn.utils.validation import check_is_fitted

        check_is_fitted(self, "coef_")
        middle, reach = self._target()
        found = self.features_.design(X)[:, 1:] @ self.coef_ + self.intercept_
        predicted: NDArray[np.float64] = np.clip(found, middle - reach, middle + reach)
        return predicted


def _numbers(target: Any, rows: int) -> NDArray[np.float64]:
    numbers = np.asarray(target, dtype=np.float64)
    if numbers.shape != (rows,):
        raise InputError("usage", "there must be one target for each row")
    if not np.isfinite(numbers).all():
        raise InputError("usage", "the target is missing in rows", remedy="leave rows without a target out")
    return numbers
