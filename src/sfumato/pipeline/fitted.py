"""A policy fitted to a snapshot: all that is needed to carry it out, on its rows or on anybody's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import polars as pl

from sfumato.anonymity.partition.recoding import LocalRecoding
from sfumato.contracts import ROW, Recoding
from sfumato.core.canonical import canonical_json
from sfumato.core.keyed import derive
from sfumato.core.values import Plan, Step, column_of
from sfumato.hierarchies.ladder import Ladder
from sfumato.pipeline.methods.task import Anonymized
from sfumato.pipeline.population import population_counter
from sfumato.pipeline.snapshot import IDENTITY, UNIT, Snapshot, part_of
from sfumato.transforms import TRANSFORMS
from sfumato.transforms.generalize import hierarchy

_OWN = (ROW, IDENTITY, UNIT)


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
                    _read(batch, step), _state(self.snapshot, step), key_of(self.snapshot, step)
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


def _state(snapshot: Snapshot, step: Step) -> Mapping[str, Any]:
    return {**step.state, "folder": str(snapshot.folder)} if step.action == "generalize" else step.state


def key_of(snapshot: Snapshot, step: Step) -> bytes:
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
