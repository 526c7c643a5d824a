"""How several tables of the same people hang together: how many rows people have, what the columns say, and
what those below have to do with the people.

All people and all made ones are looked at, or a keyed sample of either, with all their rows.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field

from sfumato import contracts
from sfumato.contracts import PERSON, Comparison, Tables
from sfumato.core.keyed import derive, generator
from sfumato.core.values import Finding, column_of
from sfumato.evidence.features import BINS, LabelBins, NumberBins, numbers
from sfumato.evidence.report import Metric, Report, design_note
from sfumato.evidence.tables import Side, below, columns_of
from sfumato.evidence.utility.counts import Measured, cuts, finding, kolmogorov, means_apart, variation

REPORT = Report(
    "tables",
    {
        "tables.count_ks": Metric(
            "low", "distance", "largest difference of the cumulative shares of how many rows people have"
        ),
        "tables.mean_count": Metric(
            "low", "difference", "how far the mean number of rows is off, as a share of it"
        ),
        "tables.column_tv": Metric(
            "low", "distance", "total variation distance of a column over rows; the one farthest off"
        ),
        "tables.across_tv": Metric(
            "low",
            "distance",
            "the same of a column below with one of the people's, the mean over pairs",
        ),
    },
)

NO_TABLES = "the release has no tables below the people's"
NO_COLUMNS = "no table has columns that are compared"
NOBODY = "nobody has a row of the table on one of the sides"
#: In so many parts columns are compared in pairs; at most so many pairs of a table, drawn by key.
DECILES, PAIRS = 10, 100


@dataclass(frozen=True)
class _People:
    """A keyed sample of people with their rows: whose each row is, from 0, by table."""

    tables: Side
    of: dict[str, NDArray[np.int64]]
    people: int

    @classmethod
    def drawn(cls, side: Side, people: str, most: int, key: bytes) -> _People:
        persons = side[people][PERSON].sort()
        if len(persons) > most:
            persons = persons.gather(np.sort(generator(key).permutation(len(persons))[:most]))
        number = persons.to_frame().with_row_index("__sfumato_of__")
        rows = {name: table.join(number, on=PERSON, maintain_order="left") for name, table in side.items()}
        of = {name: table["__sfumato_of__"].cast(pl.Int64).to_numpy() for name, table in rows.items()}
        return cls(rows, of, len(persons))

    def counts(self, table: str) -> NDArray[np.int64]:
        """How many rows each person has."""
        return np.bincount(self.of[table], minlength=self.people)

    def counted(self, table: str, codes: NDArray[np.int64], width: int) -> Any:
        """How many rows of each person have each code, a sparse array."""
        from scipy.sparse import csr_array

        where = (self.of[table], codes)
        return csr_array((np.ones(len(codes)), where), shape=(self.people, width))


#: Those who taught, and made ones.
_Both = tuple[_People, _People]


class RelatedTables:
    """Numbers of rows, columns, and columns below with the people's own, of made people beside others.

    Targets are tables, or columns under their tables' names; the release has the worst. Columns are compared
    over rows, in 20 parts or the most frequent 20 values of those who taught, in pairs in tenths. Intervals
    resample people (95 %, normal, the standard error by the bootstrap); what people held out would have
    stands beside as control.
    """

    summary: ClassVar[str] = (
        "how tables of made people hang together: numbers of rows, columns, across tables"
    )
    metrics = REPORT.metrics
    units = REPORT.units
    rowwise: ClassVar[frozenset[str]] = frozenset()
    has_floor: ClassVar[bool] = True

    class Params(contracts.Params):
        """``people`` is the most of either side that are looked at."""

        people: Annotated[int, Field(ge=100, le=200_000)] = 20_000
        resamples: Annotated[int, Field(ge=50, le=1_000)] = 100

    def run(self, comparison: Comparison, params: RelatedTables.Params) -> list[Finding]:
        """A finding of each table or column, and the worst as the release's."""
        tables = comparison.tables
        if tables is None or not any(below(tables.taught, tables.people)) or not comparison.kept.any():
            return [REPORT.silent(metric, "not-measured", NO_TABLES) for metric in REPORT.table]
        key, note = derive(comparison.key, "tables"), design_note(comparison)
        both = tuple(
            _People.drawn(side, tables.people, params.people, derive(key, name))
            for name, side in (("taught", tables.taught), ("made", tables.made))
        )
        findings = [
            finding(REPORT, one, params.resamples, derive(key, one.metric, one.target), NOBODY, note)
            for one in _measured((both[0], both[1]), tables, key)
        ]
        return [*findings, *_worst(findings)]


def _measured(both: _Both, tables: Tables, key: bytes) -> Iterator[Measured]:
    people = both[0].people, both[1].people
    own = columns_of(tables.taught[tables.people])
    for name, table in tables.taught.items():
        is_own = name == tables.people
        for column in columns_of(table):
            target = column if is_own else column_of(name, column)
            yield Measured("tables.column_tv", target, people, _one(both, name, column), variation)
        if is_own:
            continue
        yield from _counts(both, name)
        pairs = [(above, column) for above in own for column in columns_of(table)]
        drawn = np.sort(generator(derive(key, "pairs", name)).permutation(len(pairs))[:PAIRS])
        if pairs:
            sides = _pairs(both, tables.people, name, [pairs[place] for place in drawn])
            yield Measured("tables.across_tv", name, people, sides, variation)


def _counts(both: _Both, table: str) -> Iterator[Measured]:
    counts = [side.counts(table).astype(np.float64) for side in both]
    people, ends = (both[0].people, both[1].people), cuts(*counts)
    one, other = (np.eye(len(ends) + 1)[np.searchsorted(ends, part)] for part in counts)
    yield Measured("tables.count_ks", table, people, [(one, other)], kolmogorov)
    yield Measured(
        "tables.mean_count", table, people, [(counts[0][:, None], counts[1][:, None])], means_apart
    )


def _one(both: _Both, table: str, column: str) -> Iterator[tuple[Any, Any]]:
    codes, width = _coded(both, table, column, BINS)
    one, other = (side.counted(table, part, width) for side, part in zip(both, codes, strict=True))
    yield one, other


def _pairs(
    both: _Both, people: str, table: str, pairs: Sequence[tuple[str, str]]
) -> Iterator[tuple[Any, Any]]:
    """Of each pair of columns how many rows of each person have which two codes."""
    for above, column in pairs:
        theirs, many = _coded(both, people, above, DECILES)
        codes, width = _coded(both, table, column, DECILES)
        one, other = (
            side.counted(
                table, part[np.argsort(side.of[people])][side.of[table]] * width + code, many * width
            )
            for side, part, code in zip(both, theirs, codes, strict=True)
        )
        yield one, other


def _coded(both: _Both, table: str, column: str, bins: int) -> tuple[list[NDArray[np.int64]], int]:
    """The code of each row, in the categories of those who taught, and how many codes there are."""
    values = [side.tables[table][column] for side in both]
    figures = [numbers(part) for part in values]
    if figures[0] is None or figures[1] is None:
        labels = LabelBins.fit(values[0], bins)
        return [labels.codes(part) for part in values], labels.size
    parts = NumberBins.fit(figures[0], bins)
    return [parts.codes(part) for part in figures if part is not None], parts.size


def _worst(findings: Sequence[Finding]) -> Iterator[Finding]:
    """The table or column farthest off of each figure, as the release's."""
    for metric in REPORT.table:
        found = [each for each in findings if each.metric == metric]
        if not found:
            yield REPORT.silent(metric, "not-measured", NO_COLUMNS)
            continue
        worst = max(found, key=lambda each: math.inf if each.high is None else each.high)
        yield worst.model_copy(update={"target": "release"})
