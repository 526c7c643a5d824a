"""What an adversary holds: a register of people with the columns they know, exact or with flaws."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sfumato.core.keyed import derive, draws, generator


@dataclass(frozen=True)
class Register:
    """Raw rows of people, and which cells the holder does not have (they say nothing)."""

    people: pl.DataFrame
    gaps: NDArray[np.bool_]


def sample_rows(rows: NDArray[np.int64], most: int, key: bytes) -> NDArray[np.int64]:
    """At most ``most`` of some row numbers, in the order of their keyed draws.

    A smaller sample is the beginning of a larger one.
    """
    order = np.argsort(draws(key, rows.astype(np.uint64)), kind="stable")
    return rows[order[:most]]


def with_flaws(
    people: pl.DataFrame,
    columns: Sequence[str],
    population: pl.DataFrame,
    *,
    errors: float,
    gaps: float,
    key: bytes,
) -> Register:
    """A register in which cells are wrong or missing, each with its own probability.

    A wrong number is the next smaller or greater one that occurs in ``population``; any other wrong
    value is a draw from its column there (and so may by chance be right).

    Args:
        people: raw rows.
        columns: the columns of the register.
        population: raw rows of the same columns, whose values errors come from.
        errors, gaps: probabilities for each cell.
        key: the flaws are the same for the same key.
    """
    draw = generator(derive(key, "gaps"))
    missing = draw.random((people.height, len(columns))) < gaps
    altered = [
        _altered(people[column], population[column], errors, derive(key, "errors", column))
        for column in columns
    ]
    return Register(people.with_columns(altered), missing)


def _altered(values: pl.Series, observed: pl.Series, errors: float, key: bytes) -> pl.Series:
    draw = generator(key)
    wrong = draw.random(len(values)) < errors
    known = observed.drop_nulls()
    if not len(known):
        return values
    if values.dtype.is_numeric() or values.dtype.is_temporal():
        levels = known.unique().sort()
        at = levels.search_sorted(values.fill_null(levels[0])).to_numpy().astype(np.int64)
        shift = np.where(draw.random(len(values)) < 0.5, -1, 1)
        # At an end of the scale the only neighbour is on the other side.
        moved = np.where((at + shift < 0) | (at + shift >= len(levels)), at - shift, at + shift)
        drawn = levels.gather(np.clip(moved, 0, len(levels) - 1))
    else:
        drawn = known.gather(draw.integers(0, len(known), len(values)))
    chosen = pl.Series(wrong) & values.is_not_null()
    return drawn.zip_with(chosen, values).alias(values.name)
