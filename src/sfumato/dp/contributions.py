"""How many rows a person may have in what is counted.

Without a bound one person moves a sum by as much as all their rows together. Which rows stay is drawn from
the operating system's randomness, anew for each release: a choice by content, or by a key that outlives the
release, would itself be something that the answers tell.
"""

from __future__ import annotations

import os

import numpy as np
import polars as pl

from sfumato.core.errors import InputError, nearest

_DRAW = "__sfumato_draw__"


def bounded(table: pl.DataFrame, subject: str, rows: int) -> pl.DataFrame:
    """At most ``rows`` rows of each subject, chosen uniformly; rows that name no subject are left out.

    Args:
        table: any rows, in any order.
        subject: the column that says whose a row is.
        rows: at least 1.

    Raises:
        InputError: ``unknown-name`` if there is no such column; ``usage`` if ``rows`` is below 1.

    >>> table = pl.DataFrame({"who": ["a", "a", "a", "b", None], "x": [1, 2, 3, 4, 5]})
    >>> bounded(table, "who", 2)["who"].to_list()
    ['a', 'a', 'b']
    """
    if subject not in table.columns:
        raise InputError(
            "unknown-name", f'there is no column "{subject}"', remedy=nearest(subject, table.columns)
        )
    if rows < 1:
        raise InputError("usage", f"{rows} rows per subject are none", remedy="declare 1 or more")
    drawn = pl.Series(_DRAW, np.frombuffer(os.urandom(8 * table.height), dtype=np.uint64))
    return (
        table.with_columns(drawn)
        .filter(pl.col(subject).is_not_null())
        .sort(subject, _DRAW)
        .filter(pl.int_range(pl.len()).over(subject, order_by=None) < rows)
        .drop(_DRAW)
    )
