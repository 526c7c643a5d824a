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
from sfumato.anonymity.partition.problem import Assignment, Axis
from sfumato.anonymity.partition.recoding import LocalRecoding
from sfumato.evidence.features import numbers
from sfumato.pipeline.methods.partition import ordered, plan_of, problem_of, turns
from sfumato.pipeline.methods.task import Anonymized, Progress, Task, all_or_nothing, only_counted

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
    units = np.repeat(np.arange(len(task.table.counts)), task.table.counts)
    at = problem.positions[:, units]
    points = np.hstack([_coordinates(axis, row) for axis, row in zip(problem.axes, at, strict=True)])
    classes = _classes(task, points, units)
    pairs, counts = np.unique(np.stack([units, classes]), axis=1, return_counts=True)
    assignment = Assignment(pairs[0], pairs[1], counts.astype(np.int64))
    values = {
        name: _values(axis, row, classes)
        for name, axis, row in zip(task.table.columns, problem.axes, at, strict=True)
    }
    recoding = LocalRecoding.averaging(task.table, problem, assignment, values, turns(task, assignment))
    plan = plan_of(task, problem, assignment, recoding, loss(points, classes))
    return Anonymized(recoding, plan, tuple(ladders), task.models, task.scales)


def _classes(task: Task, points: NDArray[np.float64], units: NDArray[np.int64]) -> NDArray[np.int64]:
    """Classes of rows near each other that keep the models."""
    k = least_size(task.models, len(points))
    if only_counted(task.models):
        return cluster(points, k)
    columns = task.units().sensitive
    sensitive = {name: replace(column, codes=column.codes[units]) for name, column in columns.items()}
    near = len(points) <= _CLOSE
    starts = [
        close(points, sensitive[str(model.on)].codes, k, float(getattr(model, "t", 1)))
        for model in task.models
        if near and getattr(model, "distance", "") == "ordered"
    ]
    return promised(points, k, Promise(task.models, sensitive), starts)


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
