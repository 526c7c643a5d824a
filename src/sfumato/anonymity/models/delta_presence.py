"""delta-presence: who is in the data is neither sure nor ruled out (Nergiz, Atzori & Clifton 2007)."""

from __future__ import annotations

from typing import Annotated, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from sfumato import contracts
from sfumato.classes.spread import TOLERANCE
from sfumato.classes.table import ClassTable
from sfumato.core.errors import InputError


class DeltaPresence:
    """Of the people of the population in a class, a share from ``low`` to ``high`` is in the data.

    Classes that only the population has are ruled out wholly: they hold if ``low`` is 0.

    >>> table = ClassTable(np.array([1, 3]), population=np.array([4, 4]))
    >>> DeltaPresence(DeltaPresence.Params(high=0.5)).holds(table)
    array([ True, False])
    """

    summary: ClassVar[str] = "the chance that somebody of the population is in the data lies in a range"
    monotone: ClassVar[bool] = True
    absorbing: ClassVar[bool] = False
    whole: ClassVar[bool] = False
    counts_population: ClassVar[bool] = True
    on: str | None = None

    class Params(contracts.Params):
        """Shares from ``low`` to ``high``."""

        low: Annotated[float, Field(ge=0, le=1)] = 0.0
        high: Annotated[float, Field(gt=0, le=1)]

        @model_validator(mode="after")
        def _ordered(self) -> Self:
            if self.low > self.high:
                raise ValueError("low must not exceed high")
            return self

    def __init__(self, params: DeltaPresence.Params) -> None:
        self.low, self.high = params.low, params.high

    def holds(self, table: ClassTable) -> NDArray[np.bool_]:
        """Which classes have a share of their population within the range.

        Raises:
            InputError: ``policy-mismatch`` without a table of the population.
        """
        if table.population is None:
            raise InputError(
                "policy-mismatch",
                "delta-presence counts people in a table of the population, and there is none",
                where="dataset.population",
                remedy="name a table of the population",
            )
        people = table.population
        least, most = (self.low - TOLERANCE) * people, (self.high + TOLERANCE) * people
        return np.asarray((table.sizes >= least) & (table.sizes <= most))

    def explain(self) -> str:
        """The promise in one sentence."""
        return (
            f"delta-presence: of the people of the population who look alike, between {self.low:.4g} and "
            f"{self.high:.4g} are in the data, so that nobody is known to be in them with a higher chance"
        )
