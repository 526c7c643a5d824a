"""What a release's overlapping labels cover, kept with its people for later releases to be joined with.

Where each class has labels of its own, who is in which class cannot be read off a person: of whoever knows
only what the labels say a person may be in every class whose labels cover them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sfumato.contracts import ROW, Comparison
from sfumato.evidence.attacks.composition_classes import ABSENT
from sfumato.evidence.attacks.composition_labels import Shown
from sfumato.evidence.overlap import blocks, covered, numbered
from sfumato.pipeline.fitted import Fitted

#: The columns of what is kept that have the number of each row's own value.
VALUE = "value "

#: Of a column its labels, and for each the values that it covers, as where runs of them begin and end.
Covered = Mapping[str, Mapping[str, Any]]


def covered_by(
    fitted: Fitted, part: pl.LazyFrame, comparison: Comparison, labels: pl.DataFrame
) -> tuple[pl.DataFrame, Covered]:
    """Each row's own value in the columns whose labels overlap, and what these labels cover.

    Args:
        labels: the released labels of some columns with the rows' numbers (:data:`ROW`).

    Returns:
        A table with a column of value numbers each, in the order of ``labels``; and what labels cover.
    """
    columns = [name for name in labels.columns if name in comparison.overlapping]
    if not columns:
        return pl.DataFrame(), {}
    raw = part.collect(engine="streaming")
    described = fitted.describe(raw).select(columns).with_columns(raw[ROW].cast(pl.UInt64))
    rows = labels.select(ROW).join(described, on=ROW, how="left", maintain_order="left")
    codes, found = {}, {}
    for name in columns:
        values, codes[VALUE + name] = numbered(rows[name])
        shown = labels[name].cast(pl.String).unique().sort(nulls_last=True)
        runs = []
        for block in blocks(len(shown), len(values)):
            runs += [_runs(inside) for inside in covered(comparison, name, shown[block], values)]
        found[name] = {"labels": shown.to_list(), "runs": runs, "values": len(values)}
    return pl.DataFrame(codes), found


def _runs(inside: NDArray[np.bool_]) -> list[int]:
    """Where runs of True begin and end, one after the other.

    >>> _runs(np.array([True, True, False, True]))
    [0, 2, 3, 4]
    """
    found: list[int] = np.flatnonzero(np.diff(inside.astype(np.int8), prepend=0, append=0)).tolist()
    return found


def _inside(runs: Sequence[int], values: int) -> NDArray[np.bool_]:
    """The other way round."""
    changes = np.zeros(values + 1, dtype=bool)
    changes[list(runs)] = True
    return np.asarray(np.logical_xor.accumulate(changes)[:-1], dtype=bool)


def shown(
    labels: pl.DataFrame,
    values: pl.DataFrame,
    told: Covered,
    plain: NDArray[np.int64],
    persons: NDArray[np.int64],
    many: int,
) -> Shown:
    """One release as its labels show it to whoever knows people's own values.

    Args:
        labels: the labels of the columns that overlap, a row each.
        values: the numbers of the rows' own values in the same columns, without :data:`VALUE`.
        plain: each person's class by the other columns, shape (many,).
        persons: the person of each row, each of them once.
    """
    at = np.full((2, many, labels.width), ABSENT, dtype=np.int64)
    matrices = []
    for column, name in enumerate(labels.columns):
        known = pl.DataFrame({"label": pl.Series(told[name]["labels"], dtype=pl.String)}).with_row_index(
            "code"
        )
        codes = labels.select(pl.col(name).alias("label")).join(
            known, on="label", how="left", nulls_equal=True, maintain_order="left"
        )
        at[0, persons, column] = codes["code"].cast(pl.Int64).to_numpy()
        at[1, persons, column] = values[name].cast(pl.Int64).to_numpy()
        matrices.append(np.stack([_inside(runs, told[name]["values"]) for runs in told[name]["runs"]]))
    return Shown(plain, at[0], at[1], tuple(matrices))
