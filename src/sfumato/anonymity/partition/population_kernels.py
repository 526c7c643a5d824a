"""A walk over all who fit each class, compiled. The module loads numba: import it inside functions."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np


@numba.njit(cache=True)
def walk(
    labels: Any,
    values: Any,
    covers: Any,
    offsets: Any,
    widths: Any,
    order: Any,
    starts: Any,
    firsts: Any,
    by: Any,
    people: Any,
    shares: Any,
) -> Any:  # pragma: no cover - compiled
    """The people of each class, and for each tuple the sum of the shares of the classes that it fits.

    Column j's label l covers its value v if ``covers[offsets[j] + l * widths[j] + v]``; the tuples with
    value v are ``order[j, starts[firsts[j] + v]:starts[firsts[j] + v + 1]]``. Class c is walked by the values
    of column ``by[c]``.
    """
    found = np.zeros(len(labels), dtype=np.int64)
    given = np.zeros(len(values))
    for c in range(len(labels)):
        a = by[c]
        for v in range(widths[a]):
            if not covers[offsets[a] + labels[c, a] * widths[a] + v]:
                continue
            for i in range(starts[firsts[a] + v], starts[firsts[a] + v + 1]):
                p = order[a, i]
                fits = True
                for j in range(labels.shape[1]):
                    if not covers[offsets[j] + labels[c, j] * widths[j] + values[p, j]]:
                        fits = False
                        break
                if fits:
                    found[c] += people[p]
                    given[p] += shares[c]
    return found, given
