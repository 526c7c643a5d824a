"""Keep a column as it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import polars as pl

from sfumato import contracts


class Keep:
    """The column leaves unchanged."""

    summary: ClassVar[str] = "leaves unchanged"

    class Params(contracts.Params):
        """No parameters."""

    @staticmethod
    def reads(params: Keep.Params) -> bool:
        """Never."""
        del params
        return False

    def fit(self, values: pl.DataFrame, params: Keep.Params, key: bytes) -> dict[str, Any]:
        """Nothing to learn."""
        del values, params, key
        return {}

    def apply(self, batch: pl.Series, state: Mapping[str, Any], key: bytes) -> pl.Series:
        """The same values."""
        del state, key
        return batch
