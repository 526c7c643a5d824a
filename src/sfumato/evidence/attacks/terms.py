"""Released rows and people as numbers, in the release's own terms, for attacks that compare all with all.

A condition on a column is an interval of codes. Where labels overlap the code of a row is its label's, that
of a person the value's, and a table says which labels cover which values.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sfumato.contracts import Comparison
from sfumato.evidence.features import UNKNOWN, as_type, encode_labels, numbers
from sfumato.evidence.overlap import covered

#: No code at all: what a condition on a missing column or label never meets.
NEVER = -3


@dataclass(frozen=True)
class Column:
    """One column: codes of the released rows and of people, shape (rows,) and (people,).

    Codes follow the order of ``numbers`` where labels have them (NaN elsewhere, at the end), shape
    (labels,). ``covers`` is None where codes are compared, else which labels cover which values.
    """

    name: str
    rows: NDArray[np.int32]
    people: tuple[NDArray[np.int32], ...]
    numbers: NDArray[np.float64]
    covers: NDArray[np.bool_] | None = None

    @property
    def ordered(self) -> int:
        """How many codes stand for numbers, in their order."""
        return 0 if self.covers is not None else int(np.isfinite(self.numbers).sum())


def no_numbers_missing(series: pl.Series) -> pl.Series:
    """The column with what is not a number missing: it equals nothing, not even itself."""
    return series.fill_nan(None) if series.dtype.is_float() else series


def encode(comparison: Comparison, column: str, released: pl.Series, people: Sequence[pl.Series]) -> Column:
    """A column of released rows and of groups of people as ``describe`` leaves them."""
    released, people = no_numbers_missing(released), [no_numbers_missing(series) for series in people]
    if column in comparison.overlapping:
        return _covering(comparison, column, released, people)
    held = [as_type(series, released.dtype) for series in people]
    distinct = pl.concat([released, *(series for series, _ in held)]).unique().sort(nulls_last=True)
    found = numbers(distinct, comparison.centers.get(column))
    figures = np.full(len(distinct), np.nan) if found is None else np.where(np.isfinite(found), found, np.nan)
    order = np.argsort(figures, kind="stable")
    level = pl.DataFrame({"label": distinct[order]}).with_row_index("code")
    codes = []
    for series, lost in held:
        code = encode_labels(series, level)
        code[lost.to_numpy()] = UNKNOWN
        codes.append(code)
    return Column(column, encode_labels(released, level), tuple(codes), figures[order])


def _covering(
    comparison: Comparison, column: str, released: pl.Series, people: Sequence[pl.Series]
) -> Column:
    labels = released.unique().sort(nulls_last=True)
    values = pl.concat(list(people)).unique().sort(nulls_last=True)
    level, known = (pl.DataFrame({"label": each}).with_row_index("code") for each in (labels, values))
    return Column(
        column,
        encode_labels(released, level),
        tuple(encode_labels(series, known) for series in people),
        np.full(len(labels), np.nan),
        covered(comparison, column, labels, values),
    )
