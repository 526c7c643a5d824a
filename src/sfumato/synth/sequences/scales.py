"""How the fields of an event are coded: numbers in bins with a shape inside, values that several people have.

Nothing kept of a field is of fewer than ``least`` people: ends are cut to where so many people lie, a bin's
shape is means over so many, and a rarer value is one of the rest. Or the domain is declared, and nothing is
looked at.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

Numbers = NDArray[np.float64]
#: Points of the inverse distribution function inside a bin.
KNOTS = 9
#: What a text that few people have becomes; other kinds become missing.
RARE = "(rare)"


@dataclass(frozen=True, eq=False)
class Scale:
    """Numbers in bins: ``starts``, shape (bins,), and in each a quantile function ``knots``, (bins, KNOTS).

    ``step`` is what values are multiples of (0 for none), ``top`` the largest that is made, ``missing`` the
    code of no value, None if there is none.
    """

    name: str
    dtype: str
    starts: Numbers
    knots: Numbers
    top: float
    step: float
    missing: int | None = None

    @property
    def size(self) -> int:
        """The number of codes."""
        return len(self.starts) + (self.missing is not None)

    @classmethod
    def fit(
        cls, name: str, dtype: str, values: Numbers, people: NDArray[np.int64], *, least: int, bins: int
    ) -> Scale:
        """Bins of about as many rows each, and of single values that are frequent.

        Args:
            values: shape (n,), NaN where missing.
            people: shape (n,), whose a value is.
        """
        there = np.isfinite(values)
        numbers, of = values[there], people[there]
        step = _step(numbers)
        if len(numbers) == 0:
            return cls(name, dtype, np.zeros(1), np.zeros((1, KNOTS)), 0.0, 1.0, 1)
        low, high = _ends(numbers, of, least)
        numbers = np.clip(numbers, low, high)
        order = np.argsort(numbers, kind="stable")
        bounds = _bins(numbers[order], of[order], least, bins)
        numbers = numbers[order]
        lows = np.array([numbers[a] for a, _ in bounds])
        before = np.array([numbers[b - 1] for _, b in bounds])
        middle = (lows[1:] + before[:-1]) / 2
        # Between two values that can be, or it would hang on a last bit where one belongs.
        starts = np.append(low, (np.floor(middle / step) + 0.5) * step if step else middle)
        ends = np.append(starts[1:], high)
        knots = np.stack(
            [_shape(numbers[a:b], s, e, least) for (a, b), s, e in zip(bounds, starts, ends, strict=True)]
        )
        return cls(name, dtype, starts, knots, float(high), step, None if there.all() else len(starts))

    @classmethod
    def declared(
        cls, name: str, dtype: str, low: float, high: float, *, bins: int, step: float, missing: bool
    ) -> Scale:
        """Bins that nobody's values were looked at for: as wide as each other, or as wide in logarithms
        where the range begins at 0 or is wide."""
        high = max(high, low)
        unit = max(step, (high - low) / 1000)
        if low >= 0 and high > 20 * max(low, step):
            at = low + np.expm1(np.linspace(0, math.log1p((high - low) / unit), bins + 1)) * unit
        else:
            at = np.linspace(low, high, bins + 1)
        if step:
            at = np.round(at / step) * step
        starts = np.unique(at[:-1])
        starts[1:] -= step / 2
        edges = np.append(starts, max(high, starts[-1]))
        knots = edges[:-1, None] + np.linspace(0, 1, KNOTS) * np.diff(edges)[:, None]
        return cls(name, dtype, starts, knots, float(high), step, len(starts) if missing else None)

    def encode(self, values: Numbers) -> NDArray[np.int32]:
        """The code of each value; one beyond the ends counts as at them."""
        codes = np.clip(np.searchsorted(self.starts, np.nan_to_num(values), side="right") - 1, 0, None)
        return np.where(np.isnan(values), self.missing if self.missing is not None else 0, codes).astype(
            np.int32
        )

    def draw(self, codes: NDArray[np.int32], random: np.random.Generator) -> Numbers:
        """A value for each code, NaN for the one of no value; coded again it has the same code."""
        bins = np.minimum(codes, len(self.starts) - 1)
        at = random.random(len(codes)) * (KNOTS - 1)
        left = np.minimum(at.astype(np.int64), KNOTS - 2)
        a, b = self.knots[bins, left], self.knots[bins, left + 1]
        values = a + (b - a) * (at - left)
        low, high = self._inside()
        values = np.clip(self._rounded(values), low[bins], high[bins])
        return np.where(codes >= len(self.starts), np.nan, values)

    def beyond(self, limits: Numbers) -> NDArray[np.float32]:
        """How much of each bin lies above each limit, shape (limits, bins): what time did not let be seen."""
        out = np.empty((len(limits), len(self.starts)), dtype=np.float32)
        a, b = self.knots[:, :-1], self.knots[:, 1:]
        wide = np.where(b > a, b - a, 1.0)
        for at in range(0, len(limits), 4096):
            r = limits[at : at + 4096, None, None] + self.step / 2
            under = np.where(b > a, np.clip((r - a) / wide, 0, 1), r >= a)
            out[at : at + 4096] = 1 - under.mean(axis=2)
        return out

    def series(self, values: Numbers) -> pl.Series:
        """Values as a column of the type that the first had."""
        made = pl.Series(self.name, values, nan_to_null=True)
        return (
            made.round().cast(pl.Int64).cast(_dtype(self.dtype))
            if _whole(self.dtype)
            else made.cast(_dtype(self.dtype))
        )

    def state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Arrays and JSON of it."""
        said = {
            "kind": "scale",
            "name": self.name,
            "dtype": self.dtype,
            "top": self.top,
            "step": self.step,
            "missing": self.missing,
        }
        return {"starts": self.starts, "knots": self.knots}, said

    def _rounded(self, values: Numbers) -> Numbers:
        if not self.step:
            return values
        # A step below one is rounded as decimals: 3 * .01 is not .03.
        if self.step < 1:
            return np.round(values, round(-math.log10(self.step)))
        return np.round(values / self.step) * self.step

    def _inside(self) -> tuple[Numbers, Numbers]:
        """The least and the largest value of each bin that is a multiple of the step."""
        ends = np.append(np.nextafter(self.starts[1:], -np.inf), self.top)
        if not self.step:
            return self.starts, np.maximum(ends, self.starts)
        near = 1e-9
        low = self._rounded(np.ceil(self.starts / self.step - near) * self.step)
        high = self._rounded(
            np.floor(np.append(self.starts[1:] / self.step - 2 * near, self.top / self.step + near))
            * self.step
        )
        return low, np.maximum(low, high)


@dataclass(frozen=True, eq=False)
class Values:
    """Values as codes: those that are kept, then the rest as one (``rare``), then no value (``missing``)."""

    name: str
    dtype: str
    values: tuple[Any, ...]
    rare: int | None = None
    missing: int | None = None

    @property
    def size(self) -> int:
        """The number of codes."""
        return max(1, len(self.values) + (self.rare is not None) + (self.missing is not None))

    @classmethod
    def fit(cls, column: pl.Series, people: NDArray[np.int64], *, least: int) -> Values:
        """The values that at least so many people have."""
        counted = (
            pl.DataFrame({"value": column, "who": people})
            .filter(pl.col("value").is_not_null())
            .group_by("value")
            .agg(pl.col("who").n_unique())
        )
        kept = counted.filter(pl.col("who") >= least)["value"].sort().to_list()
        return cls._of(
            column.name, str(column.dtype), kept, len(kept) < counted.height, column.null_count() > 0
        )

    @classmethod
    def declared(cls, name: str, dtype: str, values: Sequence[Any]) -> Values:
        """Declared values; the rest and no value have a code each, there or not."""
        return cls._of(name, dtype, list(values), True, True)

    @classmethod
    def _of(cls, name: str, dtype: str, kept: list[Any], rare: bool, missing: bool) -> Values:
        at = len(kept) if rare else None
        return cls(name, dtype, tuple(kept), at, len(kept) + rare if missing else None)

    def encode(self, column: pl.Series) -> NDArray[np.int32]:
        """The code of each value; one that is not known counts as rare, or as the first."""
        none = self.missing if self.missing is not None else 0
        rest = self.rare if self.rare is not None else none
        if not self.values:
            return np.where(column.is_null().to_numpy(), none, rest).astype(np.int32)
        known = pl.DataFrame(
            {
                "value": pl.Series(self.values, dtype=_dtype(self.dtype)),
                "code": np.arange(len(self.values), dtype=np.int32),
            }
        )
        found = (
            column.cast(_dtype(self.dtype), strict=False)
            .alias("value")
            .to_frame()
            .join(known, on="value", how="left", maintain_order="left")
        )
        codes = found["code"].fill_null(rest).to_numpy()
        return np.where(column.is_null().to_numpy(), none, codes).astype(np.int32)

    def series(self, codes: NDArray[np.int32]) -> pl.Series:
        """Codes as a column of the type that the first had."""
        dtype = _dtype(self.dtype)
        # The rest has no value of its own: as text it is called so, as a number it has none.
        rest = [RARE if dtype == pl.String else None] if self.rare is not None else []
        full = [*self.values, *rest, *([None] if self.missing is not None else [])] or [None]
        return pl.Series(self.name, full, dtype=dtype).gather(codes)

    def state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Arrays and JSON of it."""
        return {}, {
            "kind": "values",
            "name": self.name,
            "dtype": self.dtype,
            "values": list(self.values),
            "rare": self.rare,
            "missing": self.missing,
        }


def restored(arrays: Mapping[str, NDArray[Any]], document: Mapping[str, Any]) -> Scale | Values:
    """What a ``state`` is of."""
    said = {name: value for name, value in document.items() if name != "kind"}
    if document["kind"] == "scale":
        return Scale(starts=np.asarray(arrays["starts"]), knots=np.asarray(arrays["knots"]), **said)
    return Values(**{**said, "values": tuple(said["values"])})


def _dtype(name: str) -> Any:
    return {"String": pl.String, "Boolean": pl.Boolean, "Categorical": pl.String, "Enum": pl.String}.get(
        name.split("(")[0], getattr(pl, name.split("(")[0], pl.String)
    )


def _whole(name: str) -> bool:
    return "Int" in name


def _step(numbers: Numbers) -> float:
    """The largest power of ten, from 1 to 1e-4, that all values are multiples of; 0 if there is none."""
    for places in range(5):
        if np.array_equal(np.round(numbers, places), numbers):
            return 10.0**-places
    return 0.0


def _ends(numbers: Numbers, people: NDArray[np.int64], least: int) -> tuple[float, float]:
    """The ends that ``least`` people reach."""
    _, of = np.unique(people, return_inverse=True)
    count = int(of.max()) + 1
    largest, smallest = np.full(count, -np.inf), np.full(count, np.inf)
    np.maximum.at(largest, of, numbers)
    np.minimum.at(smallest, of, numbers)
    at = min(least, count) - 1
    return float(np.sort(smallest)[at]), max(float(np.sort(smallest)[at]), float(np.sort(largest)[::-1][at]))


def _bins(numbers: Numbers, people: NDArray[np.int64], least: int, bins: int) -> list[tuple[int, int]]:
    """Where each bin begins and ends among sorted numbers: frequent values alone, the others together."""
    _, begins, counts = np.unique(numbers, return_index=True, return_counts=True)
    wanted = len(numbers) / bins
    found: list[tuple[int, int]] = []
    open_at: int | None = None
    for begin, count in zip(begins.tolist(), counts.tolist(), strict=True):
        if count >= wanted / 2:
            if open_at is not None:
                found.append((open_at, begin))
            found.append((begin, begin + count))
            open_at = None
            continue
        open_at = begin if open_at is None else open_at
        if begin + count - open_at >= wanted:
            found.append((open_at, begin + count))
            open_at = None
    if open_at is not None:
        found.append((open_at, len(numbers)))
    return _joined(found, people, least)


def _joined(found: list[tuple[int, int]], people: NDArray[np.int64], least: int) -> list[tuple[int, int]]:
    """Bins of fewer than ``least`` people join the one before, or the one after where none is before."""
    least = min(least, len(np.unique(people)))
    kept: list[tuple[int, int]] = []
    begin = 0
    for _, end in found:
        if len(np.unique(people[begin:end])) >= least:
            kept.append((begin, end))
            begin = end
    if begin < len(people):
        first = kept.pop()[0] if kept else 0
        kept.append((first, len(people)))
    return kept


def _shape(numbers: Numbers, start: float, end: float, least: int) -> Numbers:
    """The quantile function of a bin at KNOTS points, from means of at least ``least`` values each."""
    if numbers[0] == numbers[-1]:
        return np.full(KNOTS, numbers[0])
    groups = max(1, min(KNOTS - 1, len(numbers) // max(1, least)))
    means = np.array([part.mean() for part in np.array_split(numbers, groups)])
    if groups == 1:
        half = min(means[0] - start, end - means[0])
        return np.asarray(means[0] + half * np.linspace(-1, 1, KNOTS))
    at = np.concatenate([[0.0], (np.arange(groups) + 0.5) / groups, [1.0]])
    low = max(start, means[0] - (means[1] - means[0]) / 2)
    high = min(end, means[-1] + (means[-1] - means[-2]) / 2)
    return np.asarray(np.interp(np.linspace(0, 1, KNOTS), at, np.concatenate([[low], means, [high]])))
