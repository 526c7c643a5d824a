"""Code in the words of the reference pages: types, defaults, docstrings, tables."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import BaseModel

#: The first line of every generated page.
MADE = "<!-- Made from the code by `make docs`. Change the code, not this page. -->"

_NUMBERS = {"integer": "whole number", "number": "number"}
_BOUNDS = (
    ("minimum", "at least {}"),
    ("exclusiveMinimum", "above {}"),
    ("maximum", "at most {}"),
    ("exclusiveMaximum", "below {}"),
)


def page(title: str, *blocks: str) -> str:
    """A page from its title and its blocks of Markdown."""
    return "\n\n".join([MADE, f"# {title}", *(block.strip("\n") for block in blocks if block)]) + "\n"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table; bars inside cells are escaped."""
    lines = [list(head), ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def code(value: object) -> str:
    """A value as YAML and JSON write it, in code.

    >>> code(None), code(0.05), code(("a", 1))
    ('`null`', '`0.05`', '`["a", 1]`')
    """
    return f"`{json.dumps(value, ensure_ascii=False, default=list)}`"


def type_words(schema: Mapping[str, Any], definitions: Mapping[str, Any] | None = None) -> str:
    """What a JSON schema allows, in words; ``definitions`` are those of the schema that it is part of.

    >>> type_words({"anyOf": [{"type": "integer", "minimum": 0}, {"type": "null"}]})
    'whole number, at least 0'
    >>> type_words({"type": "array", "items": {"enum": ["month", "year"]}})
    'list of `month`, `year`'
    """
    if "$ref" in schema:
        name = str(schema["$ref"]).rsplit("/", 1)[-1]
        meant = (definitions or {}).get(name, {})
        return type_words(meant) if "enum" in meant else f"[{name}](#{name.lower()})"
    if "const" in schema:
        return f"`{schema['const']}`"
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    for several in ("anyOf", "oneOf", "allOf"):
        if several in schema:
            options = (option for option in schema[several] if option.get("type") != "null")
            return " or ".join(type_words(option, definitions) for option in options)
    return _simple(schema, definitions)


def _simple(schema: Mapping[str, Any], definitions: Mapping[str, Any] | None) -> str:
    kind = schema.get("type")
    if kind == "array":
        if "prefixItems" in schema:
            return "list of " + ", ".join(type_words(each, definitions) for each in schema["prefixItems"])
        inner = type_words(schema.get("items", {}), definitions)
        return "list of " + _plural(inner)
    if kind == "object":
        named = schema.get("additionalProperties")
        return (
            f"mapping of names to {type_words(named, definitions)}" if isinstance(named, dict) else "mapping"
        )
    if kind == "boolean":
        return "`true` or `false`"
    bounds = ", ".join(words.format(f"{schema[key]:,}") for key, words in _BOUNDS if key in schema)
    if kind in _NUMBERS:
        return _NUMBERS[kind] + (f", {bounds}" if bounds else "")
    if kind == "string":
        return "one character" if schema.get("maxLength") == 1 else "text"
    return "anything"


def _plural(words: str) -> str:
    """``number, above 0`` as ``numbers, each above 0``; names in code stay as they are."""
    if words.startswith(("`", "[")) or " of " in words:
        return words
    what, comma, bounds = words.partition(", ")
    return f"{what}s" + (f", each {bounds}" if comma else "")


def field_rows(
    model: type[BaseModel], replaced: Mapping[str, str] | None = None, hidden: Iterable[str] = ()
) -> list[list[str]]:
    """One row a field: key, type, default, description.

    Args:
        model: the model.
        replaced: key -> words for its type, where the schema says too little.
        hidden: fields that a policy does not write.
    """
    schema = model.model_json_schema()
    required = set(schema.get("required", ()))
    rows = []
    for name, field in model.model_fields.items():
        if name in hidden:
            continue
        key = field.alias or name
        words = (replaced or {}).get(key) or type_words(schema["properties"][key], schema.get("$defs"))
        default = "required" if key in required else _default(field.get_default(call_default_factory=True))
        rows.append([f"`{key}`", words, default, field.description or ""])
    return rows


def _default(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, BaseModel):
        return "see there"
    if isinstance(value, tuple) and value and isinstance(value[0], BaseModel):
        return code([part.model_dump()["name"] for part in value])
    return code(value)


_ROLES = re.compile(r":\w+:`(?:~)?(?:[\w.]*\.)?(\w+)`")
_LITERAL = re.compile(r"``(.+?)``", re.DOTALL)
_SECTION = re.compile(r"^(Args|Returns|Raises|Attributes|Yields):$", re.MULTILINE)
_ITEM = re.compile(r"^    (\w[\w, ]*): ", re.MULTILINE)
_TITLES = {"Args": "Arguments"}


def docstring(thing: Any) -> str:
    """The docstring of a class or function as Markdown; examples become code blocks."""
    return markdown(inspect.getdoc(thing) or "")


def prose(thing: Any) -> str:
    """A docstring without arguments and examples: what a reader of policies wants of a class."""
    text = inspect.getdoc(thing) or ""
    return markdown(re.split(r"^(?:Args:|>>> )", text, flags=re.MULTILINE)[0].strip())


def first_line(thing: Any) -> str:
    """The first sentence or paragraph of a docstring."""
    return docstring(thing).split("\n\n")[0].replace("\n", " ")


def markdown(text: str) -> str:
    """A docstring in the style of this project as Markdown.

    >>> markdown("Takes ``x`` of :class:`~a.b.C`.")
    'Takes `x` of `C`.'
    """
    text = _LITERAL.sub(r"`\1`", _ROLES.sub(r"`\1`", text))
    text = _ITEM.sub(r"* `\1`: ", _SECTION.sub(lambda found: f"{_title(found[1])}:\n", text))
    lines: list[str] = []
    inside = False
    for line in text.splitlines():
        starts = line.startswith(">>> ")
        if starts and not inside:
            lines.append("```pycon")
            inside = True
        elif inside and not line.strip():
            lines.append("```")
            inside = False
        lines.append(line if inside else _unindented(line))
    if inside:
        lines.append("```")
    return "\n".join(lines)


def _title(section: str) -> str:
    return f"**{_TITLES.get(section, section)}**"


def _unindented(line: str) -> str:
    """Text of a section stands four blanks deep; further lines of an item stay under it."""
    if line.startswith("        "):
        return "  " + line.strip()
    return line.strip()
