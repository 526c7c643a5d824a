"""Codes by their leading characters: postcodes, occupation and diagnosis codes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Self

import polars as pl
from pydantic import Field, model_validator

from sfumato import contracts
from sfumato.hierarchies.labelling import top
from sfumato.hierarchies.ladder import ANY


class PrefixHierarchy:
    """Level i keeps the first ``keep[i - 1]`` characters and ends in ``*``; the top is ``*``."""

    summary: ClassVar[str] = "codes by their leading characters, the rest masked"

    class Params(contracts.Params):
        """``keep`` falls from level to level and ends above 0."""

        keep: Annotated[tuple[Annotated[int, Field(gt=0)], ...], Field(min_length=1)]

        @model_validator(mode="after")
        def _falls(self) -> Self:
            if any(few >= many for many, few in zip(self.keep, self.keep[1:], strict=False)):
                raise ValueError("keep must fall from level to level")
            return self

    def __init__(self, params: PrefixHierarchy.Params, folder: Path) -> None:
        del folder
        self.params = params

    @property
    def height(self) -> int:
        """The value, one level a prefix, and the top."""
        return len(self.params.keep) + 2

    def labels(self, values: pl.Series, level: int) -> pl.Series:
        """The prefix of each code; codes no longer than it stay whole."""
        if level == self.height - 1:
            return top(values)
        keep = self.params.keep[level - 1]
        text = values.cast(pl.String)
        longer = text.str.len_chars() > keep
        return text.to_frame().select(
            pl.when(longer).then(text.str.slice(0, keep) + ANY).otherwise(text).alias(values.name)
        )[values.name]

    def domain(self) -> None:
        """The data's own values are the leaves."""

    def centers(self, values: pl.Series, level: int) -> pl.Series | None:
        """A code's number means nothing."""
        del values, level
        return None
