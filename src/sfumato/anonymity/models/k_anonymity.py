"""k-anonymity: nobody in a class of fewer than k (Samarati & Sweeney 1998; ISO/IEC 20889, 10.2)."""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from sfumato import contracts
from sfumato.classes.table import ClassTable


class KAnonymity:
    """Every class has at least ``k`` people.

    >>> KAnonymity(KAnonymity.Params(k=2)).holds(ClassTable(np.array([1, 2])))
    array([False,  True])
    """

    summary: ClassVar[str] = "every combination of quasi-identifiers is shared by at least k people"
    monotone: ClassVar[bool] = True
    absorbing: ClassVar[bool] = True
    whole: ClassVar[bool] = False
    counts_population: ClassVar[bool] = False
    on: str | None = None

    class Params(contracts.Params):
        """``k`` people at least; 2 is the least that means anything."""

        k: Annotated[int, Field(ge=2, le=1_000_000)]

    def __init__(self, params: KAnonymity.Params) -> None:
        self.k = params.k

    def holds(self, table: ClassTable) -> NDArray[np.bool_]:
        """Which classes have at least k people."""
        return table.sizes >= self.k

    def explain(self) -> str:
        """The promise in one sentence."""
        return (
            f"{self.k}-anonymity: everyone in the release shares the values of all quasi-identifiers with at "
            f"least {self.k - 1} others in it"
        )
