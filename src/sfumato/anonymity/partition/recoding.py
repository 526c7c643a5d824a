"""Local recoding of a table, fitted for one snapshot: each class of people has labels of its own.

Its state maps each tuple, with its sensitive values where the models look at them, to a class; the rows
of a tuple that is dealt to several classes are told apart by keyed rank, so that neither their order
nor their content decides. A tuple that the snapshot did not have is refused.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sfumato.anonymity.partition.problem import Assignment, Axis, Problem, cover
from sfumato.anonymity.recoding import unknown_rows
from sfumato.classes.table import TupleTable
from sfumato.hierarchies.ladder import ANY

_CLASS = "__sfumato_class__"
_UNIT = "__sfumato_unit_number__"
_TURN = "__sfumato_turn__"
_KNOWN = "__sfumato_known__"
_NINE_OF_TEN = 0.9


@dataclass(frozen=True)
class Deal:
    """How the rows of units that go to several classes are told apart.

    ``identity`` is the column of row identities, ``turns`` has each such row's identity with its class.
    """

    identity: str
    turns: pl.DataFrame


@dataclass(frozen=True)
class LocalRecoding:
    """Labels for each class, and the class of each unit; all of it as private as the data.

    ``keys`` are the columns that tell units apart: those recoded, and the table's others. ``units`` has
    them with a class number, missing where the rows are left out or dealt one by one; ``labels`` has the
    label of every recoded column for each class. ``spans`` says of the labels of free columns what they
    cover: the ``low`` and ``high`` number of each interval, or each ``value`` of a set.
    """

    columns: tuple[str, ...]
    keys: tuple[str, ...]
    units: pl.DataFrame
    labels: pl.DataFrame
    axes: Mapping[str, Axis]
    spans: Mapping[str, pl.DataFrame]
    deal: Deal | None = None

    @classmethod
    def covering(
        cls, table: TupleTable, problem: Problem, assignment: Assignment, deal: Deal | None = None
    ) -> LocalRecoding:
        """The recoding that classes make, with the tightest labels that cover each of them.

        Args:
            deal: who of the units that :func:`dealt` names goes where; needed if there are any.
        """
        labels, spans = _labels(table.columns, problem, assignment)
        return cls._of(table, problem, assignment, labels, spans, deal)

    @classmethod
    def averaging(
        cls,
        table: TupleTable,
        problem: Problem,
        assignment: Assignment,
        values: Mapping[str, pl.Series],
        deal: Deal | None = None,
    ) -> LocalRecoding:
        """The recoding that gives each class one value in every column.

        Args:
            values: for each column the value of each class, of the column's type.
            deal: as in :meth:`covering`.
        """
        numbers = pl.Series(_CLASS, np.arange(assignment.size), dtype=pl.Int64)
        labels = pl.DataFrame([numbers, *(values[name].alias(name) for name in table.columns)])
        spans = {
            name: _reach(axis, problem.positions[j], assignment, values[name])
            for j, (name, axis) in enumerate(zip(table.columns, problem.axes, strict=True))
            if axis.numbers is not None
        }
        return cls._of(table, problem, assignment, labels, spans, deal)

    @classmethod
    def _of(
        cls,
        table: TupleTable,
        problem: Problem,
        assignment: Assignment,
        labels: pl.DataFrame,
        spans: Mapping[str, pl.DataFrame],
        deal: Deal | None,
    ) -> LocalRecoding:
        whole = np.full(len(problem.units.counts), -1)
        whole[assignment.units] = assignment.classes
        whole[dealt(assignment, problem.units.counts)] = -1
        keys = (*table.columns, *table.others)
        numbers = pl.Series(_CLASS, whole)
        units = table.tuples.select(keys).with_columns(
            numbers.zip_with(numbers >= 0, pl.Series([None], dtype=pl.Int64)), pl.lit(True).alias(_KNOWN)
        )
        axes = dict(zip(table.columns, problem.axes, strict=True))
        return cls(table.columns, keys, units, labels, axes, spans, deal)

    def label(self, batch: pl.DataFrame) -> tuple[pl.DataFrame, pl.Series]:
        """The batch with the labels of its classes, and which rows have a class.

        Raises:
            InputError: ``snapshot`` for tuples that the snapshot did not have.
        """
        found = batch.select(self.keys).join(
            self.units, on=self.keys, how="left", nulls_equal=True, maintain_order="left"
        )
        if found[_KNOWN].null_count():
            raise unknown_rows(found[_KNOWN].null_count())
        classes = found[_CLASS]
        if self.deal is not None:
            turns = batch.select(self.deal.identity).join(
                self.deal.turns, on=self.deal.identity, how="left", maintain_order="left"
            )[_CLASS]
            classes = classes.zip_with(classes.is_not_null(), turns)
        labels = classes.to_frame().join(self.labels, on=_CLASS, how="left", maintain_order="left")
        return batch.with_columns(labels.select(self.columns)), classes.is_not_null()

    def mapping(self) -> pl.DataFrame:
        """Every tuple with the labels of its class.

        The labels are missing where its rows were left out, or dealt to several classes by keyed draws.
        """
        told = self.labels.rename({column: f"label of {column}" for column in self.columns})
        return self.units.drop(_KNOWN).join(told, on=_CLASS, how="left", maintain_order="left").drop(_CLASS)

    def covers(self, column: str, labels: pl.Series, values: pl.Series) -> NDArray[np.bool_]:
        """Which labels of a column cover which values, shape (labels, values).

        Values are as the column's transform leaves them, and need not be of the snapshot; a label that
        the recoding does not have covers nothing. The mean of a class covers what is as near to it as nine
        of ten people are to theirs, its most frequent value just that.
        """
        labels = labels.cast(pl.String)
        found = np.zeros((len(labels), len(values)), dtype=bool)
        found[(labels == ANY).fill_null(False).to_numpy()] = True
        found |= _pairs(labels, values.cast(pl.String))
        found |= np.outer(labels.is_null().to_numpy(), values.is_null().to_numpy())
        axis = self.axes[column]
        if not axis.free:
            kind = axis.ladder.kind
            for level in range(1, axis.ladder.height):
                assert kind is not None, "a ladder of several levels has a kind"
                found |= _pairs(labels, kind.labels(values, level))
        elif column in self.spans:
            found |= _spanned(self.spans[column], labels, values)
        return found

    def centers(self, column: str) -> dict[str, float]:
        """A number for each label of a column of numbers; the middle of what it covers."""
        axis = self.axes[column]
        if not axis.free:
            return _ladder_centers(axis)
        if axis.numbers is None or column not in self.spans:
            return {}
        spans = self.spans[column]
        return dict(zip(spans["label"], (spans["low"] + spans["high"]) / 2, strict=True))


def dealt(assignment: Assignment, counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """The units whose rows do not all go to one class, ascending."""
    pieces = np.bincount(assignment.units, minlength=len(counts))
    placed = np.bincount(assignment.units, assignment.counts, len(counts))
    return np.flatnonzero((pieces > 1) | ((pieces == 1) & (placed < counts)))


def deal(rows: pl.DataFrame, table: TupleTable, assignment: Assignment, draws: str, identity: str) -> Deal:
    """Deal the rows of units to classes in the order of their keyed draws.

    Args:
        rows: every row of the units that :func:`dealt` names (others do no harm), with the table's
            columns, the sensitive ones, the column ``identity`` and the column ``draws``.
    """
    keys = [*table.columns, *table.others]
    numbered = table.tuples.select(keys).with_row_index(_UNIT)
    ranked = (
        rows.join(numbered, on=keys, how="inner", nulls_equal=True)
        .sort(_UNIT, draws, identity)
        .with_columns(pl.int_range(pl.len()).over(_UNIT).alias(_TURN))
    )
    order = np.lexsort((assignment.classes, assignment.units))
    units, counts = assignment.units[order], assignment.counts[order]
    pieces = pl.DataFrame(
        {
            _UNIT: pl.Series(units, dtype=pl.UInt32),
            _CLASS: assignment.classes[order],
            "until": _running(units, counts),
        }
    )
    # The piece of a row is the first of its unit that ends after the row's turn.
    found = ranked.with_columns(pl.col(_TURN) + 1).join_asof(
        pieces.sort(_UNIT, "until"), left_on=_TURN, right_on="until", by=_UNIT, strategy="forward",
        check_sortedness=False,
    )  # fmt: skip
    return Deal(identity, found.select(identity, _CLASS).drop_nulls(_CLASS))


def _running(units: NDArray[np.int64], counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """The running sum of counts within each unit; equal units stand together."""
    total = np.cumsum(counts)
    first = np.concatenate([[True], units[1:] != units[:-1]]) if len(units) else np.zeros(0, dtype=bool)
    before = np.where(first, total - counts, 0)
    return total - np.maximum.accumulate(before)


def _labels(
    columns: Sequence[str], problem: Problem, assignment: Assignment
) -> tuple[pl.DataFrame, dict[str, pl.DataFrame]]:
    """The label of each class and column, and what the labels of free columns span."""
    levels = cover(problem, assignment).levels
    order = np.argsort(assignment.classes, kind="stable")
    starts = np.searchsorted(assignment.classes[order], np.arange(assignment.size))
    found, spans = {}, {}
    for j, (column, axis) in enumerate(zip(columns, problem.axes, strict=True)):
        at = problem.positions[j, assignment.units[order]]
        if not axis.free:
            found[column] = _ladder_labels(axis, levels[j], at[starts])
        elif axis.numbers is not None:
            found[column], spans[column] = _interval_labels(axis, at, starts)
        else:
            found[column], spans[column] = _set_labels(axis, at, starts)
    numbers = pl.Series(_CLASS, np.arange(assignment.size), dtype=pl.Int64)
    return pl.DataFrame([numbers, *(labels.alias(name) for name, labels in found.items())]), spans


def _ladder_labels(axis: Axis, levels: NDArray[np.int64], at: NDArray[np.int64]) -> pl.Series:
    """The label at each class's level; a column that no class coarsens stays of its type."""
    ladder = axis.ladder
    if not levels.any():
        return ladder.values[at]
    texts = [ladder.values.cast(pl.String), *(labels.cast(pl.String) for labels in ladder.labels[1:])]
    texts.append(pl.Series([ANY]).new_from_index(0, len(ladder.values)))
    table = pl.concat([text.alias("label") for text in texts])
    return table[levels * len(ladder.values) + at]


def _interval_labels(
    axis: Axis, at: NDArray[np.int64], starts: NDArray[np.int64]
) -> tuple[pl.Series, pl.DataFrame]:
    assert axis.numbers is not None
    values, numbers = axis.ladder.values, axis.numbers
    rank = np.empty(len(numbers), dtype=np.int64)
    rank[np.argsort(numbers, kind="stable")] = np.arange(len(numbers))
    by_rank = np.argsort(numbers, kind="stable")
    # NaN, the missing value, has the last rank.
    low, high = np.minimum.reduceat(rank[at], starts), np.maximum.reduceat(rank[at], starts)
    low_at, high_at = by_rank[low], by_rank[high]
    if (low == high).all():
        return values[low_at], _spans([], [], [])
    texts, whole = values.cast(pl.String).to_list(), values.dtype.is_integer() and not (numbers < 0).any()
    mixed = np.isnan(numbers[high_at]) & ~np.isnan(numbers[low_at])
    labels = [
        ANY if lost else _interval(texts[a], texts[b], whole)
        for a, b, lost in zip(low_at, high_at, mixed, strict=True)
    ]
    known = ~np.isnan(numbers[high_at])
    names = [label for label, sure in zip(labels, known, strict=True) if sure]
    return pl.Series(labels, dtype=pl.String), _spans(names, numbers[low_at][known], numbers[high_at][known])


def _interval(low: str | None, high: str | None, whole: bool) -> str | None:
    if low == high:
        return low
    return f"{low}-{high}" if whole else f"[{low}, {high}]"


def _spans(
    labels: Sequence[str | None],
    low: NDArray[np.float64] | list[float],
    high: NDArray[np.float64] | list[float],
) -> pl.DataFrame:
    schema = {"label": pl.String, "low": pl.Float64, "high": pl.Float64}
    frame = pl.DataFrame({"label": labels, "low": low, "high": high}, schema=schema)
    return frame.unique(maintain_order=True)


def _set_labels(
    axis: Axis, at: NDArray[np.int64], starts: NDArray[np.int64]
) -> tuple[pl.Series, pl.DataFrame]:
    values = axis.ladder.values
    order = values.arg_sort(nulls_last=True)
    rank = np.empty(len(values), dtype=np.int64)
    rank[order.to_numpy()] = np.arange(len(values))
    members = [np.unique(part) for part in np.split(rank[at], starts[1:])]
    if all(len(part) == 1 for part in members):
        return values[order.to_numpy()[np.concatenate(members)]], pl.DataFrame(
            schema={"label": pl.String, "value": pl.String}
        )
    texts = values.cast(pl.String)[order.to_numpy()].to_list()
    named: dict[tuple[int, ...], str | None] = {}
    for part in members:
        key = tuple(part)
        if key not in named:
            named[key] = _set([texts[i] for i in part], len(values))
    labels = pl.Series([named[tuple(part)] for part in members], dtype=pl.String)
    pairs = [(label, texts[i]) for key, label in named.items() for i in key]
    spans = pl.DataFrame(pairs, schema={"label": pl.String, "value": pl.String}, orient="row")
    return labels, spans


def _reach(
    axis: Axis, positions: NDArray[np.int64], assignment: Assignment, values: pl.Series
) -> pl.DataFrame:
    """What a mean may stand for: the numbers within the distance that nine of ten people are from theirs."""
    assert axis.numbers is not None
    physical = values.to_physical() if values.dtype.is_temporal() else values
    means = physical.cast(pl.Float64).fill_null(float("nan")).to_numpy()
    away = np.abs(axis.numbers[positions[assignment.units]] - means[assignment.classes])
    known = ~np.isnan(away)
    order = np.argsort(away[known], kind="stable")
    running = np.cumsum(assignment.counts[known][order])
    reach = 0.0
    if len(running):
        reach = float(away[known][order][np.searchsorted(running, _NINE_OF_TEN * running[-1])])
    told = values.is_not_null().to_numpy()
    return _spans(values.cast(pl.String).filter(told).to_list(), means[told] - reach, means[told] + reach)


def _set(texts: Sequence[str | None], of: int) -> str | None:
    """``{a, b}``; all values there are, say nothing; one is itself."""
    if len(texts) == 1:
        return texts[0]
    return ANY if len(texts) == of else "{" + ", ".join("missing" if t is None else t for t in texts) + "}"


def _ladder_centers(axis: Axis) -> dict[str, float]:
    """Numbers for the labels of every level, if the values are numbers."""
    ladder = axis.ladder
    if axis.numbers is None:
        return {}
    texts = ladder.values.cast(pl.String)
    found = {
        text: float(number) for text, number in zip(texts, axis.numbers, strict=True) if text is not None
    }
    for level in range(1, ladder.height):
        centers = None if ladder.kind is None else ladder.kind.centers(ladder.values, level)
        if centers is not None:
            pairs = zip(ladder.labels[level], centers, strict=True)
            found |= {label: number for label, number in pairs if label is not None and number is not None}
    return found


def _pairs(labels: pl.Series, texts: pl.Series) -> NDArray[np.bool_]:
    """Which labels equal which texts, shape (labels, texts); a missing one equals nothing here."""
    both = pl.concat([labels.cast(pl.String).alias("text"), texts.cast(pl.String).alias("text")])
    codes = both.rank("dense").fill_null(0).cast(pl.Int64).to_numpy()
    left, right = codes[: len(labels)], codes[len(labels) :]
    equal: NDArray[np.bool_] = (left[:, None] == right[None, :]) & (left[:, None] > 0)
    return equal


def _spanned(spans: pl.DataFrame, labels: pl.Series, values: pl.Series) -> NDArray[np.bool_]:
    """What the intervals or sets of labels cover."""
    if "low" in spans.columns:
        bounds = labels.alias("label").to_frame().join(spans, on="label", how="left", maintain_order="left")
        numbers = _as_numbers(values)
        low, high = (bounds[name].fill_null(float("nan")).to_numpy()[:, None] for name in ("low", "high"))
        with np.errstate(invalid="ignore"):
            return np.asarray((low <= numbers) & (numbers <= high), dtype=bool)
    found = np.zeros((len(labels), len(values)), dtype=bool)
    texts = values.cast(pl.String).alias("value").to_frame().with_row_index("column")
    named = labels.alias("label").to_frame().with_row_index("row").drop_nulls("label")
    pairs = named.join(spans, on="label").join(texts, on="value", nulls_equal=True)
    found[pairs["row"].to_numpy(), pairs["column"].to_numpy()] = True
    return found


def _as_numbers(values: pl.Series) -> NDArray[np.float64]:
    physical = values.to_physical() if values.dtype.is_temporal() else values
    return physical.cast(pl.Float64, strict=False).fill_null(float("nan")).to_numpy()
