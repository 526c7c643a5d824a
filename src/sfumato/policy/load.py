"""Reading a policy: YAML with line marks, then the model, then the parts' own parameters.

Every problem is collected with its file and line before anything is refused, so that one run of
``sfumato check`` shows all of them.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.constructor import DuplicateKeyError
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.reader import ReaderError

from sfumato.anonymity import MEASURES, MODELS
from sfumato.core.errors import InputError, PolicyError, Problem, nearest
from sfumato.core.registry import Registry
from sfumato.dp.queries import QUERIES
from sfumato.evidence import ATTACKS, FAIRNESS, UTILITY
from sfumato.hierarchies import HIERARCHIES
from sfumato.policy.model import Policy
from sfumato.policy.parts import Part
from sfumato.policy.tables import Column
from sfumato.synth import SYNTHESIZERS
from sfumato.synth.images import METHODS as METHODS_OF_IMAGES
from sfumato.synth.sequences import MODELS as MODELS_OF_HISTORIES
from sfumato.transforms import TRANSFORMS

Place = tuple[str | int, ...]

#: Policies are written by people; a longer file, or more values once its aliases are written out, is
#: a mistake or an attack on the parser.
LARGEST_POLICY = 4_000_000
MOST_VALUES = 200_000


@dataclass(frozen=True)
class LoadedPolicy:
    """A policy with where it came from: ``lines`` maps places in it to line numbers from 1."""

    policy: Policy
    path: Path
    lines: Mapping[Place, int]

    @property
    def folder(self) -> Path:
        """The folder that the policy's paths are relative to."""
        return self.path.parent

    def where(self, *place: str | int) -> str:
        """``file:line`` of a place, or of the nearest one around it."""
        return _where(self.path, self.lines, place)


def load_policy(path: Path) -> LoadedPolicy:
    """Read and validate a policy file.

    Raises:
        PolicyError: with every problem found, ``policy-unreadable`` or ``policy-invalid``.
    """
    text = _text(path)
    data, lines = _parse(text, path)
    return LoadedPolicy(_validated(data, lambda *places: _where(path, lines, *places)), path, lines)


def policy_from(data: Mapping[str, Any]) -> Policy:
    """A policy from a plain mapping, as Python callers give it.

    Raises:
        PolicyError: with every problem found.
    """
    return _validated(data, lambda place, *_: "policy: " + (_dotted(place) or "top"))


def parts_of(policy: Policy) -> Iterator[tuple[Place, Registry, Part]]:
    """Every named part with its place and the registry that knows it."""
    yield from _of_columns(policy.columns, ())
    for name, table in policy.tables.items():
        yield from _of_columns(table.columns, ("tables", name))
    if policy.anonymity is not None:
        for i, model in enumerate(policy.anonymity.models):
            yield ("anonymity", "models", i), MODELS, model
            if model.hierarchy is not None:
                yield ("anonymity", "models", i, "hierarchy"), HIERARCHIES, model.hierarchy
        yield ("anonymity", "measure"), MEASURES, Part(name=policy.anonymity.measure)
    for i, query in enumerate(policy.dp.queries if policy.dp is not None else ()):
        yield ("dp", "queries", i), QUERIES, query
    if policy.synthesis is not None:
        made = Part(name=policy.synthesis.by, params=policy.synthesis.settings)
        makers = MODELS_OF_HISTORIES if policy.synthesis.history is not None else SYNTHESIZERS
        makers = METHODS_OF_IMAGES if policy.synthesis.images is not None else makers
        yield ("synthesis", "settings"), makers, made
    if policy.evidence is not None:
        for i, probe in enumerate(policy.evidence.attacks):
            yield ("evidence", "attacks", i), ATTACKS, probe
        for i, probe in enumerate(policy.evidence.utility):
            yield ("evidence", "utility", i), UTILITY, probe
        if policy.evidence.fairness is not None:
            yield ("evidence", "fairness"), FAIRNESS, policy.evidence.fairness


def _of_columns(columns: Mapping[str, Column], place: Place) -> Iterator[tuple[Place, Registry, Part]]:
    for name, column in columns.items():
        if column.action is not None:
            yield (*place, "columns", name, "action"), TRANSFORMS, column.action
        if column.hierarchy is not None:
            yield (*place, "columns", name, "hierarchy"), HIERARCHIES, column.hierarchy


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > LARGEST_POLICY:
            raise InputError("policy-unreadable", "larger than any policy", where=str(path))
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(
            "policy-unreadable",
            "no such policy",
            where=str(path),
            remedy="write one with: sfumato inspect DATA -o policy.yaml",
        ) from None
    except IsADirectoryError:
        raise InputError(
            "policy-unreadable", "is a folder", where=str(path), remedy="name the file"
        ) from None
    except UnicodeDecodeError:
        raise InputError("policy-unreadable", "is not UTF-8 text", where=str(path)) from None
    except OSError as error:
        raise InputError(
            "policy-unreadable", f"cannot be read ({type(error).__name__})", where=str(path)
        ) from None


def _parse(text: str, path: Path) -> tuple[Any, dict[Place, int]]:
    lines: dict[Place, int] = {(): 1}
    try:
        tree = YAML(typ="rt", pure=True).load(text)
        return _plain(tree, (), lines), lines
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise _not_yaml(path, mark.line + 1 if mark is not None else None, _said(error)) from None
    except ReaderError as error:
        line = text.count("\n", 0, int(error.position)) + 1
        raise _not_yaml(path, line, "a character that text does not have") from None
    except (YAMLError, ValueError, RecursionError):
        raise _not_yaml(
            path, None, "nested too deep, larger than any policy, or with a value of no known form"
        ) from None


def _said(error: MarkedYAMLError) -> str:
    """The parser's words, without the values that it quotes of keys that occur twice."""
    if isinstance(error, DuplicateKeyError):
        return str(error.problem).split(" with value")[0].replace("found duplicate key", "twice the key")
    return str(error.problem or error.context)


def _not_yaml(path: Path, line: int | None, what: str) -> PolicyError:
    where = str(path) if line is None else f"{path}:{line}"
    remedy = "check indentation, colons and quotes" + ("" if line is None else " on this line")
    return PolicyError([Problem(where, f"not valid YAML: {what}", remedy)], code="policy-unreadable")


def _plain(node: Any, place: Place, lines: dict[Place, int]) -> Any:
    """The tree as plain Python values, noting the line of every key and item.

    Raises:
        ValueError: aliases make it larger than any policy.
    """
    if len(lines) > MOST_VALUES:
        raise ValueError("larger than any policy")
    if isinstance(node, CommentedMap):
        for key in node:
            marks = node.lc.data or {}
            lines[(*place, str(key))] = marks[key][0] + 1 if key in marks else lines.get(place, 1)
        return {str(key): _plain(value, (*place, str(key)), lines) for key, value in node.items()}
    if isinstance(node, CommentedSeq):
        marks = node.lc.data or {}
        for i in range(len(node)):
            lines[(*place, i)] = marks[i][0] + 1 if i in marks else lines.get(place, 1)
        return [_plain(value, (*place, i), lines) for i, value in enumerate(node)]
    if isinstance(node, bool) or node is None:
        return node
    if isinstance(node, int):
        return int(node)
    if isinstance(node, float):
        return float(node)
    if isinstance(node, dt.date):
        return node.isoformat()
    return str(node)


def _where(path: Path, lines: Mapping[Place, int], *places: Place) -> str:
    """``file:line`` of the one of these names of a place that reaches deepest."""
    deepest: Place = ()
    for place in places:
        while place not in lines and place:
            place = place[:-1]
        deepest = max(deepest, place, key=len)
    return f"{path}:{lines.get(deepest, 1)}"


def _validated(data: Any, where: Any) -> Policy:
    if not isinstance(data, Mapping):
        raise PolicyError(
            [Problem(where(()), "a policy is a mapping that begins with sfumato: 1")],
            code="policy-unreadable",
        )
    try:
        policy = Policy.model_validate(data)
    except ValidationError as error:
        raise PolicyError(_problems(error, Policy, (), where)) from None
    problems = [
        problem
        for place, registry, part in parts_of(policy)
        for problem in _check_part(place, registry, part, where)
    ]
    if problems:
        raise PolicyError(problems)
    return policy


def _check_part(place: Place, registry: Registry, part: Part, where: Any) -> list[Problem]:
    """What the part's own registry and parameters say of it."""
    try:
        kind = registry.resolve(part.name)
    except InputError as error:
        return [Problem(where(place), error.what, error.remedy)]
    params = getattr(kind, "Params", None)
    if params is None:
        return []
    try:
        params.model_validate(part.params)
    except ValidationError as error:
        # A probe's parameters stand below its name: attacks: [{linkage: {gaps: .1}}].
        return _problems(error, params, place, lambda at: where(at, (*place, part.name, *at[len(place) :])))
    return []


def _problems(error: ValidationError, model: type[BaseModel], prefix: Place, where: Any) -> list[Problem]:
    found = []
    items = error.errors(include_url=False, include_input=False)
    for item in items:
        # A list with a bad item counts as too short as well, which helps nobody.
        if item["type"] == "too_short" and any(_inside(other["loc"], item["loc"]) for other in items):
            continue
        place: Place = (*prefix, *item["loc"])
        what, remedy = _words(item, model)
        found.append(Problem(where(place), f"{_dotted(place)}: {what}" if place else what, remedy))
    return found


def _inside(place: Place, around: Place) -> bool:
    return len(place) > len(around) and place[: len(around)] == around


#: What pydantic says of Python's types, said of YAML's.
_KINDS = {
    "tuple_type": "must be a list",
    "list_type": "must be a list",
    "dict_type": "must be a mapping, a key: value on each line",
    "model_type": "must be a mapping, a key: value on each line",
    "model_attributes_type": "must be a mapping, a key: value on each line",
    "string_type": "must be text: put it in quotes",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
}


def _words(item: Any, model: type[BaseModel]) -> tuple[str, str]:
    kind, place, context = item["type"], item["loc"], item.get("ctx", {})
    if kind == "extra_forbidden":
        if " " in str(place[-1]):
            return "unknown key", "if it is part of a text: within braces a comma ends a text without quotes"
        return "unknown key", nearest(str(place[-1]), _keys(model, place[:-1]))
    if kind == "missing":
        return "is missing", "add it"
    if kind == "value_error":
        return str(context["error"]), ""
    if kind in ("enum", "literal_error"):
        return f"must be {context['expected']}", ""
    if kind == "too_short":
        return f"needs at least {context['min_length']} item(s)", ""
    return _KINDS.get(kind) or re.sub(r"^\w+ should", "must", str(item["msg"])), ""


def _dotted(place: Place) -> str:
    return ".".join(str(part) for part in place)


def _keys(model: type[BaseModel], place: tuple[Any, ...]) -> list[str]:
    """The keys allowed at a place of a model."""
    current: Any = model
    for part in place:
        if current is None:
            break
        if isinstance(part, str) and part in current.model_fields:
            current = _inner_model(current.model_fields[part].annotation)
    if current is None:
        return []
    return [field.alias or name for name, field in current.model_fields.items()]


def _inner_model(annotation: Any) -> type[BaseModel] | None:
    """The model inside an annotation such as ``tuple[Threshold, ...] | None``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in get_args(annotation):
        if (found := _inner_model(argument)) is not None:
            return found
    return None
