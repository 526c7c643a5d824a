"""The classes of a release with the secrets that each shows, and who is in which."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sfumato.contracts import COUNT, Comparison
from sfumato.evidence.attacks.guessing import Secret
from sfumato.evidence.features import LabelBins, NumberBins, numbers
from sfumato.evidence.overlap import blocks, covered

_CLASS = "__sfumato_class__"


@dataclass(frozen=True)
class SecretClasses:
    """Classes by their ``labels``, with how many people have each value, shape (classes, values)."""

    labels: pl.DataFrame
    contents: NDArray[np.float64]

    @classmethod
    def of(cls, counted: pl.DataFrame, known: Sequence[str], secret: Secret) -> SecretClasses:
        """From a count of distinct tuples of the known columns and the secret."""
        labels = counted.select(known).unique().sort(known, nulls_last=True)
        contents = np.zeros((labels.height, secret.classes))
        at = located(counted, labels)
        np.add.at(contents, (at, secret.of_rows(counted[secret.name])), counted[COUNT].to_numpy())
        return cls(labels, contents)

    def covering(self, comparison: Comparison, people: pl.DataFrame) -> NDArray[np.float32]:
        """Which classes cover people as ``describe`` leaves them in every column, shape (people, classes)."""
        found = np.ones((people.height, self.labels.height), dtype=bool)
        for column in self.labels.columns:
            distinct = self.labels[column].unique().sort(nulls_last=True)
            codes = located(self.labels.select(column), distinct.to_frame())
            for part in blocks(people.height, max(self.labels.height, len(distinct))):
                found[part] &= covered(comparison, column, distinct, people[column][part]).T[:, codes]
        return found.astype(np.float32)


def located(people: pl.DataFrame, labels: pl.DataFrame) -> NDArray[np.int64]:
    """The number of the labels that each of some people have in every column of them, -1 if none.

    >>> located(pl.DataFrame({"a": [2, None, 3]}), pl.DataFrame({"a": [None, 2]})).tolist()
    [1, 0, -1]
    """
    found = people.select(labels.columns).join(
        labels.with_row_index(_CLASS), on=labels.columns, how="left", nulls_equal=True, maintain_order="left"
    )
    return found[_CLASS].cast(pl.Int64).fill_null(-1).to_numpy()


@dataclass(frozen=True)
class Reader:
    """What an attacker makes of a column known exactly: numbers in bins, the most frequent other values."""

    bins: NumberBins | LabelBins

    @classmethod
    def of(cls, series: pl.Series) -> Reader:
        """A reader of a column of the original."""
        figures = numbers(series)
        return cls(LabelBins.fit(series) if figures is None else NumberBins.fit(figures))

    @property
    def width(self) -> int:
        """The number of codes."""
        return self.bins.size

    def codes(self, series: pl.Series) -> NDArray[np.int64]:
        """The code of each person."""
        if isinstance(self.bins, LabelBins):
            return self.bins.codes(series)
        figures = numbers(series)
        return self.bins.codes(np.full(len(series), np.nan) if figures is None else figures)
