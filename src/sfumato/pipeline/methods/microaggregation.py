"""Microaggregation of the quasi-identifiers: people near each other get one value in every column."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sfumato.anonymity.microaggregation import aggregate, close, cluster, loss
from sfumato.anonymity.microaggregation.coordinates import categorical, numeric
from sfumato.anonymity.microaggregation.promised import Promise, promised
from sfumato.anonymity.partition.local import least_size
from sfumato.anonymity.partition.merging import mergers
from sfumato.anonymity.partition.problem import Assignment, Axis, Problem
from sfumato.anonymity.partition.recoding import LocalRecoding
from sfumato.evidence.features import numbers
from sfumato.pipeline.methods.partition import labels_of, ordered, plan_of, problem_of, turns
from sfumato.pipeline.methods.people import classes_of, holding_people
from sfumato.pipeline.methods.task import (
    Anonymized,
    Progress,
    Task,
    all_or_nothing,
    all_suppressed,
    broken_as_written,
    only_counted,
)

#: Rows up to which the search for classes close by the ordered distance is one of the starts.
_CLOSE = 20_000


def by_microaggregation(task: Task, progress: Progress | None) -> Anonymized:
    """Put people near each other into classes, and give each class the mean or the most frequent value.

    Numbers and dates are near by their z-scores, other values if they are equal. Every column of a class
    gets one value, so what holds for the classes holds for the release. All rows stay.

    Raises:
        InputError: ``anonymity-impossible`` for fewer rows than a class takes, or where the models do not
            hold for all of them as one class.
    """
    if progress is not None:
        progress("putting neighbours together", 0, 1)
    ladders = [all_or_nothing(task.table, step.column) for step in task.steps]
    axes = (Axis(one, True, numbers(one.values) if ordered(one.values.dtype) else None) for one in ladders)
    problem = problem_of(task, tuple(axes))
    assignment = classes_of(task, problem, _near)
    if not assignment.size:
        raise all_suppressed()
    assignment, values, lost = _settled(task, problem, assignment)
    recoding = LocalRecoding.averaging(task.table, problem, assignment, values, turns(task, assignment))
    plan = plan_of(task, problem, assignment, recoding, lost)
    return Anonymized(recoding, plan, tuple(ladders), task.models, task.scales)


def _near(problem: Problem) -> Assignment:
    """Classes of people near each other that keep the models."""
    units = np.repeat(np.arange(len(problem.units.counts)), problem.units.counts)
    points = _points(problem, units)
    classes = _classes(problem, points, units)
    pairs, counts = np.unique(np.stack([units, classes]), axis=1, return_counts=True)
    return Assignment(pairs[0], pairs[1], counts.astype(np.int64))


def _settled(
    task: Task, problem: Problem, assignment: Assignment
) -> tuple[Assignment, dict[str, pl.Series], float]:
    """Classes that keep the models where those with the same values are one; the values, and what is lost."""
    units = np.repeat(assignment.units, assignment.counts)
    points = _points(problem, units)
    while True:
        classes = np.repeat(assignment.classes, assignment.counts)
        values = {
            name: _values(axis, problem.positions[j, units], classes)
            for j, (name, axis) in enumerate(zip(task.table.columns, problem.axes, strict=True))
        }
        written = labels_of(pl.DataFrame(values), task.table.columns)
        holds, _ = holding_people(task, problem, assignment, written)
        if holds.all():
            return assignment, values, loss(points, classes)
        if task.linked or assignment.size == 1:
            raise broken_as_written()
        numbers = written[assignment.classes]
        if len(holds) > 1:
            numbers = _joined(points, written[classes], ~holds)[numbers]
        assignment = Assignment(assignment.units, numbers, assignment.counts)


def _joined(
    points: NDArray[np.float64], classes: NDArray[np.int64], failing: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """The class that each becomes where failing ones join those that this adds least spread to."""
    sizes = np.bincount(classes, minlength=len(failing))
    sums = [np.bincount(classes, column, len(failing)) for column in points.T]
    centres = np.stack(sums, axis=1) / sizes[:, None]

    def costs(one: int, others: NDArray[np.int64]) -> NDArray[np.float64]:
        gaps = ((centres[others] - centres[one]) ** 2).sum(axis=1)
        spread: NDArray[np.float64] = gaps * sizes[others] * sizes[one] / (sizes[others] + sizes[one])
        return spread

    return mergers(sizes, failing, costs, np.lexsort(centres.T))


def _classes(problem: Problem, points: NDArray[np.float64], units: NDArray[np.int64]) -> NDArray[np.int64]:
    """The class of each row, as near to its fellows as the models allow."""
    k = least_size(problem.models, len(points))
    if only_counted(problem.models):
        return cluster(points, k)
    columns = problem.units.sensitive
    sensitive = {name: replace(column, codes=column.codes[units]) for name, column in columns.items()}
    near = len(points) <= _CLOSE
    starts = [
        close(points, sensitive[str(model.on)].codes, k, float(getattr(model, "t", 1)))
        for model in problem.models
        if near and getattr(model, "distance", "") == "ordered"
    ]
    return promised(points, k, Promise(problem.models, sensitive), starts)


def _points(problem: Problem, units: NDArray[np.int64]) -> NDArray[np.float64]:
    """The coordinates of some units, shape (units, coordinates)."""
    at = problem.positions[:, units]
    return np.hstack([_coordinates(axis, row) for axis, row in zip(problem.axes, at, strict=True)])


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
