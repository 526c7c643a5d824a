"""Policies as files: the given text with what was chosen changed in it, comments and reasons kept."""

from __future__ import annotations

import datetime as dt
import io
import os
from collections.abc import Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap

from sfumato.core.errors import InputError
from sfumato.tuning.choices import Choice, Params, chosen


def tree_of(path: Path) -> Any:
    """A policy file as a tree that keeps comments; it was read and validated before.

    Raises:
        InputError: ``policy-unreadable`` if it is gone by now.
    """
    try:
        return _yaml().load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError("policy-unreadable", f"cannot be read ({error.strerror})", where=str(path)) from None


def plain(node: Any) -> Any:
    """A tree as plain values, as a policy is loaded.

    >>> plain(CommentedMap(a=[dt.date(2024, 1, 2), 1.5]))
    {'a': ['2024-01-02', 1.5]}
    """
    if isinstance(node, Mapping):
        return {str(key): plain(value) for key, value in node.items()}
    if isinstance(node, list | tuple):
        return [plain(value) for value in node]
    if isinstance(node, bool) or node is None:
        return node
    if isinstance(node, int):
        return int(node)
    if isinstance(node, float):
        return float(node)
    return node.isoformat() if isinstance(node, dt.date) else str(node)


def policy_text(
    tree: Any,
    every: Sequence[Choice],
    params: Params,
    *,
    base: Path,
    folder: Path,
    head: str,
    source: str | None = None,
) -> bytes:
    """A policy file for ``folder`` with what was chosen, from the tree of one in ``base``.

    Args:
        head: lines that go above the file as comments.
        source: the path of another source, relative to ``base``.
    """
    changed = chosen(deepcopy(tree), every, params)
    if source is not None:
        changed["dataset"]["source"]["path"] = source
    _move(changed, os.path.relpath(base.resolve(), folder.resolve()))
    if not isinstance(changed, CommentedMap):
        changed = CommentedMap(changed)
    buffer = io.StringIO()
    _yaml().dump(changed, buffer)
    lines = "".join(f"# {line}\n" for line in head.splitlines())
    return (lines + buffer.getvalue()).encode()


def _yaml() -> YAML:
    yaml = YAML(typ="rt", pure=True)
    yaml.width = 4096
    yaml.preserve_quotes = True
    yaml.indent(mapping=2, sequence=4, offset=2)
    return yaml


def _move(tree: Any, base: str) -> None:
    """Have the policy's paths lead from another folder to where they led before."""
    dataset = tree["dataset"]
    _move_path(dataset["source"], "path", base)
    table = (dataset.get("population") or {}).get("table")
    if table is not None:
        _move_path(table, "path", base)
    hierarchies = [column.get("hierarchy") for column in tree["columns"].values()]
    models = (tree.get("anonymity") or {}).get("models", ())
    hierarchies += [model.get("hierarchy") for model in models if isinstance(model, Mapping)]
    for hierarchy in hierarchies:
        if isinstance(hierarchy, Mapping):
            for key in ("path", "population"):
                _move_path(hierarchy, key, base)


def _move_path(node: Any, key: str, base: str) -> None:
    written = node.get(key)
    if isinstance(written, str) and not Path(written).is_absolute():
        node[key] = os.path.normpath(Path(base, written))
