"""The pages of what a policy can name: actions, hierarchies, privacy models, probes; and of detectors."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, get_args

from pydantic import BaseModel

from docs.words import docstring, field_rows, first_line, page, prose, table
from sfumato.anonymity import MEASURES, MODELS
from sfumato.core.registry import Registry
from sfumato.dp.queries import QUERIES
from sfumato.evidence import ATTACKS, FAIRNESS, UTILITY
from sfumato.evidence.attacks.external import REPORT as EXTERNAL
from sfumato.evidence.guarantee import REPORT as GUARANTEE
from sfumato.evidence.images.judging import REPORT as JUDGED
from sfumato.evidence.models.skill import REPORT as SKILL
from sfumato.gate import (
    BEYOND_FLOOR,
    BEYOND_RELATED,
    BOTH,
    COMPOSED,
    FLOOR,
    IMAGES_FLOOR,
    MADE_FLOOR,
    PRIVATE_FLOOR,
    RELATED_FLOOR,
    RETOLD_FLOOR,
)
from sfumato.hierarchies import HIERARCHIES
from sfumato.inventory.detectors import DETECTORS
from sfumato.inventory.detectors.national import SCHEMES
from sfumato.policy.tables import DEFAULT_ACTIONS
from sfumato.synth import SYNTHESIZERS
from sfumato.synth.images import METHODS as IMAGES
from sfumato.synth.sequences import MODELS as HISTORIES
from sfumato.transforms import TRANSFORMS

#: Parameters that the pipeline fills in; a policy does not write them.
FILLED_IN = {"generalize": ("hierarchy", "folder")}
_HEAD = ("key", "type", "default", "description")


def actions_page() -> str:
    """The transforms."""
    defaults = table(
        ("role", "action if none is written"),
        ([f"`{role}`", f"[{action}](#{action})"] for role, action in DEFAULT_ACTIONS.items()),
    )
    return page(
        "Actions",
        "What can happen to a column. A policy writes `action: {do: NAME, ...}`, or just the name.",
        defaults,
        *_parts(TRANSFORMS),
    )


def hierarchies_page() -> str:
    """The kinds of generalization hierarchies."""
    return page(
        "Hierarchies",
        "How the values of a column become coarser. A policy writes `hierarchy: {kind: NAME, ...}`. Level 0 "
        "is the value itself, the last level covers everything. "
        "[How to choose one](../how-to/hierarchies.md) has examples of each.",
        *_parts(HIERARCHIES),
    )


def privacy_models_page() -> str:
    """The privacy models, and the measures of what generalization costs."""
    return page(
        "Privacy models and measures",
        "A policy writes `anonymity: {models: [{model: NAME, ...}], measure: NAME}`. Every class in the "
        "release must satisfy every model; the search makes the measure as small as it can.",
        "## Privacy models",
        *_parts(MODELS, "###"),
        "## Measures",
        *_parts(MEASURES, "###"),
    )


def probes_page() -> str:
    """Attacks, utility and fairness, with every metric."""
    floor, composed, both = (
        ", ".join(f"`{bound}`" for bound in bounds) for bounds in (FLOOR, COMPOSED, BOTH)
    )
    return page(
        "Probes and metrics",
        "A probe measures a release. A policy names probes under `evidence`, and thresholds on their "
        "metrics under `gate`. Every figure is a finding with a value, a 95 % interval unless it is a "
        "complete count, the same figure before, and where it applies what chance and a control give. "
        "[What the measures are](../explanation/measures.md) has the definitions.",
        f"The floor that every release is held to: {floor}. Where people of an earlier release are in it, "
        f"also: {composed}. Where one release is of rows made "
        f"of these people and another of their own: {both}.",
        "## Attacks",
        "Named under `evidence.attacks`. Class risks (`uniqueness`) are measured whether asked for or not.",
        *_probes(ATTACKS),
        "### An external register",
        "Not named in a policy: `sfumato attack DIR --against REGISTER` reports it.",
        _metrics(EXTERNAL.metrics, EXTERNAL.units),
        "## Utility",
        "Named under `evidence.utility`.",
        *_probes(UTILITY),
        "## Fairness",
        "Written as `evidence.fairness: {groups: [...]}`.",
        *_probes(FAIRNESS),
    )


def queries_page() -> str:
    """The queries under differential privacy, and the figures on their cost."""
    return page(
        "Queries under differential privacy",
        "A policy writes `dp: {queries: [{query: NAME, why: ..., ...}]}`; Python has a function of the name "
        "in `sf.dp`. Bounds and categories are declared, and never read from the data. "
        "[Release answers](../how-to/release-answers.md) shows it.",
        *_parts(QUERIES),
        "## What a release of answers or of a model is judged by",
        f"The floor that it is held to: {', '.join(f'`{bound}`' for bound in PRIVATE_FLOOR)}.",
        _metrics(GUARANTEE.metrics, GUARANTEE.units),
        "## What tests a model in the house",
        "On people who did not teach it; nobody charged these figures, so they go to custody alone.",
        _metrics(SKILL.metrics, SKILL.units),
    )


def synthesizers_page() -> str:
    """The synthesizers, and what rows that are made are held to."""
    return page(
        "Synthesizers",
        "What makes new rows in the place of the people's own. A policy writes `synthesis: {method: NAME, "
        "settings: {...}, why: ...}`; Python has `sf.synth.fit(table, NAME, params={...})`. "
        "[Make rows](../how-to/synthesize.md) shows it, and [Synthesis](../explanation/synthesis.md) says "
        "how each learns and what none can promise.",
        f"The floor that made rows are held to: {', '.join(f'`{bound}`' for bound in MADE_FLOOR)}.",
        *_synthesizers(SYNTHESIZERS),
        "Where a policy has [further tables](../how-to/several-tables.md), they are made by the same, and "
        f"held to {', '.join(f'`{bound}`' for bound in RELATED_FLOOR)} too, and without differential "
        f"privacy to {', '.join(f'`{bound}`' for bound in BEYOND_RELATED)}.",
        "# Histories",
        "What makes people with all their events, where a policy has `synthesis.history`; "
        "[Make histories](../how-to/shop-histories.md) shows it. They are held to the floor above, to "
        f"{', '.join(f'`{bound}`' for bound in RETOLD_FLOOR)}, and without differential privacy to "
        f"{', '.join(f'`{bound}`' for bound in BEYOND_FLOOR)}.",
        *_synthesizers(HISTORIES),
        "# Images",
        "What makes images with labels, where a policy has `synthesis.images`; "
        "[Release synthetic images](../how-to/images-policy.md) shows it. They are held to "
        f"{', '.join(f'`{bound}`' for bound in IMAGES_FLOOR)}. All of them see images while they learn, "
        "and all learn under differential privacy too.",
        *_parts(IMAGES),
        "## What made images are judged by",
        _metrics(JUDGED.metrics, JUDGED.units),
    )


def _synthesizers(registry: Registry) -> Iterable[str]:
    for name in registry:
        kind = registry.resolve(name)
        yield f"## {name}"
        yield _sentence(kind.summary)
        yield prose(kind)
        seen = "rows" if kind.sees == "rows" else "marginals alone"
        private = "yes" if kind.has_private else "no"
        yield f"Sees while it learns: {seen}. Under differential privacy: {private}."
        yield _params(name, kind)


def detectors_page() -> str:
    """What the inventory looks for in a column."""
    blocks = []
    for name in DETECTORS:
        kind = DETECTORS.resolve(name)
        blocks += [
            f"## {name}",
            prose(kind),
            f"Found when: {_found_when(kind)}",
            f"The column becomes a {kind.role}.",
        ]
        if name == "national-id":
            blocks.append(
                table(
                    ("number", "checked by", "passes by chance"),
                    (
                        [
                            scheme.title,
                            f"`stdnum.{scheme.module}`" if scheme.module else "its form",
                            _chance(scheme.chance),
                        ]
                        for scheme in SCHEMES
                    ),
                )
            )
    return page(
        "Detectors",
        "What the inventory looks for in the distinct values of a column, at most 500 of them. A header only "
        "adds weight: it never stands alone against the values.",
        *blocks,
    )


def _parts(registry: Registry, level: str = "##") -> Iterable[str]:
    for name in registry:
        kind = registry.resolve(name)
        yield f"{level} {name}"
        yield _sentence(kind.summary)
        yield prose(kind)
        yield _params(name, kind)
        yield from _nested(kind, f"{level}#")


def _nested(kind: Any, level: str) -> Iterable[str]:
    """The parameters that are sections of their own."""
    params = getattr(kind, "Params", None)
    for field in params.model_fields.values() if params is not None else ():
        inner = next((part for part in get_args(field.annotation) if _is_section(part)), None)
        if inner is not None:
            yield f"{level} {inner.__name__}"
            yield docstring(inner)
            yield table(_HEAD[:3], (row[:3] for row in field_rows(inner)))


def _is_section(part: Any) -> bool:
    return isinstance(part, type) and issubclass(part, BaseModel)


def _params(name: str, kind: Any) -> str:
    params = getattr(kind, "Params", None)
    if params is None:
        return ""
    hidden = FILLED_IN.get(name, ())
    rows = field_rows(params, hidden=hidden)
    if not rows:
        return "No parameters."
    # What a class says of its parameters, without the paragraph on those that nobody writes.
    said = first_line(params) if hidden else docstring(params)
    if all(row[3] == "" for row in rows):
        return f"{said}\n\n" + table(_HEAD[:3], (row[:3] for row in rows))
    return f"{said}\n\n" + table(_HEAD, rows)


def _probes(registry: Registry) -> Iterable[str]:
    for name in registry:
        kind = registry.resolve(name)
        yield f"### {name}"
        yield _sentence(kind.summary)
        yield prose(kind)
        yield _params(name, kind)
        yield from _nested(kind, "####")
        yield _metrics(kind.metrics, kind.units)


def _metrics(metrics: Any, units: Any) -> str:
    return table(
        ("metric", "good is", "unit", "what it is"),
        ([f"`{name}`", goal, units[name], line] for name, (goal, line) in metrics.items()),
    )


def _sentence(summary: str) -> str:
    return f"{summary[0].upper()}{summary[1:]}."


def _found_when(kind: Any) -> str:
    """What ``examine`` says, with the share that this kind asks for."""
    return docstring(kind.examine).replace("the share `least`", _chance(getattr(kind, "least", 0)))


def _chance(chance: float) -> str:
    return f"{100 * chance:.3g} %"
