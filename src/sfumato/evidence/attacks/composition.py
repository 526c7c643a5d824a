"""What several releases of the same people give away together: intersection and differencing.

Each release puts a person into a class. Whoever knows the person's classes in all of them is left with
the people who share them all, however many each class has (Ganta, Kasiviswanathan & Smith, *Composition
attacks and auxiliary information in data privacy*, KDD 2008), and with the sensitive values that all of
these classes have. That somebody is *not* in a release tells as much as a class: what is left when the
counts of one release are subtracted from those of another is about those who came or went (*differencing*;
Xiao & Tao, *m-invariance*, SIGMOD 2007).

Classes are numbered from 0 within a release, -1 (:data:`ABSENT`) is for people who are not in it. The
figures are complete counts over everybody, so their intervals are their values.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from sfumato.classes.grouping import combine, group
from sfumato.contracts import Comparison
from sfumato.core.values import Finding
from sfumato.evidence.attacks.composition_labels import Shown, chances
from sfumato.evidence.attacks.people import by_person
from sfumato.evidence.report import Figure, Metric, Report

ABSENT = -1

Codes = NDArray[np.int64]
Flags = NDArray[np.bool_]

WORST = "composition.worst_class"
JOINED = "composition.joined_broken"
BY_LABELS = "composition.by_labels"
BOTH_EXCESS = "composition.both_excess"
BOTH_RECORD = "composition.both_record_excess"
BOTH_SUCCESS = "composition.both_success"

REPORT = Report(
    "composition",
    {
        WORST: Metric(
            "low",
            "probability",
            "1 / the fewest people who share their classes in all releases of the dataset, being in none "
            "of a release counted as a class",
        ),
        "composition.below_k": Metric(
            "low", "share", "people of several releases who share all their classes with fewer than k"
        ),
        "composition.success": Metric(
            "low", "share", "chance of picking a person of several releases out of their joint class"
        ),
        "composition.success_gap": Metric(
            "low", "difference", "largest difference of that chance between two groups"
        ),
        BY_LABELS: Metric(
            "low",
            "share",
            "chance of picking a person of several releases out of all whom the labels of each release cover",
        ),
        "composition.worst_by_labels": Metric(
            "low", "probability", "1 / the fewest people whom the labels of all releases cover with somebody"
        ),
        "composition.differenced": Metric(
            "low", "share", "people in one release and not in another who share that with fewer than k"
        ),
        "composition.disclosed": Metric(
            "low", "share", "people whose sensitive value the classes of several releases determine"
        ),
        "composition.subtracted": Metric(
            "low", "share", "people who came or went whose sensitive value a subtraction of counts tells"
        ),
        JOINED: Metric(
            "low",
            "share",
            "people whose class breaks a promised privacy model once releases are joined by a pseudonym",
        ),
        "composition.copies_excess": Metric(
            "low",
            "difference",
            "people whose row nobody would expect and one of the releases repeats, less people who taught "
            "nothing",
        ),
        "composition.copies_close_excess": Metric(
            "low",
            "difference",
            "people whom one of the releases repeats but for a trifle, less people who taught nothing",
        ),
        "composition.retelling_excess": Metric(
            "low",
            "difference",
            "people whose history one of the releases tells again in part, less people who taught nothing",
        ),
        "composition.retelling_close_excess": Metric(
            "low",
            "difference",
            "people whose history one of the releases tells but for a trifle, less people who taught nothing",
        ),
        "composition.relations_rows_excess": Metric(
            "low",
            "difference",
            "people more of whose rows the releases repeat than chance would, less people who taught nothing",
        ),
        "composition.relations_whole_excess": Metric(
            "low",
            "difference",
            "people all of whose rows in a table one of the releases repeats, less people who taught nothing",
        ),
        "composition.relations_close_excess": Metric(
            "low", "difference", "the same of all of a person's rows but for trifles"
        ),
        BOTH_EXCESS: Metric(
            "low",
            "difference",
            "people guessed by own and made rows and not by own rows alone, less people who taught nothing",
        ),
        BOTH_RECORD: Metric(
            "low", "difference", "the same of people's whole records among the rows of their class"
        ),
        BOTH_SUCCESS: Metric(
            "low", "share", "people whose sensitive value is guessed with own and made rows together"
        ),
    },
)

ASSUMES = (
    "knows in which class of every release a person is, and in which releases they are not; holds all "
    "releases of the dataset that left"
)

KNOWS_VALUES = (
    "knows people's own values and in which releases they are, and not their classes; holds all releases of "
    "the dataset that left"
)


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


@dataclass(frozen=True)
class Column:
    """A sensitive column in the releases that have it.

    ``releases`` are their numbers, ``values`` the number of each person's value in each of them, in the
    same numbers; ``same`` says whether equal numbers mean the same in all of them.
    """

    releases: tuple[int, ...]
    values: tuple[Codes, ...]
    same: bool = True


@dataclass(frozen=True)
class Joint:
    """People of several releases, the newest last: ``classes`` has their class in each, shape (people,).

    Everybody is in at least one release. ``k`` is the least that any of the releases promises. ``shown`` are
    the releases by their labels, where these overlap in one of them.
    """

    classes: tuple[Codes, ...]
    k: int
    columns: Mapping[str, Column] = field(default_factory=dict)
    shown: tuple[Shown, ...] = ()

    @cached_property
    def sizes(self) -> Codes:
        """The people of each person's joint class, shape (people,)."""
        numbers, sizes = joint_classes(self.classes)
        return np.asarray(sizes[numbers], dtype=np.int64)

    @cached_property
    def alone(self) -> Codes:
        """The people of each person's smallest class in any one release, shape (people,)."""
        least = np.full(len(self.classes[0]), np.iinfo(np.int64).max)
        for release in self.classes:
            there = release != ABSENT
            least[there] = np.minimum(least[there], np.bincount(release[there])[release[there]])
        return least

    @cached_property
    def times(self) -> Codes:
        """The number of releases that each person is in, shape (people,)."""
        there = np.stack([release != ABSENT for release in self.classes])
        return np.asarray(there.sum(axis=0), dtype=np.int64)


def compose(
    joint: Joint,
    note: str,
    comparison: Comparison | None = None,
    attacked: NDArray[np.int64] | None = None,
) -> list[Finding]:
    """The findings on several releases together.

    Args:
        note: says how many releases there are.
        comparison: its ``original`` has the columns of ``groups`` of the people ``attacked``; without one
            there are no figures by group.
        attacked: the numbers of those people, shape (rows of ``original``,).
    """
    worst = int(joint.sizes.min(initial=len(joint.sizes)))
    return [
        REPORT.measured(
            WORST,
            Figure.counted(1 / worst if worst else np.nan),
            len(joint.sizes),
            baseline=1 / max(1, int(joint.alone.min(initial=len(joint.sizes)))),
            assumes=ASSUMES,
            note=f"{note}; beside it what the worst of them gives away alone",
        ),
        *_below(joint, note),
        *_chance(joint, note, comparison, attacked),
        *_by_labels(joint, note),
        *(finding for name, column in joint.columns.items() for finding in _sensitive(joint, name, column)),
    ]


def _below(joint: Joint, note: str) -> Iterator[Finding]:
    small, alone = joint.sizes < joint.k, joint.alone < joint.k
    missing = joint.times < len(joint.classes)
    for metric, who, nobody in (
        ("composition.below_k", joint.times > 1, "nobody is in several releases"),
        ("composition.differenced", missing, "everybody is in all of the releases"),
    ):
        if not who.any():
            yield REPORT.silent(metric, "no-power", nobody, assumes=ASSUMES)
            continue
        yield REPORT.measured(
            metric,
            Figure.counted(float(small[who].mean())),
            int(who.sum()),
            baseline=float(alone[who].mean()),
            assumes=ASSUMES,
            note=f"k = {joint.k}, the least that any of the releases promises; {note}",
        )


def _chance(
    joint: Joint, note: str, comparison: Comparison | None, attacked: NDArray[np.int64] | None
) -> Iterator[Finding]:
    metric, gap = "composition.success", "composition.success_gap"
    several = joint.times > 1
    if not several.any():
        yield REPORT.silent(metric, "no-power", "nobody is in several releases", assumes=ASSUMES)
        return
    chance = 1 / joint.sizes
    yield REPORT.measured(
        metric,
        Figure.counted(float(chance[several].mean())),
        int(several.sum()),
        baseline=float((1 / joint.alone[several]).mean()),
        assumes=ASSUMES,
        note=note,
    )
    if comparison is not None and attacked is not None:
        rows, found = np.arange(len(attacked), dtype=np.int64), chance[attacked]
        yield from by_person(REPORT, metric, comparison, rows, found, found, disparity=gap, assumes=ASSUMES)


def _by_labels(joint: Joint, note: str) -> Iterator[Finding]:
    """What is left to an attacker who does not know people's classes, where labels overlap."""
    several = joint.times > 1
    if not joint.shown or not several.any():
        return
    found, *alone = (chances(releases) for releases in (joint.shown, *((one,) for one in joint.shown)))
    if found is None or any(one is None for one in alone):
        much = "the labels of so many classes cannot be held against everybody's values"
        yield REPORT.silent(BY_LABELS, "not-measured", much, assumes=KNOWS_VALUES)
        return
    most = np.max([one for one in alone if one is not None], axis=0)
    beside = f"{note}; who knows people's classes too has the chance that is composition.success"
    for metric, value, before in (
        (BY_LABELS, found[several].mean(), most[several].mean()),
        ("composition.worst_by_labels", found[several].max(), most[several].max()),
    ):
        figure = Figure.counted(float(value))
        yield REPORT.measured(
            metric, figure, int(several.sum()), baseline=float(before), assumes=KNOWS_VALUES, note=beside
        )


def _sensitive(joint: Joint, name: str, column: Column) -> Iterator[Finding]:
    """What several releases tell of one sensitive column, against what one of them tells."""
    classes = [joint.classes[t] for t in column.releases]
    there = np.stack([release != ABSENT for release in classes])
    alone = np.zeros(len(joint.sizes), dtype=bool)
    for release, values in zip(classes, column.values, strict=True):
        alone |= disclosed([release], [values])
    several = there.sum(axis=0) > 1
    if several.any():
        found = disclosed(classes, column.values)
        yield _share("composition.disclosed", name, found[several], alone[several])
    else:
        nobody = "nobody is in several releases with this column"
        yield REPORT.silent("composition.disclosed", "no-power", nobody, target=name, assumes=ASSUMES)
    newest = len(joint.classes) - 1
    if column.releases[-1] == newest and column.same:
        told, moved = np.zeros(len(alone), dtype=bool), np.zeros(len(alone), dtype=bool)
        for earlier, values in zip(classes[:-1], column.values[:-1], strict=True):
            told |= subtracted(earlier, classes[-1], values, column.values[-1])
            moved |= (earlier != ABSENT) != (classes[-1] != ABSENT)
        if moved.any():
            yield _share("composition.subtracted", name, told[moved], alone[moved])


def _share(metric: str, name: str, found: Flags, alone: Flags) -> Finding:
    return REPORT.measured(
        metric,
        Figure.counted(float(found.mean())),
        len(found),
        target=name,
        baseline=float(alone.mean()),
        assumes=ASSUMES,
        note="beside it what the classes of one release determine",
    )
