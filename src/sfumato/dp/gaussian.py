"""What Gaussian noise costs, in closed form: no grid, and nothing that takes time."""

from __future__ import annotations

import math

from sfumato.dp.stated import Relation

#: The figures are rounded up by this share: far more than the arithmetic of floats loses.
_SLACK = 1e-9


def gaussian_delta(multiplier: float, epsilon: float, relation: Relation = "add-remove") -> float:
    """The delta of Gaussian noise at an epsilon (Balle & Wang 2018, Theorem 8).

    With mu = 1 / multiplier, twice that where one replaces another, it is
    Phi(mu / 2 - epsilon / mu) - e^epsilon Phi(-mu / 2 - epsilon / mu); both terms by their logarithms.

    >>> round(gaussian_delta(1.0, 1.0), 6)
    0.126937
    """
    from scipy.special import log_ndtr

    mu = (2 if relation == "replace-one" else 1) / multiplier
    with_person = float(log_ndtr(mu / 2 - epsilon / mu))
    without = epsilon + float(log_ndtr(-mu / 2 - epsilon / mu))
    if without >= with_person:
        return 0.0 if epsilon else 1.0
    return min(1.0, math.exp(with_person) * -math.expm1(without - with_person) * (1 + _SLACK))


def gaussian_epsilon(multiplier: float, delta: float, relation: Relation = "add-remove") -> float:
    """The epsilon of Gaussian noise at a delta, never below the true one; infinite at delta 0.

    >>> round(gaussian_epsilon(3.73, 1e-5), 3)
    1.0
    """
    if not delta or not multiplier:
        return math.inf
    if gaussian_delta(multiplier, 0.0, relation) <= delta:
        return 0.0
    low, high = 0.0, 1.0
    while gaussian_delta(multiplier, high, relation) > delta:
        low, high = high, 2 * high
    while high - low > _SLACK * high:
        middle = (low + high) / 2
        low, high = (middle, high) if gaussian_delta(multiplier, middle, relation) > delta else (low, middle)
    return high
