"""Retelling: made histories that are a person's but for one side of them.

A history with all its dates moved by a week, or with every amount a little changed, is no copy in any column
and still the person's; so is one that goes on a little longer. So people are looked for with one side of a
history left out at a time: when it began, all times, one of the items or of the amounts, all that came after
the third event; and with a trifle changed in everything. As for copies only
people count who are alone with what is left, and whom nobody would expect, and they are held against people
who taught nothing; of a single event with a side left out nobody can say whose it is.

Beside it stands what the longest and largest histories give away: a made one that goes beyond what ten
people reach tells of somebody that nobody else is like.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sfumato import contracts
from sfumato.contracts import PERSON, Comparison, Logs
from sfumato.core.values import Finding
from sfumato.evidence.attacks.controls import NO_EVIDENCE, TIE, badness, overlaps, without_control
from sfumato.evidence.attacks.copies import Rows
from sfumato.evidence.attacks.trifles import TRIFLE, Scale, near
from sfumato.evidence.columns import factual_columns
from sfumato.evidence.histories import event_time, number_columns, of_first, sources
from sfumato.evidence.intervals import LEVEL, exact_difference
from sfumato.evidence.report import Figure, Metric, Report, design_note

REPORT = Report(
    "retelling",
    {
        "retelling.excess": Metric(
            "low",
            "difference",
            "people whose history a made one retells but for one side, less people who taught nothing",
        ),
        "retelling.close_excess": Metric(
            "low",
            "difference",
            "people whose history a made one repeats but for trifles, less people who taught nothing",
        ),
        "retelling.beyond": Metric(
            "low", "share", "made histories longer, or with larger or smaller numbers, than ten people reach"
        ),
    },
)

NO_LOGS = "the release has no histories"
NO_SIDE = "nothing is left of a history with one side of it left out"
#: What fewer people reach tells of them.
REACHED = 10
START, END = "but for when it began", "but for how it went on"
#: So many first events of a longer history are somebody's.
BEGUN = 3


class Retelling:
    """How many more people are retold by made histories among those who taught than among others.

    Targets say what is left out, ``release`` is the worst of them, with an interval that holds for the
    choice. Shares are of everybody, ``control`` is that of people held out.
    """

    summary: ClassVar[str] = "made histories that are a person's but for dates, items or amounts"
    metrics = REPORT.metrics
    units = REPORT.units
    rowwise: ClassVar[frozenset[str]] = frozenset()

    class Params(contracts.Params):
        """Nothing to set."""

    def run(self, comparison: Comparison, params: Retelling.Params) -> list[Finding]:
        """A finding for each side left out, the worst of them, and the made histories beyond ten people."""
        del params
        logs = comparison.logs
        if logs is None or not comparison.kept.any():
            return [REPORT.silent(metric, "not-measured", NO_LOGS) for metric in REPORT.table]
        columns = factual_columns(comparison)
        if overlaps(comparison) or not comparison.control.height:
            found = [
                without_control(REPORT, metric, bool(comparison.control.height), n=comparison.original.height)
                for metric in ("retelling.excess", "retelling.close_excess")
            ]
        else:
            found = [*_retold(comparison, logs, columns), _close(comparison, logs, columns)]
        return [*found, _beyond(logs)]


def sides(logs: Logs, columns: Sequence[str]) -> dict[str, list[str]]:
    """What is left of the columns of people with one side of their events left out, by what that is."""
    of = sources(logs)
    told = {START: [name for name in columns if name != event_time(logs, 1)]}
    for side in (logs.time, *logs.items, *logs.amounts):
        told[f"but for {side}"] = [name for name in columns if of[name] != side]
    begun = of_first(logs, BEGUN)
    told[END] = [name for name in columns if name in begun or name in logs.statics]
    events = {logs.time, *logs.items, *logs.amounts}
    return {words: left for words, left in told.items() if any(of[name] in events for name in left)}


def _retold(comparison: Comparison, logs: Logs, columns: Sequence[str]) -> Iterator[Finding]:
    metric, left = "retelling.excess", sides(logs, columns)
    found = []
    for words, part in left.items():
        rows = Rows.of(comparison, part)
        inside, outside = (
            hits & _long(people, logs, BEGUN if words == END else 2)
            for hits, people in zip(rows.unexpected, described(comparison), strict=True)
        )
        counts = int(inside.sum()), len(inside), int(outside.sum()), len(outside)
        worst = exact_difference(*counts, 1 - (1 - LEVEL) / len(left))
        told: dict[str, Any] = {
            "control": float(outside.mean()),
            "assumes": f"the whole history of a person {words}",
            "note": _weak(worst) + design_note(comparison),
        }
        yield REPORT.measured(metric, exact_difference(*counts), len(inside), target=words, **told)
        found.append(REPORT.measured(metric, worst, len(inside), **told))
    yield max(found, key=badness) if found else REPORT.silent(metric, "not-measured", NO_SIDE)


def described(comparison: Comparison) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Those who taught and those held out, in the release's terms."""
    return comparison.describe(comparison.original), comparison.describe(comparison.control)


def _long(people: pl.DataFrame, logs: Logs, events: int) -> NDArray[np.bool_]:
    """Who has so many events or more: a single one with a side left out is hardly anybody's."""
    return people[event_time(logs, events)].is_not_null().to_numpy()


def _weak(figure: Figure) -> str:
    return NO_EVIDENCE.format("on people who did not teach the generator") if figure.value <= TIE else ""


def _close(comparison: Comparison, logs: Logs, columns: Sequence[str]) -> Finding:
    """People to whose history no other that taught comes near, and a made one does."""
    rows = Rows.of(comparison, columns)
    scale = Scale.fit(logs, rows.taught.tuples.select(columns), (rows.made, rows.control))
    taught, made = (scale.points(part.select(columns)) for part in (rows.taught.tuples, rows.made))
    hits = []
    for people, own in ((rows.original, 1), (rows.control, 0)):
        points = scale.points(people)
        others = near(points, taught, own + 1) + np.maximum(0, rows.sharing(people) - 1)
        hits.append((others <= own) & (near(points, made, 1) > 0) & _long(people, logs, 2))
    inside, outside = hits
    figure = exact_difference(int(inside.sum()), len(inside), int(outside.sum()), len(outside))
    return REPORT.measured(
        "retelling.close_excess",
        figure,
        len(inside),
        control=float(outside.mean()),
        assumes=f"the whole history of a person but for {TRIFLE}",
        note=_weak(figure) + design_note(comparison),
    )


def _beyond(logs: Logs) -> Finding:
    """Nobody's longest history or largest amount shows where ten people do not reach as far."""
    numbers = number_columns(logs.taught, (*logs.amounts, *logs.statics))
    taught, made = (_reach(log, numbers) for log in (logs.taught, logs.made))
    far = np.zeros(made.height, dtype=bool)
    for name in made.columns:
        values, theirs = (part[name].cast(pl.Float64).fill_nan(None) for part in (made, taught))
        reached = theirs.drop_nulls().top_k(REACHED)
        limit = float(reached.min()) if len(reached) == REACHED else -np.inf  # type: ignore[arg-type]
        far |= (values > limit).fill_null(False).to_numpy()
    return REPORT.measured(
        "retelling.beyond", Figure.counted(float(far.mean())), made.height, baseline=0.0, note="all made ones"
    )


def _reach(log: pl.DataFrame, numbers: Sequence[str]) -> pl.DataFrame:
    """Of each person how long the history is, and the largest of each number and of its negative."""
    return (
        log.group_by(PERSON)
        .agg(
            pl.len().alias("longest"),
            *(pl.col(name).cast(pl.Float64).max().alias(f"most {name}") for name in numbers),
            *((-pl.col(name).cast(pl.Float64)).max().alias(f"least {name}") for name in numbers),
        )
        .drop(PERSON)
    )
