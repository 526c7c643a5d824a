"""What the findings come to, in plain words that claim no more than was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sfumato.core.disclosure import BASE
from sfumato.core.values import Finding
from sfumato.release.account import Account
from sfumato.release.words import STATUSES, TITLES, interval, is_percent, model_words, title, value_words

_ATTACKS = ("risk", "uniqueness", "linkage", "singling_out", "inference", "membership", "reconstruction")
_FAMILY = {"learning": "learning", "fairness": "fairness"} | dict.fromkeys(_ATTACKS, "attacks")
#: The figures that a reader is shown first, in order of preference.
_FIRST_ATTACKS = ("linkage.success", "linkage.excess", "risk.mean", "risk.worst_class")
_FIRST_LEARNING = ("learning.skill_ratio", "learning.auc")
#: An attack has shown its power if on the original rows it found this much more than guessing.
_POWER = 0.05


@dataclass(frozen=True)
class Tile:
    """One figure at the head of the page."""

    name: str
    figure: str
    beside: str


def families(findings: Sequence[Finding]) -> dict[str, list[Finding]]:
    """Findings as the page groups them, well-known metrics first: attacks, learning, fairness, utility.

    A metric of an unknown family counts as an attack if low is good and it is a share or a
    probability: an unknown risk must not hide among the figures of utility.
    """
    groups: dict[str, list[Finding]] = {"attacks": [], "learning": [], "fairness": [], "utility": []}
    order = {metric: number for number, metric in enumerate(TITLES)}
    for finding in sorted(findings, key=lambda found: order.get(found.metric, len(order))):
        family = _FAMILY.get(finding.metric.partition(".")[0])
        if family is None:
            risky = finding.goal == "low" and finding.unit in ("share", "probability")
            family = "attacks" if risky else "utility"
        groups[family].append(finding)
    return groups


def first(findings: Sequence[Finding], preferred: Sequence[str]) -> Finding | None:
    """The first measured finding on the whole release, preferred metrics before others."""
    measured = [f for f in findings if f.value is not None and f.target == "release"]
    for metric in preferred:
        for finding in measured:
            if finding.metric == metric:
                return finding
    return measured[0] if measured else None


def headline(account: Account) -> list[Tile]:
    """The few figures that stand at the head of the page."""
    groups = families(account.findings)
    leaves = account.decision.passed
    tiles = [Tile("rows leave" if leaves else "rows would have left", f"{account.rows:,}", "rounded to 5")]
    attack = first(groups["attacks"], _FIRST_ATTACKS)
    if attack is not None:
        tiles.append(_tile(attack, "before"))
    learning = first(groups["learning"], _FIRST_LEARNING)
    if learning is not None:
        tiles.append(_tile(learning, "on the original"))
    met = sum(reason.passed for reason in account.decision.reasons)
    tiles.append(Tile("thresholds met", f"{met} of {len(account.decision.reasons)}", "at the gate"))
    return tiles


def _tile(finding: Finding, before: str) -> Tile:
    beside = "" if finding.before is None else f"{before}: {value_words(finding.before, finding.unit)}"
    return Tile(title(finding.metric), value_words(finding.value, finding.unit), beside)


def summary(account: Account) -> list[str]:
    """The release in a few sentences."""
    plan = account.plan
    return [
        _rows_sentence(account),
        _columns_sentence(plan["columns"]),
        *_anonymity_sentences(plan["anonymity"]),
        *_finding_sentences(account),
        _gate_sentence(account),
    ]


def _rows_sentence(account: Account) -> str:
    plan, anonymity = account.plan, account.plan["anonymity"]
    verb = "leave" if account.decision.passed else "would have left"
    parts = [f"Of {plan['rows']:,} rows read, {account.rows:,} {verb}"]
    if plan["holdout_rows"]:
        parts.append(f"{plan['holdout_rows']:,} were held out to test on and as people who are not there")
    if anonymity is not None:
        parts.append(f"{anonymity['suppressed_rows']:,} were suppressed")
    return "; ".join(parts) + ". Counts are rounded to 5."


def _columns_sentence(columns: Sequence[Mapping[str, Any]]) -> str:
    actions = [column["action"] for column in columns]
    dropped, kept = actions.count("drop"), actions.count("keep")
    return (
        f"Columns: {len(actions)}, of which {dropped} dropped, {len(actions) - dropped - kept} released in "
        f"changed form, {kept} released as they are."
    )


def _anonymity_sentences(anonymity: Mapping[str, Any] | None) -> list[str]:
    if anonymity is None:
        return ["The policy asks for no recoding of the table: nothing is said about classes of people."]
    return [f"The rows as written were checked for {model_words(model)}." for model in anonymity["models"]]


def _finding_sentences(account: Account) -> list[str]:
    groups = families(account.findings)
    sentences = []
    attack = first(groups["attacks"], _FIRST_ATTACKS)
    if attack is not None:
        before = "" if attack.before is None else f", {value_words(attack.before, attack.unit)} before"
        sentences.append(f"{title(attack.metric)}: {value_words(attack.value, attack.unit)} now{before}.")
    learning = first(groups["learning"], _FIRST_LEARNING)
    if learning is not None:
        between = interval(learning)
        sentences.append(
            f"{title(learning.metric)}: {value_words(learning.value, learning.unit)}"
            + (f" (95 % interval {between})." if between else ".")
        )
    gaps = [f for f in groups["fairness"] if f.unit == "difference" and f.value is not None]
    if gaps:
        worst = max(gaps, key=lambda gap: (gap.value or 0.0) - (gap.before or 0.0))
        before = "" if worst.before is None else f", {value_words(worst.before, worst.unit)} before"
        by = "" if worst.target == "release" else f" by {worst.target}"
        sentences.append(
            f"What grew most between groups: {title(worst.metric).lower()}{by}, "
            f"{value_words(worst.value, worst.unit)} now{before}."
        )
    return sentences


def _gate_sentence(account: Account) -> str:
    failed = [reason.metric for reason in account.decision.reasons if not reason.passed]
    if account.decision.passed:
        return f"Every one of the gate's {len(account.decision.reasons)} thresholds was met."
    if not failed:
        return "The gate refused, and no data left."
    return f"The gate refused, for {', '.join(sorted(set(failed)))}: no data left."


def residual(attacks: Sequence[Finding]) -> list[str]:
    """For each attack on the whole release, what it found and what it would have found.

    Three cases: it found no more than guessing or the control population, and it had shown on the
    original rows that it works; it found no more, and never showed that it works; it found more.
    """
    return [
        _residual(finding)
        for finding in attacks
        if finding.target == "release"
        and finding.value is not None
        and finding.goal == "low"
        and is_percent(finding.unit)
    ]


def _residual(finding: Finding) -> str:
    name, between = title(finding.metric), interval(finding)
    figure = value_words(finding.value, finding.unit) + (f", 95 % interval {between}" if between else "")
    if finding.unit == "share" and finding.value == 0 and not between:
        figure += f", which as counts are rounded may be {(BASE - 1) // 2} people"
    before = value_words(finding.before, finding.unit)
    reference = _without_release(finding)
    low = finding.value if finding.low is None else finding.low
    assert low is not None
    if low > (reference or 0.0):
        beyond = f", against {value_words(reference, finding.unit)} without the release" if reference else ""
        earlier = "" if finding.before is None else f"; on the original rows it is {before}"
        return f"{name}: {figure} remains{beyond}{earlier}."
    if finding.before is not None and finding.before - (reference or 0.0) >= _POWER:
        return f"No leak found by “{name}” ({figure}), which finds {before} in the original rows."
    shown = "nobody ran it on" if finding.before is None else f"it finds no more than {before} in"
    return f"No leak found by “{name}” ({figure}), but {shown} the original rows, so this says little."


def _without_release(finding: Finding) -> float | None:
    """What the same attack gets without the release: the better of guessing and the control people.

    A difference has had the control subtracted already.
    """
    if finding.unit == "difference":
        return None
    return max((part for part in (finding.baseline, finding.control) if part is not None), default=None)


def limits(account: Account) -> list[str]:
    """What was not measured, and why."""
    silent = [finding for finding in account.findings if finding.status != "measured"]
    said = [
        f"{title(finding.metric)}"
        + ("" if finding.target == "release" else f" ({finding.target})")
        + f": {STATUSES[finding.status]}"
        + (f"; {finding.note}" if finding.note else "")
        + "."
        for finding in silent
    ]
    withheld = sum(finding.status == "measured" and finding.value is None for finding in account.findings)
    if withheld:
        said.append(f"{withheld} figures rest on too few people and are withheld.")
    if "evidence" not in account.policy:
        said.append("The policy asks for no evidence beyond the class risks that are always measured.")
    return said
