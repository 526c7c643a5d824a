"""Attacks that found much, and that no threshold of the gate was about."""

from __future__ import annotations

from collections.abc import Iterable

from sfumato.core.values import Decision, Finding

#: An attack finds much if it finds so many more than among people not there, even by the interval's low end.
MUCH = 0.1


def unjudged(findings: Iterable[Finding], decision: Decision) -> list[Finding]:
    """What attacks find beyond people not there, the most first, where no threshold is about the attack.

    A gate passes whatever nobody asked it about: who reads that it passed must read this beside it.

    >>> told = {"value": 0.5, "low": 0.4, "unit": "difference", "goal": "low", "n": 99, "source": "linkage"}
    >>> found = Finding(metric="linkage.excess", **told)
    >>> [one.metric for one in unjudged([found], Decision(passed=True, reasons=()))]
    ['linkage.excess']
    """
    asked = {reason.metric.partition(".")[0] for reason in decision.reasons}
    found = [
        finding
        for finding in findings
        if finding.metric.endswith(".excess")
        and finding.target == "release"
        and finding.goal == "low"
        and finding.status == "measured"
        and finding.value is not None
        and (finding.value if finding.low is None else finding.low) > MUCH
        and finding.metric.partition(".")[0] not in asked
    ]
    return sorted(found, key=lambda finding: -(finding.value or 0.0))
