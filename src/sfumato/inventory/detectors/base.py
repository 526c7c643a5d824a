"""What a detector sees of a column, and what it says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import comb
from typing import ClassVar, Protocol

import numpy as np
import polars as pl

from sfumato.core.keyed import derive, draws
from sfumato.core.values import Detection, Role
from sfumato.inventory.headers import Header
from sfumato.inventory.profile import Kind, Measured

#: Distinct values examined; several hundred settle any share to a few per cent.
EXAMINED = 500
#: Characters of a value that are read.
_READ = 2000


@dataclass(frozen=True)
class Examined:
    """A column as detectors see it.

    ``values`` are distinct values as texts without outer blanks, at most :data:`EXAMINED` of them,
    chosen by keyed draws among the sorted distinct ones, so that neither the order of the rows nor
    repetition matters. Whole numbers are written without a fraction, whatever their type; ``whole``
    says that the column has only such. ``low`` and ``high`` are the least and greatest number.
    ``nobody_shares`` is the share of present values that no other person has.
    """

    name: str
    header: Header
    kind: Kind
    values: tuple[str, ...]
    whole: bool
    low: float
    high: float
    rows: int
    present: int
    distinct: int
    nobody_shares: float

    @property
    def textual(self) -> bool:
        """Whether the column holds texts."""
        return self.kind == "text"

    @property
    def numeric(self) -> bool:
        """Whether the column holds numbers."""
        return self.kind in ("integer", "number")

    @property
    def codelike(self) -> bool:
        """Whether the values are texts or whole numbers, as identifiers are."""
        return self.textual or (self.numeric and self.whole)

    @property
    def distinctness(self) -> float:
        """Distinct values as a share of those present."""
        return self.distinct / self.present if self.present else 0.0

    def passing(self, accepts: Callable[[str], bool]) -> int:
        """How many of the values examined a validator accepts."""
        return sum(map(accepts, self.values))

    def detection(self, kind: str, passed: int, how: str) -> Detection:
        """A detection whose evidence counts the values that pass, and quotes none."""
        share = passed / len(self.values) if self.values else 0.0
        evidence = f"{passed:,} of {len(self.values):,} distinct values {how}"
        return Detection(kind=kind, evidence=evidence, share=share)


class Detector(Protocol):
    """One kind of identifier. ``role`` is what a column that holds it becomes."""

    role: ClassVar[Role]

    def examine(self, column: Examined) -> Detection | None:
        """The detection, or None if the values do not speak for this kind."""


def examined(measured: Measured, key: bytes) -> Examined:
    """The view of a column that detectors get; ``key`` chooses the distinct values looked at."""
    distinct = measured.series.drop_nulls().unique().sort()
    numeric = measured.kind in ("integer", "number")
    numbers = distinct.cast(pl.Float64) if numeric else pl.Series([], dtype=pl.Float64)
    finite = numbers.filter(numbers.is_finite())
    whole = numeric and len(finite) == len(distinct) and bool((finite == finite.floor()).all())
    if len(distinct) > EXAMINED:
        order = draws(derive(key, "inventory", measured.name), np.arange(len(distinct), dtype=np.uint64))
        chosen = np.sort(np.argpartition(order, EXAMINED)[:EXAMINED])
        distinct = distinct.gather(chosen)
    texts = (text[:_READ].strip() for text in _texts(distinct, whole))
    return Examined(
        name=measured.name,
        header=Header.of(measured.name),
        kind=measured.kind,
        values=tuple(text for text in texts if text),
        whole=whole,
        low=float(finite[0]) if len(finite) else 0.0,
        high=float(finite[-1]) if len(finite) else 0.0,
        rows=len(measured.codes),
        present=measured.present,
        distinct=measured.distinct,
        nobody_shares=_nobody_shares(measured),
    )


def _nobody_shares(measured: Measured) -> float:
    # A single missing value is unique as well, and is not one of the values present.
    alone = measured.unique * len(measured.codes) - (measured.missing == 1)
    return min(1.0, max(0.0, alone / measured.present)) if measured.present else 0.0


def _texts(values: pl.Series, whole: bool) -> list[str]:
    dtype = values.dtype
    if whole and dtype.is_float():
        return [str(int(value)) for value in values]
    if isinstance(dtype, pl.Datetime):
        return values.dt.strftime("%Y-%m-%d %H:%M:%S").to_list()
    if dtype.is_nested() or dtype in (pl.Binary, pl.Duration, pl.Time, pl.Boolean):
        return []
    return values.cast(pl.String).to_list()


def by_chance(passed: int, tried: int, chance: float) -> float:
    """The probability that at least ``passed`` of ``tried`` random values pass, each with ``chance``.

    >>> by_chance(3, 3, 0.1) < 0.0011
    True
    """
    return float(
        sum(comb(tried, k) * chance**k * (1 - chance) ** (tried - k) for k in range(passed, tried + 1))
    )
