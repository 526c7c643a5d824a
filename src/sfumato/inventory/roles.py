"""How each column is to be treated, and why, when in doubt on the safe side.

The rules are asked in order and the first that speaks decides: what points to one person is a direct
identifier; what outsiders know or can look up, what singles people out, what gives such a column away
and whatever nothing is known of is a quasi-identifier; insensitive is only a target of classes, or of
what outsiders do not know, what is the same for everybody, and a sensitive matter that singles nobody
out and outsiders do not know.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sfumato.core.registry import Registry
from sfumato.core.values import Detection, Role
from sfumato.inventory.detectors import DETECTORS
from sfumato.inventory.headers import Header
from sfumato.inventory.profile import Measured

#: A column that alone singles out this share of the rows is never called insensitive.
SINGLES_OUT = 0.01
#: A column "the same for everybody" needs that many to be said of.
_LEAST_ROWS = 10
#: A column that tells this share of the target deserves a question.
_TELLING = 0.5

_TITLES = {
    "email": "e-mail addresses",
    "url": "web addresses",
    "ip-address": "IP addresses",
    "mac-address": "MAC addresses",
    "uuid": "UUIDs",
    "hex-digest": "digests of something",
    "iban": "bank account numbers (IBAN)",
    "payment-card": "payment card numbers",
    "national-id": "national identity numbers",
    "phone": "phone numbers",
    "person-name": "names of people",
    "street-address": "street addresses",
    "postcode": "postcodes",
    "coordinates": "coordinates of places",
    "date-of-birth": "dates of birth",
    "date": "dates or times",
    "free-text": "free text, in which anything may stand",
    "record-code": "codes or numbers of one record",
    "near-unique-key": "values that hardly two people share",
}


@dataclass(frozen=True)
class Facts:
    """All that is known of a column when its role is decided.

    ``place_partners`` share its partition of the rows (:mod:`sfumato.inventory.places`);
    ``function_of`` determine it.
    """

    column: Measured
    header: Header
    detections: tuple[Detection, ...]
    function_of: tuple[str, ...]
    place_partners: tuple[str, ...]
    is_target: bool
    is_subject: bool
    determines_target: bool
    told_of_target: float = 0.0


@dataclass(frozen=True)
class Verdict:
    """A column's role, whether it is sensitive, and the reason in plain words."""

    role: Role
    sensitive: bool
    why: str


Rule = Callable[[Facts], tuple[Role, str] | None]


def decide(all_facts: Mapping[str, Facts]) -> dict[str, Verdict]:
    """The verdict on each column.

    Columns that no rule decides are quasi-identifiers, those that speak of something sensitive only
    if they are a function of one; so these come last.
    """
    verdicts: dict[str, Verdict] = {}
    doubtful: list[str] = []
    for name, facts in all_facts.items():
        decided = _first(facts, _RULES)
        if decided is None:
            doubtful.append(name)
        else:
            verdicts[name] = _verdict(facts, *decided)
    quasi = {name for name, verdict in verdicts.items() if verdict.role is Role.QUASI_IDENTIFIER}
    for sensitive in (False, True):
        these = [name for name in doubtful if (all_facts[name].header.harm() is not None) is sensitive]
        for name in these:
            verdicts[name] = _verdict(all_facts[name], *_last(all_facts[name], quasi))
        quasi = quasi.union(these)
    return {name: verdicts[name] for name in all_facts}


def role_of(detection: Detection, registry: Registry = DETECTORS) -> Role:
    """The role that a kind of detection gives its column."""
    role: Role = registry.resolve(detection.kind).role
    return role


def _first(facts: Facts, rules: tuple[Rule, ...]) -> tuple[Role, str] | None:
    return next((found for rule in rules if (found := rule(facts)) is not None), None)


def _verdict(facts: Facts, role: Role, why: str) -> Verdict:
    # An identifier's name may speak of anything ("patient disease id"); it goes as it is.
    nothing = role is Role.DIRECT_IDENTIFIER or facts.column.kind == "empty"
    harm = None if nothing else facts.header.harm()
    if harm:
        why += f" It would harm a person if learned: it speaks of {harm}."
    if facts.function_of and "function of" not in why:
        why += f" It is a function of {_few(facts.function_of)}."
    if facts.determines_target:
        why += " It gives the target away, so a model must not learn from it."
    elif facts.told_of_target >= _TELLING:
        told = _percent(facts.told_of_target)
        why += f" It tells {told} of the target: make sure that it is known before the target is."
    return Verdict(role, harm is not None, why)


def _subject(facts: Facts) -> tuple[Role, str] | None:
    if not facts.is_subject:
        return None
    return Role.DIRECT_IDENTIFIER, "It says which rows are one person's."


def _direct(facts: Facts) -> tuple[Role, str] | None:
    found = [d for d in facts.detections if role_of(d) is Role.DIRECT_IDENTIFIER]
    if not found:
        return None
    return Role.DIRECT_IDENTIFIER, f"It holds {_titles(found)}: {found[0].evidence}."


def _constant(facts: Facts) -> tuple[Role, str] | None:
    column = facts.column
    if column.kind == "empty":
        return Role.INSENSITIVE, "It is empty."
    if column.values_seen > 1 or len(column.codes) < _LEAST_ROWS:
        return None
    return Role.INSENSITIVE, "It is the same in every row, so it tells nobody apart."


def _singles_out(facts: Facts) -> tuple[Role, str] | None:
    if facts.column.unique < SINGLES_OUT:
        return None
    share = _percent(facts.column.unique)
    return Role.QUASI_IDENTIFIER, f"Its value alone singles out {share} of the rows.{_also(facts)}"


def _target(facts: Facts) -> tuple[Role, str] | None:
    if not facts.is_target:
        return None
    return Role.INSENSITIVE, "It is the target, which is to be learned, and singles hardly anybody out."


def _detected_quasi(facts: Facts) -> tuple[Role, str] | None:
    found = [d for d in facts.detections if role_of(d) is Role.QUASI_IDENTIFIER]
    if not found:
        return None
    return Role.QUASI_IDENTIFIER, f"It holds {_titles(found)}: {found[0].evidence}."


def _known(facts: Facts) -> tuple[Role, str] | None:
    topic = facts.header.known()
    if topic is None:
        return None
    return Role.QUASI_IDENTIFIER, f"By its name it speaks of {topic}, which others often know of a person."


def _place(facts: Facts) -> tuple[Role, str] | None:
    if not facts.place_partners:
        return None
    partners = _few(facts.place_partners)
    why = (
        f"It puts the same rows together as {partners}, as figures of a place, an employer or a period do: "
        "a fingerprint of where a person belongs, which outsiders can look up."
    )
    return Role.QUASI_IDENTIFIER, why


_RULES: tuple[Rule, ...] = (
    _subject,
    _direct,
    _constant,
    _singles_out,
    _detected_quasi,
    _place,
    _known,
    _target,
)


def _last(facts: Facts, quasi: set[str]) -> tuple[Role, str]:
    gives_away = tuple(name for name in facts.function_of if name in quasi)
    if gives_away:
        why = f"It is a function of {_few(gives_away)}, so who knows that knows this."
        return Role.QUASI_IDENTIFIER, why
    if facts.header.harm():
        why = "Outsiders hardly know it, and alone it singles out fewer than 1 % of the rows."
        return Role.INSENSITIVE, why
    told = _percent(facts.column.separation)
    why = f"Nothing shows that others cannot know it, and it tells {told} of the pairs of rows apart."
    return Role.QUASI_IDENTIFIER, why


def _also(facts: Facts) -> str:
    found = [d for d in facts.detections if role_of(d) is Role.QUASI_IDENTIFIER]
    if found:
        return f" It holds {_titles(found)}."
    topic = facts.header.known()
    return f" By its name it speaks of {topic}." if topic else ""


def _titles(detections: list[Detection]) -> str:
    return " and ".join(_TITLES.get(detection.kind, detection.kind) for detection in detections)


def _few(names: tuple[str, ...]) -> str:
    return ", ".join(names[:3]) + (" and others" if len(names) > 3 else "")


def _percent(share: float) -> str:
    """A share in words that neither rounds few to none nor many to all.

    >>> _percent(0.0), _percent(0.0004), _percent(0.123), _percent(0.99999), _percent(1.0)
    ('0 %', 'under 1 %', '12 %', 'over 99 %', '100 %')
    """
    if 0 < share < 0.01:
        return "under 1 %"
    if 0.99 < share < 1:
        return "over 99 %"
    return f"{share:.0%}".replace("%", " %")
