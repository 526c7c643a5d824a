"""Where on the page a finding stands, so that every claim can point to what it rests on."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from sfumato.core.values import Finding


class Anchors:
    """The ids of findings on a page.

    Args:
        findings: all that are published; equal ones have one id.
        shown: those that have a row of their own. The others are spoken for by the row of their metric.
    """

    def __init__(self, findings: Sequence[Finding], shown: Iterable[Finding]) -> None:
        self._shown = frozenset(shown)
        self._ids: dict[Finding, str] = {}
        taken: set[str] = set()
        for finding in findings:
            if finding not in self._ids:
                self._ids[finding] = _free(
                    f"finding-{_plain(finding.metric)}-{_plain(finding.target)}", taken
                )

    def __getitem__(self, finding: Finding) -> str:
        """The id of the row that speaks of a finding."""
        return self._ids[finding] if finding in self._shown else self.more(finding.metric)

    @staticmethod
    def more(metric: str) -> str:
        """The id of the row that says that a metric has more findings than are shown."""
        return f"more-{_plain(metric)}"


def _plain(name: str) -> str:
    """A name as a part of an id."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "x"


def _free(name: str, taken: set[str]) -> str:
    """The name, with a number where it is taken, and taken from then on."""
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{name}-{number}"
    taken.add(free)
    return free
