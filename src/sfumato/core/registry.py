"""Registries: a table of names to ``module:Class``, resolved when a name is first used.

A part of the house (a transform, a privacy model, a probe...) is one new file and one line in its
room's table. Parts from outside come through entry points, and only when a policy names them as
``distribution:name``: nothing foreign is imported because it happens to be installed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module, metadata
from typing import Any

from sfumato.core.errors import InputError, nearest


class Registry:
    """Names of one kind of part, each with where it lives.

    Args:
        kind: what is registered, as a user would say it ("transform").
        table: name -> ``module:Class``.
    """

    def __init__(self, kind: str, table: Mapping[str, str]) -> None:
        self.kind = kind
        self._table = dict(table)

    def __iter__(self) -> Iterator[str]:
        return iter(self._table)

    def __len__(self) -> int:
        return len(self._table)

    def __contains__(self, name: str) -> bool:
        return name in self._table or ":" in name

    def resolve(self, name: str) -> Any:
        """The class behind a name.

        Raises:
            InputError: the name is unknown; the message has the nearest known one.
        """
        if name in self._table:
            module, _, attribute = self._table[name].partition(":")
            return getattr(import_module(module), attribute)
        if ":" in name:
            return self._from_outside(name)
        raise InputError("unknown-name", f'no {self.kind} "{name}"', remedy=nearest(name, self._table))

    def _from_outside(self, name: str) -> Any:
        distribution, _, part = name.partition(":")
        group = f"sfumato.{self.kind.replace(' ', '_')}s"
        for entry in metadata.entry_points(group=group, name=part):
            if entry.dist is not None and entry.dist.name == distribution:
                return entry.load()
        raise InputError(
            "unknown-name",
            f'no installed distribution "{distribution}" offers a {self.kind} "{part}"',
            remedy=f"install it, or check the entry point group {group}",
        )
