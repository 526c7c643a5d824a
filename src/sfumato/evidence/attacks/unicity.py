"""Unicity: how few rows of somebody's history are enough to find the whole of it.

Where a release links the rows of a person, whoever knows a few of them (a visit, two purchases) finds the
others if nobody else has the same few. The share of people who are alone with some random rows is
the unicity of de Montjoye, Hidalgo, Verleysen & Blondel 2013 (*Unique in the Crowd*, Scientific Reports
3:1376). The most frequent rows, such as home and work, are the top locations of Zang & Bolot 2011
(*Anonymization of location data does not work*, MobiCom).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field

from sfumato import contracts
from sfumato.classes.grouping import combine
from sfumato.contracts import COUNT, PERSON, ROW, Comparison
from sfumato.core.keyed import derive, draws
from sfumato.core.values import Finding
from sfumato.evidence.attacks.matching import Classes
from sfumato.evidence.attacks.people import by_person
from sfumato.evidence.attacks.registers import sample_rows
from sfumato.evidence.columns import attack_columns
from sfumato.evidence.intervals import wilson
from sfumato.evidence.report import Figure, Metric, Report

REPORT = Report(
    "unicity",
    {
        "unicity.points": Metric(
            "low", "share", "people who are alone with a few random rows of their history"
        ),
        "unicity.first": Metric("low", "share", "people who are alone with the first rows of their history"),
        "unicity.top": Metric("low", "share", "people who are alone with their most frequent rows"),
        "unicity.disparity": Metric(
            "low", "difference", "unicity in the group with most people alone, less the group with least"
        ),
    },
)

ONE_ROW = "each person has one row: class risks tell of them"
NOT_LINKED = "nothing links the rows of a person"
NO_ROWS = "nobody's row is in the release"
NO_COLUMNS = "an attacker who knows no column knows no row"
NO_ORDER = "no column of dates says which rows came first"
NO_PLACES = "an attacker who knows dates only knows no row that repeats"
NO_GROUPS = "the policy names no groups"
FEWER = "who has fewer rows is known by all of them"
OVERLAP = "rows are told apart by their labels, which overlap: an attacker tells no more apart"
DATES = ("date", "datetime")


class Unicity:
    """People whom a few of their rows tell from everybody else, where rows are linked.

    The attacker knows rows as the release shows them (the method is published), and looks for histories that
    hold them all. Targets say how many are known; ``release`` is the most. Random and first rows are tried
    on a keyed sample of people against everybody in the release, most frequent ones on everybody.
    ``before`` is the same on the rows that the release was made from.
    """

    summary: ClassVar[str] = "unicity of linked rows: people whom a few of their rows give away"
    metrics = REPORT.metrics
    units = REPORT.units
    rowwise: ClassVar[frozenset[str]] = frozenset(REPORT.table)

    class Params(contracts.Params):
        """``points`` is the most rows known, ``top`` the most frequent ones; ``order`` a column of time.

        Without ``order`` the first column of dates says which rows came first.
        """

        people: Annotated[int, Field(ge=100, le=100_000)] = 5_000
        points: Annotated[int, Field(ge=1, le=20)] = 5
        top: Annotated[int, Field(ge=1, le=10)] = 3
        order: str | None = None

    def run(self, comparison: Comparison, params: Unicity.Params) -> list[Finding]:
        """The findings for each number of rows known, by group and for the surest."""
        columns = attack_columns(comparison)
        missing = _why_not(comparison, columns)
        if missing:
            return [REPORT.silent(metric, "not-measured", missing) for metric in REPORT.table]
        assert comparison.histories is not None and comparison.histories_original is not None
        after = _Histories.of(comparison.histories(columns), columns)
        before = _Histories.of(comparison.histories_original(columns), columns)
        if not len(after.ids):
            return [REPORT.silent(metric, "not-measured", NO_ROWS) for metric in REPORT.table]
        note = OVERLAP if set(columns) & set(comparison.overlapping) else ""
        return [
            *_random(comparison, after, before, columns, params, note),
            *_first(comparison, after, before, columns, params, note),
            *_top(comparison, columns, params, note),
        ]


def _why_not(comparison: Comparison, columns: Sequence[str]) -> str:
    if comparison.histories is None or comparison.histories_original is None or comparison.people is None:
        return ONE_ROW if comparison.alike is None else NOT_LINKED
    if comparison.alike is None:
        return NOT_LINKED
    return "" if columns else NO_COLUMNS


@dataclass(frozen=True)
class _Histories:
    """Rows as people and tuples: ``whose`` and ``tuples``, numbers from 0, shape (rows,).

    ``ids`` are the people's own numbers in order, ``rows`` the numbers of the rows.
    """

    ids: NDArray[np.uint64]
    whose: NDArray[np.int64]
    tuples: NDArray[np.int64]
    rows: NDArray[np.uint64]

    @classmethod
    def of(cls, rows: pl.DataFrame, columns: Sequence[str]) -> _Histories:
        ids, whose = np.unique(rows[PERSON].to_numpy(), return_inverse=True)
        codes = Classes.of(rows.select(*columns, pl.lit(1).alias(COUNT)), columns).codes
        _, tuples = np.unique(combine(list(codes)), return_inverse=True)
        return cls(ids, whose.astype(np.int64), tuples.astype(np.int64), rows[ROW].cast(pl.UInt64).to_numpy())

    def locate(self, ids: NDArray[np.uint64]) -> NDArray[np.int64]:
        """The places of people by their own numbers, who must be there."""
        return np.searchsorted(self.ids, ids)

    def points(self, order: NDArray[np.uint64], people: NDArray[np.int64], most: int) -> NDArray[np.int64]:
        """The first distinct tuples of some people by an order of the rows, -1 after the last.

        Args:
            order: a number for each row, shape (rows,).

        Returns:
            Shape (people, most).
        """
        ordered = np.lexsort((self.rows, order, self.whose))
        _, firsts = np.unique(self._pairs[ordered], return_index=True)
        firsts = ordered[np.sort(firsts)]
        place = _places(self.whose[firsts])
        found = np.full((len(self.ids), most), -1, dtype=np.int64)
        few = place < most
        found[self.whose[firsts][few], place[few]] = self.tuples[firsts][few]
        return found[people]

    @property
    def _pairs(self) -> NDArray[np.int64]:
        return self.tuples * len(self.ids) + self.whose

    def alone(self, points: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether nobody else has the first one, two, three... of some points, shape of ``points``."""
        from sfumato.evidence.attacks.unicity_kernels import alone

        tuples, members = np.divmod(np.unique(self._pairs), len(self.ids))
        starts = np.searchsorted(tuples, np.arange(int(tuples.max(initial=-1)) + 2))
        found = np.zeros(points.shape, dtype=bool)
        alone(points, starts, members, found)
        return found

    def top(self, most: int) -> NDArray[np.float64]:
        """The share of people who are alone with their most frequent tuples, by their number, shape (most,).

        Tuples that are as frequent are in a fixed order.
        """
        pairs, often = np.unique(self._pairs, return_counts=True)
        tuples, whose = np.divmod(pairs, len(self.ids))
        order = np.lexsort((tuples, -often, whose))
        place = _places(whose[order])
        few = place < most
        found = np.zeros((most, len(self.ids)), dtype=np.int64)
        found[place[few], whose[order][few]] = tuples[order][few] + 1
        classes = [combine(list(found[: n + 1])) for n in range(most)]
        sizes = [np.unique(each, return_counts=True)[1] for each in classes]
        return np.array([(each == 1).sum() / len(self.ids) for each in sizes])


def _places(whose: NDArray[np.int64]) -> NDArray[np.int64]:
    """The place of each row among those of the same person, which are together.

    >>> _places(np.array([4, 4, 7, 7, 7]))
    array([0, 1, 0, 1, 2])
    """
    starts = np.flatnonzero(np.diff(whose, prepend=-1))
    lengths = np.diff(np.append(starts, len(whose)))
    return np.arange(len(whose)) - np.repeat(starts, lengths)


def _shares(found: NDArray[np.bool_]) -> NDArray[np.float64]:
    return np.asarray(found.mean(axis=0) if len(found) else np.full(found.shape[1], np.nan), dtype=np.float64)


def _asked(comparison: Comparison, params: Unicity.Params, *, kept: bool) -> NDArray[np.int64]:
    """The people who are tried: positions in the sample of those who left, or of everybody."""
    rows = np.flatnonzero(comparison.kept) if kept else np.arange(comparison.original.height)
    return sample_rows(rows, params.people, derive(comparison.key, "unicity", "people"))


def _tried(
    histories: _Histories, comparison: Comparison, asked: NDArray[np.int64], by: NDArray[np.uint64], most: int
) -> NDArray[np.bool_]:
    assert comparison.people is not None
    people = histories.locate(comparison.people[asked])
    return histories.alone(histories.points(by, people, most))


def _random(
    comparison: Comparison,
    after: _Histories,
    before: _Histories,
    columns: Sequence[str],
    params: Unicity.Params,
    note: str,
) -> list[Finding]:
    key = derive(comparison.key, "unicity", "rows")
    asked = _asked(comparison, params, kept=True)
    found = _tried(after, comparison, asked, draws(key, after.rows), params.points)
    everybody = _asked(comparison, params, kept=False)
    earlier = _shares(_tried(before, comparison, everybody, draws(key, before.rows), params.points))
    assumes = _assumes("random rows", columns)
    findings = _each("unicity.points", "point", found, earlier, after, assumes, note)
    if not len(asked):
        return [*findings, REPORT.silent("unicity.disparity", "no-power", NO_ROWS)]
    alone = found[:, -1].astype(np.float64)
    findings += by_person(
        REPORT,
        "unicity.points",
        comparison,
        asked,
        alone,
        alone,
        disparity="unicity.disparity",
        assumes=assumes,
    )
    if not comparison.groups:
        findings.append(REPORT.silent("unicity.disparity", "not-measured", NO_GROUPS))
    return findings


def _first(
    comparison: Comparison,
    after: _Histories,
    before: _Histories,
    columns: Sequence[str],
    params: Unicity.Params,
    note: str,
) -> list[Finding]:
    order = params.order or next(iter(_dates(comparison, comparison.original.columns)), None)
    if order is None or order not in comparison.original.columns:
        return [REPORT.silent("unicity.first", "not-measured", NO_ORDER, n=len(after.ids))]
    assert comparison.histories_original is not None
    times = comparison.histories_original([order])
    numbered = times[ROW].cast(pl.UInt64).to_numpy()
    # Codes are in the order of the values; a row without one comes last.
    ranks = Classes.of(times.select(order, pl.lit(1).alias(COUNT)), [order]).codes[0].astype(np.uint64)
    by = {name: ranks[np.searchsorted(numbered, part.rows)] for name, part in
          (("after", after), ("before", before))}  # fmt: skip
    found = _tried(after, comparison, _asked(comparison, params, kept=True), by["after"], params.points)
    everybody = _asked(comparison, params, kept=False)
    earlier = _shares(_tried(before, comparison, everybody, by["before"], params.points))
    assumes = _assumes(f"the first rows, by {order},", columns)
    return _each("unicity.first", "first row", found, earlier, after, assumes, note)


def _top(comparison: Comparison, columns: Sequence[str], params: Unicity.Params, note: str) -> list[Finding]:
    dates = {*_dates(comparison, columns), params.order}
    places = [column for column in columns if column not in dates]
    if not places:
        return [REPORT.silent("unicity.top", "not-measured", NO_PLACES)]
    assert comparison.histories is not None and comparison.histories_original is not None
    after = _Histories.of(comparison.histories(places), places)
    found = after.top(params.top)
    before = _Histories.of(comparison.histories_original(places), places).top(params.top)
    targets = {f"top {n}": n for n in range(1, params.top + 1)} | {"release": params.top}
    return [
        REPORT.measured(
            "unicity.top",
            Figure.counted(float(found[n - 1])),
            len(after.ids),
            target=target,
            before=float(before[n - 1]),
            assumes=_assumes("the most frequent rows", places),
            note=note,
        )
        for target, n in targets.items()
    ]


def _dates(comparison: Comparison, columns: Sequence[str]) -> list[str]:
    """The columns that the inventory finds to be of dates."""
    types: Mapping[str, str] = {profile.name: profile.dtype for profile in comparison.inventory.columns}
    return [column for column in columns if types.get(column) in DATES]


def _assumes(what: str, columns: Sequence[str]) -> str:
    return f"an attacker who knows {what} of a person: {', '.join(columns)}"


def _each(
    metric: str,
    what: str,
    found: NDArray[np.bool_],
    before: NDArray[np.float64],
    after: _Histories,
    assumes: str,
    note: str,
) -> list[Finding]:
    """The share of people alone for each number of rows known; of the release with the most."""
    shares, most = _shares(found), found.shape[1]
    targets = {f"{n} {what}{'s' if n > 1 else ''}": n for n in range(1, most + 1)} | {"release": most}
    return [
        REPORT.measured(
            metric,
            wilson(float(shares[n - 1]), len(found)),
            len(found),
            target=target,
            before=float(before[n - 1]),
            baseline=1 / len(after.ids),
            assumes=assumes,
            note="; ".join(filter(None, [FEWER, note])),
        )
        for target, n in targets.items()
    ]
