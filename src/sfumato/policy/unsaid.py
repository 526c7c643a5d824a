"""What a policy that makes rows means where it says nothing: of raw sections, before they are a policy."""

from __future__ import annotations

from typing import Any

from sfumato.core.values import Role
from sfumato.policy.measured import HISTORY_USES, MADE_BATTERY, TABLE_USES

#: Why the column of whom a made event is of leaves, and that of the files of made images.
MADE_NAMES = "whose an event is: made people have made names"
MADE_KEYS = "what the tables name people by: made people have made names"
MADE_FILES = "which file an image is: made images have files of their own"


def for_made_rows(value: Any) -> Any:
    """A raw policy with what it means where rows are made.

    Quasi-identifiers are learned as they are, and attacks are on made rows, unless the policy says otherwise.
    """
    if not isinstance(value, dict) or not value.get("synthesis"):
        return value
    told: dict[str, Any] = {}
    columns, evidence, synthesis = (value.get(name) for name in ("columns", "evidence", "synthesis"))
    histories, images = (
        synthesis.get(kind) if isinstance(synthesis, dict) else None for kind in ("history", "images")
    )
    if isinstance(columns, dict):
        told["columns"] = {name: _kept(column) for name, column in columns.items()}
        if histories:
            told["columns"] = _with_names(told["columns"], value.get("dataset"), "subject", MADE_NAMES)
        if value.get("tables"):
            told["columns"] = _with_names(told["columns"], value.get("dataset"), "subject", MADE_KEYS)
        if images:
            told["columns"] = _with_names(told["columns"], images, "column", MADE_FILES)
    if isinstance(tables := value.get("tables"), dict):
        told["tables"] = {name: _below(table) for name, table in tables.items()}
    if isinstance(evidence, dict):
        uses = HISTORY_USES if histories else TABLE_USES if tables else None
        usual = {"attacks": list(MADE_BATTERY)} | ({} if uses is None else {"utility": list(uses)})
        told["evidence"] = {**({"attacks": [], "utility": []} if images else usual), **evidence}
    return {**value, **told}


def _below(table: Any) -> Any:
    """A table below the people's, with what its columns mean."""
    if not isinstance(table, dict) or not isinstance(table.get("columns"), dict):
        return table
    return {**table, "columns": {name: _kept(column) for name, column in table["columns"].items()}}


def _kept(column: Any) -> Any:
    """A quasi-identifier of which the policy does not say what happens to it, kept."""
    if not isinstance(column, dict) or column.get("role") != Role.QUASI_IDENTIFIER.value:
        return column
    told = column.get("action") is not None or column.get("hierarchy") is not None
    return column if told else {**column, "action": "keep"}


def _with_names(columns: dict[str, Any], section: Any, key: str, why: str) -> dict[str, Any]:
    """Columns with the one that a section names by a key: it leaves, and every name in it is made."""
    named = section.get(key) if isinstance(section, dict) else None
    if not isinstance(named, str):
        return columns
    told = columns.get(named, {"role": Role.DIRECT_IDENTIFIER.value, "why": why})
    if isinstance(told, dict) and told.get("action") is None:
        told = {**told, "action": "keep"}
    return {**columns, named: told}
