"""What several releases of the same people give away together: intersection and differencing.

Each release puts a person into a class. Whoever knows the person's classes in all of them is left with
the people who share them all, however many each class has (Ganta, Kasiviswanathan & Smith, *Composition
attacks and auxiliary information in data privacy*, KDD 2008), and with the sensitive values that all of
these classes have. That somebody is *not* in a release tells as much as a class: what is left when the
counts of one release are subtracted from those of another is about those who came or went (*differencing*;
Xiao & Tao, *m-invariance*, SIGMOD 2007).

Classes are those of :mod:`sfumato.evidence.attacks.composition_classes`. The figures are complete counts
over everybody, so their intervals are their values.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from sfumato.contracts import Comparison
from sfumato.core.values import Finding
from sfumato.evidence.attacks.composition_classes import (
    ABSENT,
    Codes,
    Flags,
    disclosed,
    joint_classes,
    subtracted,
)
from sfumato.evidence.attacks.composition_labels import Shown, chances
from sfumato.evidence.attacks.people import by_person
from sfumato.evidence.report import Figure, Metric, Report

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
