"""Linkage to the nearest row by Gower's distance (1971, *Biometrics* 27:857-871), over all pairs.

The attacker knows nothing of how registers err: every column counts alike. Numbers differ by their
distance over the range, anything else by 0 or 1, and a cell that the register lacks is left out.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sfumato.evidence.attacks.matching import Claims
from sfumato.evidence.attacks.pairs import Beside, Pairs, Scored

#: The attacker holds a row one whole column nearer for exp(3) times likelier: an error in 20 cells.
NATS = 3.0


def claim_nearest(pairs: Pairs, own: NDArray[np.int32] | None = None) -> tuple[Claims, NDArray[np.float64]]:
    """The claims of an attacker who links each person to the nearest rows.

    Args:
        own: the label codes of the own rows, shape (people, columns).

    Returns:
        The claims, whose weight is minus the distance, and the weight of each person with the own row.
    """
    found = pairs.best([near(column) for column in pairs.columns], own)
    known = NATS * np.maximum(1, (pairs.people >= 0).sum(axis=1))
    confidence = np.exp(found.score) / np.maximum(found.mass, 1.0)
    nothing = np.zeros(len(found.rows), dtype=bool)
    return Claims(found.score / known, found.rows, confidence, nothing), found.own / known


def near(column: Beside) -> Scored:
    """Minus the distance of values from labels, in units of :data:`NATS`."""
    labels = len(column.labels)
    if column.covers is None and column.label_numbers is None:
        return Scored(np.zeros(labels), -NATS, None, NATS)

    def table(values: NDArray[np.int64]) -> NDArray[np.float64]:
        return -NATS * distances(column, values)

    return Scored(np.zeros(labels), -NATS, table, NATS)


def distances(column: Beside, values: NDArray[np.int64]) -> NDArray[np.float64]:
    """The distance of some values from all labels, in 0..1, shape (values, labels).

    A label that covers a number is as far from it as its center is.
    """
    agree = column.agree(values)
    found = np.where(agree, 0.0, 1.0)
    if column.label_numbers is None or not 0 < column.span < np.inf:
        return found
    apart = column.distances(values) / column.span
    numbers = np.isfinite(apart) & ~(agree & (column.covers is None))
    return np.where(numbers, np.minimum(1.0, apart), found)
