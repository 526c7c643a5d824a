"""Round numbers to a multiple."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field

from sfumato import contracts
from sfumato.transforms.numbers import require_numbers

#: Floats have no halves beyond.
_FAR = 2.0**52

#: Up to which size of a number its so many decimals are its own, and not what a product leaves.
_DECIMALS = ((1e9, 6), (1e3, 12))


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
        numbers = batch if whole else batch.cast(pl.Float64)
        # In NumPy, whose quotients do not depend on how many there are.
        with np.errstate(over="ignore", invalid="ignore"):
            steps = numbers.cast(pl.Float64).to_numpy() / to
            rounded = pl.Series(batch.name, _without_noise(np.floor(steps + 0.5) * to, to))
        if whole:
            rounded = rounded.cast(pl.Int64, strict=False)
        # So far out every number that there is is a multiple already.
        near = pl.Series(np.abs(steps) < _FAR) & numbers.is_not_null()
        return rounded.zip_with(near, numbers)


def _without_noise(multiples: NDArray[np.float64], to: float) -> NDArray[np.float64]:
    """Multiples of a fraction as they are written: 0.3, and not 0.30000000000000004."""
    if to.is_integer():
        return multiples
    found = multiples.copy()
    for size, decimals in _DECIMALS:
        small = np.abs(multiples) < size
        found[small] = np.round(multiples[small], decimals)
    return found
