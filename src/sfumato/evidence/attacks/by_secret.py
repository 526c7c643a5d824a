"""Figures of attacks that go secret by secret: why there is none, and the worst of those there are."""

from __future__ import annotations

from collections.abc import Sequence

from sfumato.core.values import Finding, Status
from sfumato.evidence.attacks.controls import badness
from sfumato.evidence.report import Report

#: Fewer people to guess make no figure.
LEAST = 30
TOO_FEW = f"fewer than {LEAST} people whose secret is there to guess"
NONE_SENSITIVE = "no sensitive column and no target leaves"
OVERLAPPING = "the labels of the secret overlap and are not numbers"
ONE_VALUE = "the release shows one value of the secret only"
NOTHING_KNOWN = "no other column leaves"
#: Secrets attacked, the first in the order of the release.
MOST_SECRETS = 30
MORE_SECRETS = f"more than {MOST_SECRETS} secrets: not attacked"


def figures_of(report: Report) -> tuple[str, ...]:
    """The metrics that each secret has, which is all but that between groups."""
    return tuple(metric for metric in report.table if not metric.endswith("disparity"))


def unmeasured(report: Report, status: Status, note: str, name: str) -> list[Finding]:
    """A secret without figures, and why."""
    return [report.silent(metric, status, note, target=name) for metric in figures_of(report)]


def worst(report: Report, found: Sequence[Finding]) -> list[Finding]:
    """Each figure of the secret that it is worst of, as the release's."""
    each = [
        max((finding for finding in found if finding.metric == metric), key=badness)
        for metric in figures_of(report)
    ]
    return [
        finding.model_copy(update={"target": "release", "note": f"of {finding.target}: {finding.note}"})
        for finding in each
    ]
