"""The page of the policy's keys, from its models."""

from __future__ import annotations

from collections.abc import Iterator
from typing import get_args

from pydantic import BaseModel

from docs.words import docstring, field_rows, page, table
from sfumato.policy.model import Policy
from sfumato.policy.parts import Part

#: What a part is written as, for the keys that hold one.
_PARTS = {
    ("Column", "action"): "`{do: NAME, ...}` or a name: see [actions](actions.md)",
    ("Column", "hierarchy"): "`{kind: NAME, ...}` or a name: see [hierarchies](hierarchies.md)",
    ("Anonymity", "models"): "list of `{model: NAME, ...}`: see [privacy models](privacy-models.md)",
    ("Anonymity", "measure"): "a name: see [measures](privacy-models.md#measures)",
    ("DifferentialPrivacy", "queries"): "list of `{query: NAME, why: ..., ...}`: see [queries](queries.md)",
    ("Evidence", "attacks"): "list of names or `{NAME: {...}}`: see [attacks](probes.md#attacks)",
    ("Evidence", "utility"): "list of names or `{NAME: {...}}`: see [utility](probes.md#utility)",
    ("Evidence", "fairness"): "parameters: see [fairness](probes.md#fairness)",
    ("Evidence", "holdout"): "[Holdout](#holdout) or number",
    ("Threshold", "metric"): "a name: see [metrics](probes.md)",
}


def policy_page() -> str:
    """Every section of a policy with its keys."""
    blocks = []
    for model in sections():
        words = {key: text for (section, key), text in _PARTS.items() if section == model.__name__}
        blocks += [
            f"## {model.__name__}",
            docstring(model),
            table(("key", "type", "default", "description"), field_rows(model, words)),
        ]
    return page(
        "The policy",
        "Every key of a policy. Unknown keys are refused. Paths are relative to the policy's folder.",
        "Editors complete and check a policy that begins with this line, given the path to "
        "[policy.schema.json](policy.schema.json):",
        "```yaml\n# yaml-language-server: $schema=docs/reference/policy.schema.json\n```",
        *blocks,
    )


def sections() -> list[type[BaseModel]]:
    """The policy's models, the whole first, then each where it is first used."""
    found: list[type[BaseModel]] = []
    waiting: list[type[BaseModel]] = [Policy]
    while waiting:
        model = waiting.pop(0)
        if model in found or model is Part:
            continue
        found.append(model)
        waiting += [inner for field in model.model_fields.values() for inner in _models_in(field.annotation)]
    return found


def _models_in(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_in(argument)
