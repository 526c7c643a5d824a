"""Squared distances, compiled. Import it inside functions, for it loads numba."""

from __future__ import annotations

from typing import Any

import numba


#: Put into its callers before they are compiled, for a call would count references, millions of times.
@numba.njit(cache=True, inline="always")
def apart(one: Any, i: Any, other: Any, j: Any) -> Any:  # pragma: no cover - compiled
    """The squared distance of row i of the one matrix from row j of the other."""
    found = 0.0
    # Rows first: whether a number counts from the end is asked once and not for each column.
    mine, theirs = one[i], other[j]
    for axis in range(len(mine)):
        step = mine[axis] - theirs[axis]
        found += step * step
    return found
