"""The value that a class gets in a column."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from sfumato.core.errors import InputError

How = Literal["mean", "median", "mode"]


def aggregate(
    values: NDArray[np.float64] | NDArray[np.int64], classes: NDArray[np.int64], how: How = "mean"
) -> NDArray[np.float64] | NDArray[np.int64]:
    """One value for each class, of the type that the column has: integers stay integers by rounding.

    A missing value (NaN) is never averaged into others. A class gets the value of its members that have
    one, and a missing one only if nobody has; whether a value is missing is a coordinate of its own when
    classes are made (:func:`~sfumato.anonymity.microaggregation.coordinates.numeric`), so few classes mix.

    Args:
        values: shape (n,); codes of categories are integers, for ``mode``.
        classes: shape (n,), numbers from 0 without gaps.
        how: ``mode`` takes the smallest of the most frequent values, ``median`` the mean of the two in the
            middle, rounded to even for integers.

    Returns:
        Shape (classes,).

    Raises:
        InputError: ``usage`` for an unknown ``how``.

    >>> aggregate(np.array([1, 2, 2, 9]), np.array([0, 0, 0, 1]))
    array([2, 9])
    >>> aggregate(np.array([1.0, np.nan, np.nan]), np.array([0, 0, 1]))
    array([ 1., nan])
    """
    size = int(classes.max(initial=-1)) + 1
    there = ~np.isnan(values)
    held: NDArray[Any]
    found: NDArray[Any]
    held, at = values[there], classes[there]
    counts = np.bincount(at, minlength=size)
    if how == "mean":
        found = _means(held, at, counts)
    elif how == "median":
        found = _medians(held, at, counts)
    elif how == "mode":
        found = _modes(held, at, counts)
    else:
        raise InputError("usage", "a class value is its mean, median or mode", remedy="name one of them")
    if np.issubdtype(values.dtype, np.integer):
        found = np.rint(found).astype(values.dtype) if found.dtype.kind == "f" else found
    else:
        found = np.where(counts > 0, found, np.nan)
    return found


def _means(values: NDArray[Any], classes: NDArray[np.int64], counts: NDArray[np.int64]) -> NDArray[Any]:
    # About the middle of the column, so that a large offset costs no digits.
    middle = values[len(values) // 2] if len(values) else 0
    found: NDArray[np.float64] = middle + np.bincount(classes, values - middle, len(counts)) / np.maximum(
        counts, 1
    )
    return found


def _medians(values: NDArray[Any], classes: NDArray[np.int64], counts: NDArray[np.int64]) -> NDArray[Any]:
    held = values[np.lexsort((values, classes))]
    if not len(held):
        return np.zeros(len(counts))
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    last = len(held) - 1
    low = held[np.minimum(starts + np.maximum(counts - 1, 0) // 2, last)]
    high = held[np.minimum(starts + counts // 2, last)]
    found: NDArray[np.float64] = low + (high - low) / 2
    return found


def _modes(values: NDArray[Any], classes: NDArray[np.int64], counts: NDArray[np.int64]) -> NDArray[Any]:
    order = np.lexsort((values, classes))
    held, at = values[order], classes[order]
    found = np.zeros(len(counts), dtype=values.dtype)
    new = np.ones(len(held), dtype=bool)
    new[1:] = (held[1:] != held[:-1]) | (at[1:] != at[:-1])
    (starts,) = np.nonzero(new)
    runs = np.diff(np.append(starts, len(held)))
    # The last one written stays: the longest run, of equal ones that of the smallest value.
    ranked = starts[np.lexsort((-held[starts], runs, at[starts]))]
    found[at[ranked]] = held[ranked]
    return found
