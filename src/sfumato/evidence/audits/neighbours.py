"""Neighbours made to show what depends on the data: one person less, one far away, one of a new kind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sfumato.core.errors import InputError

#: How many times its range a far value lies above a column.
_FAR = 1000.0


def neighbours_of(
    data: Any, relation: Literal["add-remove", "replace-one"] = "add-remove"
) -> list[tuple[str, Any]]:
    """Neighbours of a table, with their names; one row is one person.

    Args:
        data: a Polars frame, an array, or a tuple of arrays of as many rows.

    Raises:
        InputError: ``usage`` for anything else, or no rows.

    >>> [name for name, _ in neighbours_of(np.arange(6.0).reshape(3, 2))]
    ['without its first row', 'without its most extreme row', 'with a far row']
    """
    frames = isinstance(data, pl.DataFrame)
    if not (frames or isinstance(data, (np.ndarray, tuple))):
        raise InputError("usage", "neighbours are made of a Polars frame, an array or a tuple of arrays")
    parts: tuple[Any, ...] = data if isinstance(data, tuple) else (data,)
    rows = len(parts[0])
    if not rows or any(len(part) != rows for part in parts):
        raise InputError("usage", "the data have no rows, or parts with different numbers of them")
    extreme = _extreme(parts[0])

    def back(made: Sequence[Any]) -> Any:
        return tuple(made) if isinstance(data, tuple) else made[0]

    if relation == "replace-one":
        return [
            ("with its first row made far", back([_set(part, 0, _far(part)) for part in parts])),
            (
                "with its most extreme row made ordinary",
                back([_set(part, extreme, part[0:1]) for part in parts]),
            ),
        ]
    return [
        ("without its first row", back([_without(part, 0) for part in parts])),
        ("without its most extreme row", back([_without(part, extreme) for part in parts])),
        ("with a far row", back([_joined(part, _far(part)) for part in parts])),
    ]


def _numbers(part: Any) -> NDArray[np.float64]:
    if isinstance(part, pl.DataFrame):
        return part.select(pl.selectors.numeric()).cast(pl.Float64).to_numpy()
    found = np.asarray(part)
    return (
        found.reshape(len(found), -1).astype(np.float64)
        if found.dtype.kind in "fiub"
        else np.zeros((len(found), 0))
    )


def _extreme(part: Any) -> int:
    """The row that is farthest from the middle in some column."""
    numbers = np.nan_to_num(_numbers(part))
    if not numbers.shape[1]:
        return len(numbers) - 1
    away = np.abs(numbers - np.median(numbers, axis=0))
    return int(np.argmax((away / np.maximum(away.max(axis=0), 1e-300)).sum(axis=1)))


def _far(part: Any) -> Any:
    """One row that no other is like: far numbers, a text of its own; a label stays one of the labels."""
    if isinstance(part, pl.DataFrame):
        return pl.DataFrame(
            {name: _far_value(part[name]) for name in part.columns}, schema=part.schema, strict=False
        )
    row = part[0:1].copy()
    if part.dtype.kind == "f":
        row[...] = part.max(axis=0) + _FAR * (np.ptp(part, axis=0) + 1)
    elif part.dtype.kind in "iu" and part.ndim > 1:
        row[...] = part.max(axis=0) + 1
    elif part.dtype.kind in "OU" and part.ndim > 1:
        row[...] = "a new kind"
    return row


def _far_value(column: pl.Series) -> list[Any]:
    if column.dtype.is_float():
        low, high = (
            np.min(column.drop_nulls().to_numpy(), initial=0),
            np.max(column.drop_nulls().to_numpy(), initial=0),
        )
        return [float(high + _FAR * (high - low + 1))]
    if column.dtype.is_integer():
        return [int(column.drop_nulls().to_numpy().max(initial=0)) + 1]
    return ["a new kind"] if column.dtype == pl.String else column.head(1).to_list()


def _without(part: Any, row: int) -> Any:
    if isinstance(part, pl.DataFrame):
        return pl.concat([part.head(row), part.slice(row + 1)])
    return np.delete(part, row, axis=0)


def _joined(part: Any, row: Any) -> Any:
    return pl.concat([part, row]) if isinstance(part, pl.DataFrame) else np.concatenate([part, row])


def _set(part: Any, at: int, row: Any) -> Any:
    if isinstance(part, pl.DataFrame):
        return pl.concat([part.head(at), row, part.slice(at + 1)])
    return np.concatenate([part[:at], row, part[at + 1 :]])


def same(first: Any, second: Any) -> bool:
    """Whether two things are the same to the last bit, whatever they are made of."""
    if type(first) is not type(second):
        return False
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(same(first[name], second[name]) for name in first)
    if isinstance(first, (list, tuple)):
        return len(first) == len(second) and all(map(same, first, second))
    if isinstance(first, np.ndarray):
        if first.dtype == object:
            return first.shape == second.shape and same(first.tolist(), second.tolist())
        return (first.dtype, first.shape, first.tobytes()) == (second.dtype, second.shape, second.tobytes())
    if isinstance(first, (pl.DataFrame, pl.Series)):
        return first.equals(second)
    if isinstance(first, float) and first != first:
        return bool(second != second)
    if hasattr(first, "__dict__") and not callable(first):
        return same(vars(first), vars(second))
    return bool(first == second)
