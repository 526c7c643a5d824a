"""The codings of single columns: values with a code each, and numbers in bins."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sfumato.core.errors import InputError
from sfumato.synth.coded import Field
from sfumato.synth.encoding.bins import Bins
from sfumato.synth.encoding.scales import Scale, dtype_document, dtype_restored, present


class Coding(Protocol):
    """How one column is coded. Every code decodes to a value of the column's type, or to missing."""

    @property
    def field(self) -> Field:
        """The field."""

    def encode(self, values: pl.Series) -> NDArray[np.int32]:
        """The code of each value, shape (n,); a value without a code of its own gets a common one."""

    def decode(self, codes: NDArray[np.int32], random: np.random.Generator) -> pl.Series:
        """A value for each code, drawn where it stands for many."""

    def within(self, wanted: Wanted) -> tuple[Coding, NDArray[np.bool_]]:
        """The coding that draws wanted values alone, and the codes that have any, shape (size,)."""

    def document(self) -> dict[str, Any]:
        """The coding as JSON."""


@dataclass(frozen=True)
class Wanted:
    """What a column may be: some ``values``, or stretches from ``low`` to ``high``; None is missing."""

    values: tuple[Any, ...] = ()
    ranges: tuple[tuple[Any, Any], ...] = ()


@dataclass(frozen=True)
class Values:
    """Values with a code each, in their order; then rare ones together, if any; then missing, if any.

    Rare ones come out as one of the common values, by their ``shares``; where nothing is common, as missing.
    ``default`` is the code of what has none.
    """

    name: str
    dtype: pl.DataType
    values: tuple[Any, ...]
    shares: tuple[float, ...] = ()
    rare: bool = False
    missing: bool = False
    default: int = 0

    @cached_property
    def field(self) -> Field:
        """The field; a column in which nothing is common has one code, for missing."""
        size = len(self.values) + self.rare + self.missing
        gone = size - 1 if self.missing else None if size else 0
        return Field(self.name, self.name, max(size, 1), False, gone)

    def encode(self, values: pl.Series) -> NDArray[np.int32]:
        """The code of each value."""
        if not self.values:
            codes = np.zeros(len(values), dtype=np.int32)
            codes[values.is_null().to_numpy()] = self.field.missing or 0
            return codes
        plain = _plain(present(values))
        rest = len(self.values) if self.rare else self.default
        missing = self.field.missing if self.missing else self.default
        known = pl.Series(self.values, dtype=plain.dtype)
        found = plain.replace_strict(known, np.arange(len(known)), default=rest, return_dtype=pl.Int32)
        return np.where(plain.is_null().to_numpy(), np.int32(missing or 0), found.to_numpy())

    def decode(self, codes: NDArray[np.int32], random: np.random.Generator) -> pl.Series:
        """The value of each code."""
        places = np.asarray(codes, dtype=np.int64)
        if self.rare and self.values:
            other = places == len(self.values)
            shares = np.asarray(self.shares or np.ones(len(self.values)))
            drawn = random.choice(len(self.values), int(other.sum()), p=shares / shares.sum())
            places = places.copy()
            places[other] = drawn
        table = pl.Series(self.name, self.values, dtype=_plain(pl.Series(dtype=self.dtype)).dtype)
        if not len(table):
            return pl.Series(self.name, [None] * len(places), dtype=self.dtype)
        # Whatever stands behind the values is missing.
        known = table.extend_constant(None, self.field.size - len(table))
        return known.gather(places).cast(self.dtype)

    def within(self, wanted: Wanted) -> tuple[Values, NDArray[np.bool_]]:
        """Values are wanted one by one."""
        if wanted.ranges:
            raise InputError(
                "usage", "this column has no order", where=self.name, remedy="give a list of its values"
            )
        mask = np.zeros(self.field.size, dtype=bool)
        mask[: len(self.values)] = [value in wanted.values for value in self.values]
        if None in wanted.values and self.field.missing is not None:
            mask[self.field.missing] = True
        return self, mask

    def document(self) -> dict[str, Any]:
        """The coding as JSON."""
        return {
            "kind": "values",
            "name": self.name,
            "dtype": dtype_document(self.dtype),
            "values": list(self.values),
            "shares": list(self.shares),
            "rare": self.rare,
            "missing": self.missing,
            "default": self.default,
        }


@dataclass(frozen=True)
class Numbers:
    """Bins of numbers, dates or times, from low to high; then missing, if any.

    A value below or above all that were learned has the first or the last code.
    """

    name: str
    scale: Scale
    bins: Bins
    missing: bool = False

    @cached_property
    def field(self) -> Field:
        """The field."""
        size = len(self.bins.starts) + 1
        return Field(self.name, self.name, size + self.missing, True, size if self.missing else None)

    def encode(self, values: pl.Series) -> NDArray[np.int32]:
        """The bin of each value."""
        known = present(values)
        gone = known.is_null().to_numpy()
        codes = np.full(len(known), self._default, dtype=np.int32)
        ticks = self.scale.ticks(known)
        codes[~gone] = np.searchsorted(self.bins.starts, ticks, side="right")
        if self.field.missing is not None:
            codes[gone] = self.field.missing
        return codes

    def decode(self, codes: NDArray[np.int32], random: np.random.Generator) -> pl.Series:
        """A value of each bin, by the shape inside it."""
        bins = self.bins
        gone = codes > len(bins.starts)
        asked = np.where(gone, bins.code[0], codes)
        begins = np.searchsorted(bins.code, np.arange(len(bins.starts) + 2))
        first, last = begins[asked], begins[asked + 1] - 1
        if (first == last).all():
            piece = first
        else:
            total = np.append(0.0, np.cumsum(bins.weight))
            places = total[first] + random.random(len(codes)) * (total[last + 1] - total[first])
            piece = np.clip(np.searchsorted(total, places, side="right") - 1, first, last)
        low, high = bins.low[piece], bins.high[piece]
        if (low == high).all():
            ticks = low
        elif self.scale.whole:
            ticks = np.minimum(low + (random.random(len(codes)) * (high - low + 1)).astype(np.int64), high)
        else:
            ticks = low + random.random(len(codes)) * (high - low)
        return self.scale.values(ticks, gone, self.name)

    def within(self, wanted: Wanted) -> tuple[Numbers, NDArray[np.bool_]]:
        """The pieces cut to the stretches that are wanted."""
        ends = [(v, v) for v in wanted.values if v is not None] + list(wanted.ranges)
        parts = [self._cut(*self._ticks(low, high)) for low, high in ends]
        mask = np.zeros(self.field.size, dtype=bool)
        if None in wanted.values and self.field.missing is not None:
            mask[self.field.missing] = True
        if not any(len(part.code) for part in parts):
            return self, mask
        joined = [
            np.concatenate([getattr(part, name) for part in parts])
            for name in ("low", "high", "weight", "code")
        ]
        order = np.argsort(joined[3], kind="stable")
        low, high, weight, code = (each[order] for each in joined)
        mask[code] = True
        return replace(self, bins=Bins(self.bins.starts, low, high, weight, code)), mask

    def document(self) -> dict[str, Any]:
        """The coding as JSON."""
        return {
            "kind": "numbers",
            "name": self.name,
            "scale": self.scale.document(),
            "missing": self.missing,
            "bins": {name: getattr(self.bins, name).tolist() for name in _BINS},
        }

    @cached_property
    def _default(self) -> int:
        """The code of most people."""
        return int(np.argmax(np.bincount(self.bins.code, self.bins.weight)))

    def _ticks(self, low: Any, high: Any) -> tuple[float, float]:
        """A stretch in ticks, with ends in; an end that is None is open."""
        ends = [self.scale.place(low, self.name, -math.inf), self.scale.place(high, self.name, math.inf)]
        if not ends[0] <= ends[1]:
            raise InputError("usage", "the range ends before it begins", where=self.name)
        if not self.scale.whole:
            return ends[0], ends[1]
        return _up(ends[0]), -_up(-ends[1])

    def _cut(self, low: float, high: float) -> Bins:
        bins = self.bins
        left, right = np.maximum(bins.low, low), np.minimum(bins.high, high)
        extra = 1.0 if self.scale.whole else 0.0
        length = bins.high - bins.low + extra
        part = np.where(length > 0, (right - left + extra) / np.where(length > 0, length, 1), right >= left)
        keep = part > 0
        kind = bins.low.dtype
        return Bins(
            bins.starts,
            left[keep].astype(kind),
            right[keep].astype(kind),
            (bins.weight * part)[keep],
            bins.code[keep],
        )


_BINS = ("starts", "low", "high", "weight", "code")


def restored(document: Mapping[str, Any]) -> Values | Numbers:
    """The coding that its ``document`` wrote."""
    if document["kind"] == "values":
        rest = {name: document[name] for name in ("name", "rare", "missing", "default")}
        return Values(
            dtype=dtype_restored(document["dtype"]),
            values=tuple(document["values"]),
            shares=tuple(document["shares"]),
            **rest,
        )
    scale = Scale.restored(document["scale"])
    kind = np.int64 if scale.whole else np.float64
    starts, low, high, weight, code = (document["bins"][name] for name in _BINS)
    bins = Bins(
        np.array(starts, dtype=kind),
        np.array(low, dtype=kind),
        np.array(high, dtype=kind),
        np.array(weight, dtype=np.float64),
        np.array(code, dtype=np.int64),
    )
    return Numbers(document["name"], scale, bins, document["missing"])


def counted(values: pl.Series) -> tuple[list[Any], NDArray[np.int64]]:
    """The distinct present values of a category in order, and how often each occurs."""
    found = _plain(values).drop_nulls().alias("value").to_frame().group_by("value").len().sort("value")
    return found["value"].to_list(), found["len"].to_numpy().astype(np.int64)


def declared_values(name: str, dtype: pl.DataType, given: Sequence[Any]) -> tuple[Any, ...]:
    """Declared categories as the column's own type has them.

    Raises:
        InputError: ``usage``: none, one twice, one missing, or of another type.
    """
    plain = _plain(pl.Series(dtype=dtype)).dtype
    try:
        values = pl.Series(list(given), dtype=plain, strict=True)
    except (TypeError, ValueError, OverflowError, pl.exceptions.PolarsError):
        values = pl.Series(dtype=plain)
    if not len(values) or values.null_count() or values.n_unique() < len(values):
        raise InputError(
            "usage",
            "the declared categories do not suit the column",
            where=name,
            remedy=f"list each of its values once, as {plain}; missing ones are seen to without it",
        )
    return tuple(values.to_list())


def _plain(values: pl.Series) -> pl.Series:
    return values.cast(pl.String) if isinstance(values.dtype, pl.Categorical | pl.Enum) else values


def _up(place: float) -> float:
    """The next whole number, but for what rounding adds."""
    if isinstance(place, int) or not math.isfinite(place):
        return place
    return math.ceil(place - 1e-9 * max(1.0, abs(place)))
