"""What the transforms of numbers share."""

from __future__ import annotations

import polars as pl

from sfumato.core.errors import InputError


def require_numbers(values: pl.Series, action: str) -> None:
    """Refuse a column that is not of numbers.

    Raises:
        InputError: ``column-values``.
    """
    if not values.dtype.is_numeric() and values.dtype != pl.Null:
        raise InputError(
            "column-values",
            f'the action "{action}" needs numbers, and the column has other values',
            remedy="declare the codes for missing under dataset.source.missing, or choose another action",
        )
