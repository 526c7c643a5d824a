"""What a run comes to, and who is told how far it has come."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sfumato.core.values import Decision, Finding, Inventory, Plan
from sfumato.release.assemble import Release


class Watch:
    """Who is told how far a long work has come; this one tells nobody."""

    def stage(self, name: str) -> None:
        """A new step begins."""

    def within(self, name: str, done: int, total: int) -> None:
        """So much of a step is done."""


@dataclass(frozen=True)
class Outcome:
    """What a run found, did and decided.

    ``inventory`` is None where nobody took one, as for answers under differential privacy, ``release`` where
    nothing was written, which is so for a plan alone; ``types`` are those of the columns that left, by
    table where several did.
    ``kept`` are findings that stay in the house, for nobody charged them; ``answers`` the figures of a
    release under differential privacy.
    """

    inventory: Inventory | None
    plan: Plan
    findings: tuple[Finding, ...] = ()
    decision: Decision | None = None
    release: Release | None = None
    types: Mapping[str, Any] = field(default_factory=dict)
    kept: tuple[Finding, ...] = ()
    answers: tuple[Mapping[str, Any], ...] = ()

    def summary(self) -> dict[str, Any]:
        """The outcome as the JSON document of ``plan --json`` and ``run --json``."""
        anonymity, private, made = self.plan.anonymity, self.plan.private, self.plan.synthesis
        counted = self.plan.guarantee is None
        return {
            "dataset": self.plan.dataset,
            "rows": self.plan.rows if counted else None,
            "holdout_rows": self.plan.holdout_rows if counted else None,
            "anonymity": None if anonymity is None else anonymity.model_dump(mode="json"),
            "private": None if private is None else private.model_dump(mode="json"),
            "synthesis": None if made is None else made.model_dump(mode="json"),
            "findings": [finding.model_dump(mode="json") for finding in self.findings],
            "answers": [dict(answer) for answer in self.answers],
            "kept": [finding.model_dump(mode="json") for finding in self.kept],
            "decision": None if self.decision is None else self.decision.model_dump(mode="json"),
            "release": None if self.release is None else str(self.release.folder),
        }
