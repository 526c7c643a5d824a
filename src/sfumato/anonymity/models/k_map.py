"""k-map: every class has k people in the population (Sweeney 2001, *Computational Disclosure Control*)."""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from sfumato import contracts
from sfumato.classes.population import smallest_sample
from sfumato.classes.table import ClassTable
from sfumato.core.errors import InputError


class Estimated(contracts.Params):
    """Classes of the population guessed from those of a sample of ``fraction`` of it.

    A class holds if it has too many people in the sample for fewer than k in the population, at a level
    of ``significance`` (El Emam & Dankar 2008).
    """

    fraction: Annotated[float, Field(gt=0, le=1)]
    significance: Annotated[float, Field(gt=0, le=0.1)] = 0.01


class KMap:
    """Every class has at least ``k`` people in the population.

    >>> table = ClassTable(np.array([1, 2]), population=np.array([7, 3]))
    >>> KMap(KMap.Params(k=5)).holds(table)
    array([ True, False])
    """

    summary: ClassVar[str] = "every class has at least k people in the population, counted or estimated"
    monotone: ClassVar[bool] = True
    absorbing: ClassVar[bool] = True
    whole: ClassVar[bool] = False
    #: Unless it estimates them.
    counts_population: bool = True
    on: str | None = None

    class Params(contracts.Params):
        """``k`` people at least, in the table of the population unless ``estimated`` from the sample."""

        k: Annotated[int, Field(ge=2, le=1_000_000)]
        estimated: Estimated | None = None

    def __init__(self, params: KMap.Params) -> None:
        self.k, self.estimated = params.k, params.estimated
        self.counts_population = self.estimated is None
        self.enough = (
            None
            if self.estimated is None
            else smallest_sample(self.k, self.estimated.fraction, self.estimated.significance)
        )

    def holds(self, table: ClassTable) -> NDArray[np.bool_]:
        """Which classes have k people in the population.

        Raises:
            InputError: ``policy-mismatch`` if they are neither counted nor to be estimated.
        """
        if self.enough is not None:
            return table.sizes >= self.enough
        if table.population is None:
            raise InputError(
                "policy-mismatch",
                "k-map counts people in a table of the population, and there is none",
                where="dataset.population",
                remedy="name a table of the population, or write `estimated: {fraction: ...}`",
            )
        return table.population >= self.k

    def explain(self) -> str:
        """The promise in one sentence."""
        people = f"{self.k}-map: everyone in the release shares the values of all quasi-identifiers with at "
        people += f"least {self.k - 1} others in the population"
        if self.estimated is None:
            return people
        return (
            f"{people}, as estimated from classes of at least {self.enough} in a sample of "
            f"{self.estimated.fraction:g} of it at a significance of {self.estimated.significance:g}"
        )
