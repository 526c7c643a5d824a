"""The page of the Python interface: the public names with signatures and docstrings."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Container, Iterable
from dataclasses import fields, is_dataclass
from importlib import import_module
from types import ModuleType
from typing import Any

from pydantic import BaseModel

import sfumato
from docs.words import docstring, first_line, markdown, page, table
from sfumato.core.errors import SfumatoError

WIDTH = 100
_ARGUMENT = re.compile(r"^    (\w[\w, ]*): ")
_EMPTY = re.compile(r"^Args:\n\n", re.MULTILINE)
_SEE = re.compile(r"; see :func:`(\w+(?:\.\w+)+)`\.")


def names(module: ModuleType = sfumato) -> list[str]:
    """The public names that a page explains."""
    return [name for name in module.__all__ if not name.startswith("__")]


def api_page() -> str:
    """Functions first, then values, then errors."""
    things = {name: getattr(sfumato, name) for name in names()}
    rooms = {name: thing for name, thing in things.items() if inspect.ismodule(thing)}
    things = {name: thing for name, thing in things.items() if name not in rooms}
    functions = {name: thing for name, thing in things.items() if inspect.isfunction(thing)}
    errors = {
        name: thing
        for name, thing in things.items()
        if inspect.isclass(thing) and issubclass(thing, SfumatoError)
    }
    values = {name: thing for name, thing in things.items() if name not in functions | errors}
    return page(
        "Python",
        "The public names of the package, all of them in `import sfumato as sf`. Everything else may change.",
        "## Functions",
        *(block for name, thing in functions.items() for block in _function(name, thing)),
        "## Values",
        *(block for name, thing in values.items() for block in _value(name, thing)),
        "## Errors",
        table(
            ("class", "exit code", "what it means"),
            ([f"`{name}`", str(kind.exit_code), first_line(kind)] for name, kind in errors.items()),
        ),
        "Every one has `code`, `what`, `where` and `remedy`; see [errors](errors.md).",
        "## Namespaces",
        table(
            ("name", "what is in it"),
            ([f"[`{name}`](api-{name}.md)", first_line(thing)] for name, thing in rooms.items()),
        ),
    )


def room_page(room: str) -> str:
    """The page of a namespace such as ``sf.dp``: its functions, then its classes."""
    module = getattr(sfumato, room)
    within = {name: thing for name in names(module) if inspect.ismodule(thing := getattr(module, name))}
    return page(
        f"Python: sf.{room}",
        inspect.getdoc(module) or "",
        *_names_of(module),
        *(
            block
            for name, inner in within.items()
            for block in (f"## sf.{room}.{name}", markdown(inspect.getdoc(inner) or ""), *_names_of(inner))
        ),
    )


def _names_of(module: ModuleType) -> Iterable[str]:
    """What a module offers: its functions, then its classes."""
    things = {name: getattr(module, name) for name in names(module)}
    functions = {name: thing for name, thing in things.items() if inspect.isfunction(thing)}
    values = {name: thing for name, thing in things.items() if inspect.isclass(thing)}
    yield "## Functions"
    for name, thing in functions.items():
        yield from _function(name, thing)
    if values:
        yield "## Classes"
    for name, thing in values.items():
        yield from _value(name, thing)


def _function(name: str, function: Callable[..., Any]) -> Iterable[str]:
    signature = inspect.signature(function)
    yield f"### {name}"
    yield f"```text\n{_signature(name, signature)}\n```"
    own = "\n".join(_own_arguments(_explained(function).splitlines(), signature.parameters))
    yield markdown(_EMPTY.sub("", own))


def _explained(function: Callable[..., Any]) -> str:
    """The docstring of a function, or of the one that it refers to for all the rest."""
    text = inspect.getdoc(function) or ""
    found = _SEE.search(text)
    if found is None:
        return text
    module, _, name = found[1].rpartition(".")
    return inspect.getdoc(getattr(import_module(module), name)) or ""


def _own_arguments(lines: Iterable[str], names: Container[str]) -> Iterable[str]:
    """The lines without arguments that the function itself does not take."""
    inside, kept = False, True
    for line in lines:
        if not line.startswith(" "):
            inside = line == "Args:" or (inside and not line)
        if inside and (found := _ARGUMENT.match(line)):
            kept = any(name.strip() in names for name in found[1].split(","))
        if not inside or not line.startswith("    ") or kept:
            yield line


def _signature(name: str, signature: inspect.Signature) -> str:
    parts: list[str] = []
    for each in signature.parameters.values():
        if each.kind is each.KEYWORD_ONLY and "*" not in parts:
            parts.append("*")
        default = "" if each.default is each.empty else f" = {each.default!r}"
        parts.append(f"{each.name}: {each.annotation}{default}")
    line = f"{name}({', '.join(parts)}) -> {signature.return_annotation}"
    if len(line) <= WIDTH:
        return line
    return f"{name}(\n" + "".join(f"    {part},\n" for part in parts) + f") -> {signature.return_annotation}"


def _value(name: str, kind: type) -> Iterable[str]:
    yield f"### {name}"
    if not is_dataclass(kind) and not issubclass(kind, BaseModel):
        made = inspect.signature(kind.__init__)
        own = [each for each in made.parameters.values() if each.name != "self"]
        yield f"```text\n{_signature(name, made.replace(parameters=own, return_annotation=name))}\n```"
    yield docstring(kind)
    listed = _fields(kind)
    if listed:
        yield table(("field", "type"), listed)
    members = [
        [f"`{member}`", first_line(thing)]
        for member, thing in vars(kind).items()
        if not member.startswith("_") and _documented(thing)
    ]
    if members:
        yield table(("also", "what it is"), members)


def _fields(kind: Any) -> list[list[str]]:
    if issubclass(kind, BaseModel):
        names = list(kind.model_fields)
    else:
        names = [field.name for field in fields(kind)] if is_dataclass(kind) else []
    annotations = {name: hint for base in reversed(kind.__mro__) for name, hint in _annotations(base)}
    return [[f"`{name}`", f"`{annotations[name]}`"] for name in names if not name.startswith("_")]


def _annotations(kind: type) -> Iterable[tuple[str, str]]:
    return ((name, str(hint)) for name, hint in vars(kind).get("__annotations__", {}).items())


def _documented(thing: Any) -> bool:
    return bool(inspect.getdoc(thing)) and (
        inspect.isfunction(thing) or isinstance(thing, property) or hasattr(thing, "attrname")
    )
