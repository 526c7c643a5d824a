"""Differential privacy: noise with a budget that cannot be overdrawn.

The public names, loaded when they are first used::

    import sfumato as sf

    budget = sf.dp.Budget(epsilon=1.0, delta=1e-6)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sfumato.dp.accounting import epsilon_of
    from sfumato.dp.answers import Answer, Answers
    from sfumato.dp.asking import ask
    from sfumato.dp.budget import Budget
    from sfumato.dp.queries.questions import (
        Question,
        bounds,
        contingency,
        correlation,
        count,
        covariance,
        group_by,
        histogram,
        mean,
        quantile,
        quantiles,
        question,
        sum,
        top_k,
        variance,
    )
    from sfumato.dp.training.linear import LinearRegression
    from sfumato.dp.training.logistic import LogisticRegression
    from sfumato.dp.training.mlp import MLPClassifier
    from sfumato.dp.training.recipes import ImageClassifier, classify_images
    from sfumato.dp.training.train import train
    from sfumato.dp.training.trained import Trained

_PLACES = {
    **dict.fromkeys(("Answer", "Answers"), "sfumato.dp.answers"),
    "ask": "sfumato.dp.asking",
    **dict.fromkeys(
        (
            "Question",
            "bounds",
            "contingency",
            "correlation",
            "count",
            "covariance",
            "group_by",
            "histogram",
            "mean",
            "quantile",
            "quantiles",
            "question",
            "sum",
            "top_k",
            "variance",
        ),
        "sfumato.dp.queries.questions",
    ),
    "Budget": "sfumato.dp.budget",
    "epsilon_of": "sfumato.dp.accounting",
    "LinearRegression": "sfumato.dp.training.linear",
    "LogisticRegression": "sfumato.dp.training.logistic",
    "MLPClassifier": "sfumato.dp.training.mlp",
    "Trained": "sfumato.dp.training.trained",
    **dict.fromkeys(("ImageClassifier", "classify_images"), "sfumato.dp.training.recipes"),
    "train": "sfumato.dp.training.train",
}

__all__ = [
    "Answer",
    "Answers",
    "Budget",
    "ImageClassifier",
    "LinearRegression",
    "LogisticRegression",
    "MLPClassifier",
    "Question",
    "Trained",
    "ask",
    "bounds",
    "classify_images",
    "contingency",
    "correlation",
    "count",
    "covariance",
    "epsilon_of",
    "group_by",
    "histogram",
    "mean",
    "quantile",
    "quantiles",
    "question",
    "sum",
    "top_k",
    "train",
    "variance",
]


def __getattr__(name: str) -> Any:
    if name in _PLACES:
        return getattr(import_module(_PLACES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
