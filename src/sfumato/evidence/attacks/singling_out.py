"""Singling out: predicates made from the release alone, each meant to fit exactly one person.

The first of the three criteria of the Article 29 Working Party's Opinion 05/2014 (WP216). An attacker who
has nothing but the release writes down predicates (a rare value, the far end of a column, a conjunction of
several columns) and is right about one if exactly one person of the original fits it, who is in the
release. How many of the same predicates fit exactly one of as many people who are *not* in the release says
what the release has to do with it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field

from sfumato import contracts
from sfumato.contracts import Comparison
from sfumato.core.keyed import derive, generator
from sfumato.core.values import Finding
from sfumato.evidence.attacks.controls import (
    NO_EVIDENCE,
    NO_GROUPS,
    NOBODY,
    TIE,
    circumstances,
    overlaps,
    without_control,
)
from sfumato.evidence.attacks.people import by_person
from sfumato.evidence.attacks.predicates import (
    Predicates,
    World,
    broad_conditions,
    few_conditions,
    isolated,
    univariate,
    whole_rows,
)
from sfumato.evidence.attacks.registers import sample_rows
from sfumato.evidence.columns import factual_columns
from sfumato.evidence.intervals import newcombe, wilson
from sfumato.evidence.report import Figure, Metric, Report

REPORT = Report(
    "singling-out",
    {
        "singling_out.risk": Metric(
            "low", "share", "predicates made from the release that fit exactly one person, who is in it"
        ),
        "singling_out.excess": Metric(
            "low",
            "difference",
            "that share less the share that fit exactly one of as many people not released",
        ),
        "singling_out.disparity": Metric(
            "low", "difference", "the group most singled out less the group least"
        ),
    },
)

UNIVARIATE = "single columns"
WHOLE = "whole rows"
FEW = "few conditions"
BROAD = "broad conditions"

#: Fewer predicates, or fewer people to try them on, make no figure.
LEAST = 20
#: Equal parts of the larger side that the predicates are tried on.
PARTS = 16
TOO_FEW = f"fewer than {LEAST} predicates or people"


@dataclass(frozen=True)
class _Found:
    """What one kind of predicates isolates: among everybody, blindly, and at equal size (or None)."""

    success: NDArray[np.float64]
    confidence: NDArray[np.float64]
    target: NDArray[np.int64]
    baseline: float
    risk: Figure
    excess: Figure | None
    control: float | None
    size: int


class SinglingOut:
    """How many predicates that an attacker makes from the release fit exactly one person.

    Four kinds: rare values, gaps and tails of single columns; whole rows; as few conditions as leave one
    released row; the same with numbers as half-lines. Findings have one of them as target and ``release``
    for the worst. ``baseline`` is the same conditions put together at random, and for
    single columns what a condition isolates that one person in n meets by chance. The excess is measured on
    equal numbers of people: of the larger side keyed parts are taken, and a predicate counts where the
    person behind its row is in the part.
    """

    summary: ClassVar[str] = "singling out: predicates made from the release that fit exactly one person"
    metrics = REPORT.metrics
    units = REPORT.units
    rowwise: ClassVar[frozenset[str]] = frozenset({"singling_out.disparity"})

    class Params(contracts.Params):
        """``predicates`` is the most of each kind."""

        predicates: Annotated[int, Field(ge=100, le=50_000)] = 3_000

    def run(self, comparison: Comparison, params: SinglingOut.Params) -> list[Finding]:
        """The findings of each kind of predicates, of the worst, and by group."""
        names = factual_columns(comparison)
        if not comparison.kept.any() or not names:
            return [REPORT.silent(metric, "not-measured", NOBODY) for metric in REPORT.table]
        described = comparison.describe(comparison.original), comparison.describe(comparison.control)
        kept = pl.Series(comparison.kept)
        release = World.of(comparison, names, comparison.released.filter(kept), *described)
        members = comparison.members
        plain = replace(comparison, overlapping=(), covers=None, centers={}, made=False, kept=members)
        left = comparison.original.filter(pl.Series(members))
        raw = World.of(plain, names, left, comparison.original, comparison.control)
        overlap = overlaps(comparison)
        after = _attack(comparison, release, params.predicates, control=not overlap)
        before = _attack(plain, raw, params.predicates, control=not overlap)
        return _findings(comparison, names, after, before, overlap)


def _attack(comparison: Comparison, world: World, most: int, *, control: bool) -> Mapping[str, _Found]:
    """What each kind of predicates isolates; kinds of too few are left out."""
    key = derive(comparison.key, "singling-out")
    kept = np.flatnonzero(comparison.kept)
    targets = np.sort(sample_rows(np.arange(len(kept)), most, derive(key, "targets")))
    if len(kept) < LEAST:
        return {}
    kinds: dict[str, Callable[[], Predicates]] = {
        UNIVARIATE: lambda: univariate(world, most, key),
        WHOLE: lambda: whole_rows(world, targets),
        FEW: lambda: few_conditions(world, targets, derive(key, FEW)),
        BROAD: lambda: broad_conditions(world, targets, derive(key, BROAD)),
    }
    found = {}
    sides = _Sides.of(comparison, control=control)
    for name, make in kinds.items():
        predicates = make()
        if len(predicates) >= LEAST:
            blind = predicates.blind(world, derive(key, "blind", name)) if name != UNIVARIATE else None
            found[name] = _measure(comparison, world, predicates, blind, sides)
    return found


@dataclass(frozen=True)
class _Sides:
    """Which people are in which part, a bit each, and how many there are to a part.

    Bits of the original: everybody, those released, then each part and those released of it; of the
    control each part. ``size`` is 0 where there is no control.
    """

    original: NDArray[np.uint64]
    control: NDArray[np.uint64]
    parts: int
    size: int

    @classmethod
    def of(cls, comparison: Comparison, *, control: bool) -> _Sides:
        kept, others = comparison.members, comparison.control.height if control else 0
        size = min(len(kept), others)
        parts = (1 if len(kept) == others else PARTS) if size >= LEAST else 0
        draw = generator(derive(comparison.key, "singling-out", "parts"))
        marks = np.ones(len(kept), dtype=np.uint64) | (kept.astype(np.uint64) << np.uint64(1))
        theirs = np.zeros(comparison.control.height, dtype=np.uint64)
        for part in range(parts):
            inside, outside = _part(len(kept), size, draw), _part(others, size, draw)
            marks |= inside.astype(np.uint64) << np.uint64(2 + 2 * part)
            marks |= (inside & kept).astype(np.uint64) << np.uint64(3 + 2 * part)
            theirs |= outside.astype(np.uint64) << np.uint64(part)
        return cls(marks, theirs, parts, size)


def _part(people: int, size: int, draw: np.random.Generator) -> NDArray[np.bool_]:
    chosen = np.zeros(people, dtype=bool)
    chosen[draw.permutation(people)[:size]] = True
    return chosen


def _measure(
    comparison: Comparison, world: World, predicates: Predicates, blind: Predicates | None, sides: _Sides
) -> _Found:
    kept = np.flatnonzero(comparison.kept)
    marks, sets = sides.original, 2 + 2 * sides.parts
    met = predicates.met(world.original, marks, sets)
    success = isolated(met[:, 1], met[:, 0], predicates.left)
    baseline = _by_chance(int(comparison.members.sum()))
    if blind is not None:
        chance = blind.met(world.original, marks, 2)
        baseline = float(isolated(chance[:, 1], chance[:, 0], blind.left).mean())
    target = kept[predicates.target]
    risk = wilson(float(success.mean()), len(success))
    excess = control = None
    if sides.parts:
        excess, control = _excess(comparison, world, predicates, sides, met, target)
    return _Found(success, predicates.sureness(world), target, baseline, risk, excess, control, sides.size)


def _by_chance(people: int) -> float:
    """What a condition isolates that has nothing to do with the release and that one in ``people`` meets.

    No attacker without the release does better; it tends to 1 / e = .37 (Cohen & Nissim 2020).
    """
    return float((1 - 1 / people) ** (people - 1))


def _excess(
    comparison: Comparison,
    world: World,
    predicates: Predicates,
    sides: _Sides,
    met: NDArray[np.int64],
    target: NDArray[np.int64],
) -> tuple[Figure, float]:
    """The difference at equal size, and what is isolated of people not released: means over the parts.

    Of people not released nobody is suppressed; so that both sides are counted alike, they count as far
    as people of the original are released.
    """
    rows = sides.original[np.flatnonzero(comparison.kept)] >> np.uint64(2)
    left = predicates.met(world.rows, rows, 2 * sides.parts)
    theirs = predicates.met(world.control, sides.control, sides.parts)
    share = float(comparison.members.mean())
    ours, others, tried = [], [], np.zeros(len(target), dtype=bool)
    for part in range(sides.parts):
        aimed = (sides.original[target] >> np.uint64(2 + 2 * part)) & np.uint64(1) == 1
        if not aimed.any():
            continue
        tried |= aimed
        here = left[aimed, 2 * part]
        ours.append(isolated(met[aimed, 3 + 2 * part], met[aimed, 2 + 2 * part], here).mean())
        others.append(share * isolated(theirs[aimed, part], theirs[aimed, part], here).mean())
    if not ours:
        return Figure(np.nan, np.nan, np.nan), 0.0
    many, control = int(tried.sum()), float(np.mean(others))
    return newcombe(wilson(float(np.mean(ours)), many), wilson(control, many)), control


def _findings(
    comparison: Comparison,
    names: tuple[str, ...],
    after: Mapping[str, _Found],
    before: Mapping[str, _Found],
    overlap: bool,
) -> list[Finding]:
    assumes = f"an attacker who has the release with its {len(names)} columns and nothing else"
    if not after:
        return [REPORT.silent(metric, "no-power", TOO_FEW, assumes=assumes) for metric in REPORT.table]
    findings: list[Finding] = []
    where = circumstances(comparison)
    for metric in ("singling_out.risk", "singling_out.excess"):
        each = {
            name: _finding(comparison, metric, name, found, before.get(name), assumes, where, overlap)
            for name, found in after.items()
        }
        # By the figure: a kind of few predicates has the widest interval and says the least.
        worst = max(each, key=lambda name: _figure(each[name]))
        note = f"{worst}, the worst of {len(each)}; {each[worst].note}"
        findings += [each[worst].model_copy(update={"target": "release", "note": note}), *each.values()]
    # A single column's predicates may all be aimed at a few people; the others each have a person.
    people = {name: found for name, found in after.items() if name != UNIVARIATE}
    # Nor is anybody behind a row that was made.
    if people and not comparison.made:
        worst = max(people, key=lambda name: people[name].risk.value)
        found = people[worst]
        findings += by_person(
            REPORT,
            "singling_out.risk",
            comparison,
            found.target,
            found.success,
            found.confidence,
            disparity="singling_out.disparity",
            assumes=f"{assumes}; predicates of {worst}",
        )
    if not any(finding.metric == "singling_out.disparity" for finding in findings):
        findings.append(REPORT.silent("singling_out.disparity", "not-measured", NO_GROUPS))
    return findings


def _figure(finding: Finding) -> float:
    """What is compared of two findings; one without a figure is the worst."""
    return 2.0 if finding.value is None else finding.value


def _finding(
    comparison: Comparison,
    metric: str,
    name: str,
    found: _Found,
    earlier: _Found | None,
    assumes: str,
    where: str,
    overlap: bool,
) -> Finding:
    many = len(found.success)
    if metric == "singling_out.risk":
        weak = NO_EVIDENCE.format("blind guessing")
        note = weak if found.risk.value <= found.baseline + TIE else ""
        equal = found.size == comparison.original.height
        return REPORT.measured(
            metric,
            found.risk,
            many,
            target=name,
            before=earlier.risk.value if earlier else None,
            baseline=found.baseline,
            control=found.control if equal else None,
            assumes=assumes,
            note=note + where,
        )
    if found.excess is None:
        return without_control(REPORT, metric, overlap, target=name, n=many, assumes=assumes)
    weak = NO_EVIDENCE.format("on people who were not released")
    note = (weak if found.excess.value <= TIE else "") + "among equal numbers of people; "
    return REPORT.measured(
        metric,
        found.excess,
        many,
        target=name,
        before=earlier.excess.value if earlier and earlier.excess else None,
        control=found.control,
        assumes=assumes,
        note=note + where,
    )
