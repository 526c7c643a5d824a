"""One line on each figure that is reported, from what reports it."""

from __future__ import annotations

from collections.abc import Sequence

from sfumato.core.values import Finding
from sfumato.evidence import probe
from sfumato.evidence.attacks.composition import REPORT as COMPOSITION
from sfumato.evidence.audits.outcome import REPORT as AUDITS
from sfumato.evidence.guarantee import REPORT as GUARANTEE
from sfumato.evidence.images.judging import REPORT as IMAGES

#: What reports figures and is no probe.
_REPORTS = {report.source: report for report in (COMPOSITION, GUARANTEE, AUDITS, IMAGES)}


def meanings(findings: Sequence[Finding]) -> dict[str, str]:
    """One line on each metric, from what reports it."""
    meanings: dict[str, str] = {}
    for finding in findings:
        told = _REPORTS.get(finding.source) or probe(finding.source)
        meanings[finding.metric] = told.metrics[finding.metric][1]
    return meanings
