"""How a model reads the columns of the original or of a release, and of people who are described like it.

A number is a number and a label of numbers its center. Any other column is one of categories, numbered by
frequency. Labels that overlap are read in terms of values, for there are no labels that a person outside the
release could be put into.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sfumato.contracts import Comparison
from sfumato.evidence.features import LabelBins, numbers
from sfumato.evidence.overlap import Spread

_LEVELS = 200
#: Values of a column with overlapping labels that are told apart, and people who stand for the prior of each.
_VALUES = 50
_PRIOR = 10
_LARGE = 1e300


class Feature(Protocol):
    """One column as the learner sees it."""

    @property
    def name(self) -> str:
        """The column."""

    @property
    def categorical(self) -> tuple[bool, ...]:
        """Which of its parts are categories by number, shape (parts,)."""

    def taught(self, frame: pl.DataFrame) -> NDArray[np.float64]:
        """Of the rows that it was fitted to, shape (rows, parts), or (rows,) if there is one part."""

    def tested(self, frame: pl.DataFrame) -> NDArray[np.float64]:
        """Of described people."""


#: How the learner sees a column, given the number of each row's class.
Reader = Callable[[pl.Series, NDArray[np.int64]], Feature]


@dataclass(frozen=True)
class _Numbers:
    """Numbers, or labels as their centers."""

    name: str
    centers: Mapping[str, float] | None
    categorical: tuple[bool, ...] = (False,)

    def tested(self, frame: pl.DataFrame) -> NDArray[np.float64]:
        found = numbers(frame[self.name], self.centers)
        # Infinite numbers are very large ones, so that the bins have middles.
        return np.full(frame.height, np.nan) if found is None else np.clip(found, -_LARGE, _LARGE)

    taught = tested


@dataclass(frozen=True)
class _Categories:
    """Categories, numbered by frequency."""

    name: str
    levels: LabelBins
    categorical: tuple[bool, ...] = (True,)

    def tested(self, frame: pl.DataFrame) -> NDArray[np.float64]:
        codes = self.levels.codes(frame[self.name]).astype(np.float64)
        codes[codes == self.levels.size - 1] = np.nan
        return codes

    taught = tested


@dataclass(frozen=True)
class _Mixtures:
    """Labels that overlap: the category where a label leaves no choice, and rates where it does.

    ``rates`` are the shares of the classes in each category, of which a label has the mean over what it
    covers (target encoding: Micci-Barreca 2001, *SIGKDD Explorations* 3:27-32).
    """

    name: str
    levels: LabelBins
    spread: Spread
    rates: NDArray[np.float64]

    @classmethod
    def fit(cls, name: str, levels: LabelBins, spread: Spread, truth: NDArray[np.int64]) -> _Mixtures:
        within = spread.shares[spread.codes]
        classes = np.eye(int(truth.max(initial=0)) + 1)[truth]
        # Rare categories have the rates of everybody; those of the first class follow from the others.
        sums = within.T @ classes + _PRIOR * classes.mean(axis=0)
        return cls(name, levels, spread, (sums / (within.sum(axis=0)[:, None] + _PRIOR))[:, 1:])

    @property
    def categorical(self) -> tuple[bool, ...]:
        return True, *[False] * self.rates.shape[1]

    def taught(self, frame: pl.DataFrame) -> NDArray[np.float64]:
        del frame
        return self._matrix(self.spread.shares[self.spread.codes])

    def tested(self, frame: pl.DataFrame) -> NDArray[np.float64]:
        return self._matrix(np.eye(self.levels.size)[self.levels.codes(frame[self.name])])

    def _matrix(self, shares: NDArray[np.float64]) -> NDArray[np.float64]:
        sure = (shares[:, :-1] == 1).any(axis=1)
        return np.column_stack([np.where(sure, shares.argmax(axis=1), np.nan), shares @ self.rates])


def plain(series: pl.Series, centers: Mapping[str, float] | None = None) -> Feature:
    """A column read as numbers or categories of its own."""
    if numbers(series, centers) is not None:
        return _Numbers(series.name, centers)
    return _Categories(series.name, LabelBins.fit(series, _LEVELS))


def reader(comparison: Comparison) -> Reader:
    """How the columns of a release are read; which values they have is all that is taken of the original."""
    described = comparison.describe(comparison.original)

    def read(series: pl.Series, truth: NDArray[np.int64]) -> Feature:
        centers = comparison.centers.get(series.name)
        if series.name not in comparison.overlapping or numbers(series, centers) is not None:
            return plain(series, centers)
        values = described[series.name]
        levels = LabelBins.fit(values, _VALUES)
        spread = Spread.of(comparison, series, values, levels.codes(values), levels.size)
        return _Mixtures.fit(series.name, levels, spread, truth)

    return read
