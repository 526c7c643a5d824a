"""Attacks by linkage under one protocol: claims on members and strangers in, findings out, worst first."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sfumato.core.disclosure import round_count
from sfumato.core.keyed import draws
from sfumato.core.values import Finding
from sfumato.evidence.attacks.gower import claim_nearest
from sfumato.evidence.attacks.matching import Claims
from sfumato.evidence.attacks.outcomes import LEAST_CLAIMS, Outcome, hits, strangers_found
from sfumato.evidence.attacks.pairs import Pairs
from sfumato.evidence.attacks.probabilistic import claim_probable, learn
from sfumato.evidence.report import Report

#: The attackers whose register may err.
WEIGHED = "weighed"
NEAREST = "nearest row"

METRICS = ("linkage.success", "linkage.excess", "linkage.precision")
NO_CONTROL = "nobody was held out to compare with"


class Attempt(NamedTuple):
    """What an attack found: its figures, and for each member the hit and how sure the attacker was."""

    outcome: Outcome
    found: NDArray[np.float64]
    confidence: NDArray[np.float64]

    @classmethod
    def of(
        cls,
        found: NDArray[np.float64],
        claims: Claims,
        accepted: NDArray[np.bool_],
        strangers: Claims,
        taken_in: NDArray[np.bool_],
    ) -> Attempt:
        """An attack from its hits and claims on members, and its claims on strangers, if there are any.

        Args:
            accepted, taken_in: the claims on members and on strangers that the attacker would stand by.
        """
        if not len(strangers.rows):
            return cls(Outcome.of(found, claims, None, None), found, claims.confidence)
        apparent = strangers_found(found, claims, accepted, strangers, taken_in)
        return cls(Outcome.of(found, claims, apparent, strangers), found, claims.confidence)


def with_errors(
    pairs: Pairs,
    members: NDArray[np.int64],
    strangers: NDArray[np.int64],
    own: NDArray[np.int32],
    key: bytes,
) -> dict[str, Attempt]:
    """The attacks of those whose register may err: it holds members and strangers, and they know not which.

    One learns from the pairs how the register errs and weighs agreement by it, one takes the nearest row.

    Args:
        members, strangers: who of the register is in the release and who is not.
        own: the label codes of the members' own rows, shape (members, columns).
        key: draws the people from whose pairs the errors are learned.
    """
    order = np.argsort(draws(key, np.arange(len(pairs.people), dtype=np.uint64)), kind="stable")
    mixtures = learn(pairs[order])

    def attempt(claim: Callable[..., tuple[Claims, NDArray[np.float64]]], *known: object) -> Attempt:
        claims, weights = claim(pairs[members], *known, own)
        others, _ = claim(pairs[strangers], *known)
        found = hits(claims, weights)
        # The attacker stands by what agrees as well as the own row of 19 of 20 members who are found. Of all
        # members it would be as little as agrees with anybody, where the rows of some tell nothing of them.
        surely = weights[found > 0]
        least = float(np.quantile(surely, 0.05, method="lower")) if len(surely) else -np.inf
        return Attempt.of(found, claims, claims.weight >= least, others, others.weight >= least)

    return {WEIGHED: attempt(claim_probable, mixtures), NEAREST: attempt(claim_nearest)}


def findings(
    report: Report,
    after: Mapping[str, Attempt],
    before: Mapping[str, Attempt],
    *,
    release: str,
    rows: int,
    assumes: Callable[[str], str],
    note: str,
) -> list[Finding]:
    """Each figure of each attack, first the worst of them.

    Args:
        report: has the metrics of :data:`METRICS`.
        after: target -> the attack on the release.
        before: the same on the original, as far as it was tried.
        release: the target of the worst.
        rows: the rows of the release.
        assumes: what the attacker of a target is taken to know.
        note: on whom the attacks ran.
    """
    found: list[Finding] = []
    for metric in METRICS:
        each = {
            target: _finding(report, metric, target, attempt, before.get(target), rows, assumes(target), note)
            for target, attempt in after.items()
        }
        worst = max(each, key=lambda target: badness(each[target]))
        words = f"{worst}, the worst of {len(each)}; {each[worst].note}"
        found += [each[worst].model_copy(update={"target": release, "note": words}), *each.values()]
    return found


def badness(finding: Finding) -> float:
    """What the worst of some findings has most of; one without a figure is the worst."""
    return 2.0 if finding.high is None else finding.high


def most_found(attempts: Mapping[str, Attempt]) -> str:
    """The attack that finds most people."""
    return max(attempts, key=lambda target: float(attempts[target].found.mean()))


def known(columns: Sequence[str]) -> str:
    """The columns that an attacker knows, in words."""
    return ", ".join(columns) if columns else "no column"


def _finding(
    report: Report,
    metric: str,
    target: str,
    attempt: Attempt,
    original: Attempt | None,
    rows: int,
    assumes: str,
    note: str,
) -> Finding:
    outcome = attempt.outcome
    figure, before = outcome.figures[metric], original.outcome.figures[metric] if original else None
    if figure is None:
        few = metric == "linkage.precision" and outcome.controls
        return report.silent(
            metric,
            "no-power" if few else "not-measured",
            f"fewer than {LEAST_CLAIMS} claims" if few else NO_CONTROL,
            target=target,
            n=outcome.members,
            assumes=assumes,
        )
    least = min(outcome.members, outcome.controls)
    n = {"linkage.excess": least, "linkage.precision": outcome.claims}.get(metric, outcome.members)
    return report.measured(
        metric,
        figure,
        n,
        target=target,
        before=before.value if before else None,
        baseline=1 / rows if metric != "linkage.excess" else None,
        control=outcome.control if metric == "linkage.success" else None,
        assumes=assumes,
        note=_people(outcome) + note,
    )


def _people(outcome: Outcome) -> str:
    """How many were looked for, rounded as every published count is."""
    members, controls = round_count(outcome.members), round_count(outcome.controls)
    return f"about {members} members and {controls} strangers; "
