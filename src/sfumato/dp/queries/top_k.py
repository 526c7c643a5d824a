"""The most frequent categories of a column."""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
import polars as pl
from pydantic import Field, model_validator

from sfumato.dp.queries import contingency
from sfumato.dp.queries.base import GRID, Cells, Choice, Need, Noise, QueryParams, figures
from sfumato.dp.queries.domains import Domain


class TopK:
    """The ``k`` most frequent of the declared categories, by OpenDP's noisy top k; counts are not told.

    The best are peeled off one after the other; one more row raises one count, which costs half of what
    scores in both directions would. Other and missing values take no part.
    """

    summary: ClassVar[str] = "the most frequent of a column's declared categories"

    class Params(Domain, QueryParams):
        """``of`` is the column, ``k`` how many categories."""

        of: str
        k: Annotated[int, Field(ge=1)]

        @model_validator(mode="after")
        def _enough(self) -> TopK.Params:
            if self.other is not None or self.missing is not None:
                raise ValueError("other and missing values take no part in a top k")
            if self.k > len(self.labels()):
                raise ValueError("k is more than the declared categories")
            return self

    @staticmethod
    def reads(params: TopK.Params) -> tuple[str, ...]:
        """The column."""
        return (params.of,)

    @staticmethod
    def needs(params: TopK.Params) -> tuple[Need, ...]:
        """So many choices."""
        return (Choice(1, picks=params.k, one_way=True),)

    @staticmethod
    def answer(table: pl.DataFrame, params: TopK.Params, noise: Noise) -> Cells:
        """A row for each rank; its value is the rank, without an interval."""
        domain = Domain.model_validate(params.model_dump(include=set(Domain.model_fields)))
        picked = noise.choose(0, contingency.counts(table, {params.of: domain}) // GRID)
        labels = pl.Series(params.of, domain.labels(), dtype=pl.String)[picked]
        ranks = np.arange(1.0, len(picked) + 1)
        gone = np.full(len(picked), np.nan)
        return Cells(figures(ranks, gone, gone, {params.of: labels}), f"most frequent {params.of}, by rank")
