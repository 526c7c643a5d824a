"""Classes as declared: which of them there are is not read from people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sfumato.core.errors import InputError


def coded(labels: Any, classes: Sequence[Any] | None, rows: int) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """The declared classes, sorted, and the number of each label's.

    Raises:
        InputError: ``usage``: no classes are declared, or labels that are none of them.
    """
    if classes is None or len(set(classes)) < 2:
        raise InputError(
            "usage",
            "the classes are not declared",
            remedy="classes=[...]: all that there can be, two or more",
        )
    given = labels.to_numpy() if isinstance(labels, pl.Series) else np.asarray(labels)
    if given.shape != (rows,):
        raise InputError("usage", "there must be one label for each row")
    known = np.unique(np.asarray(list(classes)))
    places = {value: number for number, value in enumerate(known.tolist())}
    found = np.array([places.get(value, -1) for value in given.tolist()], dtype=np.int64)
    if (found < 0).any():
        raise InputError(
            "usage", "a label is none of the declared classes", remedy="declare it, or leave such rows out"
        )
    return known, found
