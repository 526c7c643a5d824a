"""Fitting a policy to a snapshot: column transforms, then the table recoding, on aggregates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import polars as pl

from sfumato.classes.table import FIRST, TupleTable
from sfumato.contracts import COUNT, ROW
from sfumato.core.errors import InputError
from sfumato.core.keyed import derive
from sfumato.core.values import Plan, Step
from sfumato.engines.local import DRAW, drawn_by
from sfumato.evidence.columns import known_columns
from sfumato.hierarchies.build import needs_target
from sfumato.pipeline.below import refuse_loose_rows
from sfumato.pipeline.fitted import Fitted, key_of
from sfumato.pipeline.methods import METHODS
from sfumato.pipeline.methods.task import (
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

_PERSON = "__sfumato_person_draw__"

#: What counts in a class, by whether the release links the rows of a person; None if each has one.
UNITS = {None: "row", False: "person", True: "whole person"}

#: The one model of a sensitive column that bounds how many people of a class have any of its values.
ALPHA_K = "alpha-k"


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
        state = transform().fit(values, asked, key_of(snapshot, step))
    except InputError as error:
        raise InputError(
            error.code, error.what, where=error.where or f"column {name}", remedy=error.remedy
        ) from None
    # Where hierarchy files lie is the snapshot's business: a plan is the same wherever its policy lies.
    return step.model_copy(update={"state": {name: part for name, part in state.items() if name != "folder"}})


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
