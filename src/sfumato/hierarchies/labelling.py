"""What several kinds of hierarchies share: the top, labels looked up, ladders that list their leaves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import polars as pl

from sfumato.hierarchies.ladder import ANY


def top(values: pl.Series) -> pl.Series:
    """``*`` for everything, the missing among it."""
    return pl.Series(values.name, [ANY], dtype=pl.String).new_from_index(0, len(values))


def looked_up(values: pl.Series, labels: Mapping[str, str]) -> pl.Series:
    """The label of each value, as the data write it; missing for those that have none.

    >>> looked_up(pl.Series([1, 7, None]), {"1": "low"}).to_list()
    ['low', None, None]
    """
    table = pl.DataFrame(
        {"value": list(labels), "label": list(labels.values())},
        schema={"value": pl.String, "label": pl.String},
    )
    asked = values.cast(pl.String).alias("value").to_frame()
    return asked.join(table, on="value", how="left", maintain_order="left")["label"].alias(values.name)


@dataclass(frozen=True)
class Listed:
    """A hierarchy that lists every value it knows.

    ``rows`` has for each value its labels from level 1 to the last below ``*``, all of one length;
    ``leaves`` are the values that the data may have. A missing value is a leaf of its own without a
    label below ``*``.
    """

    rows: Mapping[str, Sequence[str]]
    leaves: Sequence[str]

    @cached_property
    def height(self) -> int:
        """The value, the levels that are listed, and the top."""
        return len(next(iter(self.rows.values()))) + 2

    @cached_property
    def domain(self) -> pl.Series:
        """The leaves and the missing value."""
        return pl.Series("value", [*self.leaves, None], dtype=pl.String)

    def labels(self, values: pl.Series, level: int) -> pl.Series:
        """The label of each value; missing for values that are not listed."""
        if level == self.height - 1:
            return top(values)
        return looked_up(values, {value: labels[level - 1] for value, labels in self.rows.items()})

    def centers(self, values: pl.Series, level: int) -> pl.Series | None:
        """The mean of a label's leaves, if all leaves are numbers."""
        if level == self.height - 1:
            return None
        numbers = self.domain.cast(pl.Float64, strict=False)
        if numbers.null_count() > 1 or not numbers.drop_nulls().is_finite().all():
            return None
        if level == 0:
            return values.cast(pl.Float64, strict=False)
        leaves = pl.DataFrame({"label": self.labels(self.domain, level), "number": numbers})
        means = leaves.drop_nulls().group_by("label").agg(pl.col("number").mean())
        asked = self.labels(values, level).alias("label").to_frame()
        return asked.join(means, on="label", how="left", maintain_order="left")["number"].alias(values.name)
