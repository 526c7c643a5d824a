"""Membership inference: who of some people is in the release?

The attacker has the release, a reference (people of the same population, a keyed half of those held out)
and candidates: people of the release, and the other half of those held out, who were never seen. Each
candidate gets a score by every way of :mod:`sfumato.evidence.attacks.density`. The figures are those of a
test: how many members are recognized when one stranger in a hundred, or in a thousand, is taken for one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field

from sfumato import contracts
from sfumato.contracts import Comparison
from sfumato.core.disclosure import round_count
from sfumato.core.keyed import derive
from sfumato.core.values import Finding, Status
from sfumato.evidence.attacks.candidates import LEAST, Candidates, held
from sfumato.evidence.attacks.controls import NO_CONTROL, OVERLAP, overlaps
from sfumato.evidence.attacks.covering import classes_of
from sfumato.evidence.attacks.density import Held, exact_matches, scores
from sfumato.evidence.attacks.matching import claim_exact
from sfumato.evidence.attacks.people import FEW_SUREST, LEAST_PEOPLE, SUREST, by_person
from sfumato.evidence.columns import attack_columns, factual_columns
from sfumato.evidence.intervals import LEVEL
from sfumato.evidence.report import Figure, Metric, Report, design_note
from sfumato.evidence.roc import Scored, least_outside

REPORT = Report(
    "membership",
    {
        "membership.tpr_at_1": Metric(
            "low", "share", "members recognized when 1 % of people outside are taken for members"
        ),
        "membership.tpr_at_01": Metric(
            "low", "share", "members recognized when 0.1 % of people outside are taken for members"
        ),
        "membership.auc": Metric(
            "low", "auc", "the chance that a member's score is greater than that of somebody outside"
        ),
        "membership.advantage": Metric(
            "low", "difference", "members recognized less people outside taken for members, at best"
        ),
        "membership.precision": Metric(
            "low", "share", "members among the surest hundredth of as many members as people outside"
        ),
        "membership.disparity": Metric(
            "low", "difference", "largest difference between groups of the members recognized at 1 %"
        ),
        "membership.tpr_at_1_all_columns": Metric(
            "low", "share", "members recognized at 1 % by somebody who knows every released column"
        ),
    },
)

#: The way that is left where labels overlap, so that nobody outside can be put into the release's terms.
COVERING = "covering classes"
#: The way of an attacker who knows nothing of anybody.
GUESS = "guessing"

#: The share of people outside taken for members, by figure.
RATES = {"membership.tpr_at_1": 0.01, "membership.tpr_at_01": 0.001}
FIGURES: Mapping[str, Callable[[Scored, float], Figure]] = {
    "membership.tpr_at_1": lambda scored, level: scored.recognized(0.01, level),
    "membership.tpr_at_01": lambda scored, level: scored.recognized(0.001, level),
    "membership.auc": lambda scored, level: scored.auc(level),
    "membership.advantage": lambda scored, level: scored.advantage(level),
}
BASELINES = {**RATES, "membership.auc": 0.5, "membership.advantage": 0.0}

FEW_CONTROLS = f"fewer than {2 * LEAST} people were held out: a reference and people to test take half each"
FEW_MEMBERS = f"fewer than {LEAST} people's rows are in the release"
#: Comparisons of one cell with one class that overlapping labels may cost; people are cut to fit.
CELLS = 2_000_000_000


@dataclass(frozen=True)
class _Attack:
    """The scores of candidates by each way, and by exact matches on the original rows."""

    people: Candidates
    columns: Sequence[str]
    ways: Mapping[str, Scored]
    before: Scored
    note: str

    @property
    def assumes(self) -> str:
        """What the attacker knows and has."""
        known = ", ".join(self.columns) if self.columns else "no column"
        reference = round_count(len(self.people.reference))
        return f"{known} of each person in question, and a reference of about {reference} people not released"

    def worst(self, metric: str) -> tuple[str, Figure]:
        """The way that does worst by the bad end of its interval, and its figure.

        The figure's interval is that of a choice among all ways (Bonferroni).
        """
        level = 1 - (1 - LEVEL) / len(self.ways)
        figures = {way: FIGURES[metric](scored, level) for way, scored in self.ways.items()}
        worst = max(figures, key=lambda way: _badness(figures[way]))
        return worst, figures[worst]


def _badness(figure: Figure) -> float:
    return figure.high if math.isfinite(figure.high) else math.inf


class Membership:
    """How well somebody who has people of the same kind recognizes who is in the release.

    Findings have as target the way in which candidates are scored, and ``release`` for the one that does
    worst, with an interval that holds for the choice. ``baseline`` is blind guessing, ``control`` the share
    of people outside taken for members; intervals hold the uncertainty of the threshold. A figure at few
    false alarms is "no-power" with too few people outside to find its threshold (437 for 1 %, 4,380 for
    0.1 %). ``before`` is what exact matches find on the original rows. Where labels overlap, people are
    scored by the narrowest class that covers them, and by nothing else. An attacker who makes such releases
    is :class:`sfumato.evidence.attacks.shadow_membership.ShadowMembership`.
    """

    summary: ClassVar[str] = "an attacker with a reference tells who is in the release and who is not"
    metrics = REPORT.metrics
    units = REPORT.units
    rowwise: ClassVar[frozenset[str]] = frozenset()

    class Params(contracts.Params):
        """``members`` is the most people of the release in question."""

        members: Annotated[int, Field(ge=100, le=20_000)] = 2_000

    def run(self, comparison: Comparison, params: Membership.Params) -> list[Finding]:
        """The findings of every way, of the worst, by group, and of the all-knowing attacker."""
        refusal = refused(comparison)
        if refusal is not None:
            status, note = refusal
            return [REPORT.silent(metric, status, note) for metric in REPORT.table]
        people = Candidates.of(comparison, params.members)
        known, every = attack_columns(comparison), factual_columns(comparison)
        attack = _attack(comparison, known, people)
        everything = attack if every == known else _attack(comparison, every, people)
        return [
            *_findings(attack, comparison),
            _surest(attack, comparison),
            *_groups(attack, comparison),
            _all_columns(everything, comparison),
        ]


def refused(comparison: Comparison) -> tuple[Status, str] | None:
    """Why nobody can be told from people outside: a status with a note, or None."""
    if not comparison.kept.any() or not comparison.released.columns:
        return "not-measured", "nobody's row is in the release"
    if not comparison.control.height:
        return "not-measured", NO_CONTROL
    if comparison.control.height < 2 * LEAST:
        return "no-power", FEW_CONTROLS
    if comparison.members.sum() < LEAST:
        return "no-power", FEW_MEMBERS
    if overlaps(comparison):
        return "not-measured", OVERLAP
    return None


def _attack(comparison: Comparison, columns: Sequence[str], people: Candidates) -> _Attack:
    if not columns:
        guess = np.zeros(len(people.members) + len(people.outside))
        scored = _scored(comparison, people, GUESS, guess)
        return _Attack(people, columns, {GUESS: scored}, scored, "")
    counted = comparison.count(columns)
    if set(columns) & set(comparison.overlapping):
        people, ways, note = _covering(comparison, columns, people, counted)
    else:
        after = held(comparison, columns, people, counted, comparison.describe)
        ways = {way: _scored(comparison, people, way, found) for way, found in scores(after).items()}
        note = sampled(after)
    raw = held(comparison, columns, people, comparison.count_original(columns), lambda rows: rows)
    before = _scored(comparison, people, "before", exact_matches(raw))
    return _Attack(people, columns, ways, before, note)


def sampled(held: Held) -> str:
    """Words on the rows of the release that the slow ways look at, if not all."""
    return f"a keyed sample of {held.compared} rows of the release; " if held.compared < held.rows else ""


def _covering(
    comparison: Comparison, columns: Sequence[str], people: Candidates, counted: pl.DataFrame
) -> tuple[Candidates, Mapping[str, Scored], str]:
    """The scores by the narrowest class that covers a person in every column; the lowest if none does."""
    classes = classes_of(comparison, counted, columns)
    people = people.cut(CELLS // max(1, classes.scanned * len(columns)))
    parts = comparison.original[people.members], comparison.control[people.outside]
    described = [comparison.describe(part).select(columns) for part in parts]
    claims = claim_exact(classes, pl.concat(described, how="vertical_relaxed"), insist=False)
    found = np.where(claims.full, claims.weight, -np.inf)
    note = "the release's labels overlap, so no other way to score people was tried; "
    return people, {COVERING: _scored(comparison, people, COVERING, found)}, note


def _scored(comparison: Comparison, people: Candidates, way: str, found: NDArray[np.float64]) -> Scored:
    members = len(people.members)
    return Scored(found[:members], found[members:], derive(comparison.key, "membership", "scores", way))


def _findings(attack: _Attack, comparison: Comparison) -> Iterator[Finding]:
    """Each figure by each way, first the worst under the name of the release."""
    for metric in FIGURES:
        worst, figure = attack.worst(metric)
        chosen = f"{worst}, the worst of {len(attack.ways)} ways; " if len(attack.ways) > 1 else ""
        yield _finding(attack, comparison, metric, metric, figure, "release", chosen)
        for way, scored in attack.ways.items():
            yield _finding(attack, comparison, metric, metric, FIGURES[metric](scored, LEVEL), way, "")


def _finding(
    attack: _Attack, comparison: Comparison, name: str, metric: str, figure: Figure, target: str, chosen: str
) -> Finding:
    members, outside = len(attack.people.members), len(attack.people.outside)
    rate = RATES.get(metric)
    n = members if rate is not None else min(members, outside)
    if not all(map(math.isfinite, figure)):
        needed = f": {least_outside(rate)} are needed" if rate is not None else ""
        return REPORT.silent(
            name,
            "no-power",
            f"about {round_count(outside)} people outside are too few to find the threshold{needed}",
            target=target,
            n=n,
            assumes=attack.assumes,
        )
    before = FIGURES[metric](attack.before, LEVEL).value
    people = f"about {round_count(members)} members and {round_count(outside)} people outside; "
    return REPORT.measured(
        name,
        figure,
        n,
        target=target,
        before=before,
        baseline=BASELINES[metric],
        control=rate,
        assumes=attack.assumes,
        note=chosen + attack.note + people + design_note(comparison),
    )


def _surest(attack: _Attack, comparison: Comparison) -> Finding:
    """The precision of the way that is worst by it, on the surest hundredth."""
    level = 1 - (1 - LEVEL) / len(attack.ways)
    found = {way: scored.surest(level) for way, scored in attack.ways.items()}
    worst = max(found, key=lambda way: _badness(found[way][0]))
    figure, n = found[worst]
    metric = "membership.precision"
    if n < LEAST_PEOPLE:
        return REPORT.silent(metric, "no-power", FEW_SUREST, target=SUREST, n=n, assumes=attack.assumes)
    return REPORT.measured(
        metric,
        figure,
        n,
        target=SUREST,
        before=attack.before.surest()[0].value,
        baseline=0.5,
        assumes=attack.assumes,
        note=f"{worst}, the worst of {len(attack.ways)}; " + attack.note + design_note(comparison),
    )


def _groups(attack: _Attack, comparison: Comparison) -> list[Finding]:
    """Members recognized at 1 % by group, by the way that is worst over all."""
    metric, disparity = "membership.tpr_at_1", "membership.disparity"
    worst, figure = attack.worst(metric)
    if not math.isfinite(figure.value):
        note = f"fewer than {least_outside(RATES[metric])} people outside"
        return [REPORT.silent(disparity, "no-power", note, assumes=attack.assumes)]
    scored = attack.ways[worst]
    found = by_person(
        REPORT,
        metric,
        comparison,
        attack.people.members,
        scored.claimed(RATES[metric]),
        scored.members,
        disparity=disparity,
        assumes=attack.assumes,
    )
    # Of members alone the surest hundredth are recognized at 1 % even by chance: precision says more.
    found = [finding for finding in found if finding.target != SUREST]
    if not comparison.groups:
        found.append(REPORT.silent(disparity, "not-measured", "no groups are named", assumes=attack.assumes))
    return found


def _all_columns(attack: _Attack, comparison: Comparison) -> Finding:
    metric = "membership.tpr_at_1"
    worst, figure = attack.worst(metric)
    chosen = f"{worst}, the worst of {len(attack.ways)} ways; " if len(attack.ways) > 1 else ""
    return _finding(attack, comparison, f"{metric}_all_columns", metric, figure, "release", chosen)
