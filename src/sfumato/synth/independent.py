"""Each column for itself: the floor that every other synthesizer must rise above."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from sfumato import contracts
from sfumato.core.errors import InputError
from sfumato.synth.coded import Coded, Field, Given, Private

if TYPE_CHECKING:
    from dp_accounting import DpEvent

#: By how much of itself a declared number of rows is taken to be off.
_ABOUT = 0.3


class Independent:
    """Columns with the right shares of values, and nothing in common."""

    summary: ClassVar[str] = "every column's own distribution; the columns have nothing in common"
    sees: ClassVar[Literal["rows", "marginals"]] = "marginals"
    has_private: ClassVar[bool] = True

    class Params(contracts.Params):
        """Nothing to set."""

    def __init__(self, params: Independent.Params) -> None:
        del params

    def event(self, fields: Sequence[Field], size: int, noise: float) -> DpEvent:
        """One Gaussian mechanism on the histograms of all fields."""
        from dp_accounting import GaussianDpEvent

        del fields, size
        return GaussianDpEvent(noise)

    def fit(
        self,
        coded: Coded,
        key: bytes,
        private: Private | None = None,
        progress: Callable[[str, int, int], None] | None = None,
    ) -> IndependentModel:
        """Count."""
        del key
        if private is None:
            refuse_empty(coded)
            shares = [each / each.sum() for each in counts_of(coded)]
        else:
            private.budget.spend(self.event(coded.fields, private.size, private.noise), place="histograms")
            shares, _ = noisy_shares(coded, private, private.noise)
        if progress is not None:
            progress("histograms", 1, 1)
        return IndependentModel(coded.fields, tuple(shares))


@dataclass(frozen=True)
class IndependentModel:
    """``shares`` of each field's codes, shape (size,) each, summing to 1."""

    conditional: ClassVar[bool] = True

    fields: tuple[Field, ...]
    shares: tuple[NDArray[np.float64], ...]

    @property
    def facts(self) -> Mapping[str, Any]:
        """How many histograms."""
        return {"histograms": len(self.shares)}

    def sample(self, rows: int, random: np.random.Generator, given: Given) -> NDArray[np.int32]:
        """Codes of new rows, shape (rows, fields)."""
        codes = np.empty((rows, len(self.fields)), dtype=np.int32, order="F")
        for place, shares in enumerate(self.shares):
            fixed = given.get(place)
            if fixed is not None and fixed.dtype != np.bool_:
                codes[:, place] = fixed
                continue
            total = np.cumsum(shares if fixed is None else allowed(shares, fixed.astype(np.bool_)))
            drawn = np.searchsorted(total, random.random(rows) * total[-1], side="right")
            codes[:, place] = np.minimum(drawn, np.flatnonzero(np.diff(total, prepend=0.0))[-1])
        return codes

    def state(self) -> tuple[Mapping[str, NDArray[Any]], Mapping[str, Any]]:
        """The shares, one field after another."""
        return {"shares": np.concatenate([*self.shares, np.zeros(0)])}, {}

    @classmethod
    def restored(
        cls, fields: Sequence[Field], arrays: Mapping[str, NDArray[Any]], document: Mapping[str, Any]
    ) -> IndependentModel:
        """The model that :meth:`state` is of."""
        del document
        ends = np.cumsum([field.size for field in fields])
        return cls(tuple(fields), tuple(np.split(arrays["shares"], ends[:-1])))


def refuse_empty(coded: Coded) -> None:
    """Without rows there is nothing to learn."""
    if not len(coded.codes):
        raise InputError("usage", "there are no rows to learn from", remedy="give a table with rows")


def counts_of(coded: Coded) -> list[NDArray[np.int64]]:
    """How many rows have each code, shape (size,) for each field."""
    return [
        np.bincount(coded.codes[:, place], minlength=field.size).astype(np.int64)
        for place, field in enumerate(coded.fields)
    ]


def allowed(shares: NDArray[np.float64], mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The shares of allowed codes; even ones where none of them has any.

    Raises:
        InputError: ``usage``: no code is allowed.
    """
    if not mask.any():
        raise InputError("usage", "no value of a column is allowed")
    kept: NDArray[np.float64] = np.where(mask, shares, 0.0)
    return kept if kept.sum() > 0 else mask / mask.sum()


def noisy_shares(coded: Coded, private: Private, noise: float) -> tuple[list[NDArray[np.float64]], float]:
    """The shares of each field's codes, from histograms with noise that was charged, and the number of rows.

    A row is in one count of each field: the sensitivity of all of them together is the square root of their
    number.
    """
    from sfumato.dp.mechanisms import gaussian, gaussian_sigma

    step = 2**20
    counts = np.concatenate(counts_of(coded)) * step
    sigma = gaussian_sigma(noise, step * math.sqrt(len(coded.fields)))
    drawn = gaussian(counts, sigma) / step
    parts = np.split(drawn, np.cumsum(coded.sizes)[:-1])
    rows = _rows(parts, sigma / step, private)
    return [_nearest(part, rows) for part in parts], rows


def _rows(counts: Sequence[NDArray[np.float64]], deviation: float, private: Private) -> float:
    """How many rows there are, by noisy histograms and by what was declared, which is only about right.

    Either has the weight of its precision. Rows that are wanting or too many would be taken from all codes
    alike, or given to them.
    """
    declared = float(max(private.size, 1))
    if private.relation == "replace-one":
        return declared
    # Every field's total is an estimate of one number, the better the fewer codes it was summed over.
    weights = np.array([1 / len(each) for each in counts])
    counted = float(np.average([each.sum() for each in counts], weights=weights))
    known, said = weights.sum() / deviation**2, 1 / (_ABOUT * declared) ** 2
    return max(1.0, float((known * counted + said * declared) / (known + said)))


def _nearest(counts: NDArray[np.float64], total: float) -> NDArray[np.float64]:
    """The shares nearest to noisy counts: none below zero, and together one (Duchi et al. 2008)."""
    ordered = np.sort(counts)[::-1]
    excess = (np.cumsum(ordered) - total) / np.arange(1, len(counts) + 1)
    last = np.flatnonzero(ordered > excess)[-1]
    shares: NDArray[np.float64] = np.maximum(counts - excess[last], 0.0) / total
    return shares
