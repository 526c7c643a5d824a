"""What the findings come to, in plain words that claim no more than was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self

from sfumato.core.disclosure import BASE, WITHHELD
from sfumato.core.values import Finding
from sfumato.evidence import ATTACKS, UTILITY
from sfumato.release.words import (
    STATUSES,
    TITLES,
    interval,
    is_percent,
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
#: What is true of several tables besides.
TABLE_LIMITS = (
    "Rows of one made person in a table are drawn independently of each other: what came before what, and "
    "what is bought together, is not told.",
    "A rule that holds between two tables of people (no purchase before the first visit) need not hold in "
    "those that were made.",
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


def residual(attacks: Sequence[Finding]) -> list[Claim]:
    """For each attack on the whole release, what it found and what it would have found.

    Three cases: it found no more than guessing or the control population, and it had shown on the
    original rows that it works; it found no more, and never showed that it works; it found more.
    """
    return [
        Claim(_said_of(finding), finding)
        for finding in attacks
        if finding.target in _WHOLE and is_risk(finding)
    ]


def _said_of(finding: Finding) -> str:
    """The sentence on a measured risk, and what it is about."""
    words = outcome(finding)[1]
    return words if finding.target == "release" else f"{finding.target}: {words}"


def is_risk(finding: Finding) -> bool:
    measured = finding.status == "measured" and finding.value is not None
    return measured and finding.goal == "low" and is_percent(finding.unit)


#: What a finding on an attack comes to, the worst first.
STATES = ("a measured risk remains", "no leak found", "tried, and little learned", "not measured")


def verdict(findings: Sequence[Finding]) -> str:
    """What the findings on one way to a person come to together: the worst of :data:`STATES`.

    Only figures of risk count; a finding that was not measured says nothing where others were.
    """
    states = [outcome(finding)[0] for finding in findings if is_risk(finding)]
    return min(states, key=STATES.index, default=STATES[-1])


def told(finding: Finding) -> Claim:
    """One finding in a sentence: what remains, if it is a measured risk, else its figure or its status."""
    if families([finding])["attacks"] and is_risk(finding):
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


def outcome(finding: Finding) -> tuple[str, str]:
    """Which of :data:`STATES` a measured risk is in, and the sentence on it."""
    name, between = title(finding.metric), interval(finding)
    figure = value_words(finding.value, finding.unit) + (f", 95 % interval {between}" if between else "")
    if finding.unit == "share" and finding.value == 0 and not between:
        figure += f", which as counts are rounded may be {(BASE - 1) // 2} people"
    before = value_words(finding.before, finding.unit)
    reference = without_release(finding)
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


def without_release(finding: Finding) -> float | None:
    """What the same attack gets without the release: the better of guessing and the control people.

    A difference has had the control subtracted already.
    """
    if finding.unit == "difference":
        return None
    return max((part for part in (finding.baseline, finding.control) if part is not None), default=None)


def _made_limits(made: Mapping[str, Any]) -> tuple[str, ...]:
    every = (*MADE_LIMITS, *(HISTORY_LIMITS if made["history"] else ()))
    every = (*every, *(IMAGE_LIMITS if made["images"] else ()), *(TABLE_LIMITS if made["tables"] else ()))
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
