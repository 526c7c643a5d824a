"""Chances from counts, exact or noisy: what noise alone would look like is taken out of them."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from sfumato.synth.sequences.counting import Counts, Table

#: How many rows all rows together count for in a row of few.
_PRIOR = 2.0


def possible(counts: Counts, noise: float) -> Counts:
    """The nearest counts (L2) of no less than zero with the same sum in each row; exact ones as they are."""
    if not noise:
        return counts
    totals = np.maximum(counts.sum(axis=1, keepdims=True), 0.0)
    ordered = -np.sort(-counts, axis=1)
    over = (np.cumsum(ordered, axis=1) - totals) / np.arange(1, counts.shape[1] + 1)
    last = np.maximum((ordered > over).sum(axis=1) - 1, 0)
    return np.asarray(np.maximum(counts - np.take_along_axis(over, last[:, None], axis=1), 0.0))


def whole(table: Table) -> Counts:
    """Chances of codes whatever the context, shape (codes,), never nothing."""
    total = possible(table.counts.sum(axis=0)[None], table.noise)[0] + 0.5 / table.counts.shape[1]
    return np.asarray(total / total.sum())


def by_row(table: Table, shares: Counts) -> Counts:
    """Chances of codes in each context, never nothing; a row of few leans on the shares of all.

    Args:
        shares: chances of codes whatever the context, shape (codes,).
    """
    counts = possible(denoised(table, shares), table.noise)
    weight = _PRIOR + table.noise
    return np.asarray((counts + weight * shares) / (counts.sum(axis=1, keepdims=True) + weight))


def denoised(table: Table, shares: Counts) -> Counts:
    """Counts without what noise alone would look like; exact ones as they are.

    What a table holds beyond the product of its margins is some patterns, and noise is a little of all. Each
    singular value is shrunk as is best for few patterns under such noise (Gavish & Donoho 2017, IEEE Trans.
    Inf. Theory 63(4), eq. 7).
    """
    counts, noise = table.counts, table.noise
    if not noise:
        return counts
    product = np.outer(possible(counts.sum(axis=1)[None], noise)[0], shares)
    left, values, right = np.linalg.svd(counts - product, full_matrices=False)
    large, small = max(counts.shape), min(counts.shape)
    unit, ratio = noise * math.sqrt(large), small / large
    seen = np.maximum(values / unit, 1e-9)
    kept = np.sqrt(np.maximum((seen**2 - ratio - 1) ** 2 - 4 * ratio, 0.0)) / seen
    kept[seen <= 1 + math.sqrt(ratio)] = 0.0
    return np.asarray(product + (left * (kept * unit)) @ right)


def groups(table: Table, most: int, *, ordered: bool) -> NDArray[np.int64]:
    """Which codes go together, shape (codes,), groups numbered from 0.

    Codes in an order go with their neighbours: in a group are about as many counts as in another, and not
    many more codes. Of others the frequent ones stand alone; the rest, and what does not stand out of the
    noise, are one group.

    Args:
        table: of one context.
        most: how many groups there are at most.
    """
    held, codes = possible(table.counts, table.noise)[0], table.counts.shape[1]
    if ordered:
        if codes <= most:
            return np.arange(codes)
        both = held / max(held.sum(), 1e-9) + 1 / codes
        found = ((np.cumsum(both) - both / 2) * most / 2).astype(np.int64)
    else:
        order = np.argsort(-held, kind="stable")
        alone = codes if codes <= most else most - 1
        if table.noise:
            alone = max(1, min(alone, int((held > table.noise).sum())))
        found = np.arange(codes)
        found[order[alone:]] = codes
    return np.asarray(np.unique(found, return_inverse=True)[1].ravel(), dtype=np.int64)


def readable(table: Table) -> float:
    """About how many groups of an order can be told from each other in pairs; without end without noise."""
    if not table.noise:
        return math.inf
    return math.sqrt(max(float(table.counts.sum()), 0.0) / table.noise) / 3
