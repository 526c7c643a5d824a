"""A bound on the average risk of re-identification (marketer's, El Emam 2010; ISO/IEC 20889, 2018)."""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from sfumato import contracts
from sfumato.classes.spread import TOLERANCE
from sfumato.classes.table import ClassTable


class AverageRisk:
    """Classes over people is at most ``at_most``.

    The smallest classes go until it is; of equal ones the first. No other choice loses fewer people.

    >>> AverageRisk(AverageRisk.Params(at_most=0.3)).holds(ClassTable(np.array([4, 1, 1, 6])))
    array([ True, False,  True,  True])
    """

    summary: ClassVar[str] = "on average over everybody, people are found with at most a probability"
    monotone: ClassVar[bool] = True
    absorbing: ClassVar[bool] = True
    whole: ClassVar[bool] = True
    counts_population: ClassVar[bool] = False
    on: str | None = None

    class Params(contracts.Params):
        """A mean probability of ``at_most``."""

        at_most: Annotated[float, Field(gt=0, lt=1)]

    def __init__(self, params: AverageRisk.Params) -> None:
        self.at_most = params.at_most

    def holds(self, table: ClassTable) -> NDArray[np.bool_]:
        """All classes but the smallest ones that are too many."""
        order = np.argsort(table.sizes, kind="stable")
        sizes = table.sizes[order]
        # What is left, and in how many classes, once the first i have gone.
        people = np.append(np.cumsum(sizes[::-1])[::-1], 0)
        classes = np.append(np.cumsum((sizes > 0)[::-1])[::-1], 0)
        gone = int(np.argmax(classes <= (self.at_most + TOLERANCE) * people))
        holds = np.ones(len(sizes), dtype=bool)
        holds[order[:gone]] = False
        return holds

    def explain(self) -> str:
        """The promise in one sentence."""
        return (
            f"average risk: somebody who links everybody in the release by all quasi-identifiers is right "
            f"for a share of at most {self.at_most:g} of them, by expectation"
        )
