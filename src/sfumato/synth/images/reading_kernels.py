"""The filters of PNG lines undone (ISO/IEC 15948, clause 9): each byte hangs on those beside it."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit(cache=True)
def unfilter(lines: NDArray[np.uint8], step: int) -> None:  # pragma: no cover - compiled
    """Undo the filter of each line in place.

    Args:
        lines: shape (height, 1 + bytes of a line), the filter's number (0 to 4) first.
        step: bytes from a byte to the same of the pixel before, at least one.
    """
    height, width = lines.shape
    for row in range(height):
        kind = lines[row, 0]
        for at in range(1, width):
            left = np.int64(lines[row, at - step]) if at > step else np.int64(0)
            above = np.int64(lines[row - 1, at]) if row > 0 else np.int64(0)
            corner = np.int64(lines[row - 1, at - step]) if row > 0 and at > step else np.int64(0)
            guess = np.int64(0)
            if kind == 1:
                guess = left
            elif kind == 2:
                guess = above
            elif kind == 3:
                guess = (left + above) // 2
            elif kind == 4:
                first, second, third = (
                    abs(above - corner),
                    abs(left - corner),
                    abs(left + above - 2 * corner),
                )
                if first <= second and first <= third:
                    guess = left
                elif second <= third:
                    guess = above
                else:
                    guess = corner
            lines[row, at] = np.uint8((np.int64(lines[row, at]) + guess) % 256)
