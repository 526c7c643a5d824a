"""What a query is: what it needs to draw, said without data; then one look, the draws, and the answer.

The needs are the whole of what is charged, and they follow from the declaration alone: were a sensitivity, a
bound or a number of cells read from the data, it would have to be charged too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field

from sfumato import contracts
from sfumato.core.errors import InputError, nearest
from sfumato.dp.mechanisms import Law, choose, gaussian, keep_large, laplace, threshold_for

#: Grid steps in what one row changes a statistic by at most. More rows than 2^32 would overflow a sum.
GRID = 2**30
MOST_ROWS = 2**32

Share = Annotated[float, Field(gt=0)]
#: Cells of a table: none is so wide that nobody could read it, or that its noise would fill the memory.
MOST_CELLS = 10_000_000


class QueryParams(contracts.Params):
    """What every query may say: a name for its answer, its weight in the sharing, and why it is asked."""

    name: Annotated[str, Field(min_length=1)] | None = None
    weight: Share = 1.0
    why: str = ""


@dataclass(frozen=True)
class Sum:
    """A vector of sums over rows; one row adds a vector of L1 and L2 norm at most ``l1``, ``l2``.

    In units of :data:`GRID`: 1.0 is ``GRID`` steps. ``coordinates``: how many entries a row moves at most.
    ``whole``: of counts, to which Laplace noise is added in whole numbers (Ghosh, Roughgarden & Sundararajan
    2012: no noise of the same epsilon is better for one count). ``share``: of the query's own part.
    """

    l1: float = 1.0
    l2: float = 1.0
    coordinates: int = 1
    whole: bool = False
    share: float = 1.0


@dataclass(frozen=True)
class Choice:
    """The best of scores that one row changes by at most ``sensitivity``, ``picks`` times."""

    sensitivity: int
    picks: int = 1
    one_way: bool = False
    share: float = 1.0


@dataclass(frozen=True)
class Found:
    """Counts of groups that nobody declared, of which those above a threshold are told, at ``delta``."""

    delta: float
    share: float = 1.0


Need = Sum | Choice | Found


@dataclass(frozen=True)
class Drawn:
    """A noisy vector, in units of :data:`GRID`, and the law of its noise."""

    values: NDArray[np.float64]
    law: Law

    @property
    def deviation(self) -> float:
        """Of one entry's noise, in the unit of the values."""
        return self.law.deviation / GRID

    def width(self, confidence: float) -> float:
        """One entry's noise is within this with that probability."""
        return self.law.width(confidence) / GRID

    def mixed(self, weights: Any, confidence: float) -> float:
        """The same for the weighted sum of entries."""
        return self.law.mixed(confidence) * self.deviation * float(np.linalg.norm(weights))


@dataclass
class Noise:
    """The draws that a query has been charged for: each of its needs once, and no more.

    ``laws`` has, in the order of the needs, the law of a sum or threshold or the scale of a choice; ``rows``
    is the most rows of one person.
    """

    needs: Sequence[Need]
    laws: Sequence[Law | float]
    rows: int
    pure: bool
    confidence: float
    _used: set[int] = field(default_factory=set)

    def add(self, at: int, sums: NDArray[np.int64]) -> Drawn:
        """The sums, in grid steps, with their noise."""
        law, need = self._once(at, Sum), self.needs[at]
        assert isinstance(law, Law)
        assert isinstance(need, Sum)
        if law.kind == "gaussian":
            return Drawn(gaussian(sums, law.scale) / GRID, law)
        step = GRID if need.whole else 1
        noisy = laplace(sums // step, law.scale / step).astype(np.float64)
        return Drawn(noisy * (step / GRID), law)

    def choose(self, at: int, scores: NDArray[np.int64], *, least: bool = False) -> list[int]:
        """The positions of the best scores, the best first."""
        scale, need = self._once(at, Choice), self.needs[at]
        assert isinstance(scale, float)
        assert isinstance(need, Choice)
        picks = min(need.picks, len(scores))
        return choose(scores, scale, picks=picks, pure=self.pure, least=least)

    def scale(self, at: int) -> float:
        """The scale of a choice: a score worse by x is picked with odds of at most exp(-x / scale)."""
        scale = self.laws[at]
        assert isinstance(scale, float)
        return scale

    def found(self, at: int, counts: NDArray[np.int64]) -> tuple[NDArray[np.int64], Drawn]:
        """The positions of the groups above the threshold, and their noisy counts."""
        law, need = self._once(at, Found), self.needs[at]
        assert isinstance(law, Law)
        assert isinstance(need, Found)
        most = self.rows * GRID
        threshold = threshold_for(law, most, self.rows, need.delta)
        kept, noisy = keep_large(counts * GRID, law, threshold, most, self.rows, need.delta)
        return kept, Drawn(noisy / GRID, law)

    def _once(self, at: int, kind: type) -> Law | float:
        assert isinstance(self.needs[at], kind), "a draw of another kind than was charged"
        assert at not in self._used, "a draw that was charged once is drawn twice"
        self._used.add(at)
        return self.laws[at]


@dataclass(frozen=True)
class Cells:
    """An answer: a row for each figure, its labels first, then ``value``, ``low``, ``high``; and words."""

    table: pl.DataFrame
    words: str


class Query(Protocol):
    """One kind of question; a new one is one file and one line in the registry."""

    Params: ClassVar[type[QueryParams]]
    #: One line for the docs.
    summary: ClassVar[str]

    @staticmethod
    def reads(params: Any) -> tuple[str, ...]:
        """The columns that it looks at."""

    @staticmethod
    def needs(params: Any) -> tuple[Need, ...]:
        """What is drawn, for one row a person, from the declaration alone."""

    @staticmethod
    def answer(table: pl.DataFrame, params: Any, noise: Noise) -> Cells:
        """The answer, from bounded rows and the draws that were charged."""


def figures(
    value: Any, low: Any, high: Any, labels: Any = None, between: tuple[float, float] | None = None
) -> pl.DataFrame:
    """Values and intervals as a table, kept ``between`` what is possible; missing where not a number."""
    columns = {}
    for name, given in (("value", value), ("low", low), ("high", high)):
        numbers = np.atleast_1d(np.asarray(given, dtype=np.float64)).ravel()
        columns[name] = pl.Series(numbers if between is None else np.clip(numbers, *between)).fill_nan(None)
    return pl.DataFrame({**(labels or {}), **columns})


def first_order(
    statistic: Callable[[NDArray[np.float64]], float], drawn: Drawn, at: NDArray[np.int64], confidence: float
) -> tuple[float, float]:
    """A statistic of a few noisy entries, and how far noise can have moved it, to first order.

    The delta method: the gradient by central differences, steps of a hundredth of the noise.
    """
    values = drawn.values[at]
    step = drawn.deviation / 100
    gradient = np.empty(len(values))
    for place in range(len(values)):
        moved = np.zeros(len(values))
        moved[place] = step
        gradient[place] = (statistic(values + moved) - statistic(values - moved)) / (2 * step)
    return statistic(values), drawn.mixed(gradient, confidence)


def column(table: pl.DataFrame, name: str) -> pl.Series:
    """A column by its name.

    Raises:
        InputError: ``unknown-name``.
    """
    if name not in table.columns:
        raise InputError("unknown-name", f'there is no column "{name}"', remedy=nearest(name, table.columns))
    return table[name]


def numbers(table: pl.DataFrame, name: str) -> pl.Series:
    """A column of numbers (yes is 1, no is 0) as floats; not-a-number is missing.

    Raises:
        InputError: ``unknown-name``; ``column-values`` if its type is no number's. The type of a column is
            taken to be public.
    """
    values = column(table, name)
    if not (values.dtype.is_numeric() or values.dtype in (pl.Boolean, pl.Null)):
        raise InputError(
            "column-values",
            f'"{name}" has no numbers, and a query needs some',
            where=f'column "{name}"',
            remedy="give it a type of numbers first (dates: days since a day), or ask for a histogram",
        )
    return values.cast(pl.Float64).fill_nan(None)


def units(values: pl.Series, low: float, high: float) -> pl.Series:
    """Numbers as places between the bounds, 0 to 1; those outside are taken to the nearest bound."""
    # Far apart, the difference of two bounds has no float: halves have.
    width = high / 2 - low / 2
    return ((values.clip(low, high) / 2 - low / 2) / width).clip(0.0, 1.0)


def steps(parts: Any) -> NDArray[np.int64]:
    """Numbers in [-1, 1] rounded to the grid, each by itself: what is summed afterwards."""
    return np.clip(np.rint(np.asarray(parts, dtype=np.float64) * GRID), -GRID, GRID).astype(np.int64)


def root(norm: float) -> float:
    """The square root, not below the true one."""
    return math.sqrt(norm) * (1 + 1e-15)
