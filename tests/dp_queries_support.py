"""Queries without their noise, and noise without their budget: what the tests of private statistics share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sfumato.dp.calibration import Calibrated, calibrate
from sfumato.dp.mechanisms import Law
from sfumato.dp.queries import QUERIES
from sfumato.dp.queries.base import GRID, Cells, Drawn, Noise, Sum
from sfumato.dp.queries.questions import Question


class Exact(Noise):
    """Keeps what would be noised, and lets it through."""

    def __init__(self, given: Question, rows: int = 1, confidence: float = 0.95) -> None:
        kind = QUERIES.resolve(given.query)
        found = calibrate([given], epsilon=1.0, noise=None, delta=1e-6, rows=rows)
        super().__init__(kind.needs(given.params), found.laws[0], rows, False, confidence)
        self.seen: list[NDArray[np.int64]] = []

    def add(self, at: int, sums: NDArray[np.int64]) -> Drawn:
        law = self._once(at, Sum)
        assert isinstance(law, Law)
        self.seen.append(sums.copy())
        return Drawn(sums / GRID, Law(law.kind, 1.0))

    def choose(self, at: int, scores: NDArray[np.int64], *, least: bool = False) -> list[int]:
        self.seen.append(scores.copy())
        order = np.argsort(scores if least else -scores, kind="stable")
        return [int(place) for place in order[: self.needs[at].picks]]  # type: ignore[union-attr]

    def found(self, at: int, counts: NDArray[np.int64]) -> tuple[NDArray[np.int64], Drawn]:
        self.seen.append(counts * GRID)
        return np.arange(len(counts)), Drawn(counts.astype(float), Law("gaussian", 1.0))


def exactly(table: pl.DataFrame, given: Question, rows: int = 1) -> tuple[Cells, list[NDArray[np.int64]]]:
    """The answer without noise, and the vectors that would have been noised."""
    noise = Exact(given, rows)
    return QUERIES.resolve(given.query).answer(table, given.params, noise), noise.seen


def drawn(
    table: pl.DataFrame, given: Question, found: Calibrated, *, pure: bool, confidence: float = 0.95
) -> Cells:
    """One answer with noise, charged to nobody."""
    kind = QUERIES.resolve(given.query)
    noise = Noise(kind.needs(given.params), found.laws[0], 1, pure, confidence)
    return kind.answer(table, given.params, noise)


def column_of(cells: Cells, name: str = "value") -> list[Any]:
    return cells.table[name].to_list()


def values(answers: Sequence[float | None]) -> NDArray[np.float64]:
    return np.array([np.nan if value is None else value for value in answers])
