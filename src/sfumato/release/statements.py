"""A law or a form held against what is known of a release: sentences, and questions to a person.

A sentence is said only if everything that it names is known; where it is not, its question is asked.
So nothing can be made up: not a purpose, not a legal basis, not a figure that nobody measured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from sfumato.core.values import Finding
from sfumato.release.facts import Column, Facts
from sfumato.release.law import PLACEHOLDER, Expected, Item, Law, Place, Provision, Selector
from sfumato.release.residual import Claim, told, verdict

#: What became of a provision's columns, the worst of them first.
COLUMN_VERDICTS = (
    "still there",
    "still there as a keyed pseudonym",
    "still there, changed",
    "dropped",
    "none found",
    "not looked for",
)


@dataclass(frozen=True)
class Answer:
    """A provision with what is said of it and what a person is asked."""

    provision: Provision
    name: str
    asks: str
    said: tuple[Claim, ...]
    asked: tuple[str, ...]
    verdict: str


@dataclass(frozen=True)
class Statement:
    """A law or form filled in.

    ``of`` is the recipient of one that is told for each, ``applies`` whether it does; where not,
    ``about`` says so and there are no answers.
    """

    law: Law
    id: str
    of: str
    applies: bool
    about: str
    answers: tuple[Answer, ...]

    @property
    def questions(self) -> int:
        """How many are left to a person."""
        return sum(len(answer.asked) for answer in self.answers)


def statements(
    laws: Sequence[Law],
    place: Place,
    known: Facts,
    findings: Sequence[Finding],
    recipients: Sequence[str] = (),
) -> list[Statement]:
    """Everything that stands in one place, in its order.

    Args:
        laws: all of them.
        place: the place.
        known: what is known of the release.
        findings: published ones.
        recipients: those that some files are told for each of; with none, such a file is told once.
    """
    made = []
    for law in laws:
        if law.place != place:
            continue
        if law.each and recipients:
            made += [
                _statement(
                    law, f"law-{law.id}-{number}", recipient, known.also(recipient=recipient), findings
                )
                for number, recipient in enumerate(recipients, start=1)
            ]
        else:
            made.append(_statement(law, f"law-{law.id}", "", known, findings))
    return made


def _statement(law: Law, name: str, of: str, known: Facts, findings: Sequence[Finding]) -> Statement:
    known = known.also(**{f"terms.{term}": words for term, words in law.terms.items()})
    if not holds(law.applies, known):
        return Statement(law, name, of, False, filled(law.otherwise, known) or "", ())
    answers = (_answer(provision, known, findings) for provision in law.provisions)
    shown = tuple(each for each in answers if each.said or each.asked or not each.provision.optional)
    return Statement(law, name, of, True, filled(law.about, known) or "", shown)


def _answer(provision: Provision, known: Facts, findings: Sequence[Finding]) -> Answer:
    said: list[Claim] = []
    asked: list[str] = []
    for item in provision.shows:
        if holds(item.when, known):
            sentences, answered = _said(item, known, findings)
            said += sentences
            question = "" if answered else filled(item.ask, known)
            asked += [question] if question else []
    return Answer(
        provision=provision,
        name=filled(provision.name, known) or provision.id,
        asks=filled(provision.asks, known) or "",
        said=tuple(said),
        asked=tuple(asked),
        verdict=_verdict(provision, known, findings),
    )


def _said(item: Item, known: Facts, findings: Sequence[Finding]) -> tuple[list[Claim], bool]:
    """An item's sentences, and whether they answer its question: that nothing is there does not."""
    if item.findings:
        matched = matching(item.findings, findings)
        lead = filled(item.say if matched else item.none, known)
        return _one(lead, (), ()) + [told(finding) for finding in matched], bool(matched)
    there = True
    if item.columns is not None:
        chosen = selected(item.columns, known.columns)
        known, there = _with_columns(known, chosen), bool(chosen)
    words = filled(item.say if there else item.none, known)
    return _one(words, PLACEHOLDER.findall(item.say), findings), there and bool(words)


def _one(words: str | None, paths: Sequence[str], findings: Sequence[Finding]) -> list[Claim]:
    """A sentence, if there is one; it rests on the findings whose figures it names."""
    named = {path.removeprefix("finding.") for path in paths if path.startswith("finding.")}
    rests = (found for found in findings if found.metric in named and found.target == "release")
    return [Claim(words, *rests)] if words else []


def filled(words: str, known: Facts) -> str | None:
    """A text with what it names put in, empty for none, or None if something that it names is not known.

    >>> filled("For {dataset.purpose}.", Facts({"dataset.purpose": "research"}, ()))
    'For research.'
    >>> filled("For {dataset.purpose}.", Facts({}, ())) is None
    True
    """
    if not all(known[path] for path in PLACEHOLDER.findall(words)):
        return None
    return PLACEHOLDER.sub(lambda match: known[match[1]], words)


def holds(conditions: Mapping[str, Expected], known: Facts) -> bool:
    """Whether every condition holds: true for known, false for not known, else one of the words given.

    >>> known = Facts({"context.release": "public"}, ())
    >>> holds({"context.release": ["internal", "public"], "dataset.owner": False}, known)
    True
    """
    return all(_holds(expected, known[path]) for path, expected in conditions.items())


def _holds(expected: Expected, words: str) -> bool:
    if isinstance(expected, bool):
        return bool(words) is expected
    return words == expected if isinstance(expected, str) else words in expected


def selected(selector: Selector, columns: Sequence[Column]) -> list[Column]:
    """The columns that a selector means."""
    return [column for column in columns if _means(selector, column)]


def _means(selector: Selector, column: Column) -> bool:
    evident = not (selector.detected or selector.named) or bool(
        set(selector.detected) & set(column.detected) or set(selector.named) & column.words
    )
    return (
        evident
        and (not selector.role or column.role in selector.role)
        and (not selector.action or column.action in selector.action)
        and (selector.sensitive is None or column.sensitive is selector.sensitive)
        and (selector.released is None or column.gone is not selector.released)
    )


def _with_columns(known: Facts, chosen: Sequence[Column]) -> Facts:
    words = "; ".join(f"{column.name} ({column.done})" for column in chosen)
    return known.also(columns=words, names=", ".join(column.name for column in chosen))


def matching(patterns: Sequence[str], findings: Sequence[Finding]) -> list[Finding]:
    """For each metric that a pattern means, the figure of the whole release.

    Where the whole was not measured, the least favourable figure of a part comes before it, of a column or
    a way of attack rather than of a group. Patterns come in their order, the metrics of one in the order
    of the findings.
    """
    found: list[Finding] = []
    for pattern in patterns:
        by_metric: dict[str, list[Finding]] = {}
        for finding in findings:
            if fnmatchcase(finding.metric, pattern) and finding not in found:
                by_metric.setdefault(finding.metric, []).append(finding)
        for members in by_metric.values():
            found += _spokesmen(members)
    return found


def _spokesmen(members: Sequence[Finding]) -> list[Finding]:
    whole = [finding for finding in members if finding.target == "release"]
    if any(finding.value is not None for finding in whole):
        return whole
    parts = [finding for finding in members if finding.target != "release"]
    parts = [finding for finding in parts if "=" not in finding.target] or parts
    measured = [finding for finding in parts if finding.value is not None]
    if measured:
        return [max(measured, key=_badness), *whole]
    return whole or parts[:1]


def _badness(finding: Finding) -> float:
    assert finding.value is not None
    return finding.value if finding.goal == "low" else -finding.value


def _verdict(provision: Provision, known: Facts, findings: Sequence[Finding]) -> str:
    if provision.verdict is None:
        return ""
    if provision.verdict == "findings":
        patterns = [pattern for item in provision.shows for pattern in item.findings]
        return verdict(matching(patterns, findings))
    selectors = [item.columns for item in provision.shows if item.columns is not None]
    states = [_state(column) for selector in selectors for column in selected(selector, known.columns)]
    if states:
        return min(states, key=COLUMN_VERDICTS.index)
    looked = known["inventory"] and any(selector.detected for selector in selectors)
    return "none found" if looked else "not looked for"


def _state(column: Column) -> str:
    """What became of a column, as an identifier."""
    if column.gone:
        return "dropped"
    if column.action == "keep":
        return "still there"
    if column.action == "pseudonymize":
        return "still there as a keyed pseudonym"
    return "still there, changed"
