"""Both sides of a comparison in the same terms: a code for each row before and after, column by column.

Numbers that stay numbers are in the same bins of the original; any other column is in the release's labels,
the original put into them by the published method, so that an honest coarse label is no distortion. Labels
that overlap (local recoding) are dealt out: the people of a label get the original's values that it covers
in equal parts, as near as whole people come, in a keyed order.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sfumato.contracts import Comparison
from sfumato.core.keyed import derive, draws, generator
from sfumato.evidence.columns import direct_identifiers
from sfumato.evidence.features import LabelBins, NumberBins, encode_labels, labels, numbers
from sfumato.evidence.overlap import Spread

#: Bins of a column of numbers whose labels overlap, where it is compared as numbers.
FINE = 200
_LARGE = 1e300


@dataclass(frozen=True)
class Term:
    """One column in codes below ``size``, shape (people,) each.

    ``after`` says nothing of people who did not leave. ``ordered`` is there for bins of numbers.
    """

    name: str
    before: NDArray[np.int64]
    after: NDArray[np.int64]
    size: int
    ordered: bool


def fact_columns(comparison: Comparison) -> list[str]:
    """The released columns that are facts: all but direct identifiers."""
    hidden = direct_identifiers(comparison)
    return [column for column in comparison.released.columns if column not in hidden]


def terms(comparison: Comparison, described: pl.DataFrame, names: list[str], bins: int) -> list[Term]:
    """The columns in at most ``bins`` categories and two more, for the rarer and the missing."""
    return [_term(comparison, described[name], name, bins) for name in names]


def _term(comparison: Comparison, described: pl.Series, name: str, bins: int) -> Term:
    overlap = name in comparison.overlapping
    compared = described if overlap else comparison.released[name]
    raw, after = numbers(comparison.original[name]), numbers(compared)
    if raw is not None and after is not None:
        found = NumberBins.fit(raw, bins)
        (was, now), size, ordered = (found.codes(raw), found.codes(after)), found.size, True
    else:
        named = LabelBins.fit(described, bins)
        (was, now), size, ordered = (named.codes(described), named.codes(compared)), named.size, False
    if not overlap:
        return Term(name, was, now, size, ordered)
    return Term(name, was, _dealt(comparison, described, name, now, size), size, ordered)


def _dealt(
    comparison: Comparison, described: pl.Series, name: str, bins: NDArray[np.int64], size: int
) -> NDArray[np.int64]:
    """The labels of those who leave, dealt over the bins of the values; whoever is suppressed has 0."""
    leaving = comparison.released[name].filter(pl.Series(comparison.kept))
    spread = Spread.of(comparison, leaving, described, bins, size)
    codes = np.zeros(len(comparison.kept), dtype=np.int64)
    codes[comparison.kept] = dealt(spread, derive(comparison.key, "terms", name))
    return codes


def dealt(spread: Spread, key: bytes) -> NDArray[np.int64]:
    """A bin for each row, so that the rows of a label are in the bins by its shares.

    >>> spread = Spread(np.zeros(4, dtype=np.int32), np.array([[0.5, 0.0, 0.5]]))
    >>> sorted(dealt(spread, bytes(32)).tolist())
    [0, 0, 2, 2]
    """
    (many, size), rows = spread.shares.shape, len(spread.codes)
    order = np.lexsort((draws(key, np.arange(rows, dtype=np.uint64)), spread.codes))
    codes = spread.codes[order].astype(np.int64)
    counts = np.bincount(codes, minlength=many)
    rank = np.arange(rows) - (np.cumsum(counts) - counts)[codes]
    # Where a label's people do not divide evenly, a draw for each label says who is left over.
    place = (rank + generator(key).random((many,))[codes]) / counts[codes]
    ends: NDArray[np.float64] = spread.shares.cumsum(axis=1)
    # The last bin that has a share ends at 1, whatever the rounding.
    ends = np.where(ends >= ends[:, -1:], 1.0, ends)
    flat = (ends + np.arange(many)[:, None]).ravel()
    found = np.searchsorted(flat, codes + place, side="right") - codes * size
    result = np.empty(rows, dtype=np.int64)
    result[order] = np.clip(found, 0, size - 1)
    return result


def number_pair(
    comparison: Comparison, described: pl.Series, name: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """A column as numbers before and after, missing as NaN; None where it is not one of numbers.

    Labels of numbers count as their centers on both sides. Labels that overlap are dealt out over at most
    :data:`FINE` bins of the original, each standing for the middle one of its values.
    """
    original, released = comparison.original[name], comparison.released[name]
    if name in comparison.overlapping:
        values = numbers(described)
        return None if values is None else _fine(comparison, described, _finite(values), name)
    before = numbers(original)
    if before is None:
        return None
    after = numbers(released)
    if after is None:
        centers = comparison.centers.get(name)
        before, after = numbers(described, centers), numbers(released, centers)
        if before is None or after is None:
            return None
    return _finite(before), _finite(after)


def _finite(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.clip(values, -_LARGE, _LARGE)


def _fine(
    comparison: Comparison, described: pl.Series, values: NDArray[np.float64], name: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    bins = NumberBins.fit(values, FINE)
    codes = bins.codes(values)
    middles = np.full(bins.size, np.nan)
    order = np.lexsort((values, codes))
    present, starts, counts = np.unique(codes[order], return_index=True, return_counts=True)
    middles[present] = values[order][starts + (counts - 1) // 2]
    middles[-1] = np.nan
    return middles[codes], middles[_dealt(comparison, described, name, codes, bins.size)]


def recognised(
    comparison: Comparison, described: pl.Series, name: str, groups: NDArray[np.int64], size: int
) -> NDArray[np.int64]:
    """The group of the original's values that each released label stands for alone; ``size`` where none.

    Args:
        groups: the group of each row of the original by its value in the column, below ``size``.
    """
    released = comparison.released[name]
    if name in comparison.overlapping:
        spread = Spread.of(comparison, released, described, groups, size)
        sure = spread.shares.max(axis=1) == 1
        return np.where(sure, spread.shares.argmax(axis=1), size)[spread.codes].astype(np.int64)
    pairs = pl.DataFrame({"label": labels(described), "code": groups})
    alone = (
        pairs.group_by("label")
        .agg(pl.col("code").first(), many=pl.col("code").n_unique())
        .filter(pl.col("many") == 1)
        .select("label", "code")
    )
    found = encode_labels(labels(released), alone).astype(np.int64)
    return np.where(found < 0, size, found)


def resamples(comparison: Comparison, who: str, draws_: int) -> Iterator[NDArray[np.int64]]:
    """Rows of the original drawn with replacement, as many as leave: what chance alone would change."""
    draw = generator(derive(comparison.key, who, "floor"))
    rows, kept = len(comparison.kept), int(comparison.kept.sum())
    return (draw.integers(0, rows, kept) for _ in range(draws_))
