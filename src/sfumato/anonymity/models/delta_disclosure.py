"""delta-disclosure privacy: no value is much more or less frequent in a class (Brickell & Shmatikov 2008).

*The Cost of Privacy*, KDD, Definition 3.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from sfumato import contracts
from sfumato.classes.spread import TOLERANCE, disclosure, distinct
from sfumato.classes.table import ClassTable


class DeltaDisclosure:
    """For every class and value, abs(ln(q / p)) is below ``delta``; q and p are its shares in the class
    and in the table.

    A value that a class does not have at all is infinitely less frequent there, and the class fails;
    ``absent: ignored`` looks at the values that occur only, as other tools do.
    """

    summary: ClassVar[str] = "no sensitive value is more or less frequent in a class by a factor of e^delta"
    #: Not where absent values are ignored: put together, a class may have a value too seldom.
    monotone: bool
    absorbing: ClassVar[bool] = False
    whole: ClassVar[bool] = False
    counts_population: ClassVar[bool] = False

    class Params(contracts.Params):
        """``delta`` is in natural units, for the column ``on``."""

        on: Annotated[str, Field(min_length=1)]
        delta: Annotated[float, Field(gt=0, le=1000)]
        absent: Literal["fail", "ignored"] = "fail"

    def __init__(self, params: DeltaDisclosure.Params) -> None:
        self.on, self.delta, self.absent = params.on, params.delta, params.absent
        self.monotone = self.absent == "fail"

    def holds(self, table: ClassTable) -> NDArray[np.bool_]:
        """Which classes disclose little."""
        spread = table.sensitive[self.on]
        holds = np.asarray(disclosure(spread) < self.delta - TOLERANCE)
        if self.absent == "fail":
            holds &= distinct(spread) == np.count_nonzero(spread.overall)
        return holds

    def explain(self) -> str:
        """The promise in one sentence."""
        which = "value" if self.absent == "fail" else "value that occurs"
        return (
            f"delta-disclosure of {self.on}: in every class of people who look alike, each {which} is less "
            f"than {np.exp(self.delta):.4g} times as frequent or as seldom as in the whole table"
        )
