"""The deFinetti attack: whose of a class's values are whose, learned from all classes together.

A class with l values promises that nobody can say which of them a member has. But the table shows in every
class what goes with which value, and an attacker who knows the members puts that together (Kifer 2009,
*Attacks on privacy and deFinetti's theorem*, SIGMOD). Part of what is found so holds of anybody like that, in
the table or not (Cormode 2011, *Personal privacy vs population privacy*, KDD), and is no disclosure: so the
same is guessed of people who are not in the release.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field

from sfumato import contracts
from sfumato.contracts import COUNT, Comparison
from sfumato.core.keyed import derive
from sfumato.core.values import Finding, Status
from sfumato.evidence.attacks.assignments import Learned, Members, learn
from sfumato.evidence.attacks.by_secret import (
    LEAST,
    MORE_SECRETS,
    MOST_SECRETS,
    NONE_SENSITIVE,
    NOTHING_KNOWN,
    ONE_VALUE,
    OVERLAPPING,
    TOO_FEW,
    figures_of,
    unmeasured,
    worst,
)
from sfumato.evidence.attacks.controls import (
    NO_EVIDENCE,
    NO_GROUPS,
    NOBODY,
    TIE,
    circumstances,
    overlaps,
    without_control,
)
from sfumato.evidence.attacks.guessing import Secret
from sfumato.evidence.attacks.people import by_person
from sfumato.evidence.attacks.registers import sample_rows
from sfumato.evidence.attacks.secret_classes import Reader, SecretClasses, located
from sfumato.evidence.columns import attack_columns, secret_columns
from sfumato.evidence.intervals import bootstrap_difference, newcombe, wilson
from sfumato.evidence.report import Metric, Report

REPORT = Report(
    "definetti",
    {
        "definetti.success": Metric(
            "low", "share", "people whose secret is told from their class and all others together"
        ),
        "definetti.gain": Metric("low", "difference", "that share less what each class tells if taken alone"),
        "definetti.excess": Metric("low", "difference", "that share less the share of people not released"),
        "definetti.disparity": Metric(
            "low", "difference", "the group most often told rightly less the group least often"
        ),
    },
)
_FIGURES = figures_of(REPORT)

ASSUMES = "an attacker who knows who is in which class, and the columns known of each exactly"
#: People in the release times values of a secret that are learned from, in whole classes.
CELLS = 1_000_000
#: Strangers who are compared with labels that overlap.
STRANGERS = 2_000


@dataclass(frozen=True)
class _Side:
    """Some people: what was guessed of them, what their class alone says, and what is so."""

    guess: NDArray[np.int64]
    alone: NDArray[np.int64]
    truth: NDArray[np.int64]
    confidence: NDArray[np.float64]

    @property
    def right(self) -> NDArray[np.float64]:
        """Who is guessed rightly, 0 or 1."""
        return np.asarray(self.guess == self.truth, dtype=np.float64)

    @property
    def right_alone(self) -> NDArray[np.float64]:
        """Who has the most frequent value of their class, 0 or 1."""
        return np.asarray(self.alone == self.truth, dtype=np.float64)

    @classmethod
    def of(
        cls, posterior: NDArray[np.float64], contents: NDArray[np.float64], truth: NDArray[np.int64]
    ) -> _Side:
        """From the probabilities of values and what is in the class, shape (people, values) each."""
        asked = truth >= 0
        posterior, contents = posterior[asked], contents[asked]
        return cls(posterior.argmax(axis=1), contents.argmax(axis=1), truth[asked], posterior.max(axis=1))


@dataclass(frozen=True)
class _Told:
    """What was found out of one secret: of members, at their rows, and of strangers if there are any."""

    name: str
    rows: NDArray[np.int64]
    members: _Side
    others: _Side | None
    before: float

    @property
    def excess(self) -> float:
        """Success less that on strangers."""
        return float(self.members.right.mean() - (self.others.right.mean() if self.others else 0.0))


class Definetti:
    """How many secrets are told by what all classes together say of the people in each.

    The attacker knows who is in which class and the known columns of each member exactly. ``baseline`` is
    what the class alone tells, its most frequent value; ``control`` the same attack on people who are not
    in the release, put into its classes by the published method. ``before`` is the same of the original,
    where a class is of people who are the same. Findings have a secret as target, and ``release`` for the
    worst.
    """

    summary: ClassVar[str] = "deFinetti: all classes together tell whose of a class's secrets are whose"
    metrics = REPORT.metrics
    units = REPORT.units
    rowwise: ClassVar[frozenset[str]] = frozenset(REPORT.table)

    class Params(contracts.Params):
        """``people`` is the most in the release whose secrets are guessed; whole classes of them."""

        people: Annotated[int, Field(ge=100, le=100_000)] = 50_000

    def run(self, comparison: Comparison, params: Definetti.Params) -> list[Finding]:
        """The findings of each secret, of the worst, and by group."""
        if not comparison.kept.any():
            return _silent(NOBODY)
        names = secret_columns(comparison)
        if not names:
            return _silent(NONE_SENSITIVE)
        overlap = overlaps(comparison)
        strangers = comparison.control.clear() if overlap else comparison.control
        described = comparison.describe(comparison.original), comparison.describe(strangers)
        where = circumstances(comparison)
        findings: list[Finding] = []
        told: list[_Told] = []
        for name in names[:MOST_SECRETS]:
            found = _attack(comparison, name, *described, params.people)
            if isinstance(found, _Told):
                told.append(found)
                findings += _findings(comparison, found, where, overlap)
            else:
                findings += unmeasured(REPORT, *found, name)
        for name in names[MOST_SECRETS:]:
            findings += unmeasured(REPORT, "not-measured", MORE_SECRETS, name)
        return [*worst(REPORT, findings), *findings, *_by_person(comparison, told)]


def _silent(note: str) -> list[Finding]:
    return [REPORT.silent(metric, "not-measured", note) for metric in REPORT.table]


def _attack(
    comparison: Comparison,
    name: str,
    original: pl.DataFrame,
    control: pl.DataFrame,
    most: int,
) -> _Told | tuple[Status, str]:
    """The attack on one secret, or why there is none; a control of nobody makes one without it."""
    secret = Secret.of(comparison, name, comparison.released[name].filter(pl.Series(comparison.kept)))
    if secret is None:
        return "not-measured", OVERLAPPING
    known = [column for column in attack_columns(comparison) if column != name]
    if not known:
        return "not-measured", NOTHING_KNOWN
    classes = SecretClasses.of(comparison.count([*known, name]), known, secret)
    if (classes.contents.sum(axis=0) > 0).sum() < 2:
        return "no-power", ONE_VALUE
    key = derive(comparison.key, "definetti", name)
    rows, at = _whole_classes(comparison, classes, min(most, CELLS // secret.classes), key)
    raw = comparison.original[rows]
    truth = secret.of_people(raw, original[rows])
    if (truth >= 0).sum() < LEAST:
        return "no-power", TOO_FEW
    here, of = np.unique(at, return_inverse=True)
    classes = SecretClasses(classes.labels[here], classes.contents[here])
    readers = [Reader.of(comparison.original[column]) for column in known]
    # Where only some of a class are in the sample they have their part of its values.
    part = np.bincount(of) / classes.contents.sum(axis=1)
    learned = learn(
        Members(
            of,
            classes.contents * part[:, None],
            _traits(readers, raw, known),
            [each.width for each in readers],
        )
    )
    inside = _Side.of(learned.posterior, classes.contents[of], truth)
    others = _strangers(comparison, secret, classes, learned, readers, control, key)
    return _Told(name, rows[truth >= 0], inside, others, _alone(raw.select(known), truth))


def _whole_classes(
    comparison: Comparison, classes: SecretClasses, most: int, key: bytes
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Positions of members and the number of each one's class, class by class; the first by keyed draws."""
    rows = np.flatnonzero(comparison.kept)
    at = located(comparison.released[rows], classes.labels)
    sizes = np.bincount(at, minlength=classes.labels.height)
    drawn = sample_rows(np.flatnonzero(sizes), classes.labels.height, derive(key, "classes"))
    # One class at least, however large it is.
    chosen = drawn[: max(1, int((np.cumsum(sizes[drawn]) <= most).sum()))]
    taken = np.flatnonzero(np.isin(at, chosen))
    taken = taken[np.argsort(at[taken], kind="stable")]
    return rows[taken], at[taken]


def _traits(readers: Sequence[Reader], people: pl.DataFrame, known: Sequence[str]) -> list[NDArray[np.int64]]:
    return [reader.codes(people[column]) for reader, column in zip(readers, known, strict=True)]


def _strangers(
    comparison: Comparison,
    secret: Secret,
    classes: SecretClasses,
    learned: Learned,
    readers: Sequence[Reader],
    control: pl.DataFrame,
    key: bytes,
) -> _Side | None:
    """The same attack on people who are not in the release, in the classes that they would be in.

    With labels that overlap those are all that cover them; where there is none it is the whole table.
    """
    raw = comparison.control[: control.height]
    truth, known = secret.of_people(raw, control), classes.labels.columns
    overlapping = bool(set(known) & set(comparison.overlapping))
    most = STRANGERS if overlapping else control.height
    rows = sample_rows(np.flatnonzero(truth >= 0), most, derive(key, "strangers"))
    if len(rows) < LEAST:
        return None
    place = (
        classes.covering(comparison, control[rows]) if overlapping else located(control[rows], classes.labels)
    )
    everybody = classes.contents.sum(axis=0)
    posterior = learned.likelihood(_traits(readers, raw[rows], known))
    posterior *= _placed(learned.weights, place, everybody)
    posterior /= np.maximum(posterior.sum(axis=1, keepdims=True), 1e-300)
    return _Side.of(posterior, _placed(classes.contents, place, everybody), truth[rows])


def _placed(
    rows: NDArray[np.float64], place: NDArray[Any], everybody: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The row of each one's class, or the sum where there may be several; of everybody if there is none."""
    if place.ndim == 1:
        found = place[:, None] >= 0
        return np.where(found, rows[place], everybody)
    return np.where(place.any(axis=1, keepdims=True), place @ rows, everybody)


def _alone(known: pl.DataFrame, truth: NDArray[np.int64]) -> float:
    """The share of people who have the most frequent value among those who are the same."""
    pairs = known.with_columns(pl.Series("__sfumato_secret__", truth)).filter(pl.Series(truth >= 0))
    counted = pairs.group_by(pairs.columns).len(COUNT)
    most = counted.group_by(known.columns).agg(pl.col(COUNT).max())
    return float(most[COUNT].sum()) / max(1, pairs.height)


def _findings(comparison: Comparison, told: _Told, where: str, overlap: bool) -> list[Finding]:
    members, others, many, target = told.members, told.others, len(told.rows), told.name
    success, alone = float(members.right.mean()), float(members.right_alone.mean())
    weak = NO_EVIDENCE.format("what each class tells alone") if success <= alone + TIE else ""
    resampling = derive(comparison.key, "definetti", target, "gain")
    found = [
        REPORT.measured(
            "definetti.success", wilson(success, many), many, target=target, before=told.before,
            baseline=alone, control=None if others is None else float(others.right.mean()),
            assumes=ASSUMES, note=weak + where,
        ),
        REPORT.measured(
            "definetti.gain", bootstrap_difference(members.right, members.right_alone, resampling), many,
            target=target, before=0.0, baseline=0.0,
            control=None if others is None else float((others.right - others.right_alone).mean()),
            assumes=ASSUMES, note=weak + where,
        ),
    ]  # fmt: skip
    if others is None:
        excess = without_control(REPORT, "definetti.excess", overlap, target=target, n=many, assumes=ASSUMES)
        return [*found, excess]
    theirs = float(others.right.mean())
    figure = newcombe(wilson(success, many), wilson(theirs, len(others.truth)))
    weak = NO_EVIDENCE.format("on people who were not released") if figure.value <= TIE else ""
    excess = REPORT.measured(
        "definetti.excess", figure, many, target=target, control=theirs, assumes=ASSUMES, note=weak + where
    )
    return [*found, excess]


def _by_person(comparison: Comparison, told: Sequence[_Told]) -> list[Finding]:
    """By group and among the surest, of the secret told most beyond the control."""
    findings: list[Finding] = []
    if told:
        most = max(told, key=lambda each: (each.excess, each.name))
        findings += by_person(
            REPORT, "definetti.success", comparison, most.rows, most.members.right,
            most.members.confidence, disparity="definetti.disparity", assumes=f"to find out {most.name}",
        )  # fmt: skip
    if not told or not comparison.groups:
        note = NO_GROUPS if told else "no secret was attacked"
        findings.append(REPORT.silent("definetti.disparity", "not-measured", note))
    return findings
