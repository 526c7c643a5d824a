"""Relations: rows below made people that are a person's own, whatever else is said of the made ones.

A made person who has somebody's purchases and another's age and school is no copy of anybody, and the
purchases are still that person's. So rows are looked for table by table, without the people's own columns:
one by one, all of a person's together, and these but for trifles. As for copies only what is somebody's own
counts and what chance would hardly repeat, and it is held against people who taught nothing
(:mod:`sfumato.evidence.attacks.repeats`). Where rows are so common that nobody's could be told, nobody is
found, and the note says of how many people rows could have been.

Beside it stands what the most and largest rows give away: a made person who goes beyond what ten people reach
tells of somebody that nobody else is like.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar

import numpy as np
import polars as pl
from pydantic import Field

from sfumato import contracts
from sfumato.contracts import PERSON, Comparison, Tables
from sfumato.core.keyed import derive
from sfumato.core.values import Finding, column_of
from sfumato.evidence.attacks.controls import NO_EVIDENCE, TIE, badness, overlaps, without_control
from sfumato.evidence.attacks.near_repeats import NearRepeats
from sfumato.evidence.attacks.repeats import Found, Repeats
from sfumato.evidence.attacks.retelling import REACHED
from sfumato.evidence.attacks.trifles import TRIFLE
from sfumato.evidence.columns import factual_columns
from sfumato.evidence.intervals import LEVEL, exact_difference
from sfumato.evidence.report import Figure, Metric, Report, design_note
from sfumato.evidence.tables import Side, below, columns_of, sources

REPORT = Report(
    "relations",
    {
        "relations.rows_excess": Metric(
            "low",
            "difference",
            "people more of whose rows made ones repeat than chance would, less people who taught nothing",
        ),
        "relations.whole_excess": Metric(
            "low",
            "difference",
            "people all of whose rows are a made person's, less people who taught nothing",
        ),
        "relations.close_excess": Metric(
            "low",
            "difference",
            "people all of whose rows are a made person's but for trifles, less people who taught nothing",
        ),
        "relations.close_rows_excess": Metric(
            "low",
            "difference",
            "people more of whose rows made ones repeat but for trifles than chance would, less such people",
        ),
        "relations.beyond": Metric(
            "low", "share", "made people with more rows, or larger or smaller numbers, than ten people reach"
        ),
    },
)

NO_TABLES = "the release has no tables below the people's"
#: The figures that hold people who taught against others, with what an attacker knows of somebody.
_ASSUMES = {
    "relations.rows_excess": "rows of a person in {}, in all columns",
    "relations.whole_excess": "all rows of a person in {}, two or more",
    "relations.close_excess": f"all rows of a person in {{}}, two or more, but for {TRIFLE}",
    "relations.close_rows_excess": f"rows of a person in {{}}, in all columns but for {TRIFLE}",
}
_TELLABLE = "rows of {:.0%} of people could be told from what chance would repeat; "


class Relations:
    """How many more people have rows that made ones repeat among those who taught than among others.

    Targets are the tables below the people's, ``release`` is the worst of them, with an interval that holds
    for the choice. Shares are of all people, with rows or without, ``control`` is that of people held out.
    """

    summary: ClassVar[str] = "made people with somebody's rows in tables below, whatever else is said of them"
    metrics = REPORT.metrics
    units = REPORT.units
    rowwise: ClassVar[frozenset[str]] = frozenset()

    class Params(contracts.Params):
        """``people`` is the most of either side whose single rows are looked for but for trifles."""

        people: Annotated[int, Field(ge=100, le=50_000)] = 5_000

    def run(self, comparison: Comparison, params: Relations.Params) -> list[Finding]:
        """A finding for each table, the worst of them, and the made people beyond ten others."""
        tables = comparison.tables
        if tables is None or not comparison.kept.any() or not any(below(tables.taught, tables.people)):
            return [REPORT.silent(metric, "not-measured", NO_TABLES) for metric in REPORT.table]
        taught, overlap = tables.taught[tables.people].height, overlaps(comparison)
        if overlap or not comparison.control.height:
            return [
                *(without_control(REPORT, metric, overlap, n=taught) for metric in _ASSUMES),
                _beyond(tables),
            ]
        return [*_repeated(comparison, tables, params.people), _beyond(tables)]


def _repeated(comparison: Comparison, tables: Tables, people: int) -> Iterator[Finding]:
    """Each figure of each table, and the table that does worst by it."""
    known = _known(comparison, tables)
    found: dict[str, dict[str, tuple[Found, Found]]] = {metric: {} for metric in _ASSUMES}
    for name, columns in known.items():
        repeats = Repeats.of(tables, name, columns)
        found["relations.rows_excess"][name] = repeats.by_row()
        found["relations.whole_excess"][name] = repeats.by_whole()
        close = NearRepeats.of(tables, name, columns, repeats)
        found["relations.close_excess"][name] = close.by_whole()
        found["relations.close_rows_excess"][name] = close.by_row(people, derive(comparison.key, "relations"))
    for metric, by_table in found.items():
        told = [_excess(comparison, metric, name, *both) for name, both in by_table.items()]
        yield from told
        chosen = 1 - (1 - LEVEL) / len(by_table)
        every = [_excess(comparison, metric, name, *both, chosen) for name, both in by_table.items()]
        yield max(every, key=badness).model_copy(update={"target": "release"})


def _known(comparison: Comparison, tables: Tables) -> dict[str, list[str]]:
    """The columns of each table below that say something of a person."""
    of = sources(tables.taught, tables.people)
    facts = {of.get(name) for name in factual_columns(comparison)}
    return {
        name: [column for column in columns_of(table) if column_of(name, column) in facts]
        for name, table in below(tables.taught, tables.people)
    }


def _excess(
    comparison: Comparison, metric: str, table: str, inside: Found, outside: Found, level: float = LEVEL
) -> Finding:
    figure = exact_difference(inside.hits, inside.people, outside.hits, outside.people, level)
    weak = NO_EVIDENCE.format("on people who did not teach the generator") if figure.value <= TIE else ""
    tellable = _TELLABLE.format(inside.tellable / max(1, inside.people))
    return REPORT.measured(
        metric,
        figure,
        inside.people,
        target=table,
        control=outside.hits / max(1, outside.people),
        assumes=_ASSUMES[metric].format(table),
        note=weak + tellable + design_note(comparison),
    )


def _beyond(tables: Tables) -> Finding:
    """Nobody's most rows or largest number shows where ten people do not reach as far."""
    taught, made = (_reach(side, tables.people) for side in (tables.taught, tables.made))
    far = np.zeros(made.height, dtype=bool)
    for name in taught.columns:
        reached = taught[name].drop_nulls().top_k(REACHED)
        limit = float(reached.min()) if len(reached) == REACHED else -np.inf  # type: ignore[arg-type]
        far |= (made[name] > limit).fill_null(False).to_numpy()
    return REPORT.measured(
        "relations.beyond", Figure.counted(float(far.mean())), made.height, baseline=0.0, note="all made ones"
    )


def _reach(side: Side, people: str) -> pl.DataFrame:
    """Of each person how many rows there are in each table, and the largest of each number and time and of
    its negative."""
    found = side[people].select(PERSON)
    for place, table in enumerate(side.values()):
        ordered = [name for name, kind in table.schema.items() if kind.is_numeric() or kind.is_temporal()]
        figures = {
            f"{place} {name}": pl.col(name).to_physical().cast(pl.Float64).fill_nan(None)
            for name in ordered
            if name != PERSON
        }
        reach = table.group_by(PERSON).agg(
            pl.len().cast(pl.Float64).alias(f"{place} rows"),
            *(figure.max().alias(f"most {name}") for name, figure in figures.items()),
            *((-figure).max().alias(f"least {name}") for name, figure in figures.items()),
        )
        found = found.join(reach, on=PERSON, how="left", maintain_order="left")
    return found.drop(PERSON)
