"""Replace identifiers by pseudonyms that only the holder of the key can tie back.

A pseudonym is HMAC-SHA256 (RFC 2104) of the value under a key derived for project, domain and
release: never a bare hash, which anyone can undo by hashing all candidates (EDPB Guidelines 01/2025
on pseudonymisation; WP216, 4.1).
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, Self

import polars as pl
from pydantic import Field, model_validator

from sfumato import contracts


class Pseudonymize:
    """Equal values get equal pseudonyms inside one domain of one release, and nowhere else.

    With ``join`` the pseudonyms are the same in every release of the project that names the domain,
    so that its releases can be joined; that lets a recipient join them too, and the policy says why.
    With ``each: row`` every row gets a pseudonym of its own, so that nothing holds the rows of a person
    together.
    """

    summary: ClassVar[str] = "keyed pseudonyms (ISO/IEC 20889: pseudonymization), new in every release"

    class Params(contracts.Params):
        """``domain`` names the pseudonyms' space; ``length`` is in hex digits (4 bits each)."""

        domain: Annotated[str, Field(min_length=1, max_length=100)]
        join: Annotated[str | None, Field(min_length=1, description="why releases must be joinable")] = None
        length: Annotated[int, Field(ge=16, le=64)] = 32
        each: Literal["value", "row"] = "value"

        @model_validator(mode="after")
        def _even(self) -> Self:
            if self.length % 2:
                raise ValueError("length must be even")
            if self.each == "row" and self.join is not None:
                raise ValueError("a pseudonym of each row joins nothing: leave join or each out")
            return self

    @staticmethod
    def reads(params: Pseudonymize.Params) -> bool:
        """Never."""
        del params
        return False

    def fit(self, values: pl.DataFrame, params: Pseudonymize.Params, key: bytes) -> dict[str, Any]:
        """The length; pseudonyms follow from the key."""
        del values, key
        return {"length": params.length}

    def apply(self, batch: pl.Series, state: Mapping[str, Any], key: bytes) -> pl.Series:
        """A pseudonym for each value; missing stays missing."""
        length = int(state["length"])
        distinct = batch.cast(pl.String).unique().drop_nulls()
        pseudonyms = [hmac.digest(key, value.encode(), "sha256").hex()[:length] for value in distinct]
        table = pl.DataFrame({"value": distinct, "pseudonym": pl.Series(pseudonyms, dtype=pl.String)})
        found = pl.DataFrame({"value": batch.cast(pl.String)}).join(
            table, on="value", how="left", maintain_order="left"
        )
        return found["pseudonym"].alias(batch.name)
