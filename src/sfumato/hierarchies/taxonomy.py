"""Ladders from a tree of names: occupations, diagnoses, regions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

import polars as pl
from pydantic import Field, field_validator, model_validator

from sfumato import contracts
from sfumato.hierarchies.labelling import Listed
from sfumato.hierarchies.ladder import ANY
from sfumato.hierarchies.trees import Paths, read_tree, tree_of


class TaxonomyHierarchy:
    """The tree is cut at one depth after the other, from just above its deepest leaves up to its root, ``*``.

    A name that is less deep than the cut keeps its own label until the cut reaches it, so levels nest
    however uneven the tree is: a level of the ladder is a depth of the tree, counted from the root. The
    values of the data are leaves of the tree, other ones are refused; a missing one has no label below
    the top. Every name stands in the tree once.

    A file has a child and its parent in each row (``pairs``), or each name below its parent and indented
    deeper (``indented``). Otherwise ``tree`` has it: ``{north: {alps: [uri, valais]}, south: [ticino]}``.
    Text and mapping need no root.

    Raises:
        InputError: ``hierarchy-invalid`` for a file that cannot be read or is no tree (a circle, two
            parents, several roots in pairs), with the numbers of the lines at fault.
    """

    summary: ClassVar[str] = "labels from a tree of names, cut at one depth after the other"

    class Params(contracts.Params):
        """``path`` of a file, relative to the policy's folder, or a ``tree``; ``branches: true`` if values
        may be names that have others below them."""

        path: Annotated[str, Field(min_length=1)] | None = None
        form: Literal["pairs", "indented"] = "pairs"
        separator: Annotated[str, Field(min_length=1, max_length=1)] = ","
        encoding: str = "utf-8"
        tree: dict[str, Any] | None = None
        branches: bool = False

        @field_validator("tree")
        @classmethod
        def _is_a_tree(cls, value: dict[str, Any] | None) -> dict[str, Any] | None:
            if value is not None:
                tree_of(value)
            return value

        @model_validator(mode="after")
        def _one_of_them(self) -> Self:
            if (self.path is None) == (self.tree is None):
                raise ValueError("say either path or tree")
            return self

    def __init__(self, params: TaxonomyHierarchy.Params, folder: Path) -> None:
        if params.path is None:
            paths = tree_of(params.tree or {})
        else:
            paths = read_tree(folder / params.path, params.form, params.separator, params.encoding)
        inner = {name for path in paths.values() for name in path[:-1]}
        leaves = [name for name, path in paths.items() if params.branches or (path and name not in inner)]
        self._listed = Listed(_levelled(paths), leaves)

    @property
    def height(self) -> int:
        """The value, one level a depth between leaves and root, and the root."""
        return self._listed.height

    def labels(self, values: pl.Series, level: int) -> pl.Series:
        """The branch that each value is on; missing for values that the tree does not have."""
        return self._listed.labels(values, level)

    def domain(self) -> pl.Series:
        """The leaves of the tree, and the missing value."""
        return self._listed.domain

    def centers(self, values: pl.Series, level: int) -> pl.Series | None:
        """The mean of a branch's leaves, if they are numbers."""
        return self._listed.centers(values, level)


def _levelled(paths: Paths) -> dict[str, list[str]]:
    """For each name its label at each depth from the last but one down to 1."""
    deepest = max(map(len, paths.values()))
    return {
        name: [(path[: deepest - level] or (ANY,))[-1] for level in range(1, deepest)]
        for name, path in paths.items()
    }
