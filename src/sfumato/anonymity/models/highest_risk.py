"""A bound on the highest risk of re-identification (prosecutor's, El Emam 2010; ISO/IEC 20889, 2018)."""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from sfumato import contracts
from sfumato.classes.spread import TOLERANCE
from sfumato.classes.table import ClassTable


class HighestRisk:
    """One over the people of every class is at most ``at_most``: k-anonymity said as a probability.

    >>> HighestRisk(HighestRisk.Params(at_most=0.2)).holds(ClassTable(np.array([4, 5])))
    array([False,  True])
    """

    summary: ClassVar[str] = "nobody is found with more than a probability (1 / people of the class)"
    monotone: ClassVar[bool] = True
    absorbing: ClassVar[bool] = True
    whole: ClassVar[bool] = False
    counts_population: ClassVar[bool] = False
    on: str | None = None

    class Params(contracts.Params):
        """A probability of ``at_most`` for anybody."""

        at_most: Annotated[float, Field(gt=0, lt=1)]

    def __init__(self, params: HighestRisk.Params) -> None:
        self.at_most = params.at_most

    def holds(self, table: ClassTable) -> NDArray[np.bool_]:
        """Which classes have enough people."""
        return np.asarray(table.sizes * (self.at_most + TOLERANCE) >= 1)

    def explain(self) -> str:
        """The promise in one sentence."""
        return (
            f"highest risk: somebody who knows that a person is in the release, and all of the person's "
            f"quasi-identifiers, finds the person's row with a probability of at most {self.at_most:g}"
        )
