"""What labels say of the values of a class, by what they cover and by how they were made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sfumato.contracts import Comparison
from sfumato.core.keyed import generator
from sfumato.evidence.attacks.finer import numbered
from sfumato.evidence.attacks.secret_classes import located
from sfumato.evidence.overlap import covered

#: Labels times values of a column that are held at a time.
MOST = 1 << 26
#: How often a value occurs that nobody outside has.
_PRIOR = 0.5
_ANY = "*"


@dataclass(frozen=True)
class Cells:
    """The cells of a column, one a row, and what their labels cover.

    ``classes``, ``labels`` and ``truth`` have the number of each row's class, label and value, shape (rows,);
    ``covers`` says which labels cover which values and ``certain`` which of them somebody in any class of
    the label has, shape (labels, values); ``weights`` how often each value occurs, shape (values,).
    """

    classes: NDArray[np.int64]
    labels: NDArray[np.int64]
    truth: NDArray[np.int64]
    covers: NDArray[np.bool_]
    certain: NDArray[np.bool_]
    weights: NDArray[np.float64]

    @cached_property
    def coarse(self) -> NDArray[np.bool_]:
        """The rows whose label leaves a choice."""
        return np.asarray((self.covers.sum(axis=1) > 1)[self.labels], dtype=bool)

    @cached_property
    def _ranks(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The place of each row among those of its class, and how many these are."""
        order = np.argsort(self.classes, kind="stable")
        sizes = np.bincount(self.classes)
        ranks = np.empty(len(order), dtype=np.int64)
        ranks[order] = np.arange(len(order)) - (np.cumsum(sizes) - sizes)[self.classes[order]]
        return ranks, sizes[self.classes]

    @cached_property
    def proven(self) -> NDArray[np.bool_]:
        """The rows, as many of a class as values are certain, that are given these by :meth:`guess`."""
        return np.asarray(self._ranks[0] < self.certain.sum(axis=1)[self.labels], dtype=bool)

    def guess(self, *, tight: bool) -> NDArray[np.int64]:
        """Values for the rows of each class, in no order: what is certain, the rest in the usual shares.

        The rest of n are the (t - ½)/n quantiles of the values that the label covers, t from 1 to n.
        """
        ranks, sizes = self._ranks
        sure = self.certain.sum(axis=1)[self.labels] if tight else np.zeros_like(ranks)
        rest = np.maximum(sizes - sure, 1)
        found = self._quantiles(np.clip((ranks - sure + 0.5) / rest, 0.0, 1.0))
        if tight:
            which, values = np.nonzero(self.certain)
            starts = np.searchsorted(which, np.arange(len(self.certain)))
            found[self.proven] = values[(starts[self.labels] + ranks)[self.proven]]
        return found

    def drawn(self, key: bytes) -> NDArray[np.int64]:
        """The values of strangers under the same labels."""
        return self._quantiles(generator(key).random(len(self.labels)))

    def _quantiles(self, at: NDArray[np.float64]) -> NDArray[np.int64]:
        """For each row the quantile of the values that its label covers."""
        weighed = np.cumsum(np.where(self.covers, self.weights, 0.0), axis=1)
        total = np.maximum(weighed[:, -1:], 1e-300)
        # One ascending line of all labels' shares, each label's a step above the one before.
        line = (weighed / total + np.arange(len(weighed))[:, None]).ravel()
        width = self.covers.shape[1]
        found = np.searchsorted(line, self.labels + np.minimum(at, 1 - 1e-9), side="right")
        return np.asarray(np.clip(found - self.labels * width, 0, width - 1), dtype=np.int64)

    def shared(
        self, guessed: NDArray[np.int64], true: NDArray[np.int64], rows: NDArray[np.bool_] | None = None
    ) -> NDArray[np.int64]:
        """How many of the values guessed of coarse rows are there, in each class, shape (classes,)."""
        width = self.covers.shape[1]
        chosen = self.coarse if rows is None else self.coarse & rows
        claims, many = np.unique(self.classes[chosen] * width + guessed[chosen], return_counts=True)
        there, times = np.unique(self.classes[self.coarse] * width + true[self.coarse], return_counts=True)
        both, left, right = np.intersect1d(claims, there, assume_unique=True, return_indices=True)
        found = np.bincount(both // width, np.minimum(many[left], times[right]), int(self.classes.max()) + 1)
        return found.astype(np.int64)


def cells_of(
    released: pl.DataFrame,
    values: pl.Series,
    outside: pl.Series,
    known: Callable[[pl.Series, pl.Series], NDArray[np.bool_]],
    *,
    tight: bool,
    ordered: bool,
) -> Cells | None:
    """The cells of a column; None where there are too many labels and values.

    Args:
        released: rows with the columns whose labels make the classes; the first is the one asked about.
        values: what the rows were.
        outside: the values of people who are not in the release.
        known: which labels cover which values.
        tight: are the labels made of the values of each class?
        ordered: is a label then an interval, whose ends are values?
    """
    domain = pl.concat([values, outside]).unique().sort(nulls_last=True)
    labels = released.to_series(0).unique().sort(nulls_last=True)
    if len(domain) * len(labels) > MOST:
        return None
    covers = known(labels, domain)
    shown = released.to_series(0).to_frame()
    weights = np.bincount(_codes(outside, domain), minlength=len(domain)).astype(np.float64) + _PRIOR
    certain = np.zeros_like(covers)
    if tight:
        certain = _ends(covers) if ordered else covers.copy()
        certain[(labels.cast(pl.String) == _ANY).fill_null(False).to_numpy()] = False
        certain[covers.sum(axis=1) < 2] = False
    return Cells(
        numbered(released),
        located(shown, labels.to_frame()),
        _codes(values, domain),
        covers,
        certain,
        weights,
    )


def by_labels(comparison: Comparison, column: str) -> Callable[[pl.Series, pl.Series], NDArray[np.bool_]]:
    """What the labels of a column cover that overlap."""
    return lambda labels, values: covered(comparison, column, labels, values)


def by_level(coarse: pl.Series, values: pl.Series) -> Callable[[pl.Series, pl.Series], NDArray[np.bool_]]:
    """What labels cover that all rows have at one level, from people's labels and values."""
    pairs = pl.DataFrame([coarse.alias("label"), values.alias("value")]).unique()

    def known(labels: pl.Series, domain: pl.Series) -> NDArray[np.bool_]:
        found = np.zeros((len(labels), len(domain)), dtype=bool)
        at = _codes(pairs["label"], labels)
        found[at[at >= 0], _codes(pairs["value"], domain)[at >= 0]] = True
        return found

    return known


def _codes(values: pl.Series, domain: pl.Series) -> NDArray[np.int64]:
    return located(values.alias("value").to_frame(), domain.alias("value").to_frame())


def _ends(covers: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The first and the last value that each label covers."""
    found = np.zeros_like(covers)
    rows = np.flatnonzero(covers.any(axis=1))
    found[rows, covers[rows].argmax(axis=1)] = True
    found[rows, covers.shape[1] - 1 - covers[rows, ::-1].argmax(axis=1)] = True
    return found
