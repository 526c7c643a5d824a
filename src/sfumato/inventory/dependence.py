"""Which columns give others away: functional dependencies, and information about the target."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sfumato.core.keyed import derive, generator
from sfumato.inventory.profile import Measured

#: A dependency must have held where chance would have broken it at least this often.
LEAST_SURPRISES = 10.0
#: Rows on which a dependency is tried before all rows are asked.
_TRIED = 2000
#: Quantile bins of a number when its information is measured.
_BINS = 20
_TARGET_BINS = 10
_SHUFFLES = 3


def determines(x: NDArray[np.int64], y: NDArray[np.int64], width: int) -> bool:
    """Whether equal ``x`` always come with equal ``y``.

    Args:
        x, y: shape (rows,), codes.
        width: one more than the largest code of ``x``.

    >>> determines(np.array([0, 0, 1]), np.array([5, 5, 5]), 2)
    True
    """
    seen = np.empty(width, dtype=np.int64)
    seen[x] = y
    return bool((seen[x] == y).all())


def functions(columns: Sequence[Measured]) -> dict[str, tuple[str, ...]]:
    """For each column the columns each of which alone determines it, in the table's order.

    A dependency that could be luck is left out: nearly unique columns determine everything, and
    everything determines a nearly constant one. It counts if, were the two independent, the rows
    beyond the first of each value of ``x`` would have been expected to break it
    :data:`LEAST_SURPRISES` times; rows where ``x`` is missing must agree too, and count for nothing.
    """
    if not columns or not len(columns[0].codes):
        return {column.name: () for column in columns}
    found: dict[str, list[str]] = {column.name: [] for column in columns}
    head = np.stack([column.codes[:_TRIED] for column in columns], axis=1)
    separations = np.array([column.separation for column in columns])
    for i, x in enumerate(columns):
        tests = x.present - x.distinct
        candidates = tests * separations >= LEAST_SURPRISES
        candidates[i] = False
        candidates &= np.array([y.values_seen <= x.values_seen for y in columns])
        if not candidates.any():
            continue
        seen = np.empty((x.width, len(columns)), dtype=np.int64) if x.width <= _TRIED else None
        candidates &= _unbroken(head, i, seen)
        for y, candidate in zip(columns, candidates, strict=True):
            if candidate and determines(x.codes, y.codes, x.width):
                found[y.name].append(x.name)
    return {name: tuple(names) for name, names in found.items()}


def _unbroken(head: NDArray[np.int64], i: int, seen: NDArray[np.int64] | None) -> NDArray[np.bool_]:
    """Which columns the first rows leave possible as functions of column ``i``."""
    x = head[:, i]
    if seen is None:
        distinct, x = np.unique(x, return_inverse=True)
        seen = np.empty((len(distinct), head.shape[1]), dtype=np.int64)
    seen[x] = head
    return np.asarray((seen[x] == head).all(axis=0), dtype=np.bool_)


def binned(column: Measured, bins: int = _BINS) -> NDArray[np.int64]:
    """The codes of a column, a number or date with more distinct values than ``bins`` in quantiles.

    Missing stays a bin of its own.
    """
    if column.kind in ("text", "boolean", "empty") or column.distinct <= bins:
        return column.codes
    present = column.codes[column.codes > 0]
    # Cuts are ranks, so a value is never parted and ties may make fewer bins.
    cuts = np.unique(np.quantile(present, np.linspace(0, 1, bins + 1)[1:-1], method="lower"))
    codes = 1 + np.searchsorted(cuts, column.codes, side="left").astype(np.int64)
    return np.where(column.codes > 0, codes, 0)


def frequencies(codes: NDArray[np.int64]) -> NDArray[np.int64]:
    """How often each code occurs, those that do not left out; shape (distinct codes,)."""
    if int(codes.max(initial=0)) < 4 * len(codes) + 1024:
        counts = np.bincount(codes)
        return counts[counts > 0]
    return np.unique(codes, return_counts=True)[1]


def entropy(codes: NDArray[np.int64]) -> float:
    """Shannon entropy in nats of the codes' frequencies."""
    shares = frequencies(codes) / len(codes)
    return float(-(shares * np.log(shares)).sum())


def information(x: NDArray[np.int64], y: NDArray[np.int64]) -> float:
    """Mutual information in nats of two arrays of codes, by the frequencies (plug-in estimate)."""
    return max(0.0, entropy(x) + entropy(y) - entropy(x * (int(y.max(initial=0)) + 1) + y))


def target_information(columns: Sequence[Measured], target: Measured, key: bytes) -> dict[str, float | None]:
    """For each column its mutual information with the target, as a share of the target's entropy.

    Numbers are in quantile bins. From each figure is taken what the column tells about a shuffled
    target, the mean of some keyed shuffles, so that a column of mere keys gets 0; never below 0.
    None for the target itself, and for all if the target has one value.
    """
    y = binned(target, _TARGET_BINS)
    total = entropy(y) if len(y) else 0.0
    if total <= 0:
        return {column.name: None for column in columns}
    random = generator(derive(key, "inventory", "target", target.name))
    shuffled = [random.permutation(y) for _ in range(_SHUFFLES)]
    figures: dict[str, float | None] = {}
    for column in columns:
        if column.name == target.name:
            figures[column.name] = None
            continue
        x = binned(column)
        chance = sum(information(x, other) for other in shuffled) / _SHUFFLES
        figures[column.name] = min(1.0, max(0.0, (information(x, y) - chance) / total))
    return figures
