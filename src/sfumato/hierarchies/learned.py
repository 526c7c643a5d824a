"""Categories merged by what they say about the target, learned from the data."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field, model_validator

from sfumato import contracts
from sfumato.core.errors import InputError
from sfumato.hierarchies.labelling import looked_up, top
from sfumato.hierarchies.merging import merged

#: Categories beyond the most common ones are taken together as rare ones are: merging costs their square.
MOST = 1000
#: A target of more different numbers is cut at its quantiles.
_NUMBERS, _CLASSES = 10, 100
#: A label lists no more values than this.
_SHOWN = 12
_OTHER = "other"


class LearnedHierarchy:
    """Level i has at most ``groups[i - 1]`` groups of categories alike in the target; the top is ``*``.

    Groups are merged two by two, always those whose merging loses the least information about the
    target (Slonim and Tishby, "Agglomerative information bottleneck", NIPS 1999). Categories of fewer
    than ``least`` people are taken together first, whatever their target is, for the target of a few
    would say where they go; values that come later go with them. A label lists its common values,
    ``{clerk, nurse}``, and says ``other`` for the rare ones, so that none of these is named.

    Raises:
        InputError: ``policy-mismatch`` without a target; ``column-values`` if the target has more than
            100 categories.
    """

    summary: ClassVar[str] = "categories merged by what they say about the target (data-dependent)"
    fitted: ClassVar[bool] = True
    needs_target: ClassVar[bool] = True
    disclosed: ClassVar[str] = (
        "Which categories share a label was learned from the target in the data; categories of fewer than "
        "10 people were taken together without a look at it."
    )

    class Params(contracts.Params):
        """``groups`` fall from level to level; ``least`` people have a category that counts alone."""

        groups: Annotated[tuple[Annotated[int, Field(ge=2, le=MOST)], ...], Field(min_length=1)]
        least: Annotated[int, Field(ge=10)] = 10

        @model_validator(mode="after")
        def _falls(self) -> Self:
            if any(few >= many for many, few in zip(self.groups, self.groups[1:], strict=False)):
                raise ValueError("groups must fall from level to level")
            return self

    def __init__(
        self, params: LearnedHierarchy.Params, folder: Path, fit: Mapping[str, Any] | None = None
    ) -> None:
        del folder
        self.params = params
        self._labels: list[dict[str, str]] = []
        self._others: list[str | None] = []
        if fit is not None:
            for groups in fit["groups"]:
                names = _names(fit["values"], groups, fit["other"])
                labels = [names[group] for group in groups]
                self._labels.append(dict(zip(fit["values"], labels, strict=False)))
                self._others.append(labels[-1] if fit["other"] else None)

    @classmethod
    def fit(cls, values: pl.DataFrame, params: LearnedHierarchy.Params) -> dict[str, Any]:
        """The values that are named, and at each level the group of each; of the ``other`` ones the last.

        Args:
            values: ``value``, ``target`` and the ``count`` of people for each pair that occurs.
            params: the parameters.
        """
        if "target" not in values.columns:
            raise InputError(
                "policy-mismatch",
                "a learned hierarchy needs a target to learn from",
                remedy="name it under dataset.target, or use another kind",
            )
        known = values.drop_nulls().with_columns(pl.col("value").cast(pl.String))
        counts = known.with_columns(_classes(known)).group_by("value", "class").agg(pl.col("count").sum())
        named, table = _contingency(counts, params.least)
        other = len(table) > len(named)
        groups = [level.tolist() for level in merged(table, params.groups)]
        return {"values": named, "other": other, "groups": groups}

    @property
    def height(self) -> int:
        """The value, one level a number of groups, and the top."""
        return len(self.params.groups) + 2

    def labels(self, values: pl.Series, level: int) -> pl.Series:
        """The group of each value; a value never seen goes with the rare ones, missing if there are none."""
        if level == self.height - 1:
            return top(values)
        labels = looked_up(values, self._labels[level - 1])
        others = self._others[level - 1]
        frame = pl.DataFrame({"label": labels, "present": values.is_not_null()})
        chosen = pl.when("present").then(pl.col("label").fill_null(pl.lit(others, pl.String)))
        return frame.select(chosen.alias(values.name))[values.name]

    def domain(self) -> None:
        """The data's own values are the leaves."""

    def centers(self, values: pl.Series, level: int) -> None:
        """A set of categories is no number."""
        del values, level


def _classes(pairs: pl.DataFrame) -> pl.Series:
    """The class of each row's target: its categories, or for many numbers the tenth of people it lies in."""
    target = pairs["target"]
    if target.dtype.is_numeric() and target.n_unique() > _NUMBERS:
        people = pairs.group_by("target").agg(pl.col("count").sum()).sort("target")
        middle = people["count"].cum_sum() - people["count"] / 2
        tenths = (middle * _NUMBERS / max(1, people["count"].sum())).floor().cast(pl.Int64)
        table = people.select("target", tenths.alias("class"))
        return pairs.join(table, on="target", how="left", maintain_order="left")["class"]
    if target.n_unique() > _CLASSES:
        raise InputError(
            "column-values",
            f"the target has more than {_CLASSES} categories, too many to learn groups from",
            remedy="use a target with fewer, or another kind of hierarchy",
        )
    return target.rank("dense").cast(pl.Int64).alias("class")


def _contingency(counts: pl.DataFrame, least: int) -> tuple[list[str], NDArray[np.float64]]:
    """The values that stand alone, by name, and people by value and class; a row more for all the others."""
    people = (
        counts.group_by("value").agg(pl.col("count").sum()).sort(["count", "value"], descending=[True, False])
    )
    sizes = people["count"].to_numpy()
    alone = min(int((sizes >= least).sum()), MOST - 1 if len(sizes) > MOST else MOST)
    while alone < len(sizes) and alone > 0 and sizes[alone:].sum() < least:
        alone -= 1
    named = sorted(people["value"][:alone].to_list())
    rows = {value: i for i, value in enumerate(named)}
    classes = {label: i for i, label in enumerate(sorted(counts["class"].unique().to_list()))}
    table = np.zeros((len(named) + (alone < len(sizes)), len(classes)))
    for value, label, count in counts.select("value", "class", "count").iter_rows():
        table[rows.get(value, len(named)), classes[label]] += count
    return named, table


def _names(values: Sequence[str], groups: Sequence[int], other: bool) -> dict[int, str]:
    """The label of each group."""
    members: dict[int, list[str]] = {group: [] for group in groups}
    for value, group in zip(values, groups, strict=False):
        members[group].append(_word(value))
    names = {}
    for group, words in members.items():
        more = [f"{len(words) - _SHOWN} more"] if len(words) > _SHOWN else []
        rest = [_OTHER] if other and group == groups[-1] else []
        listed = words[:_SHOWN] + more + rest
        names[group] = listed[0] if len(listed) == 1 else "{" + ", ".join(listed) + "}"
    return names


def _word(value: str) -> str:
    """The value, in quotes where it could be taken for part of a list."""
    plain = value and value != _OTHER and not any(sign in value for sign in '{},"')
    return value if plain else json.dumps(value, ensure_ascii=False)
