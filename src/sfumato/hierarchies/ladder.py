"""A hierarchy laid out over the values of one snapshot, as arrays that a search can index."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sfumato.core.errors import InputError

if TYPE_CHECKING:
    from sfumato.contracts import HierarchyKind

#: The label that covers every value.
ANY = "*"


@dataclass(frozen=True)
class Ladder:
    """One column's distinct values and their labels at every level.

    ``values`` are the distinct values of the snapshot, shape (v,), missing among them if it occurs.
    ``codes[level]`` has the number of each value's label, shape (v,), and ``labels[level]`` the labels
    by number (level 0 has none: it is the value). ``shares[level]`` has, for each value, the share of
    the leaves that its label covers; ``size`` is the number of leaves (D in ARX's loss measure).
    """

    column: str
    values: pl.Series
    codes: tuple[NDArray[np.int64], ...]
    labels: tuple[pl.Series, ...]
    shares: tuple[NDArray[np.float64], ...]
    size: int
    kind: HierarchyKind | None = None

    @property
    def height(self) -> int:
        """The number of levels."""
        return len(self.codes)

    @classmethod
    def build(cls, kind: HierarchyKind, values: pl.Series, first_rows: pl.Series) -> Ladder:
        """Lay a hierarchy out over distinct values.

        Args:
            kind: the hierarchy.
            values: the distinct values of a column, missing among them if it occurs.
            first_rows: for each, the number of a row that has it, for messages.

        Raises:
            InputError: ``hierarchy-invalid`` if a value has no place in the hierarchy or levels do not
                nest; the message has row numbers, never values.
        """
        domain = kind.domain()
        leaves = values if domain is None else domain
        if domain is not None:
            _check_covered(values, domain, first_rows)
        codes, labels, shares = [np.arange(len(values))], [values], [_level_shares(values, leaves)]
        for level in range(1, kind.height):
            label = kind.labels(values, level)
            codes.append(_codes(label))
            labels.append(label)
            shares.append(_level_shares(label, kind.labels(leaves, level)))
        for level in range(kind.height - 1):
            _check_nested(values.name, codes[level], codes[level + 1], first_rows, level)
        return cls(values.name, values, tuple(codes), tuple(labels), tuple(shares), len(leaves), kind)

    @classmethod
    def fixed(cls, values: pl.Series) -> Ladder:
        """A ladder of the one level 0, for a column that another transform has already coarsened."""
        shares = np.full(len(values), 1 / max(1, len(values)))
        return cls(values.name, values, (np.arange(len(values)),), (values,), (shares,), max(1, len(values)))


def _codes(labels: pl.Series) -> NDArray[np.int64]:
    """Dense numbers of labels; missing is a label of its own."""
    return labels.rank("dense").fill_null(0).cast(pl.Int64).to_numpy()


def _level_shares(labels: pl.Series, leaf_labels: pl.Series) -> NDArray[np.float64]:
    """The share of leaves that have each value's label, shape (v,)."""
    counts = leaf_labels.cast(pl.String).alias("label").to_frame().group_by("label").len("leaves")
    found = (
        labels.cast(pl.String)
        .alias("label")
        .to_frame()
        .join(counts, on="label", how="left", nulls_equal=True, maintain_order="left")["leaves"]
    )
    # A value that is no leaf of its own (a missing one in a domain without it) covers one.
    return found.fill_null(1).cast(pl.Float64).to_numpy() / max(1, len(leaf_labels))


def _check_covered(values: pl.Series, domain: pl.Series, first_rows: pl.Series) -> None:
    missing = ~values.cast(pl.String).is_in(domain.implode(), nulls_equal=True)
    if missing.any():
        uncovered = int(missing.sum())
        row = int(first_rows.filter(missing).min()) + 1  # type: ignore[arg-type]
        blanks = values.filter(missing).cast(pl.String).str.strip_chars()
        hint = (
            "they differ from the hierarchy's values only by blanks at the ends"
            if blanks.is_in(domain.str.strip_chars().implode(), nulls_equal=True).any()
            else "add them (an empty first cell stands for missing values)"
        )
        raise InputError(
            "hierarchy-invalid",
            f"{uncovered} distinct value(s) of the data have no row in the hierarchy (first: data row {row})",
            where=f"column {values.name}",
            remedy=hint,
        )


def _check_nested(
    column: str, fine: NDArray[np.int64], coarse: NDArray[np.int64], first_rows: pl.Series, level: int
) -> None:
    """Values that share a label must share the one above it."""
    order = np.lexsort((coarse, fine))
    same = fine[order][1:] == fine[order][:-1]
    parted = same & (coarse[order][1:] != coarse[order][:-1])
    if parted.any():
        at = int(np.argmax(parted))
        rows = sorted(int(first_rows[int(order[i])]) + 1 for i in (at, at + 1))
        raise InputError(
            "hierarchy-invalid",
            f"levels {level} and {level + 1} do not nest: the values of data rows {rows[0]} and {rows[1]} "
            "share a label and part again above it",
            where=f"column {column}",
            remedy="make every label lie wholly under one label of the next level",
        )
