"""People of several rows: whether a release links their rows, and counts of people instead of rows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sfumato.classes.grouping import combine, group
from sfumato.classes.subjects import alike
from sfumato.contracts import COUNT, PERSON, ROW
from sfumato.core.errors import InputError
from sfumato.core.values import Step
from sfumato.engines.local import DRAW, drawn_by
from sfumato.pipeline.snapshot import IDENTITY, UNIT, Snapshot


def several_rows(snapshot: Snapshot, part: pl.LazyFrame) -> bool:
    """Whether somebody has more than one row."""
    if snapshot.policy.dataset.subject is None:
        return False
    counts = part.select(pl.len().alias("rows"), pl.col(UNIT).n_unique().alias("people"))
    rows, people = counts.collect(engine="streaming").row(0)
    return bool(rows > people)


def links_rows(snapshot: Snapshot, part: pl.LazyFrame, steps: Sequence[Step]) -> bool:
    """Whether the release says which rows are one person's: by the subject itself, or by a pseudonym.

    Raises:
        InputError: ``subject-rows`` for a pseudonym that links some of a person's rows and not all.
    """
    linked = False
    for step in steps:
        if step.action == "drop" or step.params.get("each") == "row":
            continue
        if step.column == snapshot.policy.dataset.subject:
            linked = True
        elif step.action == "pseudonymize":
            linked |= _links_everything(part, step.column)
    return linked


def _links_everything(part: pl.LazyFrame, column: str) -> bool:
    """Whether a column has one value a person, else one a row."""
    rows, people, values, pairs = (
        part.select(
            pl.len().alias("rows"),
            pl.col(UNIT).n_unique().alias("people"),
            pl.col(column).n_unique().alias("values"),
            pl.struct(UNIT, column).n_unique().alias("pairs"),
        )
        .collect(engine="streaming")
        .row(0)
    )
    if people == values == pairs:
        return True
    if values == rows:
        return False
    raise InputError(
        "subject-rows",
        "its pseudonyms link some rows of a person and not all of them",
        where=f"column {column}",
        remedy="drop it, give every row a pseudonym of its own (each: row), or pseudonymize the subject",
    )


def one_row_each(part: pl.LazyFrame, key: bytes) -> pl.LazyFrame:
    """One row of each person, drawn by key: what probes look at where people have several."""
    drawn = part.select(ROW, UNIT, drawn_by(IDENTITY, key))
    chosen = drawn.group_by(UNIT).agg(pl.col(ROW).sort_by(DRAW, ROW).first())
    return part.join(chosen.select(ROW), on=ROW, how="semi")


def people_of(frame: pl.LazyFrame, columns: Sequence[str]) -> pl.DataFrame:
    """Distinct tuples of columns with the people who have a row of each, in a column :data:`COUNT`.

    >>> rows = pl.LazyFrame({UNIT: [1, 1, 2], "town": ["a", "a", "b"]})
    >>> people_of(rows, ["town"]).rows()
    [('a', 1), ('b', 1)]
    """
    people = pl.col(UNIT).n_unique().alias(COUNT)
    if not columns:
        return frame.select(people).collect(engine="streaming")
    return frame.group_by(list(columns)).agg(people).collect(engine="streaming").sort(list(columns))


def people_alike(frame: pl.LazyFrame, columns: Sequence[str]) -> NDArray[np.int64]:
    """People by classes of those who have the same tuples of columns as often, shape (classes,)."""
    keys = [UNIT, *columns]
    table = frame.group_by(keys).len(COUNT).collect(engine="streaming")
    people = table[UNIT].rank("dense").cast(pl.Int64).to_numpy() - 1
    codes = [table[name].rank("dense").fill_null(0).cast(pl.Int64).to_numpy() for name in columns]
    tuples = combine(codes) if codes else np.zeros(len(people), dtype=np.int64)
    classes = alike(tuples, people, table[COUNT].cast(pl.Int64).to_numpy())
    _, firsts = np.unique(people, return_index=True)
    sizes: NDArray[np.int64] = group(classes[firsts], np.ones(len(firsts), dtype=np.int64))[1]
    return sizes


def histories_of(frame: pl.LazyFrame, columns: Sequence[str]) -> pl.DataFrame:
    """Columns of all rows with their numbers and their persons', in the source's order."""
    whose = frame.select(ROW, pl.col(UNIT).cast(pl.UInt64).alias(PERSON), *columns)
    return whose.collect(engine="streaming").sort(ROW)
