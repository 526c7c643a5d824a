"""Ladders written by a person, in the file format of ARX: one row a value, one column a level."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Annotated, ClassVar

import polars as pl
from pydantic import Field

from sfumato import contracts
from sfumato.core.errors import InputError

Rows = dict[str, tuple[int, tuple[str, ...]]]


class FileHierarchy:
    """Each row of the file is a value and its labels from the finest level to the coarsest.

    A value may occur twice with the same labels (both rows count as leaves, as in ARX), never with
    others. An empty first cell gives the labels of missing values.

    Raises:
        InputError: ``hierarchy-invalid`` for a file that is missing, ragged or contradictory, with
            the numbers of the rows at fault.
    """

    summary: ClassVar[str] = "labels from a file in ARX's format"

    class Params(contracts.Params):
        """``path`` is relative to the policy's folder."""

        path: Annotated[str, Field(min_length=1)]
        separator: Annotated[str, Field(min_length=1, max_length=1)] = ";"
        encoding: str = "utf-8"

    def __init__(self, params: FileHierarchy.Params, folder: Path) -> None:
        self.params = params
        self.path = folder / params.path
        rows = self._read()
        self._rows = self._distinct(rows)
        self._domain = pl.Series("value", [row[0] or None for row in rows], dtype=pl.String)
        self._width = len(rows[0])

    @property
    def height(self) -> int:
        """The number of columns of the file."""
        return self._width

    def labels(self, values: pl.Series, level: int) -> pl.Series:
        """The label in column ``level`` of each value's row; missing for values that have no row."""
        text = values.cast(pl.String)
        labels = [self._label(value, level) for value in text]
        return pl.Series(values.name, labels, dtype=pl.String)

    def domain(self) -> pl.Series:
        """The first column of the file, consistent duplicates included."""
        return self._domain

    def centers(self, values: pl.Series, level: int) -> pl.Series | None:
        """The mean of a label's leaves, if the leaves are numbers."""
        if level == 0:
            return values.cast(pl.Float64, strict=False)
        leaves = self._domain.cast(pl.Float64, strict=False)
        if leaves.null_count() > self._domain.null_count():
            return None
        means = (
            pl.DataFrame({"label": self.labels(self._domain, level), "leaf": leaves})
            .group_by("label")
            .agg(pl.col("leaf").mean())
        )
        if means.height == 1:
            return None
        labels = pl.DataFrame({"label": self.labels(values, level)})
        return labels.join(means, on="label", how="left", maintain_order="left")["leaf"].alias(values.name)

    def _label(self, value: str | None, level: int) -> str | None:
        found = self._rows.get(value or "")
        return found[1][level] if found else None

    def _read(self) -> list[list[str]]:
        try:
            with self.path.open(encoding=self.params.encoding, newline="") as file:
                rows = [row for row in csv.reader(file, delimiter=self.params.separator, strict=True) if row]
        except (OSError, ValueError, csv.Error, LookupError, TypeError) as error:
            raise self._invalid(
                f"it cannot be read ({type(error).__name__})", "check path, encoding and separator"
            ) from None
        if not rows:
            raise self._invalid("it is empty", "write one row a value: the value, then its labels")
        for number, row in enumerate(rows, 1):
            if len(row) != len(rows[0]):
                raise self._invalid(
                    f"row {number} has {len(row)} cells and row 1 has {len(rows[0])}",
                    "every value needs a label at every level",
                )
        if len(rows[0]) < 2:
            raise self._invalid(
                "it has one column only", f'check the separator, "{self.params.separator}" is used'
            )
        return rows

    def _distinct(self, rows: list[list[str]]) -> Rows:
        seen: Rows = {}
        for number, row in enumerate(rows, 1):
            first, labels = seen.setdefault(row[0], (number, tuple(row)))
            if labels != tuple(row):
                raise self._invalid(
                    f"row {number} gives the value of row {first} other labels",
                    "leave one row for each value",
                )
        for level in range(1, len(rows[0]) - 1):
            parents: dict[str, tuple[int, str]] = {}
            for number, row in enumerate(rows, 1):
                first, parent = parents.setdefault(row[level], (number, row[level + 1]))
                if parent != row[level + 1]:
                    raise self._invalid(
                        f"levels {level} and {level + 1} do not nest: "
                        f"rows {first} and {number} share a label and part again above it",
                        "give labels that mean different groups different names",
                    )
        return seen

    def _invalid(self, what: str, remedy: str) -> InputError:
        return InputError("hierarchy-invalid", what, where=f"hierarchy file {self.path.name}", remedy=remedy)
