"""Downcoding: finer values than the labels say, concluded from how the labels were chosen.

A recoding that keeps as much detail as it may gives more away than its labels say (Cohen 2022, *Attacks on
deidentification's defenses*, USENIX Security). Where each class has labels of its own, the tightest that
cover it, an interval's ends are values of people in the class, and a set's members each are somebody's: of
two people in "20-24" one is 20 and one is 24. Where all rows have one level, that the level below would not
do says something of the table as a whole, at most as much as it is unlikely.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, ClassVar, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field

from sfumato import contracts
from sfumato.contracts import COUNT, Comparison
from sfumato.core.keyed import derive
from sfumato.core.values import AnonymityPlan, Finding
from sfumato.evidence.attacks.controls import (
    NO_EVIDENCE,
    NOBODY,
    TIE,
    badness,
    circumstances,
    overlaps,
    without_control,
)
from sfumato.evidence.attacks.tightness import Cells, by_labels, by_level, cells_of
from sfumato.evidence.features import numbers
from sfumato.evidence.intervals import bootstrap_difference, wilson
from sfumato.evidence.report import Figure, Metric, Report

REPORT = Report(
    "downcoding",
    {
        "downcoding.proven": Metric(
            "low", "share", "generalized cells of which it is certain what somebody in the class has"
        ),
        "downcoding.recovered": Metric(
            "low", "share", "generalized cells whose values are found, the rows of a class in any order"
        ),
        "downcoding.gain": Metric(
            "low", "difference", "that share less what the labels tell of who does not know how they are made"
        ),
        "downcoding.choice": Metric(
            "low", "probability", "that such a table would have done a level finer: what choosing it tells"
        ),
    },
)

ASSUMES = "an attacker with the release who knows the method and how often values occur outside it"
NO_METHOD = "the release is not made by a search for the least generalization"
OTHER_METHOD = "the method {} promises neither the tightest labels nor the least level"
LOCAL = "each class has labels of its own, so that no level was chosen for all rows"
FULL = "all rows have labels of one level, which do not depend on who is in a class"
NOT_TIGHT = "no column has labels made of the values of a class"
SAMPLED = "of a larger release the sample has only a part of each class"
NOTHING = "no cell is generalized, or there are too many labels and values"
NO_LEVEL = "no level below the one chosen is ruled out by the people of classes"
OTHER_MODELS = "the privacy models count more than the people of classes, see minimality"

_CELLS = ("downcoding.proven", "downcoding.recovered", "downcoding.gain")


class _Counts(NamedTuple):
    """Of the coarse cells of a column or of all: how many, and how many values are found in each class.

    ``proven``, ``recovered`` and ``blind`` (by what labels cover alone) are of the people released, the
    others of as many strangers under the same labels; shape (classes,) each.
    """

    people: int
    cells: int
    proven: NDArray[np.int64]
    recovered: NDArray[np.int64]
    blind: NDArray[np.int64]
    proven_outside: NDArray[np.int64]
    recovered_outside: NDArray[np.int64]
    blind_outside: NDArray[np.int64]

    def share(self, found: NDArray[np.int64]) -> float:
        """Of all coarse cells."""
        return float(found.sum() / self.cells)


def _together(counts: Sequence[_Counts]) -> _Counts:
    """The cells of several columns of the same people in the same classes."""
    sums = zip(*(one[2:] for one in counts), strict=True)
    people, cells = max(one.people for one in counts), sum(one.cells for one in counts)
    return _Counts(people, cells, *(np.sum(parts, axis=0) for parts in sums))


class Downcoding:
    """How much finer than its labels a release can be read by who knows how they were chosen.

    The attacker states for each class how many have each value: what is certain, and the rest as values
    occur outside. ``baseline`` is the same by what labels cover alone, ``control`` the same statements on as
    many people who are not in the release, drawn under the same labels. ``before`` is 1, for there values are
    told. Findings have a column as target, and ``release`` for all cells together (for ``downcoding.choice``
    the worst column).
    """

    summary: ClassVar[str] = "downcoding: how labels were chosen tells finer values than they say"
    metrics = REPORT.metrics
    units = REPORT.units
    rowwise: ClassVar[frozenset[str]] = frozenset(REPORT.table)

    class Params(contracts.Params):
        """``worlds`` is the number of tables drawn to see whether a finer level would have done."""

        worlds: Annotated[int, Field(ge=50, le=10_000)] = 100

    def run(self, comparison: Comparison, params: Downcoding.Params) -> list[Finding]:
        """The findings of all cells, and of each column."""
        plan = comparison.plan.anonymity
        reason = _unsuitable(comparison, plan)
        if plan is None or reason:
            return [REPORT.silent(metric, "not-measured", reason) for metric in REPORT.table]
        overlap = overlaps(comparison)
        outside = comparison.control.clear() if overlap else comparison.control
        whole = int(comparison.count(comparison.released.columns[:1])[COUNT].sum()) == comparison.kept.sum()
        if not whole:
            return [REPORT.silent(metric, "not-measured", SAMPLED) for metric in REPORT.table]
        counts = {
            column: found
            for column, cells in _columns(comparison, plan, outside).items()
            if (found := _count(cells, derive(comparison.key, "downcoding", column)))
        }
        return [
            *_cell_findings(comparison, counts, overlap, bool(outside.height)),
            *_choice(comparison, plan, outside, params.worlds),
        ]


def _unsuitable(comparison: Comparison, plan: AnonymityPlan | None) -> str:
    """Why there is nothing to attack, empty if there is."""
    if plan is None:
        return NO_METHOD
    if plan.method not in ("lattice", "partition"):
        return OTHER_METHOD.format(plan.method)
    if plan.method == "lattice" and (comparison.finer is None or comparison.suppressible is None):
        return NO_METHOD
    return "" if comparison.kept.any() else NOBODY


def _columns(comparison: Comparison, plan: AnonymityPlan, outside: pl.DataFrame) -> Mapping[str, Cells]:
    """The cells of each recoded column."""
    names = tuple(plan.levels) if plan.method == "lattice" else comparison.overlapping
    kept = comparison.original.filter(pl.Series(comparison.kept))
    released = comparison.released.filter(pl.Series(comparison.kept)).select(names)
    found = {}
    for column in names:
        first = released.select(column, *(name for name in names if name != column))
        if plan.method == "lattice":
            if not plan.levels[column]:
                continue
            people = pl.concat([kept, outside.select(kept.columns)])
            covers = by_level(comparison.describe(people)[column], people[column])
            cells = cells_of(
                first, kept[column], _or(outside, kept)[column], covers, tight=False, ordered=False
            )
        else:
            values, others = (
                comparison.describe(kept)[column],
                comparison.describe(_or(outside, kept))[column],
            )
            cells = cells_of(
                first, values, others, by_labels(comparison, column),
                tight=column in comparison.tight, ordered=numbers(values) is not None,
            )  # fmt: skip
        if cells is not None:
            found[column] = cells
    return found


def _or(outside: pl.DataFrame, kept: pl.DataFrame) -> pl.DataFrame:
    """Whose values say how often they occur: those of the release where there is nobody else."""
    return outside if outside.height else kept


def _count(cells: Cells, key: bytes) -> _Counts | None:
    """What is found of a column's coarse cells, None if there are none."""
    coarse = int(cells.coarse.sum())
    if not coarse:
        return None
    guess, blind, strangers = cells.guess(tight=True), cells.guess(tight=False), cells.drawn(key)
    found = [
        part
        for values in (cells.truth, strangers)
        for part in (
            cells.shared(guess, values, cells.proven),
            cells.shared(guess, values),
            cells.shared(blind, values),
        )
    ]  # fmt: skip
    return _Counts(coarse, coarse, *found)


def _cell_findings(
    comparison: Comparison, counts: Mapping[str, _Counts], overlap: bool, control: bool
) -> list[Finding]:
    if not counts:
        return [REPORT.silent(metric, "not-measured", NOTHING) for metric in _CELLS]
    total = _together(list(counts.values()))
    return [
        finding
        for target, found in (("release", total), *counts.items())
        for finding in _figures(comparison, target, found, overlap, control)
    ]


def _figures(
    comparison: Comparison, target: str, found: _Counts, overlap: bool, control: bool
) -> list[Finding]:
    where, many = circumstances(comparison), found.people
    recovered, blind = found.share(found.recovered), found.share(found.blind)
    weak = NO_EVIDENCE.format("what the labels cover") if recovered <= blind + TIE else ""
    outside = found.share(found.recovered_outside)
    judged = REPORT.measured(
        "downcoding.recovered", wilson(recovered, many), many, target=target, before=1.0, baseline=blind,
        control=outside if control else None, assumes=ASSUMES, note=weak + where,
    )  # fmt: skip
    proven = _proven(comparison, target, found, control, where)
    if not control:
        return [judged, proven, without_control(REPORT, "downcoding.gain", overlap, target=target, n=many)]
    scale = len(found.blind) / found.cells
    key = derive(comparison.key, "downcoding", "gain", target)
    by_class = found.recovered.astype(np.float64), found.blind.astype(np.float64)
    figure = Figure(*(scale * part for part in bootstrap_difference(*by_class, key)))
    gain = REPORT.measured(
        "downcoding.gain", figure, many, target=target, baseline=0.0,
        control=outside - found.share(found.blind_outside), assumes=ASSUMES, note=weak + where,
    )  # fmt: skip
    return [judged, proven, gain]


def _proven(comparison: Comparison, target: str, found: _Counts, control: bool, where: str) -> Finding:
    """What is certain of a class; nothing is where labels are not made of its values."""
    metric, many = "downcoding.proven", found.people
    if not (set(comparison.tight) if target == "release" else set(comparison.tight) & {target}):
        note = NOT_TIGHT if comparison.overlapping else FULL
        return REPORT.silent(metric, "not-measured", note, target=target, n=many)
    return REPORT.measured(
        metric, Figure.counted(found.share(found.proven)), many, target=target, before=1.0, baseline=0.0,
        control=found.share(found.proven_outside) if control else None, assumes=ASSUMES, note=where,
    )  # fmt: skip


def _choice(comparison: Comparison, plan: AnonymityPlan, outside: pl.DataFrame, worlds: int) -> list[Finding]:
    """How likely a table of such labels would have done with each column a level finer, and the worst."""
    metric = "downcoding.choice"
    if plan.method != "lattice":
        return [REPORT.silent(metric, "not-measured", LOCAL)]
    if plan.unit != "row" or any(model["model"] != "k-anonymity" for model in plan.models):
        return [REPORT.silent(metric, "not-measured", OTHER_MODELS)]
    least = max(int(model["k"]) for model in plan.models)
    findings = []
    for column in (name for name, level in plan.levels.items() if level):
        done = _would_do(comparison, plan, outside, column, least, worlds)
        if done is not None:
            findings.append(
                REPORT.measured(
                    metric, wilson(done, worlds), worlds, target=column, baseline=0.0, assumes=ASSUMES,
                    note="of tables drawn; any belief rests on the choice at most by 1 / (1 - this)",
                )
            )  # fmt: skip
    if not findings:
        return [REPORT.silent(metric, "not-measured", NO_LEVEL)]
    worst = max(findings, key=badness)
    return [
        worst.model_copy(update={"target": "release", "note": f"of {worst.target}: {worst.note}"}),
        *findings,
    ]


def _would_do(
    comparison: Comparison, plan: AnonymityPlan, outside: pl.DataFrame, column: str, least: int, worlds: int
) -> float | None:
    """The share of drawn tables in which enough classes stay large; None if the true one is such."""
    assert comparison.finer is not None, "asked for only where there are levels"
    assert comparison.suppressible is not None, "as above"
    names = tuple(plan.levels)
    kept = comparison.original.filter(pl.Series(comparison.kept))
    released = comparison.released.filter(pl.Series(comparison.kept))
    spare = comparison.suppressible - plan.suppressed_rows
    people = pl.concat([kept, outside.select(kept.columns)])
    coarse, fine = comparison.describe(people)[column], comparison.finer(column, people)[column]
    first = released.select(column, *(name for name in names if name != column))
    cells = cells_of(
        first, fine[: kept.height], fine[kept.height :] if outside.height else fine, by_level(coarse, fine),
        tight=False, ordered=False,
    )  # fmt: skip
    if cells is None or _lost(cells, cells.truth, least) <= spare:
        return None
    key = derive(comparison.key, "downcoding", "worlds", column)
    tried = (cells.drawn(derive(key, str(world))) for world in range(worlds))
    return float(np.mean([_lost(cells, drawn, least) <= spare for drawn in tried]))


def _lost(cells: Cells, values: NDArray[np.int64], least: int) -> int:
    """The people of classes that are too small when told apart by values."""
    sizes = np.unique(cells.classes * cells.covers.shape[1] + values, return_counts=True)[1]
    return int(sizes[sizes < least].sum())
