"""Classes of people who may have several rows, by a search that knows units only."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from sfumato.anonymity.histories import Block, blocks, dealt_to_people, in_places
from sfumato.anonymity.holding import holding
from sfumato.anonymity.of_people import WHOSE, Owners, of_people
from sfumato.anonymity.partition.local import least_size
from sfumato.anonymity.partition.problem import Assignment, Problem
from sfumato.classes.contingency import Sensitive
from sfumato.classes.grouping import combine, group
from sfumato.classes.subjects import Subjects
from sfumato.classes.table import ClassTable, Units
from sfumato.core.errors import InputError
from sfumato.pipeline.methods.task import Task, only_counted

#: Classes of a problem's units that all keep its models.
Search = Callable[[Problem], Assignment]


def classes_of(task: Task, problem: Problem, search: Search) -> Assignment:
    """Classes that keep the models: of rows, of the people who have them, or of people with all rows.

    Raises:
        InputError: ``anonymity-impossible``; whatever the search raises.
    """
    if task.subjects is None:
        return search(problem)
    if task.linked:
        return _of_whole_people(task, task.subjects, problem, search)
    found = _of_people(task, task.subjects, problem, search)
    if task.table.rows - int(found.counts.sum()) > task.limit:
        raise InputError(
            "anonymity-impossible",
            "no classes of people were found that satisfy the privacy models within the suppression allowed",
            where="anonymity",
            remedy="allow more suppression or ask less of the models",
        )
    return found


def holding_people(
    task: Task, problem: Problem, found: Assignment, written: NDArray[np.int64]
) -> tuple[NDArray[np.bool_], ClassTable]:
    """Which classes keep the models, and their people, where classes are ``written`` with the same labels.

    Args:
        written: the number of the labels of each class, shape (classes,).
    """
    numbers, units = written[found.classes], _pieces(problem, found)
    if task.subjects is None:
        table = units.classes(numbers, int(numbers.max(initial=-1)) + 1)
        return holding(task.models, table), table
    subjects = Subjects(task.subjects.people[found.units], task.linked)
    classes = subjects.classes(numbers, found.counts)
    table = subjects.table(units, classes, int(classes.max(initial=-1)) + 1)
    return holding(task.models, table), table


def _pieces(problem: Problem, found: Assignment) -> Units:
    people = problem.units.population
    return Units(found.counts, _taken(problem, found.units), None if people is None else people[found.units])


def _taken(problem: Problem, units: NDArray[np.int64]) -> dict[str, Sensitive]:
    """The sensitive columns of some units."""
    columns = problem.units.sensitive
    return {name: replace(column, codes=column.codes[units]) for name, column in columns.items()}


def _of_people(task: Task, subjects: Subjects, problem: Problem, search: Search) -> Assignment:
    """Classes with enough different people: every unit counts once, and is asked whose it is."""
    order = np.argsort(subjects.people, kind="stable")
    people, sensitive = subjects.people[order], _taken(problem, order)
    owners = Owners.of_rows(people, sensitive)
    least = least_size(task.models, len(np.unique(people)))
    inner = Problem(
        problem.axes,
        np.ascontiguousarray(problem.positions[:, order]),
        Units(np.ones(len(order), dtype=np.int64), sensitive | {WHOSE: owners.column}),
        of_people(task.models, owners, least, whole_people=False),
        problem.limit,
    )
    found = search(inner)
    units = order[found.units]
    return Assignment(units, found.classes, problem.units.counts[units])


def _of_whole_people(task: Task, subjects: Subjects, problem: Problem, search: Search) -> Assignment:
    """Groups of people with as many rows, who share all of them; others are left out."""
    counts, found, left = problem.units.counts, [], 0
    for block in blocks(problem.axes, problem.positions, subjects.people, counts):
        groups = _grouped(task, subjects, problem, block, search)
        left += int((groups < 0).sum()) * len(block.units)
        found.append((block, groups))
    if left > task.limit:
        raise InputError(
            "anonymity-impossible",
            f"{left} row(s) are of people who, together with all who have as many rows, do not satisfy the "
            "privacy models",
            where="anonymity",
            remedy="allow so much suppression, give each person as many rows, or link no rows",
        )
    return in_places(found, counts)


def _grouped(
    task: Task, subjects: Subjects, problem: Problem, block: Block, search: Search
) -> NDArray[np.int64]:
    """The group of each person of a block, -1 where the models do not hold for all of them together."""
    positions = block.positions(problem.positions)
    everybody = np.arange(block.people)
    unit, counts = everybody, np.ones(block.people, dtype=np.int64)
    models, sensitive = task.models, {}
    if only_counted(task.models):
        unit, counts = group(combine(list(positions)), counts)
        positions = positions[:, np.unique(unit, return_index=True)[1]]
    else:
        starts = np.arange(block.people + 1) * len(block.units)
        rows = np.ascontiguousarray(block.units.T).ravel()
        owners = Owners(starts, rows, subjects.people, problem.units.sensitive)
        least = least_size(task.models, block.people)
        models = of_people(task.models, owners, least, whole_people=True)
        firsts = block.units[0]
        sensitive = _taken(problem, firsts) | {WHOSE: owners.column}
    units = Units(counts, sensitive)
    if not holding(models, units.classes(np.zeros(len(counts), dtype=np.int64), 1)).all():
        return np.full(block.people, -1)
    inner = Problem(tuple(problem.axes) * len(block.units), positions, units, models)
    return dealt_to_people(search(inner), unit)
