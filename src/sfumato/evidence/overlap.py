"""Labels that overlap, as local recoding makes them: what they cover, and what they say of the values.

No label of a person outside the release can be computed, so values are compared with labels. A label
that covers several values says of each of them the same: its people are spread equally over the
distinct values of the original that it covers. That is the convention by which counts are read off
partitioned tables (LeFevre, DeWitt & Ramakrishnan 2006, *Mondrian*, ICDE), and of all that could be known
of the original it takes only which values there are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sfumato.contracts import Comparison
from sfumato.evidence.features import encode_labels, label_codes

#: Cells of a matrix of labels and values that are in memory at a time.
CELLS = 1 << 24


def covered(comparison: Comparison, column: str, labels: pl.Series, values: pl.Series) -> NDArray[np.bool_]:
    """Which labels agree with which values as ``describe`` leaves them, shape (labels, values).

    In a column whose labels overlap those that cover the value, in any other the one that it is.
    """
    if column in comparison.overlapping:
        assert comparison.covers is not None, "columns whose labels overlap come with what they cover"
        return comparison.covers(column, labels, values)
    codes = encode_labels(values, pl.DataFrame({"label": labels}).with_row_index("code"))
    return np.asarray(codes == np.arange(len(labels))[:, None], dtype=bool)


def numbered(values: pl.Series) -> tuple[pl.Series, NDArray[np.int32]]:
    """The distinct values in their order, missing last, and the number of each row's."""
    if values.dtype.is_integer() and not values.null_count():
        found, codes = np.unique(values.to_numpy(), return_inverse=True)
        return pl.Series(values.name, found, dtype=values.dtype), codes.astype(np.int32)
    distinct = values.unique().sort(nulls_last=True)
    if values.dtype == pl.String:
        return distinct, label_codes(values, distinct.drop_nulls(), distinct.len() - 1).astype(np.int32)
    return distinct, encode_labels(values, pl.DataFrame({"label": distinct}).with_row_index("code"))


def blocks(many: int, width: int) -> Iterator[slice]:
    """Slices of ``many`` things such that a block of them has at most :data:`CELLS` of ``width`` each."""
    step = max(1, CELLS // max(1, width))
    return (slice(start, start + step) for start in range(0, many, step))


@dataclass(frozen=True)
class Spread:
    """What labels say of some bins of the original's values.

    ``codes`` is the number of each row's label, shape (rows,); ``shares`` the share of the values under
    each label that lie in each bin, shape (labels, bins). A label that covers no value of the
    original has the last bin, that of missing values.
    """

    codes: NDArray[np.int32]
    shares: NDArray[np.float64]

    @classmethod
    def of(
        cls,
        comparison: Comparison,
        released: pl.Series,
        values: pl.Series,
        bins: NDArray[np.int64],
        size: int,
    ) -> Spread:
        """The spread of released labels over bins.

        Args:
            released: labels of a column whose labels overlap, one a row.
            values: the column of the original as ``describe`` leaves it.
            bins: the bin of each of these values.
            size: the number of bins.
        """
        first = values.arg_unique().to_numpy()
        first = first[np.argsort(bins[first], kind="stable")]
        here, starts = np.unique(bins[first], return_index=True)
        labels, codes = numbered(released)
        shares = np.zeros((len(labels), size))
        for part in blocks(len(labels), len(first)):
            inside = covered(comparison, released.name, labels[part], values[first])
            shares[part, here] = np.add.reduceat(inside, starts, axis=1, dtype=np.int64)
        nothing = shares.sum(axis=1) == 0
        shares[nothing, -1] = 1.0
        return cls(codes, shares / shares.sum(axis=1, keepdims=True))


def told_apart(comparison: Comparison, before: pl.Series, released: pl.Series, values: pl.Series) -> float:
    """Ordered pairs of rows that differ before and whose labels share no value of the original.

    Args:
        before: the original's column, one a row.
        released: its labels, which overlap, of the same rows.
        values: the column of the original as ``describe`` leaves it.
    """
    labels, codes = numbered(released)
    distinct, _ = numbered(values)
    bits = np.zeros((len(labels), len(distinct) // 64 + 1), dtype=np.uint64)
    ends = np.zeros((len(labels), 2), dtype=np.int64)
    for part in blocks(len(labels), len(distinct)):
        inside = covered(comparison, released.name, labels[part], distinct)
        ends[part, 0] = inside.argmax(axis=1)
        ends[part, 1] = np.where(inside.any(axis=1), len(distinct) - 1 - inside[:, ::-1].argmax(axis=1), -1)
        packed = np.packbits(inside, axis=1, bitorder="little")
        bits[part].view(np.uint8)[:, : packed.shape[1]] = packed
    pairs = pl.DataFrame({"before": numbered(before)[1], "label": codes})
    together = pairs.group_by("before", "label").len().sort("before", "label")
    everybody = pairs.group_by("label").len().sort("label").with_columns(before=0)
    return _apart(bits, ends, everybody) - _apart(bits, ends, together)


def _apart(bits: NDArray[np.uint64], ends: NDArray[np.int64], counted: pl.DataFrame) -> float:
    """Ordered pairs of rows within the groups of ``before`` whose labels share no value."""
    groups = np.flatnonzero(np.diff(counted["before"].to_numpy(), prepend=-1, append=-1))
    if not counted.height:
        return 0.0
    labels, people = counted["label"].to_numpy(), counted["len"].to_numpy().astype(np.float64)
    return float(_disjoint()(bits, ends, labels, people, groups))


@cache
def _disjoint() -> Any:
    """Pairs of labels within groups that share no bit; compiled when first needed."""
    import numba

    @numba.njit(cache=True)
    def kernel(bits: Any, ends: Any, labels: Any, people: Any, groups: Any) -> Any:  # pragma: no cover
        total = 0.0
        for g in range(len(groups) - 1):
            for i in range(groups[g], groups[g + 1]):
                for k in range(groups[g], i):
                    a, b = labels[i], labels[k]
                    low, high = max(ends[a, 0], ends[b, 0]), min(ends[a, 1], ends[b, 1])
                    shared = False
                    for word in range(low // 64, high // 64 + 1):
                        if bits[a, word] & bits[b, word]:
                            shared = True
                            break
                    if not shared:
                        total += 2 * people[i] * people[k]
        return total

    return kernel
