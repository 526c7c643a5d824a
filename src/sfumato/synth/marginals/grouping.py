"""Codes merged where there are too few rows for noise to tell them apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sfumato.synth.marginals.rounding import places

#: No field has more codes than this in a fit; the shares of those merged follow the field's own table.
_MOST = 96
#: A code of fewer rows than so many deviations of the noise on them is merged with others.
_CLEAR = 2.0
#: Between groups of equal rows (1) and of equally many codes (0).
_EVEN = 0.75


@dataclass(frozen=True)
class Scale:
    """A field as fits see it: ``group`` of each code, and each code's share ``within`` its group; (size,)."""

    group: NDArray[np.int64]
    within: NDArray[np.float64]

    @property
    def groups(self) -> int:
        """The number of groups."""
        return int(self.group.max()) + 1

    def spread(self, shares: NDArray[np.float64]) -> NDArray[np.float64]:
        """Shares of codes from shares of groups, on the last axis."""
        return shares[..., self.group] * self.within


def scale(counts: NDArray[np.float64], deviation: float, ordered: bool) -> Scale:
    """Groups of codes from a field's noisy counts: ordered codes with their neighbours, others with the rare.

    Args:
        counts: shape (size,), in rows.
        deviation: of the noise on each, in rows; 0 for none.

    >>> scale(np.array([90.0, 2.0, 70.0, 1.0]), 5.0, ordered=False).group.tolist()
    [0, 2, 1, 2]
    >>> scale(np.array([90.0, 2.0, 70.0, 1.0]), 5.0, ordered=True).group.tolist()
    [0, 1, 2, 3]
    """
    least = max(_CLEAR * deviation, counts.clip(0).sum() / (4 * _MOST) if len(counts) > _MOST else 0.0)
    group = _runs(counts, least) if ordered else _rare(counts, least)
    # Inside a group the noise is as large as what it hides: codes share alike, unless nothing was noised.
    mass = np.ones(len(counts)) if deviation else counts.clip(0) + 1e-9
    return Scale(group, mass / np.bincount(group, mass)[group])


def merged(shares: NDArray[np.float64], ordered: bool, most: int) -> NDArray[np.int64]:
    """At most so many groups: of neighbours, or the largest alone and the others.

    Ordered groups are finer where there are few rows than where there are many, for tails foretell much, but
    not so much finer as to be lost in noise.

    >>> merged(np.array([0.1, 0.2, 0.3, 0.2, 0.2]), True, 2).tolist()
    [0, 0, 0, 1, 1]
    >>> merged(np.array([0.1, 0.2, 0.4, 0.2, 0.1]), False, 3).tolist()
    [2, 1, 0, 2, 2]
    """
    size = len(shares)
    if size <= most:
        return np.arange(size)
    if not ordered:
        group = np.full(size, most - 1)
        group[np.argsort(-shares, kind="stable")[: most - 1]] = np.arange(most - 1)
        return group
    shares = shares.clip(0) ** _EVEN
    group = np.zeros(size, dtype=np.int64)
    now, held, rest = 0, 0.0, float(shares.sum())
    for code, share in enumerate(shares.tolist()):
        # What a heavy code takes is not to be had by the others: their part is of the rest.
        if held > 0 and held + share / 2 > rest / (most - now) and now < most - 1:
            now, held, rest = now + 1, 0.0, rest - held
        group[code] = now
        held += share
    return group


def proportions(noisy: NDArray[np.float64]) -> NDArray[np.float64]:
    """The nearest shares to noisy ones: none negative, 1 together (Duchi et al. 2008, Figure 1).

    >>> proportions(np.array([0.75, 0.5, -0.2])).tolist()
    [0.625, 0.375, 0.0]
    """
    falling = np.sort(noisy)[::-1]
    above = (np.cumsum(falling) - 1) / np.arange(1, len(noisy) + 1)
    last = int(np.flatnonzero(falling > above)[-1])
    return np.asarray(np.maximum(noisy - above[last], 0.0))


def drawn_codes(scale: Scale, groups: NDArray[np.int64], random: np.random.Generator) -> NDArray[np.int64]:
    """A code out of each group, by its share within; shape (rows,)."""
    order = np.argsort(scale.group, kind="stable")
    if scale.groups == len(order):
        return order[groups]
    return order[places(scale.group[order], scale.within[order], groups, random.random(len(groups)))]


def scale_arrays(scales: Sequence[Scale]) -> Mapping[str, NDArray[Any]]:
    """Scales as arrays of a model's state."""
    return {
        "groups": np.concatenate([each.group for each in scales]),
        "within": np.concatenate([each.within for each in scales]),
    }


def restored_scales(sizes: Sequence[int], arrays: Mapping[str, NDArray[Any]]) -> tuple[Scale, ...]:
    """The scales of :func:`scale_arrays`."""
    ends = np.cumsum(sizes)[:-1]
    pairs = zip(np.split(arrays["groups"], ends), np.split(arrays["within"], ends), strict=True)
    return tuple(Scale(group, within) for group, within in pairs)


def _rare(counts: NDArray[np.float64], least: float) -> NDArray[np.int64]:
    order = np.argsort(-counts, kind="stable")
    clear = order[counts[order] >= least][: _MOST - 1]
    if len(clear) == len(counts):
        return np.arange(len(counts))
    group = np.full(len(counts), len(clear))
    group[np.sort(clear)] = np.arange(len(clear))
    return group


def _runs(counts: NDArray[np.float64], least: float) -> NDArray[np.int64]:
    group = np.zeros(len(counts), dtype=np.int64)
    now, rows = 0, 0.0
    for code, count in enumerate(counts.tolist()):
        # What is clear stands alone: spread over rare neighbours it would be lost.
        if code and (rows >= least or count >= least):
            now, rows = now + 1, 0.0
        group[code] = now
        rows += count
    return group
