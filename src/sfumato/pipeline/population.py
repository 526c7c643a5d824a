"""Counting a table of the population in the terms of a release, or raw."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import polars as pl

from sfumato.contracts import COUNT
from sfumato.core.errors import InputError, nearest
from sfumato.evidence.features import as_type
from sfumato.pipeline.snapshot import Snapshot

_NO_NUMBER = "__sfumato_no_number__"

Count = Callable[[Sequence[str]], pl.DataFrame]
Describe = Callable[[pl.DataFrame], pl.DataFrame]


def population_counter(snapshot: Snapshot, describe: Describe) -> Count | None:
    """Counts of the population's tuples as ``describe`` puts them; None where the policy names no table."""
    if snapshot.population is None:
        return None
    return lambda columns: _counted(snapshot, columns, describe)


def _counted(snapshot: Snapshot, columns: Sequence[str], describe: Describe) -> pl.DataFrame:
    """Distinct tuples with the people of each; whoever has a value that the source's type cannot hold is
    none of those in the source, and is left out."""
    frame, asked = snapshot.population, snapshot.policy.dataset.population
    assert frame is not None and asked is not None
    engine = snapshot.engine
    types, found = engine.schema(snapshot.frame), engine.schema(frame)
    for column in (*columns, *((asked.count,) if asked.count is not None else ())):
        if column not in found:
            raise InputError(
                "policy-mismatch",
                f'the table of the population has no column "{column}"',
                where="dataset.population",
                remedy=nearest(column, found),
            )
    people = pl.lit(1, pl.Int64) if asked.count is None else pl.col(asked.count).cast(pl.Int64, strict=False)
    tuples = (
        frame.with_columns(people.alias(COUNT))
        .group_by(list(columns))
        .agg(pl.col(COUNT).sum(), (pl.col(COUNT).is_null() | (pl.col(COUNT) < 0)).sum().alias(_NO_NUMBER))
        .collect(engine="streaming")
    )
    if wrong := int(tuples[_NO_NUMBER].sum()):
        raise InputError(
            "policy-mismatch",
            f"{wrong} row(s) of the table of the population have no number of people",
            where=f"dataset.population.count, column {asked.count}",
            remedy="the column says how many people a row stands for, in whole numbers",
        )
    counts = tuples[COUNT]
    held, lost = zip(*(as_type(tuples[column], types[column]) for column in columns), strict=True)
    typed = pl.DataFrame([*held, counts])
    odd = pl.DataFrame([part.alias(str(j)) for j, part in enumerate(lost)]).select(pl.any_horizontal("*"))
    typed = typed.filter(~odd.to_series() & (counts > 0))
    described = describe(typed.select(columns)).select(columns)
    return described.with_columns(typed[COUNT]).group_by(list(columns)).agg(pl.col(COUNT).sum())
