"""The JSON schema of a policy, with the parameters of every registered part, for editors.

The policy's model holds a part as a name with parameters; here each place that takes a part gets the
union of what its registry knows. A part from elsewhere (``distribution:name``) is let through.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from docs.parts import FILLED_IN
from sfumato.anonymity import MEASURES, MODELS
from sfumato.core.registry import Registry
from sfumato.dp.queries import QUERIES
from sfumato.evidence import ATTACKS, FAIRNESS, UTILITY, probe
from sfumato.evidence.guarantee import REPORT as GUARANTEE
from sfumato.hierarchies import HIERARCHIES
from sfumato.policy.model import Policy
from sfumato.transforms import TRANSFORMS

Schema = dict[str, Any]

_OUTSIDE = {"type": "string", "pattern": "^[^:]+:.+$"}


def policy_schema() -> str:
    """The schema as JSON text (JSON Schema, draft 2020-12)."""
    schema: Schema = Policy.model_json_schema()
    definitions = schema["$defs"]
    del definitions["Part"]
    column = definitions["Column"]["properties"]
    column["action"] |= {"anyOf": [*_union(TRANSFORMS, "do", definitions), {"type": "null"}]}
    column["hierarchy"] |= {"anyOf": [*_union(HIERARCHIES, "kind", definitions), {"type": "null"}]}
    anonymity = definitions["Anonymity"]["properties"]
    anonymity["models"]["items"] = {"anyOf": _union(MODELS, "model", definitions)}
    anonymity["measure"] |= {"anyOf": [{"enum": list(MEASURES)}, _OUTSIDE]}
    del anonymity["measure"]["type"]
    private = definitions["DifferentialPrivacy"]["properties"]
    private["queries"]["items"] = {"anyOf": _union(QUERIES, "query", definitions)}
    # A list stands for its categories.
    categories = definitions["Domain"]["properties"]["categories"]["anyOf"][0]
    definitions["Domain"] = {"anyOf": [definitions["Domain"], categories]}
    evidence = definitions["Evidence"]["properties"]
    for key, registry in (("attacks", ATTACKS), ("utility", UTILITY)):
        evidence[key]["items"] = {"anyOf": _probes(registry, definitions)}
        evidence[key]["default"] = [part["name"] for part in evidence[key]["default"]]
    fairness = _params("fairness", FAIRNESS.resolve("fairness"), definitions)
    evidence["fairness"]["anyOf"] = [fairness, {"type": "null"}]
    share = definitions["Holdout"]["properties"]["share"]
    evidence["holdout"] = {
        "anyOf": [{"$ref": "#/$defs/Holdout"}, {**share, "title": "Holdout"}],
        "description": evidence["holdout"]["description"],
    }
    metric = definitions["Threshold"]["properties"]["metric"]
    metric["anyOf"] = [{"enum": _metrics()}, {"type": "string"}]
    return (
        json.dumps(
            {
                "$schema": "https://json-schema.org/draft/2020-12/schema",
                "title": "sfumato policy",
                **{key: value for key, value in schema.items() if key != "title"},
            },
            indent=2,
            ensure_ascii=False,
        )
        + "\n"
    )


def _union(registry: Registry, key: str, definitions: Schema) -> list[Schema]:
    """A mapping for each part, told apart by ``key``; or the bare name of one that needs nothing more."""
    options: list[Schema] = []
    bare = []
    for name in registry:
        kind = registry.resolve(name)
        params = _params(name, kind, definitions)
        if not params.get("required"):
            bare.append(name)
        options.append(
            {
                "type": "object",
                "title": name,
                "description": kind.summary,
                "properties": {key: {"const": name}, **params["properties"]},
                "required": [key, *params.get("required", ())],
                "additionalProperties": False,
            }
        )
    outside = {"type": "object", "properties": {key: _OUTSIDE}, "required": [key]}
    return [*options, outside, {"enum": bare}, _OUTSIDE]


def _probes(registry: Registry, definitions: Schema) -> Iterable[Schema]:
    """The name of a probe, or a mapping of the name to its parameters."""
    with_params = [
        {
            "type": "object",
            "title": name,
            "description": registry.resolve(name).summary,
            "properties": {name: _params(name, registry.resolve(name), definitions)},
            "required": [name],
            "additionalProperties": False,
        }
        for name in registry
    ]
    outside = {
        "type": "object",
        "patternProperties": {"^[^:]+:.+$": {"type": "object"}},
        "minProperties": 1,
        "maxProperties": 1,
        "additionalProperties": False,
    }
    return [{"enum": list(registry)}, *with_params, outside, _OUTSIDE]


def _params(name: str, kind: Any, definitions: Schema) -> Schema:
    """The schema of a part's parameters, without those that the pipeline fills in."""
    schema: Schema = kind.Params.model_json_schema()
    definitions |= schema.pop("$defs", {})
    for hidden in FILLED_IN.get(name, ()):
        del schema["properties"][hidden]
    return {
        "type": "object",
        "title": name,
        "properties": schema.get("properties", {}),
        **({"required": schema["required"]} if schema.get("required") else {}),
        "additionalProperties": False,
    }


def _metrics() -> list[str]:
    names = (name for registry in (ATTACKS, UTILITY, FAIRNESS) for name in registry)
    return [*(metric for name in names for metric in probe(name).metrics), *GUARANTEE.metrics]
