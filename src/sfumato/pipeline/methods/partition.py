"""Local recoding: each class of people has labels of its own, the finest that cover it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sfumato.anonymity.partition.merging import merged
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
from sfumato.pipeline.methods.people import Search, classes_of, holding_people
from sfumato.pipeline.methods.population import in_population, of_sample
from sfumato.pipeline.methods.task import (
    Anonymized,
    Progress,
    Task,
    all_or_nothing,
    all_suppressed,
    broken_as_written,
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

    task, people = task.with_population()
    problem = problem_of(task, tuple(_axis(task, step) for step in task.steps), people)
    watch = within(progress, "parting the table")

    def search(asked: Problem) -> Assignment:
        free = any(axis.free for axis in asked.axes)
        return split(asked, progress=watch) if free else local_recoding(asked, progress=watch)

    return recoded(task, problem, search)


def problem_of(task: Task, axes: tuple[Axis, ...], people: NDArray[np.int64] | None = None) -> Problem:
    """The task as a partition sees it; ``people`` are those of the population that each tuple has."""
    positions = np.stack([positions_in(task.table, axis.ladder) for axis in axes])
    return Problem(axes, positions, task.units(people), task.models, task.limit)


def recoded(task: Task, problem: Problem, search: Search) -> Anonymized:
    """The recoding that the classes of a search make, and what the plan says of it.

    Raises:
        InputError: ``anonymity-impossible`` where nobody is left, or no classes keep the models as written.
    """
    if problem.units.population is None:
        assignment = classes_of(task, problem, search)
    else:
        assignment = in_population(task, problem, search)
    if not assignment.size:
        raise all_suppressed()
    assignment = _settled(task, problem, assignment)
    recoding = LocalRecoding.covering(task.table, problem, assignment, turns(task, assignment))
    if problem.units.population is not None:
        recoding = of_sample(recoding, task)
    plan = plan_of(task, problem, assignment, recoding, certainty_penalty(problem, assignment))
    return Anonymized(recoding, plan, tuple(axis.ladder for axis in problem.axes), task.models, task.scales)


def _settled(task: Task, problem: Problem, assignment: Assignment) -> Assignment:
    """Classes that keep the models as written: those with the same labels are one to whoever reads them.

    What holds for classes apart need not hold for them together, unless a model is monotone. Classes that
    fail join near ones until none does.
    """
    while not (task.person is None and all(model.monotone for model in task.models)):
        labels = LocalRecoding.covering(task.table, problem, assignment).labels
        written = labels_of(labels, task.table.columns)
        holds, _ = holding_people(task, problem, assignment, written)
        if holds.all():
            break
        if task.linked or assignment.size == 1:
            raise broken_as_written()
        one_each = Assignment(assignment.units, written[assignment.classes], assignment.counts)
        assignment = merged(problem, one_each, ~holds) if one_each.size > 1 else one_each
    return assignment


def labels_of(labels: pl.DataFrame, columns: Sequence[str]) -> NDArray[np.int64]:
    """Classes with the same labels by the same number from 0, shape (classes,)."""
    ones = np.ones(labels.height, dtype=np.int64)
    return group(combine([dense(labels[name]) for name in columns]), ones)[0]


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
    written = labels_of(recoding.labels, recoding.columns)
    people = holding_people(task, problem, assignment, written)[1].sizes
    rows = task.table.rows
    suppressed = rows - int(sizes.sum())
    means = (found.shares * sizes).sum(axis=1) / rows + suppressed / rows
    lost = (_loss(mean, axis) for mean, axis in zip(means, problem.axes, strict=True))
    return AnonymityPlan(
        **promised(task.asked),
        levels={},
        heights={},
        classes=len(people),
        smallest_class=int(people.min()),
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
