"""How many people are alone in the population, guessed from a sample of it.

Two superpopulation results: Pitman's sampling formula for the share of people who are unique in the
population (Pitman 1995; fitted as in Hoshino 2001, *Journal of Official Statistics* 17:499-520), and
the expected 1/F of a sample class whose size in the population is F (Benedetti & Franconi 1998). A fit
that does not converge is no answer, and never the answer zero.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from sfumato.evidence.report import Figure

_STEPS = 200
_TOLERANCE = 1e-9


def expected_inverse_size(size: int, fraction: float) -> float:
    """The expected 1/F of a class that has ``size`` people in a sample of ``fraction`` of everybody.

    F - size is negative binomial, so the expectation is the integral over u in 0..1 of
    u**(size - 1) * p / (p + (1 - p) u), a hypergeometric function.

    Args:
        size: people of the class in the sample, at least 1.
        fraction: the sample's share of the population, in 0..1 without 0.

    >>> round(expected_inverse_size(1, 0.1), 4)
    0.2558
    >>> expected_inverse_size(4, 1.0)
    0.25
    """
    from scipy.special import hyp2f1

    return float(hyp2f1(1.0, size, size + 1.0, -(1 - fraction) / fraction)) / size


def population_unique(sizes: NDArray[np.int64], fraction: float) -> Figure | None:
    """The share of people who are unique in the population, by Pitman's sampling formula.

    Args:
        sizes: shape (classes,), the people of each class of the sample.
        fraction: the sample's share of the population, in 0..1 without 0.

    Returns:
        The estimate with a 95 % interval by the delta method (the model taken as true), or None if
        the fit does not converge. Nobody unique in the sample means nobody in it unique in the
        population: exactly 0. The whole population as sample needs no model.
    """
    rows, unique = int(sizes.sum()), int((sizes == 1).sum())
    if unique == 0:
        return Figure.counted(0.0)
    if fraction >= 1:
        return Figure.counted(unique / rows)
    if unique == rows:
        # All different: the likelihood grows without end, and any population fits.
        return None
    fitted = _fit(sizes)
    if fitted is None:
        return None
    theta, alpha, information = fitted
    people = rows / fraction
    log_share, gradient = _log_share(theta, alpha, people)
    variance = float(gradient @ np.linalg.solve(information, gradient))
    if not variance >= 0:
        return None
    spread = 1.959964 * math.sqrt(variance)
    most = unique / rows
    return Figure(*(min(most, math.exp(log_share + shift)) for shift in (0.0, -spread, spread)))


def _log_share(theta: float, alpha: float, people: float) -> tuple[float, NDArray[np.float64]]:
    """The log of the expected share of uniques among ``people``, and its gradient.

    E[S1] = N * G(theta + alpha + N - 1) G(theta + 1) / (G(theta + alpha) G(theta + N)), G the gamma
    function.
    """
    from scipy.special import digamma, gammaln

    total = theta + alpha
    value = gammaln(total + people - 1) + gammaln(theta + 1) - gammaln(total) - gammaln(theta + people)
    by_alpha = digamma(total + people - 1) - digamma(total)
    by_theta = by_alpha + digamma(theta + 1) - digamma(theta + people)
    return float(value), np.array([by_theta, by_alpha])


def _fit(sizes: NDArray[np.int64]) -> tuple[float, float, NDArray[np.float64]] | None:
    """Maximum likelihood of (theta, alpha) by damped Newton steps, with the observed information."""
    point = _start(sizes)
    if point is None:
        return None
    likelihood = _Likelihood(sizes)
    value, gradient, hessian = likelihood(point)
    for _ in range(_STEPS):
        if not np.isfinite(value):
            return None
        scale = np.array([max(1.0, point[0]), 1.0])
        if float(np.abs(gradient * scale).max()) <= _TOLERANCE * max(1.0, abs(value)):
            # A maximum inside the domain: the information must be positive definite.
            if np.linalg.eigvalsh(-hessian).min() <= 0:
                return None
            return float(point[0]), float(point[1]), -hessian
        step = _ascent(gradient, hessian)
        length = 1.0
        while length > 1e-10:
            trial = point + length * step
            if 0 <= trial[1] < 1 and trial[0] > -trial[1]:
                better = likelihood(trial)
                if better[0] >= value:
                    point, (value, gradient, hessian) = trial, better
                    break
            length /= 2
        else:
            return None
    return None


def _ascent(gradient: NDArray[np.float64], hessian: NDArray[np.float64]) -> NDArray[np.float64]:
    """The Newton step, or one along the scaled gradient where the likelihood is not concave."""
    if np.linalg.eigvalsh(hessian).max() < 0:
        return -np.asarray(np.linalg.solve(hessian, gradient), dtype=np.float64)
    return np.asarray(gradient / np.maximum(1e-12, np.abs(np.diag(hessian))), dtype=np.float64)


def _start(sizes: NDArray[np.int64]) -> NDArray[np.float64] | None:
    """Hoshino's moment estimates, moved into the domain where they fall outside."""
    rows, classes = float(sizes.sum()), float(len(sizes))
    single, double = float((sizes == 1).sum()), float((sizes == 2).sum())
    if double == 0:
        return None
    c = single * (single - 1) / double
    below = 2 * single * classes + single * c - rows * c
    theta = (rows * classes * c - single * (rows - 1) * (2 * classes + c)) / below if below else 1.0
    alpha = (theta * (single - rows) + (rows - 1) * single) / (rows * classes)
    alpha = min(0.95, max(0.05, alpha))
    return np.array([theta if theta > -alpha and math.isfinite(theta) else 1.0, alpha])


class _Likelihood:
    """Pitman's log-likelihood with gradient and Hessian, for the class sizes of one sample."""

    def __init__(self, sizes: NDArray[np.int64]) -> None:
        self.rows, self.classes = int(sizes.sum()), len(sizes)
        counts = np.bincount(sizes)
        # at_least[j - 1] is the number of classes with more than j people: the weight of log(j - alpha).
        self.at_least = np.cumsum(counts[::-1])[::-1][2:].astype(np.float64)

    def __call__(self, point: NDArray[np.float64]) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
        theta, alpha = point
        i = np.arange(1, self.classes, dtype=np.float64)
        m = np.arange(1, self.rows, dtype=np.float64)
        j = np.arange(1, len(self.at_least) + 1, dtype=np.float64)
        classes, rows, within = theta + i * alpha, theta + m, j - alpha
        if (classes <= 0).any() or (rows <= 0).any():
            return -math.inf, np.zeros(2), np.zeros((2, 2))
        value = np.log(classes).sum() - np.log(rows).sum() + (self.at_least * np.log(within)).sum()
        gradient = np.array(
            [(1 / classes).sum() - (1 / rows).sum(), (i / classes).sum() - (self.at_least / within).sum()]
        )
        mixed = -(i / classes**2).sum()
        hessian = np.array(
            [
                [-(1 / classes**2).sum() + (1 / rows**2).sum(), mixed],
                [mixed, -((i / classes) ** 2).sum() - (self.at_least / within**2).sum()],
            ]
        )
        return float(value), gradient, hessian
