"""The shortest ladder: the value, or nothing."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import polars as pl

from sfumato import contracts
from sfumato.hierarchies.labelling import top


class SuppressHierarchy:
    """Two levels: the value and ``*``."""

    summary: ClassVar[str] = "the value, or * for all values"

    class Params(contracts.Params):
        """No parameters."""

    height = 2

    def __init__(self, params: SuppressHierarchy.Params, folder: Path) -> None:
        del params, folder

    def labels(self, values: pl.Series, level: int) -> pl.Series:
        """``*`` for everything."""
        del level
        return top(values)

    def domain(self) -> None:
        """The data's own values are the leaves."""

    def centers(self, values: pl.Series, level: int) -> None:
        """``*`` stands for no number."""
        del values, level
