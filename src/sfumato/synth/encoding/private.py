"""The coding of columns under differential privacy: what is not declared is learned from noisy counts.

In two stages, each one Gaussian mechanism on whole-number counts. The first finds what the second needs: the
powers of two between which undeclared numbers lie (Wilson et al. 2020, 4.2), and the undeclared categories
that rise above a threshold (Rogers 2023). The second counts each column of numbers over a grid between its
bounds, and what is missing. A row adds to one count of each column, so that a stage's sensitivity follows
from the number of its columns.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sfumato.core.errors import InputError
from sfumato.synth.encoding.bins import Bins, Cells, binned
from sfumato.synth.encoding.columns import Coding, Numbers, Values, counted, declared_values
from sfumato.synth.encoding.scales import Scale, is_ordered, present

if TYPE_CHECKING:
    from dp_accounting import DpEvent

#: A row counts for so many steps of the noise's grid.
_GRID = 2**20
#: Counts of what is missing need be no better than this share of the others' precision.
_COARSE = 0.3
#: How likely noise is to widen a column's bounds: by as much as a billion times, which spoils the column.
_WIDENED = 1e-4
#: Doublings that are told apart of numbers of which nothing is known.
_DOUBLINGS = {"i": (0, 62), "f": (-20, 40)}
#: The intervals of the second stage's grid: evenly spaced, and in each doubling.
_EVEN, _EACH = 64, 4
#: Counts below so many standard deviations of their noise are taken together with their neighbours.
_SURE = 3.0


@dataclass(frozen=True)
class Declared:
    """What everybody may know of a table's columns, by name; it is not looked at whether it is right.

    ``bounds`` are the lowest and highest value of a number, a date or a time; values beyond are moved to
    them. ``categories`` lists all values; an integer with declared categories is one. ``decimals`` are the
    places of floats.
    """

    bounds: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    categories: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    decimals: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class _Column:
    """What is public of a column: it has values, or a scale and perhaps ends in ticks, or neither."""

    name: str
    dtype: pl.DataType
    values: tuple[Any, ...] | None = None
    scale: Scale | None = None
    ends: tuple[Any, Any] | None = None

    @property
    def unknown(self) -> bool:
        """Must the first stage look at it?"""
        return self.values is None if self.scale is None else self.ends is None


@dataclass(frozen=True)
class Domain:
    """What is public of all columns, and the two stages that find the rest.

    With infinite noise nothing is looked at: everything must be declared then, and bins follow from the grid.
    """

    columns: tuple[_Column, ...]
    bins: int

    @classmethod
    def of(cls, schema: Mapping[str, pl.DataType], declared: Declared, bins: int) -> Domain:
        """The columns of a schema.

        Raises:
            InputError: ``usage``: what was declared does not suit the schema.
        """
        for name in (*declared.bounds, *declared.categories, *declared.decimals):
            if name not in schema:
                raise InputError(
                    "usage", "something is declared of a column that the table lacks", where=name
                )
        return cls(tuple(_column(name, dtype, declared) for name, dtype in schema.items()), bins)

    @property
    def said(self) -> dict[str, list[str]]:
        """Which columns were declared and which were learned, for the dossier."""
        unknown = [column.name for column in self.columns if column.unknown]
        return {"learned": unknown, "declared": [c.name for c in self.columns if not c.unknown]}

    def event(self, noise: float, delta: float) -> DpEvent:
        """What :meth:`drawn` costs: Gaussians that are ``noise`` together, and the delta of the threshold.

        Raises:
            InputError: ``usage``: infinite noise, and something must be learned.
        """
        from dp_accounting import GaussianDpEvent, NoOpDpEvent

        from sfumato.dp.events import StatedDpEvent, composed

        if not math.isfinite(noise) and (self._texts or self._unbounded):
            column = next(column.name for column in self.columns if column.unknown)
            raise InputError(
                "usage",
                "nothing is declared of a column, and no share of the budget is for learning it",
                where=column,
                remedy="declare its bounds or categories, or set a domain_share above 0",
            )
        events: list[Any] = [GaussianDpEvent(each) for each in self._noises(noise) if math.isfinite(each)]
        if self._texts:
            events.append(StatedDpEvent(0.0, delta))
        return composed(events) if events else NoOpDpEvent()

    def drawn(self, table: pl.DataFrame, noise: float, delta: float) -> list[Coding]:
        """The codings; the noise is drawn here, and must have been charged."""
        first, second = self._noises(noise)
        frame = table.select([present(table[column.name]) for column in self.columns])
        ends, values = self._first(frame, first, delta)
        return self._second(frame, second, ends, values)

    @cached_property
    def _texts(self) -> list[_Column]:
        return [column for column in self.columns if column.unknown and column.scale is None]

    @cached_property
    def _unbounded(self) -> list[_Column]:
        return [column for column in self.columns if column.unknown and column.scale is not None]

    def _noises(self, noise: float) -> tuple[float, float]:
        """The noise multipliers of the stages; infinite where there is nothing to look at."""
        if not self._texts and not self._unbounded:
            return math.inf, noise if self.columns else math.inf
        return noise * math.sqrt(2), noise * math.sqrt(2)

    def _first(
        self, frame: pl.DataFrame, noise: float, delta: float
    ) -> tuple[dict[str, tuple[Any, Any] | None], dict[str, tuple[list[Any], list[float]]]]:
        """Ends of numbers, None where nothing rises above the noise, and values of categories with counts."""
        if not math.isfinite(noise):
            return {}, {}
        from sfumato.dp.mechanisms import Law, gaussian_sigma, keep_large, threshold_for

        sensitivity = math.sqrt(len(self._texts) + len(self._unbounded))
        law = Law("gaussian", gaussian_sigma(noise, _GRID * sensitivity))
        ends = {column.name: _powers(column, frame[column.name], law) for column in self._unbounded}
        if not self._texts:
            return ends, {}
        found = [counted(frame[column.name]) for column in self._texts]
        everything = np.concatenate([counts for _, counts in found])
        threshold = threshold_for(law, _GRID, len(found), delta)
        kept, noisy = keep_large(everything * _GRID, law, threshold, _GRID, len(found), delta)
        starts = np.cumsum([0, *(len(counts) for _, counts in found)])
        values = {}
        for place, (column, (distinct, _)) in enumerate(zip(self._texts, found, strict=True)):
            here = (kept >= starts[place]) & (kept < starts[place + 1])
            positions = (kept[here] - starts[place]).tolist()
            values[column.name] = ([distinct[at] for at in positions], (noisy[here] / _GRID).tolist())
        return ends, values

    def _second(
        self,
        frame: pl.DataFrame,
        noise: float,
        ends: Mapping[str, tuple[Any, Any] | None],
        values: Mapping[str, tuple[list[Any], list[float]]],
    ) -> list[Coding]:
        """The codings, from noisy counts over each column's grid and of what is missing in it."""
        makers = [
            _of_numbers(column, column.ends or ends[column.name], self.bins)
            if column.scale is not None
            else _of_values(column, *values.get(column.name, (column.values or (), ())))
            for column in self.columns
        ]
        if not math.isfinite(noise):
            return [maker.coding(maker.blind, 0.0) for maker in makers]
        blocks = [
            maker.counts(frame[column.name]) for maker, column in zip(makers, self.columns, strict=True)
        ]
        steps = [round(_GRID * maker.precision) for maker in makers]
        return _noised(makers, blocks, steps, noise)


@dataclass(frozen=True)
class _Maker:
    """How a column is counted, and the coding that its noisy counts and their deviation make.

    ``blind`` are the counts to go by where none are drawn; one step of noise stands for one row times
    ``precision``.
    """

    precision: float
    blind: NDArray[np.float64]
    counts: Callable[[pl.Series], NDArray[np.int64]]
    coding: Callable[[NDArray[np.float64], float], Coding]


def _noised(
    makers: Sequence[_Maker], blocks: Sequence[NDArray[np.int64]], steps: Sequence[int], noise: float
) -> list[Coding]:
    from sfumato.dp.mechanisms import gaussian, gaussian_sigma

    sigma = gaussian_sigma(noise, math.sqrt(sum(step**2 for step in steps)))
    drawn = gaussian(np.concatenate([block * step for block, step in zip(blocks, steps, strict=True)]), sigma)
    parts = np.split(drawn, np.cumsum([len(block) for block in blocks])[:-1])
    return [
        maker.coding(part / step, sigma / step)
        for maker, part, step in zip(makers, parts, steps, strict=True)
    ]


def _column(name: str, dtype: pl.DataType, declared: Declared) -> _Column:
    present(pl.Series(name, dtype=dtype))
    if name in declared.categories:
        if name in declared.bounds or dtype.is_temporal() or dtype.is_decimal():
            raise InputError("usage", "this column has bounds, not categories", where=name)
        return _Column(name, dtype, declared_values(name, dtype, declared.categories[name]))
    if not is_ordered(dtype):
        if name in declared.bounds or name in declared.decimals:
            raise InputError("usage", "this column has categories, not numbers", where=name)
        if isinstance(dtype, pl.Enum):
            return _Column(name, dtype, tuple(dtype.categories.to_list()))
        known = {pl.Boolean: (False, True), pl.Null: ()}
        return _Column(name, dtype, known.get(type(dtype)))
    scale = Scale.public(dtype)
    if name in declared.decimals and dtype.is_float():
        scale = Scale(dtype, int(declared.decimals[name]))
    if name not in declared.bounds:
        return _Column(name, dtype, scale=scale)
    return _Column(name, dtype, scale=scale, ends=_declared_ends(name, scale, declared.bounds[name]))


def _declared_ends(name: str, scale: Scale, given: Sequence[Any]) -> tuple[Any, Any]:
    low, high = given if len(given) == 2 else (None, None)
    ends = scale.place(low, name, math.nan), scale.place(high, name, math.nan)
    if not (math.isfinite(ends[0]) and math.isfinite(ends[1]) and ends[0] <= ends[1]):
        raise InputError("usage", "bounds are a lowest and a highest value", where=name)
    return (math.ceil(ends[0]), math.floor(ends[1])) if scale.whole else ends


def _powers(column: _Column, values: pl.Series, law: Any) -> tuple[Any, Any] | None:
    """Powers of two between which the numbers lie, as far as noise can tell."""
    from sfumato.dp.mechanisms import gaussian

    assert column.scale is not None
    first, last = _DOUBLINGS["i" if column.scale.whole else "f"]
    up = 2.0 ** np.arange(first, last + 1)
    edges = np.concatenate((-up[::-1], [0.0], up))
    ticks = column.scale.ticks(values).astype(float)
    places = np.clip(np.searchsorted(edges, ticks, side="right") - 1, 0, len(edges) - 2)
    counts = np.bincount(places, minlength=len(edges) - 1).astype(np.int64)
    above = np.flatnonzero(gaussian(counts * _GRID, law.scale) > law.width(1 - _WIDENED / len(counts)))
    if not len(above):
        return None
    low, high = edges[above[0]], edges[above[-1] + 1]
    return (int(low), int(high) - 1) if column.scale.whole else (float(low), float(high))


def _of_values(column: _Column, values: Sequence[Any], counts: Sequence[float]) -> _Maker:
    """A category: two counts, of values that are not among the known ones and of missing ones."""
    default = int(np.argmax(counts)) if len(counts) else 0
    plain = Values(column.name, column.dtype, tuple(values), tuple(counts), True, True, default)

    def count(series: pl.Series) -> NDArray[np.int64]:
        codes = plain.encode(series)
        return np.array([np.count_nonzero(codes == len(values)), int(series.null_count())], dtype=np.int64)

    def coding(noisy: NDArray[np.float64], deviation: float) -> Coding:
        rare, missing = (noisy > _SURE * deviation).tolist()
        rare = rare and bool(values)
        return Values(column.name, column.dtype, plain.values, plain.shares, rare, missing, default)

    return _Maker(_COARSE, np.array([0.0, 1.0]), count, coding)


def _of_numbers(column: _Column, ends: tuple[Any, Any] | None, bins: int) -> _Maker:
    """A number: counts over a grid between its ends, and of missing values."""
    scale = column.scale
    assert scale is not None
    if ends is None:
        return _of_values(column, (), ())
    low, high = _grid(*ends, scale.whole)

    def count(series: pl.Series) -> NDArray[np.int64]:
        ticks = np.clip(scale.ticks(series), *ends)
        places = np.searchsorted(low, ticks, side="right") - 1
        return np.append(np.bincount(places, minlength=len(low)), series.null_count()).astype(np.int64)

    def coding(noisy: NDArray[np.float64], deviation: float) -> Coding:
        missing = bool(noisy[-1] > _SURE * deviation)
        if scale.whole and len(low) <= bins and bool(np.all(low == high)):
            weight = np.maximum(noisy[:-1], 1e-9)
            return Numbers(column.name, scale, Bins(low[1:], low, high, weight, np.arange(len(low))), missing)
        cells = Cells(low, high, _smoothed(noisy[:-1], deviation), low == high)
        return Numbers(column.name, scale, binned(cells, bins, bins, 2 * _SURE * deviation), missing)

    return _Maker(1.0, np.ones(len(low) + 1), count, coding)


def _grid(low: Any, high: Any, whole: bool) -> tuple[NDArray[Any], NDArray[Any]]:
    """Intervals from low to high, evenly spaced and finer towards zero and the ends, which stand alone."""
    if whole and high - low < 2 * _EVEN:
        return (np.arange(low, high + 1),) * 2
    span = high - low
    powers = span * 2.0 ** (np.arange(-16 * _EACH, 0) / _EACH)
    around = [base + sign * powers for base in {low, min(max(low, 0), high)} for sign in (1, -1)]
    edges = np.concatenate([np.linspace(low, high, _EVEN + 1), *around])
    edges = edges[(edges > low) & (edges < high)]
    if whole:
        alone = {int(each) for each in (low, high, min(max(low, 0), high))}
        first = np.unique(
            np.concatenate([np.rint(edges).astype(np.int64), [*alone, *(a + 1 for a in alone if a < high)]])
        )
        return first, np.append(first[1:] - 1, high)
    zero = [0.0, np.nextafter(0.0, 1.0)] if low <= 0 <= high else []
    first = np.unique(np.concatenate([edges, [low], zero]))
    last = np.append(np.nextafter(first[1:], -math.inf), high)
    return first, last


def _smoothed(noisy: NDArray[np.float64], deviation: float) -> NDArray[np.float64]:
    """Counts that stand out of the noise as they are; the others spread over runs that do, or gone."""
    found = np.zeros(len(noisy))
    run: list[int] = []
    for place in range(len(noisy) + 1):
        if place < len(noisy) and noisy[place] <= _SURE * deviation:
            run.append(place)
            held = noisy[run].sum()
            if held > _SURE * deviation * math.sqrt(len(run)):
                found[run] = held / len(run)
                run = []
            continue
        run = []
        if place < len(noisy):
            found[place] = noisy[place]
    return found if found.any() else np.ones(len(noisy))
