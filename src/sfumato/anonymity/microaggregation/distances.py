"""Squared distances, compiled. Import it inside functions, for it loads numba."""

from __future__ import annotations

from typing import Any

import numba


#: Put into its callers before they are compiled, for a call would count references, millions of times.
@numba.njit(cache=True, inline="always")
def apart(one: Any, i: Any, other: Any, j: Any) -> Any:  # pragma: no cover - compiled
    """The squared distance of row i of the one matrix from row j of the other."""
    # Rows first: whether a number counts from the end is asked once and not for each column.
    mine, theirs = one[i], other[j]
    # Four sums at once, for each step waits for the last one; their order is the same on every machine.
    found = second = third = fourth = 0.0
    whole = len(mine) // 4 * 4
    for axis in range(0, whole, 4):
        found += (mine[axis] - theirs[axis]) ** 2
        second += (mine[axis + 1] - theirs[axis + 1]) ** 2
        third += (mine[axis + 2] - theirs[axis + 2]) ** 2
        fourth += (mine[axis + 3] - theirs[axis + 3]) ** 2
    for axis in range(whole, len(mine)):
        found += (mine[axis] - theirs[axis]) ** 2
    return found + second + (third + fourth)
