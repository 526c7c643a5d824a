"""Attribute inference: what an attacker who knows some columns of a person learns of a secret one.

The third of the three criteria of the Article 29 Working Party's Opinion 05/2014 (WP216). What the release
says of people like somebody is what data are for; what it says of a person because the person is in it is
a disclosure. So the same attack is made on as many people who are not in the release, and its success is
set beside that of a learner who never saw the release and of guessing the most frequent value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field

from sfumato import contracts
from sfumato.contracts import COUNT, Comparison
from sfumato.core.keyed import derive
from sfumato.core.values import Finding
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
    SAMPLE_ONLY,
    TIE,
    badness,
    overlaps,
    without_control,
)
from sfumato.evidence.attacks.guessed import SUREST, Outcome, People, both
from sfumato.evidence.attacks.guessing import TAUGHT_ROWS, ByClass, Learner, Secret, Told
from sfumato.evidence.attacks.people import by_person
from sfumato.evidence.attacks.raw_terms import in_raw_terms
from sfumato.evidence.attacks.registers import sample_rows
from sfumato.evidence.columns import attack_columns, factual_columns, secret_columns
from sfumato.evidence.features import numbers
from sfumato.evidence.intervals import newcombe, wilson
from sfumato.evidence.report import Metric, Report, design_note

REPORT = Report(
    "attribute-inference",
    {
        "attribute_inference.success": Metric(
            "low", "share", "people whose secret the attacker guesses who knows their other columns"
        ),
        "attribute_inference.excess": Metric(
            "low", "difference", "that share less the share of as many people not released"
        ),
        "attribute_inference.precision": Metric(
            "low", "share", "share right of the tenth of guesses that the attacker is surest of"
        ),
        "attribute_inference.recall": Metric(
            "low", "share", "people guessed rightly while nine of ten of the surest guesses are right"
        ),
        "attribute_inference.disparity": Metric(
            "low", "difference", "the group most often guessed rightly less the group least often"
        ),
    },
)
_FIGURES = figures_of(REPORT)

CLASSES = "classes of the columns known"
EVERYTHING = "classes of every other column"
LEARNER = "a learner on the columns known"
#: What an attacker's name has who tries raw terms as well.
RAW = "raw terms too"

#: Fewer guesses make no precision.
LEAST_CLAIMS = 20
FEW_CLAIMS = f"fewer than {LEAST_CLAIMS} guesses are the surest tenth"
#: Distinct released rows up to which all of them are used and not those of the sample.
MOST_ROWS = 60_000
#: Rows of the original that people are compared with of whom none is the same.
EARLIER_ROWS = 8_000


class AttributeInference:
    """What of a sensitive column the release gives away to an attacker who knows others.

    Three attackers: one takes what most people have who are the same in the columns known, one does so
    knowing every other released column, one teaches a learner. The first two also try raw terms, where the
    release holds raw values that its method would have changed. Findings have a secret as target, the worst
    attacker's figure, and ``release`` for the worst secret. ``baseline`` is the better of a learner taught
    by people who are not in the release and the most frequent value, ``control`` the same attack on
    equally many people who are not.
    """

    summary: ClassVar[str] = "attribute inference: what is learned of a secret by who knows the rest"
    metrics = REPORT.metrics
    units = REPORT.units
    rowwise: ClassVar[frozenset[str]] = frozenset()

    class Params(contracts.Params):
        """``people`` is the most of each side whose secrets are guessed."""

        people: Annotated[int, Field(ge=100, le=50_000)] = 500

    def run(self, comparison: Comparison, params: AttributeInference.Params) -> list[Finding]:
        """The findings of each secret, of the worst, and by group."""
        if not comparison.kept.any():
            return _silent(NOBODY)
        names = secret_columns(comparison)
        if not names:
            return _silent(NONE_SENSITIVE)
        overlap = overlaps(comparison)
        described = comparison.describe(comparison.original), comparison.describe(comparison.control)
        mixed = in_raw_terms(comparison, comparison.released.filter(pl.Series(comparison.kept)), described)
        found: list[Finding] = []
        people: dict[str, tuple[People, Mapping[str, Outcome]]] = {}
        for name in names[:MOST_SECRETS]:
            secret, findings = _attack(comparison, mixed, name, *described, params.people, overlap)
            found += findings
            if secret is not None:
                people[name] = secret
        for name in names[MOST_SECRETS:]:
            found += unmeasured(REPORT, "not-measured", MORE_SECRETS, name)
        return [*worst(REPORT, found), *found, *_by_person(comparison, people)]


def _silent(note: str) -> list[Finding]:
    return [REPORT.silent(metric, "not-measured", note) for metric in REPORT.table]


def _attack(
    comparison: Comparison,
    mixed: Comparison | None,
    name: str,
    original: pl.DataFrame,
    control: pl.DataFrame,
    most: int,
    overlap: bool,
) -> tuple[tuple[People, Mapping[str, Outcome]] | None, list[Finding]]:
    """Every attacker on one secret; None if there is nothing to attack.

    Args:
        mixed: the comparison in raw terms too, if the release holds raw values.
    """
    released = comparison.released.filter(pl.Series(comparison.kept))
    secret = Secret.of(comparison, name, released[name])
    if secret is None:
        return None, unmeasured(REPORT, "not-measured", OVERLAPPING, name)
    if len(np.unique(secret.of_rows(released[name]))) < 2:
        return None, unmeasured(REPORT, "no-power", ONE_VALUE, name)
    known = {
        CLASSES: [column for column in attack_columns(comparison) if column != name],
        EVERYTHING: [column for column in factual_columns(comparison) if column != name],
    }
    if known[EVERYTHING] == known[CLASSES]:
        del known[EVERYTHING]
    known = {attacker: columns for attacker, columns in known.items() if columns}
    if not known:
        return None, unmeasured(REPORT, "not-measured", NOTHING_KNOWN, name)
    key = derive(comparison.key, "attribute-inference", name)
    members = People.of(
        comparison.original, original, secret, comparison.members, most, derive(key, "members")
    )
    allowed = np.full(comparison.control.height, not overlap)
    others = People.of(comparison.control, control, secret, allowed, most, derive(key, "controls"))
    many = min(len(members.truth), len(others.truth))
    if len(members.truth) < LEAST:
        return None, unmeasured(REPORT, "no-power", TOO_FEW, name)
    if many >= LEAST:
        members, others = members.first(many), others.first(many)
    else:
        others = others.first(0)
    outcomes, words = _outcomes(comparison, mixed, secret, known, members, others, original, key)
    baseline = _baseline(comparison, secret, known, members, released, key, learn=not overlap)
    columns = {**known, **{f"{name}, {RAW}": of for name, of in known.items()}}
    columns[LEARNER] = known.get(CLASSES, [])
    where = words + design_note(comparison)
    findings = [
        max(
            (
                _finding(metric, name, attacker, outcome, baseline, columns[attacker], where, overlap)
                for attacker, outcome in outcomes.items()
            ),
            key=badness,
        )
        for metric in _FIGURES
    ]
    return (members, outcomes), findings


def _outcomes(
    comparison: Comparison,
    mixed: Comparison | None,
    secret: Secret,
    known: Mapping[str, Sequence[str]],
    members: People,
    others: People,
    original: pl.DataFrame,
    key: bytes,
) -> tuple[dict[str, Outcome], str]:
    """What each attacker finds out, and words on the rows that they have."""
    plain = replace(comparison, overlapping=(), covers=None, centers={})
    kept = comparison.original.filter(pl.Series(comparison.members))
    raw = Secret.of(plain, secret.name, kept[secret.name])
    found, words = {}, ""
    for attacker, columns in known.items():
        rows, sampled = _rows(comparison, [*columns, secret.name])
        words = words or sampled
        after = ByClass.of(comparison, columns, secret, rows, original)
        before = None
        if raw is not None:
            ones = np.ones(kept.height, dtype=np.int64)
            earlier = ByClass.of(plain, columns, raw, (kept, ones), comparison.original, EARLIER_ROWS)
            before = both(earlier, *_again(raw, members, others))
        found[attacker] = Outcome(*both(after, members, others), before)
        if mixed is not None and set(columns) & set(mixed.overlapping) - set(comparison.overlapping):
            sides = [replace(side, described=mixed.describe(side.raw)) for side in (members, others)]
            looked = ByClass.of(mixed, columns, secret, rows, mixed.describe(comparison.original))
            found[f"{attacker}, {RAW}"] = Outcome(*both(looked, *sides), before)
    learner = _learner(comparison, secret, known.get(CLASSES, []), members, key)
    if learner is not None:
        found[LEARNER] = Outcome(*both(learner, members, others), None)
    return found, words


def _again(raw: Secret, *sides: People) -> Sequence[People]:
    """The same people as the original shows them and their secret."""
    return [replace(side, described=side.raw, truth=raw.of_people(side.raw, side.raw)) for side in sides]


def _rows(
    comparison: Comparison, columns: Sequence[str]
) -> tuple[tuple[pl.DataFrame, NDArray[np.int64]], str]:
    """The whole release if its distinct rows are few enough, else the sample's, and words on it."""
    counted = comparison.count(list(columns))
    if counted.height <= MOST_ROWS:
        return (counted.drop(COUNT), counted[COUNT].cast(pl.Int64).to_numpy()), ""
    kept = comparison.released.select(columns).filter(pl.Series(comparison.kept))
    return (kept, np.ones(kept.height, dtype=np.int64)), SAMPLE_ONLY


def _learner(
    comparison: Comparison, secret: Secret, known: Sequence[str], members: People, key: bytes
) -> Learner | None:
    """Taught by released rows, those of the people attacked among them; None if there is nothing to learn by.

    A label that overlaps with others is no category that a person could be put into; numbers have centers.
    """
    columns = [
        name
        for name in known
        if name not in comparison.overlapping
        or numbers(comparison.released[name], comparison.centers.get(name)) is not None
    ]
    if not columns:
        return None
    # Nobody has a made row, so there any rows do.
    own = members.at[: 0 if comparison.made else TAUGHT_ROWS]
    others = np.setdiff1d(np.flatnonzero(comparison.kept), own)
    drawn = sample_rows(others, max(0, TAUGHT_ROWS - len(own)), derive(key, "taught"))
    rows = comparison.released[np.concatenate([own, drawn])]
    return Learner.of(
        comparison.centers, columns, rows, secret.of_rows(rows[secret.name]), derive(key, "learner")
    )


def _baseline(
    comparison: Comparison,
    secret: Secret,
    known: Mapping[str, Sequence[str]],
    members: People,
    released: pl.DataFrame,
    key: bytes,
    *,
    learn: bool,
) -> Mapping[str, float]:
    """What is guessed of members without the release: by a learner, or as the most frequent value."""
    frequent = np.bincount(secret.of_rows(released[secret.name])).argmax()
    guesses = [Told(np.full(len(members.truth), frequent), np.ones(len(members.truth)))]
    columns = known.get(CLASSES, [])
    drawn = sample_rows(
        np.arange(comparison.control.height if learn else 0), TAUGHT_ROWS, derive(key, "outside")
    )
    if len(drawn) >= LEAST and columns:
        outside = comparison.control[drawn]
        truth = secret.of_people(outside, comparison.describe(outside))
        if (truth >= 0).sum() >= LEAST:
            learner = Learner.of({}, columns, outside, truth, derive(key, "learner"))
            guesses.append(learner.tell(members.raw))
    judged = [members.judge(told) for told in guesses]
    return {
        metric: max(each.figure(metric) for each in judged) for metric in _FIGURES if "excess" not in metric
    }


def _finding(
    metric: str,
    name: str,
    attacker: str,
    outcome: Outcome,
    baseline: Mapping[str, float],
    known: Sequence[str],
    where: str,
    overlap: bool,
) -> Finding:
    assumes = f"an attacker with the release who knows {', '.join(known)}"
    members, others = outcome.members, outcome.others
    many = len(members.right)
    if metric.endswith("excess"):
        return _excess(name, attacker, outcome, assumes, where, overlap)
    value = members.figure(metric)
    if metric.endswith("precision"):
        many = max(1, round(SUREST * many))
        if many < LEAST_CLAIMS:
            return REPORT.silent(metric, "no-power", FEW_CLAIMS, target=name, n=many, assumes=assumes)
    weak = NO_EVIDENCE.format("one without the release") if value <= baseline[metric] + TIE else ""
    return REPORT.measured(
        metric,
        wilson(value, many),
        many,
        target=name,
        before=outcome.before[0].figure(metric) if outcome.before else None,
        baseline=baseline[metric],
        control=others.figure(metric) if others else None,
        assumes=assumes,
        note=f"{attacker}; {weak}{where}",
    )


def _excess(name: str, attacker: str, outcome: Outcome, assumes: str, where: str, overlap: bool) -> Finding:
    metric, members, others = "attribute_inference.excess", outcome.members, outcome.others
    many = len(members.right)
    if others is None:
        return without_control(REPORT, metric, overlap, target=name, n=many, assumes=assumes)
    theirs = float(others.right.mean())
    figure = newcombe(wilson(float(members.right.mean()), many), wilson(theirs, len(others.right)))
    weak = NO_EVIDENCE.format("on people who were not released") if figure.value <= TIE else ""
    before = None
    if outcome.before and outcome.before[1]:
        before = float(outcome.before[0].right.mean() - outcome.before[1].right.mean())
    return REPORT.measured(
        metric,
        figure,
        many,
        target=name,
        before=before,
        control=theirs,
        assumes=assumes,
        note=f"{attacker}; {weak}{where}",
    )


def _by_person(
    comparison: Comparison, people: Mapping[str, tuple[People, Mapping[str, Outcome]]]
) -> list[Finding]:
    """By group, of the secret and the attacker that find out most beyond the control."""
    found = [
        (outcome.beyond, name, attacker)
        for name, (_, outcomes) in people.items()
        for attacker, outcome in outcomes.items()
    ]
    findings: list[Finding] = []
    if found:
        _, name, attacker = max(found)
        members, outcomes = people[name]
        findings += by_person(
            REPORT,
            "attribute_inference.success",
            comparison,
            members.at,
            outcomes[attacker].members.right,
            outcomes[attacker].members.confidence,
            disparity="attribute_inference.disparity",
            assumes=f"{attacker}, to find out {name}",
        )
    if not found or not comparison.groups:
        note = NO_GROUPS if found else "no secret was attacked"
        findings.append(REPORT.silent("attribute_inference.disparity", "not-measured", note))
    return findings
