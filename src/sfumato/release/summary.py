"""The head of the page: the release in a few figures and a few sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sfumato.core.disclosure import BASE
from sfumato.core.values import Finding
from sfumato.release.facts import facts
from sfumato.release.residual import Claim, families, is_risk, outcome, without_release
from sfumato.release.unjudged import unjudged
from sfumato.release.words import METHODS, UNIT_WORDS, count_words, interval, model_words, title, value_words

if TYPE_CHECKING:
    from sfumato.release.account import Account

#: The figures that a reader is shown first, in order of preference.
_FIRST_ATTACKS = ("copies.excess", "linkage.success", "linkage.excess", "risk.mean", "risk.worst_class")
_FIRST_LEARNING = ("learning.skill_ratio", "learning.auc", "learning.r2", "images.classifier_auc")


@dataclass(frozen=True)
class Tile:
    """One figure at the head of the page, and the finding that it is."""

    name: str
    figure: str
    beside: str
    rests: Finding | None = None
    see: str = ""


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
    tiles = [_rows_tile(account)] if account.private is None else []
    if account.guarantee is not None:
        tiles.append(_private_tile(account.guarantee))
    attack = first(groups["attacks"], _FIRST_ATTACKS)
    if attack is not None:
        tiles.append(_tile(attack, "before"))
    learning = first(groups["learning"], _FIRST_LEARNING)
    if learning is not None:
        tiles.append(_tile(learning, "on the original"))
    met = sum(reason.passed for reason in account.decision.reasons)
    of = len(account.decision.reasons)
    tiles.append(Tile("thresholds met", f"{met} of {of}", "at the gate", see="gate"))
    return tiles


def _rows_tile(account: Account) -> Tile:
    what = "images" if account.synthesis is not None and account.synthesis["images"] else "rows"
    name = f"{what} leave" if account.decision.passed else f"{what} would have left"
    if account.synthesis is not None:
        return Tile(name, count_words(account.rows), "made anew, none of them anybody's", see="made")
    return Tile(name, count_words(account.rows), f"rounded to {BASE}", see="data")


def _private_tile(private: Mapping[str, Any]) -> Tile:
    told = f"delta {value_words(private['delta'], 'delta')}, for each {UNIT_WORDS[private['unit']]}"
    return Tile("epsilon", value_words(private["epsilon"], "epsilon"), told, see="guarantee")


def _tile(finding: Finding, before: str) -> Tile:
    beside = "" if finding.before is None else f"{before}: {value_words(finding.before, finding.unit)}"
    return Tile(title(finding.metric), value_words(finding.value, finding.unit), beside, finding)


def summary(account: Account) -> list[Claim]:
    """The release in a few sentences."""
    plan = account.plan
    if account.private is not None:
        return [*_private_sentences(account.private), _gate_sentence(account)]
    made = account.synthesis
    return [
        *([_rows_sentence(account)] if made is None else _made_sentences(account, made)),
        _columns_sentence(account),
        *(_anonymity_sentences(plan["anonymity"]) if made is None else ()),
        *_finding_sentences(account),
        _gate_sentence(account),
        *_unjudged_sentence(account),
    ]


def _private_sentences(private: Mapping[str, Any]) -> list[Claim]:
    questions = len(private["asked"])
    unit = UNIT_WORDS[private["unit"]]
    done = f"{questions} {'question was' if questions == 1 else 'questions were'} answered"
    if private["kind"] == "model":
        done = "a model was trained"
    hidden = f"No rows leave: {done}, with noise that hides whether any one {unit} is there."
    return [Claim(hidden, see="guarantee"), *_cost_sentences(private)]


def _cost_sentences(private: Mapping[str, Any]) -> list[Claim]:
    """What a guarantee costs, and what is outside it."""
    unit = UNIT_WORDS[private["unit"]]
    epsilon, replaced = (value_words(private[name], "epsilon") for name in ("epsilon", "replace_epsilon"))
    delta = value_words(private["delta"], "delta")
    said = [
        f"It cost epsilon {epsilon} and delta {delta} where a {unit} is added or removed, and "
        f"epsilon {replaced} where one is replaced by another.",
    ]
    if private["unbounded"]:
        said.append(
            f"Releases of the same people left without differential privacy ({private['unbounded']}): no "
            "epsilon bounds what all of them tell together."
        )
    return [Claim(words, see="guarantee") for words in said]


def _rows_sentence(account: Account) -> Claim:
    plan, anonymity = account.plan, account.plan["anonymity"]
    verb = "leave" if account.decision.passed else "would have left"
    parts = [f"Of {count_words(plan['rows'])} rows read, {count_words(account.rows)} {verb}"]
    if account.holds_out:
        left = "not sampled or held out, and serve" if account.policy.get("sampling") else "held out"
        held = count_words(plan["holdout_rows"])
        parts.append(f"{held} were {left} to test on and as people who are not there")
    if anonymity is not None:
        parts.append(f"{count_words(anonymity['suppressed_rows'])} were suppressed")
    return Claim("; ".join(parts) + f". Counts are rounded to {BASE}.", see="data")


def _made_sentences(account: Account, made: Mapping[str, Any]) -> list[Claim]:
    """Who made the rows, of whom it learned, and what bounds what they tell."""
    verb = "leave" if account.decision.passed else "would have left"
    of = "" if made["taught"] is None else f" from {count_words(made['taught'])} {_taught_words(made)}"
    what = "image" if made["images"] else "row"
    said = [
        Claim(
            f"No {what} of anybody leaves: a synthesizer ({METHODS.get(made['method'], made['method'])})"
            f" learned{of}, and {_made_words(made)} that it made {verb}.",
            see="made",
        )
    ]
    private = made["private"]
    if private is None:
        words = (
            f"No epsilon bounds what the {what}s tell of anybody: what the attacks found is all that is"
            " known."
        )
        return [*said, Claim(words, see="attacks")]
    return [*said, *_cost_sentences(private)]


def _taught_words(made: Mapping[str, Any]) -> str:
    return "images" if made["images"] else "people"


def _made_words(made: Mapping[str, Any]) -> str:
    """How many rows were made, and of how many people where they are events."""
    what = "images" if made["images"] else "rows"
    rows = f"the {what}" if made["rows"] is None else f"{made['rows']:,} {what}"
    if made["people"] is None:
        return rows
    tables = f" in {len(made['tables'])} tables" if made["tables"] else ""
    return f"{rows} of {made['people']:,} people{tables}"


def _columns_sentence(account: Account) -> Claim:
    columns = facts(account).columns
    dropped = sum(column.gone for column in columns)
    kept = sum(column.action == "keep" for column in columns)
    return Claim(
        f"Columns: {len(columns)}, of which {dropped} dropped, {len(columns) - dropped - kept} released in "
        f"changed form, {kept} released as they are.",
        see="columns",
    )


def _anonymity_sentences(anonymity: Mapping[str, Any] | None) -> list[Claim]:
    if anonymity is None:
        words = "The policy asks for no recoding of the table: nothing is said about classes of people."
        return [Claim(words, see="classes")]
    return [
        Claim(f"The rows as written were checked for {model_words(model)}.", see="classes")
        for model in anonymity["models"]
    ]


def _finding_sentences(account: Account) -> list[Claim]:
    groups = families(account.findings)
    sentences = []
    attack = first(groups["attacks"], _FIRST_ATTACKS)
    if attack is not None:
        before = "" if attack.before is None else f", {value_words(attack.before, attack.unit)} before"
        now = f"{title(attack.metric)}: {value_words(attack.value, attack.unit)} now{before}."
        sentences.append(Claim(now, attack))
    most = _most_beyond(groups["attacks"])
    if most is not None and most is not attack:
        sentences.append(Claim(f"The attack that adds most: {outcome(most)[1]}", most))
    learning = first(groups["learning"], _FIRST_LEARNING)
    if learning is not None:
        between = interval(learning)
        words = f"{title(learning.metric)}: {value_words(learning.value, learning.unit)}"
        sentences.append(Claim(words + (f" (95 % interval {between})." if between else "."), learning))
    gaps = [f for f in groups["fairness"] if f.unit == "difference" and f.value is not None]
    if gaps:
        worst = max(gaps, key=lambda gap: (gap.value or 0.0) - (gap.before or 0.0))
        before = "" if worst.before is None else f", {value_words(worst.before, worst.unit)} before"
        by = "" if worst.target == "release" else f" by {worst.target}"
        words = f"What grew most between groups: {title(worst.metric).lower()}{by}, "
        sentences.append(Claim(words + f"{value_words(worst.value, worst.unit)} now{before}.", worst))
    return sentences


def _most_beyond(attacks: Sequence[Finding]) -> Finding | None:
    """The attack that gets most beyond what it gets without the release, as far as that was measured.

    A risk whose excess over people not released was measured is judged by that: guessing is the lesser test.
    """
    excess = {
        found.metric for found in attacks if found.metric.endswith(".excess") and found.value is not None
    }
    judged = [
        finding
        for finding in attacks
        if finding.target == "release"
        and is_risk(finding)
        and (finding.unit == "difference" or without_release(finding) is not None)
        and not finding.metric.endswith(".disparity")
        and not (finding.metric.endswith(".risk") and finding.metric[: -len("risk")] + "excess" in excess)
    ]
    return max(judged, key=lambda found: (found.value or 0.0) - (without_release(found) or 0.0), default=None)


def _gate_sentence(account: Account) -> Claim:
    failed = [reason.metric for reason in account.decision.reasons if not reason.passed]
    words = f"The gate refused, for {', '.join(sorted(set(failed)))}: no data left."
    if account.decision.passed:
        many = len(account.decision.reasons)
        words = (
            f"Every one of the gate's {many} thresholds was met."
            if many > 1
            else "The gate's one threshold was met."
        )
    elif not failed:
        words = "The gate refused, and no data left."
    return Claim(words, see="gate")


def _unjudged_sentence(account: Account) -> list[Claim]:
    found = unjudged(account.findings, account.decision)
    if not found:
        return []
    told = "; ".join(f"{title(one.metric)}, {value_words(one.value, one.unit)}" for one in found)
    words = f"No threshold was about these, and a gate passes what it is not asked about. {told}."
    return [Claim(words, *found)]
