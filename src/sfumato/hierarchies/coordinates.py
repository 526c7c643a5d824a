"""Places as cells of H3, the hexagonal grid of Uber."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

import polars as pl
from pydantic import Field, model_validator

from sfumato import contracts
from sfumato.core.errors import InputError
from sfumato.hierarchies.labelling import top

#: Latitude and longitude in degrees, with decimal points.
_NUMBER = r"[+-]?[0-9]{1,3}(?:\.[0-9]+)?"
_PLACE = rf"^\s*({_NUMBER})\s*[,;\s]\s*({_NUMBER})\s*$"
_CELL = re.compile("[0-9a-f]{15,16}")
_LARGEST_CELL = 2**63


class CoordinateHierarchy:
    """Level i is the H3 cell of resolution ``resolutions[i - 1]`` that a place lies in; the top is ``*``.

    A value is text with latitude and longitude in degrees, ``47.3769, 8.5417``, or the number of an H3
    cell, written as H3 writes it or as an integer. A cell coarser than a level stays as it is there. What
    is no place has no label below the top. A cell of resolution 9 has an edge of about 200 m, of 7 about
    1.4 km, of 5 about 10 km. Parents are those of H3's numbering, the edge of which may lie outside by
    a little; so levels nest exactly.

    Raises:
        InputError: ``column-values`` if the column is neither of text nor of integers.
    """

    summary: ClassVar[str] = "places as cells of the H3 grid, finer to coarser"

    class Params(contracts.Params):
        """``resolutions`` of H3, falling, from 15 (a square metre) to 0 (a continent)."""

        resolutions: Annotated[tuple[Annotated[int, Field(ge=0, le=15)], ...], Field(min_length=1)]

        @model_validator(mode="after")
        def _falls(self) -> Self:
            if any(
                coarse >= fine for fine, coarse in zip(self.resolutions, self.resolutions[1:], strict=False)
            ):
                raise ValueError("resolutions must fall from level to level")
            return self

    def __init__(self, params: CoordinateHierarchy.Params, folder: Path) -> None:
        del folder
        self.params = params

    @property
    def height(self) -> int:
        """The place, one level a resolution, and the top."""
        return len(self.params.resolutions) + 2

    def labels(self, values: pl.Series, level: int) -> pl.Series:
        """The cell of each place, as H3 writes it."""
        if not (values.dtype.is_integer() or values.dtype in (pl.String, pl.Null)):
            raise InputError(
                "column-values",
                "a hierarchy of coordinates needs text or cells of H3, and the column has other values",
                where=f"column {values.name}",
                remedy="for latitude and longitude in columns of their own use intervals on each",
            )
        if level == self.height - 1:
            return top(values)
        resolution = self.params.resolutions[level - 1]
        labels = [_coarsened(cell, resolution) for cell in self._cells(values)]
        return pl.Series(values.name, labels, dtype=pl.String)

    def domain(self) -> None:
        """The data's own values are the leaves."""

    def centers(self, values: pl.Series, level: int) -> None:
        """A place is two numbers."""
        del values, level

    def _cells(self, values: pl.Series) -> list[str | None]:
        """The finest cell that is known of each place: all coarser ones are counted from it."""
        if values.dtype.is_integer():
            return [_numbered(value) for value in values]
        finest = self.params.resolutions[0]
        text = values.cast(pl.String)
        parts = text.to_frame().select(
            pl.col(values.name).str.extract(_PLACE, group).cast(pl.Float64).alias(name)
            for group, name in ((1, "latitude"), (2, "longitude"))
        )
        return [
            _written(value) if latitude is None else _located(latitude, longitude, finest)
            for value, latitude, longitude in zip(text, *parts, strict=True)
        ]


def _located(latitude: float, longitude: float, resolution: int) -> str | None:
    import h3

    if abs(latitude) > 90 or abs(longitude) > 180:
        return None
    return str(h3.latlng_to_cell(latitude, longitude, resolution))


def _written(value: str | None) -> str | None:
    import h3

    text = (value or "").strip().lower()
    if not _CELL.fullmatch(text) or not h3.is_valid_cell(text):
        return None
    return str(h3.int_to_str(h3.str_to_int(text)))


def _numbered(value: Any) -> str | None:
    import h3

    if value is None or not 0 < value < _LARGEST_CELL:
        return None
    return _written(h3.int_to_str(value))


def _coarsened(cell: str | None, resolution: int) -> str | None:
    import h3

    if cell is None or h3.get_resolution(cell) <= resolution:
        return cell
    return str(h3.cell_to_parent(cell, resolution))
