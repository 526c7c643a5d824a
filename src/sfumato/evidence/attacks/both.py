"""What people's own rows and made rows of the same people give away together.

A release of people's own rows leaves an attacker who knows a person's quasi-identifiers with the rows of
the person's class. Made rows have no classes, but those near the person say which of these rows is likely
theirs: a synthesizer that knows people by heart chooses among them. Both releases may be within the bounds
of one, so the attacker here holds both (an intersection attack as those of Ganta, Kasiviswanathan & Smith,
KDD 2008, with a release of made rows in the place of one of the two).

Made rows carry statistics, and who uses these guesses better of anybody, which is what data are for. So what
is told is by how much more often the attacker is right with both than with the own rows alone, less the
same of people who did not teach the synthesizer (as Stadler, Oprisanu & Troncoso, USENIX Security 2022, hold
members against others). Of those some may be in the release of own rows. Where too few are, people who are
in neither stand in it in the place of the person there who is most like them in what is known: the class
keeps its size and all its other rows, and has the value of whoever stands in.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sfumato.core.keyed import derive
from sfumato.core.values import Finding, Status
from sfumato.evidence.attacks.both_labels import Labels, points
from sfumato.evidence.attacks.by_secret import LEAST
from sfumato.evidence.attacks.composition import BOTH_EXCESS, BOTH_RECORD, BOTH_SUCCESS, REPORT
from sfumato.evidence.attacks.controls import NO_EVIDENCE, TIE, badness
from sfumato.evidence.attacks.registers import sample_rows
from sfumato.evidence.intervals import newcombe, wilson
from sfumato.evidence.report import Figure

Codes = NDArray[np.int64]
Floats = NDArray[np.float64]

#: Targets of each side: the most, the fewest where classes are large, and the work that decides.
MOST, FEWEST, WORK = 4_000, 500, 1e9
#: Rows of a class among whom somebody is looked for; of a larger one they are drawn.
CANDIDATES = 2_000
#: Those of each side on whom is shown what the attack finds.
SHOWN = 1_000
#: From so many people on who are in the release of own rows and did not teach they are the control alone.
ENOUGH = 1_000
#: Made rows near a person, and those looked through beside the ones that are a person's in all that is known.
NEAR, LOOKED_THROUGH = 64, 20_000
#: Added to distances: for statistics as a share of a column, for copies of the mean distance of rows near,
#: so that a row that is a person's counts more than all others.
SMOOTH, SHARP = 0.02, 0.02
#: Who is farther from everybody than so large a share of people from each other stands in for nobody.
REACH = 0.99
#: The ways to guess, as :func:`sfumato.evidence.attacks.both_kernels.told` has them.
OWN, MADE, TOGETHER = 0, (1, 2), (3, 4)

ASSUMES = (
    "knows {} of a person and their class in the release of own rows, and that they are in it; holds it and "
    "the made rows"
)
NOTHING_COMMON = (
    "the releases have no column in common but what the attacker knows, so that neither chooses among what "
    "the other leaves"
)
NOTHING_MADE = "no row was made"
NOBODY = "nobody who is in the release of own rows taught the synthesizer"
FEW = f"fewer than {LEAST} people on a side"
NO_STAND_IN = (
    "too few people of the release of own rows did not teach the synthesizer, and nobody else can stand in "
    "for them: what is known there ({}) was not kept of the people of the made rows, as it is where their "
    "policy or the inventory calls it a quasi-identifier"
)
DIRECT = "against people of the release of own rows who did not teach the synthesizer"
STANDING_IN = (
    "against people held out, each in the place of whoever is most like them in the release of own rows"
)


@dataclass(frozen=True)
class Both:
    """A release of people's own rows and one of made rows, and who is in them.

    Args:
        classes: the class of each own row, numbered from 0, shape (own rows,).
        own: the own rows in the columns that both have and the attacker does not know, as text.
        made: the made rows.
        people: everybody of the source of the made rows in their terms, and in columns of ``matched``.
        at: the own row of each of them, -1 for who is not there, shape (people,).
        taught: who of them taught the synthesizer.
        known: the columns of ``made`` that the attacker knows.
        matched: the columns that the attacker of the own rows knows.
        secrets: the columns of ``own`` that nobody is to learn.
    """

    classes: Codes
    own: pl.DataFrame
    made: pl.DataFrame
    people: pl.DataFrame
    at: Codes
    taught: NDArray[np.bool_]
    known: tuple[str, ...]
    matched: tuple[str, ...]
    secrets: tuple[str, ...]

    @cached_property
    def labels(self) -> dict[str, Labels]:
        """The labels of own rows in each column, and which of them values of made rows stand for."""
        there = np.flatnonzero(self.at >= 0)
        return {
            name: Labels.of(self.own[name], self.people[there][name], self.at[there])
            for name in self.own.columns
        }

    @cached_property
    def members(self) -> Codes:
        """Who is in the release of own rows and taught the synthesizer."""
        return np.flatnonzero(self.taught & (self.at >= 0))


@dataclass(frozen=True)
class _Targets:
    """Some people, the own rows that they stand in, and their own labels, shape (people, columns)."""

    people: Codes
    places: Codes
    truth: Codes

    @classmethod
    def of(cls, both: Both, people: Codes, places: Codes) -> _Targets:
        """Without those whose labels nobody can tell."""
        rows = both.people[people]
        truth = np.column_stack(
            [
                np.where(both.at[people] >= 0, labels.own[both.at[people]], labels.standing_for(rows[name]))
                for name, labels in both.labels.items()
            ]
        )
        sure = (truth >= 0).all(axis=1)
        return cls(people[sure], places[sure], truth[sure])

    def first(self, many: int) -> _Targets:
        """The first of them."""
        return _Targets(self.people[:many], self.places[:many], self.truth[:many])


def told_by_both(both: Both, key: bytes, note: str) -> list[Finding]:
    """The findings on two releases together.

    Args:
        key: of all draws.
        note: says which releases these are.
    """
    assumes = ASSUMES.format(", ".join(both.known) or "nothing that made rows have")
    for reason, some in (
        (NOTHING_COMMON, both.own.width),
        (NOTHING_MADE, both.made.height),
        (NOBODY, len(both.members)),
    ):
        if not some:
            zero = Figure.counted(0.0)
            return [
                REPORT.measured(BOTH_EXCESS, zero, len(both.at), assumes=assumes, note=f"{note}; {reason}")
            ]
    members, others, control = _sides(both, key)
    if others is None:
        return unmeasured("not-measured", f"{note}; {control}", assumes)
    if min(len(members.people), len(others.people)) < LEAST:
        return unmeasured("no-power", f"{note}; {FEW}", assumes, len(members.people))
    found = _guessed(both, key, members, others)
    copies = replace(both, made=both.people.filter(pl.Series(both.taught)).select(both.made.columns))
    beside = _guessed(copies, key, members.first(SHOWN), others.first(SHOWN))
    return list(_findings(both, found, beside, assumes, f"{note}; {control}"))


def unmeasured(status: Status, note: str, assumes: str = "", n: int = 0) -> list[Finding]:
    """What stands for the figures where there is none."""
    return [
        REPORT.silent(metric, status, note, n=n, assumes=assumes) for metric in (BOTH_EXCESS, BOTH_SUCCESS)
    ]


def _sides(both: Both, key: bytes) -> tuple[_Targets, _Targets | None, str]:
    """Who is attacked, who is held against them (None if nobody can be) and words on these."""
    sizes = np.bincount(both.classes)[both.classes[both.at[both.members]]]
    work = float(np.minimum(sizes, CANDIDATES).mean()) * NEAR * (both.own.width + 1)
    most = int(np.clip(WORK / work, FEWEST, MOST))
    chosen = sample_rows(both.members, most, derive(key, "members"))
    members = _Targets.of(both, chosen, both.at[chosen])
    direct = np.flatnonzero(~both.taught & (both.at >= 0))
    if len(direct) >= ENOUGH:
        chosen = sample_rows(direct, most, derive(key, "others"))
        return members, _Targets.of(both, chosen, both.at[chosen]), DIRECT
    unknown = [name for name in both.matched if name not in both.people.columns]
    if unknown:
        return members, None, NO_STAND_IN.format(", ".join(unknown))
    chosen = sample_rows(np.flatnonzero(~both.taught & (both.at < 0)), most, derive(key, "stand-ins"))
    return members, _stand_ins(both, chosen, chosen[:0] if not len(direct) else direct, key), STANDING_IN


def _stand_ins(both: Both, chosen: Codes, direct: Codes, key: bytes) -> _Targets:
    """People who are in neither release in the place of the most like them, and those who need no place."""
    from sfumato.evidence.attacks.both_kernels import nearest

    there = sample_rows(np.flatnonzero(both.at >= 0), LOOKED_THROUGH, derive(key, "places"))
    if len(there) < 2:
        return _Targets.of(both, direct, both.at[direct])
    own = there[:MOST]
    (outside, inside, own_points), numeric = points(
        both.people, both.matched, [both.people[rows] for rows in (chosen, there, own)]
    )
    at, far = nearest(outside, inside, numeric, 1)
    # The nearest of each is the person, or whoever is the same.
    _, apart = nearest(own_points, inside, numeric, 2)
    within = far[:, 0] <= np.quantile(apart[:, 1], REACH, method="higher")
    people = np.concatenate([direct, chosen[within]])
    places = np.concatenate([both.at[direct], both.at[there[at[within, 0]]]])
    return _Targets.of(both, people, places)


def _guessed(both: Both, key: bytes, *sides: _Targets) -> list[Floats]:
    """What :func:`.both_kernels.told` says of each side, shape (5, people, columns + 1)."""
    from sfumato.evidence.attacks.both_kernels import nearest, told

    targets = [both.people[side.people] for side in sides]
    made = _looked_through(both, pl.concat(targets), key)
    (rows, *people), numeric = points(both.people, both.known, [made, *targets])
    order, starts = _by_class(both.classes, key)
    labels = list(both.labels.values())
    ranks = np.full((len(labels), max(len(each.ranks) for each in labels)), np.nan)
    for column, each in enumerate(labels):
        ranks[column, : len(each.ranks)] = each.ranks
    stands_for = np.column_stack([each.standing_for(made[name]) for name, each in both.labels.items()])
    codes = np.column_stack([each.own for each in labels])
    found = []
    for side, coordinates in zip(sides, people, strict=True):
        near, far = nearest(coordinates, rows, numeric, min(NEAR, len(rows)))
        apart = far.astype(np.float64)
        found.append(
            told(
                starts,
                order,
                both.classes[side.places],
                side.places,
                side.truth,
                codes,
                ranks,
                np.array([each.numeric for each in labels]),
                stands_for,
                near,
                (apart + SMOOTH) ** -2,
                (apart + SHARP * apart.mean(axis=1, keepdims=True) + 1e-9) ** -2,
            )
        )
    return found


def _by_class(classes: Codes, key: bytes) -> tuple[Codes, Codes]:
    """The rows of each class, at most :data:`CANDIDATES` in a drawn order, and where each class begins."""
    drawn = sample_rows(np.arange(len(classes)), len(classes), derive(key, "candidates"))
    order = drawn[np.argsort(classes[drawn], kind="stable")]
    sizes = np.bincount(classes)
    within = np.arange(len(order)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    kept = np.minimum(sizes, CANDIDATES)
    return order[within < CANDIDATES], np.concatenate([[0], np.cumsum(kept)]).astype(np.int64)


def _looked_through(both: Both, targets: pl.DataFrame, key: bytes) -> pl.DataFrame:
    """A sample of made rows in a drawn order, and more that are a target's in all that is known."""
    drawn = both.made[sample_rows(np.arange(both.made.height), both.made.height, derive(key, "made"))]
    if drawn.height <= LOOKED_THROUGH or not both.known:
        return drawn[:LOOKED_THROUGH]
    rest, known = drawn[LOOKED_THROUGH:], list(both.known)
    same = rest.join(
        targets.select(known).unique(), on=known, how="semi", nulls_equal=True, maintain_order="left"
    )
    return pl.concat([drawn[:LOOKED_THROUGH], same.filter(pl.int_range(pl.len()).over(known) < NEAR)])


def _findings(
    both: Both, found: Sequence[Floats], copies: Sequence[Floats], assumes: str, note: str
) -> Iterator[Finding]:
    """The figures of each secret, of records, and of the worst of all."""
    names = list(both.own.columns)
    success, excess = [], []
    for name in both.secrets:
        at = names.index(name)
        success.append(_success(found, copies, at, name, assumes, note))
        excess.append(_excess(found, copies, at, BOTH_EXCESS, name, assumes, note))
    records = _excess(found, copies, len(names), BOTH_RECORD, "release", assumes, note)
    whole = _success(found, copies, len(names), "record", assumes, note)
    yield records
    for each, metric, beside in ((excess, BOTH_EXCESS, records), (success, BOTH_SUCCESS, whole)):
        worst = max([*each, beside], key=badness)
        of = "whole records" if worst is beside else worst.target
        yield worst.model_copy(
            update={"metric": metric, "target": "release", "note": f"of {of}: {worst.note}"}
        )
        yield from each


def _excess(
    found: Sequence[Floats],
    copies: Sequence[Floats],
    at: int,
    metric: str,
    target: str,
    assumes: str,
    note: str,
) -> Finding:
    """By how much more the guess of those who taught is bettered, by the worse way to guess."""
    way = max(TOGETHER, key=lambda way: _difference(found, at, way).high)
    figure = _difference(found, at, way)
    weak = NO_EVIDENCE.format("on people who did not teach the synthesizer") if figure.value <= TIE else ""
    return REPORT.measured(
        metric,
        figure,
        found[0].shape[1],
        target=target,
        before=max(_difference(copies, at, way).value for way in TOGETHER),
        control=float((found[1][way, :, at] - found[1][OWN, :, at]).mean()),
        assumes=assumes,
        note=f"{weak}{note}; before: if all who taught were repeated",
    )


def _success(
    found: Sequence[Floats], copies: Sequence[Floats], at: int, target: str, assumes: str, note: str
) -> Finding:
    """How often those who taught are guessed rightly with both, by the better way to guess."""
    members, others = found
    way = max(TOGETHER, key=lambda way: float(members[way, :, at].mean()))
    many = members.shape[1]
    return REPORT.measured(
        BOTH_SUCCESS,
        wilson(float(members[way, :, at].mean()), many),
        many,
        target=target,
        before=max(float(copies[0][way, :, at].mean()) for way in TOGETHER),
        baseline=max(float(members[alone, :, at].mean()) for alone in (OWN, *MADE)),
        control=float(others[way, :, at].mean()),
        assumes=assumes,
        note=f"beside it the better of each release alone; {note}",
    )


def _difference(found: Sequence[Floats], at: int, way: int) -> Figure:
    """The gain by both releases of those who taught, less that of the others."""
    return newcombe(*(_gain(side[way, :, at] - side[OWN, :, at]) for side in found))


def _gain(gains: Floats) -> Figure:
    """The mean of what people are guessed better, from -1 to 1.

    The adjusted interval of Bonett & Price (2012, *Journal of Educational and Behavioral Statistics* 37,
    479-488) for paired shares: one more person who is guessed with both only, and one with the first only.
    """
    many, mean = len(gains) + 2, float(gains.sum()) / (len(gains) + 2)
    spread = (float((gains**2).sum()) + 2) / many - mean**2
    half, value = 1.959964 * float(np.sqrt(spread / many)), float(gains.mean())
    return Figure(value, min(value, max(-1.0, mean - half)), max(value, min(1.0, mean + half)))
