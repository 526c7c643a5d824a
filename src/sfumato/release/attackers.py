"""Each attacker with what they know, want and get: the policy's own, and those whom any release meets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sfumato.core.values import Finding
from sfumato.release.facts import Facts
from sfumato.release.residual import Claim, told
from sfumato.release.statements import matching
from sfumato.release.words import listed

#: What measures somebody who knows the columns that the classes are made of.
_BY_COLUMNS = (
    "risk.worst_class",
    "risk.marketer",
    "linkage.success",
    "linkage.excess",
    "copies.known_excess",
)


@dataclass(frozen=True)
class Attacker:
    """Somebody who might look for a person; ``figures`` are what they get, empty if nobody measured it."""

    who: str
    knows: str
    motive: str
    controls: str
    figures: tuple[Claim, ...]


@dataclass(frozen=True)
class _Kind:
    who: str
    knows: str
    motive: str
    controls: str
    metrics: tuple[str, ...]


_ANYWHERE = (
    _Kind(
        "Somebody who knows everything that is released of a person",
        "every released column but pseudonyms",
        "to learn that the person is in the data",
        "such a person learns nothing else; only synthetic or noisy rows would do more",
        (
            "risk.unique_all_columns",
            "risk.worst_class_all_columns",
            "linkage.success_all_columns",
            "copies.excess",
            "copies.close_excess",
            "retelling.excess",
            "retelling.close_excess",
            "relations.rows_excess",
            "relations.whole_excess",
            "relations.close_excess",
            "images.copies_excess",
            "images.repeated_excess",
            "images.members_auc",
        ),
    ),
    _Kind(
        "Somebody who guesses what is sensitive",
        "the other released columns of a person",
        "to learn a sensitive value",
        "the models checked on the rows as written, as far as they speak of sensitive columns",
        ("attribute_inference.success", "attribute_inference.excess", "attribute_inference.precision"),
    ),
    _Kind(
        "Somebody who wants to know whether a person is in the data",
        "a person's values, and the release",
        "to learn membership",
        "people held out are compared with people released",
        (
            "membership.advantage",
            "membership.auc",
            "membership.precision",
            "shadow_membership.tpr_at_1",
            "outliers.excess",
        ),
    ),
    _Kind(
        "Somebody who holds an earlier release of the same people",
        "both releases",
        "to subtract one from the other",
        "the house's ledger knows the earlier releases",
        ("composition.*",),
    ),
)


def attackers(context: Mapping[str, Any], known: Facts, findings: Sequence[Finding]) -> list[Attacker]:
    """The policy's attackers first, then those whom any release meets.

    The figures of the policy's attackers are of somebody who knows what all of them know together, and
    bound what each of them gets.
    """
    released = {column.name for column in known.columns if not column.gone}
    named = [_named(said, released, findings) for said in context.get("attackers", ())]
    return named + [
        Attacker(kind.who, kind.knows, kind.motive, kind.controls, _figures(kind.metrics, findings))
        for kind in _ANYWHERE
    ]


def _named(said: Mapping[str, Any], released: set[str], findings: Sequence[Finding]) -> Attacker:
    useful = [column for column in said["knows"] if column in released]
    useless = [column for column in said["knows"] if column not in released]
    controls = f"{listed(useful)}: recoded or counted in the class risks" if useful else ""
    controls += ("; " if useful and useless else "") + (f"{listed(useless)}: not released" if useless else "")
    source = said.get("source")
    return Attacker(
        who=f"Somebody who draws on {source}" if source else "Somebody named in the policy",
        knows=listed(said["knows"]),
        motive=said.get("motive") or "",
        controls=controls,
        figures=_figures(_BY_COLUMNS, findings)
        if useful
        else (Claim("Nothing that they know is released."),),
    )


def _figures(metrics: Sequence[str], findings: Sequence[Finding]) -> tuple[Claim, ...]:
    return tuple(told(finding) for finding in matching(metrics, findings))
