"""Counts with noise, never more of them than was paid for.

One row changes one cell of a table of counts by 1, so that a table of noise ``sigma`` costs the Gaussian
mechanism of that multiplier. Tables of multipliers ``sigma_1``, ``sigma_2``, ... cost as much as one of
``noise``, exactly, where the sum of 1 / ``sigma_i``² is 1 / ``noise``², though each be chosen by the outcome
of those before (Dong, Roth & Su 2022, Corollary 3.3; with deviations of one's choice, Smith & Thakurta 2022).
This is the event that is charged, for "add-remove"; for "replace-one" the accountant takes a removal and an
addition (that both are in the same table, which is then moved by no more than the root of 2, is not made use
of: composed with other events the cost is proven by way of single steps). A row is what is protected: whoever
protects people gives one row for each.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from dp_accounting import DpEvent

    from sfumato.synth.coded import Private

#: Noise has about so many steps of the grid in a standard deviation, or more.
_STEPS = 512
#: What the arithmetic of floats may lose when shares of a budget are added up.
_SLACK = 1e-9
#: The deviation that an exact count is given in a fit, in rows: it weighs tables by their size alone.
_EXACT = 1.0


@dataclass
class Draws:
    """Tables and choices with noise; exact ones where nothing is private.

    Args:
        private: the terms; None without differential privacy.
        choosing: the rho of all choices together, as zero-concentrated differential privacy has it.
    """

    private: Private | None
    choosing: float = 0.0
    _tables: float = field(init=False)

    def __post_init__(self) -> None:
        self._tables = 0.0 if self.private is None else 1 / self.private.noise**2

    def pay(self, event: DpEvent, place: str) -> None:
        """Charge the event of all draws; nothing is drawn before."""
        if self.private is not None:
            self.private.budget.spend(event, place=place, delta=self.private.delta)

    def deviation(self, share: float, tables: int) -> float:
        """The noise on each cell, in rows, if so many tables have a share of the budget in equal parts."""
        if self.private is None:
            return _EXACT
        return self.private.noise * math.sqrt(max(tables, 1) / share) * (1 + _SLACK)

    def table(self, counts: NDArray[np.int64], deviation: float) -> NDArray[np.float64]:
        """Counts with Gaussian noise of a standard deviation, in rows, on each cell.

        Raises:
            AssertionError: it was not paid for; nothing was drawn.
        """
        if self.private is None:
            return counts.astype(np.float64)
        from sfumato.dp.mechanisms import gaussian, gaussian_sigma

        self._tables = _less(self._tables, 1 / deviation**2)
        grid = 2 ** max(0, math.ceil(math.log2(_STEPS / deviation)))
        noised = gaussian(counts.ravel().astype(np.int64) * grid, gaussian_sigma(deviation, grid))
        return np.asarray(noised / grid).reshape(counts.shape)

    def choose(self, scores: NDArray[np.int64], unit: int, rho: float) -> int:
        """The place of about the highest score, by the exponential mechanism.

        Args:
            scores: shape (candidates,); one row more or less changes none by more than ``unit``.
            rho: what it costs.

        Raises:
            AssertionError: it was not paid for; nothing was drawn.
        """
        if self.private is None:
            return int(np.argmax(scores))
        from sfumato.dp.mechanisms import choose

        self.choosing = _less(self.choosing, rho)
        # An exponential mechanism of epsilon is epsilon²/8-zCDP; its scale is 2 sensitivity / epsilon.
        return choose(scores, 2 * unit / math.sqrt(8 * rho) * (1 + _SLACK), pure=False)[0]


def _less(left: float, cost: float) -> float:
    if cost > left + _SLACK * (cost + left):
        raise AssertionError("more noise was drawn than was paid for")
    return max(0.0, left - cost)
