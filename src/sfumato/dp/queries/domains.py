"""What values a column may have, as it is declared; everything else is one cell more, or is left out."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field, model_validator

from sfumato import contracts
from sfumato.core.errors import InputError
from sfumato.dp.queries.base import MOST_CELLS, column, numbers

Label = bool | int | float | str


class Bounds(contracts.Params):
    """The least and greatest number that counts as it is."""

    bounds: tuple[float, float]

    @model_validator(mode="after")
    def _ordered(self) -> Bounds:
        check_bounds(self.bounds)
        return self


def check_bounds(bounds: tuple[float, float]) -> None:
    """ValueError unless the lower bound is the lower one."""
    if not bounds[0] < bounds[1]:
        raise ValueError("the lower bound must be below the upper one")


class Domain(contracts.Params):
    """The cells of a column: its ``categories``, or the intervals between ascending ``edges``.

    An interval has its lower edge and not its upper one; the last has both. ``other`` names a cell for all
    other values, ``missing`` one for rows without a value; without a name such rows are left out.
    """

    categories: Annotated[tuple[Label, ...], Field(min_length=1)] | None = None
    edges: Annotated[tuple[float, ...], Field(min_length=2)] | None = None
    other: str | None = None
    missing: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _short(cls, given: Any) -> Any:
        return {"categories": given} if isinstance(given, list | tuple) else given

    @model_validator(mode="after")
    def _one(self) -> Domain:
        if (self.categories is None) == (self.edges is None):
            raise ValueError("declare either categories or edges")
        if self.edges is not None and not all(low < high for low, high in pairwise(self.edges)):
            raise ValueError("edges must ascend")
        if len(set(self.labels())) < len(self.labels()):
            raise ValueError("two cells have the same label")
        return self

    def labels(self) -> list[str]:
        """A label for each cell, in the order of the declaration; other and missing come last."""
        more = [label for label in (self.other, self.missing) if label is not None]
        if self.edges is not None:
            ends = [_short(edge) for edge in self.edges]
            return [f"{low}..{high}" for low, high in pairwise(ends)] + more
        assert self.categories is not None
        return [_text(value) for value in self.categories] + more

    def codes(self, table: pl.DataFrame, name: str) -> NDArray[np.int64]:
        """The cell of each row, -1 for none, shape (rows,)."""
        values = column(table, name)
        if self.edges is not None:
            codes, known = self._intervals(numbers(table, name))
        else:
            codes, known = self._categories(values, name)
        declared = len(self.edges) - 1 if self.edges is not None else len(self.categories or ())
        absent = values.is_null().to_numpy() | (
            values.is_nan().fill_null(False).to_numpy() if values.dtype.is_float() else False
        )
        elsewhere = declared if self.other is not None else -1
        nowhere = declared + (self.other is not None) if self.missing is not None else -1
        found: NDArray[np.int64] = np.where(absent, nowhere, np.where(known, codes, elsewhere))
        return found

    def _intervals(self, values: pl.Series) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        assert self.edges is not None
        edges = np.array(self.edges)
        given = values.fill_null(math.inf).to_numpy()
        codes = np.searchsorted(edges, given, side="right") - 1
        codes[given == edges[-1]] = len(edges) - 2
        return codes.astype(np.int64), (given >= edges[0]) & (given <= edges[-1])

    def _categories(self, values: pl.Series, name: str) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        assert self.categories is not None
        if values.dtype.is_numeric():
            keys = pl.Series([_number(value, name) for value in self.categories], dtype=pl.Float64)
            values = values.cast(pl.Float64)
        else:
            keys = pl.Series([_text(value) for value in self.categories], dtype=pl.String)
            values = _as_text(values, name)
        frame = pl.DataFrame({"key": keys, "code": pl.int_range(len(keys), dtype=pl.Int64, eager=True)})
        found = pl.DataFrame({"key": values}).join(frame, on="key", how="left", maintain_order="left")["code"]
        return found.fill_null(0).to_numpy(), found.is_not_null().to_numpy()


def shape(domains: Mapping[str, Domain]) -> tuple[int, ...]:
    """The number of cells of each column.

    Raises:
        InputError: ``usage`` if the table would have more than :data:`MOST_CELLS`.
    """
    sizes = tuple(len(domain.labels()) for domain in domains.values())
    if math.prod(sizes) > MOST_CELLS:
        raise InputError(
            "usage",
            f"the table has {math.prod(sizes):,} cells, of which most would hold noise alone",
            remedy=f"declare fewer categories or columns; at most {MOST_CELLS:,} cells",
        )
    return sizes


def cells_of(table: pl.DataFrame, domains: Mapping[str, Domain]) -> NDArray[np.int64]:
    """The cell of each row in the table of all domains (C order), -1 for none."""
    sizes = shape(domains)
    flat = np.zeros(table.height, dtype=np.int64)
    inside = np.ones(table.height, dtype=np.bool_)
    for (name, domain), size in zip(domains.items(), sizes, strict=True):
        codes = domain.codes(table, name)
        inside &= codes >= 0
        flat = flat * size + codes
    flat[~inside] = -1
    return flat


def labels_of(domains: Mapping[str, Domain]) -> dict[str, pl.Series]:
    """The labels of all cells, a column for each domain, in C order."""
    sizes = shape(domains)
    found, before = {}, 1
    for (name, domain), size in zip(domains.items(), sizes, strict=True):
        before *= size
        positions = np.tile(np.repeat(np.arange(size), math.prod(sizes) // before), before // size)
        found[name] = pl.Series(name, domain.labels(), dtype=pl.String)[positions]
    return found


def _text(value: Label) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return _short(value) if isinstance(value, float) else str(value)


def _short(number: float) -> str:
    return str(int(number)) if float(number).is_integer() and abs(number) < 1e15 else repr(float(number))


def _number(value: Label, name: str) -> float:
    try:
        return float(value)
    except ValueError:
        raise InputError(
            "column-values",
            f'"{name}" has numbers, and a declared category is none',
            where=f'column "{name}"',
            remedy="declare numbers as its categories, or edges",
        ) from None


def _as_text(values: pl.Series, name: str) -> pl.Series:
    try:
        return values.cast(pl.String)
    except pl.exceptions.PolarsError:
        raise InputError(
            "column-values",
            f'"{name}" holds {values.dtype}, which has no categories',
            where=f'column "{name}"',
            remedy="keep a part of it in a column of its own",
        ) from None
