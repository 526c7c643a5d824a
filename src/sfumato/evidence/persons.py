"""Comparisons in which a row is a person with all that hangs on them, made or not."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl

from sfumato.contracts import COUNT, PERSON, Comparison
from sfumato.core.keyed import derive, draws
from sfumato.core.values import ColumnProfile, Inventory, Plan, Role, Step
from sfumato.evidence.made import laid_beside

_WHY = "of what a person has: {}"

#: People who taught, made ones and others, with their numbers (:data:`PERSON`).
Sides = Sequence[pl.DataFrame]


def compared_people(
    every: Sides,
    known: Sides,
    inventories: tuple[Inventory, Inventory],
    plan: Plan,
    of: Mapping[str, str | None],
    key: bytes,
    most: int,
    context: Mapping[str, Any] | None = None,
    **more: Any,
) -> Comparison:
    """The comparison of made people with those who taught, and with others.

    Args:
        every: one row of each person, in the terms of the release.
        known: what learners are judged on, a row of each person in the same order.
        inventories: of either.
        plan: of the columns that were learned from, which ``of`` has for each of ``every``.
        most: so many people of each kind are looked at by probes that need them one by one.
        context: who might attack, by the columns that were learned from.
        more: of :class:`Comparison`.
    """
    chosen = [
        _sampled(people, derive(key, domain), most)
        for people, domain in zip(every, ("evidence", "made evidence", "control"), strict=True)
    ]
    everybody, written = every[0].drop(PERSON), every[1].drop(PERSON)
    counts = {"rows": every[0].height + every[2].height, "holdout_rows": every[2].height}

    def side(tables: Sides, told: Inventory) -> dict[str, Any]:
        original, released, control = (
            table[rows].drop(PERSON) for table, rows in zip(tables, chosen, strict=True)
        )
        laid, kept = laid_beside(released, original.height, derive(key, "laid beside"))
        parts = {"original": original, "released": laid, "kept": kept, "control": control}
        return {**parts, "inventory": told}

    comparison = Comparison(
        plan=plan.model_copy(update={"steps": _steps(plan, of), **counts}),
        describe=lambda people: people,
        count=_counter(written),
        count_original=_counter(everybody),
        count_taught=_counter(everybody),
        centers={},
        key=derive(key, "probes"),
        design="holdout" if every[2].height else "none",
        made=True,
        context=_knowing(context or {}, of),
        **{**side(every, inventories[0]), **more},
    )
    return replace(comparison, foretelling=replace(comparison, **side(known, inventories[1])))


def _knowing(context: Mapping[str, Any], of: Mapping[str, str | None]) -> dict[str, Any]:
    """Who might attack: whoever knows a column knows all that a row of people has of it."""
    attackers = [
        {**one, "knows": [name for name, source in of.items() if source in one.get("knows", ())]}
        for one in context.get("attackers") or ()
    ]
    return {**context, "attackers": attackers}


def _steps(plan: Plan, of: Mapping[str, str | None]) -> tuple[Step, ...]:
    """A plan's steps for the columns of people, by the column that each is of."""
    return tuple(
        step.model_copy(update={"column": name, "state": {}})
        for name, source in of.items()
        for step in plan.steps
        if step.column == source
    )


def _sampled(people: pl.DataFrame, key: bytes, most: int) -> pl.Series:
    """The rows of at most so many people, by keyed draws of their numbers, in their order."""
    drawn = draws(key, people[PERSON].to_numpy())
    return pl.Series(np.sort(np.argsort(drawn, kind="stable")[:most]))


def _counter(people: pl.DataFrame) -> Callable[[Sequence[str]], pl.DataFrame]:
    """Counts of people by some columns."""

    def count(columns: Sequence[str]) -> pl.DataFrame:
        if not columns:
            return people.select(pl.len().alias(COUNT))
        return people.group_by(list(columns)).len(COUNT).sort(list(columns))

    return count


def inventory_of(
    table: pl.DataFrame, of: Mapping[str, str | None], source: Inventory, target: str | None = None
) -> Inventory:
    """What the columns of people are: what the inventory finds of the columns that they are of.

    Args:
        table: people, without their numbers.
        of: the column behind each; one that is not there is known as any other thing about people is.
    """
    known = {profile.name: profile for profile in source.columns}
    profiles = tuple(_profile(table[name], known.get(of.get(name) or "")) for name in table.columns)
    return Inventory(rows=table.height, examined=table.height, target=target, columns=profiles)


def _profile(column: pl.Series, like: ColumnProfile | None) -> ColumnProfile:
    rows, counts = len(column), column.value_counts(name="n")["n"].cast(pl.Int64).to_numpy()
    pairs = rows * (rows - 1)
    return ColumnProfile(
        name=column.name,
        dtype=_dtype(column.dtype),
        missing=column.null_count(),
        distinct=len(counts),
        role=Role.QUASI_IDENTIFIER if like is None else like.role,
        sensitive=like is not None and like.sensitive,
        why=_WHY.format("how much there is" if like is None else like.why),
        distinction=len(counts) / max(1, rows),
        separation=1 - float((counts * (counts - 1)).sum()) / pairs if pairs else 0.0,
        unique=float((counts == 1).sum()) / max(1, rows),
    )


def _dtype(kind: pl.DataType) -> Any:
    if kind.is_integer():
        return "integer"
    if kind.is_numeric():
        return "number"
    return {pl.Boolean: "boolean", pl.Date: "date"}.get(type(kind), "text")
