"""A bound on the share of people who are unique in the population (Dankar, El Emam, Neisa & Roffey 2012)."""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from sfumato import contracts
from sfumato.classes.population import Estimator, unique_share
from sfumato.classes.spread import TOLERANCE
from sfumato.classes.table import ClassTable


class PopulationUniqueness:
    """A share of at most ``at_most`` of the population, by an estimate, are unique in it.

    Classes of one go, the first of them first, until the estimate says so: without them it is 0. How many
    must go is found by bisection. An estimate that does not converge says nothing, and holds nothing.
    """

    summary: ClassVar[str] = "at most a share of the population are unique in it, by an estimate"
    monotone: ClassVar[bool] = False
    absorbing: ClassVar[bool] = False
    whole: ClassVar[bool] = True
    counts_population: ClassVar[bool] = False
    on: str | None = None

    class Params(contracts.Params):
        """A share of ``at_most``, by an ``estimator``, where the data are ``fraction`` of the population.

        As people go the same fraction stands for a smaller population, which overstates the risk.
        """

        at_most: Annotated[float, Field(ge=0, lt=1)]
        fraction: Annotated[float, Field(gt=0, le=1)]
        estimator: Estimator = "dankar"

    def __init__(self, params: PopulationUniqueness.Params) -> None:
        self.at_most, self.fraction = params.at_most, params.fraction
        self.estimator: Estimator = params.estimator

    def holds(self, table: ClassTable) -> NDArray[np.bool_]:
        """All classes but those of one person that are too many."""
        (alone,) = np.nonzero(table.sizes == 1)
        holds = np.ones(len(table.sizes), dtype=bool)
        if self._rare_enough(table.sizes):
            return holds
        too_few, enough = 0, len(alone)
        while enough - too_few > 1:
            gone = (too_few + enough) // 2
            holds[alone] = np.arange(len(alone)) >= gone
            if self._rare_enough(table.sizes[holds]):
                enough = gone
            else:
                too_few = gone
        holds[alone] = np.arange(len(alone)) >= enough
        return holds

    def _rare_enough(self, sizes: NDArray[np.int64]) -> bool:
        if not (sizes == 1).any():
            return True
        share = unique_share(sizes, self.fraction, self.estimator)
        return share is not None and share <= self.at_most + TOLERANCE

    def explain(self) -> str:
        """The promise in one sentence."""
        return (
            f"population uniqueness: a share of at most {self.at_most:g} of the population is estimated to "
            f"be unique in it in the values of all quasi-identifiers ({self.estimator}; the data are "
            f"{self.fraction:g} of the population)"
        )
