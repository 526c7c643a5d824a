"""Noise: thin wrappers over OpenDP's exact samplers, and beside each what it costs.

Everything noised is a whole number: a statistic is scaled to a grid and rounded *row by row* before it is
summed, so that the sum is exact in 64 bits and one row changes it by no more than is declared, in any order.
The attacks on floating-point sums (Casacuberta, Shoemate, Vadhan & Wagaman 2022) and on floating-point noise
(Mironov 2012) have nothing to hold on to. OpenDP's mechanisms on floats round to a grid of their own (2^k, by
default as fine as 2^-1074) and bill that rounding for each coordinate; on whole numbers they round nothing.

Discrete Gaussian noise is charged as a continuous Gaussian of slightly less variance. If X is Gaussian with
variance sigma² - r² and Y is drawn from the discrete Gaussian of parameter r around X, then Y is distributed
as the discrete Gaussian of parameter sigma, up to a factor of 1 ± 4 exp(-2 pi² r²) for each coordinate
(Peikert 2010, Theorem 3.1): with r = 4 that is 1e-136. The draw is post-processing of the continuous one.

The functions that draw charge nothing: a budget is charged, with the event, before they are called.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from sfumato.core.errors import InputError

if TYPE_CHECKING:
    from dp_accounting import DpEvent

#: The variance set aside for the grid: r² with r = 4 grid steps.
_GRID_VARIANCE = 16.0
#: A whole number beyond has no room for its noise in 64 bits.
LARGEST = 2**62
#: A discrete Laplace of a finer grid is post-processing of a coarser one, which is quicker to account.
_LAPLACE_STEPS = 64

Kind = Literal["gaussian", "laplace"]


@dataclass(frozen=True)
class Law:
    """The law of the noise on one number: its kind, and its parameter in grid steps."""

    kind: Kind
    scale: float

    @property
    def deviation(self) -> float:
        """The standard deviation, in grid steps."""
        return self.scale if self.kind == "gaussian" else self.scale * math.sqrt(2.0)

    def width(self, confidence: float) -> float:
        """The noise of one number is no larger than this with that probability, in grid steps.

        >>> round(Law("gaussian", 1000.0).width(0.95))
        1961
        >>> round(Law("laplace", 1000.0).width(0.95))
        2997
        """
        if self.kind == "gaussian":
            # A step more than the continuous quantile covers what the grid adds to a tail.
            return self.scale * NormalDist().inv_cdf((1 + confidence) / 2) + 1.0
        return self.scale * -math.log1p(-confidence) + 1.0

    def mixed(self, confidence: float) -> float:
        """For weighted sums of independent draws: what to multiply the deviation of the sum with.

        Sums of Laplace draws lie between the single draw and the normal law; the wider of both is taken.
        """
        normal = NormalDist().inv_cdf((1 + confidence) / 2)
        return max(normal, self.width(confidence) / self.deviation)


def gaussian_event(sigma: float, sensitivity: float) -> DpEvent:
    """What :func:`gaussian` costs if one person moves the vector by at most ``sensitivity`` (L2).

    >>> gaussian_event(5.0, 1.5)
    GaussianDpEvent(noise_multiplier=2.0)
    """
    from dp_accounting import GaussianDpEvent, NoOpDpEvent

    if sensitivity == 0:
        return NoOpDpEvent()
    return GaussianDpEvent(math.sqrt(max(0.0, sigma**2 - _GRID_VARIANCE)) / sensitivity)


def gaussian_sigma(multiplier: float, sensitivity: float) -> float:
    """The parameter, in grid steps, that costs no more than a Gaussian of that noise multiplier."""
    return math.sqrt((multiplier * sensitivity) ** 2 + _GRID_VARIANCE) * (1 + 1e-12)


def gaussian(values: NDArray[np.int64], sigma: float) -> NDArray[np.int64]:
    """Whole numbers with discrete Gaussian noise (Canonne, Kamath & Steinke 2020) by OpenDP.

    Args:
        values: shape (n,), in grid steps.
        sigma: the parameter of the law, in grid steps.

    >>> gaussian(np.zeros(3, dtype=np.int64), 4.0).shape
    (3,)
    """
    return _noised(values, "gaussian", sigma)


def laplace_event(scale: float, sensitivity: int, *, coordinates: int = 1) -> DpEvent:
    """What :func:`laplace` costs if one person moves the vector by at most ``sensitivity`` (L1).

    Where one person moves a single coordinate it is the discrete Laplace of that sensitivity, or of a
    coarser grid with the same epsilon: the finer one is post-processing of it. For vectors only the
    epsilon is used.

    >>> laplace_event(10.0, 1)
    DiscreteLaplaceDpEvent(noise_parameter=0.1, sensitivity=1)
    >>> laplace_event(10.0, 5, coordinates=3)
    StatedDpEvent(epsilon=0.5, delta=0.0)
    """
    from dp_accounting import NoOpDpEvent
    from dp_accounting.dp_event import DiscreteLaplaceDpEvent

    from sfumato.dp.events import StatedDpEvent

    if sensitivity == 0:
        return NoOpDpEvent()
    epsilon = sensitivity / scale
    if coordinates > 1:
        return StatedDpEvent(epsilon)
    # The coarser grid must divide the finer one; otherwise the coarsest of all, randomized response.
    steps = math.gcd(sensitivity, _LAPLACE_STEPS)
    return DiscreteLaplaceDpEvent(epsilon / steps, steps)


def laplace(values: NDArray[np.int64], scale: float) -> NDArray[np.int64]:
    """Whole numbers with discrete Laplace noise, P(x) ~ exp(-|x| / scale), by OpenDP.

    >>> laplace(np.zeros(3, dtype=np.int64), 4.0).shape
    (3,)
    """
    return _noised(values, "laplace", scale)


def choice_event(scale: float, sensitivity: int, *, picks: int = 1, one_way: bool, pure: bool) -> DpEvent:
    """What :func:`choose` costs if one person changes each score by at most ``sensitivity``.

    ``one_way``: one more person moves no two scores in opposite directions. Pure: ``picks`` times the range /
    scale; else each pick is an exponential mechanism of that epsilon, which is epsilon² / 8-zCDP (Rogers &
    Steinke 2021).

    >>> choice_event(2.0, 1, picks=3, one_way=True, pure=True)
    StatedDpEvent(epsilon=1.5, delta=0.0)
    >>> choice_event(2.0, 1, one_way=False, pure=False)
    ZCDpEvent(rho=0.125, xi=0.0)
    """
    from dp_accounting.dp_event import NoOpDpEvent, ZCDpEvent

    from sfumato.dp.events import StatedDpEvent

    if sensitivity == 0:
        return NoOpDpEvent()
    epsilon = sensitivity * (1 if one_way else 2) / scale
    return StatedDpEvent(picks * epsilon) if pure else ZCDpEvent(picks * epsilon**2 / 8)


def choose(
    scores: NDArray[np.int64], scale: float, *, picks: int = 1, pure: bool, least: bool = False
) -> list[int]:
    """Positions of the highest scores, noisily, the first first: OpenDP's noisy top k.

    By permute-and-flip where ``pure`` (McKenna & Sheldon 2020), by the exponential mechanism otherwise; both
    pick a position that is x worse than the best with odds of at most exp(-x / scale).

    Args:
        scores: shape (n,).
        picks: how many, at most n.
        least: the lowest scores instead.
    """
    from opendp import measures, metrics
    from opendp.domains import atom_domain, vector_domain

    _opendp()
    from opendp.measurements import make_noisy_top_k

    picked = make_noisy_top_k(
        vector_domain(atom_domain(T="i64")),
        metrics.linf_distance(T="i64"),
        measures.max_divergence() if pure else measures.zero_concentrated_divergence(),
        k=picks,
        scale=float(scale),
        negate=least,
    )(_within(scores).tolist())
    return [int(position) for position in picked]


def threshold_for(law: Law, most: int, groups: int, delta: float) -> int:
    """The least threshold that a group of one person's alone passes with probability ``delta`` at most.

    Args:
        law: of the noise on a count, in grid steps.
        most: what one person adds to a count at most, in grid steps.
        groups: in how many groups one person can be.
        delta: for all of them together.
    """
    # OpenDP's own bound of the tail is a few millionths wider.
    each = -math.expm1(math.log1p(-delta * (1 - 1e-4)) / groups)
    if law.kind == "gaussian":
        tail = law.scale * -NormalDist().inv_cdf(each)
    else:
        tail = law.scale * math.log(1 / (2 * each))
    return math.ceil(most + max(0.0, tail) * (1 + 1e-9)) + 2


def keep_large(
    counts: NDArray[np.int64], law: Law, threshold: int, most: int, groups: int, delta: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Noisy counts of groups that nobody declared: those above the threshold alone (Rogers 2023).

    Returns:
        The positions of the groups that are kept, ascending, and their noisy counts.

    Raises:
        AssertionError: OpenDP's own map proves a larger delta than is declared; nothing was drawn.
    """
    from opendp import measurements, metrics
    from opendp.domains import atom_domain, map_domain

    _opendp()
    near = metrics.absolute_distance(T="i64")
    distance = metrics.l02inf_distance(near) if law.kind == "gaussian" else metrics.l01inf_distance(near)
    make = getattr(measurements, f"make_{law.kind}_threshold")
    kept = make(
        map_domain(atom_domain(T="i64"), atom_domain(T="i64")), distance, scale=law.scale, threshold=threshold
    )
    # A person with all rows in one group, or one in each: what OpenDP proves for both together.
    total = most * groups if law.kind == "laplace" else math.ceil(most * math.sqrt(groups))
    proven = kept.map((groups, total, most))[1]
    if not proven <= delta:
        raise AssertionError("the threshold is below what its delta needs")
    found = kept(dict(enumerate(_within(counts).tolist())))
    positions = np.array(sorted(found), dtype=np.int64)
    return positions, np.array([found[position] for position in positions.tolist()], dtype=np.int64)


def _noised(values: NDArray[np.int64], kind: Kind, scale: float) -> NDArray[np.int64]:
    if not len(values):
        return np.zeros(0, dtype=np.int64)
    if not (math.isfinite(scale) and 0 < scale < LARGEST / 64):
        raise InputError("usage", "the noise is too large to be drawn", remedy="ask for more epsilon")
    return np.array(_mechanism(kind, float(scale))(_within(values).tolist()), dtype=np.int64)


@lru_cache(maxsize=64)
def _mechanism(kind: Kind, scale: float) -> Callable[[list[int]], Any]:
    from opendp import measurements, metrics
    from opendp.domains import atom_domain, vector_domain

    _opendp()
    domain = vector_domain(atom_domain(T="i64"))
    if kind == "gaussian":
        made: Any = measurements.make_gaussian(domain, metrics.l2_distance(T="i64"), scale=scale)
    else:
        made = measurements.make_laplace(domain, metrics.l1_distance(T="i64"), scale=scale)
    return made  # type: ignore[no-any-return]


def _within(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """The values, where noise cannot carry them over the end of 64 bits."""
    whole = np.asarray(values, dtype=np.int64)
    # Clamped and not refused: that a sum is too large would itself be told of the data.
    return np.clip(whole, -LARGEST, LARGEST)


@lru_cache(maxsize=1)
def _opendp() -> None:
    """OpenDP calls every mechanism without a second reviewer "contrib", these too."""
    from opendp.mod import enable_features

    enable_features("contrib")
