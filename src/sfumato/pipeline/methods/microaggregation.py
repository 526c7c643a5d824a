"""Microaggregation of the quasi-identifiers: people near each other get one value in every column."""

from __future__ import annotations

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sfumato.anonymity.microaggregation import aggregate, cluster, loss
from sfumato.anonymity.microaggregation.coordinates import categorical, numeric
from sfumato.anonymity.partition.problem import Assignment, Axis
from sfumato.anonymity.partition.recoding import LocalRecoding
from sfumato.evidence.features import numbers
from sfumato.pipeline.methods.partition import ordered, plan_of, problem_of, turns
from sfumato.pipeline.methods.task import Anonymized, Progress, Task, all_or_nothing


def by_microaggregation(task: Task, progress: Progress | None) -> Anonymized:
    """Put people near each other into classes of k, and give each class the mean or the most frequent value.

    Numbers and dates are near by their z-scores, other values if they are equal. Every column of a class
    gets one value, so the classes are k-anonymous by construction.

    Raises:
        InputError: ``anonymity-impossible`` for fewer rows than a class takes.
    """
    if progress is not None:
        progress("putting neighbours together", 0, 1)
    ladders = [all_or_nothing(task.table, step.column) for step in task.steps]
    axes = (Axis(one, True, numbers(one.values) if ordered(one.values.dtype) else None) for one in ladders)
    problem = problem_of(task, tuple(axes))
    units = np.repeat(np.arange(len(task.table.counts)), task.table.counts)
    at = problem.positions[:, units]
    points = np.hstack([_coordinates(axis, row) for axis, row in zip(problem.axes, at, strict=True)])
    classes = cluster(points, task.k)
    pairs, counts = np.unique(np.stack([units, classes]), axis=1, return_counts=True)
    assignment = Assignment(pairs[0], pairs[1], counts.astype(np.int64))
    values = {
        name: _values(axis, row, classes)
        for name, axis, row in zip(task.table.columns, problem.axes, at, strict=True)
    }
    recoding = LocalRecoding.averaging(task.table, problem, assignment, values, turns(task, assignment))
    plan = plan_of(task, problem, assignment, recoding, loss(points, classes))
    return Anonymized(recoding, plan, tuple(ladders), task.models, task.scales)


def _coordinates(axis: Axis, at: NDArray[np.int64]) -> NDArray[np.float64]:
    return categorical(at) if axis.numbers is None else numeric(axis.numbers[at])


def _values(axis: Axis, at: NDArray[np.int64], classes: NDArray[np.int64]) -> pl.Series:
    """One value of the column's own type for each class: the mean of numbers, else the most frequent."""
    values = axis.ladder.values
    if axis.numbers is None:
        return values[aggregate(at, classes, "mode")]
    means = aggregate(axis.numbers[at], classes, "mean")
    found = pl.Series(values.name, means).fill_nan(None)
    if values.dtype.is_float():
        return found.cast(values.dtype)
    return found.round().cast(pl.Int64).cast(values.to_physical().dtype).cast(values.dtype)
