"""Local suppression: single cells are blanked, as few as it takes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sfumato.anonymity.cells import suppress_cells
from sfumato.anonymity.cells_promised import suppress_promised
from sfumato.anonymity.partition.local import least_size
from sfumato.anonymity.partition.problem import Assignment, Axis, Problem
from sfumato.classes.grouping import combine, group
from sfumato.evidence.features import numbers
from sfumato.pipeline.methods.partition import ordered, problem_of, recoded
from sfumato.pipeline.methods.task import Anonymized, Progress, Task, all_or_nothing, only_counted


def by_cells(task: Task, progress: Progress | None) -> Anonymized:
    """Blank cells until the models hold for those who share what is left of their rows.

    A blank counts as a value of its own, so nobody is hidden by it alone. All rows stay.

    Raises:
        InputError: ``anonymity-impossible`` for fewer rows than a class takes, or where the models do not
            hold even if every cell is blank.
    """
    if progress is not None:
        progress("suppressing cells", 0, 1)
    task, people = task.with_population()
    ladders = [all_or_nothing(task.table, step.column) for step in task.steps]
    axes = (Axis(one, False, numbers(one.values) if ordered(one.values.dtype) else None) for one in ladders)
    problem = problem_of(task, tuple(axes), people)
    weights = task.asked.weights if isinstance(task.asked.weights, dict) else None
    costs = None if weights is None else np.array([weights.get(name, 1.0) for name in task.table.columns])

    def search(asked: Problem) -> Assignment:
        return _blanked(asked, costs)

    return recoded(task, problem, search)


def _blanked(problem: Problem, costs: NDArray[np.float64] | None) -> Assignment:
    """Classes of those who share what is left of their rows; a column in several places costs the same."""
    k = least_size(problem.models, problem.units.rows)
    if costs is not None:
        costs = np.tile(costs, len(problem.axes) // len(costs))
    if only_counted(problem.models):
        found = suppress_cells(problem.positions, problem.units.counts, k, costs)
    else:
        found = suppress_promised(problem.positions, problem.units, k, problem.models, costs)
    shown = np.where(found.blanks, 0, problem.positions[:, found.units] + 1)
    classes, _ = group(combine(list(shown)), found.counts)
    return Assignment(found.units, classes, found.counts)
