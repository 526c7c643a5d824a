"""t-closeness: no class is spread unlike the table (Li, Li & Venkatasubramanian 2007, ICDE)."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator, model_validator

from sfumato import contracts
from sfumato.classes.spread import TOLERANCE, equal_distance, hierarchical_distance, ordered_distance
from sfumato.classes.table import ClassTable
from sfumato.hierarchies.ladder import Ladder

_DISTANCES = {"equal": equal_distance, "ordered": ordered_distance, "hierarchical": hierarchical_distance}


def tree(ladder: Ladder) -> NDArray[np.int64]:
    """A ladder of a sensitive column's values, in their order, as the tree of a contingency.

    Returns:
        Shape (levels, values); with one label for all above the last level where that has several.
    """
    levels = [np.asarray(codes, dtype=np.int64) for codes in ladder.codes]
    if len(np.unique(levels[-1])) > 1:
        levels.append(np.zeros_like(levels[-1]))
    return np.stack(levels)


class TCloseness:
    """The earth mover's distance of a sensitive column in every class to the whole table is at most ``t``.

    How far two values are apart: *equal* makes it 1 for any two, *ordered* the places between them in
    their order over all there are, *hierarchical* the height of their first common label over that of the
    hierarchy.
    """

    summary: ClassVar[str] = "every class is spread over a column's values as the table is, within t"
    monotone: ClassVar[bool] = True
    absorbing: ClassVar[bool] = False
    whole: ClassVar[bool] = False
    counts_population: ClassVar[bool] = False

    class Params(contracts.Params):
        """At most ``t`` for the column ``on``; ``hierarchy`` as a column of a policy has it."""

        on: Annotated[str, Field(min_length=1)]
        t: Annotated[float, Field(ge=0, lt=1)]
        distance: Literal["equal", "ordered", "hierarchical"] = "equal"
        hierarchy: dict[str, Any] | None = None

        @field_validator("hierarchy")
        @classmethod
        def _has_a_kind(cls, value: dict[str, Any] | None) -> dict[str, Any] | None:
            if value is not None and not isinstance(value.get("kind"), str):
                raise ValueError("a hierarchy needs its kind")
            return value

        @model_validator(mode="after")
        def _fits_the_distance(self) -> Self:
            if (self.hierarchy is not None) != (self.distance == "hierarchical"):
                raise ValueError("a hierarchy is for the hierarchical distance, which needs it")
            return self

    def __init__(self, params: TCloseness.Params) -> None:
        self.on, self.t, self.distance = params.on, params.t, params.distance
        self.hierarchy = params.hierarchy

    def holds(self, table: ClassTable) -> NDArray[np.bool_]:
        """Which classes are close to the table."""
        return np.asarray(_DISTANCES[self.distance](table.sensitive[self.on]) <= self.t + TOLERANCE)

    def explain(self) -> str:
        """The promise in one sentence."""
        return (
            f"{self.t:g}-closeness of {self.on}: in every class of people who look alike it is spread as in "
            f"the whole table, within an earth mover's distance of {self.t:g} ({self.distance} distance)"
        )
