"""Trees of names from a file of pairs, from indented text, or from a nested mapping.

A tree comes back as the path of each name: its ancestors from below the root, then itself. The root has
the empty path; text and mappings need not name one. Messages have numbers of lines or entries, never names.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from sfumato.core.errors import InputError

Paths = dict[str, tuple[str, ...]]

#: A tree may not be deeper: so many levels are a mistake.
DEEPEST = 100
_NAMED = 5


class TreeError(ValueError):
    """What is wrong with a tree, and what to do about it."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(f"{what}: {remedy}")
        self.what, self.remedy = what, remedy


def read_tree(path: Path, form: str, separator: str, encoding: str) -> Paths:
    """The tree of a file.

    Args:
        path: the file.
        form: ``pairs``, child and parent in each row; or ``indented``, each name below its parent.
        separator: between child and parent.
        encoding: of the file.

    Raises:
        InputError: ``hierarchy-invalid`` for a file that cannot be read or is no tree.
    """
    try:
        with path.open(encoding=encoding, newline="") as file:
            if form == "indented":
                return _nested(_indented(file), "lines")
            rows = csv.reader(file, delimiter=separator, strict=True)
            return _paired([(rows.line_num, row) for row in rows if row])
    except TreeError as error:
        what, remedy = error.what, error.remedy
    except (OSError, ValueError, csv.Error, LookupError, TypeError) as error:
        what, remedy = f"it cannot be read ({type(error).__name__})", "check path, separator and encoding"
    raise InputError("hierarchy-invalid", what, where=f"taxonomy file {path.name}", remedy=remedy)


def tree_of(written: Mapping[str, Any]) -> Paths:
    """The tree of a nested mapping; lists and nothing end it.

    Raises:
        TreeError: for what is no tree.

    >>> tree_of({"animal": {"bird": ["owl"], "fish": None}})
    {'animal': (), 'bird': ('bird',), 'owl': ('bird', 'owl'), 'fish': ('fish',)}
    """
    return _nested(((i, *entry) for i, entry in enumerate(_entries(written, 0), 1)), "entries")


def _entries(written: Any, depth: int) -> Iterator[tuple[int, str]]:
    if depth > DEEPEST:
        raise TreeError(f"it is deeper than {DEEPEST} levels", "leave levels out")
    if isinstance(written, Mapping):
        for name, below in written.items():
            yield depth, str(name)
            yield from _entries(below, depth + 1)
    elif isinstance(written, Sequence) and not isinstance(written, str):
        for name in written:
            if not isinstance(name, str):
                raise TreeError("a list in it has something else than text", "put names in quotes")
            yield depth, name
    elif written is not None:
        raise TreeError("something in it is neither a mapping nor a list", "write single names as [name]")


def _indented(lines: Iterable[str]) -> Iterator[tuple[int, int, str]]:
    """Number, depth and name of each line that is not blank."""
    above: list[str] = []
    for number, line in enumerate(lines, 1):
        name = line.strip()
        if not name:
            continue
        indent = line[: len(line) - len(line.lstrip())]
        deeper = not above or (len(indent) > len(above[-1]) and indent.startswith(above[-1]))
        while above and len(above[-1]) > len(indent):
            above.pop()
        if deeper:
            above.append(indent)
        elif not above or above[-1] != indent:
            raise TreeError(
                f"line {number} is indented as no line above it", "indent by blanks or by tabs, not by both"
            )
        yield number, len(above) - 1, name


def _nested(entries: Iterable[tuple[int, int, str]], unit: str) -> Paths:
    """The tree of names with their depth, each below the last that is less deep.

    One name at the top is the root; several are below one that has no name.
    """
    first: dict[str, int] = {}
    paths: Paths = {}
    open_: list[str] = []
    for number, depth, name in entries:
        _not_too_deep(depth)
        if name in first:
            raise TreeError(
                f"{unit} {first[name]} and {number} have the same name",
                "give names that mean different groups different names",
            )
        first[name] = number
        open_[depth:] = [name]
        paths[name] = tuple(open_)
    if len(paths) < 2:
        raise TreeError("it has no two names", "write the names of groups, and below each what it holds")
    if sum(len(path) == 1 for path in paths.values()) == 1:
        paths = {name: path[1:] for name, path in paths.items()}
    return paths


def _paired(rows: Sequence[tuple[int, Sequence[str]]]) -> Paths:
    """The tree of numbered rows of child and parent; the root has an empty parent or is never a child."""
    parents: dict[str, tuple[int, str]] = {}
    mentioned: dict[str, int] = {}
    for number, row in rows:
        if len(row) != 2:
            raise TreeError(f"line {number} has {len(row)} cells", "write a child and its parent in each")
        child, parent = (cell.strip() for cell in row)
        if not child:
            raise TreeError(f"line {number} has no child", "write a child and its parent in each")
        first, other = parents.setdefault(child, (number, parent))
        if other != parent:
            raise TreeError(
                f"lines {first} and {number} give a name two parents", "leave one line for each child"
            )
        for name in (child, parent):
            mentioned.setdefault(name, number)
    roots = [name for name in mentioned if name and not parents.get(name, (0, ""))[1]]
    paths = _below(roots, parents)
    if len(paths) < len(mentioned.keys() - {""}):
        raise TreeError(
            f"lines {_listed(_cycle(parents, paths))} go round in a circle", "leave one of them out"
        )
    if len(roots) > 1:
        raise TreeError(
            f"lines {_listed(sorted(mentioned[name] for name in roots))} begin trees of their own",
            "put them below one root (a line of headings counts as a tree, too)",
        )
    if len(paths) < 2:
        raise TreeError("it has no two names", "write a child and its parent in each line")
    return paths


def _below(roots: Sequence[str], parents: Mapping[str, tuple[int, str]]) -> Paths:
    """The paths of all names below some roots, those of one depth in the order of the file."""
    children: dict[str, list[str]] = {}
    for child, (_, parent) in parents.items():
        if parent:
            children.setdefault(parent, []).append(child)
    paths: Paths = dict.fromkeys(roots, ())
    waiting = list(roots)
    for name in waiting:
        for child in children.get(name, ()):
            paths[child] = (*paths[name], child)
            _not_too_deep(len(paths[child]))
            waiting.append(child)
    return paths


def _cycle(parents: Mapping[str, tuple[int, str]], reached: Paths) -> list[int]:
    """The lines of a circle, from a name that no root reaches."""
    name = next(child for child in parents if child not in reached)
    lines: dict[str, int] = {}
    while name not in lines:
        lines[name], name = parents[name]
    members = list(lines)
    return sorted(lines[member] for member in members[members.index(name) :])


def _listed(numbers: Sequence[int]) -> str:
    more = [f"{len(numbers) - _NAMED} more"] if len(numbers) > _NAMED else []
    return ", ".join([*map(str, numbers[:_NAMED]), *more])


def _not_too_deep(depth: int) -> None:
    if depth > DEEPEST:
        raise TreeError(f"it is deeper than {DEEPEST} levels", "leave levels out")
