"""l-diversity: every class has l well-represented sensitive values (Machanavajjhala et al. 2007).

*l-Diversity: Privacy beyond k-Anonymity*, ACM Transactions on Knowledge Discovery from Data 1(1), 3.
"""

from __future__ import annotations

import math
from typing import Annotated, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from sfumato import contracts
from sfumato.classes.spread import TOLERANCE, distinct, entropy, grassberger_entropy, heaviest, rest
from sfumato.classes.table import ClassTable


class LDiversity:
    """Every class has ``l`` values of a sensitive column that are well represented, in one of four senses.

    *distinct*: l values occur. *entropy*: the entropy of the class is at least ln l (Definition 4.1).
    *entropy-grassberger*: so is that of what the class is a sample of, and l values occur.
    *recursive*: the most frequent value has fewer people than c times those without the l - 1 most
    frequent ones (Definition 4.2).
    """

    summary: ClassVar[str] = "every class has l well-represented values of a sensitive column"
    #: Not for Grassberger's entropy, whose correction falls as classes grow.
    monotone: bool
    #: For distinct values only: more people of one value make it more frequent.
    absorbing: bool
    whole: ClassVar[bool] = False
    counts_population: ClassVar[bool] = False

    class Params(contracts.Params):
        """``l`` values of the column ``on``, whole but for an entropy; ``c`` is for *recursive*."""

        on: Annotated[str, Field(min_length=1)]
        l: Annotated[float, Field(gt=1, le=1_000_000)]  # noqa: E741
        kind: Literal["distinct", "entropy", "entropy-grassberger", "recursive"] = "distinct"
        c: Annotated[float | None, Field(gt=0, le=1_000_000)] = None

        @model_validator(mode="after")
        def _fits_the_kind(self) -> Self:
            if not self.kind.startswith("entropy") and self.l != int(self.l):
                raise ValueError(f"l must be a whole number for {self.kind} l-diversity")
            if (self.c is not None) != (self.kind == "recursive"):
                raise ValueError("c is for recursive l-diversity, which needs it")
            return self

    def __init__(self, params: LDiversity.Params) -> None:
        self.on, self.l, self.kind, self.c = params.on, params.l, params.kind, params.c
        self.monotone = self.kind != "entropy-grassberger"
        self.absorbing = self.kind == "distinct"

    def holds(self, table: ClassTable) -> NDArray[np.bool_]:
        """Which classes are diverse enough."""
        spread = table.sensitive[self.on]
        if self.kind == "distinct":
            return distinct(spread) >= self.l
        if self.c is not None:
            most, others = heaviest(spread), rest(spread, int(self.l))
            return np.asarray(most < self.c * others * (1 - TOLERANCE))
        diversity = entropy(spread) if self.kind == "entropy" else grassberger_entropy(spread)
        return np.asarray(diversity >= math.log(self.l) - TOLERANCE)

    def explain(self) -> str:
        """The promise in one sentence."""
        start = f"{self.l:g}-diversity of {self.on}: in every class of people who look alike "
        if self.kind == "distinct":
            return f"{start}at least {self.l:g} different values of it occur"
        if self.c is not None:
            return (
                f"{start}the most frequent value of it has fewer people than {self.c:g} times those that are "
                f"left without the {self.l - 1:g} most frequent ones"
            )
        corrected = ", corrected for small classes" if self.kind == "entropy-grassberger" else ""
        return f"{start}the entropy of it{corrected} is at least that of {self.l:g} equally frequent values"
