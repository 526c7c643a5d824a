"""Top and bottom coding: extreme numbers become the bound."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

import polars as pl
from pydantic import model_validator

from sfumato import contracts
from sfumato.transforms.numbers import require_numbers

_BEYOND_INT64 = 2.0**63


class TopBottomCode:
    """Numbers below ``bottom`` become ``bottom``, numbers above ``top`` become ``top``."""

    summary: ClassVar[str] = "extreme numbers replaced by a bound (ISO/IEC 20889: top and bottom coding)"

    class Params(contracts.Params):
        """The bounds, in the column's unit; at least one of them."""

        bottom: float | None = None
        top: float | None = None

        @model_validator(mode="after")
        def _ordered(self) -> Self:
            if self.bottom is None and self.top is None:
                raise ValueError("say bottom, top or both")
            if self.bottom is not None and self.top is not None and self.bottom >= self.top:
                raise ValueError("bottom must be less than top")
            return self

    @staticmethod
    def reads(params: TopBottomCode.Params) -> bool:
        """Never."""
        del params
        return False

    def fit(self, values: pl.DataFrame, params: TopBottomCode.Params, key: bytes) -> dict[str, Any]:
        """The bounds, for a column of numbers."""
        del key
        require_numbers(values["value"], "top-bottom-code")
        return params.model_dump()

    def apply(self, batch: pl.Series, state: Mapping[str, Any], key: bytes) -> pl.Series:
        """The numbers within the bounds; missing stays missing."""
        del key
        bounds = [bound for bound in (state["bottom"], state["top"]) if bound is not None]
        whole = batch.dtype.is_integer() and all(
            float(bound).is_integer() and abs(bound) < _BEYOND_INT64 for bound in bounds
        )
        numbers = batch if whole else batch.cast(pl.Float64)
        cast = int if whole else float
        bottom, top = (None if state[end] is None else cast(state[end]) for end in ("bottom", "top"))
        return numbers.clip(bottom, top)
