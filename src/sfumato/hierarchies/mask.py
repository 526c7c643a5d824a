"""Codes with characters hidden from one end or at chosen places, their length kept."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

import polars as pl
from pydantic import Field, model_validator

from sfumato import contracts
from sfumato.hierarchies.labelling import top
from sfumato.hierarchies.ladder import ANY

#: A place of a character: 1 is the first, -1 the last.
Place = Annotated[int, Field(ge=-1000, le=1000)]


class MaskHierarchy:
    """Each level has more characters of each code replaced by ``*``, one for each; the top is ``*``.

    With ``hide``, level i hides ``hide[i - 1]`` of them, from one end. Counted from the end, codes of
    different lengths lose their finest part alike; a code that is no longer than what is hidden has
    nothing left but its length. With ``positions``, level i hides the places of ``positions[:i]``,
    counted from 1, or from -1 at the end; a code without such a place has nothing hidden there. Where
    the number of leading characters is what matters, and not how many follow, use ``prefix``.
    """

    summary: ClassVar[str] = (
        "codes with characters hidden from one end or at chosen places, their length kept"
    )

    class Params(contracts.Params):
        """``hide`` grows from level to level and ``side`` is its end; or places, level by level."""

        hide: Annotated[tuple[Annotated[int, Field(gt=0)], ...], Field(min_length=1)] | None = None
        side: Literal["end", "start"] = "end"
        positions: (
            Annotated[
                tuple[Annotated[tuple[Place, ...], Field(min_length=1)], ...],
                Field(min_length=1, max_length=100),
            ]
            | None
        ) = None

        @model_validator(mode="after")
        def _grows(self) -> Self:
            if (self.hide is None) == (self.positions is None):
                raise ValueError("say either hide or positions")
            if self.hide is not None and any(
                many <= few for few, many in zip(self.hide, self.hide[1:], strict=False)
            ):
                raise ValueError("hide must grow from level to level")
            if self.positions is not None:
                places = list(chain.from_iterable(self.positions))
                if 0 in places or len(set(places)) < len(places):
                    raise ValueError("positions are counted from 1, or from -1 at the end, and named once")
                if self.side != "end":
                    raise ValueError("side is for hide; positions at the end are negative")
            return self

    def __init__(self, params: MaskHierarchy.Params, folder: Path) -> None:
        del folder
        self.params = params

    @property
    def height(self) -> int:
        """The value, one level for each step of hiding, and the top."""
        return len(self.params.hide or self.params.positions or ()) + 2

    def labels(self, values: pl.Series, level: int) -> pl.Series:
        """The code with what the level hides hidden."""
        if level == self.height - 1:
            return top(values)
        if self.params.positions is not None:
            return _starred(values.cast(pl.String), tuple(chain.from_iterable(self.params.positions[:level])))
        text = pl.col(values.name).cast(pl.String)
        assert self.params.hide is not None, "one of both is there"
        hide = self.params.hide[level - 1]
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


def _starred(values: pl.Series, places: Sequence[int]) -> pl.Series:
    """Texts with ``*`` at the places that they have."""
    text = pl.col(values.name)
    length = text.str.len_chars().cast(pl.Int64)
    # One after the other, for an expression of all would grow with each.
    for place in places:
        # Where a place counted from the end lies before the start, nothing is between the two.
        before = pl.lit(place - 1) if place > 0 else pl.max_horizontal(length + place, pl.lit(0))
        after = pl.lit(place) if place > 0 else pl.max_horizontal(length + place + 1, pl.lit(0))
        star = _stars(text.str.slice(before, after - before).str.len_chars(), 1)
        masked = pl.concat_str([text.str.slice(0, before), star, text.str.slice(after)])
        values = values.to_frame().select(masked.alias(values.name))[values.name]
    return values
