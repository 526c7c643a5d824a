"""Drop rare items from a column of sets, until knowing a few of them finds nobody alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import numpy as np
import polars as pl
from pydantic import Field

from sfumato import contracts
from sfumato.anonymity.baskets import global_items
from sfumato.core.errors import InputError


class SuppressItems:
    """Items leave every row until any ``m`` of those left that occur together do so in ``k`` rows.

    k^m-anonymity by global suppression (Terrovitis, Mamoulis & Kalnis 2008): an attacker who knows up to
    m items of a person (purchases, diagnoses) finds at least k rows with them. A cell is text, its items
    parted by the separator; items of people who are not in the release go, too, unless others have them.
    A row may end up with no item: its cell is empty.
    """

    summary: ClassVar[str] = "rare items of a set dropped, until any m that occur do so in k rows"

    class Params(contracts.Params):
        """``k`` rows at least have whatever ``m`` items a person is known to have."""

        k: Annotated[int, Field(ge=2, le=1_000_000)]
        m: Annotated[int, Field(ge=1, le=3)] = 2
        separator: Annotated[str, Field(min_length=1, max_length=5)] = ";"

    @staticmethod
    def reads(params: SuppressItems.Params) -> bool:
        """Always: what is rare is seen in the values."""
        del params
        return True

    def fit(self, values: pl.DataFrame, params: SuppressItems.Params, key: bytes) -> dict[str, Any]:
        """The items that stay.

        Raises:
            InputError: ``column-values`` for a column that is not text.
        """
        del key
        if values.schema["value"] not in (pl.String, pl.Null):
            raise InputError(
                "column-values",
                'the action "suppress-items" needs text, items with a separator between them',
                remedy="choose another action, or write the items of a row into one text",
            )
        baskets = Baskets.of(values["value"].drop_nulls(), params.separator)
        counts = values.drop_nulls("value")["count"].cast(pl.Int64).to_numpy()
        gone = global_items(baskets.starts, baskets.items, params.k, params.m, counts)
        kept = np.setdiff1d(np.arange(len(baskets.names)), gone)
        return {"separator": params.separator, "items": baskets.names.gather(kept).to_list()}

    def apply(self, batch: pl.Series, state: Mapping[str, Any], key: bytes) -> pl.Series:
        """Each row's items that stay, in their order and once each; missing stays missing."""
        del key
        stay = pl.Series(state["items"], dtype=pl.String)
        items = pl.col(batch.name).cast(pl.String).str.split(state["separator"])
        kept = items.list.eval(
            pl.element().str.strip_chars().filter(pl.element().str.strip_chars().is_in(stay.implode()))
        )
        return batch.to_frame().select(
            kept.list.unique(maintain_order=True).list.join(state["separator"]).alias(batch.name)
        )[batch.name]


class Baskets:
    """Cells taken apart: basket b has ``items[starts[b]:starts[b + 1]]``, numbers into ``names``."""

    def __init__(self, starts: Any, items: Any, names: pl.Series) -> None:
        self.starts, self.items, self.names = starts, items, names

    @classmethod
    def of(cls, cells: pl.Series, separator: str) -> Baskets:
        """The baskets of cells, none of them missing; blanks around items and empty items do not count.

        >>> Baskets.of(pl.Series(["a; b", "b"]), ";").items.tolist()
        [0, 1, 1]
        """
        parts = (
            cells.alias("cell")
            .to_frame()
            .select(
                pl.col("cell")
                .str.split(separator)
                .list.eval(pl.element().str.strip_chars().filter(pl.element().str.strip_chars() != "")),
            )["cell"]
        )
        flat = parts.explode().drop_nulls()
        names = flat.unique().sort()
        index = pl.DataFrame({"item": names, "number": np.arange(len(names))})
        numbers = flat.alias("item").to_frame().join(index, on="item", how="left", maintain_order="left")
        starts = np.concatenate([[0], np.cumsum(parts.list.len().to_numpy())]).astype(np.int64)
        return cls(starts, numbers["number"].cast(pl.Int64).to_numpy(), names)
