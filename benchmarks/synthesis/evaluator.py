"""The evaluator of synthetic tables on Adult: marginals, what a model learns, and what tells them apart.

Adult with all 15 columns, permuted, 26,048 rows to learn from and 6,513 held out (the 32,561 rows of the
published training part). One- and two-way marginals as total variation over 15 columns and 105 pairs,
numbers in 20 quantile bins of the training rows (capital gain and loss: zero, and deciles of the positives).
"""

from __future__ import annotations

import itertools
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

TARGET = "income"
_TRAIN = 26_048
_SPIKED = ("capital_gain", "capital_loss")


@dataclass(frozen=True)
class Judged:
    """Figures of one synthetic table: lower is better but for ``auc``; ``told`` is ideal at .5."""

    tv1: float
    tv2: float
    auc: float
    told: float


@dataclass(frozen=True)
class Adult:
    """The rows to learn from and those held out, for one permutation."""

    train: pl.DataFrame
    test: pl.DataFrame

    @classmethod
    def read(cls, seed: int = 0, folder: Path | None = None) -> Adult:
        """The data of the folder that ``SFUMATO_BENCH_DATA`` names, permuted by ``default_rng(seed)``."""
        place = folder or Path(os.environ["SFUMATO_BENCH_DATA"])
        table = pl.read_csv(place / "adult_full" / "adult.csv.gz", infer_schema_length=None)
        table = table.filter(pl.col("split") == "train").drop("split")
        table = table.rename({name: name.replace("-", "_") for name in table.columns})
        order = np.random.default_rng(seed).permutation(table.height)
        table = table[order]
        return cls(table[:_TRAIN], table[_TRAIN:])

    @cached_property
    def _edges(self) -> dict[str, NDArray[np.float64]]:
        edges = {}
        for name in self.train.columns:
            if not self.train[name].dtype.is_numeric():
                continue
            numbers = self.train[name].to_numpy().astype(float)
            if name in _SPIKED:
                positive = numbers[numbers > 0]
                cuts = np.concatenate([[0.5], np.quantile(positive, np.arange(1, 10) / 10)])
            else:
                cuts = np.quantile(numbers, np.arange(1, 20) / 20)
            edges[name] = np.unique(cuts)
        return edges

    @cached_property
    def _values(self) -> dict[str, dict[str, int]]:
        return {
            name: {value: code for code, value in enumerate(sorted(self.train[name].unique().to_list()))}
            for name in self.train.columns
            if not self.train[name].dtype.is_numeric()
        }

    def coded(self, table: pl.DataFrame) -> NDArray[np.int64]:
        """Each column in the evaluator's bins; a category that the training rows lack has its own code."""
        columns = []
        for name in self.train.columns:
            if name in self._edges:
                numbers = table[name].cast(pl.Float64).to_numpy()
                columns.append(np.searchsorted(self._edges[name], numbers, side="left"))
            else:
                known = self._values[name]
                columns.append(
                    table[name]
                    .cast(pl.String)
                    .replace_strict(known, default=len(known), return_dtype=pl.Int64)
                    .to_numpy()
                )
        return np.stack(columns, axis=1)

    def marginals(self, table: pl.DataFrame) -> tuple[float, float]:
        """Mean total variation of one- and two-way marginals from those of the training rows."""
        real, made = self.coded(self.train), self.coded(table)
        sizes = np.maximum(real.max(axis=0), made.max(axis=0)) + 1
        width = real.shape[1]
        one = [_distance(real[:, i], made[:, i], sizes[i]) for i in range(width)]
        two = [
            _distance(
                real[:, i] * sizes[j] + real[:, j], made[:, i] * sizes[j] + made[:, j], sizes[i] * sizes[j]
            )
            for i, j in itertools.combinations(range(width), 2)
        ]
        return float(np.mean(one)), float(np.mean(two))

    def auc(self, table: pl.DataFrame, seed: int = 0) -> float:
        """Gradient boosting taught by a table, tested on the real rows held out."""
        from sklearn.ensemble import HistGradientBoostingClassifier
        from sklearn.metrics import roc_auc_score

        learner = HistGradientBoostingClassifier(categorical_features=self._categorical, random_state=seed)
        label = (table[TARGET] == ">50K").to_numpy()
        if label.all() or not label.any():
            return 0.5
        learner.fit(self._design(table), label)
        truth = (self.test[TARGET] == ">50K").to_numpy()
        return float(roc_auc_score(truth, learner.predict_proba(self._design(self.test))[:, 1]))

    def told_apart(self, table: pl.DataFrame, seed: int = 0) -> float:
        """How well gradient boosting tells a table's rows from held-out real ones (AUC), cross-validated."""
        from sklearn.ensemble import HistGradientBoostingClassifier
        from sklearn.model_selection import cross_val_score

        rows = min(table.height, self.test.height)
        both = pl.concat([self.test[:rows], table[:rows].select(self.test.columns).cast(self.test.schema)])
        label = np.repeat([0, 1], rows)
        learner = HistGradientBoostingClassifier(
            categorical_features=[*self._categorical, True], random_state=seed
        )
        return float(
            cross_val_score(learner, self._design(both, target=True), label, cv=5, scoring="roc_auc").mean()
        )

    def judge(self, table: pl.DataFrame, seed: int = 0) -> Judged:
        """Every figure of a synthetic table with the columns of the training rows."""
        tv1, tv2 = self.marginals(table)
        return Judged(tv1, tv2, self.auc(table, seed), self.told_apart(table, seed))

    @property
    def _names(self) -> list[str]:
        return [name for name in self.train.columns if name != TARGET]

    @property
    def _categorical(self) -> list[bool]:
        return [name in self._values for name in self._names]

    def _design(self, table: pl.DataFrame, target: bool = False) -> NDArray[np.float64]:
        columns = []
        for name in [*self._names, *([TARGET] if target else [])]:
            if name in self._values:
                known = self._values[name]
                codes = (
                    table[name].cast(pl.String).replace_strict(known, default=None, return_dtype=pl.Float64)
                )
                columns.append(codes.to_numpy())
            else:
                columns.append(table[name].cast(pl.Float64).to_numpy())
        return np.stack(columns, axis=1)


def _distance(real: NDArray[np.int64], made: NDArray[np.int64], size: int) -> float:
    one = np.bincount(real, minlength=size) / len(real)
    other = np.bincount(made, minlength=size) / len(made)
    return float(np.abs(one - other).sum() / 2)
