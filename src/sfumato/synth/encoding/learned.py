"""The coding of a column as its rows have it, without differential privacy."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sfumato.synth.encoding.bins import Cells, binned
from sfumato.synth.encoding.columns import Numbers, Values, counted
from sfumato.synth.encoding.scales import Scale, is_ordered, present


def column(values: pl.Series, bins: int, most: int, least: int) -> tuple[Values | Numbers, dict[str, Any]]:
    """The coding of a column, and what to say of it: how many rows had rare values, in round figures."""
    known = present(values)
    missing = known.null_count() >= max(least, 1)
    coding, rare = (
        _numbers(known, bins, most, least, missing)
        if is_ordered(known.dtype)
        else _values(known, least, missing)
    )
    fact = {"column": values.name, "codes": coding.field.size, "rare": about(rare, least)}
    return coding, fact


def about(rows: int, least: int) -> str:
    """A number of rows without telling of few people.

    >>> about(0, 10), about(7, 10), about(1234, 10)
    ('none', 'fewer than 10', 'about 1230')
    """
    if rows < least:
        return f"fewer than {least}" if rows else "none"
    return f"about {round(rows, -1)}"


def _values(values: pl.Series, least: int, missing: bool) -> tuple[Values, int]:
    distinct, counts = counted(values)
    common = np.flatnonzero(counts >= least)
    rare = int(counts.sum() - counts[common].sum())
    most = int(np.argmax(counts[common])) if len(common) else 0
    coding = Values(
        values.name,
        values.dtype,
        tuple(distinct[place] for place in common),
        tuple((counts[common] / max(int(counts[common].sum()), 1)).tolist()),
        rare >= least,
        missing,
        most,
    )
    return coding, rare


def _numbers(
    values: pl.Series, bins: int, most: int, least: int, missing: bool
) -> tuple[Values | Numbers, int]:
    scale = Scale.learned(values, least)
    ticks = np.sort(scale.ticks(values))
    if len(ticks) < max(least, 1):
        return Values(values.name, values.dtype, (), missing=missing), len(ticks)
    low, high = _ends(ticks, least)
    inside = np.clip(ticks, low, high)
    distinct, counts = np.unique(inside, return_counts=True)
    # What was moved to a bound does not make a common value of it.
    alone = counts - np.where(distinct == low, np.count_nonzero(ticks < low), 0)
    alone = alone - np.where(distinct == high, np.count_nonzero(ticks > high), 0)
    own = (alone >= least) | (len(distinct) == 1)
    found = binned(Cells(distinct, distinct, counts.astype(float), own), bins, most, float(least))
    rare = int(np.count_nonzero((ticks < low) | (ticks > high)))
    return Numbers(values.name, scale, found, missing), rare


def _ends(ticks: NDArray[Any], least: int) -> tuple[Any, Any]:
    """Bounds that ``least`` people reach or pass; the middle where they would cross."""
    if len(ticks) < 2 * least and least > 1:
        return (ticks[len(ticks) // 2],) * 2
    return ticks[least - 1], ticks[-least]
