"""Answers without noise, for the house alone: what an audit of a release holds the noisy ones against."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sfumato.core.errors import InputError
from sfumato.dp.mechanisms import Law
from sfumato.dp.queries import QUERIES
from sfumato.dp.queries.base import GRID, Cells, Drawn, Noise, Sum
from sfumato.dp.queries.questions import Question

#: Of intervals that nobody reads here.
_CONFIDENCE = 0.95


class Silent(Noise):
    """The draws of a question without any noise; for questions that are one vector of sums."""

    def add(self, at: int, sums: NDArray[np.int64]) -> Drawn:
        """The sums as they are."""
        law = self._once(at, Sum)
        assert isinstance(law, Law)
        return Drawn(sums / GRID, law)


def is_counted(given: Question) -> bool:
    """Whether a question's figures are counts with their noise, and nothing else was made of them.

    >>> from sfumato.dp.queries.questions import count, mean
    >>> is_counted(count()), is_counted(mean("age", bounds=(0, 100)))
    (True, False)
    """
    kind = QUERIES.resolve(given.query)
    (need, *more) = kind.needs(given.params)
    plain = not getattr(given.params, "nonnegative", False)
    return not more and isinstance(need, Sum) and need.whole and plain


def exact_counts(table: pl.DataFrame, given: Question, law: Law) -> pl.Series:
    """The figures of a counted question without noise, in the order of its answer.

    Raises:
        InputError: ``usage`` for a question that is not counted.
    """
    if not is_counted(given):
        raise InputError("usage", "only counts can be told without noise", where=given.name)
    kind = QUERIES.resolve(given.query)
    needs = kind.needs(given.params)
    silent = Silent(needs, [law], 1, law.kind == "laplace", _CONFIDENCE)
    cells: Cells = kind.answer(table, given.params, silent)
    return cells.table["value"]
