"""Fitting the table recoding: from column transforms to classes of people that keep the promises."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sfumato.anonymity import MEASURES, MODELS
from sfumato.anonymity.holding import holding
from sfumato.anonymity.lattice import Problem as LatticeProblem
from sfumato.anonymity.lattice import Progress as Counted
from sfumato.anonymity.lattice import search
from sfumato.anonymity.partition.problem import (
    Assignment,
    Axis,
    Problem,
    certainty_penalty,
    cover,
    granularity,
)
from sfumato.anonymity.partition.recoding import Deal, LocalRecoding, deal, dealt
from sfumato.anonymity.recoding import FullDomain
from sfumato.classes.contingency import Sensitive
from sfumato.classes.grouping import combine, group
from sfumato.classes.table import FIRST, TupleTable, Units
from sfumato.contracts import COUNT, PrivacyModel, Recoding
from sfumato.core.errors import InputError
from sfumato.core.values import AnonymityPlan, Step
from sfumato.evidence.features import numbers
from sfumato.hierarchies.ladder import Ladder
from sfumato.policy.model import Anonymity
from sfumato.transforms.generalize import hierarchy

Progress = Callable[[str, int, int], None]
Rows = Callable[[pl.DataFrame], pl.DataFrame]


@dataclass(frozen=True)
class Scale:
    """The values of a sensitive column in their order, and how many people of the snapshot have each."""

    values: pl.Series
    overall: NDArray[np.int64]
    tree: NDArray[np.int64] | None

    def coded(self, column: pl.Series) -> Sensitive:
        """A column of values of the snapshot by their numbers.

        Raises:
            InputError: ``recheck-failed`` for a value that the snapshot did not have.
        """
        codes = _positions(column, self.values)
        if (codes < 0).any():
            raise InputError(
                "recheck-failed",
                "the rows as written have sensitive values that the snapshot did not have",
                remedy="nothing was released; please report this as a bug",
            )
        return Sensitive(codes, self.overall, self.tree)


@dataclass(frozen=True)
class Task:
    """What a recoding is fitted to: the distinct tuples, how columns may be coarsened, what must hold."""

    asked: Anonymity
    table: TupleTable
    steps: tuple[Step, ...]
    folder: str
    scales: Mapping[str, Scale]
    models: tuple[PrivacyModel, ...]
    #: The tuples of the population with the people of each, if a model counts them.
    population: pl.DataFrame | None
    #: The columns whose hierarchy the policy wrote; the others have none but all or nothing.
    with_hierarchy: frozenset[str]
    #: The rows of given units with their identities and keyed draws, for those dealt to several classes.
    rows: Rows
    draws: str
    identity: str

    def units(self, people: NDArray[np.int64] | None = None) -> Units:
        """The tuples as searches see them, with the people of the population that each has."""
        sensitive = {name: scale.coded(self.table.tuples[name]) for name, scale in self.scales.items()}
        return Units(self.table.counts, sensitive, people)

    def with_population(self) -> tuple[Task, NDArray[np.int64] | None]:
        """The task with a tuple of nobody for each tuple of the population, and the people that each has."""
        if self.population is None:
            return self, None
        tuples = self.table.tuples
        # Any sensitive value does for a tuple of nobody: no row has it.
        filled = {name: scale.values[0] for name, scale in self.scales.items()}
        extra = self.population.select(
            *self.table.columns,
            *(pl.lit(value, tuples.schema[name]).alias(name) for name, value in filled.items()),
            pl.lit(0).cast(tuples.schema[COUNT]).alias(COUNT),
            pl.lit(self.table.rows).cast(tuples.schema[FIRST]).alias(FIRST),
        )
        table = replace(self.table, tuples=pl.concat([tuples, extra.select(tuples.columns)]))
        people = np.concatenate(
            [np.zeros(tuples.height, dtype=np.int64), self.population[COUNT].cast(pl.Int64).to_numpy()]
        )
        return replace(self, table=table), people

    @property
    def limit(self) -> int:
        """How many rows may go."""
        return int(self.asked.suppression * self.table.rows + 1e-9)


@dataclass(frozen=True)
class Anonymized:
    """A fitted recoding with what the plan says of it."""

    recoding: Recoding
    plan: AnonymityPlan
    ladders: tuple[Ladder, ...]
    models: tuple[PrivacyModel, ...]
    scales: Mapping[str, Scale]

    @property
    def counted(self) -> tuple[str, ...]:
        """The columns over which the models are checked again: those recoded and the sensitive ones."""
        return (*self.recoding.columns, *self.scales)


def models_of(asked: Anonymity) -> tuple[PrivacyModel, ...]:
    """The privacy models that a policy asks for."""
    return tuple(_model(part.name, part.params) for part in asked.models)


def scales_of(asked: Anonymity, table: TupleTable, folder: str) -> dict[str, Scale]:
    """The scale of each sensitive column that a model looks at."""
    trees = {
        str(part.params["on"]): part.params["hierarchy"]
        for part in asked.models
        if part.params.get("hierarchy") is not None
    }
    return {name: _scale(table, name, trees.get(name), folder) for name in table.sensitive}


def anonymize(task: Task, progress: Progress | None = None) -> Anonymized:
    """Fit the recoding that a policy asks for.

    Raises:
        InputError: ``anonymity-impossible``, ``hierarchy-invalid``.
    """
    return {"lattice": _by_lattice, "partition": _by_partition}[task.asked.method](task, progress)


def check_again(found: Anonymized, counted: pl.DataFrame, population: pl.DataFrame | None = None) -> None:
    """Check the privacy models on classes of rows as written.

    Args:
        counted: distinct tuples of the recoded and the sensitive columns with their rows (column
            :data:`COUNT`).
        population: the same of the population, in the release's terms, if a model counts it.

    Raises:
        InputError: ``recheck-failed``.
    """
    columns = found.recoding.columns
    people: pl.Series | None = None
    if population is not None:
        counted, people = _beside(counted, population, columns)
    sizes = counted[COUNT].cast(pl.Int64).to_numpy()
    keys = combine([_dense(counted[name]) for name in columns])
    classes, found_sizes = group(keys, sizes)
    sensitive = {name: scale.coded(counted[name]) for name, scale in found.scales.items()}
    everybody = None if people is None else people.cast(pl.Int64).to_numpy()
    table = Units(sizes, sensitive, everybody).classes(classes, len(found_sizes))
    for model in found.models:
        broken = int((~holding([model], table)).sum())
        if broken:
            raise InputError(
                "recheck-failed",
                f"{broken} class(es) of the rows as written break the promise of {model.explain()}",
                remedy="nothing was released; please report this as a bug",
            )


def _beside(
    counted: pl.DataFrame, population: pl.DataFrame, columns: Sequence[str]
) -> tuple[pl.DataFrame, pl.Series]:
    """The counted tuples and, as tuples of nobody, those of the population; and the people of each in it."""
    nobody = population.select(
        *(
            pl.col(name) if name in columns else pl.lit(counted[name][0], counted.schema[name]).alias(name)
            for name in counted.columns
            if name != COUNT
        ),
        pl.lit(0).cast(counted.schema[COUNT]).alias(COUNT),
    )
    people = pl.concat(
        [pl.Series([0], dtype=pl.Int64).new_from_index(0, counted.height), population[COUNT].cast(pl.Int64)]
    )
    return pl.concat([counted, nobody.select(counted.columns)]), people


def _by_lattice(task: Task, progress: Progress | None) -> Anonymized:
    task, people = task.with_population()
    ladders = tuple(_ladder(task, step) for step in task.steps)
    problem = LatticeProblem(
        ladders,
        np.stack([_at(task.table, ladder) for ladder in ladders]),
        task.units(people),
        task.models,
        task.limit,
        MEASURES.resolve(task.asked.measure),
    )
    solution = search(problem, None if progress is None else _within(progress, "searching the lattice"))
    if not solution.classes:
        raise _all_suppressed()
    plan = AnonymityPlan(
        **_asked(task.asked),
        levels=dict(zip(task.table.columns, solution.levels, strict=True)),
        heights={ladder.column: ladder.height for ladder in ladders},
        classes=solution.classes,
        smallest_class=solution.smallest_class,
        rows=task.table.rows,
        suppressed_rows=solution.suppressed,
        suppressed_share=solution.suppressed / task.table.rows,
        score=solution.score,
        raw_loss=solution.raw_loss,
        granularity=solution.granularity,
        lattice=solution.lattice,
        checked=solution.checked,
        optimal=solution.optimal,
    )
    recoding = FullDomain.fit(task.table, ladders, solution)
    return Anonymized(recoding, plan, ladders, task.models, task.scales)


def _by_partition(task: Task, progress: Progress | None) -> Anonymized:
    from sfumato.anonymity.partition.local import local_recoding
    from sfumato.anonymity.partition.splits import split

    axes = tuple(_axis(task, step) for step in task.steps)
    positions = np.stack([_at(task.table, axis.ladder) for axis in axes])
    problem = Problem(axes, positions, task.units(), task.models, task.limit)
    watch = None if progress is None else _within(progress, "parting the table")
    free = any(axis.free for axis in axes)
    assignment = split(problem, progress=watch) if free else local_recoding(problem, progress=watch)
    if not assignment.size:
        raise _all_suppressed()
    recoding = LocalRecoding.fit(task.table, problem, assignment, _dealt(task, assignment))
    plan = _partition_plan(task, problem, assignment, recoding)
    ladders = tuple(axis.ladder for axis in axes)
    return Anonymized(recoding, plan, ladders, task.models, task.scales)


def _partition_plan(
    task: Task, problem: Problem, assignment: Assignment, recoding: LocalRecoding
) -> AnonymityPlan:
    found = cover(problem, assignment)
    sizes = np.bincount(assignment.classes, assignment.counts, assignment.size).astype(np.int64)
    # Classes that happen to have the same labels are one to whoever reads the release.
    keys = combine([_dense(recoding.labels[name]) for name in recoding.columns])
    written = group(keys, sizes)[1]
    rows = task.table.rows
    suppressed = rows - int(sizes.sum())
    means = (found.shares * sizes).sum(axis=1) / rows + suppressed / rows
    names = task.table.columns
    return AnonymityPlan(
        **_asked(task.asked),
        levels={},
        heights={},
        classes=len(written),
        smallest_class=int(written.min()),
        rows=rows,
        suppressed_rows=suppressed,
        suppressed_share=suppressed / rows,
        score=certainty_penalty(problem, assignment, found),
        raw_loss=float(means.mean()),
        granularity=granularity(problem, assignment, found),
        losses={name: _loss(mean, axis) for name, mean, axis in zip(names, means, problem.axes, strict=True)},
        optimal=False,
    )


def _loss(mean_share: float, axis: Axis) -> float:
    return (mean_share - 1 + axis.worth) / axis.worth if axis.worth > 0 else 0.0


def _dealt(task: Task, assignment: Assignment) -> Deal | None:
    units = dealt(assignment, task.table.counts)
    if not len(units):
        return None
    rows = task.rows(task.table.tuples[units].select(*task.table.columns, *task.table.sensitive))
    return deal(rows, task.table, assignment, task.draws, task.identity)


def _asked(asked: Anonymity) -> dict[str, Any]:
    return {
        "method": asked.method,
        "models": tuple({"model": model.name, **model.params} for model in asked.models),
    }


def _all_suppressed() -> InputError:
    return InputError(
        "anonymity-impossible",
        "the privacy models hold only if every row is suppressed",
        where="anonymity",
        remedy="lower k: a class of so many people takes more of them than there are",
    )


def _within(progress: Progress, stage: str) -> Counted:
    return lambda done, total: progress(stage, done, total)


def _axis(task: Task, step: Step) -> Axis:
    """How a partition may coarsen a column: by its hierarchy, or freely where it has none."""
    if step.action != "generalize" or step.state["level"] is not None:
        # What another action has already changed stays as it is or is not told at all.
        ladder, free = _all_or_nothing(task.table, step.column), False
    else:
        labels = task.asked.labels or ("hierarchy" if step.column in task.with_hierarchy else "free")
        ladder, free = _ladder(task, step), labels == "free"
    return Axis(ladder, free, numbers(ladder.values) if _ordered(ladder.values.dtype) else None)


def _ordered(dtype: pl.DataType) -> bool:
    return dtype.is_numeric() or dtype.is_temporal()


def _ladder(task: Task, step: Step) -> Ladder:
    found = task.table.values(step.column)
    values = found["value"].alias(step.column)
    if step.action != "generalize" or step.state["level"] is not None:
        return Ladder.fixed(values)
    return Ladder.build(hierarchy(step.state["hierarchy"], task.folder), values, found["first"])


def _all_or_nothing(table: TupleTable, column: str) -> Ladder:
    found = table.values(column)
    return Ladder.build(hierarchy({"kind": "suppress"}, "."), found["value"].alias(column), found["first"])


def _at(table: TupleTable, ladder: Ladder) -> NDArray[np.int64]:
    """For each tuple the position of its value in the ladder."""
    return _positions(table.tuples[ladder.column], ladder.values)


def _positions(column: pl.Series, values: pl.Series) -> NDArray[np.int64]:
    """The position of each cell's value among distinct ones, -1 if it is none of them."""
    index = values.alias("value").to_frame().with_row_index("position")
    found = (
        column.alias("value")
        .to_frame()
        .join(index, on="value", how="left", nulls_equal=True, maintain_order="left")
    )
    return found["position"].cast(pl.Int64).fill_null(-1).to_numpy()


def _dense(column: pl.Series) -> NDArray[np.int64]:
    """Equal cells by equal numbers, missing ones too."""
    return column.rank("dense").fill_null(0).cast(pl.Int64).to_numpy()


def _scale(table: TupleTable, name: str, tree: Mapping[str, Any] | None, folder: str) -> Scale:
    found = table.values(name)
    ordered = found.sort("value", nulls_last=True)
    values = ordered["value"].alias(name)
    overall = ordered["count"].cast(pl.Int64).to_numpy()
    if tree is None:
        return Scale(values, overall, None)
    ladder = Ladder.build(hierarchy(tree, folder), values, ordered["first"])
    top = np.zeros(len(values), dtype=np.int64)
    return Scale(values, overall, np.stack([*ladder.codes, top]))


def _model(name: str, params: Mapping[str, Any]) -> PrivacyModel:
    kind = MODELS.resolve(name)
    model: PrivacyModel = kind(kind.Params(**params))
    return model
