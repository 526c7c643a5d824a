"""Noisy tables of two fields, some of them within each group of a third, laid out for a fit.

All tables of one :class:`Tables` are blocks of a symmetric matrix over the groups of all fields: what a model
says of every block is one product of matrices.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Tables:
    """Blocks of shares with the precision of each.

    Args:
        groups: for each field, the group of each code; the context's own is all zeros.
        context: the field within whose groups the tables are, and the group of each of its codes; or None.
        shares: shape (contexts, groups, groups), the groups of all fields one after another, symmetric.
        precision: 1 / variance of each share, shape (groups, groups); 0 where nothing was measured.
    """

    groups: tuple[NDArray[np.int64], ...]
    context: tuple[int, NDArray[np.int64]] | None
    shares: NDArray[np.float32]
    precision: NDArray[np.float32]

    @classmethod
    def empty(
        cls, groups: Sequence[NDArray[np.int64]], context: tuple[int, NDArray[np.int64]] | None = None
    ) -> Tables:
        """Tables of nothing yet."""
        if context is not None:
            groups = [
                np.zeros_like(each) if place == context[0] else each for place, each in enumerate(groups)
            ]
        width = int(sum(each.max() + 1 for each in groups))
        layers = 1 if context is None else int(context[1].max()) + 1
        return cls(
            tuple(groups),
            context,
            np.zeros((layers, width, width), dtype=np.float32),
            np.zeros((width, width), dtype=np.float32),
        )

    @cached_property
    def starts(self) -> NDArray[np.int64]:
        """Where each field's groups begin, and the end of the last, shape (fields + 1,)."""
        return np.concatenate([[0], np.cumsum([each.max() + 1 for each in self.groups])])

    def count(self, codes: NDArray[np.int32], first: int, second: int) -> NDArray[np.int64]:
        """The rows in each cell of two fields, shape (contexts, groups of first, groups of second)."""
        a, b = self.groups[first], self.groups[second]
        high, wide = int(a.max()) + 1, int(b.max()) + 1
        cell = a[codes[:, first]] * wide + b[codes[:, second]]
        if self.context is not None:
            place, layer = self.context
            cell += layer[codes[:, place]] * (high * wide)
        layers = len(self.shares)
        return np.bincount(cell, minlength=layers * high * wide).reshape(layers, high, wide)

    def add(self, first: int, second: int, shares: NDArray[np.float64], precision: float) -> None:
        """Put in the table of two fields; one that is there already is averaged with it."""
        start = self.starts
        a, b = slice(start[first], start[first + 1]), slice(start[second], start[second + 1])
        had = float(self.precision[a, b][0, 0])
        mean = (self.shares[:, a, b] * had + shares * precision) / (had + precision)
        self.shares[:, a, b] = mean
        self.shares[:, b, a] = mean.transpose(0, 2, 1)
        self.precision[a, b] = self.precision[b, a] = had + precision

    def block(self, matrix: NDArray[np.float32], first: int, second: int) -> NDArray[np.float32]:
        """The cells of two fields in a matrix of the form of ``shares``."""
        start = self.starts
        return matrix[..., start[first] : start[first + 1], start[second] : start[second + 1]]

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """The pairs of fields that have a table, the first field before the second."""
        start = self.starts[:-1]
        measured = self.precision[np.ix_(start, start)] > 0
        return [(int(i), int(j)) for i, j in np.argwhere(np.triu(measured, 1))]


@dataclass(frozen=True)
class Singles:
    """Noisy shares of single fields: ``shares`` and ``precision`` of each field's groups."""

    shares: tuple[NDArray[np.float32], ...]
    precision: tuple[NDArray[np.float32], ...]
