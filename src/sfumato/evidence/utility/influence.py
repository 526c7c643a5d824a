"""Intervals of figures that compare two distributions over the same people, in one pass over them.

Near the data a figure of shares before and after is linear in the people, and each person's part of it, the
influence, gives its standard error (the infinitesimal jackknife: Efron 1982, *The Jackknife, the Bootstrap
and Other Resampling Plans*, ch. 6). A person's two values stay together, so what a release leaves as it was
adds nothing.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from sfumato.evidence.report import Figure

_Z = 1.959964


def influences(
    before: NDArray[np.float64], after: NDArray[np.float64], kept: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """What each person adds to a figure, shape (people,).

    Args:
        before: the figure's derivative at the share of each person's value before, shape (people,).
        after: the same of the value after, for those who leave; others do not count.
        kept: who leaves.
    """
    parts = np.asarray(before - before.mean(), dtype=np.float64)
    leaving = after[kept]
    parts[kept] += (leaving - leaving.mean()) * (len(kept) / len(leaving))
    return parts


def interval(value: float, parts: NDArray[np.float64], low: float = 0.0, high: float = 1.0) -> Figure:
    """A figure with its normal interval, kept within its range."""
    half = _Z * math.sqrt(float((parts * parts).sum())) / max(1, len(parts))
    return Figure(value, max(low, min(value, value - half)), min(high, max(value, value + half)))
