"""Takes the inventory: what each column of a table is, and which columns single people out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import polars as pl

from sfumato.core.errors import InputError, nearest
from sfumato.core.values import ColumnProfile, Detection, Inventory, Role
from sfumato.inventory.dependence import functions, target_information
from sfumato.inventory.detectors import DETECTORS
from sfumato.inventory.detectors.base import examined
from sfumato.inventory.headers import Header
from sfumato.inventory.ladders import suggested
from sfumato.inventory.places import fingerprints
from sfumato.inventory.profile import Measured, measure
from sfumato.inventory.quasi import quasi_sets
from sfumato.inventory.roles import Facts, Verdict, decide

#: A column determines the target if it does so exactly, or tells this share of its entropy; or this
#: much of it as a function of a column that determines it (a coarser form of the same answer).
_NEARLY, _AS_A_FUNCTION = 0.95, 0.5


def take_inventory(
    table: pl.DataFrame,
    *,
    rows: int | None = None,
    target: str | None = None,
    subject: str | None = None,
    key: bytes = bytes(32),
    progress: Callable[[str], None] | None = None,
) -> Inventory:
    """The inventory of a table of people.

    Args:
        table: the rows examined, without a column of row numbers.
        rows: how many rows the source has; those of the table if not given.
        target: the column that is to be learned.
        subject: the column that says which rows are one person's; without it each row is a person.
        key: 32 bytes that choose the distinct values looked at and the shuffles; with the same table
            and key the inventory has the same bytes.
        progress: told in a few words what is being done.

    Returns:
        The inventory. No value of the table is in it; bounds of suggested intervals are round.

    Raises:
        InputError: ``policy-mismatch`` if target or subject is no column of the table.

    >>> table = pl.DataFrame({"age": [30, 41, 41], "mail": ["a@x.org", "b@x.org", "c@x.org"]})
    >>> take_inventory(table).column("mail").role.value
    'direct-identifier'
    """
    for part, name in (("target", target), ("subject", subject)):
        _check(part, name, table.columns)
    tell = progress or _silent
    tell("measuring columns")
    person = None if subject is None else measure(table[subject]).codes
    columns = [measure(series, person) for series in table]
    tell("looking for identifiers")
    detections = {column.name: detect(column, key) for column in columns}
    tell("looking for columns that give others away")
    function_of = functions(columns)
    partners = fingerprints(columns, key)
    told = _told_of_target(columns, target, key)
    leaks = _leaks(function_of, told, target)
    facts = {
        column.name: Facts(
            column=column,
            header=Header.of(column.name),
            detections=detections[column.name],
            function_of=function_of[column.name],
            place_partners=partners.get(column.name, ()),
            is_target=column.name == target,
            is_subject=column.name == subject,
            determines_target=column.name in leaks,
            told_of_target=told.get(column.name) or 0.0,
        )
        for column in columns
    }
    verdicts = decide(facts)
    tell("looking for sets of columns that single people out")
    quasi = [column for column in columns if verdicts[column.name].role is Role.QUASI_IDENTIFIER]
    return Inventory(
        rows=table.height if rows is None else rows,
        examined=table.height,
        target=target,
        columns=tuple(_profile(facts[c.name], verdicts[c.name], told.get(c.name)) for c in columns),
        quasi_sets=quasi_sets(quasi, function_of, person) if table.height else (),
    )


def detect(column: Measured, key: bytes) -> tuple[Detection, ...]:
    """Every detection on a column, in the registry's order; a date of birth is not named a date as well."""
    if not column.distinct:
        return ()
    view = examined(column, key)
    found = [d for name in DETECTORS if (d := DETECTORS.resolve(name)().examine(view)) is not None]
    kinds = {detection.kind for detection in found}
    if "date-of-birth" in kinds:
        found = [detection for detection in found if detection.kind != "date"]
    return tuple(found)


def _silent(words: str) -> None:
    del words


def _check(part: str, name: str | None, columns: Sequence[str]) -> None:
    if name is not None and name not in columns:
        raise InputError(
            "policy-mismatch",
            f'the {part} "{name}" is no column of the source',
            remedy=nearest(name, columns),
        )


def _told_of_target(
    columns: Sequence[Measured], target: str | None, key: bytes
) -> Mapping[str, float | None]:
    if target is None:
        return {}
    return target_information(columns, next(column for column in columns if column.name == target), key)


def _leaks(
    function_of: Mapping[str, tuple[str, ...]], told: Mapping[str, float | None], target: str | None
) -> set[str]:
    """The columns that give the target away."""
    if target is None:
        return set()
    exact = {*function_of[target]} | {name for name, share in told.items() if (share or 0.0) >= _NEARLY}
    coarser = {
        name
        for name, share in told.items()
        if (share or 0.0) >= _AS_A_FUNCTION and exact.intersection(function_of[name])
    }
    return (exact | coarser) - {target}


def _profile(facts: Facts, verdict: Verdict, told: float | None) -> ColumnProfile:
    column = facts.column
    wanted = verdict.role is Role.QUASI_IDENTIFIER
    kinds = frozenset(detection.kind for detection in facts.detections)
    return ColumnProfile(
        name=column.name,
        dtype=column.kind,
        missing=column.missing,
        distinct=column.distinct,
        role=verdict.role,
        sensitive=verdict.sensitive,
        why=verdict.why,
        detections=facts.detections,
        distinction=column.distinction,
        separation=column.separation,
        unique=column.unique,
        target_information=told,
        function_of=facts.function_of,
        determines_target=facts.determines_target,
        hierarchy=suggested(column, kinds) if wanted else None,
    )
