"""Coordinates for columns of any type, so that Euclid's distance is the one that classes are made by.

Two rows of a z-scored column lie sqrt(2) apart in the root mean square; so two different categories, or a
missing value and one that is there, are put that far apart, and no column outweighs another by its type
(as in Domingo-Ferrer & Torra 2005, section 3, with the scale made explicit). Stack what columns give with
``np.hstack``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

#: Categories with a coordinate of their own; the rarer ones share one.
MOST_CATEGORIES = 32


def numeric(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """z-scores, shape (n, 1); with missing values (NaN) (n, 2): they lie at the mean, and apart.

    >>> numeric(np.array([1.0, 3.0, np.nan])).tolist()
    [[-1.0, 0.0], [1.0, 0.0], [0.0, 1.4142135623730951]]
    """
    missing = np.isnan(values)
    there = values[~missing]
    spread = float(there.std()) if len(there) else 0.0
    middle = float(there.mean()) if len(there) else 0.0
    scores = np.where(missing, 0.0, (values - middle) / spread) if spread > 0 else np.zeros(len(values))
    return scores[:, None] if not missing.any() else np.column_stack([scores, missing * np.sqrt(2)])


def ordinal(codes: NDArray[np.int64]) -> NDArray[np.float64]:
    """z-scores of mean ranks, as :func:`numeric`; a negative code is a missing value.

    >>> ordinal(np.array([5, 9, 9, 7])).round(3).tolist()
    [[-1.414], [0.943], [0.943], [-0.471]]
    """
    distinct, places, counts = np.unique(codes, return_inverse=True, return_counts=True)
    counts = np.where(distinct < 0, 0, counts)
    ranks = (np.cumsum(counts) - counts / 2).astype(np.float64)
    ranks[distinct < 0] = np.nan
    return numeric(ranks[places])


def categorical(codes: NDArray[np.int64]) -> NDArray[np.float64]:
    """A 0/1 coordinate for each of the most frequent values, one for the others; a missing code is a value.

    >>> categorical(np.array([0, 1, 0]))
    array([[1., 0.],
           [0., 1.],
           [1., 0.]])
    """
    _, places, counts = np.unique(codes, return_inverse=True, return_counts=True)
    ranks = np.empty(len(counts), dtype=np.int64)
    ranks[np.argsort(-counts, kind="stable")] = np.arange(len(counts))
    found = np.zeros((len(codes), min(max(len(counts), 1), MOST_CATEGORIES)))
    found[np.arange(len(codes)), np.minimum(ranks[places], MOST_CATEGORIES - 1)] = 1
    return found
