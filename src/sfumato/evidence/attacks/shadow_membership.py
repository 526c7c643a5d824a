"""Membership inference by shadow releases: an attacker who knows the method tries it.

The attacker knows the policy, or the synthesizer with its settings, and has a reference (people of the same
population, a keyed half of those held out). They carry the policy out again and again on tables of their
own, each with some of the people in question and without the others, and learn from what these shadow
releases show of somebody (:mod:`sfumato.evidence.attacks.shadow_features`) whether the person is in. Then
they look at the real one (Shokri et al. 2017, arXiv 1610.05820; of synthetic data Stadler, Oprisanu &
Troncoso 2022, arXiv 2011.07018, and Houssiau et al. 2022, arXiv 2211.06550).
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
from sfumato.core.errors import InputError
from sfumato.core.keyed import derive, generator
from sfumato.core.values import Finding, Status
from sfumato.evidence.attacks.candidates import Candidates
from sfumato.evidence.attacks.membership import BASELINES, FIGURES, RATES, refused
from sfumato.evidence.attacks.people import FEW_SUREST, LEAST_PEOPLE, SUREST, by_person
from sfumato.evidence.attacks.shadow_features import Questions
from sfumato.evidence.columns import attack_columns, factual_columns
from sfumato.evidence.intervals import LEVEL
from sfumato.evidence.report import Figure, Metric, Report, design_note
from sfumato.evidence.roc import Scored, least_outside

REPORT = Report(
    "shadow-membership",
    {
        "shadow_membership.tpr_at_1": Metric(
            "low",
            "share",
            "members recognized by shadow releases when 1 % of people outside are taken for some",
        ),
        "shadow_membership.tpr_at_01": Metric(
            "low",
            "share",
            "members recognized by shadow releases when 0.1 % of people outside are taken for some",
        ),
        "shadow_membership.auc": Metric(
            "low", "auc", "the chance that a member's score is greater than that of somebody outside"
        ),
        "shadow_membership.advantage": Metric(
            "low", "difference", "members recognized less people outside taken for members, at best"
        ),
        "shadow_membership.precision": Metric(
            "low", "share", "members among the surest hundredth of as many members as people outside"
        ),
        "shadow_membership.disparity": Metric(
            "low", "difference", "largest difference between groups of the members recognized at 1 %"
        ),
        "shadow_membership.tpr_at_1_all_columns": Metric(
            "low", "share", "members recognized at 1 % by somebody who knows every released column"
        ),
    },
)

NO_METHOD = "no way to make the release again was given"
NO_COLUMN = "no column of anybody is known"
#: What stands where the method refuses people of whom a shadow would be made; the code says why.
FAILED = "a shadow release could not be made ({})"

#: Rows that the attacker's classifier is taught, one for a person and a shadow release, and its size.
_TAUGHT = 100_000
_SETTINGS = {
    "max_iter": 80,
    "learning_rate": 0.1,
    "max_leaf_nodes": 16,
    "min_samples_leaf": 40,
    "l2_regularization": 1.0,
    "early_stopping": False,
}


@dataclass(frozen=True)
class _Shadows:
    """What releases show of the people in question: of the shadows, and of the real one.

    ``inside`` says who was in which shadow, shape (shadows, people); ``counts`` and ``others`` are the
    answers of each, the real one last, shape (shadows + 1, people, features).
    """

    inside: NDArray[np.bool_]
    counts: NDArray[np.float64]
    others: NDArray[np.float64]

    def features(self, number: int) -> NDArray[np.float64]:
        """What a release shows of people, and what of it is new, shape (people, features).

        New is what differs from the mean of the shadows that a person was not in, of counts in units of their
        deviation (Poisson); the shadow itself is not among those.
        """
        without = ~self.inside
        if number < len(without):
            without = without.copy()
            without[number] = False
        many = np.maximum(1, without.sum(axis=0))[:, None]
        means = [np.einsum("sp,spf->pf", without, part[:-1]) / many for part in (self.counts, self.others)]
        counts, others = self.counts[number], self.others[number]
        new = (counts - means[0]) / np.sqrt(means[0] + 1)
        return np.concatenate([np.log1p(counts), new, others, others - means[1]], axis=1)


class ShadowMembership:
    """How well somebody who can make such releases themselves recognizes who is in this one.

    As :class:`sfumato.evidence.attacks.membership.Membership`, with one score: what a classifier says that
    was taught by shadow releases. ``baseline`` is blind guessing, ``control`` the share of people outside
    taken for members. A shadow release is as large as the real one: of half of the people in question, and
    of the reference, each of whom is there as often as it takes. It takes as long as the policy does, for
    each of the ``shadows``. Under differential privacy shadow releases are charged to nobody: none leaves.
    """

    summary: ClassVar[str] = "an attacker who makes such releases learns from them who is in this one"
    metrics = REPORT.metrics
    units = REPORT.units
    rowwise: ClassVar[frozenset[str]] = frozenset()

    class Params(contracts.Params):
        """How much is tried."""

        shadows: Annotated[int, Field(ge=4, le=512)] = 16
        """Shadow releases that are made; an odd one is left out, for they come in pairs."""
        members: Annotated[int, Field(ge=100, le=20_000)] = 2_000
        """The most people of the release in question."""
        rows: Annotated[int, Field(ge=100, le=1_000_000)] = 20_000
        """The most people of a shadow release."""
        queries: Annotated[int, Field(ge=1, le=1_000)] = 40
        """Sets of columns in which rows that agree with a person are counted."""

    def run(self, comparison: Comparison, params: ShadowMembership.Params) -> list[Finding]:
        """The findings, by group, and of the all-knowing attacker."""
        refusal = refused(comparison)
        if refusal is not None:
            return [REPORT.silent(metric, *refusal) for metric in REPORT.table]
        if comparison.remake is None:
            return [REPORT.silent(metric, "not-measured", NO_METHOD) for metric in REPORT.table]
        known, every = attack_columns(comparison), factual_columns(comparison)
        people = Candidates.of(comparison, params.members)
        try:
            scored = _scored(comparison, people, list(dict.fromkeys((tuple(known), tuple(every)))), params)
        except InputError as error:
            # The words of an error may be about the table of a shadow, in which real people are.
            note = FAILED.format(error.code)
            return [REPORT.silent(metric, "not-measured", note) for metric in REPORT.table]
        attacker, knower = (_Attacker(comparison, people, each, scored, params) for each in (known, every))
        return [*attacker.findings(), attacker.surest(), *attacker.groups(), knower.all_columns()]


def _scored(
    comparison: Comparison,
    people: Candidates,
    known: Sequence[tuple[str, ...]],
    params: ShadowMembership.Params,
) -> Mapping[tuple[str, ...], Scored]:
    """The scores of attackers who know some columns, from the same shadow releases."""
    key = derive(comparison.key, "shadow-membership")
    candidates = [comparison.original[people.members], comparison.control[people.outside]]
    asked = pl.concat(candidates, how="vertical_relaxed")
    reference = comparison.control[people.reference].cast(asked.schema)
    size = min(params.rows, comparison.original.height)
    inside = _halves(params.shadows, asked.height, size, derive(key, "inside"))
    questions = [
        Questions.of(columns, reference, params.queries, derive(key, *columns))
        for columns in known
        if columns
    ]
    answers = [
        [one.answered(release, asked, size) for one in questions]
        for release in _releases(comparison, asked, reference, inside, size, key)
    ]
    found = {}
    for number, one in enumerate(questions):
        counts, others = (np.stack(part) for part in zip(*(each[number] for each in answers), strict=True))
        told = _told(_Shadows(inside, counts, others), derive(key, "learner", *one.columns))
        members = len(people.members)
        found[one.columns] = Scored(told[:members], told[members:], derive(key, "scores", *one.columns))
    return found


def _halves(shadows: int, people: int, size: int, key: bytes) -> NDArray[np.bool_]:
    """Who is in which shadow, in pairs that share nobody: half of the people, at most half of a release."""
    half = max(1, min(people, size) // 2)
    inside = np.zeros((shadows // 2 * 2, people), dtype=bool)
    draw = generator(key)
    for pair in range(0, len(inside), 2):
        order = draw.permutation(people)
        inside[pair, order[:half]] = True
        inside[pair + 1, order[half : 2 * half]] = True
    return inside


def _releases(
    comparison: Comparison,
    asked: pl.DataFrame,
    reference: pl.DataFrame,
    inside: NDArray[np.bool_],
    size: int,
    key: bytes,
) -> Iterator[Comparison]:
    """The shadow releases, and the real one last."""
    remake: Callable[[pl.DataFrame, bytes], Comparison] | None = comparison.remake
    assert remake is not None, "who cannot make releases was refused"
    for number, chosen in enumerate(inside):
        comparison.watch("making shadow releases", number, len(inside))
        own = derive(key, "shadow", str(number))
        draw = generator(derive(own, "rows"))
        there = np.flatnonzero(chosen)
        again = np.resize(draw.permutation(reference.height), max(0, size - len(there)))
        rows = pl.concat([asked[there], reference[again]])
        yield remake(rows[draw.permutation(rows.height)], own)
    yield comparison


def _told(shadows: _Shadows, key: bytes) -> NDArray[np.float64]:
    """How sure a classifier taught by the shadows is that people are in the real one, shape (people,)."""
    from sklearn.ensemble import HistGradientBoostingClassifier
    from threadpoolctl import threadpool_limits

    many, draw = len(shadows.inside), generator(key)
    each = max(1, _TAUGHT // many)
    rows, truth = [], []
    for number, inside in enumerate(shadows.inside):
        some = draw.permutation(len(inside))[:each]
        rows.append(shadows.features(number)[some])
        truth.append(inside[some])
    model = HistGradientBoostingClassifier(random_state=int(draw.integers(0, 2**31)), **_SETTINGS)
    with threadpool_limits(1, user_api="openmp"):
        model.fit(np.concatenate(rows), np.concatenate(truth))
        return np.asarray(model.decision_function(shadows.features(many)), dtype=np.float64)


@dataclass(frozen=True)
class _Attacker:
    """What an attacker who knows some columns made out."""

    comparison: Comparison
    people: Candidates
    columns: Sequence[str]
    every: Mapping[tuple[str, ...], Scored]
    params: ShadowMembership.Params

    @property
    def scored(self) -> Scored | None:
        """The scores, None where no column is known."""
        return self.every.get(tuple(self.columns))

    @property
    def assumes(self) -> str:
        """What the attacker knows and has."""
        known = ", ".join(self.columns) if self.columns else "no column"
        reference = round_count(len(self.people.reference))
        return (
            f"the method, {known} of each person in question, and a reference of about {reference} "
            "people not released"
        )

    def findings(self) -> Iterator[Finding]:
        """The figures over everybody."""
        for metric in FIGURES:
            yield self._finding(metric, f"shadow_{metric}")

    def all_columns(self) -> Finding:
        """Members recognized at 1 %."""
        return self._finding("membership.tpr_at_1", "shadow_membership.tpr_at_1_all_columns")

    def _finding(self, of: str, metric: str) -> Finding:
        if self.scored is None:
            return self._silent(metric, "not-measured", NO_COLUMN)
        figure, rate = FIGURES[of](self.scored, LEVEL), RATES.get(of)
        members, outside = len(self.people.members), len(self.people.outside)
        if not all(map(math.isfinite, figure)):
            needed = f": {least_outside(rate)} are needed" if rate is not None else ""
            words = f"about {round_count(outside)} people outside are too few to find the threshold{needed}"
            return self._silent(metric, "no-power", words)
        return self._measured(
            metric, figure, members if rate is not None else min(members, outside), BASELINES[of], rate
        )

    def surest(self) -> Finding:
        """The precision on the surest hundredth."""
        metric = "shadow_membership.precision"
        if self.scored is None:
            return self._silent(metric, "not-measured", NO_COLUMN, SUREST)
        figure, many = self.scored.surest()
        if many < LEAST_PEOPLE:
            return self._silent(metric, "no-power", FEW_SUREST, SUREST)
        return self._measured(metric, figure, many, 0.5, None, SUREST)

    def groups(self) -> list[Finding]:
        """Members recognized at 1 % by group."""
        metric, disparity = "shadow_membership.tpr_at_1", "shadow_membership.disparity"
        if self.scored is None:
            return [self._silent(disparity, "not-measured", NO_COLUMN)]
        rate = RATES["membership.tpr_at_1"]
        if not math.isfinite(self.scored.recognized(rate).value):
            return [self._silent(disparity, "no-power", f"fewer than {least_outside(rate)} people outside")]
        found = by_person(
            REPORT,
            metric,
            self.comparison,
            self.people.members,
            self.scored.claimed(rate),
            self.scored.members,
            disparity=disparity,
            assumes=self.assumes,
        )
        # Of members alone the surest hundredth are recognized at 1 % even by chance: precision says more.
        found = [finding for finding in found if finding.target != SUREST]
        if not self.comparison.groups:
            found.append(self._silent(disparity, "not-measured", "no groups are named"))
        return found

    def _silent(self, metric: str, status: Status, note: str, target: str = "release") -> Finding:
        return REPORT.silent(metric, status, note, target=target, assumes=self.assumes)

    def _measured(
        self,
        metric: str,
        figure: Figure,
        n: int,
        baseline: float,
        control: float | None,
        target: str = "release",
    ) -> Finding:
        people = self.people
        words = (
            f"{self.params.shadows // 2 * 2} shadow releases; about {round_count(len(people.members))} "
            f"members and {round_count(len(people.outside))} people outside; "
        )
        return REPORT.measured(
            metric,
            figure,
            n,
            target=target,
            baseline=baseline,
            control=control,
            assumes=self.assumes,
            note=words + design_note(self.comparison),
        )
