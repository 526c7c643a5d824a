"""What a method of recoding a table is given, and what it gives back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, cast

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sfumato.anonymity import MODELS
from sfumato.anonymity.lattice import Progress as Counted
from sfumato.anonymity.models.t_closeness import tree
from sfumato.anonymity.others_known import OthersKnown, with_others_known
from sfumato.classes.contingency import Sensitive
from sfumato.classes.grouping import group
from sfumato.classes.subjects import Subjects
from sfumato.classes.table import FIRST, TupleTable, Units
from sfumato.contracts import COUNT, PrivacyModel, Recoding
from sfumato.core.errors import InputError
from sfumato.core.values import AnonymityPlan, Step
from sfumato.hierarchies.ladder import Ladder
from sfumato.policy.model import Anonymity
from sfumato.policy.parts import Part
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
        codes = positions(column, self.values)
        if (codes < 0).any():
            raise InputError(
                "recheck-failed",
                "the rows as written have sensitive values that the snapshot did not have",
                remedy="nothing was released; please report this as a bug",
            )
        return Sensitive(codes, self.overall, self.tree)


@dataclass(frozen=True)
class Task:
    """What a recoding is fitted to: the distinct tuples, how columns may be coarsened, what must hold.

    ``steps`` are those of the table's columns; ``target`` is what a model is to predict, if the method
    looks at it, and then one of the table's other columns or one of those recoded.
    """

    asked: Anonymity
    table: TupleTable
    steps: tuple[Step, ...]
    folder: str
    scales: Mapping[str, Scale]
    models: tuple[PrivacyModel, ...]
    #: The tuples of the population with the people of each, if a model counts them.
    population: pl.DataFrame | None
    target: str | None
    #: The columns whose hierarchy the policy wrote; the others have none but all or nothing.
    with_hierarchy: frozenset[str]
    #: The rows of given units with their identities and keyed draws, for those dealt to several classes.
    rows: Rows
    draws: str
    identity: str
    #: The table's other column with whose a row is, where a person may have several; and are they linked?
    person: str | None = None
    linked: bool = False

    def units(self, people: NDArray[np.int64] | None = None) -> Units:
        """The tuples as searches see them, with the people of the population that each has."""
        if self.person is not None and self.asked.others_known:
            raise InputError(
                "subject-rows",
                "a person with several rows may have several values of the columns that are to be known",
                where="anonymity.others_known",
                remedy="bring the source to one row a person first, or leave others_known out",
            )
        return Units(self.table.counts, coded(self.table.tuples, self.scales, self.models), people)

    @cached_property
    def subjects(self) -> Subjects | None:
        """Whose each tuple is, where a person may have several rows."""
        if self.person is None:
            return None
        whose = dense(self.table.tuples[self.person])
        # Numbered as they come, which is by a keyed draw: neither place nor content decides between them.
        return Subjects(group(whose, np.ones(len(whose), dtype=np.int64))[0], self.linked)

    def with_population(self) -> tuple[Task, NDArray[np.int64] | None]:
        """The task with a tuple of nobody for each tuple of the population, and the people that each has."""
        if self.population is None:
            return self, None
        tuples = self.table.tuples
        # Any value of another column does for a tuple of nobody: no row has it.
        filled = {name: tuples[name][0] for name in self.table.others}
        everybody = self._placed(self.population)
        extra = everybody.select(
            *self.table.columns,
            *(pl.lit(value, tuples.schema[name]).alias(name) for name, value in filled.items()),
            pl.lit(0).cast(tuples.schema[COUNT]).alias(COUNT),
            pl.lit(self.table.rows).cast(tuples.schema[FIRST]).alias(FIRST),
        )
        table = replace(self.table, tuples=pl.concat([tuples, extra.select(tuples.columns)]))
        people = np.concatenate(
            [np.zeros(tuples.height, dtype=np.int64), everybody[COUNT].cast(pl.Int64).to_numpy()]
        )
        return replace(self, table=table), people

    def _placed(self, people: pl.DataFrame) -> pl.DataFrame:
        """Those of the population whose values the hierarchies have; others are in nobody's class."""
        for step in self.steps:
            if step.action == "generalize" and step.state["level"] is None:
                domain = hierarchy(step.state["hierarchy"], self.folder).domain()
                if domain is not None:
                    values = pl.col(step.column).cast(pl.String)
                    people = people.filter(values.is_in(domain.implode(), nulls_equal=True))
        return people

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

    def coded(self, tuples: pl.DataFrame) -> dict[str, Sensitive]:
        """What the models look at in tuples of the snapshot."""
        return coded(tuples, self.scales, self.models)


def coded(
    tuples: pl.DataFrame, scales: Mapping[str, Scale], models: Sequence[PrivacyModel]
) -> dict[str, Sensitive]:
    """The sensitive columns of tuples by numbers, with those that models look at together.

    Raises:
        InputError: as :meth:`Scale.coded` and :meth:`OthersKnown.joined`.
    """
    found = {name: scale.coded(tuples[name]) for name, scale in scales.items()}
    return found | {model.on: model.joined(found) for model in with_others_known(models)}


def models_of(asked: Anonymity) -> tuple[PrivacyModel, ...]:
    """The privacy models that a policy asks for, and again with others known where it asks for that."""
    models = tuple(_model(part.name, part.params) for part in asked.models)
    known = {model.on: asked.known_beside(model.on) for model in models if model.on is not None}
    more = (OthersKnown(model, known[model.on]) for model in models if model.on and known[model.on])
    return (*models, *(cast("PrivacyModel", model) for model in more))


def only_counted(models: Sequence[PrivacyModel]) -> bool:
    """Whether a class's number of people is all that the models ask."""
    return all(model.on is None and model.absorbing and not model.whole for model in models)


def looks_at_target(asked: Anonymity) -> bool:
    """Whether the method is to know what a model will predict."""
    return asked.weights == "target" or (asked.method == "lattice" and asked.measure == "classification")


def looked_at(models: Sequence[PrivacyModel]) -> tuple[str, ...]:
    """The sensitive columns that models look at, each once."""
    joint = with_others_known(models)
    own = {model.on for model in models if model.on is not None} - {model.on for model in joint}
    found = [model.on for model in models if model.on in own]
    found += [name for model in joint for name in model.columns]
    return tuple(name for name in dict.fromkeys(found) if name is not None)


def scales_of(
    asked: Anonymity, table: TupleTable, folder: str, person: str | None = None
) -> dict[str, Scale]:
    """The scale of each sensitive column that a model looks at; of people, if a column says who they are."""
    trees = {
        str(part.params["on"]): part.params["hierarchy"]
        for part in asked.models
        if part.params.get("hierarchy") is not None
    }
    return {
        name: _scale(table, name, trees.get(name), folder, person) for name in looked_at(models_of(asked))
    }


def promised(asked: Anonymity) -> dict[str, Any]:
    """The method and the models, as the plan has them."""
    return {
        "method": asked.method,
        "models": tuple(
            {"model": model.name, **model.params, **_known(asked, model)} for model in asked.models
        ),
    }


def _known(asked: Anonymity, model: Part) -> dict[str, Any]:
    others = asked.known_beside(str(model.params.get("on", "")))
    return {"others_known": list(others)} if "on" in model.params and others else {}


def all_suppressed() -> InputError:
    """What is said where nobody would be left."""
    return InputError(
        "anonymity-impossible",
        "the privacy models hold only if every row is suppressed",
        where="anonymity",
        remedy="lower k: a class of so many people takes more of them than there are",
    )


def broken_as_written() -> InputError:
    """What is said where no classes keep the models, those with the same labels being one."""
    return InputError(
        "anonymity-impossible",
        "no classes were found that keep the privacy models as they would be written",
        where="anonymity",
        remedy="ask less of the models; the method lattice may suppress rows where the policy allows it",
    )


def within(progress: Progress | None, stage: str) -> Counted | None:
    """A search's own progress as a part of the whole."""
    return None if progress is None else lambda done, total: progress(stage, done, total)


def ladder(task: Task, step: Step) -> Ladder:
    """The hierarchy of a column, laid out over its values; of one level where another action changed it."""
    found = task.table.values(step.column)
    values = found["value"].alias(step.column)
    if step.action != "generalize" or step.state["level"] is not None:
        return Ladder.fixed(values)
    return Ladder.build(hierarchy(step.state["hierarchy"], task.folder), values, found["first"])


def all_or_nothing(table: TupleTable, column: str) -> Ladder:
    """A ladder of the value and of nothing."""
    found = table.values(column)
    return Ladder.build(hierarchy({"kind": "suppress"}, "."), found["value"].alias(column), found["first"])


def positions_in(table: TupleTable, ladder: Ladder) -> NDArray[np.int64]:
    """For each tuple the position of its value in the ladder."""
    return positions(table.tuples[ladder.column], ladder.values)


def positions(column: pl.Series, values: pl.Series) -> NDArray[np.int64]:
    """The position of each cell's value among distinct ones, -1 if it is none of them."""
    index = values.alias("value").to_frame().with_row_index("position")
    found = (
        column.alias("value")
        .to_frame()
        .join(index, on="value", how="left", nulls_equal=True, maintain_order="left")
    )
    return found["position"].cast(pl.Int64).fill_null(-1).to_numpy()


def dense(column: pl.Series) -> NDArray[np.int64]:
    """Equal cells by equal numbers, missing ones too."""
    return column.rank("dense").fill_null(0).cast(pl.Int64).to_numpy()


def _scale(
    table: TupleTable, name: str, spec: Mapping[str, Any] | None, folder: str, person: str | None
) -> Scale:
    found = table.values(name) if person is None else table.people(name, person)
    ordered = found.sort("value", nulls_last=True)
    values = ordered["value"].alias(name)
    overall = ordered["count"].cast(pl.Int64).to_numpy()
    if spec is None:
        return Scale(values, overall, None)
    return Scale(values, overall, tree(Ladder.build(hierarchy(spec, folder), values, ordered["first"])))


def _model(name: str, params: Mapping[str, Any]) -> PrivacyModel:
    kind = MODELS.resolve(name)
    model: PrivacyModel = kind(kind.Params(**params))
    return model
