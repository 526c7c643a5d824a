"""Keys: every row named once, and every row leading to the one that it names."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sfumato.core.errors import InputError
from sfumato.synth.encoding.learned import about
from sfumato.synth.relations.tree import Tree


def parents(tables: Mapping[str, pl.DataFrame], tree: Tree, least: int) -> dict[str, NDArray[np.int64]]:
    """For each table below the people's the place of the row on which each of its rows hangs, shape (rows,).

    Raises:
        InputError: ``column-values``: keys that are missing, occur twice or lead nowhere.
    """
    for name, links in tree.lookups.items():
        for link in links:
            _linked(tables[name][link.column], tables[link.to][link.other], (name, *link), least, gaps=True)
    for name, columns in tree.named.items():
        for column in columns:
            _unique(tables[name][column], f"{name}.{column}", least)
    return {
        name: _linked(tables[name][link.column], tables[link.to][link.other], (name, *link), least)
        for name, link in tree.parent.items()
    }


def _unique(values: pl.Series, where: str, least: int) -> None:
    """Refuse a key that is missing or occurs twice."""
    gone = values.null_count()
    twice = int(values.drop_nulls().is_duplicated().sum())
    for rows, what in ((gone, "have no key"), (twice, "share a key with another")):
        if rows:
            raise InputError(
                "column-values",
                f"rows {what}: {about(rows, least)}",
                where=where,
                remedy="give every row of this table a key of its own",
            )


def _linked(
    column: pl.Series, keys: pl.Series, names: tuple[str, str, str, str], least: int, *, gaps: bool = False
) -> NDArray[np.int64]:
    """The place of the row that each row names, -1 for those that name none.

    Args:
        gaps: a row may name none.
    """
    child, name, to, other = names
    where = f"{child}.{name}"
    _unique(keys, f"{to}.{other}", least)
    plain = [named(each) for each in (column, keys)]
    if plain[0].dtype != plain[1].dtype:
        raise InputError(
            "column-values",
            f"the key is of another type than {to}.{other}",
            where=where,
            remedy="make both whole numbers, or both text",
        )
    known = pl.DataFrame({"key": plain[1], "place": np.arange(len(keys), dtype=np.int64)})
    found = plain[0].alias("key").to_frame().join(known, on="key", how="left", maintain_order="left")
    places = found["place"].fill_null(-1).to_numpy()
    missing = plain[0].null_count()
    lost = int(np.count_nonzero(places < 0)) - missing
    for rows, what in ((0 if gaps else missing, "name no row of"), (lost, "name a row that is not in")):
        if rows:
            raise InputError(
                "column-values",
                f"rows {what} {to}: {about(rows, least)}",
                where=where,
                remedy="leave such rows out: nobody knows whose they are"
                if not gaps
                else "leave such rows out, or make the key missing",
            )
    return places


def named(keys: pl.Series) -> pl.Series:
    """Keys as names: whole numbers as such, also where gaps made floats of them; and text."""
    if keys.dtype.is_float():
        known = keys.fill_nan(None)
        whole = known.cast(pl.Int64, strict=False)
        return whole.cast(pl.Int128) if known.equals(whole.cast(keys.dtype)) else known
    if keys.dtype.is_integer():
        return keys.cast(pl.Int128)
    return keys.cast(pl.String) if isinstance(keys.dtype, pl.Categorical | pl.Enum) else keys
