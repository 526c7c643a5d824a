"""Mask the characters of a text but for a few at an end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import polars as pl
from pydantic import Field

from sfumato import contracts


class Mask:
    """Every character becomes ``with``, but for ``keep_first`` and ``keep_last``.

    A text too short to hide at least ``least`` characters is masked whole. All masks have the same
    number of characters, so that the length of a value does not show.
    """

    summary: ClassVar[str] = "all characters hidden but a few at the ends (ISO/IEC 20889: masking)"

    class Params(contracts.Params):
        """Numbers of characters; ``with`` is the masking character."""

        keep_first: Annotated[int, Field(ge=0, le=50)] = 0
        keep_last: Annotated[int, Field(ge=0, le=50)] = 0
        least: Annotated[int, Field(ge=1, le=50)] = 3
        with_: Annotated[str, Field(alias="with", min_length=1, max_length=1)] = "*"

    @staticmethod
    def reads(params: Mask.Params) -> bool:
        """Never."""
        del params
        return False

    def fit(self, values: pl.DataFrame, params: Mask.Params, key: bytes) -> dict[str, Any]:
        """The parameters are all there is."""
        del values, key
        return params.model_dump()

    def apply(self, batch: pl.Series, state: Mapping[str, Any], key: bytes) -> pl.Series:
        """The masked text; missing stays missing."""
        del key
        first, last, least = int(state["keep_first"]), int(state["keep_last"]), int(state["least"])
        mask = str(state["with_"]) * least
        text = pl.col(batch.name)
        ends = text.str.slice(0, first) + mask + (text.str.tail(last) if last else pl.lit(""))
        masked = pl.when(text.str.len_chars() >= first + last + least).then(ends).otherwise(pl.lit(mask))
        return (
            batch.cast(pl.String)
            .to_frame()
            .select(pl.when(text.is_not_null()).then(masked).alias(batch.name))[batch.name]
        )
