"""The shop: a real log of purchases goes in, one of customers who never were comes out, with its evidence.

A fifth of the customers is held out. They teach nothing: models are tested on them, and whatever the made log
says of somebody taught is laid beside what it says of them. Nothing is promised about any customer, for
nothing was taught under differential privacy; what leaves is judged, and the gate decides.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from sfumato.core.keyed import derive
from sfumato.core.values import Decision, Finding, Reason, Unit
from sfumato.demos.shop_learning import judged_learning
from sfumato.demos.shop_log import CUSTOMER, DAY, ORIGIN, WINDOW, Purchases, read_log, split
from sfumato.demos.shop_privacy import judged_privacy
from sfumato.project import Project
from sfumato.project.project import FOLDER
from sfumato.release.layout import DOSSIER
from sfumato.release.words import value_words

if TYPE_CHECKING:
    from sfumato.demos.shop_release import ShopRelease
    from sfumato.pipeline.outcome import Watch
    from sfumato.synth.sequences import SyntheticHistories

DATASET = "cdnow-shop"
#: What the gate of the demo asks: metric, target, at most (or at least), and the unfavourable end counts.
THRESHOLDS: tuple[tuple[str, str, float], ...] = (
    ("copies.excess", "release", 0.01),
    ("copies.close_excess", "release", 0.02),
    ("membership.auc", "release", 0.55),
    ("membership.tpr_at_1", "release", 0.03),
    ("extremes.beyond", "release", 0.001),
    ("learning.auc_loss", "customers held out", 0.03),
)


@dataclass(frozen=True)
class ShopOutcome:
    """What the demo found and did."""

    origin: str
    counts: dict[str, int]
    facts: dict[str, Any]
    findings: tuple[Finding, ...]
    decision: Decision
    release: ShopRelease

    def summary(self) -> dict[str, Any]:
        """The JSON document of ``demo shop --json``."""
        return {
            "origin": self.origin,
            "counts": self.counts,
            "learned": self.facts,
            "findings": [finding.model_dump(mode="json") for finding in self.findings],
            "decision": self.decision.model_dump(mode="json"),
            "release": str(self.release.folder),
        }

    def told(self) -> list[str]:
        """The same in lines for people."""
        counts = self.counts
        lines = [
            f"{self.origin}.",
            f"{counts['taught']:,} customers taught, {counts['held_out']:,} held out;"
            f" {counts['made']:,} made with {counts['purchases_made']:,} purchases.",
            "",
            "measured | value | with real customers, or chance, or people who taught nothing",
        ]
        lines += [f"  {_line(finding)}" for finding in self.findings]
        lines += [""] + [
            f"  {'passed' if one.passed else 'FAILED'}: {one.words}" for one in self.decision.reasons
        ]
        return [
            *lines,
            "",
            "Nothing is promised about any customer: that histories are made does not make them private.",
            f"The gate {'passed the made log' if self.decision.passed else 'refused: no log left'}.",
            f"Release: {self.release.folder}",
            f"Dossier: {self.release.folder / DOSSIER}",
        ]


def walk(folder: Path, watch: Watch, *, customers: int | None = None) -> ShopOutcome:
    """Walk the whole way: read, split, teach, make, judge, decide, release.

    Args:
        folder: gets ``release/`` and ``custody/``.
        customers: of the log only so many, for a quick try.

    Raises:
        InputError: an extra is not installed, or the output is there.
    """
    from sfumato.demos.shop_release import release_log
    from sfumato.dp.training.modules import need_deep

    need_deep()
    project = Project.open(folder / FOLDER)
    key = derive(project.secret, DATASET)
    watch.stage("reading the log")
    log = read_log()
    if customers is not None:
        log = log.filter(pl.col(CUSTOMER).is_in(log[CUSTOMER].unique().sort().head(customers).implode()))
    inside, outside = split(log, key)
    watch.stage("teaching")
    model = taught(inside, key, watch)
    watch.stage("making customers")
    made = model.sample(inside[CUSTOMER].n_unique(), key=derive(key, "made"))
    watch.stage("judging")
    findings = judged(inside, made, outside, key)
    decision = decide(findings)
    counts = {
        "taught": inside[CUSTOMER].n_unique(),
        "held_out": outside[CUSTOMER].n_unique(),
        "purchases": inside.height + outside.height,
        "purchases_held_out": outside.height,
        "made": made[CUSTOMER].n_unique(),
        "purchases_made": made.height,
    }
    watch.stage("writing the release")
    facts = dict(model.facts)
    release = release_log(
        folder, project, made, findings, decision, dataset=DATASET, counts=counts, facts=facts
    )
    return ShopOutcome(ORIGIN, counts, facts, findings, decision, release)


def taught(log: pl.DataFrame, key: bytes, watch: Watch | None = None) -> SyntheticHistories:
    """The event model of a log with the columns of :func:`sfumato.demos.shop_log.read_log`."""
    from sfumato.synth.sequences import fit

    def told(what: str, done: int, of: int) -> None:
        del what
        if watch is not None:
            watch.within("teaching", done, of)

    return fit(
        log,
        subject=CUSTOMER,
        time=DAY,
        model="events",
        window=WINDOW,
        key=derive(key, "model"),
        progress=told,
    )


def judged(taught: pl.DataFrame, made: pl.DataFrame, held: pl.DataFrame, key: bytes) -> tuple[Finding, ...]:
    """All findings on a made log: what it teaches, and what it gives away.

    Args:
        taught, made, held: logs with the columns of :func:`sfumato.demos.shop_log.read_log`.
        key: of resampling and draws, 32 bytes.
    """
    members, nobody, others = (Purchases.of(log) for log in (taught, made, held))
    return (
        *judged_privacy(members, nobody, others, key),
        *judged_learning(members, nobody, others, key),
    )


def decide(findings: tuple[Finding, ...]) -> Decision:
    """The gate of the demo: every threshold by the unfavourable end; what was not measured passes nothing."""
    reasons = []
    for metric, target, most in THRESHOLDS:
        found = next((one for one in findings if (one.metric, one.target) == (metric, target)), None)
        passed = (
            found is not None and found.status == "measured" and found.high is not None and found.high <= most
        )
        words = "not measured" if found is None or found.value is None else _line(found)
        reasons.append(
            Reason(metric=metric, target=target, threshold=f"at most {most:g}", passed=passed, words=words)
        )
    return Decision(passed=all(reason.passed for reason in reasons), reasons=tuple(reasons))


def _line(finding: Finding) -> str:
    name = f"{finding.metric} ({finding.target})"
    if finding.value is None or finding.low is None or finding.high is None:
        return f"{name}: {finding.status}, {finding.note}"
    value, low, high = (_words(one, finding.unit) for one in (finding.value, finding.low, finding.high))
    beside = [
        f"{word} {_words(one, finding.unit)}"
        for word, one in (("real", finding.before), ("chance", finding.baseline), ("others", finding.control))
        if one is not None
    ]
    return f"{name}: {value} ({low} to {high})" + (f"; {', '.join(beside)}" if beside else "")


def _words(figure: float, unit: Unit) -> str:
    return f"{figure:.3f}" if unit == "number" else value_words(figure, unit)
