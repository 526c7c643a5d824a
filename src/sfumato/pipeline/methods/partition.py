"""Local recoding: each class of people has labels of its own, the finest that cover it."""

from __future__ import annotations

import numpy as np
import polars as pl

from sfumato.anonymity.partition.problem import (
    Assignment,
    Axis,
    Problem,
    certainty_penalty,
    cover,
    granularity,
)
from sfumato.anonymity.partition.recoding import Deal, LocalRecoding, deal, dealt
from sfumato.classes.grouping import combine, group
from sfumato.core.values import AnonymityPlan, Step
from sfumato.evidence.features import numbers
from sfumato.pipeline.methods.task import (
    Anonymized,
    Progress,
    Task,
    all_or_nothing,
    all_suppressed,
    dense,
    ladder,
    positions_in,
    promised,
    within,
)


def by_partition(task: Task, progress: Progress | None) -> Anonymized:
    """Part the table: by splits where a column is free of a hierarchy, else by gathering people.

    Raises:
        InputError: ``anonymity-impossible``, ``hierarchy-invalid``.
    """
    from sfumato.anonymity.partition.local import local_recoding
    from sfumato.anonymity.partition.splits import split

    problem = problem_of(task, tuple(_axis(task, step) for step in task.steps))
    watch = within(progress, "parting the table")
    free = any(axis.free for axis in problem.axes)
    assignment = split(problem, progress=watch) if free else local_recoding(problem, progress=watch)
    return recoded(task, problem, assignment)


def problem_of(task: Task, axes: tuple[Axis, ...]) -> Problem:
    """The task as a partition sees it."""
    positions = np.stack([positions_in(task.table, axis.ladder) for axis in axes])
    return Problem(axes, positions, task.units(), task.models, task.limit)


def recoded(task: Task, problem: Problem, assignment: Assignment) -> Anonymized:
    """The recoding that classes of people make, and what the plan says of it."""
    if not assignment.size:
        raise all_suppressed()
    recoding = LocalRecoding.covering(task.table, problem, assignment, turns(task, assignment))
    plan = plan_of(task, problem, assignment, recoding, certainty_penalty(problem, assignment))
    return Anonymized(recoding, plan, tuple(axis.ladder for axis in problem.axes), task.models, task.scales)


def turns(task: Task, assignment: Assignment) -> Deal | None:
    """Who goes where of the tuples that are dealt to several classes, by keyed draws."""
    units = dealt(assignment, task.table.counts)
    if not len(units):
        return None
    rows = task.rows(task.table.tuples[units].select(*task.table.columns, *task.table.others))
    return deal(rows, task.table, assignment, task.draws, task.identity)


def plan_of(
    task: Task, problem: Problem, assignment: Assignment, recoding: LocalRecoding, score: float
) -> AnonymityPlan:
    """What a plan says of classes with labels of their own."""
    found = cover(problem, assignment)
    sizes = np.bincount(assignment.classes, assignment.counts, assignment.size).astype(np.int64)
    # Classes that happen to have the same labels are one to whoever reads the release.
    written = group(combine([dense(recoding.labels[name]) for name in recoding.columns]), sizes)[1]
    rows = task.table.rows
    suppressed = rows - int(sizes.sum())
    means = (found.shares * sizes).sum(axis=1) / rows + suppressed / rows
    lost = (_loss(mean, axis) for mean, axis in zip(means, problem.axes, strict=True))
    return AnonymityPlan(
        **promised(task.asked),
        levels={},
        heights={},
        classes=len(written),
        smallest_class=int(written.min()),
        rows=rows,
        suppressed_rows=suppressed,
        suppressed_share=suppressed / rows,
        score=score,
        raw_loss=float(means.mean()),
        granularity=granularity(problem, assignment, found),
        losses=dict(zip(task.table.columns, lost, strict=True)),
        optimal=False,
    )


def _loss(mean_share: float, axis: Axis) -> float:
    return (mean_share - 1 + axis.worth) / axis.worth if axis.worth > 0 else 0.0


def _axis(task: Task, step: Step) -> Axis:
    """How a partition may coarsen a column: by its hierarchy, or freely where it has none."""
    if step.action != "generalize" or step.state["level"] is not None:
        # What another action has already changed stays as it is or is not told at all.
        one, free = all_or_nothing(task.table, step.column), False
    else:
        labels = task.asked.labels or ("hierarchy" if step.column in task.with_hierarchy else "free")
        one, free = ladder(task, step), labels == "free"
    return Axis(one, free, numbers(one.values) if ordered(one.values.dtype) else None)


def ordered(dtype: pl.DataType) -> bool:
    """Whether values of a type have distances."""
    return dtype.is_numeric() or dtype.is_temporal()
