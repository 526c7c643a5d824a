"""Why a solution is what it is: what each column costs, and what another level of it would change.

For custody: which row counts a level more or less changes is what attacks on the algorithm's choices
feed on; only the costs may be published.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

import numpy as np

from sfumato.anonymity.lattice.grid import moved
from sfumato.anonymity.lattice.people import grid_of
from sfumato.anonymity.lattice.problem import Problem, Solution
from sfumato.anonymity.measures.loss import shares


@dataclass(frozen=True)
class ColumnCost:
    """What one column of a solution costs.

    ``loss`` is what its cells lost of their detail, from 0 (untouched) to 1, suppressed cells counted,
    and ``part`` its share of that of all columns. ``finer`` are the rows that would be suppressed with the
    column one level finer, None at its finest level, and ``excess`` how many of them are beyond what may
    go. ``saved`` are the rows that one level coarser would save, None at the top; below 0 if it cost some.
    """

    column: str
    level: int
    loss: float
    part: float
    finer: int | None
    excess: int
    saved: int | None


@dataclass(frozen=True)
class Why:
    """What each column costs, and which of them forces the suppression.

    ``forcing`` is the column whose next level saves the most rows, None if none saves any.
    """

    columns: tuple[ColumnCost, ...]
    suppressed: int
    limit: int
    forcing: str | None


def explain_cost(problem: Problem, solution: Solution) -> Why:
    """What each column costs and what a level less or more of it would change; two checks a column.

    Levels that put together the same values are one.
    """
    grid = grid_of(problem)
    node = tuple(
        max(0, bisect_right(levels, level) - 1)
        for levels, level in zip(grid.levels, solution.levels, strict=True)
    )
    columns = grid.columns
    finest = 1 / columns.sizes
    covered = shares(columns, grid.classes(node, grid.check(node)))
    span = np.where(finest < 1, 1 - finest, 1.0)
    losses = (covered - finest) / span
    losses[losses < 1e-12] = 0
    total = float(losses.sum())
    found = []
    for j, (ladder, level) in enumerate(zip(problem.ladders, node, strict=True)):
        finer = grid.check(moved(node, j, level - 1)).suppressed if level > 0 else None
        above = grid.check(moved(node, j, level + 1)).suppressed if level < grid.top[j] else None
        found.append(
            ColumnCost(
                column=ladder.column,
                level=solution.levels[j],
                loss=float(losses[j]),
                part=float(losses[j]) / total if total > 0 else 0.0,
                finer=finer,
                excess=max(0, (finer or 0) - problem.limit),
                saved=None if above is None else solution.suppressed - above,
            )
        )
    most = max(found, key=lambda column: column.saved or 0)
    forcing = most.column if (most.saved or 0) > 0 else None
    return Why(tuple(found), solution.suppressed, problem.limit, forcing)
