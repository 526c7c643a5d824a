"""Linkage with a register from outside: a table that somebody really holds."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sfumato.contracts import Comparison
from sfumato.core.errors import InputError
from sfumato.core.keyed import derive
from sfumato.core.values import Finding
from sfumato.evidence.attacks.covering import classes_of
from sfumato.evidence.attacks.matching import TRUST, Claims, Table, claim_best, own_weights
from sfumato.evidence.attacks.registers import sample_rows
from sfumato.evidence.columns import factual_columns
from sfumato.evidence.features import as_type, labels
from sfumato.evidence.intervals import newcombe, wilson
from sfumato.evidence.report import Figure, Metric, Report

REPORT = Report(
    "external register",
    {
        "linkage.unique_matches": Metric(
            "low", "share", "register people who agree fully with exactly one released row"
        ),
        "linkage.expected_claims": Metric(
            "low", "share", "register people whom a claim would name, ties shared (1 / rows that agree fully)"
        ),
        "linkage.success": Metric("low", "share", "register people in the release whose row is found"),
        "linkage.excess": Metric("low", "difference", "success less what is found of people not released"),
    },
)

TARGET = "external register"


def link_register(
    comparison: Comparison, register: pl.DataFrame, truth: str | None = None, *, most: int = 2_000
) -> list[Finding]:
    """What the holder of a register finds in the release.

    Columns are shared by name; a cell that is missing in the register, or is not of the column's type,
    says nothing. With ``truth``, a column of both register and original that names the person, success
    is measured on those who were released and the excess over those who were held out; without, only
    how many claims could be made.

    Args:
        comparison: the release and what it was made from.
        register: one row a person.
        truth: the column that says who is who; it is not used to link.
        most: people of the register looked at, a keyed sample of more.

    Raises:
        InputError: ``register-mismatch`` if nothing is shared, the register is empty, or ``truth``
            does not tell people apart.
    """
    shared = [
        column for column in factual_columns(comparison) if column in register.columns and column != truth
    ]
    if not shared or not register.height:
        raise InputError(
            "register-mismatch",
            "the register has no rows" if shared else "the register shares no column with the release",
            remedy="columns are matched by name: name them as in the original",
        )
    if not comparison.original.height:
        note = "nobody was offered to the release"
        return [REPORT.silent(metric, "not-measured", note, target=TARGET) for metric in REPORT.table]
    chosen = sample_rows(np.arange(register.height), most, derive(comparison.key, "external"))
    people = register[chosen]
    classes = classes_of(comparison, comparison.count(shared), shared)
    held = _encode(comparison, classes, people.select(shared))
    claims = claim_best(classes, held, TRUST)
    findings = _claims(claims, shared)
    if truth is not None:
        findings += _with_truth(comparison, classes, people, held, claims, truth)
    return findings


def _encode(comparison: Comparison, classes: Table, people: pl.DataFrame) -> Any:
    """The register in the release's terms, cells that say nothing as gaps.

    Describing takes whole raw rows, so every cell that the register lacks is lent from one row of the
    original; it is a gap, and nobody looks at it.
    """
    schema = comparison.original.schema
    held = {name: as_type(people[name], schema[name])[0] for name in people.columns}
    lent = {name: comparison.original[name].new_from_index(0, people.height) for name in schema}
    rows = lent | {name: held[name].zip_with(held[name].is_not_null(), lent[name]) for name in held}
    gaps = np.stack([column.is_null().to_numpy() for column in held.values()], axis=1)
    return classes.encode(comparison.describe(pl.DataFrame(rows)), gaps)


def _claims(claims: Claims, shared: list[str]) -> list[Finding]:
    n = len(claims.rows)
    assumes = f"somebody who holds a register with {', '.join(shared)} and knows the method"
    unique = wilson(float((claims.full & (claims.rows == 1)).mean()), n)
    expected = wilson(float(np.where(claims.full, 1 / np.maximum(1, claims.rows), 0.0).mean()), n)
    return [
        REPORT.measured(metric, figure, n, target=TARGET, assumes=assumes, note=CLAIMED)
        for metric, figure in (("linkage.unique_matches", unique), ("linkage.expected_claims", expected))
    ]


CLAIMED = "claims, right or wrong: the register may hold people who are not in the release"


def _with_truth(
    comparison: Comparison,
    classes: Table,
    people: pl.DataFrame,
    held: Any,
    claims: Claims,
    truth: str,
) -> list[Finding]:
    members = _rows_of(people, comparison.original, truth)
    released = members >= 0
    released[released] = comparison.kept[members[released]]
    if not released.any():
        note = "nobody of the register is among the released people examined"
        return [
            REPORT.silent(metric, "not-measured", note, target=TARGET)
            for metric in ("linkage.success", "linkage.excess")
        ]
    own = classes.label_codes(comparison.released[members[released]])
    weights = own_weights(classes, held[released], own, TRUST, claims.full[released])
    right = weights >= claims.weight[released] - 1e-8
    hits = np.where(right, 1 / np.maximum(1, claims.rows[released]), 0.0)
    success = wilson(float(hits.mean()), len(hits))
    strangers = _rows_of(people, comparison.control, truth) >= 0
    control = _apparent(claims, strangers)
    found = REPORT.measured(
        "linkage.success",
        success,
        len(hits),
        target=TARGET,
        baseline=1 / classes.rows,
        control=control.value if control else None,
    )
    if control is None:
        note = "nobody of the register was held out to compare with"
        return [found, REPORT.silent("linkage.excess", "not-measured", note, target=TARGET, n=len(hits))]
    n = min(len(hits), int(strangers.sum()))
    return [found, REPORT.measured("linkage.excess", newcombe(success, control), n, target=TARGET)]


def _apparent(claims: Claims, strangers: NDArray[np.bool_]) -> Figure | None:
    if not strangers.any():
        return None
    claimed = np.where(claims.full, 1 / np.maximum(1, claims.rows), 0.0)[strangers]
    return wilson(float(claimed.mean()), len(claimed))


def _rows_of(people: pl.DataFrame, table: pl.DataFrame, truth: str) -> NDArray[np.int64]:
    """The row of each register person in a table, -1 if it has none."""
    if truth not in people.columns or truth not in table.columns:
        raise InputError(
            "register-mismatch", f'register and original do not both have the column "{truth}"', where="truth"
        )
    numbered = pl.DataFrame({"truth": labels(table[truth])}).with_row_index("row").drop_nulls("truth")
    if numbered["truth"].is_duplicated().any():
        raise InputError(
            "register-mismatch",
            f'the column "{truth}" does not tell people apart: some values occur twice',
            where="truth",
        )
    wanted = pl.DataFrame({"truth": labels(people[truth])})
    found = wanted.join(numbered, on="truth", how="left", maintain_order="left")
    return found["row"].cast(pl.Int64).fill_null(-1).to_numpy()
