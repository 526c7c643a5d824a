"""Rules of few, counted on people where a person has several rows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sfumato.core.errors import InputError
from sfumato.core.keyed import derive, generator
from sfumato.synth.encoding import learned
from sfumato.synth.encoding.bins import Cells, binned
from sfumato.synth.encoding.columns import Numbers, Values
from sfumato.synth.encoding.scales import Scale, is_ordered, present
from sfumato.synth.relations.keys import parents
from sfumato.synth.relations.tree import Tree

#: Up to so many common numbers have a code each.
_VALUES = 100


@dataclass(frozen=True)
class Held:
    """The rows of a table that are learned from.

    ``people`` says whose each row is, from 0, and ``parent`` the place of the row on which it hangs, shape
    (rows,) both; ``most`` how many rows of this table one row of its parent has at most, ``left`` how many
    people have rows that were left out for that.
    """

    rows: pl.DataFrame
    people: NDArray[np.int64]
    parent: NDArray[np.int64]
    most: int = 0
    left: int = 0


def held(tables: dict[str, pl.DataFrame], tree: Tree, key: bytes, least: int) -> dict[str, Held]:
    """The rows of each table with whose they are; no row has more children than ``least`` people reach.

    Raises:
        InputError: ``column-values``: keys that are missing, occur twice or lead nowhere; ``usage``: a table
            has rows of fewer than ``least`` people.
    """
    top = tree.order[0]
    everybody = np.arange(tables[top].height)
    found = {top: Held(tables[top], everybody, everybody)}
    # All keys are looked at before the first row is left out.
    to = parents(tables, tree, least)
    kept = {top: everybody}
    for name in tree.order[1:]:
        above = tree.parent[name].to
        place = np.full(tables[above].height, -1)
        place[kept[above]] = np.arange(len(kept[above]))
        parent = place[to[name]]
        rows = np.flatnonzero(parent >= 0)
        most = _most(parent[rows], found[above].people, name, least)
        random = generator(derive(key, "relations", "rows", name))
        first = _first(parent[rows], most, random)
        out = np.setdiff1d(rows, rows[first])
        rows = kept[name] = rows[first]
        whose = found[above].people[parent[rows]]
        left = len(np.unique(found[above].people[parent[out]]))
        found[name] = Held(tables[name][rows], whose, parent[rows], most, left)
    return found


def coded(
    values: pl.Series, people: NDArray[np.int64], bins: int, least: int
) -> tuple[Values | Numbers, dict[str, Any]]:
    """The coding of a column, as :func:`learned.column`, by how many people have what, not how many rows.

    A value gets a code of its own only if ``least`` people have it; so do missing values, and rare values
    together. The ends of numbers are those that ``least`` people reach, and every stretch from which numbers
    are drawn holds values of so many.

    Args:
        people: shape (n,), whose each value is.
        least: 1: every value that occurs has a code.

    >>> shop = pl.Series("shop", ["a"] * 5 + ["b"] * 40)
    >>> coded(shop, np.array([0, 1, 2, 3, 4] + [5] * 40), 64, 5)[0].values
    ('a',)
    """
    known = present(values)
    alone = len(np.unique(people)) == len(people)
    if least <= 1 or alone or not len(values):
        return learned.column(values, bins, _VALUES, least)
    if is_ordered(known.dtype):
        return _numbers(known, people, bins, least)
    return _values(known, people, bins, least)


def _values(
    values: pl.Series, people: NDArray[np.int64], bins: int, least: int
) -> tuple[Values | Numbers, dict[str, Any]]:
    # Each value once for everybody who has it.
    once = pl.DataFrame({"value": values, "who": people}).unique(maintain_order=True)
    coding, fact = learned.column(once["value"].alias(values.name), bins, _VALUES, least)
    assert isinstance(coding, Values)
    plain = once["value"].cast(pl.String) if values.dtype != pl.Boolean else once["value"]
    common = pl.Series(coding.values, dtype=plain.dtype).implode()
    rare = once.filter(plain.is_not_null() & ~plain.is_in(common))["who"].n_unique()
    if rare < least:
        coding = replace(coding, rare=False)
    return coding, {**fact, "codes": coding.field.size, "rare": learned.about(rare, least)}


def _numbers(
    values: pl.Series, people: NDArray[np.int64], bins: int, least: int
) -> tuple[Values | Numbers, dict[str, Any]]:
    there = values.is_not_null().to_numpy()
    missing = len(np.unique(people[~there])) >= least
    of = people[there]
    coding: Values | Numbers
    if len(np.unique(of)) < least:
        coding, rare = Values(values.name, values.dtype, (), missing=missing), len(np.unique(of))
    else:
        # A step says of no value whose it is: rows may tell it.
        scale = Scale.learned(values, least)
        ticks = scale.ticks(values)
        low, high = _ends(ticks, of, least)
        cells = _cells(ticks, of, low, high, least)
        coding = Numbers(values.name, scale, binned(cells, bins, _VALUES, float(least)), missing)
        rare = len(np.unique(of[(ticks < low) | (ticks > high)]))
    fact = {"column": values.name, "codes": coding.field.size, "rare": learned.about(rare, least)}
    return coding, fact


def _ends(ticks: NDArray[Any], people: NDArray[np.int64], least: int) -> tuple[Any, Any]:
    """Bounds that ``least`` people reach or pass, each way."""
    order = np.lexsort((ticks, people))
    first = np.flatnonzero(np.diff(people[order], prepend=-1))
    smallest = np.sort(ticks[order][first])
    largest = np.sort(ticks[order][np.append(first[1:], len(order)) - 1])
    low, high = smallest[least - 1], largest[-least]
    return min(low, high), max(low, high)


def _cells(ticks: NDArray[Any], people: NDArray[np.int64], low: Any, high: Any, least: int) -> Cells:
    """Values that ``least`` people have, and the others in stretches of so many people or more.

    What few people have between two common values belongs to no stretch.
    """
    inside = np.clip(ticks, low, high)
    distinct, code, count = np.unique(inside, return_inverse=True, return_counts=True)
    many = int(people.max()) + 1
    pairs = np.unique(code * many + people)
    # What was moved to a bound does not make a common value of it.
    really = np.unique((code * many + people)[inside == ticks])
    common = np.bincount(really // many, minlength=len(distinct)) >= least
    common |= len(distinct) == 1
    whose = np.split(pairs % many, np.cumsum(np.bincount(pairs // many))[:-1])
    found: list[tuple[int, int, bool]] = []
    begin, seen = 0, set[int]()
    for place in range(len(distinct)):
        if common[place]:
            _close(found, place, seen)
            found.append((place, place, True))
            begin, seen = place + 1, set()
            continue
        seen.update(whose[place].tolist())
        if len(seen) >= least:
            found.append((begin, place, False))
            begin, seen = place + 1, set()
    _close(found, len(distinct), seen)
    first, last, exact = (np.array(part) for part in zip(*found, strict=True))
    total = np.append(0, np.cumsum(count))
    # The ends of a stretch are a person's own: halfway to the next within.
    left, right = distinct[first], distinct[last]
    inward, outward = distinct[np.minimum(first + 1, last)], distinct[np.maximum(last - 1, first)]
    half = np.floor_divide if distinct.dtype.kind == "i" else np.divide
    lows, highs = left + half(inward - left, 2), right - half(right - outward, 2)
    return Cells(
        np.minimum(lows, highs),
        np.maximum(lows, highs),
        (total[last + 1] - total[first]).astype(float),
        exact.astype(bool),
    )


def _close(found: list[tuple[int, int, bool]], end: int, seen: set[int]) -> None:
    """What is left of a stretch joins the one before it, if that is none of a single value."""
    if seen and found and not found[-1][2]:
        found[-1] = (found[-1][0], end - 1, False)


def _most(parent: NDArray[np.int64], people: NDArray[np.int64], name: str, least: int) -> int:
    """How many children ``least`` people have with one of their rows; 0 where there are none."""
    if not len(parent):
        return 0
    counts = np.bincount(parent, minlength=len(people))
    most = np.zeros(int(people.max()) + 1, dtype=np.int64)
    np.maximum.at(most, people, counts)
    if np.count_nonzero(most) < least:
        raise InputError(
            "usage",
            f"the rows of this table are of fewer people than {least}, and what fewer have is kept nowhere",
            where=name,
            remedy="leave the table out",
        )
    return int(np.sort(most)[-least])


def _first(parent: NDArray[np.int64], most: int, random: np.random.Generator) -> NDArray[np.int64]:
    """Up to ``most`` rows of each parent, drawn; their places, ascending."""
    order = np.lexsort((random.permutation(len(parent)), parent))
    begins = np.flatnonzero(np.diff(parent[order], prepend=-1))
    sizes = np.diff(np.append(begins, len(order)))
    rank = np.arange(len(order)) - np.repeat(begins, sizes)
    return np.sort(order[rank < most])
