"""Squared distances, compiled. Import it inside functions, for it loads numba."""

from __future__ import annotations

from typing import Any

import numba


@numba.njit(cache=True)
def apart(points: Any, i: Any, centre: Any) -> Any:  # pragma: no cover - compiled
    """Of a point from a centre."""
    found = 0.0
    for j in range(points.shape[1]):
        step = points[i, j] - centre[j]
        found += step * step
    return found


@numba.njit(cache=True)
def between(points: Any, one: Any, other: Any) -> Any:  # pragma: no cover - compiled
    """Of two points."""
    found = 0.0
    for j in range(points.shape[1]):
        step = points[one, j] - points[other, j]
        found += step * step
    return found
