"""Classes with labels of their own where models count people of the population.

Everybody in the population is put into classes, by tuples, before anybody asks who is in the data. So all
of a class would have had the same labels, and somebody who knows population and method finds no fewer
people behind a row than its class has. Classes that fail a model then join near ones.
"""

from __future__ import annotations

from dataclasses import replace
from math import ceil
from typing import cast

import numpy as np
from numpy.typing import NDArray

from sfumato.anonymity.holding import holding, of_presence, only
from sfumato.anonymity.models.k_anonymity import KAnonymity
from sfumato.anonymity.partition.local import least_size
from sfumato.anonymity.partition.merging import merged
from sfumato.anonymity.partition.population import Fitting
from sfumato.anonymity.partition.problem import Assignment, Problem
from sfumato.anonymity.partition.recoding import LocalRecoding
from sfumato.classes.grouping import combine, group
from sfumato.classes.table import ClassTable, Units
from sfumato.contracts import PrivacyModel
from sfumato.pipeline.methods.people import Search
from sfumato.pipeline.methods.task import Task, broken_as_written


def in_population(task: Task, problem: Problem, search: Search) -> Assignment:
    """Classes of people and of the population that keep the models; every class has somebody in the data.

    Args:
        task: with the population's tuples.
        problem: its units, with the people of the population that each has.
        search: puts people into classes by k-anonymity.

    Raises:
        InputError: ``anonymity-impossible``; whatever the search raises.
    """
    found = _of_everybody(task, problem, search)
    while (failing := _failing(task, problem, found)) is not None:
        if found.size == 1:
            raise broken_as_written()
        found = merged(problem, found, failing)
    return _inhabited(found)


def of_sample(recoding: LocalRecoding, task: Task) -> LocalRecoding:
    """The recoding for those in the data, from one that has the population's tuples too."""
    return replace(recoding, units=recoding.units.head(int((task.table.counts > 0).sum())))


def _of_everybody(task: Task, problem: Problem, search: Search) -> Assignment:
    """The population in classes of as many people as the models take at least; tuples stay whole."""
    everybody = _people(problem)
    cell, people = group(combine(list(problem.positions)), everybody)
    firsts = np.unique(cell, return_index=True)[1]
    # People whom the table lacks are somewhere too; that they are not counted is found afterwards.
    people = np.maximum(people, 1)
    least = cast("PrivacyModel", KAnonymity(KAnonymity.Params(k=max(2, _least(task, int(people.sum()))))))
    inner = Problem(problem.axes, np.ascontiguousarray(problem.positions[:, firsts]), Units(people), [least])
    found = search(inner)
    order = np.lexsort((found.classes, found.counts))
    classes = np.empty(len(people), dtype=np.int64)
    classes[found.units[order]] = found.classes[order]
    numbers = np.unique(classes[cell], return_inverse=True)[1]
    return Assignment(np.arange(len(cell)), numbers, problem.units.counts)


def _least(task: Task, people: int) -> int:
    """The fewest people of the population that a class has by any model."""
    sample = least_size(task.models, task.table.rows)
    fewest = [ceil(sample * people / task.table.rows)] if sample > 1 else [1]
    for part, model in zip(task.asked.models, task.models, strict=False):
        if of_presence(model):
            fewest.append(ceil(1 / float(part.params["high"]) - 1e-9))
        elif model.counts_population:
            fewest.append(int(part.params["k"]))
    return min(max(fewest), people)


def _people(problem: Problem) -> NDArray[np.int64]:
    assert problem.units.population is not None, "the task has the population's tuples"
    return problem.units.population


def _failing(task: Task, problem: Problem, found: Assignment) -> NDArray[np.bool_] | None:
    """Which classes fail a model, or fit people whose presence is too sure; None if none does."""
    table = problem.units.classes(found.classes, found.size)
    there = table.sizes > 0
    failing = np.zeros(found.size, dtype=bool)
    for model in task.models:
        if of_presence(model):
            failing |= ~model.holds(table)
        else:
            failing[there] |= ~holding([model], only(table, np.flatnonzero(there)))
    if failing.any():
        return failing
    return _too_sure(task, problem, found, table)


def _too_sure(task: Task, problem: Problem, found: Assignment, table: ClassTable) -> NDArray[np.bool_] | None:
    """Which classes fit people of whom it is too sure, by all that they fit, whether they are in the data."""
    there = table.sizes > 0
    models = [model for model in task.models if of_presence(model)]
    if not models:
        return None
    recoding = LocalRecoding.covering(task.table, problem, found)
    assert task.population is not None
    fitting = Fitting.of(recoding, recoding.labels.filter(there), task.population)
    people = fitting.people_table(table.sizes[there])
    wrong = ~np.logical_and.reduce([model.holds(people) for model in models])
    if not wrong.any():
        return None
    failing = np.zeros(found.size, dtype=bool)
    failing[there] = fitting.classes_of(wrong)
    if not failing.any():
        raise broken_as_written()
    return failing


def _inhabited(found: Assignment) -> Assignment:
    """The classes that somebody in the data is in, with all of their population."""
    sizes = np.bincount(found.classes, found.counts, found.size)
    staying = sizes[found.classes] > 0
    numbers = np.unique(found.classes[staying], return_inverse=True)[1].astype(np.int64)
    return Assignment(found.units[staying], numbers, found.counts[staying])
