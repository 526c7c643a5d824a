"""Constraints as users write them, and as JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sfumato.core.errors import InputError, nearest
from sfumato.synth.constraints.kinds import AtMost, Never, Range, Rule, Sum, Together, Unique


def parsed(given: Any, columns: Sequence[str]) -> Rule:
    """A constraint as a user writes it.

    "start <= end", "total = part + other", {"together": [columns], "values": [[...], ...]},
    {"unique": column}, {"range": column, "from": ..., "to": ...}, {"never": {column: value, ...}}; and
    {"at_most": [low, high]}, {"sum": total, "of": [parts]} for columns with names that cannot be written so.

    Raises:
        InputError: ``usage``: it is none of these; ``unknown-name``: a column that is not there.

    >>> str(parsed("a <= b", ["a", "b"]))
    'a <= b'
    """
    rule = _parsed(given)
    for name in rule.columns:
        if name not in columns:
            raise InputError(
                "unknown-name", "there is no such column", where=str(name), remedy=nearest(str(name), columns)
            )
    return rule


def _parsed(given: Any) -> Rule:
    if isinstance(given, str):
        left, at_most, right = given.partition(" <= ")
        if at_most:
            return AtMost(left.strip(), right.strip())
        left, equals, right = given.partition(" = ")
        if equals:
            return Sum(left.strip(), tuple(part.strip() for part in right.split(" + ")))
    elif isinstance(given, Mapping):
        rest = dict(given)
        kind = next((name for name in _KINDS if name in rest), None)
        if kind is not None:
            first = rest.pop(kind)
            words, make = _KINDS[kind]
            if set(rest) <= set(words):
                try:
                    return make(first, rest)
                except (TypeError, ValueError):
                    pass
    raise InputError(
        "usage",
        "this is no constraint",
        remedy='write "a <= b", "a = b + c", or a mapping with together, unique, range or never',
    )


def _together(first: Any, rest: Mapping[str, Any]) -> Rule:
    values = rest.get("values")
    return Together(tuple(first), None if values is None else tuple(tuple(row) for row in values))


_KINDS: Mapping[str, tuple[tuple[str, ...], Callable[[Any, Mapping[str, Any]], Rule]]] = {
    "at_most": ((), lambda first, _: AtMost(*first)),
    "sum": (("of",), lambda first, rest: Sum(first, tuple(rest.get("of", ())))),
    "together": (("values",), _together),
    "unique": ((), lambda first, _: Unique(first)),
    "never": ((), lambda first, _: Never(tuple(dict(first).items()))),
    "range": (("from", "to"), lambda first, rest: Range(first, rest.get("from"), rest.get("to"))),
}


def document(rule: Rule) -> dict[str, Any]:
    """A constraint as JSON that :func:`parsed` reads."""
    if isinstance(rule, AtMost):
        return {"at_most": [rule.low, rule.high]}
    if isinstance(rule, Sum):
        return {"sum": rule.total, "of": list(rule.parts)}
    if isinstance(rule, Together):
        return {"together": list(rule.names), "values": [list(row) for row in rule.values or ()]}
    if isinstance(rule, Unique):
        return {"unique": rule.column}
    if isinstance(rule, Never):
        return {"never": {name: _jsoned(value) for name, value in rule.values}}
    return {"range": rule.column, "from": _jsoned(rule.low), "to": _jsoned(rule.high)}


def _jsoned(value: Any) -> Any:
    return value if value is None or isinstance(value, int | float | str) else value.isoformat()
