"""A small network under differential privacy, in scikit-learn's manner."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin

from sfumato.dp.training.charging import Terms
from sfumato.dp.training.features import Bounds, Categories, Declared
from sfumato.dp.training.labels import coded
from sfumato.dp.training.trained import sampled_gaussian

if TYPE_CHECKING:
    from sfumato.dp.budget import Budget

#: The rule of the schedule, found on a census. It looks at the number of rows, as everybody may know it, and
#: at the noise alone: more noise, shorter steps.
_STEPS, _RATE = 300, 0.1
_LR, _MOST_LR = 6e-5, 0.5


class MLPClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """A network of one hidden layer (tanh: Papernot et al. 2021, arXiv 2007.14191), for a price in epsilon.

    Trained by :func:`sfumato.dp.training.train.train`, with an average of the weights; needs the extra
    ``deep``. A tenth of the rows take part in each of 300 steps: nothing is left to tune and to pay for.

    Args:
        budget: charged before anything is drawn; its unit is the row, or the subject of one row.
        epsilon, delta: the most that the fit may cost.
        bounds: declared bounds of each number, by name or place; a pair stands for all columns.
        categories: declared values of each category.
        classes: the declared classes, two or more.
        hidden: width of the hidden layer.
        size: about how many rows there are, as everybody may know it; else their number is used as if public.
        knots: straight pieces that a number is described by, plus one.
        missing: "refuse", or "category": a missing value is a value of its own.
        place, by, why: for the ledger.

    Attributes:
        classes_: sorted.
        trained_: a :class:`~sfumato.dp.training.trained.Trained`.
        event_, epsilon_, replace_epsilon_, notices_: as of ``trained_``.
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
        hidden: int = 32,
        size: int | None = None,
        knots: int = 8,
        missing: str = "refuse",
        place: str = "small network",
        by: str = "",
        why: str = "",
    ) -> None:
        self.budget, self.epsilon, self.delta = budget, epsilon, delta
        self.bounds, self.categories, self.classes = bounds, categories, classes
        self.hidden, self.size, self.knots, self.missing = hidden, size, knots, missing
        self.place, self.by, self.why = place, by, why

    def fit(self, X: Any, y: Any, subject: Sequence[Any] | None = None) -> MLPClassifier:  # noqa: N803
        """Learn from a table (n, columns) and n labels.

        ``subject`` says whose each row is, where the budget is about subjects: one row of each.

        Raises:
            InputError: ``usage`` for domains or classes that are not declared, or without PyTorch;
                ``column-values``. Nothing is charged then.
            RefusedError: ``budget-spent``.
        """
        from sfumato.dp.training.modules import need_deep
        from sfumato.dp.training.train import train

        need_deep()
        import torch

        self.features_ = Declared(self.bounds, self.categories, self.knots, self.missing).fit(X)
        inputs = self._inputs(X)
        self.classes_, labels = coded(y, self.classes, len(inputs))
        terms = Terms(
            self.budget, self.epsilon, self.delta, self.size, self.place, self.by, self.why, subject
        )
        size, _ = terms.public_size(len(inputs))
        once = terms.noise(lambda noise: sampled_gaussian(1.0, noise, 1))
        assert self.budget is not None
        module = torch.nn.Sequential(
            torch.nn.Linear(inputs.shape[1], self.hidden),
            torch.nn.Tanh(),
            torch.nn.Linear(self.hidden, len(self.classes_)),
        )
        self.trained_ = train(
            module,
            (inputs, torch.from_numpy(labels)),
            loss="cross-entropy",
            budget=self.budget,
            epsilon=self.epsilon,
            delta=self.delta,
            batch=max(1.0, _RATE * size),
            steps=_STEPS,
            lr=min(_MOST_LR, _LR * size / once),
            size=self.size,
            average=1.0,
            place=self.place,
            by=self.by,
            why=self.why,
        )
        self.event_, self.epsilon_ = self.trained_.event, self.trained_.epsilon
        self.replace_epsilon_, self.notices_ = self.trained_.replace_epsilon, list(self.trained_.notices)
        self.n_features_in_ = len(self.features_.columns)
        return self

    def _inputs(self, table: Any) -> Any:
        import torch

        return torch.from_numpy(self.features_.design(table)[:, 1:].toarray().astype(np.float32))

    def predict_proba(self, X: Any) -> NDArray[np.float64]:  # noqa: N803
        """Probabilities, shape (n, classes)."""
        import torch
        from sklearn.utils.validation import check_is_fitted

        check_is_fitted(self, "trained_")
        module = self.trained_.module
        with torch.no_grad():
            scores = module(self._inputs(X).to(next(module.parameters()).device))
            probabilities: NDArray[np.float64] = torch.softmax(scores.double(), dim=1).cpu().numpy()
        return probabilities

    def predict(self, X: Any) -> NDArray[Any]:  # noqa: N803
        """The likeliest class of each row."""
        predicted: NDArray[Any] = self.classes_[self.predict_proba(X).argmax(axis=1)]
        return predicted
