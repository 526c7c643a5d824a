"""Special uniques: people whom few of the known columns single out already.

Whoever is unique by many columns at once may be so by accident; whoever is unique by one or two stands out
(Elliot, Manning & Ford 2002, *A computational algorithm for handling the special uniques problem*, Int.
J. Uncertainty, Fuzziness and Knowledge-Based Systems 10:493-509). The sets of columns that do it say what
to coarsen. See :mod:`sfumato.evidence.attacks.minimal_uniques` for the search and the scores.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from sfumato import contracts
from sfumato.contracts import Comparison
from sfumato.core.values import Finding
from sfumato.evidence.attacks.minimal_uniques import MOST_COLUMNS, MinimalUniques, Owned, minimal_uniques
from sfumato.evidence.attacks.people import (
    FEW_SUREST,
    LEAST_PEOPLE,
    SUREST,
    SUREST_SHARE,
    by_person,
    surest_share,
)
from sfumato.evidence.columns import attack_columns
from sfumato.evidence.report import Figure, Metric, Report

REPORT = Report(
    "suda",
    {
        "suda.special_uniques": Metric("low", "share", "people whom a few of the known columns single out"),
        "suda.disparity": Metric(
            "low", "difference", "special uniques among the people of the group that has most, less the least"
        ),
        "suda.score": Metric("low", "ratio", "the mean SUDA score of all people"),
        "suda.dis_score": Metric(
            "low", "probability", "the mean chance that a match with a person is right (DIS-SUDA)"
        ),
        "suda.contribution": Metric(
            "low", "share", "the share of all scores that comes from sets with a column"
        ),
        "suda.set": Metric("low", "share", "people for whom a set of columns is minimal unique"),
    },
)

NO_ROWS = "nobody's row is in the release"
NO_COLUMNS = "an attacker who knows no column singles nobody out"
NO_FRACTION = "the sampling fraction is not known"
NOBODY = "so few columns single nobody out: no column contributes"
TOO_MANY = "too many people and columns to search"
NO_GROUPS = "the policy names no groups"
OVERLAP = "people are told apart by their labels, which overlap: an attacker tells no more people apart"


class Suda:
    """Minimal sample uniques of the columns that an attacker knows, in the whole release.

    Figures on the release are complete counts; those by group rest on the evidence's sample. ``before``
    is the same on the rows that the release was made from. Where people have several rows a set
    singles a person out by any of them. The scores of single people go to custody.
    """

    summary: ClassVar[str] = "special uniques (SUDA2): people whom one, two or three columns single out"
    metrics = REPORT.metrics
    units = REPORT.units
    rowwise: ClassVar[frozenset[str]] = frozenset(REPORT.table)

    class Params(contracts.Params):
        """``size`` is the most columns of a set, ``sets`` how many of the worst sets are reported."""

        size: Annotated[int, Field(ge=1, le=6)] = 3
        sets: Annotated[int, Field(ge=1, le=50)] = 10

    def run(self, comparison: Comparison, params: Suda.Params) -> list[Finding]:
        """The findings on the release, by column, by set of columns, by group and for the surest."""
        columns = attack_columns(comparison)
        if not columns:
            return _silent(NO_COLUMNS if comparison.released.columns else NO_ROWS)
        owned = _owned(comparison, columns, released=True)
        if not owned.people:
            return _silent(NO_ROWS)
        after = minimal_uniques(owned, params.size)
        if not after.size:
            return _silent(TOO_MANY)
        before = minimal_uniques(_owned(comparison, columns, released=False), params.size)
        tell = _Telling(after, before, _note(comparison, after, params.size))
        return [
            *tell.special_uniques(),
            tell.score(),
            *tell.dis_scores(comparison.population),
            *tell.contributions(),
            *tell.sets(params.sets),
            *_by_person(comparison, after, tell.assumes),
        ]


def _silent(note: str) -> list[Finding]:
    return [REPORT.silent(metric, "not-measured", note) for metric in REPORT.table]


def _owned(comparison: Comparison, columns: Sequence[str], *, released: bool) -> Owned:
    histories = comparison.histories if released else comparison.histories_original
    if histories is not None:
        return Owned.of_rows(histories(columns), columns)
    count = comparison.count if released else comparison.count_original
    return Owned.of(count(columns), columns)


def _note(comparison: Comparison, after: MinimalUniques, asked: int) -> str:
    notes = []
    if set(after.columns) & set(comparison.overlapping):
        notes.append(OVERLAP)
    if after.size < min(asked, len(after.columns)):
        notes.append(f"sets of more than {after.size} columns are too many to search")
    if len(after.columns) > MOST_COLUMNS:
        notes.append(f"only the {MOST_COLUMNS} columns of most values are searched")
    return "; ".join(notes)


class _Telling:
    """Findings of what was found after and before."""

    def __init__(self, after: MinimalUniques, before: MinimalUniques, note: str) -> None:
        self.after, self.before, self.note = after, before, note
        self.people = after.owned.people
        self.assumes = f"an attacker who knows {', '.join(after.columns)}"

    def _measured(self, metric: str, value: float, before: float | None, target: str = "release") -> Finding:
        return REPORT.measured(
            metric,
            Figure.counted(value),
            self.people,
            target=target,
            # Sets of another size are no comparison.
            before=before if self.before.size == self.after.size else None,
            assumes=self.assumes,
            note=self.note,
        )

    def special_uniques(self) -> list[Finding]:
        """The share of people singled out, by the number of columns that it takes at most."""
        targets = {
            "release": self.after.size,
            **{_up_to(size): size for size in range(1, self.after.size + 1)},
        }
        return [
            self._measured("suda.special_uniques", self.after.share(size), self.before.share(size), target)
            for target, size in targets.items()
        ]

    def score(self) -> Finding:
        """The mean score of everybody."""
        after, before = (float(found.scores.sum()) / max(1, found.owned.people) for found in self._both)
        return self._measured("suda.score", after, before)

    @property
    def _both(self) -> tuple[MinimalUniques, MinimalUniques]:
        return self.after, self.before

    def dis_scores(self, fraction: float | None) -> list[Finding]:
        """The mean chance of a right match, of everybody and of those with the greatest scores."""
        if fraction is None or not 0 < fraction <= 1:
            silent = REPORT.silent(
                "suda.dis_score", "not-measured", NO_FRACTION, n=self.people, assumes=self.assumes
            )
            return [silent]
        # The release stands for the same population as the rows it was made from.
        left = min(1.0, fraction * self.people / max(1, self.before.owned.people))
        after = _everybody(self.after.dis_scores(left), self.people)
        before = _everybody(self.before.dis_scores(fraction), self.before.owned.people)
        whole = self._measured("suda.dis_score", float(after.mean()), float(before.mean()))
        surest = round(SUREST_SHARE * len(after))
        if surest < LEAST_PEOPLE:
            few = REPORT.silent(
                "suda.dis_score", "no-power", FEW_SUREST, target=SUREST, n=surest, assumes=self.assumes
            )
            return [whole, few]
        figure = Figure.counted(surest_share(after, after, surest))
        return [
            whole,
            REPORT.measured(
                "suda.dis_score", figure, surest, target=SUREST, assumes=self.assumes, note=self.note
            ),
        ]

    def contributions(self) -> list[Finding]:
        """The share of all scores that each column has a part in."""
        after, before = (
            dict(zip(found.columns, found.contributions.tolist(), strict=True)) for found in self._both
        )
        if not len(self.after.sets):
            silent = REPORT.silent(
                "suda.contribution", "not-measured", NOBODY, n=self.people, assumes=self.assumes
            )
            return [silent]
        return [
            self._measured("suda.contribution", share, before[column], column)
            for column, share in after.items()
        ]

    def sets(self, most: int) -> list[Finding]:
        """The sets of columns that single out most people; of the release the worst."""
        counts, earlier = self.after.by_set, self.before.by_set
        of, of_earlier = self.people, max(1, self.before.owned.people)
        worst = next(iter(counts.values()), 0) / of
        whole = self._measured("suda.set", worst, next(iter(earlier.values()), 0) / of_earlier)
        return [
            whole,
            *(
                self._measured("suda.set", people / of, earlier.get(names, 0) / of_earlier, " & ".join(names))
                for names, people in list(counts.items())[:most]
                if " & ".join(names) != "release"
            ),
        ]


def _up_to(size: int) -> str:
    return "1 column" if size == 1 else f"up to {size} columns"


def _everybody(scores: NDArray[np.float64], people: int) -> NDArray[np.float64]:
    """The scores of all people in order; whom no number was given to has none."""
    every = np.zeros(people)
    some = np.sort(scores)[::-1][:people]
    every[: len(some)] = some
    return every


def _by_person(comparison: Comparison, after: MinimalUniques, assumes: str) -> list[Finding]:
    """Special uniques by group and among those of the greatest scores."""
    rows = np.flatnonzero(comparison.kept)
    persons = after.owned.locate(comparison, rows)
    scores = np.where(persons >= 0, after.scores[persons], 0.0)
    comparison.record("suda.score", rows, scores)
    found = by_person(
        REPORT,
        "suda.special_uniques",
        comparison,
        rows,
        (scores > 0).astype(np.float64),
        scores,
        disparity="suda.disparity",
        assumes=assumes,
    )
    if not comparison.groups:
        found.append(REPORT.silent("suda.disparity", "not-measured", NO_GROUPS))
    return found
