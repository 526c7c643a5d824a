"""How many guesses about who was in can be right, if a claim of differential privacy is true.

Each of m canaries is in or out by a fair coin; whoever sees what came out guesses for at most r of them,
a number fixed beforehand, and is right v times. Canaries of one run or of many independent runs count alike:
each canary is in one run only, so all runs together are one mechanism that keeps the claim for each canary.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sfumato.core.errors import InputError
from sfumato.evidence.intervals import LEVEL

#: Above this no bound is looked for: e to the 60 is beyond what any number of guesses could show.
_MOST_EPSILON = 60.0
#: Halvings of an interval; 60 / 2^40 is 5e-11.
_HALVINGS = 40
#: Below this the incomplete beta function has lost digits.
_UNDERFLOW = 1e-200
#: Terms of a series that falls fast where it is used.
_TERMS = 60


def p_value(m: ArrayLike, r: ArrayLike, v: ArrayLike, epsilon: ArrayLike, delta: ArrayLike) -> Any:
    """The largest chance of v right guesses or more that an (epsilon, delta) mechanism can leave.

    With p_k the chance of k right guesses and E a set of numbers of them, flipping one coin costs
    ``sum k p_k <= e^epsilon sum (r - k + 1) p_(k - 1) + m delta`` over k in E (Steinke, Nasr & Jagielski
    2023, arXiv 2305.08846, sec. 5, Mahloujifar, Melis & Chaudhuri 2024, arXiv 2410.22235). The largest
    tail under all of these inequalities is a linear programme with the closed solution

        B + m delta B (1 - B) / (v b),    B = P[W >= v], b = P[W = v], W ~ Binomial(r, 1 / (1 + e^-epsilon)),

    which is what this gives. It is Steinke's theorem 5.2 without delta, and tighter with it wherever the
    figure is small enough to matter. It falls with v, and rises with epsilon, delta and m.

    Args:
        m: canaries. r: guesses at most. v: right guesses. All broadcast against each other.

    Returns:
        The bound, in 0..1, of the broadcast shape.

    >>> round(float(p_value(1000, 100, 80, 1.0, 1e-5)), 4)
    0.0719
    """
    from scipy.special import betainc, gammaln

    m, r, v, epsilon, delta = (np.asarray(part, dtype=np.float64) for part in (m, r, v, epsilon, delta))
    right = 1 / (1 + np.exp(-epsilon))
    least = np.maximum(v, 1.0)
    tail = betainc(least, np.maximum(r - least, 0.0) + 1, right)
    below = betainc(np.maximum(r - least, 0.0) + 1, least, 1 / (1 + np.exp(epsilon)))
    choices = gammaln(r + 1) - gammaln(least + 1) - gammaln(np.maximum(r - least, 0.0) + 1)
    at = np.exp(choices - least * np.log1p(np.exp(-epsilon)) - (r - least) * np.log1p(np.exp(epsilon)))
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        ratio = tail / at
        if not (at > _UNDERFLOW).all():
            ratio = np.where(at > _UNDERFLOW, ratio, _far_ratio(r, least, np.exp(epsilon)))
        excess = np.where(delta > 0, m * delta * ratio * below / least, 0.0)
    bound = np.minimum(1.0, tail + np.where(np.isnan(excess), np.inf, excess))
    return np.where(v > r, 0.0, np.where(v < 1, 1.0, bound))[()]


def _far_ratio(r: NDArray[np.float64], v: NDArray[np.float64], odds: NDArray[np.float64]) -> Any:
    """``P[W >= v] / P[W = v]`` far above the mean by its series, the rest bounded by a geometric one."""
    total = term = np.ones(np.broadcast(r, v, odds).shape)
    for j in range(_TERMS):
        term = term * np.maximum(r - v - j, 0) / (v + j + 1) * odds
        total = total + term
    falling = np.maximum(r - v - _TERMS, 0) / (v + _TERMS + 1) * odds
    return np.where(falling < 1, total + term * falling / (1 - falling), np.inf)


def epsilon_lower(m: int, r: ArrayLike, v: ArrayLike, delta: float, *, level: float = LEVEL) -> Any:
    """The least epsilon that v right guesses do not refute, at a one-sided level.

    An (epsilon, delta) mechanism gives a larger figure than its epsilon with a chance of at most 1 - level.

    Args:
        v: right guesses, of any shape; the result has the same.

    >>> round(float(epsilon_lower(1000, 100, 90, 1e-5)), 2)
    1.63
    """
    v = np.asarray(v)
    low, high = np.zeros(v.shape), np.full(v.shape, _MOST_EPSILON)
    possible = p_value(m, r, v, 0.0, delta) <= 1 - level
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        refuted = p_value(m, r, v, middle, delta) <= 1 - level
        low, high = np.where(refuted, middle, low), np.where(refuted, high, middle)
    return np.where(possible, low, 0.0)[()]


#: The least chance of an event without a person that goes with a chance of ``h`` with: a trade-off curve.
Blowup = Callable[[float], float]


def refutes(blowup: Blowup, m: int, r: int, v: int, *, level: float = LEVEL) -> bool:
    """Whether v right guesses refute a whole privacy curve, not one point of it.

    Of an event in K right guesses at least a share ``blowup(sum of k p_k / m)`` goes to one fewer. Beginning
    with a chance of 1 - level for v, what is forced for fewer and fewer right guesses adds up; more than
    certainty refutes the curve (Mahloujifar, Melis & Chaudhuri 2024, arXiv 2410.22235, algorithm 3).

    Args:
        blowup: of the claimed curve: :func:`curve_blowup`, :func:`gaussian_blowup`.
    """
    if v < 1 or v > r:
        return v > r
    right = v * (1 - level) / m
    wrong = (r - v) * (1 - level) / m
    for k in range(v, 0, -1):
        forced = max(wrong, blowup(right))
        right += (k - 1) / (r - k + 1) * (forced - wrong)
        wrong = forced
        if right + wrong > r / m:
            return True
    return False


def curve_blowup(curve: Sequence[tuple[float, float]]) -> Blowup:
    """The curve through (epsilon, delta) pairs, all of which are claimed at once."""
    factors = np.exp(-np.array([epsilon for epsilon, _ in curve]))
    deltas = np.array([delta for _, delta in curve])
    return lambda h: max(0.0, float(((h - deltas) * factors).max()))


def gaussian_blowup(mu: float) -> Blowup:
    """The curve of a Gaussian mechanism whose noise is 1 / mu of the sensitivity (Dong, Roth & Su 2022)."""
    from scipy.special import ndtr, ndtri

    return lambda h: float(ndtr(ndtri(h) - mu))


def gaussian_epsilon(mu: float, delta: float) -> float:
    """The epsilon of a Gaussian mechanism at delta (Balle & Wang 2018, theorem 8).

    >>> round(gaussian_epsilon(1.0, 1e-5), 3)
    4.377
    """
    from scipy.special import log_ndtr, ndtr

    if mu <= 0:
        return 0.0

    def over(epsilon: float) -> bool:
        second = math.exp(epsilon + float(log_ndtr(-epsilon / mu - mu / 2)))
        return float(ndtr(mu / 2 - epsilon / mu)) - second > delta

    return _bisected(over, mu * mu / 2 + 40 * mu)


def gaussian_mu(epsilon: float, delta: float) -> float:
    """The mu of the Gaussian mechanism that costs exactly epsilon at delta.

    >>> round(gaussian_mu(4.377, 1e-5), 3)
    1.0
    """
    return _bisected(lambda mu: gaussian_epsilon(mu, delta) < epsilon, 100.0)


def gaussian_estimate(m: int, r: int, v: int, delta: float, *, level: float = LEVEL) -> float:
    """The least epsilon not refuted *among Gaussian mechanisms*: an estimate, no bound for others."""
    if not refutes(gaussian_blowup(0.0), m, r, v, level=level):
        return 0.0
    mu = _bisected(lambda mu: refutes(gaussian_blowup(mu), m, r, v, level=level), 20.0)
    return gaussian_epsilon(mu, delta)


def _bisected(holds: Callable[[float], bool], most: float) -> float:
    """The largest figure in 0..most for which something still holds that holds for small ones."""
    low, high = 0.0, most
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low


@dataclass(frozen=True)
class Guesses:
    """How many of the guesses on so many canaries were right."""

    canaries: int
    made: int
    right: int

    @classmethod
    def of(
        cls,
        scores: ArrayLike,
        inside: ArrayLike,
        made: int,
        draw: np.random.Generator,
        *,
        out: int | None = None,
    ) -> Guesses:
        """Guess "in" for the highest scores and "out" for the lowest.

        Ties are broken by draws, never by who was in.

        Args:
            scores: shape (m,), high where a canary looks as if it was in; NaN says nothing, as the middle.
            inside: shape (m,), the fair coins.
            made: how many guesses, fixed before anything was seen; at most m.
            out: how many of them are "out", fixed too; half of them if nothing is said.

        Raises:
            InputError: ``usage`` for shapes that differ, or more guesses than canaries.
        """
        found, truth = np.asarray(scores, dtype=np.float64), np.asarray(inside, dtype=bool)
        below = made // 2 if out is None else out
        if (
            found.shape != truth.shape
            or found.ndim != 1
            or not 0 <= below <= made
            or not 1 <= made <= len(found)
        ):
            raise InputError("usage", "scores, coins and guesses do not fit together")
        known = found[~np.isnan(found)]
        found = np.where(np.isnan(found), np.median(known) if len(known) else 0.0, found)
        order = np.lexsort((draw.random(len(found)), found))
        above = truth[order[len(order) - (made - below) :]]
        return cls(len(found), made, int((~truth[order[:below]]).sum() + above.sum()))

    def epsilon_lower(self, delta: float, level: float = LEVEL) -> float:
        """See :func:`epsilon_lower`."""
        return float(epsilon_lower(self.canaries, self.made, self.right, delta, level=level))

    def p_value(self, epsilon: float, delta: float) -> float:
        """See :func:`p_value`."""
        return float(p_value(self.canaries, self.made, self.right, epsilon, delta))

    def gaussian_estimate(self, delta: float, level: float = LEVEL) -> float:
        """See :func:`gaussian_estimate`."""
        return gaussian_estimate(self.canaries, self.made, self.right, delta, level=level)


def coins(m: int, draw: np.random.Generator) -> NDArray[np.bool_]:
    """Fair coins, shape (m,): who is in."""
    return draw.integers(0, 2, m).astype(bool)
