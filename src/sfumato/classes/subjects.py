"""Whose rows are whose: classes of people where a person may have several rows.

Rows of one person that hang together (by a pseudonym, say) are known together, and their number is: who
knows some of the rows finds the others. So people are alike only if all of their rows are, as often as
each occurs. Where nothing holds rows together, a person is in the class of each row, and counts once in
it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sfumato.classes.contingency import Contingency
from sfumato.classes.grouping import combine, group
from sfumato.classes.table import ClassTable, Units


@dataclass(frozen=True)
class Subjects:
    """The person whom each unit belongs to, numbered from 0, shape (units,).

    With ``linked``, rows of one person hang together.
    """

    people: NDArray[np.int64]
    linked: bool

    def classes(self, numbers: NDArray[np.int64], counts: NDArray[np.int64]) -> NDArray[np.int64]:
        """The class of each unit where people count, from the classes of tuples and their rows."""
        return alike(numbers, self.people, counts) if self.linked else numbers

    def table(self, units: Units, numbers: NDArray[np.int64], classes: int) -> ClassTable:
        """The classes with their people, and the people who have each sensitive value in them.

        A person with several values of a sensitive column in one class counts with each.

        Args:
            numbers: the class of each unit, from :meth:`classes`.
            classes: the number of classes.
        """
        there = units.counts > 0
        sizes = np.bincount(numbers[self._first(there, numbers)], minlength=classes)
        return ClassTable(
            sizes.astype(np.int64),
            {
                name: Contingency.of(
                    column, numbers, self._first(there, numbers, column.codes).astype(np.int64), classes
                )
                for name, column in units.sensitive.items()
            },
        )

    def _first(self, there: NDArray[np.bool_], *codes: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which units are the first of their person with the same codes, of those that are there."""
        (rows,) = np.nonzero(there)
        keys, _ = group(combine([self.people[rows], *(code[rows] for code in codes)]), _ones(len(rows)))
        found = np.zeros(len(there), dtype=bool)
        found[rows[_firsts(keys)]] = True
        return found


def alike(
    numbers: NDArray[np.int64], people: NDArray[np.int64], counts: NDArray[np.int64]
) -> NDArray[np.int64]:
    """For each unit the class of its person, among people who have the same tuples as often.

    Args:
        numbers: the class of each unit's tuple, shape (units,).
        people: whose each unit is, shape (units,).
        counts: the rows of each unit, shape (units,).

    Returns:
        Shape (units,), numbered from 0; the same for all units of a person.

    >>> ones = np.ones(4, dtype=np.int64)
    >>> alike(np.array([0, 1, 1, 0]), np.array([0, 0, 1, 1]), ones)
    array([0, 0, 0, 0])
    >>> alike(np.array([0, 0, 0, 1]), np.array([0, 1, 1, 2]), ones)
    array([0, 1, 1, 2])
    """
    if not len(numbers):
        return np.zeros(0, dtype=np.int64)
    person, _ = group(people, _ones(len(people)))
    at, often = group(combine([person, numbers]), counts)
    firsts = _firsts(at)
    order = np.lexsort((numbers[firsts], person[firsts]))
    owners = person[firsts][order]
    tuples = combine([numbers[firsts][order], often[order]])
    starts = np.flatnonzero(np.diff(owners, prepend=-1))
    lengths = np.diff(np.append(starts, len(owners)))
    # People are told apart by their first tuple, then by their second, as far as each has any.
    found = np.zeros(len(starts), dtype=np.int64)
    for place in range(int(lengths.max())):
        (longer,) = np.nonzero(lengths > place)
        keys = combine([found[longer], tuples[starts[longer] + place]])
        found[longer] = group(keys, _ones(len(longer)))[0]
    classes: NDArray[np.int64] = group(combine([lengths, found]), _ones(len(lengths)))[0][person]
    return classes


def _firsts(classes: NDArray[np.int64]) -> NDArray[np.int64]:
    """The place of each class's first member, of classes numbered by first occurrence."""
    return np.flatnonzero(np.diff(np.maximum.accumulate(classes), prepend=-1))


def _ones(length: int) -> NDArray[np.int64]:
    return np.ones(length, dtype=np.int64)
