"""A draft policy from an inventory: every column decided, each with a why, on the safe side.

A draft is for people to read and change. It is written as text, with the reasons as they would be
written by hand, and it loads and checks without problems as it stands.
"""

from __future__ import annotations

import io
import re
from math import prod
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap

from sfumato.core.errors import InputError
from sfumato.core.values import ColumnProfile, Inventory, Role
from sfumato.engines.sources import FileSource
from sfumato.inventory.roles import SINGLES_OUT
from sfumato.policy.measured import BATTERY, USES
from sfumato.project.keys import write_whole

#: A draft's lattice has at most this many nodes: some minutes of search on a large table.
LARGEST_DRAFT = 200_000

_TARGET = "It is the target, and counts as unknown to others: if they know it, make it a quasi-identifier."

_HEADER = """\
A draft policy, written from an inventory. It is on the safe side, and it is a draft: read every why,
say the purpose and the recipients, then run: sfumato check, sfumato plan, sfumato run.
"""


def write_draft(
    inventory: Inventory, source: FileSource, *, place: Path, path: Path, subject: str | None, replace: bool
) -> None:
    """Write a draft policy to a file.

    Args:
        place: the path, pattern or folder that the source was found by.
        subject: the column that says which rows are one person's.
        replace: whether an existing file may be overwritten.

    Raises:
        InputError: ``output-exists`` or ``output-failed``.
    """
    if path.is_dir():
        raise InputError(
            "output-failed", "it is a folder", where=str(path), remedy="name the file, such as policy.yaml"
        )
    if path.exists() and any(path.samefile(file) for file in source.paths):
        raise InputError(
            "output-exists",
            "it is the source, which is never written to",
            where=str(path),
            remedy="choose another name",
        )
    if path.exists() and not replace:
        raise InputError(
            "output-exists",
            "there is a file already",
            where=str(path),
            remedy="choose another name, or add --force",
        )
    text = draft(inventory, source, place=_relative(place, path.parent), subject=subject)
    try:
        write_whole(path, text.encode(), mode=0o644)
    except OSError as error:
        raise InputError(
            "output-failed",
            f"it cannot be written ({error.strerror})",
            where=str(path),
            remedy="check the folder, the space left and who may write there",
        ) from None


def draft(inventory: Inventory, source: FileSource, *, place: str, subject: str | None = None) -> str:
    """The text of a draft policy; ``place`` is the source's path relative to the policy's folder."""
    policy = CommentedMap()
    policy["sfumato"] = 1
    policy["dataset"] = _dataset(inventory, source, place, subject)
    policy["columns"] = CommentedMap(
        (column.name, _column(column, inventory, subject)) for column in inventory.columns
    )
    if _searchable(policy["columns"], inventory):
        policy["anonymity"] = {
            "method": "lattice",
            "models": [{"model": "k-anonymity", "k": 5}],
            "suppression": 0.05,
            "measure": "loss",
        }
    policy["context"] = {"release": "partner"}
    target = inventory.target
    learns = target is not None and not _is_dropped(inventory.column(target), inventory)
    policy["evidence"] = {
        "holdout": {"share": 0.2},
        "attacks": list(BATTERY),
        "utility": [name for name in USES if name != "learning" or learns],
    }
    policy["gate"] = [
        {"metric": "risk.worst_class", "at_most": 0.2},
        {"metric": "linkage.excess", "at_most": 0.05},
        {"metric": "linkage.precision", "at_most": 0.2, "least_n": 20},
    ]
    policy.yaml_set_start_comment(_HEADER)
    return _text(policy)


def _dataset(inventory: Inventory, source: FileSource, place: str, subject: str | None) -> CommentedMap:
    where: dict[str, Any] = {"path": place}
    if source.separator is not None:
        where["separator"] = source.separator
    if source.encoding != "utf-8":
        where["encoding"] = source.encoding
    if source.missing:
        where["missing"] = list(source.missing)
    dataset = CommentedMap(name=_name(place), source=where)
    if inventory.target is not None:
        dataset["target"] = inventory.target
    if subject is not None:
        dataset["subject"] = subject
    return dataset


def _column(column: ColumnProfile, inventory: Inventory, subject: str | None) -> CommentedMap:
    dropped = column.name == subject or _is_dropped(column, inventory)
    if column.name == inventory.target and not dropped and column.unique < SINGLES_OUT:
        return CommentedMap(role=Role.INSENSITIVE.value, sensitive=True, why=f"{column.why} {_TARGET}")
    written = CommentedMap(role=column.role.value)
    if column.sensitive:
        written["sensitive"] = True
    if dropped:
        written["action"] = {"do": "drop"}
    elif column.role is Role.QUASI_IDENTIFIER:
        written["hierarchy"] = dict(column.hierarchy or {"kind": "suppress"})
    written["why"] = column.why
    return written


def _searchable(columns: CommentedMap, inventory: Inventory) -> list[str]:
    """The quasi-identifiers that are generalized, few enough for the optimal search to take minutes.

    Where the lattice is too large, numbers get one width of intervals instead of several; where that is
    not enough, the columns that say least about the target go, and their why says so.
    """
    quasi = [name for name, column in columns.items() if "hierarchy" in column]
    if _nodes(columns, quasi) > LARGEST_DRAFT:
        for name in quasi:
            hierarchy = columns[name]["hierarchy"]
            if hierarchy["kind"] == "intervals":
                widths = hierarchy["widths"]
                columns[name]["hierarchy"] = hierarchy | {"widths": [widths[len(widths) // 2]]}
    asked = len(quasi)
    while _nodes(columns, quasi) > LARGEST_DRAFT:
        least = min(quasi, key=lambda name: _worth(inventory.column(name)))
        quasi.remove(least)
        del columns[least]["hierarchy"]
        why = columns[least].pop("why")
        columns[least]["action"] = {"do": "drop"}
        says = "says least about the target" if inventory.target else "tells people apart most"
        columns[least]["why"] = (
            f"{why} Left out of the draft: {asked} quasi-identifiers are too many for one search, "
            f"and it {says}."
        )
    return quasi


def _worth(column: ColumnProfile) -> float:
    """What a model gets from a column; without a target, how little it singles people out."""
    return -column.separation if column.target_information is None else column.target_information


def _nodes(columns: CommentedMap, quasi: list[str]) -> int:
    """The nodes of the lattice over some columns: each hierarchy's levels, the value and * among them."""
    steps = {"intervals": "widths", "prefix": "keep", "dates": "levels"}
    hierarchies = [columns[name]["hierarchy"] for name in quasi]
    return prod(2 + len(hierarchy.get(steps.get(hierarchy["kind"], ""), ())) for hierarchy in hierarchies)


def _is_dropped(column: ColumnProfile, inventory: Inventory) -> bool:
    """What a careful person drops: names and numbers of people, empty columns, the target in other
    words, and second copies of a quasi-identifier, which would undo the generalization of the first."""
    return (
        column.role is Role.DIRECT_IDENTIFIER
        or column.dtype == "empty"
        or column.determines_target
        or (column.role is Role.QUASI_IDENTIFIER and _is_second_copy(column, inventory))
    )


def _is_second_copy(column: ColumnProfile, inventory: Inventory) -> bool:
    """Whether another column says all that this one says, and more, or the same and stands before it."""
    names = [other.name for other in inventory.columns]
    for name in column.function_of:
        other = inventory.column(name)
        mutual = column.name in other.function_of
        before = names.index(name) < names.index(column.name)
        leaves = other.role is Role.QUASI_IDENTIFIER and not other.determines_target
        if leaves and (before or not mutual):
            return True
    return False


def _name(place: str) -> str:
    stem = Path(place).name.split(".")[0] or "dataset"
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("-._")
    return name or "dataset"


def _relative(place: Path, folder: Path) -> str:
    """The source's place as the policy has to write it."""
    absolute, base = place.absolute(), folder.absolute()
    return str(absolute.relative_to(base)) if absolute.is_relative_to(base) else str(absolute)


def _text(policy: CommentedMap) -> str:
    yaml = YAML()
    yaml.width = 110
    yaml.indent(mapping=2, sequence=4, offset=2)
    buffer = io.StringIO()
    yaml.dump(policy, buffer)
    return buffer.getvalue()
