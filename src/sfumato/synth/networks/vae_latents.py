"""The latent numbers of many people as a mixture of Gaussians: what rows are made from.

The prior that an autoencoder is taught with is not how the codes of its rows lie; what is fitted to them in a
second stage is (Dai & Wipf 2019, arXiv 1903.05789; Ghosh et al. 2020, arXiv 1903.12436). A part of the
mixture stands for :data:`FEWEST` people at least, and its spread has a floor: no single person's numbers are
kept.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: People that a part of the mixture stands for, at least.
FEWEST = 20
#: People for each part that is looked for.
_EACH = 150
_MOST_ROWS = 40_000
_FLOOR = 1e-3
_ROUNDS = 60
_STILL = 2e-4

Numbers = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Mixture:
    """Weights (parts,), means (parts, latent), and factors (parts, latent, latent) of the covariances."""

    weights: Numbers
    means: Numbers
    factors: Numbers

    @classmethod
    def standard(cls, latent: int) -> Mixture:
        """One standard normal part: the prior."""
        return cls(np.ones(1), np.zeros((1, latent)), np.eye(latent)[None])

    @classmethod
    def fit(cls, numbers: Numbers, parts: int, random: np.random.Generator) -> Mixture:
        """By expectation and maximization (Dempster, Laird & Rubin 1977); the prior for few people.

        Args:
            numbers: shape (people, latent).
            parts: at most so many; fewer where there are few people.
        """
        people, latent = numbers.shape
        if people < FEWEST:
            return cls.standard(latent)
        if people > _MOST_ROWS:
            numbers = numbers[random.choice(people, _MOST_ROWS, replace=False)]
        parts = max(1, min(parts, len(numbers) // _EACH))
        squares = _squares(numbers)
        belongs = _begun(numbers, parts, random)
        before = -np.inf
        for _ in range(_ROUNDS):
            fitted = _maximized(belongs, squares, numbers)
            belongs, now = fitted._belongs(squares)
            if now - before < _STILL:
                break
            before = now
        return _maximized(belongs, squares, numbers)

    def sample(self, rows: int, random: np.random.Generator) -> Numbers:
        """Numbers of nobody, shape (rows, latent)."""
        part = random.choice(len(self.weights), size=rows, p=self.weights).astype(np.int16)
        draw = random.standard_normal((rows, self.means.shape[1]), dtype=np.float32)
        ends = np.cumsum(np.bincount(part, minlength=len(self.weights)))
        made = np.empty(draw.shape)
        for one, places in enumerate(np.split(np.argsort(part, kind="stable"), ends[:-1])):
            made[places] = self.means[one] + draw[places] @ self.factors[one].T
        return made

    def _belongs(self, squares: Numbers) -> tuple[Numbers, float]:
        """How far each person is of each part, shape (people, parts), and the mean log density.

        A Gaussian's logarithm is a polynomial of degree two: all are one product of matrices.
        """
        latent = self.means.shape[1]
        upper = np.triu_indices(latent)
        twice = np.where(upper[0] == upper[1], 1.0, 2.0)
        coefficients = np.empty((squares.shape[1], len(self.weights)))
        for one, (mean, factor) in enumerate(zip(self.means, self.factors, strict=True)):
            inverse = np.linalg.inv(factor)
            precision = inverse.T @ inverse
            coefficients[0, one] = (
                np.log(self.weights[one]) - np.log(np.diag(factor)).sum() - 0.5 * mean @ precision @ mean
            )
            coefficients[1 : latent + 1, one] = precision @ mean
            coefficients[latent + 1 :, one] = -0.5 * precision[upper] * twice
        logs = squares @ coefficients
        top = logs.max(axis=1, keepdims=True)
        powers = np.exp(logs - top)
        totals = powers.sum(axis=1, keepdims=True)
        density = float((top + np.log(totals)).mean()) - 0.5 * latent * float(np.log(2 * np.pi))
        return powers / totals, density


def _squares(numbers: Numbers) -> Numbers:
    """One, the numbers, and their products of two, shape (people, 1 + latent + latent (latent + 1) / 2)."""
    first, second = np.triu_indices(numbers.shape[1])
    return np.hstack([np.ones((len(numbers), 1)), numbers, numbers[:, first] * numbers[:, second]])


def _begun(numbers: Numbers, parts: int, random: np.random.Generator) -> Numbers:
    """Who begins in which part: Lloyd's algorithm from people chosen at random."""
    centres = numbers[random.choice(len(numbers), parts, replace=False)]
    nearest = np.zeros(len(numbers), dtype=np.int64)
    for _ in range(8):
        nearest = (0.5 * (centres**2).sum(axis=1) - numbers @ centres.T).argmin(axis=1)
        sums = np.zeros_like(centres)
        np.add.at(sums, nearest, numbers)
        centres = sums / np.maximum(np.bincount(nearest, minlength=parts), 1)[:, None]
    belongs = np.zeros((len(numbers), parts))
    belongs[np.arange(len(numbers)), nearest] = 1.0
    return belongs


def _maximized(belongs: Numbers, squares: Numbers, numbers: Numbers) -> Mixture:
    """The likeliest parts for who is of which; those of too few people are dropped."""
    latent = numbers.shape[1]
    people = belongs.sum(axis=0)
    kept = people >= FEWEST
    if not kept.any():
        belongs, kept = np.ones((len(numbers), 1)), np.array([True])
        people = belongs.sum(axis=0)
    belongs, people = belongs[:, kept], people[kept]
    moments = (belongs.T @ squares) / people[:, None]
    means = moments[:, 1 : latent + 1]
    upper = np.triu_indices(latent)
    second = np.empty((len(people), latent, latent))
    second[:, upper[0], upper[1]] = moments[:, latent + 1 :]
    second[:, upper[1], upper[0]] = moments[:, latent + 1 :]
    covariances = second - means[:, :, None] * means[:, None, :]
    values, vectors = np.linalg.eigh(covariances)
    covariances = np.einsum("pij,pj,pkj->pik", vectors, np.maximum(values, _FLOOR), vectors)
    return Mixture(people / people.sum(), means, np.linalg.cholesky(covariances))
