"""Generalize a column by its hierarchy."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, ClassVar

import polars as pl
from pydantic import Field

from sfumato import contracts
from sfumato.core.canonical import canonical_json
from sfumato.core.errors import InputError
from sfumato.hierarchies.build import build, fitted, is_fitted


class Generalize:
    """Every value becomes the label that its hierarchy has for it at one level.

    The level is written in the policy, or it is left to the table recoding, which chooses it for the
    whole table; until then the column stays as it is.
    """

    summary: ClassVar[str] = "replaced by a coarser label of its hierarchy (ISO/IEC 20889: generalization)"

    class Params(contracts.Params):
        """``level`` fixes the level; without it the table recoding chooses.

        ``hierarchy`` and ``folder`` are filled in from the column and the policy's place.
        """

        level: Annotated[int | None, Field(ge=0)] = None
        hierarchy: dict[str, Any] = Field(default={"kind": "suppress"})
        folder: str = "."

    @staticmethod
    def reads(params: Generalize.Params) -> bool:
        """For a hierarchy that learns from the column, or to see that each value has a place in it."""
        return bool(params.level) or is_fitted(params.hierarchy)

    def fit(self, values: pl.DataFrame, params: Generalize.Params, key: bytes) -> dict[str, Any]:
        """The level and the hierarchy, with what it learns, tried on the column's values.

        Raises:
            InputError: ``hierarchy-invalid`` if the level is fixed and a value has no place in the hierarchy.
        """
        del key
        state = params.model_dump() | {"hierarchy": fitted(params.hierarchy, values)}
        if params.level is not None:
            self.apply(values["value"], state, b"")
            _refuse_uncovered(hierarchy(state["hierarchy"], params.folder), values["value"].drop_nulls())
        return state

    def apply(self, batch: pl.Series, state: Mapping[str, Any], key: bytes) -> pl.Series:
        """The label of each value at the level, if one is fixed."""
        del key
        if not state["level"]:
            return batch
        kind = hierarchy(state["hierarchy"], state["folder"])
        distinct = batch.unique()
        table = pl.DataFrame({"value": distinct, "label": kind.labels(distinct, int(state["level"]))})
        found = (
            batch.alias("value")
            .to_frame()
            .join(table, on="value", how="left", nulls_equal=True, maintain_order="left")
        )
        return found["label"].alias(batch.name)


def _refuse_uncovered(kind: Any, values: pl.Series) -> None:
    domain = kind.domain()
    if domain is None:
        return
    uncovered = int((~values.cast(pl.String).is_in(domain.implode())).sum())
    if uncovered:
        raise InputError(
            "hierarchy-invalid",
            f"{uncovered} distinct value(s) of the data have no row in the hierarchy",
            remedy="add them, as the data write them",
        )


def hierarchy(spec: Mapping[str, Any], folder: str) -> Any:
    """The hierarchy that a column's specification names; a file is read once while it stays the same."""
    return _hierarchy(canonical_json(dict(spec)), folder, _state_of(spec, folder))


def _state_of(spec: Mapping[str, Any], folder: str) -> tuple[int, int] | None:
    try:
        found = Path(folder, str(spec["path"])).stat()
    except (KeyError, OSError, ValueError):
        return None
    return found.st_mtime_ns, found.st_size


@lru_cache(maxsize=1024)
def _hierarchy(spec: bytes, folder: str, state: tuple[int, int] | None) -> Any:
    del state
    return build(json.loads(spec), Path(folder))
