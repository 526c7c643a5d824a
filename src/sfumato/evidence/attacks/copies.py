"""Copies: made rows that repeat a person who taught the generator.

A generator that learned what people are like repeats somebody by chance, and as often people who never
taught it; one that learned people by heart repeats those it was taught by. So what is told is the difference
between the two. A row that many people share is no copy of any of them, and one that differs from others in
a common value is to be expected: only people count who are alone with theirs among all who taught the
generator, and whose row nobody would expect.

Rows that are nearly a person's are found by distances: of people whom a made row lies much nearer to than
any other person of their kind, again beside people who did not teach it. Distances over everybody, and shares
of rows nearer to people who taught (:mod:`sfumato.evidence.utility.plausibility`), miss leaks that membership
attacks find (Yao, Krčo, Ganev & de Montjoye 2025, *The DCR delusion*, arXiv 2505.01524); these look at the
few in the tail, and stand beside the membership attack, not in its place.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field

from sfumato import contracts
from sfumato.contracts import COUNT, Comparison
from sfumato.core.values import Finding
from sfumato.evidence.attacks.candidates import LEAST, Candidates, held
from sfumato.evidence.attacks.controls import (
    NO_CONTROL,
    NO_EVIDENCE,
    NO_GROUPS,
    TIE,
    overlaps,
    without_control,
)
from sfumato.evidence.attacks.density import nearer
from sfumato.evidence.attacks.matching import Classes
from sfumato.evidence.attacks.membership import sampled
from sfumato.evidence.attacks.people import SUREST, by_person
from sfumato.evidence.columns import attack_columns, factual_columns
from sfumato.evidence.features import numbers
from sfumato.evidence.intervals import clopper_pearson, exact_difference
from sfumato.evidence.report import Figure, Metric, Report, design_note

REPORT = Report(
    "copies",
    {
        "copies.excess": Metric(
            "low",
            "difference",
            "people whose row nobody would expect and a made row repeats, less people who taught nothing",
        ),
        "copies.alone_excess": Metric(
            "low", "difference", "the same of all people who are alone with their row, expected or not"
        ),
        "copies.few_excess": Metric(
            "low", "difference", "the same of people who share their row with fewer than nine others"
        ),
        "copies.known_excess": Metric(
            "low",
            "difference",
            "the first in the columns that an attacker knows or that hardly repeat",
        ),
        "copies.close_excess": Metric(
            "low",
            "difference",
            "people whom a made row repeats but for a trifle, less people who taught nothing",
        ),
        "copies.near_excess": Metric(
            "low",
            "difference",
            "people five times nearer to a made row than to anybody else, less people who taught nothing",
        ),
        "copies.extremes": Metric(
            "low",
            "difference",
            "people whose extreme value in a column is theirs alone and in a made row, less others",
        ),
        "copies.share": Metric("low", "share", "people whose row nobody would expect and a made row repeats"),
        "copies.disparity": Metric(
            "low", "difference", "the group most often repeated less the group least often"
        ),
        "copies.rows": Metric("low", "share", "made rows that repeat somebody who is alone with the row"),
    },
)

OWN_ROWS = "the rows of the release are people's own"
NO_ROWS = "the release has no rows or no column of facts"
NONE_KNOWN = "no column is known of anybody"
ALONE, FEW = 1, 9
#: From so many made rows like somebody's on, expected without them, a row that repeats it says nothing.
EXPECTED = 0.02
#: Columns in which so many people have a value of their own are known like a name.
HARDLY_REPEATS = 0.5
#: The share of people at either end of a column of numbers whose values are extreme.
EXTREME = 0.005
FEW_PEOPLE = f"fewer than {LEAST} people on a side"
FEW_EXTREME = f"fewer than {LEAST} people on a side have an extreme value"
#: How many times nearer to somebody than the nearest other person a made row is that is near, or close.
NEARER = {"copies.close_excess": 500.0, "copies.near_excess": 5.0}


@dataclass(frozen=True)
class Rows:
    """The made rows in some columns, and people as ``describe`` leaves them."""

    columns: tuple[str, ...]
    made: pl.DataFrame
    taught: Classes
    original: pl.DataFrame
    control: pl.DataFrame

    @classmethod
    def of(cls, comparison: Comparison, columns: Sequence[str]) -> Rows:
        """All made rows as written, and everybody who taught the generator."""
        original, control = (
            comparison.describe(part).select(columns) for part in (comparison.original, comparison.control)
        )
        known = comparison.count_taught
        taught = original.group_by(columns).len(COUNT) if known is None else known(columns)
        made = comparison.count(columns)
        return cls(tuple(columns), made, Classes.of(taught, columns), original, control)

    @cached_property
    def repeated(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Whom a made row repeats: of the original and of the control."""
        classes = Classes.of(self.made, self.columns)
        return classes.locate(self.original) >= 0, classes.locate(self.control) >= 0

    @cached_property
    def others(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """How many other people who taught the generator have the row of each."""
        return self.sharing(self.original) - 1, self.sharing(self.control)

    def sharing(self, people: pl.DataFrame) -> NDArray[np.int64]:
        """How many people who taught the generator have the row of each."""
        return _sharing(self.taught, people)

    def surprising(self, hits: NDArray[np.bool_], side: int) -> NDArray[np.bool_]:
        """Whom of those hit nobody would expect to be: of the original (side 0) or the control (side 1).

        How many made rows like somebody's to expect is taken from the other people who taught: in the
        proportion of those alike in all columns but one, times that of those alike in this one; the most
        over the columns. So a row that others nearly have is expected, and a number of its own is not.
        """
        people = (self.original, self.control)[side].filter(pl.Series(hits, dtype=pl.Boolean))
        rows, own = int(self.made[COUNT].sum()), 1 - side
        expected = np.zeros(people.height)
        for column in self.columns if people.height else ():
            others = [name for name in self.columns if name != column]
            alike, same = (
                (_sharing(self._among(names), people) - own) / max(1, self.taught.rows - own)
                for names in (others, [column])
            )
            expected = np.maximum(expected, rows * alike * same)
        found = hits.copy()
        found[hits] = expected < EXPECTED
        return found

    def _among(self, columns: Sequence[str]) -> Classes:
        """Everybody who taught, in some of the columns."""
        counted = self.taught.tuples.with_columns(pl.Series(COUNT, self.taught.sizes, dtype=pl.Int64))
        return Classes.of(counted.group_by(columns).agg(pl.col(COUNT).sum()) if columns else counted, columns)

    def found(self, most: int) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Who is repeated and shares the row with fewer than ``most`` others."""
        inside, outside = (
            repeated & (others < most) for repeated, others in zip(self.repeated, self.others, strict=True)
        )
        return inside, outside

    @cached_property
    def unexpected(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Who is repeated, alone with the row, and not to be expected."""
        inside, outside = (self.surprising(hits, side) for side, hits in enumerate(self.found(ALONE)))
        return inside, outside

    @cached_property
    def made_copies(self) -> tuple[float, float]:
        """The share of made rows that repeat one person who taught the generator, and one of the control."""
        total = max(1, int(self.made[COUNT].sum()))
        rows = self.made[COUNT].cast(pl.Int64).to_numpy()
        control = Classes.of(self.control.group_by(self.columns).len(COUNT), self.columns)
        inside, outside = (classes.locate(self.made) for classes in (self.taught, control))
        # As for people: nobody else who taught it has the row.
        alone = np.append(self.taught.sizes, 0)[inside] == 1
        others = (outside >= 0) & (inside < 0)
        size = self.taught.rows / max(1, self.control.height)
        return float(rows[alone].sum() / total), float(rows[others].sum() / total * size)


def _sharing(classes: Classes, people: pl.DataFrame) -> NDArray[np.int64]:
    """How many people of some classes are in that of each person."""
    at = classes.locate(people)
    return np.where(at >= 0, np.append(classes.sizes, 0)[at], 0).astype(np.int64)


class Copies:
    """How many more people are repeated by made rows among those who taught the generator than among others.

    Shares are of everybody, so that a table in which nobody is alone has no copies and says so. ``control``
    is the share of people held out of whom the same holds, ``n`` the people who taught the generator that
    were looked at; intervals are exact. Nearness is Gower's distance, and the other people by whom it is
    judged are a reference, half of those held out.
    """

    summary: ClassVar[str] = "made rows that repeat, or nearly repeat, people who taught the generator"
    metrics = REPORT.metrics
    units = REPORT.units
    rowwise: ClassVar[frozenset[str]] = frozenset()

    class Params(contracts.Params):
        """``people`` is the most who are looked for among rows that are nearly theirs."""

        people: Annotated[int, Field(ge=100, le=50_000)] = 5_000

    def run(self, comparison: Comparison, params: Copies.Params) -> list[Finding]:
        """The findings on the release, and the share of people repeated by group."""
        columns = factual_columns(comparison)
        if not comparison.made:
            return [REPORT.silent(metric, "not-measured", OWN_ROWS) for metric in REPORT.table]
        if not comparison.kept.any() or not columns:
            return [REPORT.silent(metric, "not-measured", NO_ROWS) for metric in REPORT.table]
        rows = Rows.of(comparison, columns)
        overlap = overlaps(comparison)
        return [
            _excess(comparison, "copies.excess", rows, rows.unexpected, overlap),
            _excess(comparison, "copies.alone_excess", rows, rows.found(ALONE), overlap),
            _excess(comparison, "copies.few_excess", rows, rows.found(FEW), overlap),
            _known(comparison, columns, overlap),
            *_near(comparison, rows, params.people, overlap),
            _extremes(comparison, columns, overlap),
            *_shares(comparison, rows, overlap),
            _made(comparison, rows),
        ]


def _excess(
    comparison: Comparison,
    metric: str,
    rows: Rows,
    found: tuple[NDArray[np.bool_], NDArray[np.bool_]],
    overlap: bool,
) -> Finding:
    inside, outside = found
    assumes = f"all of {len(rows.columns)} columns"
    if overlap or not len(outside):
        return without_control(REPORT, metric, overlap, n=len(inside), assumes=assumes)
    figure = exact_difference(int(inside.sum()), len(inside), int(outside.sum()), len(outside))
    alone = f"{(rows.others[0] < ALONE).mean():.0%} of people are alone with their row; "
    return REPORT.measured(
        metric,
        figure,
        len(inside),
        control=float(outside.mean()),
        assumes=assumes,
        note=_weak(figure) + alone + design_note(comparison),
    )


def _weak(figure: Figure) -> str:
    return NO_EVIDENCE.format("on people who did not teach the generator") if figure.value <= TIE else ""


def _known(comparison: Comparison, columns: Sequence[str], overlap: bool) -> Finding:
    """The excess in the columns that somebody may know of a person."""
    metric = "copies.known_excess"
    near_unique = {
        profile.name for profile in comparison.inventory.columns if profile.unique >= HARDLY_REPEATS
    }
    attacked = {*attack_columns(comparison), *near_unique}
    known = [column for column in columns if column in attacked]
    if not known:
        return REPORT.silent(metric, "not-measured", NONE_KNOWN)
    rows = Rows.of(comparison, known)
    return _excess(comparison, metric, rows, rows.unexpected, overlap)


def _near(comparison: Comparison, rows: Rows, most: int, overlap: bool) -> Iterator[Finding]:
    """People whom a made row is much nearer to than anybody in the reference, by the factors of NEARER.

    They are those whose rows nobody would expect; of the others a near row is as likely by chance.
    """
    columns = rows.columns
    assumes = f"all of {len(columns)} columns"
    people = Candidates.of(comparison, most)
    members, outside = len(people.members), len(people.outside)
    if overlap or not comparison.control.height:
        for metric in NEARER:
            yield without_control(REPORT, metric, overlap, n=members, assumes=assumes)
        return
    if min(members, outside, len(people.reference)) < LEAST:
        for metric in NEARER:
            yield REPORT.silent(metric, "no-power", FEW_PEOPLE, n=members, assumes=assumes)
        return
    given = held(comparison, columns, people, comparison.count(columns), comparison.describe)
    for metric, factor in NEARER.items():
        close = nearer(given.points, factor)
        inside, others = (
            rows.surprising(_at(part, chosen, of), side)[chosen]
            for side, (part, chosen, of) in enumerate(
                (
                    (close[:members], people.members, comparison.original.height),
                    (close[members:], people.outside, comparison.control.height),
                )
            )
        )
        figure = exact_difference(int(inside.sum()), members, int(others.sum()), outside)
        yield REPORT.measured(
            metric,
            figure,
            members,
            control=float(others.mean()),
            assumes=assumes,
            note=_weak(figure) + sampled(given) + design_note(comparison),
        )


def _at(found: NDArray[np.bool_], rows: NDArray[np.int64], of: int) -> NDArray[np.bool_]:
    """What was found of some rows, among all."""
    marks = np.zeros(of, dtype=bool)
    marks[rows] = found
    return marks


def _extremes(comparison: Comparison, columns: Sequence[str], overlap: bool) -> Finding:
    """People with a value at the far end of a column of numbers that is theirs alone and that is repeated."""
    metric = "copies.extremes"
    sides = comparison.original, comparison.control
    extreme, found = ([np.zeros(side.height, dtype=bool) for side in sides] for _ in range(2))
    for column in columns:
        rows = Rows.of(comparison, [column])
        values = [numbers(people[column]) for people in (rows.original, rows.control)]
        known = np.concatenate([np.zeros(0), *(part[~np.isnan(part)] for part in values if part is not None)])
        if not len(known):
            continue
        low, high = np.quantile(known, [EXTREME, 1 - EXTREME], method="inverted_cdf")
        for side, (part, hits) in enumerate(zip(values, rows.found(ALONE), strict=True)):
            if part is not None:
                far = (part < low) | (part > high)
                extreme[side] |= far
                found[side] |= far & hits
    (inside, outside), (ours, theirs) = ((int(part.sum()) for part in parts) for parts in (extreme, found))
    assumes = "the far ends of the columns of numbers"
    if overlap or not comparison.control.height:
        return without_control(REPORT, metric, overlap, n=inside, assumes=assumes)
    if min(inside, outside) < LEAST:
        return REPORT.silent(metric, "no-power", FEW_EXTREME, n=inside, assumes=assumes)
    figure = exact_difference(ours, inside, theirs, outside)
    return REPORT.measured(
        metric,
        figure,
        inside,
        control=theirs / outside,
        assumes=assumes,
        note=_weak(figure) + design_note(comparison),
    )


def _shares(comparison: Comparison, rows: Rows, overlap: bool) -> list[Finding]:
    """The share of people repeated, and by group."""
    metric, disparity = "copies.share", "copies.disparity"
    inside, outside = rows.unexpected
    findings = [
        REPORT.measured(
            metric,
            clopper_pearson(int(inside.sum()), len(inside)),
            len(inside),
            control=float(outside.mean()) if len(outside) and not overlap else None,
            note=design_note(comparison) if len(outside) else NO_CONTROL,
        )
    ]
    success, people = inside.astype(np.float64), np.arange(len(inside))
    found = by_person(REPORT, metric, comparison, people, success, success, disparity=disparity)
    # Whoever is repeated is no surer found than another: the hundredth would be made of hits.
    findings += [finding for finding in found if finding.target != SUREST]
    if not comparison.groups:
        findings.append(REPORT.silent(disparity, "not-measured", NO_GROUPS))
    return findings


def _made(comparison: Comparison, rows: Rows) -> Finding:
    share, control = rows.made_copies
    many = int(rows.made[COUNT].sum())
    return REPORT.measured(
        "copies.rows",
        Figure.counted(share),
        many,
        control=control if rows.control.height else None,
        note="of all made rows; " + design_note(comparison),
    )
