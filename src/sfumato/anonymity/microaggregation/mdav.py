"""Maximum distance to average vector: classes of fixed size from the outside inwards, and of variable size.

MDAV after Domingo-Ferrer & Torra 2005, section 3.1; V-MDAV after Solanas & Martinez-Balleste 2006. Both
take O(n^2 / k) distances; :func:`~sfumato.anonymity.microaggregation.cluster.cluster` is for more rows.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sfumato.anonymity.microaggregation.points import checked
from sfumato.core.errors import InputError


def mdav(points: NDArray[np.float64], k: int) -> NDArray[np.int64]:
    """Classes of k points each, the last one of k to 2k - 1.

    While 3k points are left, the one farthest from their mean and the one farthest from that each take
    their k - 1 nearest; from 2k to 3k - 1 left, the farthest from the mean takes its own and the others
    stay together. Of points equally far the first counts.

    Args:
        points: shape (n, d), finite; standardised, or the widest column decides alone.
        k: the fewest points of a class.

    Returns:
        The class of each point, shape (n,), in the order in which classes were made.

    Raises:
        InputError: as :func:`~sfumato.anonymity.microaggregation.points.checked`.

    >>> mdav(np.array([[0.0], [9.0], [1.0], [8.0]]), 2)
    array([0, 1, 0, 1])
    """
    from sfumato.anonymity.microaggregation.mdav_kernels import fixed

    classes: NDArray[np.int64] = fixed(checked(points, k), k)
    return classes


def vmdav(points: NDArray[np.float64], k: int, gamma: float = 0.2) -> NDArray[np.int64]:
    """Classes of k to 2k - 1 points: a class grows while its nearest free point is nearer to it than others.

    A free point joins if its distance to the class is below ``gamma`` times its distance to the nearest
    other free point. The fewer than k points left over in the end join the class of the nearest mean,
    which may then have more than 2k - 1.

    Args:
        points: shape (n, d), finite.
        k: the fewest points of a class.
        gamma: 0 lets no class grow; 0.2 is for scattered points, 1.1 for clustered ones.

    Returns:
        The class of each point, shape (n,).

    Raises:
        InputError: as :func:`mdav`; ``usage`` for a negative gamma.
    """
    if not gamma >= 0:
        raise InputError("usage", "gamma must be at least 0")
    from sfumato.anonymity.microaggregation.mdav_kernels import variable

    classes: NDArray[np.int64] = variable(checked(points, k), k, float(gamma))
    return classes
