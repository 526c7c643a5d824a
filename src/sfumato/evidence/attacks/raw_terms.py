"""Rows that were left as they were: an attacker who looks for people in raw terms as well.

An attacker puts people into the release's terms, and would miss somebody whose row was left raw by mistake.
So where the release holds values that its method would have changed, and people have just these, a label of
such a column agrees with a person if it is what the method makes of their value, or the value itself. Labels
then overlap, and are compared as those of local recoding are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sfumato.contracts import Comparison
from sfumato.evidence.attacks.terms import no_numbers_missing
from sfumato.evidence.features import encode_labels, labels, numbers


def in_raw_terms(
    comparison: Comparison, released: pl.DataFrame, described: Sequence[pl.DataFrame] | None = None
) -> Comparison | None:
    """The comparison for an attacker who tries raw terms too; None where the release holds nothing raw.

    Args:
        released: rows of the release, or its distinct tuples; their columns are looked at, but for those
            whose labels overlap anyway.
        described: the people of ``original`` and those of ``control``, in the release's terms.
    """
    mixed = _left_raw(comparison, released, described)
    if not mixed:
        return None

    def describe(rows: pl.DataFrame) -> pl.DataFrame:
        return comparison.describe(rows).with_columns(rows[name] for name in mixed)

    def covers(column: str, found: pl.Series, values: pl.Series) -> NDArray[np.bool_]:
        if column not in mixed:
            assert comparison.covers is not None, "columns whose labels overlap come with what they cover"
            return comparison.covers(column, found, values)
        level, places = _level(found), np.arange(len(found))[:, None]
        described = _codes(_described(comparison, column, values), level)
        own = _codes(values, level)
        return np.asarray((described == places) | ((own == places) & values.is_not_null().to_numpy()))

    centers = dict(comparison.centers)
    for name in mixed:
        centers |= _own_centers(comparison, name)
    return replace(
        comparison,
        describe=describe,
        covers=covers,
        overlapping=(*comparison.overlapping, *mixed),
        centers=centers,
    )


def _left_raw(
    comparison: Comparison, released: pl.DataFrame, described: Sequence[pl.DataFrame] | None
) -> tuple[str, ...]:
    """The columns of which the release has raw values of people that the method leaves to nobody."""
    if not comparison.original.height:
        return ()
    people = comparison.original, comparison.control
    described = [comparison.describe(part) for part in people] if described is None else described
    found = []
    for name in released.columns:
        if name in comparison.overlapping or any(name not in part.columns for part in people):
            continue
        raw, meant = (
            pl.concat([part[name].to_frame() for part in parts], how="vertical_relaxed")[name]
            for parts in (people, described)
        )
        if not meant.equals(raw) and _holds_raw(released[name], raw, meant):
            found.append(name)
    return tuple(found)


def _holds_raw(released: pl.Series, raw: pl.Series, described: pl.Series) -> bool:
    level = _level(released.unique())
    meant, own = (_codes(values, level) for values in (described.unique(), raw.drop_nulls().unique()))
    return bool(np.setdiff1d(own[own >= 0], meant).size)


def _level(released: pl.Series) -> pl.DataFrame:
    return pl.DataFrame({"label": no_numbers_missing(released)}).with_row_index("code")


def _codes(values: pl.Series, level: pl.DataFrame) -> NDArray[np.int32]:
    return encode_labels(no_numbers_missing(values), level)


def _described(comparison: Comparison, column: str, values: pl.Series) -> pl.Series:
    """What the method makes of values of one column; it takes whole rows, so the rest is lent."""
    original = comparison.original
    lent = {name: original[name].new_from_index(0, len(values)) for name in original.columns}
    return comparison.describe(pl.DataFrame(lent | {column: values}))[column]


def _own_centers(comparison: Comparison, column: str) -> dict[str, dict[str, float]]:
    """Labels that are raw numbers stand for themselves, where labels have numbers."""
    known, raw = comparison.centers.get(column), comparison.original[column].drop_nulls().unique()
    figures = numbers(raw)
    if known is None or figures is None:
        return {}
    return {column: dict(zip(labels(raw).to_list(), figures.tolist(), strict=True)) | dict(known)}
