"""A bound on the share of people who are alone in their class (Elliot & Dale 1999; ISO/IEC 20889, 2018)."""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from sfumato import contracts
from sfumato.classes.spread import TOLERANCE
from sfumato.classes.table import ClassTable


class SampleUniqueness:
    """A share of at most ``at_most`` of all people are alone in their class.

    Classes of one go until it is so, the first of them first.

    >>> SampleUniqueness(SampleUniqueness.Params(at_most=0.2)).holds(ClassTable(np.array([1, 4, 1])))
    array([False,  True,  True])
    """

    summary: ClassVar[str] = "at most a share of all people are alone in their class"
    monotone: ClassVar[bool] = True
    absorbing: ClassVar[bool] = True
    whole: ClassVar[bool] = True
    counts_population: ClassVar[bool] = False
    on: str | None = None

    class Params(contracts.Params):
        """A share of ``at_most``."""

        at_most: Annotated[float, Field(ge=0, lt=1)]

    def __init__(self, params: SampleUniqueness.Params) -> None:
        self.at_most = params.at_most

    def holds(self, table: ClassTable) -> NDArray[np.bool_]:
        """All classes but those of one person that are too many."""
        (alone,) = np.nonzero(table.sizes == 1)
        left = len(alone) - np.arange(len(alone) + 1)
        people = int(table.sizes.sum()) - np.arange(len(alone) + 1)
        gone = int(np.argmax(left <= (self.at_most + TOLERANCE) * people))
        holds = np.ones(len(table.sizes), dtype=bool)
        holds[alone[:gone]] = False
        return holds

    def explain(self) -> str:
        """The promise in one sentence."""
        return (
            f"sample uniqueness: a share of at most {self.at_most:g} of the people in the release share the "
            f"values of all quasi-identifiers with nobody else in it"
        )
