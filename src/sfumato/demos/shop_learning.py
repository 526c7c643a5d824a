"""Who buys again, and for how much: models taught by made customers, tested on real ones held out.

The first year is known, the last 26 weeks are to be foretold: whether a customer buys in them, and what he or
she spends (Fader, Hardie & Lee 2005, "Counting your customers" the easy way, have the same split).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sfumato.core.keyed import derive
from sfumato.core.values import Finding
from sfumato.demos.shop_log import Purchases
from sfumato.evidence.intervals import percentile, resample_counts, weighted_auc
from sfumato.evidence.report import Metric, Report

REPORT = Report(
    "shop-learning",
    {
        "learning.auc": Metric(
            "high", "auc", "who buys again in the last 26 weeks, foretold by made customers"
        ),
        "learning.auc_loss": Metric("low", "difference", "what that is less than taught by real customers"),
        "learning.spend_error": Metric(
            "low", "number", "logarithm of (1 + dollars spent) that is foretold wrongly, root mean square"
        ),
        "learning.spend_ratio": Metric("low", "ratio", "that error over the one of real customers' teaching"),
    },
)
#: The day that the last 26 weeks begin.
CUT = 545 - 26 * 7
_TARGET = "customers held out"


def described(purchases: Purchases) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.float64]]:
    """Figures of the first year, who bought after it, and what they spent, of people with a first year.

    Returns:
        Shapes (people, figures), (people,), (people,).
    """
    of, count = purchases.of_person, purchases.people
    early = purchases.days < CUT
    n = np.bincount(of[early], minlength=count)
    spent = np.bincount(of[early], purchases.spent[early], minlength=count)
    first, last, most = np.full(count, np.inf), np.full(count, -np.inf), np.zeros(count)
    np.minimum.at(first, of[early], purchases.days[early])
    np.maximum.at(last, of[early], purchases.days[early])
    np.maximum.at(most, of[early], purchases.spent[early])
    late = np.bincount(of[~early], purchases.spent[~early], minlength=count)
    again = np.bincount(of[~early], minlength=count) > 0
    recent = np.bincount(of[early & (purchases.days >= CUT - 91)], minlength=count)
    there = n > 0
    figures = np.stack(
        [n, last - first, CUT - first, CUT - last, spent / np.maximum(n, 1), most, recent], axis=1
    )
    return figures[there].astype(np.float64), again[there], late[there].astype(np.float64)


def judged_learning(taught: Purchases, made: Purchases, held: Purchases, key: bytes) -> list[Finding]:
    """Findings with a bootstrap over held-out customers; ``before`` is what real customers teach."""
    figures, again, spend = described(held)
    ways = {name: _foretold(described(one), figures) for name, one in (("real", taught), ("made", made))}
    n = len(again)
    if not n or any(way is None for way in ways.values()) or again.all() or not again.any():
        return [
            REPORT.silent(name, "no-power", "somebody always or never buys again", n=n)
            for name in REPORT.table
        ]
    (real_chance, real_spend), (made_chance, made_spend) = ways["real"], ways["made"]  # type: ignore[misc]
    weights = np.concatenate(list(resample_counts(n, 300, derive(key, "learning"))))
    one = np.ones((1, n))

    def over(wanted: Any) -> Any:
        return percentile(float(wanted(one)[0]), wanted(weights))

    def auc(chances: NDArray[np.float64]) -> Any:
        return lambda w: weighted_auc(again, chances, w)

    def error(foretold: NDArray[np.float64]) -> Any:
        return lambda w: np.sqrt(w @ (foretold - np.log1p(spend)) ** 2 / w.sum(axis=1))

    middle = np.full(n, float(np.log1p(described(taught)[2]).mean()))
    real_auc, made_auc = over(auc(real_chance)), over(auc(made_chance))
    real_error, made_error = over(error(real_spend)), over(error(made_spend))
    told: dict[str, Any] = {
        "target": _TARGET,
        "assumes": "gradient boosting on seven figures of the first year",
    }
    return [
        REPORT.measured("learning.auc", made_auc, n, before=real_auc.value, baseline=0.5, **told),
        REPORT.measured(
            "learning.auc_loss", over(lambda w: auc(real_chance)(w) - auc(made_chance)(w)), n, **told
        ),
        REPORT.measured(
            "learning.spend_error", made_error, n, before=real_error.value,
            baseline=float(error(middle)(one)[0]), **told,
        ),
        REPORT.measured(
            "learning.spend_ratio", over(lambda w: error(made_spend)(w) / error(real_spend)(w)), n, **told
        ),
    ]  # fmt: skip


def _foretold(
    lesson: tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.float64]], figures: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Chances of buying again and logarithms of spend, of the people whom the figures describe."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    known, again, spend = lesson
    if len(again) < 2 or again.all() or not again.any():
        return None
    settings: dict[str, Any] = {"max_iter": 60, "max_leaf_nodes": 8, "learning_rate": 0.1, "random_state": 0}
    chances = HistGradientBoostingClassifier(**settings).fit(known, again).predict_proba(figures)[:, 1]
    # In logarithms, for a few spend a hundred times what others do.
    foretold = HistGradientBoostingRegressor(**settings).fit(known, np.log1p(spend)).predict(figures)
    return np.asarray(chances), np.asarray(foretold)
