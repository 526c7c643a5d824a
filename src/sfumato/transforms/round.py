"""Round numbers to a multiple."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import polars as pl
from pydantic import Field

from sfumato import contracts
from sfumato.transforms.numbers import require_numbers

#: Floats have no halves beyond.
_FAR = 2.0**52


class Round:
    """Each number becomes the nearest multiple of ``to``; halves go up. Integers stay integers."""

    summary: ClassVar[str] = "rounded to a multiple (ISO/IEC 20889: rounding)"

    class Params(contracts.Params):
        """``to`` is the multiple, in the column's unit."""

        to: Annotated[float, Field(gt=0)]

    @staticmethod
    def reads(params: Round.Params) -> bool:
        """Never."""
        del params
        return False

    def fit(self, values: pl.DataFrame, params: Round.Params, key: bytes) -> dict[str, Any]:
        """The multiple, for a column of numbers."""
        del key
        require_numbers(values["value"], "round")
        return {"to": params.to}

    def apply(self, batch: pl.Series, state: Mapping[str, Any], key: bytes) -> pl.Series:
        """The rounded numbers; missing stays missing."""
        del key
        to = float(state["to"])
        whole = batch.dtype.is_integer() and to.is_integer()
        numbers = pl.col(batch.name) if whole else pl.col(batch.name).cast(pl.Float64)
        steps = numbers.cast(pl.Float64) / to
        rounded = (steps + 0.5).floor() * to
        rounded = rounded.round().cast(pl.Int64, strict=False) if whole else rounded.round(12)
        # So far out every number that there is is a multiple already.
        return batch.to_frame().select(pl.when(steps.abs() < _FAR).then(rounded).otherwise(numbers))[
            batch.name
        ]
