"""p-sensitive k-anonymity: k people with p sensitive values in every class (Truta & Vinay 2006, PDM)."""

from __future__ import annotations

from typing import Annotated, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from sfumato import contracts
from sfumato.classes.spread import distinct
from sfumato.classes.table import ClassTable


class PSensitive:
    """Every class has at least ``k`` people and ``p`` different values of a sensitive column."""

    summary: ClassVar[str] = "every class has k people and p different values of a sensitive column"
    monotone: ClassVar[bool] = True
    absorbing: ClassVar[bool] = True
    whole: ClassVar[bool] = False
    counts_population: ClassVar[bool] = False

    class Params(contracts.Params):
        """``p`` values of the column ``on`` among at least ``k`` people."""

        on: Annotated[str, Field(min_length=1)]
        p: Annotated[int, Field(ge=2, le=1_000_000)]
        k: Annotated[int, Field(ge=2, le=1_000_000)]

        @model_validator(mode="after")
        def _values_have_people(self) -> Self:
            if self.p > self.k:
                raise ValueError("p must not exceed k, for each value needs somebody")
            return self

    def __init__(self, params: PSensitive.Params) -> None:
        self.on, self.p, self.k = params.on, params.p, params.k

    def holds(self, table: ClassTable) -> NDArray[np.bool_]:
        """Which classes are large and varied enough."""
        return np.asarray((table.sizes >= self.k) & (distinct(table.sensitive[self.on]) >= self.p))

    def explain(self) -> str:
        """The promise in one sentence."""
        return (
            f"{self.p}-sensitive {self.k}-anonymity: everyone in the release shares the values of all "
            f"quasi-identifiers with at least {self.k - 1} others in it, among whom at least {self.p} "
            f"different values of {self.on} occur"
        )
