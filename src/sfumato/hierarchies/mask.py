"""Codes with characters hidden from one end, their length kept."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

import polars as pl
from pydantic import Field, model_validator

from sfumato import contracts
from sfumato.hierarchies.labelling import top
from sfumato.hierarchies.ladder import ANY


class MaskHierarchy:
    """Level i has ``hide[i - 1]`` characters of each code replaced by ``*``, one for each; the top is ``*``.

    Counted from the end, codes of different lengths lose their finest part alike; a code that is no
    longer than what is hidden has nothing left but its length. Where the number of leading characters
    is what matters, and not how many follow, use ``prefix``.
    """

    summary: ClassVar[str] = "codes with characters hidden from one end, their length kept"

    class Params(contracts.Params):
        """``hide`` grows from level to level; ``side`` is where the hidden characters are."""

        hide: Annotated[tuple[Annotated[int, Field(gt=0)], ...], Field(min_length=1)]
        side: Literal["end", "start"] = "end"

        @model_validator(mode="after")
        def _grows(self) -> Self:
            if any(many <= few for few, many in zip(self.hide, self.hide[1:], strict=False)):
                raise ValueError("hide must grow from level to level")
            return self

    def __init__(self, params: MaskHierarchy.Params, folder: Path) -> None:
        del folder
        self.params = params

    @property
    def height(self) -> int:
        """The value, one level a number of hidden characters, and the top."""
        return len(self.params.hide) + 2

    def labels(self, values: pl.Series, level: int) -> pl.Series:
        """The code with its last (or first) characters hidden."""
        if level == self.height - 1:
            return top(values)
        hide = self.params.hide[level - 1]
        text = pl.col(values.name).cast(pl.String)
        length = text.str.len_chars().cast(pl.Int64)
        hidden = pl.min_horizontal(length, pl.lit(hide))
        if self.params.side == "end":
            masked = text.str.slice(0, length - hidden) + _stars(hidden, hide)
        else:
            masked = _stars(hidden, hide) + text.str.slice(hidden)
        return values.to_frame().select(masked.alias(values.name))[values.name]

    def domain(self) -> None:
        """The data's own values are the leaves."""

    def centers(self, values: pl.Series, level: int) -> None:
        """A code's number means nothing."""
        del values, level


def _stars(count: pl.Expr, most: int) -> pl.Expr:
    return pl.lit(ANY * most).str.slice(0, count)
