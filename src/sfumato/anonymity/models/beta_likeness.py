"""beta-likeness: no value is much more frequent in a class than in the table (Cao & Karras 2012, PVLDB 5)."""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from sfumato import contracts
from sfumato.classes.spread import TOLERANCE, gain, gain_beyond_information
from sfumato.classes.table import ClassTable


class BetaLikeness:
    """For every class and value, (q - p) / p is at most ``beta``; q and p are its shares in class and table.

    *Enhanced*, it is at most -ln p as well, so that frequent values are bounded too (Definition 3).
    """

    summary: ClassVar[str] = "no sensitive value gains more than beta times its share in the table in a class"
    monotone: ClassVar[bool] = True
    absorbing: ClassVar[bool] = False
    whole: ClassVar[bool] = False
    counts_population: ClassVar[bool] = False

    class Params(contracts.Params):
        """At most ``beta`` for the column ``on``, and at most -ln p where ``enhanced``."""

        on: Annotated[str, Field(min_length=1)]
        beta: Annotated[float, Field(gt=0, le=1_000_000)]
        enhanced: bool = False

    def __init__(self, params: BetaLikeness.Params) -> None:
        self.on, self.beta, self.enhanced = params.on, params.beta, params.enhanced

    def holds(self, table: ClassTable) -> NDArray[np.bool_]:
        """Which classes give little away."""
        spread = table.sensitive[self.on]
        holds = np.asarray(gain(spread) <= self.beta + TOLERANCE)
        if self.enhanced:
            holds &= gain_beyond_information(spread) <= TOLERANCE
        return holds

    def explain(self) -> str:
        """The promise in one sentence."""
        more = ", nor by more than -ln of that share" if self.enhanced else ""
        return (
            f"{'enhanced' if self.enhanced else 'basic'} beta-likeness of {self.on}: in no class of people "
            f"who look alike does a value exceed its share in the whole table by more than {self.beta:g} "
            f"times that share{more}"
        )
