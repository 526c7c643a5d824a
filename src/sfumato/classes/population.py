"""How many people are alone in the population, guessed from a sample of it.

Estimates of the share of people who are unique in the population: Pitman's sampling formula (Pitman
1995; fitted as in Hoshino 2001, *Journal of Official Statistics* 17:499-520), Zayatz 1991 (*US Bureau of
the Census*, SRD 91/08), the slide negative binomial of Chen & Keller-McNulty 1998 (*Journal of Official
Statistics* 14:79-95), and the rule that chooses among them (Dankar et al. 2012, *BMC Medical Informatics
and Decision Making* 12:66). Beside them the expected 1/F of a sample class whose size in the population
is F (Benedetti & Franconi 1998), and whether a class can be taken to have k people there (El Emam &
Dankar 2008). A fit that does not converge is no answer, and never the answer zero.

The estimators share their terms: ``sizes`` has the people of each class of the sample, shape (classes,);
``fraction`` is the sample's share of the population, in 0..1 without 0. Nobody unique in the sample means
nobody in it unique in the population: exactly 0. The whole population as sample needs no model.
"""

from __future__ import annotations

import math
from functools import cache, lru_cache
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

_STEPS = 200
_TOLERANCE = 1e-9

#: Of a sampling fraction up to this, the decision rule asks Pitman.
_SMALL_FRACTION = 0.1

Estimator = Literal["dankar", "pitman", "zayatz", "snb"]

ESTIMATORS: tuple[Estimator, ...] = get_args(Estimator)


class Estimate(NamedTuple):
    """A share of people with its two-sided 95 % interval."""

    value: float
    low: float
    high: float


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


def smallest_sample(k: int, fraction: float, significance: float) -> int:
    """The fewest people of a class in the sample from which to take it that the population has k of them.

    Had the population k (so all the more had it fewer), the chance to see as many in the sample, Poisson
    and above zero, is at most the significance (El Emam & Dankar 2008, *Journal of the American Medical
    Informatics Association* 15:627-637, estimator D4 after Pannekoek 1999). A class of k in the sample has
    them in the population in any case.

    >>> smallest_sample(5, 0.01, 0.05), smallest_sample(5, 1.0, 0.05)
    (2, 5)
    """
    from scipy.special import gammainc

    expected = fraction * k
    chances = gammainc(np.arange(1, k, dtype=np.float64), expected) / -math.expm1(-expected)
    (enough,) = np.nonzero(chances <= significance)
    return int(enough[0]) + 1 if len(enough) else k


def unique_share(sizes: NDArray[np.int64], fraction: float, model: Estimator) -> float | None:
    """The share of people who are unique in the population by one of the estimators; None if it has none."""
    if model == "zayatz":
        return zayatz(sizes, fraction)
    if model == "snb":
        return snb(sizes, fraction)
    if model == "dankar":
        return dankar(sizes, fraction)
    found = population_unique(sizes, fraction)
    return None if found is None else found.value


def dankar(sizes: NDArray[np.int64], fraction: float) -> float | None:
    """The estimate that the decision rule of Dankar et al. 2012 chooses.

    Up to a fraction of .1 that of Pitman, beyond it the smaller one of Zayatz and of the slide negative
    binomial; that of Zayatz wherever the other does not converge.
    """
    sure = zayatz(sizes, fraction)
    if fraction <= _SMALL_FRACTION:
        found = population_unique(sizes, fraction)
        return sure if found is None else found.value
    other = snb(sizes, fraction)
    return sure if sure is None or other is None else min(sure, other)


def zayatz(sizes: NDArray[np.int64], fraction: float) -> float | None:
    """The share of people unique in the population, as if its classes were spread like the sample's.

    Of the classes that have one person in a sample so drawn, the share that have one in all, times the
    share of people who are unique in the sample. None only where the sample is empty.

    >>> round(zayatz(np.array([1, 1, 2]), 0.5), 4)
    0.3182
    """
    counts = np.bincount(sizes[sizes > 0], minlength=2).astype(np.float64)
    rows = float((counts * np.arange(len(counts))).sum())
    if rows == 0:
        return None
    if counts[1] == 0 or fraction >= 1:
        return float(counts[1] / rows)
    (occurring,) = np.nonzero(counts)
    chances = _chances_of_one(int(rows), rows / fraction, int(occurring[-1]))
    seen = float((counts[occurring] * chances[np.minimum(occurring, len(chances) - 1)]).sum())
    return float(counts[1] / rows * (counts[1] * fraction) / seen)


def _chances_of_one(rows: int, people: float, largest: int) -> NDArray[np.float64]:
    """The chance that one of i alike among ``people`` is drawn with ``rows`` others, by i; hypergeometric.

    The last is that of all classes too large for it to differ from 0.
    """
    steps = np.arange(min(largest - 1, int(800 * people / rows) + 2), dtype=np.float64)
    left = np.maximum(people - rows - steps, 0) / np.maximum(people - 1 - steps, 1)
    none_more = np.concatenate([[1.0], np.cumprod(left)])
    sizes = np.arange(1, len(none_more) + 1)
    found = np.concatenate([[0.0], sizes * (rows / people) * none_more])
    return found if len(found) > largest else np.append(found, 0.0)


def snb(sizes: NDArray[np.int64], fraction: float) -> float | None:
    """The share of people unique in the population, whose class sizes less one are negative binomial.

    The number of classes of the population is Shlosser's as modified by Haas & Stokes 1998 (*Journal of
    the American Statistical Association* 93:1475-1487); shape a and chance b make the expected numbers of
    classes of one and of two people in the sample those found. None where no a and b do.
    """
    counts = np.bincount(sizes[sizes > 0], minlength=3).astype(np.float64)
    rows = float((counts * np.arange(len(counts))).sum())
    if rows == 0:
        return None
    if counts[1] == 0 or fraction >= 1:
        return float(counts[1] / rows)
    classes = _shlosser(counts, fraction)
    if counts[2] == 0 or not math.isfinite(classes):
        return None
    found = _slide(counts[1] / classes, counts[2] / classes, fraction)
    # Whoever is unique in the population is so in the sample, so there the share is no smaller.
    return None if found is None else min(classes * found * fraction, float(counts[1])) / rows


def _shlosser(counts: NDArray[np.float64], fraction: float) -> float:
    """The number of classes of the population, from how many of the sample have each size."""
    (i,) = np.nonzero(counts)
    f, unseen = counts[i], (1 - fraction) ** i
    square = fraction**2
    one = (i * square * (1 - square) ** (i - 1) * f).sum()
    two = ((1 - square) ** i - unseen) * f
    singles = (i * fraction * (1 - fraction) ** (i - 1.0) * f).sum()
    return float(counts.sum() + counts[1] * one / two.sum() * ((unseen * f).sum() / singles) ** 2)


def _slide(single: float, double: float, fraction: float) -> float | None:
    """The chance b ** a that a class has one person in all.

    A class has 1 + Y people, Y negative binomial. With u = (1 - fraction) (1 - b), the ratio of the two
    expectations gives a as the one positive root of a quadratic for any u, and the first of them u.
    """
    from scipy.optimize import brentq

    q = 1 - fraction
    ratio = 2 * double * q / (single * fraction)

    def shape(u: float) -> float:
        # u^2 a^2 + (u (2 - u) - ratio (1 - u) u) a - ratio (1 - u)^2 = 0
        half = (2 - u - ratio * (1 - u)) / (2 * u)
        root = math.hypot(half, math.sqrt(ratio) * (1 - u) / u)
        return root - half if half <= 0 else (ratio * ((1 - u) / u) ** 2) / (root + half)

    def excess(u: float) -> float:
        a = shape(u)
        alone = a * (math.log1p(-u / q) - math.log1p(-u))
        return alone + math.log(fraction * (1 + a * u / (1 - u))) - math.log(single)

    grid = q / (1 + np.exp(np.linspace(16, -16, 513)))
    values = [excess(u) for u in grid]
    crossings = [i for i in range(512) if values[i] * values[i + 1] <= 0]
    if not crossings:
        return None
    # Of several fits that with most people unique, for the least risk is not what was found.
    roots = [brentq(excess, grid[i], grid[i + 1], xtol=1e-15, rtol=1e-14) for i in crossings]
    return max(math.exp(shape(u) * math.log1p(-u / q)) for u in roots)


def population_unique(sizes: NDArray[np.int64], fraction: float) -> Estimate | None:
    """The share of people who are unique in the population, by Pitman's sampling formula.

    Returns:
        The estimate with a 95 % interval by the delta method (the model taken as true), or None if the fit
        does not converge.
    """
    sizes = sizes[sizes > 0]
    rows, unique = int(sizes.sum()), int((sizes == 1).sum())
    if unique == 0:
        return Estimate(0.0, 0.0, 0.0)
    most = unique / rows
    if fraction >= 1:
        return Estimate(most, most, most)
    if unique == rows:
        # All different: the likelihood grows without end, and any population fits.
        return None
    fitted = _fit_once(np.bincount(sizes).tobytes())
    if fitted is None:
        return None
    theta, alpha, information = fitted
    log_share, gradient = _log_share(theta, alpha, rows / fraction)
    variance = float(gradient @ np.linalg.solve(information, gradient))
    if not variance >= 0:
        return None
    spread = 1.959964 * math.sqrt(variance)
    return Estimate(*(min(most, math.exp(log_share + shift)) for shift in (0.0, -spread, spread)))


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


@lru_cache(maxsize=8)
def _fit_once(counts: bytes) -> tuple[float, float, NDArray[np.float64]] | None:
    """:func:`_fit` of the number of classes by size: several estimators ask for the same one."""
    by_size = np.frombuffer(counts, dtype=np.int64)
    return _fit(np.repeat(np.arange(len(by_size)), by_size))


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
                # Near the top the steps are within the rounding of so long a sum.
                if better[0] >= value - 1e-13 * abs(value):
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
        if theta + alpha <= 0 or theta + 1 <= 0 or alpha >= 1:
            return -math.inf, np.zeros(2), np.zeros((2, 2))
        value, gradient, hessian = _likelihood()(theta, alpha, self.classes, self.rows, self.at_least)
        return float(value), gradient, hessian


@cache
def _likelihood() -> Any:
    import numba

    @numba.njit(cache=True)
    def kernel(
        theta: Any, alpha: Any, classes: Any, rows: Any, at_least: Any
    ) -> Any:  # pragma: no cover - compiled
        value = 0.0
        gradient, hessian = np.zeros(2), np.zeros((2, 2))
        for i in range(1, classes):
            one = 1 / (theta + i * alpha)
            value -= np.log(one)
            gradient[0] += one
            gradient[1] += i * one
            hessian[0, 0] -= one * one
            hessian[0, 1] -= i * one * one
            hessian[1, 1] -= i * one * i * one
        for m in range(1, rows):
            one = 1 / (theta + m)
            value += np.log(one)
            gradient[0] -= one
            hessian[0, 0] += one * one
        for j in range(1, len(at_least) + 1):
            one = 1 / (j - alpha)
            value -= at_least[j - 1] * np.log(one)
            gradient[1] -= at_least[j - 1] * one
            hessian[1, 1] -= at_least[j - 1] * one * one
        hessian[1, 0] = hessian[0, 1]
        return value, gradient, hessian

    return kernel
