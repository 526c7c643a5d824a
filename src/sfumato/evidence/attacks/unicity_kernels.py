"""The compiled inner loop of unicity; imported only when it runs."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(cache=True)
def alone(
    points: NDArray[np.int64],
    starts: NDArray[np.int64],
    members: NDArray[np.int64],
    found: NDArray[np.bool_],
) -> None:  # pragma: no cover - compiled
    """Who is the only one with all of some points, written to ``found``.

    The people who have the rarest point are looked up among those who have each other one, until a
    second has them all.

    Args:
        points: the points known of each person, one after the other, -1 where there are no more, shape
            (people, points).
        starts: where the people who have each point begin in ``members``, and where the last end.
        members: people, in order for each point.
        found: shape of ``points``: whether the person is alone with that many of the points.
    """
    for i in range(len(points)):
        rarest = -1
        for q in range(points.shape[1]):
            point = points[i, q]
            if point < 0:
                # Nothing more is known, so nothing changes.
                found[i, q] = q > 0 and found[i, q - 1]
                continue
            if rarest < 0 or starts[point + 1] - starts[point] < starts[rarest + 1] - starts[rarest]:
                rarest = point
            have = 0
            for at in range(starts[rarest], starts[rarest + 1]):
                person, every = members[at], True
                for p in range(q + 1):
                    other = points[i, p]
                    if other == rarest:
                        continue
                    low, high = starts[other], starts[other + 1]
                    while low < high:
                        middle = (low + high) // 2
                        if members[middle] < person:
                            low = middle + 1
                        else:
                            high = middle
                    if low == starts[other + 1] or members[low] != person:
                        every = False
                        break
                if every:
                    have += 1
                    if have > 1:
                        break
            found[i, q] = have == 1
