"""(alpha, k)-anonymity: no sensitive value prevails in a class of k (Wong, Li, Fu & Wang 2006, KDD)."""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from sfumato import contracts
from sfumato.classes.spread import TOLERANCE, heaviest
from sfumato.classes.table import ClassTable


class AlphaK:
    """Every class has at least ``k`` people, and no value of a column more than a share ``alpha`` of them.

    The general model: every value is as sensitive as any other (section 2).
    """

    summary: ClassVar[str] = "every class has k people, and no sensitive value more than a share of them"
    monotone: ClassVar[bool] = True
    absorbing: ClassVar[bool] = False
    whole: ClassVar[bool] = False
    counts_population: ClassVar[bool] = False

    class Params(contracts.Params):
        """A share of at most ``alpha`` for each value of the column ``on``, and ``k`` people at least."""

        on: Annotated[str, Field(min_length=1)]
        alpha: Annotated[float, Field(gt=0, lt=1)]
        k: Annotated[int, Field(ge=2, le=1_000_000)]

    def __init__(self, params: AlphaK.Params) -> None:
        self.on, self.alpha, self.k = params.on, params.alpha, params.k

    def holds(self, table: ClassTable) -> NDArray[np.bool_]:
        """Which classes are large and mixed enough."""
        most = (self.alpha + TOLERANCE) * table.sizes
        return np.asarray((table.sizes >= self.k) & (heaviest(table.sensitive[self.on]) <= most))

    def explain(self) -> str:
        """The promise in one sentence."""
        return (
            f"({self.alpha:g}, {self.k})-anonymity: everyone in the release shares the values of all "
            f"quasi-identifiers with at least {self.k - 1} others in it, of whom no more than a share of "
            f"{self.alpha:g} have one value of {self.on}"
        )
