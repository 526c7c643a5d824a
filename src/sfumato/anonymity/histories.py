"""People with all of their rows as units of a search: groups of people who share every row.

Where a release tells which rows are one person's, k people must have the same tuples, each as often. So
people with as many rows are laid side by side, each one's rows in the same order; whoever is put into one
group gets the same labels in each place, and all of their rows are alike.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sfumato.anonymity.partition.problem import Assignment, Axis
from sfumato.anonymity.partition.split_space import Space
from sfumato.classes.grouping import combine


@dataclass(frozen=True)
class Block:
    """The people who have so many rows: the unit of each row, shape (places, people)."""

    units: NDArray[np.int64]

    @property
    def people(self) -> int:
        """How many they are."""
        return int(self.units.shape[1])

    def positions(self, positions: NDArray[np.int64]) -> NDArray[np.int64]:
        """What is said of units, shape (columns, units), of people: shape (places * columns, people)."""
        laid = positions[:, self.units].transpose(1, 0, 2)
        return np.ascontiguousarray(laid.reshape(-1, self.people))


def blocks(
    axes: Sequence[Axis],
    positions: NDArray[np.int64],
    people: NDArray[np.int64],
    counts: NDArray[np.int64],
) -> Iterator[Block]:
    """People by their number of rows, the fewest first, and in a block by their own number.

    The rows of a person are ordered by the columns in which people differ least, so that a row more of one
    kind moves few of the others; rows alike in all columns stay as they come.

    Args:
        axes: the columns.
        positions: shape (columns, units).
        people: whose each unit is, shape (units,).
        counts: the rows of each unit, shape (units,).
    """
    ranks = Space.of(axes, np.ones(len(axes))).points(positions)
    narrow_first = sorted(range(len(axes)), key=lambda j: len(axes[j].ladder.values))
    keys: list[NDArray[Any]] = [*(ranks[:, j] for j in reversed(narrow_first)), people]
    order = np.lexsort(keys)
    rows = np.repeat(order, counts[order])
    whose = people[rows]
    starts = np.flatnonzero(np.diff(whose, prepend=-1))
    lengths = np.diff(np.append(starts, len(rows)))
    for length in np.unique(lengths):
        begins = starts[lengths == length]
        yield Block(rows[begins[None] + np.arange(length)[:, None]])


def in_places(found: Sequence[tuple[Block, NDArray[np.int64]]], counts: NDArray[np.int64]) -> Assignment:
    """The classes of rows that groups of people make: one for each group and place.

    Args:
        found: blocks with the group of each person, numbers from 0, below 0 for whoever is left out.
        counts: the rows of each unit.
    """
    units, classes, made = [], [], 0
    for block, groups in found:
        (staying,) = np.nonzero(groups >= 0)
        numbers = np.unique(groups[staying], return_inverse=True)[1]
        places, there = len(block.units), int(numbers.max(initial=-1)) + 1
        units.append(block.units[:, staying].ravel())
        classes.append((made + np.arange(places)[:, None] * there + numbers[None]).ravel())
        made += places * there
    if not made:
        return Assignment.whole(np.full(len(counts), -1), counts)
    pairs = combine([np.concatenate(units), np.concatenate(classes)])
    _, firsts, sums = np.unique(pairs, return_index=True, return_counts=True)
    return Assignment(np.concatenate(units)[firsts], np.concatenate(classes)[firsts], sums.astype(np.int64))


def dealt_to_people(found: Assignment, unit: NDArray[np.int64]) -> NDArray[np.int64]:
    """The class of each person, -1 if none, where units of people alike are dealt to classes.

    Args:
        found: classes of the units.
        unit: the unit of each person, in the order in which they are dealt, shape (people,).

    >>> pieces = Assignment(np.array([0, 0, 1]), np.array([0, 1, 1]), np.array([1, 2, 1]))
    >>> dealt_to_people(pieces, np.array([0, 1, 0, 0]))
    array([0, 1, 1, 1])
    """
    groups = np.full(len(unit), -1, dtype=np.int64)
    by_unit = np.argsort(unit, kind="stable")
    starts = np.searchsorted(unit[by_unit], np.arange(int(unit.max(initial=-1)) + 2))
    order = np.lexsort((found.classes, found.units))
    units, counts = found.units[order], found.counts[order]
    running = np.cumsum(counts) - counts
    first = np.searchsorted(units, units)
    begins = starts[units] + running - running[first]
    at = np.arange(int(counts.sum())) + np.repeat(begins - running, counts)
    groups[by_unit[at]] = np.repeat(found.classes[order], counts)
    return groups
