"""Linkage with a register from outside: a table that somebody really holds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sfumato.contracts import Comparison
from sfumato.core.errors import InputError
from sfumato.core.keyed import derive
from sfumato.core.values import Finding
from sfumato.evidence.attacks.attempts import METRICS, NEAREST, WEIGHED, Attempt, findings, known, with_errors
from sfumato.evidence.attacks.codings import recode, same_names
from sfumato.evidence.attacks.covering import classes_of
from sfumato.evidence.attacks.matching import TRUST, Claims, Classes, Table, claim_best, own_weights
from sfumato.evidence.attacks.outcomes import hits, shared
from sfumato.evidence.attacks.pairs import Pairs
from sfumato.evidence.attacks.raw_terms import in_raw_terms
from sfumato.evidence.attacks.registers import sample_rows
from sfumato.evidence.columns import factual_columns
from sfumato.evidence.features import labels
from sfumato.evidence.intervals import wilson
from sfumato.evidence.report import Metric, Report, design_note

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
        "linkage.precision": Metric(
            "low", "share", "share right of the tenth of claims that the attacker is surest of"
        ),
    },
)

TARGET = "external register"
TRUSTED = f"{TARGET}, trusted"
CLAIMED = "claims, right or wrong: the register may hold people who are not in the release"
#: People of a register looked at.
MOST = 10_000
#: Comparisons of one cell with one class that an attack may cost; a register is cut to fit.
CELLS = 5_000_000_000
LEAST_PEOPLE = 200


@dataclass(frozen=True)
class _Target:
    """A table under attack, and the register in its terms; the cells of ``gaps`` say nothing."""

    classes: Table
    described: pl.DataFrame
    gaps: NDArray[np.bool_]
    own: pl.DataFrame


def link_register(
    comparison: Comparison, register: pl.DataFrame, truth: str | None = None, *, most: int = MOST
) -> list[Finding]:
    """What the holder of a register finds in the release.

    Columns are shared by name; a cell that is missing in the register, or cannot be read as a value of
    the original however it is written, says nothing. With ``truth``, a column of both register and
    original that names the person, success is measured on those who were released and the excess over
    those who were held out, for each of three attackers: one trusts the register, one weighs agreement
    by what the pairs tell of its errors, one takes the nearest row. Without, only how many claims could
    be made by who trusts it. Where the release holds raw values that its method would have changed, the
    register is tried in raw terms as well.

    Args:
        comparison: the release and what it was made from.
        register: one row a person.
        truth: the column that says who is who; it is not used to link.
        most: people of the register looked at, a keyed sample of more.

    Raises:
        InputError: ``register-mismatch`` if nothing is shared, the register is empty, or ``truth``
            does not tell people apart.
    """
    held = same_names(
        [column for column in register.columns if column != truth],
        [column for column in factual_columns(comparison) if column != truth],
    )
    if not held or not register.height:
        raise InputError(
            "register-mismatch",
            "the register has no rows" if held else "the register shares no column with the release",
            remedy="columns are matched by name: name them as in the original",
        )
    if not comparison.original.height:
        note = "nobody was offered to the release"
        return [REPORT.silent(metric, "not-measured", note, target=TARGET) for metric in REPORT.table]
    shared_columns = list(held)
    counted = comparison.count(shared_columns)
    comparison = in_raw_terms(comparison, counted.select(shared_columns)) or comparison
    affordable = max(LEAST_PEOPLE, CELLS // max(1, counted.height * len(held)))
    chosen = sample_rows(
        np.arange(register.height), min(most, affordable), derive(comparison.key, "external")
    )
    people = register[chosen]
    rows, gaps = _read(comparison, people.select(pl.col(there).alias(here) for here, there in held.items()))
    classes = classes_of(comparison, counted, shared_columns)
    described = comparison.describe(rows).select(shared_columns)
    release = _Target(classes, described, gaps, comparison.released)
    trusted = _trusting(release)
    found = _claims(trusted, shared_columns)
    if truth is None:
        return found
    original = Classes.of(comparison.count_original(shared_columns), shared_columns)
    before = _Target(original, rows.select(shared_columns), gaps, comparison.original)
    return found + _with_truth(comparison, (release, trusted), (before, _trusting(before)), people, truth)


def _read(comparison: Comparison, people: pl.DataFrame) -> tuple[pl.DataFrame, NDArray[np.bool_]]:
    """The register as rows of the original, and which cells say nothing.

    Describing takes whole raw rows, so every cell that the register lacks is lent from one row of the
    original; it is a gap, and nobody looks at it.
    """
    original = comparison.original
    held = {name: recode(people[name], original[name]) for name in people.columns}
    lent = {name: original[name].new_from_index(0, people.height) for name in original.columns}
    rows = lent | {name: held[name].zip_with(held[name].is_not_null(), lent[name]) for name in held}
    return pl.DataFrame(rows), np.stack([column.is_null().to_numpy() for column in held.values()], axis=1)


def _trusting(target: _Target) -> Claims:
    """The claims of somebody who takes the register for all but exact."""
    return claim_best(target.classes, target.classes.encode(target.described, target.gaps), TRUST)


def _claims(claims: Claims, columns: list[str]) -> list[Finding]:
    n = len(claims.rows)
    assumes = f"somebody who holds a register with {known(columns)} and knows the method"
    unique = wilson(float((claims.full & (claims.rows == 1)).mean()), n)
    expected = wilson(float(shared(claims.full, claims.rows).mean()), n)
    return [
        REPORT.measured(metric, figure, n, target=TARGET, assumes=assumes, note=CLAIMED)
        for metric, figure in (("linkage.unique_matches", unique), ("linkage.expected_claims", expected))
    ]


def _with_truth(
    comparison: Comparison,
    release: tuple[_Target, Claims],
    original: tuple[_Target, Claims],
    people: pl.DataFrame,
    truth: str,
) -> list[Finding]:
    rows = _rows_of(people, comparison.original, truth)
    released = rows >= 0
    released[released] = comparison.kept[rows[released]]
    if not released.any():
        note = "nobody of the register is among the released people examined"
        return [REPORT.silent(metric, "not-measured", note, target=TARGET) for metric in METRICS]
    members = np.flatnonzero(released)
    strangers = np.flatnonzero(_rows_of(people, comparison.control, truth) >= 0)
    after, before = (
        _attempts(comparison, *attacked, members, strangers, rows[members])
        for attacked in (release, original)
    )
    columns = known(release[0].described.columns)
    return findings(
        REPORT,
        after,
        before,
        release=TARGET,
        rows=release[0].classes.rows,
        assumes=lambda target: f"{target}, with {columns}, held by somebody who knows the method",
        note=design_note(comparison),
    )


def _attempts(
    comparison: Comparison,
    target: _Target,
    trusted: Claims,
    members: NDArray[np.int64],
    strangers: NDArray[np.int64],
    rows: NDArray[np.int64],
) -> dict[str, Attempt]:
    """Every attack on a table; ``rows`` are the members' own."""
    classes = target.classes
    own = classes.label_codes(target.own[rows])
    people = classes.encode(target.described[members], target.gaps[members])
    weights = own_weights(classes, people, own, TRUST, trusted.full[members])
    inside, outside = trusted[members], trusted[strangers]
    exact = Attempt.of(hits(inside, weights), inside, inside.full, outside, outside.full)
    pairs = Pairs.of(comparison, classes, target.described, target.gaps)
    erring = with_errors(pairs, members, strangers, own, derive(comparison.key, "external", "learning"))
    return {TRUSTED: exact} | {f"{TARGET}, {name}": erring[name] for name in (WEIGHED, NEAREST)}


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
