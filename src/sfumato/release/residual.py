"""What the findings come to, in plain words that claim no more than was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from sfumato.core.disclosure import BASE, WITHHELD
from sfumato.core.values import Finding
from sfumato.evidence import ATTACKS, UTILITY
from sfumato.release.facts import facts
from sfumato.release.words import (
    METHODS,
    STATUSES,
    TITLES,
    UNIT_WORDS,
    count_words,
    interval,
    is_percent,
    model_words,
    title,
    value_words,
)

if TYPE_CHECKING:
    from sfumato.release.account import Account

_ATTACKS = ("risk", "uniqueness", "linkage", "inference", "reconstruction", "composition")
FAMILIES = ("guarantee", "attacks", "learning", "fairness", "utility")
_FAMILY = (
    {"learning": "learning", "fairness": "fairness"}
    | dict.fromkeys((name.replace("-", "_") for name in ATTACKS), "attacks")
    | dict.fromkeys(_ATTACKS, "attacks")
    | dict.fromkeys(("dp", "audit"), "guarantee")
)
#: Figures whose family is not that of their name.
_METRICS = dict.fromkeys(("images.classifier_auc", "images.classifier_accuracy"), "learning")
#: What a figure of the whole release may be about: all of it, or all of it as seen in one way.
_WHOLE = ("release", "pixels", "features")
#: The figures that a reader is shown first, in order of preference.
_FIRST_ATTACKS = ("copies.excess", "linkage.success", "linkage.excess", "risk.mean", "risk.worst_class")
_FIRST_LEARNING = ("learning.skill_ratio", "learning.auc", "learning.r2", "images.classifier_auc")
#: An attack has shown its power if on the original rows it found this much more than guessing.
_POWER = 0.05


#: What differential privacy does not say.
PRIVATE_LIMITS = (
    "The bound is about what one more or one less tells. What is true of many is learned, and may be "
    "held against somebody who is not in the data at all.",
    "People who are tied to each other (a household, a family) are protected together by as many times "
    "the epsilon.",
)


#: What is true of every table that was made.
MADE_LIMITS = (
    "That rows are made protects nobody by itself: a synthesizer can repeat whom it learned from, and what "
    "the attacks looked for is what is known.",
    "What few people have is learned badly or not at all: do not study rare events on these rows.",
    "Figures made from these rows have the synthesizer's errors beside those of chance: intervals computed "
    "as if the rows were people are too narrow.",
)
#: What is true of histories besides.
HISTORY_LIMITS = (
    "Each person is made for themselves: nothing ties people who act together, such as a household, and no "
    "day is busy for all at once.",
    "What came before the window opened, or after it closed, is not told: who does not come again in it may "
    "have come after.",
)
#: What is true of images besides.
IMAGE_LIMITS = (
    "That no made image is a copy was measured by nearness: a detail of somebody's image, moved or put "
    "into another, is not found by it.",
    "The images are for trying things out. They are not for diagnosis, and not to be mixed with images of "
    "people without saying so.",
)
#: What is true where the figures on people stay in the house.
HOUSE_LIMITS = (
    "What was measured on people (attacks, use) stays in the house, for nobody charged it. That the gate let "
    "the release leave is an answer about people too, which no epsilon covers.",
)
#: What is true where they are published beside a guarantee.
SHOWN_LIMITS = (
    "The epsilon is about the rows. The figures that were measured on people, in this document, have no "
    "noise and are not covered by it.",
)


class Claim(str):
    """A sentence of the page that knows the findings it rests on, or the section that bears it out."""

    __slots__ = ("rests", "see")
    rests: tuple[Finding, ...]
    see: str

    def __new__(cls, words: str, *rests: Finding, see: str = "") -> Self:
        made = super().__new__(cls, words)
        made.rests, made.see = rests, see
        return made


@dataclass(frozen=True)
class Tile:
    """One figure at the head of the page, and the finding that it is."""

    name: str
    figure: str
    beside: str
    rests: Finding | None = None
    see: str = ""


def families(findings: Sequence[Finding]) -> dict[str, list[Finding]]:
    """Findings as the page groups them, well-known metrics first.

    The groups are guarantee (differential privacy and its audits), attacks, learning, fairness and utility.

    A metric of an unknown family counts as an attack if low is good and it is a share, a difference of
    shares, a probability or an AUC: an unknown risk must not hide among the figures of utility.
    """
    groups: dict[str, list[Finding]] = {name: [] for name in FAMILIES}
    order = {metric: number for number, metric in enumerate(TITLES)}
    for finding in sorted(findings, key=lambda found: order.get(found.metric, len(order))):
        family = _METRICS.get(finding.metric) or _FAMILY.get(finding.metric.partition(".")[0])
        if family is None:
            family = "attacks" if _risky(finding) else "utility"
        groups[family].append(finding)
    return groups


def _risky(finding: Finding) -> bool:
    """Whether a figure of an unknown family tells of a risk, as far as it can be seen from outside."""
    if finding.source in ATTACKS or finding.source in UTILITY:
        return finding.source in ATTACKS
    return finding.goal == "low" and (is_percent(finding.unit) or finding.unit == "auc")


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
    return rows if made["people"] is None else f"{rows} of {made['people']:,} people"


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
        sentences.append(Claim(f"The attack that adds most: {_residual(most)[1]}", most))
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
        and _is_risk(finding)
        and (finding.unit == "difference" or _without_release(finding) is not None)
        and not finding.metric.endswith(".disparity")
        and not (finding.metric.endswith(".risk") and finding.metric[: -len("risk")] + "excess" in excess)
    ]
    return max(
        judged, key=lambda found: (found.value or 0.0) - (_without_release(found) or 0.0), default=None
    )


def _gate_sentence(account: Account) -> Claim:
    failed = [reason.metric for reason in account.decision.reasons if not reason.passed]
    words = f"The gate refused, for {', '.join(sorted(set(failed)))}: no data left."
    if account.decision.passed:
        words = f"Every one of the gate's {len(account.decision.reasons)} thresholds was met."
    elif not failed:
        words = "The gate refused, and no data left."
    return Claim(words, see="gate")


def residual(attacks: Sequence[Finding]) -> list[Claim]:
    """For each attack on the whole release, what it found and what it would have found.

    Three cases: it found no more than guessing or the control population, and it had shown on the
    original rows that it works; it found no more, and never showed that it works; it found more.
    """
    return [
        Claim(_said_of(finding), finding)
        for finding in attacks
        if finding.target in _WHOLE and _is_risk(finding)
    ]


def _said_of(finding: Finding) -> str:
    """The sentence on a measured risk, and what it is about."""
    words = _residual(finding)[1]
    return words if finding.target == "release" else f"{finding.target}: {words}"


def _is_risk(finding: Finding) -> bool:
    measured = finding.status == "measured" and finding.value is not None
    return measured and finding.goal == "low" and is_percent(finding.unit)


#: What a finding on an attack comes to, the worst first.
STATES = ("a measured risk remains", "no leak found", "tried, and little learned", "not measured")


def verdict(findings: Sequence[Finding]) -> str:
    """What the findings on one way to a person come to together: the worst of :data:`STATES`.

    Only figures of risk count; a finding that was not measured says nothing where others were.
    """
    states = [_residual(finding)[0] for finding in findings if _is_risk(finding)]
    return min(states, key=STATES.index, default=STATES[-1])


def told(finding: Finding) -> Claim:
    """One finding in a sentence: what remains, if it is a measured risk, else its figure or its status."""
    if families([finding])["attacks"] and _is_risk(finding):
        return Claim(_said_of(finding), finding)
    name = title(finding.metric) + ("" if finding.target == "release" else f", {finding.target}")
    if finding.status not in ("measured", "proven"):
        note = f"; {finding.note}" if finding.note else ""
        return Claim(f"{name}: {STATUSES[finding.status]}{note}.", finding)
    if finding.value is None:
        return Claim(f"{name}: {WITHHELD}.", finding)
    between = interval(finding)
    before = "" if finding.before is None else f"; before, {value_words(finding.before, finding.unit)}"
    figure = value_words(finding.value, finding.unit) + (f", 95 % interval {between}" if between else "")
    return Claim(f"{name}: {figure}{before}.", finding)


def _residual(finding: Finding) -> tuple[str, str]:
    """Which of :data:`STATES` a measured risk is in, and the sentence on it."""
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
        return STATES[0], f"{name}: {figure} remains{beyond}{earlier}."
    if finding.before is not None and finding.before - (reference or 0.0) >= _POWER:
        words = f"No leak found by “{name}” ({figure}), which finds {before} in the original rows."
        return STATES[1], words
    shown = "nobody ran it on" if finding.before is None else f"it finds no more than {before} in"
    words = f"No leak found by “{name}” ({figure}), but {shown} the original rows, so this says little."
    return STATES[2], words


def _without_release(finding: Finding) -> float | None:
    """What the same attack gets without the release: the better of guessing and the control people.

    A difference has had the control subtracted already.
    """
    if finding.unit == "difference":
        return None
    return max((part for part in (finding.baseline, finding.control) if part is not None), default=None)


def _made_limits(made: Mapping[str, Any]) -> tuple[str, ...]:
    every = (*MADE_LIMITS, *(HISTORY_LIMITS if made["people"] is not None else ()))
    every = (*every, *(IMAGE_LIMITS if made["images"] else ()))
    if made["private"] is None:
        return every
    return (*every, *(HOUSE_LIMITS if made["house"] else SHOWN_LIMITS))


def limits(account: Account) -> list[Claim]:
    """What was not measured, and why."""
    said = [told(found) for found in account.findings if found.status not in ("measured", "proven")]
    withheld = [found for found in account.findings if found.status == "measured" and found.value is None]
    if withheld:
        words = "figures rest" if len(withheld) > 1 else "figure rests"
        said.append(Claim(f"{len(withheld)} {words} on too few people: withheld.", *withheld[:1]))
    private, made = account.guarantee, account.synthesis
    if private is not None:
        said += [Claim(words, see="guarantee") for words in (*PRIVATE_LIMITS, *private["notices"])]
    if made is not None:
        said += [Claim(words, see="made") for words in _made_limits(made)]
    if private is None and "evidence" not in account.policy:
        words = "The policy asks for no evidence beyond the class risks that are always measured."
        said.append(Claim(words, see="attacks"))
    return said
