"""Everything that is said in public about one release, made once from what is known in private.

An :class:`Account` is the only thing that the documents of a release are written from. What is not in
it cannot be published by mistake: no fitted state, no path, no exact count of people, no figure that
has not passed :mod:`sfumato.core.disclosure`. Parameters are taken over by what they are (numbers,
names of units, labels written into the policy), and never where they say where something lies.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sfumato.core.disclosure import LEAST, WITHHELD, publish_all, publish_count, round_count, round_share
from sfumato.core.values import (
    AnonymityPlan,
    Decision,
    Finding,
    Inventory,
    Plan,
    Reason,
    Step,
    SynthesisPlan,
)
from sfumato.policy.model import Policy
from sfumato.policy.parts import Part
from sfumato.policy.tables import Column, Table
from sfumato.release.law import Law
from sfumato.release.withdrawal import Withdrawal
from sfumato.release.withheld import complemented
from sfumato.release.words import STATUSES, interval, value_words

#: Parameters that say where something lies or what opens it, whatever part they belong to.
WHEREABOUTS = frozenset(
    {"path", "paths", "file", "files", "folder", "directory", "url", "table"}
    | {"key", "keys", "salt", "salts", "secret", "password", "token", "state"}
)
#: What a hierarchy says of values: names in it are the policy's own, and none of them is a place.
_CONTENTS = frozenset({"tree", "groups"})
_DIGITS = 3
#: What is said of a figure that stays in the house.
HOUSED = "measured on people in the house, where the figure stays"


@dataclass(frozen=True)
class DataFile:
    """A file of data that leaves, or a folder of files.

    ``name`` is its name in ``data/``, ``columns`` maps each column to its type (integer, number, text,
    boolean, date, datetime), ``files`` is how many there are in a folder.
    """

    name: str
    columns: Mapping[str, str]
    files: int | None = None


@dataclass(frozen=True)
class Sheet:
    """A picture of some made images, as PNG; ``rows`` are the labels of its rows from top to bottom."""

    png: bytes
    rows: tuple[str, ...]


@dataclass(frozen=True)
class Account:
    """What the documents tell.

    ``policy`` and ``plan`` are JSON-like; ``findings`` have been through the disclosure filter, and
    ``decision`` has its words made from those findings. ``rows`` is the rounded number of rows that
    leave, or would have left had the gate not refused; None if they are too few to be counted in public.
    ``commitments`` name private inputs, ``meanings`` says in one line what each metric is, ``detected``
    which kinds of identifiers each column was found to hold (None if nobody looked), ``laws`` what the
    release is held against. Of a release under differential privacy (``private``) no row is counted;
    ``answers`` are its figures. ``sheet`` shows images that leave. ``withdrawn`` are earlier releases of the
    same people that somebody says never left, so that they are not counted.
    """

    policy: Mapping[str, Any]
    plan: Mapping[str, Any]
    findings: tuple[Finding, ...]
    decision: Decision
    rows: int | None
    data: tuple[DataFile, ...]
    time: str
    versions: Mapping[str, str]
    fingerprint: str
    commitments: Mapping[str, str]
    meanings: Mapping[str, str] = field(default_factory=dict)
    detected: Mapping[str, tuple[str, ...]] | None = None
    laws: tuple[Law, ...] = ()
    answers: tuple[Mapping[str, Any], ...] = ()
    withdrawn: tuple[Withdrawal, ...] = ()
    sheet: Sheet | None = None

    @property
    def approvals(self) -> list[Mapping[str, str]]:
        """Who answers for what: the policy's approvals, then the earlier releases that are not counted."""
        uncounted = [
            {"what": f"a release of {said.dataset} is not counted", "by": said.by, "why": _taken_back(said)}
            for said in self.withdrawn
        ]
        return [*self.policy["approvals"], *uncounted]

    @property
    def dataset(self) -> Mapping[str, Any]:
        """The policy's section on what the data are."""
        dataset: Mapping[str, Any] = self.policy["dataset"]
        return dataset

    @property
    def private(self) -> Mapping[str, Any] | None:
        """What answers under differential privacy were asked for and what they cost, None if rows leave."""
        private: Mapping[str, Any] | None = self.plan["private"]
        return private

    @property
    def synthesis(self) -> Mapping[str, Any] | None:
        """How the rows that leave were made, None if they are people's own, or answers."""
        synthesis: Mapping[str, Any] | None = self.plan["synthesis"]
        return synthesis

    @property
    def guarantee(self) -> Mapping[str, Any] | None:
        """What differential privacy promises, of answers or of rows that were made."""
        made = self.synthesis
        return self.private if made is None else made["private"]

    @property
    def holds_out(self) -> bool:
        """Whether people are kept back, by the policy's word."""
        evidence = self.policy.get("evidence")
        return bool(self.policy.get("sampling") or (evidence and evidence["holdout"]["share"]))


def _taken_back(said: Withdrawal) -> str:
    return f"withdrawn on {said.time}, and said never to have left: {said.why}"


def public_policy(policy: Policy) -> dict[str, Any]:
    """The policy in the shape in which it is written, without whereabouts.

    The source and the table of the population are left out whole, for their paths, patterns and missing
    marks describe files that a recipient does not get.
    """
    private: dict[str, Any] = {"source": True, "population": {"table": True, "count": True}}
    dataset = policy.dataset.model_dump(mode="json", exclude=private, exclude_none=True)
    written: dict[str, Any] = {
        "sfumato": policy.sfumato,
        "dataset": dataset,
        "columns": {name: _public_column(column) for name, column in policy.columns.items()},
    }
    if policy.tables:
        written["tables"] = {name: _public_table(table) for name, table in policy.tables.items()}
    if policy.anonymity is not None:
        anonymity = policy.anonymity.model_dump(mode="json", exclude={"models"}, exclude_none=True)
        models = [_part(model, "model") for model in policy.anonymity.models]
        written["anonymity"] = {"method": anonymity.pop("method"), "models": models, **anonymity}
    if policy.dp is not None:
        written["dp"] = policy.dp.model_dump(mode="json", exclude={"queries"}, exclude_none=True)
        # Its parameters are the policy's own words, and none of them says where something lies.
        written["dp"]["queries"] = [{"query": query.name, **query.params} for query in policy.dp.queries]
    if policy.synthesis is not None:
        written["synthesis"] = _cleaned(policy.synthesis.model_dump(mode="json", exclude_none=True))
    if policy.sampling is not None:
        written["sampling"] = policy.sampling.model_dump(mode="json", exclude_none=True)
    written["context"] = policy.context.model_dump(mode="json", exclude_none=True)
    if policy.evidence is not None:
        evidence = policy.evidence
        written["evidence"] = {
            "holdout": {"share": evidence.holdout.share},
            "sample": evidence.sample,
            "attacks": [_part(probe, "probe") for probe in evidence.attacks],
            "utility": [_part(probe, "probe") for probe in evidence.utility],
        }
        if evidence.fairness is not None:
            written["evidence"]["fairness"] = without_whereabouts(evidence.fairness.params)
    written["gate"] = [threshold.model_dump(mode="json", exclude_none=True) for threshold in policy.gate]
    written["approvals"] = [approval.model_dump(mode="json") for approval in policy.approvals]
    written["release"] = policy.release.model_dump(mode="json")
    return written


def _public_table(table: Table) -> dict[str, Any]:
    columns = {name: _public_column(column) for name, column in table.columns.items()}
    hangs = table.model_dump(mode="json", exclude={"source": True, "columns": True}, exclude_none=True)
    return {**hangs, "columns": columns}


def _public_column(column: Column) -> dict[str, Any]:
    written: dict[str, Any] = {"role": column.role.value, "sensitive": column.sensitive}
    if column.known_to:
        written["known_to"] = list(column.known_to)
    written["action"] = {"do": column.done} | _params(column.action)
    if column.hierarchy is not None:
        written["hierarchy"] = _part(column.hierarchy, "kind")
    return written | {"why": column.why}


def _part(part: Part, key: str) -> dict[str, Any]:
    return {key: part.name} | _params(part)


def _params(part: Part | None) -> dict[str, Any]:
    return {} if part is None else without_whereabouts(part.params)


def without_whereabouts(value: Mapping[str, Any]) -> dict[str, Any]:
    """A mapping without :data:`WHEREABOUTS`, at any depth.

    >>> without_whereabouts({"kind": "file", "path": "x.csv", "more": [{"salt": "s", "to": 5}]})
    {'kind': 'file', 'more': [{'to': 5}]}
    """
    return {
        str(name): inner if name in _CONTENTS else _cleaned(inner)
        for name, inner in value.items()
        if str(name).lower() not in WHEREABOUTS
    }


def _cleaned(value: Any) -> Any:
    if isinstance(value, Mapping):
        return without_whereabouts(value)
    if isinstance(value, list | tuple):
        return [_cleaned(inner) for inner in value]
    return value


def public_plan(plan: Plan) -> dict[str, Any]:
    """What is done to each column and to the table: labels and levels, rounded counts, nothing fitted."""
    anonymity = plan.anonymity
    levels = {} if anonymity is None else anonymity.levels
    heights = {} if anonymity is None else anonymity.heights
    written: dict[str, Any] = {
        "dataset": plan.dataset,
        "rows": publish_count(plan.rows),
        "holdout_rows": publish_count(plan.holdout_rows),
        "columns": [_public_step(step, levels, heights, plan.synthesis) for step in plan.steps],
        "anonymity": None,
        "private": None if plan.private is None else plan.private.model_dump(mode="json"),
        "synthesis": None if plan.synthesis is None else _public_synthesis(plan.synthesis),
    }
    if plan.guarantee is not None:
        # How many rows there are was not asked, and would be one more answer.
        written |= {"rows": None, "holdout_rows": None}
    if anonymity is not None:
        written["anonymity"] = {
            "method": anonymity.method,
            "unit": anonymity.unit,
            "models": [without_whereabouts(model) for model in anonymity.models],
            "levels": dict(levels),
            "heights": dict(heights),
            "lattice": anonymity.lattice,
            "checked": anonymity.checked,
            "optimal": anonymity.optimal,
            **_public_figures(anonymity),
        }
    return written


def _public_synthesis(plan: SynthesisPlan) -> dict[str, Any]:
    """How rows were made; the people who taught are counted as all people are."""
    written = plan.model_dump(mode="json", exclude={"settings", "constraints"})
    taught = None if plan.taught is None else publish_count(plan.taught)
    return written | {
        "settings": without_whereabouts(plan.settings),
        "constraints": [_cleaned(constraint) for constraint in plan.constraints],
        "taught": taught,
    }


def _public_figures(anonymity: AnonymityPlan) -> dict[str, Any]:
    """The figures of a recoding; those of a table of too few people are withheld."""
    few = anonymity.rows < LEAST
    suppressed = publish_count(anonymity.suppressed_rows)

    def figure(value: float | None, digits: int = _DIGITS) -> float | None:
        return None if few or value is None else round(value, digits)

    return {
        "classes": None if few else round_count(anonymity.classes),
        "rows": publish_count(anonymity.rows),
        "suppressed_rows": suppressed,
        "suppressed_share": None
        if suppressed is None
        else round_share(anonymity.suppressed_share, anonymity.rows),
        "score": figure(anonymity.score),
        "raw_loss": figure(anonymity.raw_loss),
        "granularity": figure(anonymity.granularity),
        "losses": {name: figure(loss, 2) for name, loss in anonymity.losses.items()},
        "bound": figure(anonymity.bound),
    }


def _public_step(
    step: Step, levels: Mapping[str, int], heights: Mapping[str, int], made: SynthesisPlan | None
) -> dict[str, Any]:
    written: dict[str, Any] = {
        "column": step.column,
        "role": step.role.value,
        "sensitive": step.sensitive,
        # What a synthesizer learned is not kept: its values are made anew.
        "action": step.action if made is None else made.action(step),
        "params": without_whereabouts(step.params),
        "why": step.why,
    }
    if step.column in levels:
        written |= {"level": levels[step.column], "height": heights[step.column]}
    return written


def public_detections(inventory: Inventory | None) -> dict[str, tuple[str, ...]] | None:
    """The kinds of identifiers found in each column, without shares, counts or what spoke for them."""
    if inventory is None:
        return None
    return {
        profile.name: tuple(sorted({detection.kind for detection in profile.detections}))
        for profile in inventory.columns
    }


def public_decision(
    decision: Decision,
    findings: Sequence[Finding],
    published: Sequence[Finding],
    policy: Policy,
    kept: Sequence[Finding] = (),
) -> Decision:
    """The decision with its words made anew from published figures.

    The gate compares exact figures and may say them; in public each reason quotes the rounded finding,
    and says so, for rounding could seem to contradict the outcome. Why a finding met nothing whatever
    its figure (too few people, no interval, measured twice) is said before it. Of a finding that is ``kept``
    in the house nothing is said but the outcome.
    """
    housed = {(finding.metric, finding.target) for finding in kept}
    least = {(threshold.metric, threshold.target): threshold.least_n for threshold in policy.gate}

    def reworded(reason: Reason) -> Reason:
        name = (reason.metric, reason.target)
        if name in housed:
            return reason.model_copy(update={"words": HOUSED})
        exact = [finding for finding in findings if (finding.metric, finding.target) == name]
        shown = [finding for finding in published if (finding.metric, finding.target) == name]
        bar = "" if reason.passed else _bar(exact, least.get(name, 1))
        return reason.model_copy(update={"words": bar + _figure_words(shown[0] if shown else None)})

    return Decision(passed=decision.passed, reasons=tuple(map(reworded, decision.reasons)))


def _bar(exact: Sequence[Finding], least_n: int) -> str:
    """Why no figure would have helped, if it is so; these are facts of the method and not of people."""
    if len(exact) > 1:
        return "measured more than once, and none of the figures is the one to judge by: "
    if not exact or exact[0].value is None:
        return ""
    if exact[0].n < least_n:
        return f"rests on too few people, at least {least_n} are asked for: "
    return "has no interval to judge by: " if exact[0].low is None or exact[0].high is None else ""


def _figure_words(finding: Finding | None) -> str:
    if finding is None:
        return "there is no such finding"
    if finding.status == "proven" and finding.value is not None:
        return f"{value_words(finding.value, finding.unit)}, by accounting"
    if finding.status != "measured":
        return STATUSES[finding.status] + (f": {finding.note}" if finding.note else "")
    if finding.value is None:
        return WITHHELD
    between = interval(finding)
    return (
        value_words(finding.value, finding.unit)
        + (f", 95 % interval {between}" if between else ", a complete count")
        + f"; n = {finding.n:,}; compared before rounding"
    )


def published(findings: Sequence[Finding], plan: Mapping[str, Any]) -> tuple[Finding, ...]:
    """The findings as they may be published, in a stable order: by metric, then target.

    Args:
        plan: as it is published beside them.
    """
    shown = complemented(findings, publish_all(findings), plan)
    return tuple(sorted(shown, key=lambda finding: (finding.metric, finding.target, finding.source)))
