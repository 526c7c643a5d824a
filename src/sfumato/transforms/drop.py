"""Drop a column."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import polars as pl

from sfumato import contracts


class Drop:
    """The column does not leave; asked for its values all the same, it has none."""

    summary: ClassVar[str] = "does not leave (ISO/IEC 20889: attribute suppression)"

    class Params(contracts.Params):
        """No parameters."""

    @staticmethod
    def reads(params: Drop.Params) -> bool:
        """Never."""
        del params
        return False

    def fit(self, values: pl.DataFrame, params: Drop.Params, key: bytes) -> dict[str, Any]:
        """Nothing to learn."""
        del values, params, key
        return {}

    def apply(self, batch: pl.Series, state: Mapping[str, Any], key: bytes) -> pl.Series:
        """Missing throughout."""
        del state, key
        return pl.Series(batch.name, [None], dtype=batch.dtype).new_from_index(0, len(batch))
