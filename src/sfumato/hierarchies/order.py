"""Values with an order of their own: education, grades, severities, sizes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, ClassVar, Self

import polars as pl
from pydantic import Field, model_validator

from sfumato import contracts
from sfumato.hierarchies.labelling import Listed

Name = Annotated[str, Field(min_length=1)]
Names = Annotated[tuple[Name, ...], Field(min_length=1)]


class OrderHierarchy:
    """Neighbours in a list become one group, level by level; the top is ``*``.

    With ``sizes`` a group of level i has ``sizes[i - 1]`` values, counted from the first, and reads
    ``first - last``; the last group of a level may be smaller. With ``groups`` each level has names,
    each for neighbours among the labels of the level below. A value that is not in the list is refused;
    a missing one has no label below the top.
    """

    summary: ClassVar[str] = "values of a list in order, neighbours grouped"

    class Params(contracts.Params):
        """``values`` in their order, all that the column has; ``sizes``, of which each divides the next,
        or ``groups`` of neighbours with names: one mapping a level."""

        values: Annotated[tuple[Name, ...], Field(min_length=2)]
        sizes: tuple[Annotated[int, Field(ge=2)], ...] = ()
        groups: tuple[dict[Name, Names], ...] = ()

        @model_validator(mode="after")
        def _nests(self) -> Self:
            if len(set(self.values)) < len(self.values):
                raise ValueError("values has a value twice")
            if bool(self.sizes) == bool(self.groups):
                raise ValueError("say either sizes or groups")
            for small, large in zip(self.sizes, self.sizes[1:], strict=False):
                if large <= small or large % small:
                    raise ValueError(f"size {small} does not divide size {large}, so the levels do not nest")
            _levels(self)
            return self

    def __init__(self, params: OrderHierarchy.Params, folder: Path) -> None:
        del folder
        rows = dict(zip(params.values, zip(*_levels(params), strict=True), strict=True))
        self._listed = Listed(rows, params.values)

    @property
    def height(self) -> int:
        """The value, one level a size or mapping, and the top."""
        return self._listed.height

    def labels(self, values: pl.Series, level: int) -> pl.Series:
        """The group of each value; missing for values that are not in the list."""
        return self._listed.labels(values, level)

    def domain(self) -> pl.Series:
        """The list, and the missing value."""
        return self._listed.domain

    def centers(self, values: pl.Series, level: int) -> pl.Series | None:
        """The mean of a group's values, if they are numbers."""
        return self._listed.centers(values, level)


def _levels(params: OrderHierarchy.Params) -> list[list[str]]:
    """For each level the label of each value, in their order."""
    if params.sizes:
        return [_sized(params.values, size) for size in params.sizes]
    levels: list[list[str]] = []
    below: Sequence[str] = params.values
    for level, groups in enumerate(params.groups, 1):
        if sorted(label for members in groups.values() for label in members) != sorted(_runs(below)):
            raise ValueError(f"the groups of level {level} do not have every label of level {level - 1} once")
        parents = {label: name for name, members in groups.items() for label in members}
        below = [parents[label] for label in below]
        # The order of a mapping means nothing: canonical JSON has its own.
        if len(list(_runs(below))) > len(groups):
            raise ValueError(f"a group of level {level} has labels that are no neighbours")
        levels.append(list(below))
    return levels


def _sized(values: Sequence[str], size: int) -> list[str]:
    groups = [values[start : start + size] for start in range(0, len(values), size)]
    labels = [group[0] if len(group) == 1 else f"{group[0]} - {group[-1]}" for group in groups]
    if len(set(labels)) < len(labels):
        raise ValueError(f"two groups of {size} would have the same label: name the groups")
    return [label for label, group in zip(labels, groups, strict=True) for _ in group]


def _runs(labels: Sequence[str]) -> Iterator[str]:
    """Each label once a run of equal neighbours."""
    return (label for i, label in enumerate(labels) if not i or label != labels[i - 1])
