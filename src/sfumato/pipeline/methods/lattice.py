"""Full-domain recoding: one level a column for all rows, the best node of the lattice."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict

import numpy as np
from numpy.typing import NDArray

from sfumato.anonymity import MEASURES
from sfumato.anonymity.lattice import Problem, search
from sfumato.anonymity.lattice.why import explain_cost
from sfumato.anonymity.measures.columns import target_weights
from sfumato.anonymity.recoding import FullDomain
from sfumato.classes.table import TupleTable
from sfumato.core.disclosure import LEAST
from sfumato.core.values import AnonymityPlan
from sfumato.evidence.groups import Grouping
from sfumato.hierarchies.ladder import Ladder
from sfumato.pipeline.methods.task import (
    Anonymized,
    Progress,
    Task,
    all_suppressed,
    dense,
    ladder,
    positions_in,
    promised,
    within,
)
from sfumato.policy.model import SuppressionGap


def by_lattice(task: Task, progress: Progress | None) -> Anonymized:
    """Search the lattice of levels.

    Raises:
        InputError: ``anonymity-impossible``, ``hierarchy-invalid``, ``search-too-large``.
    """
    task, people = task.with_population()
    ladders = tuple(ladder(task, step) for step in task.steps)
    positions = np.stack([positions_in(task.table, one) for one in ladders])
    target = None if task.target is None else dense(task.table.tuples[task.target])
    problem = Problem(
        ladders,
        positions,
        task.units(people),
        task.models,
        task.limit,
        MEASURES.resolve(task.asked.measure),
        _weights(task, ladders, positions, target),
        target,
        _allowed(task, people),
        task.subjects,
    )
    solution = search(problem, within(progress, "searching the lattice"))
    if not solution.classes:
        raise all_suppressed()
    why = explain_cost(problem, solution)
    plan = AnonymityPlan(
        **promised(task.asked),
        levels=dict(zip(task.table.columns, solution.levels, strict=True)),
        heights={one.column: one.height for one in ladders},
        classes=solution.classes,
        smallest_class=solution.smallest_class,
        rows=task.table.rows,
        suppressed_rows=solution.suppressed,
        suppressed_share=solution.suppressed / task.table.rows,
        score=solution.score,
        raw_loss=solution.raw_loss,
        granularity=solution.granularity,
        losses={cost.column: cost.loss for cost in why.columns},
        why=tuple(asdict(cost) for cost in why.columns),
        lattice=solution.lattice,
        checked=solution.checked,
        optimal=solution.optimal,
        bound=solution.bound,
    )
    recoding = FullDomain.fit(task.table, ladders, solution, task.person if task.linked else None)
    return Anonymized(recoding, plan, ladders, task.models, task.scales)


def _weights(
    task: Task, ladders: tuple[Ladder, ...], positions: NDArray[np.int64], target: NDArray[np.int64] | None
) -> Mapping[str, float] | None:
    """How much each column counts: as the policy says (else 1), or by what it tells of the target."""
    if task.asked.weights == "target":
        assert target is not None, "the policy is checked to have a target"
        return target_weights(ladders, positions, task.table.counts, target)
    if task.asked.weights is None:
        return None
    return {one.column: task.asked.weights.get(one.column, 1.0) for one in ladders}


def _allowed(task: Task, people: NDArray[np.int64] | None) -> Callable[[NDArray[np.bool_]], bool] | None:
    """What a node may suppress, beyond how many rows."""
    rules: list[Callable[[NDArray[np.bool_]], bool]] = []
    if task.asked.suppression_gap is not None:
        rules += _even(task.table, task.asked.suppression_gap)
    if people is not None and any(float(model.params.get("low", 0)) > 0 for model in task.asked.models):
        # A class of the population that nobody stays in rules its people out.
        rules.append(lambda stays: bool(stays.all()))
    return (lambda stays: all(rule(stays) for rule in rules)) if rules else None


def _even(table: TupleTable, asked: SuppressionGap) -> list[Callable[[NDArray[np.bool_]], bool]]:
    """Whether the shares suppressed of any two groups of a column differ by no more than is asked for.

    Groups are those of the fairness figures; those of fewer than 10 people are left to chance there, and
    here.
    """

    def rule(column: str) -> Callable[[NDArray[np.bool_]], bool]:
        values = table.tuples[column]
        grouping = Grouping.fit(values.gather(np.repeat(np.arange(len(values)), table.counts)))
        members, width = grouping.of(values), len(grouping.names)
        people = np.bincount(members, table.counts, width)
        counted = people >= LEAST

        def even(stays: NDArray[np.bool_]) -> bool:
            gone = np.bincount(members, np.where(stays, 0, table.counts), width)
            shares = gone[counted] / people[counted]
            return len(shares) < 2 or float(np.ptp(shares)) <= asked.at_most + 1e-12

        return even

    return [rule(column) for column in asked.groups]
