"""Linkage: an adversary with a register of people looks for them in the release.

The adversary knows the method and puts the register into the release's own terms, compares every
person with every class of released rows, and claims one row among those that agree best. Ties are
shared and never abstained on: success is the chance of drawing the right row, so the release is not
made to look harmless by an attacker who gives up (*expected rank-1*). The same attack on people who
are not in the release says how often strangers would be found as well; only what exceeds that is the
release's doing (the control of Giomi et al. 2022, arXiv 2211.10459, after WP216).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field

from sfumato import contracts
from sfumato.contracts import Comparison
from sfumato.core.keyed import derive
from sfumato.core.values import Finding
from sfumato.evidence.attacks.attempts import NEAREST as NEAREST_ROW
from sfumato.evidence.attacks.attempts import (
    WEIGHED,
    Attempt,
    badness,
    findings,
    known,
    most_found,
    with_errors,
)
from sfumato.evidence.attacks.covering import classes_of
from sfumato.evidence.attacks.matching import TRUST, Claims, Classes, Table, claim_exact, own_weights
from sfumato.evidence.attacks.outcomes import hits, shared
from sfumato.evidence.attacks.pairs import Pairs
from sfumato.evidence.attacks.people import by_person
from sfumato.evidence.attacks.raw_terms import in_raw_terms
from sfumato.evidence.attacks.registers import sample_rows, with_flaws
from sfumato.evidence.columns import attack_columns, factual_columns
from sfumato.evidence.intervals import wilson
from sfumato.evidence.report import Figure, Metric, Report, design_note

REPORT = Report(
    "linkage",
    {
        "linkage.success": Metric(
            "low", "share", "people of a register whose released row is found, ties shared (expected rank-1)"
        ),
        "linkage.excess": Metric(
            "low", "difference", "success less what the same attack seems to find of people not released"
        ),
        "linkage.precision": Metric(
            "low", "share", "share right of the tenth of claims that the attacker is surest of"
        ),
        "linkage.classes_over_rows": Metric(
            "low", "probability", "classes / rows: success with exact knowledge of everybody"
        ),
        "linkage.success_all_columns": Metric(
            "low", "share", "success of somebody who knows every released column exactly"
        ),
        "linkage.disparity": Metric(
            "low", "difference", "success among the people of the group found most, less that found least"
        ),
    },
)

EXACT = "exact register"
RAW = "exact register, raw terms too"
FLAWED = f"register with errors, {WEIGHED}"
NEAREST = f"register with errors, {NEAREST_ROW}"
NO_GROUPS = "the policy names no groups"

#: Comparisons of one cell with one class that an attack with flaws may cost; a register is cut to fit.
CELLS = 1_000_000_000
LEAST_REGISTER = 200
#: Classes up to which the flawed register is tried on the original too.
MOST_CLASSES = 2_000_000


@dataclass(frozen=True)
class _Target:
    """A table under attack: the release or, for comparison, the rows it was made from."""

    classes: Table
    describe: Callable[[pl.DataFrame], pl.DataFrame]
    own: pl.DataFrame


class Linkage:
    """How often an adversary with a register finds people in the release, beyond chance and strangers.

    Three attackers. One holds an exact register and claims what agrees with it; where the release holds raw
    values that its method would have changed, another tries these as well. Two hold a register with
    errors and gaps: one weighs agreement by what the pairs themselves tell of the errors (Fellegi &
    Sunter), one takes the nearest row by Gower's distance. Findings have one of them as target, and
    ``release`` for the worst. Each carries ``before``, the same attack on the original rows; success
    carries ``baseline`` (a row drawn blindly) and ``control``. Intervals are Wilson's on the mean, for
    a shared tie varies less than a yes or no, and Newcombe's for the excess.

    A stranger counts as found as far as the attacker would claim them: with the exact register if
    every column agrees, with the other if the best classes agree as well as the own class does for 19
    of 20 members. The claim then counts 1 / rows of the best classes, times the share of members' own
    claims that is right: so a stranger counts no more than a member of whom the same is claimed.

    Success by group, among those whom the attacker is surest of, and the difference between groups
    (``linkage.disparity``) are the worst attacker's.
    """

    summary: ClassVar[str] = "an adversary with a register of people links it to released rows"
    metrics = REPORT.metrics
    units = REPORT.units
    rowwise: ClassVar[frozenset[str]] = frozenset(REPORT.table)

    class Params(contracts.Params):
        """``register`` is the most people of each kind; ``errors`` and ``gaps`` the share of cells."""

        people: Annotated[int, Field(alias="register", ge=100, le=100_000)] = 2_000
        errors: Annotated[float, Field(gt=0, lt=0.5)] = 0.05
        gaps: Annotated[float, Field(ge=0, lt=0.5)] = 0.05

    def run(self, comparison: Comparison, params: Linkage.Params) -> list[Finding]:
        """The findings of each attacker, of the worst, by group, and of the all-knowing attacker."""
        members = _sampled(np.flatnonzero(comparison.kept), params, comparison, "members")
        if not len(members) or not comparison.released.columns:
            note = "nobody's row is in the release"
            return [REPORT.silent(metric, "not-measured", note) for metric in REPORT.table]
        controls = _sampled(np.arange(comparison.control.height), params, comparison, "controls")
        columns = attack_columns(comparison)
        release, original, raw = _tables(comparison, columns, members)
        after = {
            EXACT: _exact(release, comparison, columns, members, controls),
            **_flawed(release, comparison, columns, members, controls, params),
        }
        before = {EXACT: _exact(original, comparison, columns, members, controls)}
        if raw is not None:
            after[RAW], before[RAW] = _exact(raw, comparison, columns, members, controls), before[EXACT]
        if len(original.classes.sizes) <= MOST_CLASSES:
            before |= _flawed(original, comparison, columns, members, controls, params)
        return [
            *findings(
                REPORT,
                after,
                before,
                release="release",
                rows=release.classes.rows,
                assumes=lambda target: _assumes(target, columns),
                note=design_note(comparison),
            ),
            *_by_person(comparison, columns, after, members),
            _classes_over_rows(release, original),
            _all_columns(comparison, members, controls),
        ]


def _sampled(
    rows: NDArray[np.int64], params: Linkage.Params, comparison: Comparison, who: str
) -> NDArray[np.int64]:
    return sample_rows(rows, params.people, derive(comparison.key, "linkage", who))


def _tables(
    comparison: Comparison, columns: Sequence[str], members: NDArray[np.int64]
) -> tuple[_Target, _Target, _Target | None]:
    """The release, the original, and the release for who looks for raw rows as well, if it holds any."""
    # With no column to count over, any one serves to count the rows.
    counted = list(columns) or comparison.released.columns[:1]
    tuples, own = comparison.count(counted), comparison.released[members]
    original = Classes.of(comparison.count_original(counted), columns)
    mixed = in_raw_terms(comparison, tuples.select(columns))
    return (
        _Target(classes_of(comparison, tuples, columns), comparison.describe, own),
        _Target(original, lambda rows: rows, comparison.original[members]),
        None if mixed is None else _Target(classes_of(mixed, tuples, columns), mixed.describe, own),
    )


def _affordable(classes: int, columns: Sequence[str]) -> int:
    """How many people can be compared with so many classes."""
    return max(LEAST_REGISTER, CELLS // max(1, classes * len(columns)))


def _exact(
    table: _Target,
    comparison: Comparison,
    columns: Sequence[str],
    members: NDArray[np.int64],
    controls: NDArray[np.int64],
) -> Attempt:
    most = _affordable(table.classes.scanned, columns)
    members, controls = members[:most], controls[:most]
    found, claims = _found(table, table.describe(comparison.original[members]))
    outside = table.describe(comparison.control[controls]) if len(controls) else table.own.clear()
    strangers = claim_exact(table.classes, outside, insist=False)
    return Attempt.of(found, claims, claims.full, strangers, strangers.full)


def _flawed(
    table: _Target,
    comparison: Comparison,
    columns: Sequence[str],
    members: NDArray[np.int64],
    controls: NDArray[np.int64],
    params: Linkage.Params,
) -> dict[str, Attempt]:
    """The attacks with a register that errs, of members and strangers."""
    most = _affordable(len(table.classes.sizes), columns)
    sides = {
        "members": comparison.original[members[:most]],
        "controls": comparison.control[controls[:most]],
    }
    registers = [
        with_flaws(
            people,
            columns,
            comparison.original,
            errors=params.errors,
            gaps=params.gaps,
            key=derive(comparison.key, "linkage", "flaws", who),
        )
        for who, people in sides.items()
    ]
    described = table.describe(pl.concat([register.people for register in registers]))
    gaps = np.concatenate([register.gaps for register in registers])
    inside, outside = np.split(np.arange(len(gaps)), [len(registers[0].gaps)])
    attempts = with_errors(
        Pairs.of(comparison, table.classes, described, gaps),
        inside,
        outside,
        table.classes.label_codes(table.own[:most]),
        derive(comparison.key, "linkage", "learning"),
    )
    return {FLAWED: attempts[WEIGHED], NEAREST: attempts[NEAREST_ROW]}


def _by_person(
    comparison: Comparison, columns: Sequence[str], attempts: dict[str, Attempt], members: NDArray[np.int64]
) -> list[Finding]:
    """Success by group and among those of whom the attacker is surest, of the attacker who finds most."""
    name = most_found(attempts)
    _, found, confidence = attempts[name]
    every = by_person(
        REPORT,
        "linkage.success",
        comparison,
        members[: len(found)],
        found,
        confidence,
        disparity="linkage.disparity",
        assumes=_assumes(name, columns),
    )
    gaps = [finding for finding in every if finding.metric == "linkage.disparity"]
    if not gaps:
        return [*every, REPORT.silent("linkage.disparity", "not-measured", NO_GROUPS)]
    widest = max(gaps, key=badness)
    note = f"between groups of {widest.target}, the worst of {len(gaps)}; {widest.note}".removesuffix("; ")
    return [*every, widest.model_copy(update={"target": "release", "note": note})]


def _assumes(target: str, columns: Sequence[str]) -> str:
    return f"{target} of {known(columns)}, held by an attacker who knows the method"


def _classes_over_rows(release: _Target, original: _Target) -> Finding:
    return REPORT.measured(
        "linkage.classes_over_rows",
        Figure.counted(len(release.classes.sizes) / release.classes.rows),
        release.classes.rows,
        before=len(original.classes.sizes) / max(1, original.classes.rows),
    )


def _all_columns(comparison: Comparison, members: NDArray[np.int64], controls: NDArray[np.int64]) -> Finding:
    columns = factual_columns(comparison)
    release, original, raw = _tables(comparison, columns, members)
    tables = [release] if raw is None else [release, raw]
    most = min(_affordable(table.classes.scanned, columns) for table in tables)
    members, controls = members[:most], controls[:most]
    before = _found_exactly(original, comparison.original[members])
    each = [_found_exactly(table, comparison.original[members]) for table in tables]
    best = max(range(len(each)), key=lambda number: float(each[number].mean()))
    found, release = each[best], tables[best]
    apparent = _agreeing(release.classes, release.describe(comparison.control[controls]))
    return REPORT.measured(
        "linkage.success_all_columns",
        wilson(float(found.mean()), len(found)),
        len(found),
        before=float(before.mean()),
        baseline=1 / release.classes.rows,
        control=float(apparent.mean()) if len(apparent) else None,
        assumes=f"an attacker who knows all {len(columns)} released columns but pseudonyms, exactly",
        note="somebody who knows all that learns nothing new but that the person is in the release",
    )


def _agreeing(classes: Table, described: pl.DataFrame) -> NDArray[np.float64]:
    """1 / rows claimed of each person who agrees with a class in every column, 0 of the others."""
    found = classes.locate(described)
    if found is not None:
        return shared(found >= 0, classes.sizes[found])
    claims = claim_exact(classes, described, insist=False)
    return shared(claims.full, claims.rows)


def _found_exactly(table: _Target, people: pl.DataFrame) -> NDArray[np.float64]:
    """The hits of an exact register; where everybody agrees fully with one class, no comparison is needed."""
    described = table.describe(people)
    found = table.classes.locate(described)
    if found is not None and (found >= 0).all():
        own = table.classes.locate(table.own[: described.height])
        return shared(found == own, table.classes.sizes[found])
    return _found(table, described)[0]


def _found(table: _Target, described: pl.DataFrame) -> tuple[NDArray[np.float64], Claims]:
    """The hits of an exact register and the claims made with it."""
    classes = table.classes
    claims = claim_exact(classes, described, insist=True)
    own = classes.label_codes(table.own[: described.height])
    return hits(claims, own_weights(classes, classes.encode(described), own, TRUST, claims.full)), claims
