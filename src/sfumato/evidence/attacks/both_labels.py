"""Made rows in the terms of people's own: which label a made value stands for, and how far rows are apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sfumato.evidence.features import numbers

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]

#: Numbers with fewer labels are told apart as labels are.
FEWEST_NUMBERS = 3
#: Where what is missing lies: near what is missing, and from all else as far as can be.
MISSING = 9.0

_VALUE, _CODE = "value", "code"


@dataclass(frozen=True)
class Labels:
    """The labels of one column of own rows, numbered from 0, a missing one among them.

    ``own`` are those of the rows, ``ranks`` their places from 0 to 1 if they are numbers, else NaN. ``texts``
    has the number of each label, ``values`` that of each value of made rows that somebody has.
    """

    own: Codes
    ranks: Floats
    numeric: bool
    texts: pl.DataFrame
    values: pl.DataFrame

    @classmethod
    def of(cls, own: pl.Series, people: pl.Series, at: Codes) -> Labels:
        """From the labels of own rows, and the values of people who stand in rows ``at``.

        >>> labels = Labels.of(pl.Series(["20-29", "30-39"]), pl.Series([21, 35]), np.array([0, 1]))
        >>> labels.standing_for(pl.Series([21, 34, None])).tolist()
        [0, 1, -1]
        """
        texts = own.unique().sort(nulls_last=True).alias(_VALUE).to_frame().with_row_index(_CODE)
        texts = texts.with_columns(pl.col(_CODE).cast(pl.Int64))
        codes = _found(own, texts)
        shares = np.bincount(codes, minlength=texts.height) / max(1, len(codes))
        known = texts[_VALUE].cast(pl.Float64, strict=False)
        numeric = known.null_count() == texts[_VALUE].null_count() and known.n_unique() >= FEWEST_NUMBERS
        ranks = np.full(texts.height, np.nan)
        if numeric:
            order = np.argsort(known.fill_null(float("nan")).to_numpy(), kind="stable")
            ranks[order] = np.cumsum(shares[order]) - shares[order] / 2
            ranks[known.is_null().to_numpy()] = MISSING
        pairs = pl.DataFrame({_VALUE: people, _CODE: codes[at]})
        counted = pairs.group_by(_VALUE, _CODE).len().sort("len", _CODE, descending=[True, False])
        values = counted.unique(_VALUE, keep="first", maintain_order=True).select(_VALUE, _CODE)
        return cls(codes, ranks, bool(numeric), texts, values)

    def standing_for(self, made: pl.Series) -> Codes:
        """The label that people have with each value; of new numbers that of the nearest, else -1."""
        found = _found(made, self.values)
        other = _found(made.cast(pl.String), self.texts)
        found = np.where(found < 0, other, found)
        new, seen = numbers(made), self.values.filter(pl.col(_VALUE).is_not_null())
        old = numbers(seen[_VALUE])
        if new is None or old is None or not len(old):
            return found
        order = np.argsort(old, kind="stable")
        old, codes = old[order], seen[_CODE].to_numpy()[order]
        after = np.clip(np.searchsorted(old, new), 1 if len(old) > 1 else 0, len(old) - 1)
        before = np.maximum(after - 1, 0)
        nearest = np.where(np.abs(new - old[before]) <= np.abs(old[after] - new), before, after)
        return np.where((found < 0) & ~np.isnan(new), codes[nearest], found).astype(np.int64)


def _found(values: pl.Series, table: pl.DataFrame) -> Codes:
    """The number of each value in a table of values, -1 if it is not there."""
    joined = (
        values.alias(_VALUE)
        .to_frame()
        .join(table, on=_VALUE, how="left", nulls_equal=True, maintain_order="left")
    )
    return joined[_CODE].fill_null(-1).cast(pl.Int64).to_numpy()


def points(
    people: pl.DataFrame, columns: Sequence[str], frames: Sequence[pl.DataFrame]
) -> tuple[list[NDArray[np.float32]], NDArray[np.bool_]]:
    """Rows of several tables as points: numbers by their places among people, others by their labels.

    Returns:
        For each table shape (rows, columns), and which columns are numbers.
    """
    found = [np.zeros((frame.height, len(columns)), dtype=np.float32) for frame in frames]
    numeric = np.zeros(len(columns), dtype=bool)
    for at, name in enumerate(columns):
        figures = None if people[name].dtype == pl.Boolean else numbers(people[name])
        numeric[at] = figures is not None
        if figures is None:
            every = pl.concat([frame[name].cast(pl.String) for frame in frames])
            codes = every.rank("dense").fill_null(0).to_numpy().astype(np.float32)
            ends = np.cumsum([0, *(frame.height for frame in frames)])
            for points_of, start, end in zip(found, ends, ends[1:], strict=False):
                points_of[:, at] = codes[start:end]
            continue
        scale = np.sort(figures[~np.isnan(figures)])
        for points_of, frame in zip(found, frames, strict=True):
            values = numbers(frame[name])
            assert values is not None
            sides = (np.searchsorted(scale, values, side) for side in ("left", "right"))
            places = sum(sides) / (2 * max(1, len(scale)))
            points_of[:, at] = np.where(np.isnan(values), MISSING, places)
    return found, numeric
