"""Audits of the house's estimators on a table: canaries are rows with a category that nobody else has."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sfumato.core.errors import InputError, nearest
from sfumato.core.keyed import derive, generator
from sfumato.evidence.audits.game import Game
from sfumato.evidence.audits.outcome import Audit
from sfumato.evidence.audits.repeated import twin_of
from sfumato.evidence.audits.taught import by_guessing, claimed, key_of
from sfumato.evidence.intervals import LEVEL
from sfumato.evidence.models.shadows import told

#: The columns that canaries have to themselves, and what is in them for people. Several of them leave less
#: of a canary's gradient to the columns that it shares with people.
_COLUMNS, _PERSON = tuple(f"canary of the audit {number}" for number in range(4)), "none"
#: Values of a text column that are declared; others are nobody's.
_MOST_VALUES = 200
ESTIMATORS = ("logistic-regression",)


def table_training(
    table: pl.DataFrame,
    target: str,
    *,
    name: str = "logistic-regression",
    epsilon: float,
    delta: float,
    canaries: int = 1000,
    runs: int = 1,
    trials: int = 3,
    quieter: float = 1.0,
    level: float = LEVEL,
    seed: int = 0,
) -> Audit:
    """Audit an estimator of the house on a table, by who may ask the final model about any row (black-box).

    A canary is a row of the table with the other label and categories of its own, declared like all others:
    nothing else pulls at their coefficients. Bounds and categories of the other columns are read from the
    table here, for what is audited is the training alone.

    Args:
        table: rows of people; those with a missing value are left out.
        target: a column with two values.
        name: of :data:`ESTIMATORS`.
        epsilon, delta: what a fit may cost.
        canaries: each in or out by a coin. runs: fits.
        trials: fits with less noise for each twin, for the power.
        quieter: fit with this share of the noise and claim all of it: a broken twin.

    Raises:
        InputError: ``unknown-name``; ``usage`` for a target that is none, or no rows.
    """
    if name not in ESTIMATORS:
        raise InputError("unknown-name", f"there is no estimator {name!r}", remedy=nearest(name, ESTIMATORS))
    fits = _Fits(table, target, canaries, delta, generator(derive(key_of(name, seed), "rows")))
    game = Game(canaries, runs, key_of(name, seed))
    models = [fits.model(inside, fits.cost(epsilon, quieter)) for inside in game.inside]
    event = fits.model(game.inside[0], epsilon).event_ if quieter != 1 else models[0].event_

    def twin(inside: NDArray[np.bool_], share: float, draw: np.random.Generator) -> NDArray[np.float64]:
        del draw
        parts = np.split(inside, runs)
        return np.concatenate([fits.scores(fits.model(part, fits.cost(epsilon, share))) for part in parts])

    return by_guessing(
        lambda _, number: fits.scores(models[number]),
        canaries,
        **claimed(event, delta),
        runs=runs,
        guesses=game.planned(twin_of(epsilon, delta), delta),
        twin=twin if trials else None,
        trials=trials,
        what=name,
        method="guesses from the final model",
        level=level,
        seed=seed,
    )


class _Fits:
    """A table as the estimators take it, its canaries, and models that some of them are in."""

    def __init__(
        self, table: pl.DataFrame, target: str, canaries: int, delta: float, draw: np.random.Generator
    ) -> None:
        if target not in table.columns:
            raise InputError("usage", f"there is no column {target!r}", remedy=nearest(target, table.columns))
        kept = table.drop_nulls()
        self._classes = kept[target].unique().sort().to_list()
        if len(self._classes) != 2:
            raise InputError("usage", "an audit needs whole rows, and a target of two values", where=target)
        features = kept.drop(target)
        words = [c for c in features.columns if not features[c].dtype.is_numeric()]
        texts = features.with_columns(pl.col(words).cast(pl.String))
        narrow = [c for c in texts.columns if c not in words or texts[c].n_unique() <= _MOST_VALUES]
        self._people = texts.select(narrow).with_columns(pl.lit(_PERSON).alias(name) for name in _COLUMNS)
        self._labels = kept[target]
        rows = draw.integers(0, kept.height, canaries)
        own = pl.Series([str(number) for number in range(canaries)])
        self._canaries = self._people[rows].with_columns(own.alias(name) for name in _COLUMNS)
        first = self._labels[rows] == self._classes[0]
        self._wrong = pl.Series(
            [self._classes[1 if is_first else 0] for is_first in first], dtype=kept[target].dtype
        )
        self._delta = delta
        self._domains = self._declared(canaries)

    def _declared(self, canaries: int) -> dict[str, Any]:
        numbers = [c for c in self._people.columns if self._people[c].dtype.is_numeric()]
        texts = [c for c in self._people.columns if c not in numbers and c not in _COLUMNS]
        bounds = {c: (float(self._people[c].min()), float(self._people[c].max())) for c in numbers}  # type: ignore[arg-type]
        values: dict[str, list[str]] = {c: self._people[c].unique().sort().to_list() for c in texts}
        values |= {c: [_PERSON, *(str(number) for number in range(canaries))] for c in _COLUMNS}
        wide = {c: (low, high if high > low else low + 1) for c, (low, high) in bounds.items()}
        return {"bounds": wide, "categories": values}

    def cost(self, epsilon: float, share: float) -> float:
        """The epsilon at which the noise is a share of that at another."""
        if share == 1:
            return epsilon
        from dp_accounting import GaussianDpEvent

        from sfumato.dp.accounting import epsilon_of, noise_for

        noise = noise_for(GaussianDpEvent, epsilon, self._delta)
        return epsilon_of(GaussianDpEvent(share * noise), self._delta).epsilon

    def model(self, inside: NDArray[np.bool_], epsilon: float) -> Any:
        """The estimator fitted to everybody and the canaries that are in, with a budget of its own."""
        from sfumato.dp.budget import Budget
        from sfumato.dp.training.logistic import LogisticRegression

        chosen = pl.Series(inside)
        # What is declared does not tell how many canaries are in.
        size = self._people.height + len(inside) // 2
        model = LogisticRegression(
            budget=Budget(2 * epsilon + 1, min(0.5, 2 * self._delta)),
            epsilon=epsilon,
            delta=self._delta,
            classes=self._classes,
            size=size,
            knots=2,
            place="audit",
            **self._domains,
        )
        rows = pl.concat([self._people, self._canaries.filter(chosen)])
        return model.fit(rows, pl.concat([self._labels, self._wrong.filter(chosen)]).to_numpy())

    def scores(self, model: Any) -> NDArray[np.float64]:
        """What a model gives to each canary's label, over what it gives without their categories."""
        truth = self._wrong.to_numpy()
        plain = self._canaries.with_columns(pl.lit(_PERSON).alias(name) for name in _COLUMNS)
        return told(model, self._canaries, truth).confidence - told(model, plain, truth).confidence
