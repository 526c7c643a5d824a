"""What every synthesizer from marginals learns first: each field by itself, and how many rows there are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sfumato.core.errors import InputError
from sfumato.synth.coded import Coded, Field, Private
from sfumato.synth.marginals.drawing import Draws
from sfumato.synth.marginals.grouping import Scale, merged, proportions, scale
from sfumato.synth.marginals.tables import Singles, Tables

#: A target's groups within which pairs are counted, at most.
_CONTEXTS = 4


@dataclass(frozen=True)
class Start:
    """The fields as fits see them, the rows in their groups, and noisy shares of each.

    ``rows`` is the noisy number of rows, at least 1; ``codes`` are groups, shape (rows, fields), and private.
    """

    fields: tuple[Field, ...]
    rows: float
    scales: tuple[Scale, ...]
    singles: Singles
    codes: NDArray[np.int32]
    target: int | None

    @property
    def shares(self) -> list[NDArray[np.float64]]:
        """Each field's shares, none below 0."""
        return [proportions(each.astype(np.float64)) for each in self.singles.shares]

    def groups(self, most: int) -> list[NDArray[np.int64]]:
        """Each field's groups merged to so many at most."""
        return [
            merged(share, field.ordered, most) for share, field in zip(self.shares, self.fields, strict=True)
        ]

    def context(self) -> tuple[int, NDArray[np.int64]] | None:
        """The target in a few groups, where there are pairs beside it to be counted within them."""
        if self.target is None or len(self.fields) < 3:
            return None
        return self.target, merged(self.shares[self.target], self.fields[self.target].ordered, _CONTEXTS)

    def measure(
        self, draws: Draws, tables: Tables, pairs: Sequence[tuple[int, int]], deviation: float
    ) -> None:
        """Count pairs with noise into tables."""
        for first, second in pairs:
            noisy = draws.table(tables.count(self.codes, first, second), deviation)
            tables.add(first, second, noisy / self.rows, (self.rows / deviation) ** 2)


def started(coded: Coded, private: Private | None, draws: Draws, share: float) -> Start:
    """Count each field by itself.

    Args:
        share: of the budget for tables.

    Raises:
        InputError: ``usage``: there is nothing to learn from, and nothing is private.
    """
    if not coded.fields:
        raise InputError("usage", "there is no column to learn")
    if private is None and not len(coded.codes):
        raise InputError("usage", "there is no row to learn from")
    deviation = draws.deviation(share, len(coded.fields))
    counts = [
        draws.table(np.bincount(coded.codes[:, place], minlength=field.size), deviation)
        for place, field in enumerate(coded.fields)
    ]
    # Every field's total is an estimate of one number, the better the fewer codes it was summed over.
    sizes = np.array(coded.sizes, dtype=np.float64)
    rows = max(1.0, float(np.average([each.sum() for each in counts], weights=1 / sizes)))
    noise = deviation if private is not None else 0.0
    scales = tuple(
        scale(count, noise, field.ordered) for count, field in zip(counts, coded.fields, strict=True)
    )
    codes = np.empty(coded.codes.shape, dtype=np.int32, order="F")
    shares, precision = [], []
    for place, (each, count) in enumerate(zip(scales, counts, strict=True)):
        codes[:, place] = each.group[coded.codes[:, place]]
        share_of = np.bincount(each.group, count) / rows
        shares.append((share_of + (1 - share_of.sum()) / len(share_of)).astype(np.float32))
        variance = np.bincount(each.group) * (deviation / rows) ** 2
        precision.append((1 / variance).astype(np.float32))
    singles = Singles(tuple(shares), tuple(precision))
    return Start(coded.fields, rows, scales, singles, codes, coded.target)
