"""How columns of numbers vary together."""

from __future__ import annotations

import math
from typing import Annotated, ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field, field_validator

from sfumato.dp.queries import base
from sfumato.dp.queries.base import (
    Cells,
    Drawn,
    Need,
    Noise,
    QueryParams,
    figures,
    first_order,
    numbers,
    root,
    steps,
    units,
)
from sfumato.dp.queries.domains import check_bounds
from sfumato.dp.queries.mean import TOO_FEW


class Covariance:
    """The covariance matrix of numbers (divided by n), each taken to the nearest bound first.

    Rows with a value in every column count. All sums and sums of products come from one vector, of numbers
    in [-1, 1]; the matrix is then taken to the nearest one without negative eigenvalues. The intervals are
    of the first order in the noise, of the matrix before that.
    """

    summary: ClassVar[str] = "the covariance matrix of columns of numbers between declared bounds"

    class Params(QueryParams):
        """``columns``: each column with its bounds, at most 50."""

        columns: Annotated[dict[str, tuple[float, float]], Field(min_length=1, max_length=50)]

        @field_validator("columns")
        @classmethod
        def _ordered(cls, given: dict[str, tuple[float, float]]) -> dict[str, tuple[float, float]]:
            for bounds in given.values():
                check_bounds(bounds)
            return given

    @staticmethod
    def reads(params: Covariance.Params) -> tuple[str, ...]:
        """The columns."""
        return tuple(params.columns)

    @staticmethod
    def needs(params: Covariance.Params) -> tuple[Need, ...]:
        """A vector of the count, the sums and the sums of products."""
        size = len(_pairs(len(params.columns) + 1))
        return (base.Sum(l1=float(size), l2=root(size), coordinates=size),)

    @classmethod
    def answer(cls, table: pl.DataFrame, params: Covariance.Params, noise: Noise) -> Cells:
        """A row for each pair of columns, in the order of the declaration."""
        half = np.array([high / 2 - low / 2 for low, high in params.columns.values()])
        drawn = noise.add(0, _products(table, params))
        covariance = _Covariances(drawn, len(half))
        rows = [
            (one, other, *covariance.between(i, j, noise.confidence))
            for i, one in enumerate(params.columns)
            for j, other in enumerate(params.columns)
            if i <= j
        ]
        scale = np.array([half[i] * half[j] for i in range(len(half)) for j in range(i, len(half))])
        found = np.array([row[2:] for row in rows]) * scale[:, None]
        return cls._told(rows, found, "covariance", params, covariance)

    @staticmethod
    def _told(
        rows: list[tuple[str, str, float, float, float]],
        found: NDArray[np.float64],
        what: str,
        params: Covariance.Params,
        covariance: _Covariances,
    ) -> Cells:
        labels = {"column": [row[0] for row in rows], "other": [row[1] for row in rows]}
        words = f"{what} of {', '.join(params.columns)} between their bounds, rows with all values"
        less = "" if covariance.known else f"; {TOO_FEW}"
        return Cells(figures(found[:, 0], found[:, 1], found[:, 2], labels), words + less)


class Correlation(Covariance):
    """Pearson's correlations, from the same draws as the covariance matrix."""

    summary: ClassVar[str] = "the correlations of columns of numbers between declared bounds"

    @classmethod
    def answer(cls, table: pl.DataFrame, params: Covariance.Params, noise: Noise) -> Cells:
        """A row for each pair of different columns; no figure where a variance is drowned by the noise."""
        drawn = noise.add(0, _products(table, params))
        covariance = _Covariances(drawn, len(params.columns))
        rows = [
            (one, other, *covariance.correlation(i, j, noise.confidence))
            for i, one in enumerate(params.columns)
            for j, other in enumerate(params.columns)
            if i < j
        ]
        found = np.array([row[2:] for row in rows], dtype=np.float64).reshape(len(rows), 3)
        return cls._told(rows, found, "correlation", params, covariance)


class _Covariances:
    """The matrix in units of half of each column's bounds, from the noisy sums of products."""

    def __init__(self, drawn: Drawn, columns: int) -> None:
        self._drawn = drawn
        self._at = {pair: place for place, pair in enumerate(_pairs(columns + 1))}
        total = drawn.values[0]
        self.known = bool(total > drawn.width(0.95))
        self.matrix = np.full((columns, columns), np.nan)
        if self.known:
            means = np.array([drawn.values[self._at[0, 1 + i]] / total for i in range(columns)])
            raw = np.array(
                [
                    [drawn.values[self._at[1 + min(i, j), 1 + max(i, j)]] / total for j in range(columns)]
                    for i in range(columns)
                ]
            )
            self.matrix = nearest_psd(raw - np.outer(means, means))

    def between(self, i: int, j: int, confidence: float) -> tuple[float, float, float]:
        """A covariance and its interval; at most 1 in size in these units."""
        if not self.known:
            return math.nan, -1.0 if i != j else 0.0, 1.0
        at = np.array([0, self._at[0, 1 + i], self._at[0, 1 + j], self._at[1 + i, 1 + j]])
        raw, half = first_order(_covariance, self._drawn, at if i != j else at[[0, 1, 3]], confidence)
        value = float(self.matrix[i, j])
        low, high = max(raw - half, -1.0 if i != j else 0.0), min(raw + half, 1.0)
        return value, min(low, value), max(high, value)

    def correlation(self, i: int, j: int, confidence: float) -> tuple[float, float, float]:
        """A correlation and its interval."""
        spread = math.sqrt(max(0.0, float(self.matrix[i, i] * self.matrix[j, j]))) if self.known else 0.0
        each = [self.between(k, k, confidence)[1] for k in (i, j)]
        if not spread or min(each) <= 0:
            return math.nan, -1.0, 1.0
        names = [(0, 0), (0, 1 + i), (0, 1 + j), (1 + i, 1 + j), (1 + i, 1 + i), (1 + j, 1 + j)]
        at = np.array([self._at[name] for name in names])
        raw, half = first_order(_correlation, self._drawn, at, confidence)
        value = float(np.clip(self.matrix[i, j] / spread, -1.0, 1.0))
        return value, min(value, max(-1.0, raw - half)), max(value, min(1.0, raw + half))


def nearest_psd(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """The nearest matrix (Frobenius) without negative eigenvalues (Higham 1988)."""
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    return np.asarray((vectors * np.maximum(values, 0.0)) @ vectors.T)


def _covariance(parts: NDArray[np.float64]) -> float:
    total, one, other, product = parts if len(parts) == 4 else (parts[0], parts[1], parts[1], parts[2])
    return float(product / total - one * other / total**2)


def _correlation(parts: NDArray[np.float64]) -> float:
    total, one, other, product, first, second = parts / parts[0]
    del total
    spread = (first - one**2) * (second - other**2)
    return float((product - one * other) / math.sqrt(max(spread, 1e-12)))


def _products(table: pl.DataFrame, params: Covariance.Params) -> NDArray[np.int64]:
    """The number of whole rows, the sums and the sums of products, in grid steps."""
    values = pl.DataFrame({name: numbers(table, name) for name in params.columns}).drop_nulls()
    inside = [
        2 * units(values[name], low, high).to_numpy() - 1 for name, (low, high) in params.columns.items()
    ]
    inside.insert(0, np.ones(values.height))
    pairs = _pairs(len(inside))
    return np.array([steps(inside[i] * inside[j]).sum(dtype=np.int64) for i, j in pairs], dtype=np.int64)


def _pairs(size: int) -> list[tuple[int, int]]:
    return [(i, j) for i in range(size) for j in range(i, size)]
