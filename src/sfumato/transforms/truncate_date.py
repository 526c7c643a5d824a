"""Truncate dates to the start of a unit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import polars as pl

from sfumato import contracts
from sfumato.core.errors import InputError

_UNITS = {"week": "1w", "month": "1mo", "quarter": "1q", "year": "1y", "decade": "10y"}


class TruncateDate:
    """Each date becomes the first day of its week, month, quarter, year or decade."""

    summary: ClassVar[str] = "dates cut to the start of a unit (ISO/IEC 20889: generalization)"

    class Params(contracts.Params):
        """``to`` is the unit."""

        to: Literal["week", "month", "quarter", "year", "decade"]

    @staticmethod
    def reads(params: TruncateDate.Params) -> bool:
        """Never."""
        del params
        return False

    def fit(self, values: pl.DataFrame, params: TruncateDate.Params, key: bytes) -> dict[str, Any]:
        """The unit, for a column of dates."""
        del key
        dtype = values["value"].dtype
        if dtype not in (pl.Date, pl.Null) and not isinstance(dtype, pl.Datetime):
            raise InputError(
                "column-values",
                'the action "truncate-date" needs dates, and the column has other values',
                remedy="write dates as YYYY-MM-DD, or choose another action",
            )
        return {"to": params.to}

    def apply(self, batch: pl.Series, state: Mapping[str, Any], key: bytes) -> pl.Series:
        """The first day of each date's unit; missing stays missing."""
        del key
        dates = batch.cast(pl.Date)
        if state["to"] == "decade":
            # The ten-year steps of a calendar library need not start in a year that ends in 0.
            years = dates.dt.year() // 10 * 10
            return pl.DataFrame({"year": years}).select(pl.date("year", 1, 1).alias(batch.name))[batch.name]
        return dates.dt.truncate(_UNITS[str(state["to"])])
