"""Microaggregation that keeps equal values together, against every way to cut."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sfumato.anonymity.microaggregation.distinct import univariate_distinct
from sfumato.core.errors import InputError

columns = st.dictionaries(st.integers(-20, 20), st.integers(1, 6), min_size=1, max_size=9)


def squares(values: np.ndarray, counts: np.ndarray, classes: np.ndarray) -> float:
    total = 0.0
    for number in np.unique(classes):
        inside = classes == number
        mean = np.average(values[inside], weights=counts[inside])
        total += float((counts[inside] * (values[inside] - mean) ** 2).sum())
    return total


@settings(deadline=None)
@given(column=columns, k=st.integers(1, 8))
def test_no_other_cuts_lose_less(column: dict[int, int], k: int) -> None:
    values = np.array(sorted(column), dtype=float)
    counts = np.array([column[int(value)] for value in values])
    if counts.sum() < k:
        with pytest.raises(InputError, match="anonymity-impossible"):
            univariate_distinct(values, counts, k)
        return
    found = univariate_distinct(values, counts, k)
    assert np.bincount(found, counts).min() >= k
    assert (np.diff(found) >= 0).all()
    best = min(
        squares(values, counts, classes)
        for cuts in product((0, 1), repeat=len(values) - 1)
        for classes in [np.concatenate([[0], np.cumsum(cuts)]).astype(int)]
        if np.bincount(classes, counts).min() >= k
    )
    assert squares(values, counts, found) == pytest.approx(best)
