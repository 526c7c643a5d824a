"""Fitting a policy to a snapshot: column transforms, then the table recoding, on aggregates."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sfumato.anonymity import MEASURES, MODELS
from sfumato.anonymity.lattice import Problem, Solution, search
from sfumato.anonymity.recoding import FullDomain
from sfumato.classes.table import FIRST, ClassTable, TupleTable, Units
from sfumato.contracts import COUNT, ROW, PrivacyModel
from sfumato.core.canonical import canonical_json
from sfumato.core.errors import InputError
from sfumato.core.keyed import derive
from sfumato.core.values import AnonymityPlan, Plan, Step
from sfumato.evidence.columns import known_columns
from sfumato.hierarchies.ladder import Ladder
from sfumato.pipeline.snapshot import IDENTITY, UNIT, Snapshot, part_of
from sfumato.policy.model import Column
from sfumato.transforms import TRANSFORMS
from sfumato.transforms.generalize import hierarchy

Progress = Callable[[str, int, int], None]
_OWN = (ROW, IDENTITY, UNIT)


@dataclass(frozen=True)
class Fitted:
    """A plan with everything needed to carry it out on its snapshot."""

    snapshot: Snapshot
    plan: Plan
    recoding: FullDomain | None
    ladders: tuple[Ladder, ...]
    models: tuple[PrivacyModel, ...]

    @property
    def released(self) -> tuple[str, ...]:
        """The columns that leave, in the source's order."""
        return tuple(step.column for step in self.plan.steps if step.action != "drop")

    def transform(self, batch: pl.DataFrame) -> pl.DataFrame:
        """The column transforms on raw rows, or on some of their columns; the house's own pass through."""
        changed = [
            _one_zero(
                TRANSFORMS.resolve(step.action)().apply(
                    batch[step.column], _state(self.snapshot, step), _key(self.snapshot, step)
                )
            )
            for step in self.plan.steps
            if step.action != "drop" and step.column in batch.columns
        ]
        own = [batch[name] for name in _OWN if name in batch.columns]
        return pl.DataFrame([*own, *changed]) if own or changed else pl.DataFrame()

    def recode(self, batch: pl.DataFrame) -> pl.DataFrame:
        """Raw rows to rows as they leave: transformed, labelled, without those suppressed."""
        transformed = self.transform(batch)
        return transformed if self.recoding is None else self.recoding.apply(transformed)

    def describe(self, raw: pl.DataFrame) -> pl.DataFrame:
        """Raw rows of anybody in the release's own terms, by the published method; nothing is suppressed.

        Unlike :meth:`recode` it takes people that the snapshot did not have; a value without a place
        in its hierarchy becomes missing.
        """
        described = self.transform(raw)
        levels = self.plan.anonymity.levels if self.plan.anonymity is not None else {}
        changed = []
        for ladder in self.ladders:
            level = levels.get(ladder.column, 0)
            if level > 0 and ladder.kind is not None and ladder.column in described.columns:
                values = described[ladder.column]
                distinct = values.unique()
                labels = pl.DataFrame({"value": distinct, "label": ladder.kind.labels(distinct, level)})
                found = (
                    values.alias("value")
                    .to_frame()
                    .join(labels, on="value", how="left", nulls_equal=True, maintain_order="left")
                )
                changed.append(found["label"].alias(ladder.column))
        return part_of(described.with_columns(changed))

    def rows(self, part: pl.LazyFrame) -> pl.LazyFrame:
        """A part of the snapshot as it leaves, lazily."""
        engine = self.snapshot.engine
        empty = part.head(0).collect()
        schema = (
            self.transform(empty).schema
            if self.recoding is None
            else self.recoding.label(self.transform(empty)).schema
        )
        return engine.map(part, self.recode, schema)

    def centers(self) -> dict[str, dict[str, float]]:
        """For each generalized column of numbers, a number standing for each label."""
        found: dict[str, dict[str, float]] = {}
        levels = self.plan.anonymity.levels if self.plan.anonymity is not None else {}
        for ladder in self.ladders:
            level = levels.get(ladder.column, 0)
            if level > 0 and ladder.kind is not None:
                found |= _centers(ladder.column, ladder.kind, ladder.values, level)
        for step in self.plan.steps:
            if step.action == "generalize" and step.state.get("level"):
                kind = hierarchy(step.state["hierarchy"], str(self.snapshot.folder))
                values = self.snapshot.frame.select(pl.col(step.column).unique()).collect(engine="streaming")
                found |= _centers(step.column, kind, values[step.column], int(step.state["level"]))
        return found


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
    steps = tuple(_step(snapshot, name, policy.columns.get(name)) for name in snapshot.columns)
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
    _one_row_each(snapshot, part)
    fitted = Fitted(snapshot, plan, None, (), ())
    if policy.anonymity is None:
        return fitted
    columns = protected(snapshot, steps)
    table = tuples(fitted, part, columns)
    ladders = tuple(
        _ladder(snapshot, table, step) for name in columns for step in steps if step.column == name
    )
    models = tuple(_model(part.name, part.params) for part in policy.anonymity.models)
    problem = Problem(
        ladders,
        np.stack([_positions(table, ladder) for ladder in ladders]),
        Units(table.counts),
        models,
        int(policy.anonymity.suppression * table.rows + 1e-9),
        MEASURES.resolve(policy.anonymity.measure),
    )
    watch = None if progress is None else (lambda done, total: progress("searching the lattice", done, total))
    solution = search(problem, watch)
    if not solution.classes:
        raise InputError(
            "anonymity-impossible",
            "the privacy models hold only if every row is suppressed",
            where="anonymity",
            remedy="lower k: a class of so many people takes more of them than there are",
        )
    anonymity = _described(policy.anonymity, columns, ladders, solution, table.rows)
    recoding = FullDomain.fit(table, ladders, solution)
    return Fitted(snapshot, plan.model_copy(update={"anonymity": anonymity}), recoding, ladders, models)


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


def tuples(fitted: Fitted, part: pl.LazyFrame, columns: Sequence[str]) -> TupleTable:
    """The distinct tuples of transformed columns, with counts and first rows, in the order of those."""
    engine = fitted.snapshot.engine
    empty = fitted.transform(part.head(0).collect()).select(ROW, *columns)

    def chosen(batch: pl.DataFrame) -> pl.DataFrame:
        return fitted.transform(batch).select(ROW, *columns)

    frame = engine.map(part, chosen, empty.schema)
    measures = [pl.len().alias(COUNT), pl.col(ROW).min().alias(FIRST)]
    return TupleTable(tuple(columns), engine.aggregate(frame, columns, measures).sort(FIRST))


def recheck(models: Sequence[PrivacyModel], released: pl.DataFrame) -> None:
    """Check the privacy models on classes of rows as written.

    Args:
        released: distinct tuples of the protected columns with their rows (column :data:`COUNT`).

    Raises:
        InputError: ``recheck-failed``.
    """
    table = ClassTable(released[COUNT].cast(pl.Int64).to_numpy())
    for model in models:
        broken = int((~model.holds(table)).sum())
        if broken:
            raise InputError(
                "recheck-failed",
                f"{broken} class(es) of the rows as written break the promise of {model.explain()}",
                remedy="nothing was released; please report this as a bug",
            )


def _step(snapshot: Snapshot, name: str, column: Column | None) -> Step:
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
        values = _values(snapshot, name, bool(params.get("level")))
        state = transform().fit(values, transform.Params(**params, **extra), _key(snapshot, step))
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


def _values(snapshot: Snapshot, name: str, all_values: bool) -> pl.DataFrame:
    """Distinct values and counts of a column, or an empty table of its type where no value is asked for."""
    frame = snapshot.frame if all_values else snapshot.frame.head(0)
    return snapshot.engine.aggregate(
        frame.select(pl.col(name).alias("value")), ["value"], [pl.len().alias("count")]
    )


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


def _one_row_each(snapshot: Snapshot, part: pl.LazyFrame) -> None:
    """Refuse several rows a person: the classes of recodings and of the class risks count rows."""
    if snapshot.policy.dataset.subject is None:
        return
    counts = part.select(pl.len().alias("rows"), pl.col(UNIT).n_unique().alias("people"))
    rows, people = counts.collect(engine="streaming").row(0)
    if rows > people:
        raise InputError(
            "subject-rows",
            f"{rows - people} of {rows} rows belong to a person who has another one",
            where="dataset.subject",
            remedy="bring the source to one row a person first: this method counts rows as people",
        )


def _ladder(snapshot: Snapshot, table: TupleTable, step: Step) -> Ladder:
    found = table.values(step.column)
    values = found["value"].alias(step.column)
    if step.action != "generalize" or step.state["level"] is not None:
        return Ladder.fixed(values)
    kind = hierarchy(step.state["hierarchy"], str(snapshot.folder))
    return Ladder.build(kind, values, found["first"])


def _positions(table: TupleTable, ladder: Ladder) -> NDArray[np.int64]:
    """For each tuple the position of its value in the ladder."""
    index = pl.DataFrame({"value": ladder.values}).with_row_index("position")
    found = table.tuples.select(pl.col(ladder.column).alias("value")).join(
        index, on="value", how="left", nulls_equal=True, maintain_order="left"
    )
    return found["position"].cast(pl.Int64).to_numpy()


def _model(name: str, params: Mapping[str, Any]) -> PrivacyModel:
    kind = MODELS.resolve(name)
    model: PrivacyModel = kind(kind.Params(**params))
    return model


def _described(
    asked: Any, columns: Sequence[str], ladders: Sequence[Ladder], solution: Solution, rows: int
) -> AnonymityPlan:
    return AnonymityPlan(
        method=asked.method,
        models=tuple({"model": model.name, **model.params} for model in asked.models),
        levels=dict(zip(columns, solution.levels, strict=True)),
        heights={ladder.column: ladder.height for ladder in ladders},
        classes=solution.classes,
        smallest_class=solution.smallest_class,
        rows=rows,
        suppressed_rows=solution.suppressed,
        suppressed_share=solution.suppressed / rows if rows else 0.0,
        score=solution.score,
        raw_loss=solution.raw_loss,
        granularity=solution.granularity,
        lattice=solution.lattice,
        checked=solution.checked,
        optimal=True,
    )
