"""Replace numbers by the mean of k neighbours: a distribution kept, no value of one person left."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import numpy as np
import polars as pl
from pydantic import Field

from sfumato import contracts
from sfumato.anonymity.microaggregation.distinct import univariate_distinct
from sfumato.transforms.numbers import require_numbers

#: What 64-bit integers hold, as floats.
_INTEGERS = (-(2.0**63), 2.0**63 - 1024)
_LARGE = 2.0**400


class Microaggregate:
    """Sorted numbers are cut into runs of at least ``k`` rows, each of which gets its mean.

    The cuts are those that lose the least (Hansen & Mukherjee 2003), with equal numbers in one run.
    Integers stay integers by rounding. The runs are found on the rows offered to the release; a number
    of somebody else gets the mean of the run that it would be in.
    """

    summary: ClassVar[str] = "replaced by the mean of at least k neighbours (ISO/IEC 20889: microaggregation)"

    class Params(contracts.Params):
        """``k`` rows at least share a value."""

        k: Annotated[int, Field(ge=2, le=1_000_000)]

    @staticmethod
    def reads(params: Microaggregate.Params) -> bool:
        """Always: the runs are those of the values."""
        del params
        return True

    def fit(self, values: pl.DataFrame, params: Microaggregate.Params, key: bytes) -> dict[str, Any]:
        """Where the runs part, half-way between their numbers, and what each one becomes.

        Raises:
            InputError: ``column-values`` for text, ``anonymity-impossible`` for fewer than k numbers.
        """
        del key
        require_numbers(values["value"], "microaggregate")
        known = values.select(pl.col("value").cast(pl.Float64), pl.col("count").cast(pl.Int64)).drop_nulls()
        # Integers beyond 2**53 may be one number now.
        known = known.group_by("value").agg(pl.col("count").sum()).sort("value")
        if known.is_empty():
            return {"cuts": [], "means": []}
        # Squares of the largest floats overflow; a power of two less costs no digits.
        scale = 2.0**-600 if float(known["value"].abs().max()) > _LARGE else 1.0  # type: ignore[arg-type]
        numbers, counts = known["value"].to_numpy() * scale, known["count"].to_numpy()
        classes = univariate_distinct(numbers, counts, params.k)
        first = np.searchsorted(classes, np.arange(classes[-1] + 1))
        # From the run's first number, so that a large offset costs no digits.
        means = numbers[first] + np.bincount(classes, counts * (numbers - numbers[first][classes])) / (
            np.bincount(classes, counts)
        )
        low, high = numbers[first[1:] - 1], numbers[first[1:]]
        cuts = low + (high - low) / 2
        cuts = np.where(cuts < high, cuts, low) / scale
        return {"cuts": cuts.tolist(), "means": (means / scale).tolist()}

    def apply(self, batch: pl.Series, state: Mapping[str, Any], key: bytes) -> pl.Series:
        """The mean of each number's run; missing stays missing."""
        del key
        if not state["means"]:
            return batch
        numbers = batch.cast(pl.Float64).fill_null(0).to_numpy()
        means = np.array(state["means"])[np.searchsorted(state["cuts"], numbers, side="left")]
        if batch.dtype.is_integer():
            means = np.clip(np.rint(means), *_INTEGERS)
        found = pl.Series(batch.name, means).cast(batch.dtype)
        return found.to_frame().select(pl.when(batch.is_not_null()).then(pl.col(batch.name)))[batch.name]
