"""Fitting a policy to a snapshot: column transforms, then the table recoding, on aggregates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import polars as pl

from sfumato.anonymity.partition.recoding import LocalRecoding
from sfumato.classes.table import FIRST, TupleTable
from sfumato.contracts import COUNT, ROW, Recoding, column_of
from sfumato.core.canonical import canonical_json
from sfumato.core.errors import InputError
from sfumato.core.keyed import derive
from sfumato.core.values import Plan, Step
from sfumato.engines.local import DRAW, drawn_by
from sfumato.evidence.columns import known_columns
from sfumato.hierarchies.build import needs_target
from sfumato.hierarchies.ladder import Ladder
from sfumato.pipeline.below import refuse_loose_rows
from sfumato.pipeline.methods import METHODS
from sfumato.pipeline.methods.task import (
    Anonymized,
    Progress,
    Task,
    looked_at,
    looks_at_target,
    models_of,
    scales_of,
)
from sfumato.pipeline.population import population_counter
from sfumato.pipeline.snapshot import IDENTITY, UNIT, Snapshot, part_of
from sfumato.pipeline.subjects import links_rows, several_rows
from sfumato.policy.model import Anonymity
from sfumato.policy.tables import Column
from sfumato.transforms import TRANSFORMS
from sfumato.transforms.generalize import hierarchy

_OWN = (ROW, IDENTITY, UNIT)
_PERSON = "__sfumato_person_draw__"

#: What counts in a class, by whether the release links the rows of a person; None if each has one.
UNITS = {None: "row", False: "person", True: "whole person"}

#: The one model of a sensitive column that bounds how many people of a class have any of its values.
ALPHA_K = "alpha-k"


@dataclass(frozen=True)
class Fitted:
    """A plan with everything needed to carry it out on its snapshot."""

    snapshot: Snapshot
    plan: Plan
    anonymized: Anonymized | None = None
    #: Where a person has several rows: does the release say which are one person's? None if each has one.
    linked: bool | None = None
    #: The same policy fitted to further tables of the same people, by name.
    below: Mapping[str, Fitted] = field(default_factory=dict)

    @property
    def recoding(self) -> Recoding | None:
        """The table recoding, if the policy asks for one."""
        return None if self.anonymized is None else self.anonymized.recoding

    @property
    def released(self) -> tuple[str, ...]:
        """The columns that leave, in the source's order."""
        return tuple(step.column for step in self.plan.steps if step.action != "drop")

    @cached_property
    def whole_plan(self) -> Plan:
        """The plan with the steps of further tables, by :func:`~sfumato.contracts.column_of`."""
        if not self.below:
            return self.plan
        steps = tuple(
            step.model_copy(update={"column": column_of(name, step.column)})
            for name, fitted in self.below.items()
            for step in fitted.plan.steps
        )
        digest = self.snapshot.whole_inventory.digest
        return self.plan.model_copy(update={"steps": (*self.plan.steps, *steps), "inventory_digest": digest})

    def transform(self, batch: pl.DataFrame) -> pl.DataFrame:
        """The column transforms on raw rows, or on some of their columns; the house's own pass through."""
        changed = [
            _one_zero(
                TRANSFORMS.resolve(step.action)().apply(
                    _read(batch, step), _state(self.snapshot, step), _key(self.snapshot, step)
                )
            )
            for step in self.plan.steps
            if step.action != "drop" and step.column in batch.columns
        ]
        own = [batch[name] for name in _OWN if name in batch.columns]
        return pl.DataFrame([*own, *changed]) if own or changed else pl.DataFrame()

    def recode(self, batch: pl.DataFrame) -> pl.DataFrame:
        """Raw rows to rows as they leave: transformed, labelled, without those suppressed."""
        labelled, kept = self.label(batch)
        return labelled.filter(kept)

    def label(self, batch: pl.DataFrame) -> tuple[pl.DataFrame, pl.Series]:
        """Raw rows of the snapshot with their labels, and which of them leave."""
        transformed = self.transform(batch)
        if self.recoding is None:
            return transformed, pl.Series([True], dtype=pl.Boolean).new_from_index(0, transformed.height)
        return self.recoding.label(transformed)

    def describe(self, raw: pl.DataFrame) -> pl.DataFrame:
        """Raw rows of anybody in the release's own terms, by the published method; nothing is suppressed.

        Unlike :meth:`recode` it takes people that the snapshot did not have; a value without a place
        in its hierarchy becomes missing. Where each class has labels of its own, the method gives none to
        others, and the values stay as the transforms leave them.
        """
        return self._described(raw, self._levels())

    def finer(self, column: str, raw: pl.DataFrame) -> pl.DataFrame:
        """:meth:`describe` with one column, of a level above 0, a level less general."""
        return self._described(
            raw, [(ladder, level - (ladder.column == column)) for ladder, level in self._levels()]
        )

    def _described(self, raw: pl.DataFrame, levels: Sequence[tuple[Ladder, int]]) -> pl.DataFrame:
        described = self.transform(raw)
        changed = [
            self._labelled(described[ladder.column], ladder, level)
            for ladder, level in levels
            if level > 0 and ladder.column in described.columns
        ]
        return part_of(described.with_columns(changed))

    def _levels(self) -> list[tuple[Ladder, int]]:
        """The ladders that every row goes up, and how far."""
        if self.anonymized is None:
            return []
        levels = self.anonymized.plan.levels
        found = [(ladder, levels.get(ladder.column, 0)) for ladder in self.anonymized.ladders]
        return [(ladder, level) for ladder, level in found if level > 0]

    @staticmethod
    def _labelled(values: pl.Series, ladder: Ladder, level: int) -> pl.Series:
        assert ladder.kind is not None, "a ladder of several levels has a kind"
        distinct = values.unique()
        labels = pl.DataFrame({"value": distinct, "label": ladder.kind.labels(distinct, level)})
        found = (
            values.alias("value")
            .to_frame()
            .join(labels, on="value", how="left", nulls_equal=True, maintain_order="left")
        )
        return found["label"].alias(ladder.column)

    def rows(self, part: pl.LazyFrame) -> pl.LazyFrame:
        """A part of the snapshot as it leaves, lazily."""
        schema = self.label(part.head(0).collect())[0].schema
        return self.snapshot.engine.map(part, self.recode, schema)

    def types(self) -> Mapping[str, pl.DataType]:
        """The columns of the release with their types."""
        types = part_of(self.label(self.snapshot.frame.head(0).collect())[0]).schema
        policy = self.snapshot.policy
        # Made names are texts; where tables hang on each other, they are of the keys' types.
        texts = {} if policy.made_names is None or policy.tables else {policy.made_names: pl.String()}
        return {**types, **texts}

    def population(self) -> pl.DataFrame | None:
        """The people of the population in the release's own terms, if a privacy model counts them."""
        everybody = population_counter(self.snapshot, self.describe)
        if self.anonymized is None or everybody is None:
            return None
        counted = any(model.counts_population for model in self.anonymized.models)
        return everybody(self.anonymized.recoding.columns) if counted else None

    def centers(self) -> dict[str, dict[str, float]]:
        """For each generalized column of numbers, a number standing for each label."""
        found: dict[str, dict[str, float]] = {}
        for ladder, level in self._levels():
            found |= _centers(ladder.column, ladder.kind, ladder.values, level)
        if isinstance(self.recoding, LocalRecoding):
            centers = {column: self.recoding.centers(column) for column in self.recoding.columns}
            found |= {column: numbers for column, numbers in centers.items() if numbers}
        for step in self.plan.steps:
            if step.action == "generalize" and step.state.get("level"):
                kind = hierarchy(step.state["hierarchy"], str(self.snapshot.folder))
                values = self.snapshot.frame.select(pl.col(step.column).unique()).collect(engine="streaming")
                found |= _centers(step.column, kind, values[step.column], int(step.state["level"]))
        return found


def _read(batch: pl.DataFrame, step: Step) -> pl.Series:
    """What a step's transform is applied to: its column, or what tells rows apart for one of their own."""
    if step.params.get("each") != "row":
        return batch[step.column]
    if IDENTITY not in batch.columns:
        # People who are not of the snapshot have no row in it, and no pseudonym.
        return pl.Series(step.column, [None], dtype=pl.UInt64).new_from_index(0, batch.height)
    return batch[IDENTITY].alias(step.column)


def _one_zero(values: pl.Series) -> pl.Series:
    """Numbers without a negative zero, which counts as equal to zero and is written differently."""
    if not values.dtype.is_float():
        return values
    zero = pl.Series(values.name, [0.0], dtype=values.dtype).new_from_index(0, len(values))
    return zero.zip_with((values == 0).fill_null(False), values)


def _centers(column: str, kind: Any, values: pl.Series, level: int) -> dict[str, dict[str, float]]:
    numbers = kind.centers(values, level)
    if numbers is None:
        return {}
    labels = kind.labels(values, level)
    pairs = zip(labels, numbers, strict=True)
    return {column: {label: number for label, number in pairs if label is not None and number is not None}}


def fit(snapshot: Snapshot, part: pl.LazyFrame, held_out: int, progress: Progress | None = None) -> Fitted:
    """Fit the snapshot's policy to a part of its rows.

    Raises:
        InputError: from transforms, hierarchies and the search.
    """
    policy = snapshot.policy
    steps = tuple(_step(snapshot, part, name, policy.columns.get(name)) for name in snapshot.columns)
    rows = snapshot.engine.rows(part)
    plan = Plan(
        dataset=policy.dataset.name,
        policy_digest=snapshot.policy_digest,
        inventory_digest=snapshot.inventory.digest,
        rows=rows + held_out,
        holdout_rows=held_out,
        steps=steps,
    )
    _check_key(snapshot, part)
    linked = links_rows(snapshot, part, steps) if several_rows(snapshot, part) else None
    refuse_loose_rows(snapshot)
    below = {name: fit(table, table.part(held_out=False), 0) for name, table in snapshot.below.items()}
    fitted = Fitted(snapshot, plan, linked=linked, below=below)
    if policy.anonymity is None:
        return fitted
    if linked is not None:
        _refuse_for_people(policy.anonymity, linked)
    anonymized = METHODS.resolve(policy.anonymity.method)(_task(fitted, part, policy.anonymity), progress)
    told = anonymized.plan.model_copy(update={"unit": UNITS[linked]})
    return Fitted(snapshot, plan.model_copy(update={"anonymity": told}), anonymized, linked)


def _task(fitted: Fitted, part: pl.LazyFrame, asked: Anonymity) -> Task:
    """What the table recoding is fitted to."""
    snapshot, steps = fitted.snapshot, fitted.plan.steps
    columns = protected(snapshot, steps)
    models = models_of(asked)
    target = snapshot.policy.dataset.target if looks_at_target(asked) else None
    groups = asked.suppression_gap.groups if asked.suppression_gap is not None else ()
    whose = (UNIT,) if fitted.linked is not None else ()
    others = (*looked_at(models), *groups, *((target,) if target is not None else ()), *whose)
    others = tuple(name for name in dict.fromkeys(others) if name not in columns)
    table = tuples(fitted, part, columns, others)
    if whose:
        table = _drawn(table, snapshot)
    folder = str(snapshot.folder)

    everybody = population_counter(snapshot, lambda people: part_of(fitted.transform(people)))
    counted = any(model.counts_population for model in models)

    def rows(units: pl.DataFrame) -> pl.DataFrame:
        """The rows of some units, with keyed draws that decide which of them goes where."""
        frame = _transformed(fitted, part, (IDENTITY, *units.columns))
        chosen = frame.join(units.lazy(), on=units.columns, how="semi", nulls_equal=True)
        drawn = drawn_by(IDENTITY, derive(snapshot.release_key, "deal"))
        return chosen.with_columns(drawn).collect(engine="streaming")

    return Task(
        asked,
        table,
        tuple(fitted.plan.step(name) for name in columns),
        folder,
        scales_of(asked, table, folder, *whose),
        models,
        everybody(columns) if everybody is not None and counted else None,
        target,
        frozenset(name for name, column in snapshot.policy.columns.items() if column.hierarchy is not None),
        rows,
        DRAW,
        IDENTITY,
        UNIT if fitted.linked is not None else None,
        bool(fitted.linked),
    )


def _drawn(table: TupleTable, snapshot: Snapshot) -> TupleTable:
    """The tuples of people in a keyed order, so that no row's place decides who shares a class with whom."""
    key = derive(snapshot.release_key, "people in order")
    person = table.tuples.select(drawn_by(UNIT, key)).to_series().alias(_PERSON)
    within = drawn_by(FIRST, key)
    ordered = table.tuples.with_columns(person, within).sort(_PERSON, UNIT, DRAW, FIRST)
    return replace(table, tuples=ordered.drop(_PERSON, DRAW))


def protected(snapshot: Snapshot, steps: Sequence[Step]) -> tuple[str, ...]:
    """The released columns that an attacker may know: what every class must agree on."""
    released = [step.column for step in steps if step.action != "drop"]
    columns = known_columns(released, snapshot.inventory, steps, snapshot.policy.context.model_dump())
    if not columns:
        raise InputError(
            "policy-mismatch",
            "no released column is a quasi-identifier, so there is nothing to be anonymous on",
            where="anonymity",
            remedy="give what outsiders may know the role quasi-identifier, or leave the section out",
        )
    return columns


def tuples(
    fitted: Fitted, part: pl.LazyFrame, columns: Sequence[str], others: Sequence[str] = ()
) -> TupleTable:
    """The distinct tuples of transformed columns, with counts and first rows, in the order of those.

    With other columns, tuples are distinct in those too.
    """
    keys = (*columns, *others)
    frame = _transformed(fitted, part, (ROW, *keys))
    measures = [pl.len().alias(COUNT), pl.col(ROW).min().alias(FIRST)]
    found = fitted.snapshot.engine.aggregate(frame, keys, measures).sort(FIRST)
    return TupleTable(tuple(columns), found, tuple(others))


def _transformed(fitted: Fitted, part: pl.LazyFrame, columns: Sequence[str]) -> pl.LazyFrame:
    """Some columns of a part, transformed, lazily."""

    def chosen(batch: pl.DataFrame) -> pl.DataFrame:
        return fitted.transform(batch).select(columns)

    return fitted.snapshot.engine.map(part, chosen, chosen(part.head(0).collect()).schema)


def _step(snapshot: Snapshot, part: pl.LazyFrame, name: str, column: Column | None) -> Step:
    if column is None:
        return Step(
            column=name,
            role=snapshot.inventory.column(name).role,
            sensitive=snapshot.inventory.column(name).sensitive,
            action="drop",
            params={},
            why="nobody decided about it",
        )
    params = dict(column.action.params) if column.action is not None else {}
    transform = TRANSFORMS.resolve(column.done)
    extra: dict[str, Any] = {}
    if column.done == "generalize":
        extra = {"hierarchy": _hierarchy_spec(column), "folder": str(snapshot.folder)}
    step = Step(
        column=name,
        role=column.role,
        sensitive=column.sensitive,
        known_to=column.known_to,
        approved=snapshot.policy.approved(f"column {name}"),
        action=column.done,
        params=params,
        why=column.why,
    )
    try:
        asked = transform.Params(**params, **extra)
        values = _values(snapshot, part if transform.reads(asked) else part.head(0), name, extra)
        state = transform().fit(values, asked, _key(snapshot, step))
    except InputError as error:
        raise InputError(
            error.code, error.what, where=error.where or f"column {name}", remedy=error.remedy
        ) from None
    # Where hierarchy files lie is the snapshot's business: a plan is the same wherever its policy lies.
    return step.model_copy(update={"state": {name: part for name, part in state.items() if name != "folder"}})


def _state(snapshot: Snapshot, step: Step) -> Mapping[str, Any]:
    return {**step.state, "folder": str(snapshot.folder)} if step.action == "generalize" else step.state


def _hierarchy_spec(column: Column) -> dict[str, Any]:
    if column.hierarchy is None:
        return {"kind": "suppress"}
    return {"kind": column.hierarchy.name, **column.hierarchy.params}


def _values(snapshot: Snapshot, part: pl.LazyFrame, name: str, extra: Mapping[str, Any]) -> pl.DataFrame:
    """Distinct values and counts of a column, with the target where its hierarchy learns from that.

    Held-out rows never touch the fitting.
    """
    columns, target = {"value": name}, snapshot.policy.dataset.target
    if target is not None and "hierarchy" in extra and needs_target(extra["hierarchy"]):
        columns["target"] = target
    frame = part.select(pl.col(column).alias(alias) for alias, column in columns.items())
    return snapshot.engine.aggregate(frame, list(columns), [pl.len().alias("count")])


def _key(snapshot: Snapshot, step: Step) -> bytes:
    """The key of one column's transform: (dataset, release, column, transform, parameters).

    A pseudonym's domain takes the column's place, so that two columns of one domain agree; one that
    must be joinable belongs to the project and not to the release.
    """
    if step.action == "pseudonymize":
        domain = str(step.params["domain"])
        if step.params.get("join"):
            return derive(snapshot.project.secret, "pseudonym", domain)
        return derive(snapshot.release_key, "pseudonym", domain)
    return derive(
        snapshot.release_key, "column", step.column, step.action, canonical_json(step.params).decode()
    )


def _check_key(snapshot: Snapshot, part: pl.LazyFrame) -> None:
    """Refuse a declared key that does not tell rows apart: draws, and with them the order, hang on it."""
    if snapshot.policy.dataset.key is None:
        return
    rows, keys = (
        part.select(pl.len(), pl.col(IDENTITY).n_unique().alias("keys")).collect(engine="streaming").row(0)
    )
    if rows > keys:
        raise InputError(
            "policy-mismatch",
            f"{rows - keys} of {rows} rows have a key that another row has",
            where=f"dataset.key, column {snapshot.policy.dataset.key}",
            remedy="name a column that tells every row apart, or leave the key out",
        )


def _refuse_for_people(asked: Anonymity, linked: bool) -> None:
    """Refuse what cannot be promised to people of several rows.

    Raises:
        InputError: ``subject-rows``.
    """
    for part, model in zip(asked.models, models_of(asked), strict=True):
        if model.counts_population:
            raise InputError(
                "subject-rows",
                "people have several rows, and a table of the population has one of each",
                where="anonymity.models",
                remedy="leave models of the population out, or bring the source to one row a person",
            )
        if linked and model.on is not None and part.name != ALPHA_K:
            raise InputError(
                "subject-rows",
                "the release links a person's rows, so their sensitive values are known together: different "
                "values in a class say nothing of one that everybody in it has",
                where="anonymity.models",
                remedy="ask for alpha-k-anonymity, which bounds how many have any value, or do not link rows",
            )
