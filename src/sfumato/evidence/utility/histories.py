"""How histories go: their lengths, gaps, items and amounts, what follows what, and what comes again.

All people and all made ones are looked at, or a keyed sample of either. Each figure is of counts by person,
so that intervals can resample people: a history is one draw, however many events it has.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field

from sfumato import contracts
from sfumato.contracts import PERSON, Comparison, Logs
from sfumato.core.keyed import derive, generator
from sfumato.core.values import Finding
from sfumato.evidence.histories import ticks, unordered
from sfumato.evidence.report import Figure, Metric, Report, design_note
from sfumato.evidence.utility.counts import (
    Counts,
    Measured,
    cuts,
    finding,
    kolmogorov,
    means_apart,
    variation,
)

REPORT = Report(
    "histories",
    {
        "histories.length_ks": Metric(
            "low", "distance", "largest difference of the cumulative shares of how many events people have"
        ),
        "histories.mean_length": Metric(
            "low", "difference", "how far the mean number of events is off, as a share of it"
        ),
        "histories.gap_ks": Metric(
            "low", "distance", "largest difference of the cumulative shares of the time between two events"
        ),
        "histories.amount_ks": Metric(
            "low", "distance", "the same of an event's amount; of the release, of the amount farthest off"
        ),
        "histories.transitions_tv": Metric(
            "low", "distance", "total variation distance of which item follows which; the one farthest off"
        ),
        "histories.repeats": Metric(
            "low", "difference", "how far the share of events is off whose item the person had before"
        ),
        "histories.unordered": Metric(
            "low", "share", "made people whose rows as written go back in time"
        ),
    },
)  # fmt: skip

NO_LOGS = "the release has no histories"
NO_AMOUNTS = "no column is of amounts"
NO_ITEMS = "no column is of items or amounts"
NOBODY = "nobody has two events"
#: Items that are told apart; all others are one.
ITEMS, DECILES = 20, 10


@dataclass(frozen=True)
class _Events:
    """A log as numbers: events by person and time, with the number of each one's person from 0."""

    of: NDArray[np.int64]
    table: pl.DataFrame
    at: NDArray[np.float64]

    @classmethod
    def of_log(cls, log: pl.DataFrame, logs: Logs, most: int, key: bytes) -> _Events:
        """The events of a keyed sample of people."""
        people = log[PERSON].unique().sort()
        if len(people) > most:
            chosen = people.gather(generator(key).permutation(len(people))[:most])
            log = log.filter(pl.col(PERSON).is_in(chosen.implode()))
        log = log.with_columns(ticks(log, logs.time).alias("__sfumato_ticks__"))
        log = log.sort(PERSON, "__sfumato_ticks__", maintain_order=True)
        of = log[PERSON].rank("dense").cast(pl.Int64).to_numpy() - 1
        return cls(of, log, log["__sfumato_ticks__"].to_numpy())

    @property
    def people(self) -> int:
        return int(self.of.max(initial=-1)) + 1

    @property
    def later(self) -> NDArray[np.int64]:
        """The events that are not a person's first."""
        return np.flatnonzero(np.diff(self.of, prepend=-1) == 0)

    def counted(self, codes: NDArray[np.int64], events: NDArray[np.int64], width: int) -> Counts:
        """How many of some events of each person have each code."""
        flat = np.bincount(self.of[events] * width + codes, minlength=self.people * width)
        return flat.reshape(self.people, width).astype(np.float64)


class Histories:
    """Lengths, gaps, amounts, transitions and repeats of made histories beside those of the people.

    Transitions and repeats are of items; where there are none, transitions are between the tenths of the
    first amount. Numbers are compared in 200 stretches. Intervals resample people (95 %, normal, the standard
    error by the bootstrap); what people held out would have stands beside as control.
    """

    summary: ClassVar[str] = (
        "how made histories go: lengths, gaps, amounts, what follows what, repeats, order"
    )
    metrics = REPORT.metrics
    units = REPORT.units
    rowwise: ClassVar[frozenset[str]] = frozenset()
    has_floor: ClassVar[bool] = True

    class Params(contracts.Params):
        """``people`` is the most of either side that are looked at."""

        people: Annotated[int, Field(ge=100, le=200_000)] = 20_000
        resamples: Annotated[int, Field(ge=50, le=1_000)] = 100

    def run(self, comparison: Comparison, params: Histories.Params) -> list[Finding]:
        """A finding for each figure, and of those that several columns have one for each column."""
        logs = comparison.logs
        if logs is None or not logs.taught.height or not logs.made.height:
            return [REPORT.silent(metric, "not-measured", NO_LOGS) for metric in REPORT.table]
        key = derive(comparison.key, "histories")
        taught, made = (
            _Events.of_log(log, logs, params.people, derive(key, name))
            for name, log in (("taught", logs.taught), ("made", logs.made))
        )
        findings = [
            finding(
                REPORT,
                one,
                params.resamples,
                derive(key, one.metric, one.target),
                NOBODY,
                design_note(comparison),
            )
            for one in (*_lengths(taught, made), *_columns(taught, made, logs))
        ]
        back = Figure.counted(unordered(logs.made, logs.time))
        return [
            *findings,
            *_worst(findings),
            REPORT.measured("histories.unordered", back, logs.made[PERSON].n_unique(), note="all made ones"),
        ]


def _lengths(taught: _Events, made: _Events) -> Iterator[Measured]:
    both = tuple(np.bincount(log.of) for log in (taught, made))
    ends = cuts(*(part.astype(np.float64) for part in both))
    one = tuple(np.eye(len(ends) + 1)[np.searchsorted(ends, part)] for part in both)
    people = (taught.people, made.people)
    yield Measured("histories.length_ks", "release", people, [(one[0], one[1])], kolmogorov)
    sums = tuple(part.astype(np.float64)[:, None] for part in both)
    yield Measured("histories.mean_length", "release", people, [(sums[0], sums[1])], means_apart)
    gaps = [log.at[log.later] - log.at[log.later - 1] for log in (taught, made)]
    yield _of_numbers("histories.gap_ks", "release", (taught, made), gaps, [taught.later, made.later])


def _columns(taught: _Events, made: _Events, logs: Logs) -> Iterator[Measured]:
    both, people = (taught, made), (taught.people, made.people)
    for name in logs.amounts:
        values = [log.table[name].cast(pl.Float64).fill_null(math.nan).to_numpy() for log in both]
        known = [np.flatnonzero(~np.isnan(part)) for part in values]
        kept = [part[at] for part, at in zip(values, known, strict=True)]
        yield _of_numbers("histories.amount_ks", name, both, kept, known)
    for name in logs.items or logs.amounts[:1]:
        codes, width = _coded(taught, made, name, amounts=not logs.items)
        pairs = []
        for log, part in zip(both, codes, strict=True):
            pairs.append(log.counted(part[log.later - 1] * width + part[log.later], log.later, width**2))
        yield Measured("histories.transitions_tv", name, people, [(pairs[0], pairs[1])], variation)
        if logs.items:
            again = [log.counted(_again(log, name), log.later, 2) for log in both]
            yield Measured("histories.repeats", name, people, [(again[0], again[1])], variation)


def _of_numbers(
    metric: str,
    target: str,
    both: tuple[_Events, _Events],
    values: Sequence[NDArray[np.float64]],
    events: Sequence[NDArray[np.int64]],
) -> Measured:
    ends = cuts(*values)
    taught, made = (
        log.counted(np.searchsorted(ends, part), at, len(ends) + 1)
        for log, part, at in zip(both, values, events, strict=True)
    )
    return Measured(metric, target, (both[0].people, both[1].people), [(taught, made)], kolmogorov)


def _coded(
    taught: _Events, made: _Events, name: str, *, amounts: bool
) -> tuple[list[NDArray[np.int64]], int]:
    """Each event's item by number, the most frequent of those who taught apart; or the tenth of an amount."""
    if amounts:
        values = [
            log.table[name].cast(pl.Float64).fill_null(0).fill_nan(0).to_numpy() for log in (taught, made)
        ]
        ends = np.unique(np.quantile(values[0], np.arange(1, DECILES) / DECILES))
        return [np.searchsorted(ends, part) for part in values], len(ends) + 1
    texts = [log.table[name].cast(pl.String) for log in (taught, made)]
    counts = texts[0].alias("item").to_frame().group_by("item").len()
    top = counts.sort(["len", "item"], descending=[True, False])["item"].head(ITEMS)
    codes = [
        pl.DataFrame({"item": text})
        .join(
            top.to_frame().with_row_index("code"),
            on="item",
            how="left",
            nulls_equal=True,
            maintain_order="left",
        )["code"]
        .cast(pl.Int64)
        .fill_null(len(top))
        .to_numpy()
        for text in texts
    ]
    return codes, len(top) + 1


def _again(log: _Events, name: str) -> NDArray[np.int64]:
    """Of each event that is not a person's first whether they had its item before."""
    seen = pl.DataFrame({"of": log.of, "item": log.table[name]})
    before = seen.select(pl.int_range(pl.len()).over("of", "item") > 0).to_series().to_numpy()
    return np.asarray(before[log.later], dtype=np.int64)


def _worst(findings: Sequence[Finding]) -> Iterator[Finding]:
    """The column farthest off of each figure that columns have, as the release's."""
    for metric, nothing in (
        ("histories.amount_ks", NO_AMOUNTS),
        ("histories.transitions_tv", NO_ITEMS),
        ("histories.repeats", NO_ITEMS),
    ):
        found = [finding for finding in findings if finding.metric == metric]
        if not found:
            yield REPORT.silent(metric, "not-measured", nothing)
            continue
        worst = max(found, key=lambda finding: math.inf if finding.high is None else finding.high)
        yield worst.model_copy(update={"target": "release"})
