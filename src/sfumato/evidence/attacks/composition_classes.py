"""Classes of several releases laid over each other: who shares all of them, and what all of them leave over.

Classes are numbered from 0 within a release, -1 (:data:`ABSENT`) is for people who are not in it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sfumato.classes.grouping import combine, group

ABSENT = -1

Codes = NDArray[np.int64]
Flags = NDArray[np.bool_]


def joint_classes(classes: Sequence[Codes]) -> tuple[Codes, Codes]:
    """The number of each person's joint class, shape (people,), and the people of each.

    Args:
        classes: for each release the class of each person, shape (people,).

    >>> joint_classes([np.array([0, 0, 0, 1]), np.array([2, 2, -1, -1])])
    (array([0, 0, 1, 2]), array([2, 1, 1]))
    """
    people = len(classes[0])
    return group(combine([release - ABSENT for release in classes]), np.ones(people, dtype=np.int64))


def disclosed(classes: Sequence[Codes], values: Sequence[Codes]) -> Flags:
    """Whose sensitive value is determined by the values that their classes have, shape (people,).

    Candidates of a person are the tuples of values (one for each release they are in) that somebody has
    and whose every part is in the person's class of that release. A value is determined if all
    candidates agree on it in some release. Where values are the same in all releases, candidates are the
    intersection of the classes' sets of values; where they changed or are coded in another way, an
    attacker who knows which ones go together is still right.

    Args:
        classes: for each release the class of each person.
        values: for each release the number of each person's value, shape (people,), from 0; what stands
            there for people who are not in the release is not looked at.

    >>> disclosed([np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])], [np.array([5, 6, 7, 5])] * 2)
    array([ True, False, False,  True])
    """
    found = np.zeros(len(classes[0]), dtype=bool)
    there = np.stack([release != ABSENT for release in classes])
    sets = [_value_sets(release, value) for release, value in zip(classes, values, strict=True)]
    # Not in the order of their presence, but people of equal presence stand together.
    presence, _ = joint_classes([release.astype(np.int64) for release in there])
    order = np.argsort(presence, kind="stable")
    for members in np.split(order, np.flatnonzero(np.diff(presence[order])) + 1):
        releases = np.flatnonzero(there[:, members[0]]).tolist() if len(members) else []
        if releases:
            every = there[releases].all(axis=0)
            found[members] = _determined(
                [classes[t][members] for t in releases],
                [sets[t] for t in releases],
                np.stack([values[t][every] for t in releases], axis=1),
            )
    return found


def _value_sets(classes: Codes, values: Codes) -> tuple[Codes, Codes]:
    """The distinct values of each class, ascending, and where each class begins among them."""
    there = classes != ABSENT
    width = int(values.max(initial=0)) + 1
    pairs = np.sort(classes[there] * width + values[there])
    pairs = pairs[np.diff(pairs, prepend=-1) > 0]
    many = int(classes.max(initial=ABSENT)) + 1
    return np.searchsorted(pairs, np.arange(many + 1) * width).astype(np.int64), pairs % width


def _determined(classes: Sequence[Codes], sets: Sequence[tuple[Codes, Codes]], values: Codes) -> Flags:
    """:func:`disclosed` for people who are in the same releases."""
    from sfumato.evidence.attacks.composition_kernels import determined

    numbers, sizes = joint_classes(classes)
    first = np.zeros(len(sizes), dtype=np.int64)
    first[numbers[::-1]] = np.arange(len(numbers))[::-1]
    _, one = np.unique(combine(list(values.T)), return_index=True)
    tuples = np.ascontiguousarray(values[one])
    widths = tuples.max(axis=0) + 1
    order = np.argsort(tuples, axis=0, kind="stable").T
    index = [
        np.searchsorted(tuples[order[t], t], np.arange(width + 1)).astype(np.int64)
        for t, width in enumerate(widths)
    ]
    # Values of a class whose people are elsewhere in another release are in nobody's tuple.
    sets = [_only(found, width) for found, width in zip(sets, widths, strict=True)]
    ends = np.cumsum([0, *(len(values) for _, values in sets)])
    found = determined(
        np.stack([release[first] for release in classes], axis=1),
        np.cumsum([0, *(len(starts) for starts, _ in sets)])[:-1],
        np.concatenate([starts + end for (starts, _), end in zip(sets, ends, strict=False)]),
        np.concatenate([values for _, values in sets]),
        tuples,
        np.cumsum([0, *(len(starts) for starts in index)])[:-1],
        np.concatenate(index),
        np.ascontiguousarray(order),
    )
    return np.asarray(found[numbers], dtype=bool)


def _only(sets: tuple[Codes, Codes], width: int) -> tuple[Codes, Codes]:
    """The sets of values without those from ``width`` on."""
    starts, values = sets
    below = values < width
    return np.concatenate([[0], np.cumsum(below)])[starts], values[below]


def subtracted(first: Codes, second: Codes, before: Codes, after: Codes) -> Flags:
    """Who of those in just one of two releases is given away by subtracting counts, shape (people,).

    Classes of the two releases that share people are put together until they cover the same people but
    for those who came or went; the difference of the counts of each value is then about these alone. All
    who went have a value if it is the only one there is less of, and as many of it as went.

    Args:
        first, second: the class of each person in each release.
        before, after: the number of each person's value in each, in the same numbers, from 0.

    >>> first, second = np.array([0, 0, 0, 1, 1]), np.array([0, 0, -1, 0, 0])
    >>> value = np.array([3, 4, 4, 3, 4])
    >>> subtracted(first, second, value, value)
    array([False, False,  True, False, False])
    """
    parts = _connected(first, second)
    width = int(max(before.max(initial=0), after.max(initial=0))) + 1
    there, here = first != ABSENT, second != ABSENT
    signed = np.concatenate([np.ones(there.sum(), np.int64), -np.ones(here.sum(), np.int64)])
    cells = np.concatenate([(parts * width + before)[there], (parts * width + after)[here]])
    keys, where = np.unique(cells, return_inverse=True)
    surplus = np.bincount(where, signed, len(keys)).astype(np.int64)
    went = _told(parts, there & ~here, before, width, keys, surplus)
    came = _told(parts, here & ~there, after, width, keys, -surplus)
    return went | came


def _told(parts: Codes, gone: Flags, values: Codes, width: int, keys: Codes, surplus: Codes) -> Flags:
    """Who of those ``gone`` has the one value that their part has a surplus of."""
    many = int(parts.max(initial=-1)) + 1
    people = np.bincount(parts[gone], minlength=many)
    more = surplus > 0
    of = keys[more] // width
    kinds, total = np.bincount(of, minlength=many), np.bincount(of, surplus[more], many)
    told = (people > 0) & (kinds == 1) & (total == people)
    value = np.full(many, -1, dtype=np.int64)
    value[of] = keys[more] % width
    return np.asarray(gone & told[parts] & (values == value[parts]), dtype=bool)


def _connected(first: Codes, second: Codes) -> Codes:
    """The number of the part of the two releases that each person is in, shape (people,)."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    left = int(first.max(initial=ABSENT)) + 1
    nodes = left + int(second.max(initial=ABSENT)) + 1
    both = (first != ABSENT) & (second != ABSENT)
    edges = coo_array((np.ones(both.sum(), np.int8), (first[both], left + second[both])), (nodes, nodes))
    _, labels = connected_components(edges, directed=False)
    at = np.where(first != ABSENT, first, left + second)
    return np.asarray(labels[at], dtype=np.int64)
