"""Answers to a user's queries on both sides of a release, each also without each group of people."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sfumato.contracts import Comparison
from sfumato.core.errors import InputError, nearest
from sfumato.core.keyed import derive, generator
from sfumato.core.values import Status
from sfumato.evidence.features import labels, numbers
from sfumato.evidence.groups import Grouping
from sfumato.evidence.utility.designs import design, raw_pair, usable
from sfumato.evidence.utility.glm import GROUPS, fit
from sfumato.evidence.utility.terms import recognised, resamples

if TYPE_CHECKING:
    from sfumato.evidence.utility.findings import Query

#: Fewer people than this on either side say nothing.
LEAST_PEOPLE = 30
FEW = f"fewer than {LEAST_PEOPLE} people that the figure could be of, on one of the sides"

#: A figure of some rows (positions, with repeats), NaN if they have none; and which rows it can be of.
Statistic = Callable[[NDArray[np.int64]], float]


class Estimate(NamedTuple):
    """A figure of everybody, and without each group of people, shape (:data:`GROUPS`,)."""

    value: float
    left_out: NDArray[np.float64]

    def error(self) -> float:
        """The standard error by the jackknife (Efron & Tibshirani 1993, ch. 11)."""
        spread = float(((self.left_out - self.left_out.mean()) ** 2).sum())
        return math.sqrt((GROUPS - 1) / GROUPS * spread)


class Answer(NamedTuple):
    """One figure on the original, on the release and on a resample of the original."""

    target: str
    before: Estimate
    after: Estimate
    drawn: Estimate
    n: int
    note: str


class Unanswered(NamedTuple):
    """Why there is no figure."""

    target: str
    status: Status
    note: str
    n: int


class _Side(NamedTuple):
    """A figure on one side: of rows, and which people have what it takes, shape (people,)."""

    of: Statistic
    people: NDArray[np.bool_]


def answers(comparison: Comparison, query: Query) -> Iterator[Answer | Unanswered]:
    """The answers to a query: one, or one for each group if it asks for groups.

    Raises:
        InputError: ``policy-mismatch``.
    """
    columns = _columns(comparison, query)
    gone = [column for column in columns if column not in comparison.released.columns]
    if gone or not comparison.kept.any():
        note = f'the column "{gone[0]}" does not leave' if gone else "the release has no rows"
        yield Unanswered(query.name, "not-measured", note, 0)
        return
    described = comparison.describe(comparison.original)
    if query.coefficient is not None:
        yield _coefficient(comparison, described, query)
    elif query.correlation is not None:
        yield _answer(comparison, query.name, *_correlation(comparison, described, query.correlation))
    else:
        yield from _of_groups(comparison, described, query)


def _columns(comparison: Comparison, query: Query) -> list[str]:
    """The columns that a query names, all of them the original's."""
    named = [query.share, query.mean, query.median, *(query.correlation or ()), query.coefficient, query.of]
    columns = [column for column in (*named, *query.on, query.by) if column is not None]
    for column in columns:
        if column not in comparison.original.columns:
            raise InputError(
                "policy-mismatch",
                f'the query "{query.name}" names a column "{column}" that the data lack',
                remedy=nearest(column, comparison.original.columns),
            )
    for column in (query.mean, query.median, *(query.correlation or ()), query.coefficient):
        if column is not None and not _is_numeric(comparison.original[column]):
            raise InputError(
                "policy-mismatch",
                f'the query "{query.name}" needs numbers, and the column "{column}" has none',
                remedy="ask for the share of a value instead",
            )
    return columns


def _is_numeric(series: pl.Series) -> bool:
    return series.dtype == pl.Null or numbers(series) is not None


def _of_groups(
    comparison: Comparison, described: pl.DataFrame, query: Query
) -> Iterator[Answer | Unanswered]:
    """A share, a mean or a median of everybody, of each group, or the difference of two groups."""
    sides = _plain(comparison, described, query)
    if isinstance(sides, Unanswered):
        yield sides
        return
    if query.by is None:
        yield _answer(comparison, query.name, *sides)
        return
    if query.between is not None:
        yield _difference(comparison, described, query, sides)
        return
    grouping = Grouping.fit(comparison.original[query.by])
    before = grouping.of(comparison.original[query.by])
    after = recognised(comparison, described[query.by], query.by, before, len(grouping.names))
    for g in np.unique(before):
        inside = [
            _Side(side.of, side.people & (of == g)) for side, of in zip(sides, (before, after), strict=True)
        ]
        yield _answer(comparison, f"{query.name}: {grouping.targets()[g]}", *inside)


def _plain(comparison: Comparison, described: pl.DataFrame, query: Query) -> tuple[_Side, _Side] | Unanswered:
    if query.share is not None and query.value is not None:
        before, after = _has_value(comparison, described, query.name, query.share, query.value)
        return _mean(before), _mean(after)
    column = query.mean if query.mean is not None else query.median
    assert column is not None
    pair = raw_pair(comparison, described[column], column)
    if pair is None:
        note = f'the release has no numbers of "{column}"'
        return Unanswered(query.name, "not-measured", note, 0)
    made = _mean if query.mean is not None else _median
    return made(pair[0]), made(pair[1])


def _has_value(
    comparison: Comparison, described: pl.DataFrame, name: str, column: str, value: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Who has a value, as far as the labels say: 1 or 0, NaN where missing or not told."""
    original = labels(comparison.original[column])
    if len(original) and not (original == value).any():
        raise InputError(
            "policy-mismatch",
            f'the column "{column}" never has the value that the query "{name}" names',
            remedy="name a value of the column, as text",
        )
    groups = (original == value).fill_null(False).cast(pl.Int64).to_numpy().copy()
    groups[original.is_null().to_numpy()] = 2
    told = np.array([0.0, 1.0, np.nan, np.nan])
    return told[groups], told[recognised(comparison, described[column], column, groups, 3)]


def _mean(values: NDArray[np.float64]) -> _Side:
    return _Side(lambda rows: float(values[rows].mean()), usable(values))


def _median(values: NDArray[np.float64]) -> _Side:
    return _Side(lambda rows: float(np.median(values[rows])), usable(values))


def _correlation(
    comparison: Comparison, described: pl.DataFrame, columns: tuple[str, str]
) -> tuple[_Side, _Side]:
    """Pearson's coefficient of two columns of numbers."""
    missing = np.full(comparison.original.height, np.nan)
    pairs = [raw_pair(comparison, described[name], name) or (missing, missing) for name in columns]

    def side(x: NDArray[np.float64], y: NDArray[np.float64]) -> _Side:
        return _Side(lambda rows: _pearson(x[rows], y[rows]), usable(x) & usable(y))

    (x_before, x_after), (y_before, y_after) = pairs
    return side(x_before, y_before), side(x_after, y_after)


def _pearson(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    x, y = x - x.mean(), y - y.mean()
    with np.errstate(over="ignore", invalid="ignore"):
        size = math.sqrt(float(x @ x)) * math.sqrt(float(y @ y))
        return float(x @ y) / size if 0 < size < math.inf else math.nan


def _difference(
    comparison: Comparison, described: pl.DataFrame, query: Query, sides: tuple[_Side, _Side]
) -> Answer | Unanswered:
    """The first of two groups less the second."""
    assert query.by is not None and query.between is not None
    members = [_has_value(comparison, described, query.name, query.by, value) for value in query.between]
    made = []
    for number, side in enumerate(sides):
        first, second = (member[number] == 1 for member in members)
        made.append(_less(side, first, second))
    return _answer(comparison, query.name, *made)


def _less(side: _Side, first: NDArray[np.bool_], second: NDArray[np.bool_]) -> _Side:
    def of(rows: NDArray[np.int64]) -> float:
        parts = rows[first[rows]], rows[second[rows]]
        return side.of(parts[0]) - side.of(parts[1]) if all(map(len, parts)) else math.nan

    few = min((side.people & first).sum(), (side.people & second).sum()) < LEAST_PEOPLE
    return _Side(of, side.people & (first | second) & ~few)


def _answer(comparison: Comparison, target: str, before: _Side, after: _Side) -> Answer | Unanswered:
    leaving = after.people & comparison.kept
    n = int(min(before.people.sum(), leaving.sum()))
    if n < LEAST_PEOPLE:
        return Unanswered(target, "no-power", FEW, n)
    group = _groups(comparison)
    (drawn,) = resamples(comparison, "findings", 1)
    estimates = [
        _estimate(before.of, np.flatnonzero(before.people), group),
        _estimate(after.of, np.flatnonzero(leaving), group),
        _estimate(before.of, drawn[before.people[drawn]], group),
    ]
    return _defined(target, estimates, n)


def _defined(target: str, estimates: list[Estimate], n: int, note: str = "") -> Answer | Unanswered:
    if not all(math.isfinite(found.value) and np.isfinite(found.left_out).all() for found in estimates):
        return Unanswered(target, "no-power", "the figure is not defined on one of the sides", n)
    before, after, drawn = estimates
    return Answer(target, before, after, drawn, n, note)


def _groups(comparison: Comparison) -> NDArray[np.int64]:
    draw = generator(derive(comparison.key, "findings", "groups"))
    return np.asarray(draw.permutation(len(comparison.kept)) % GROUPS, dtype=np.int64)


def _estimate(of: Statistic, rows: NDArray[np.int64], group: NDArray[np.int64]) -> Estimate:
    parts = [rows[group[rows] != g] for g in range(GROUPS)]
    if not len(rows) or not all(map(len, parts)):
        return Estimate(math.nan, np.full(GROUPS, math.nan))
    with np.errstate(over="ignore", invalid="ignore"):
        return Estimate(of(rows), np.array([of(part) for part in parts]))


def _coefficient(comparison: Comparison, described: pl.DataFrame, query: Query) -> Answer | Unanswered:
    """The coefficient of a column for one unit of it, of a linear or logistic model."""
    assert query.coefficient is not None and query.of is not None
    on = list(dict.fromkeys((query.coefficient, *(name for name in query.on if name != query.of))))
    found = design(comparison, described, on)
    places = [place for place, name in enumerate(found.columns) if name == query.coefficient]
    truth = _truth(comparison, described, query.name, query.of)
    if isinstance(truth, Unanswered):
        return truth
    if len(places) != 1:
        return Unanswered(query.name, "no-power", "the column is the same for everybody, or not numbers", 0)
    before, after, logistic = truth
    known, leaving = ~np.isnan(before), ~np.isnan(after) & comparison.kept
    n = int(min(known.sum(), leaving.sum()))
    if n < max(LEAST_PEOPLE, 2 * GROUPS, 2 * len(found.columns)):
        return Unanswered(query.name, "no-power", FEW, n)
    (drawn,) = resamples(comparison, "findings", 1)
    group = _groups(comparison)
    estimates = []
    for matrix, target, rows in (
        (found.before, before, np.flatnonzero(known)),
        (found.after, after, np.flatnonzero(leaving)),
        (found.before, before, drawn[known[drawn]]),
    ):
        model = fit(matrix[rows], target[rows], group[rows], logistic)
        values = model.coefficients[:, places[0]] / found.scales[places[0]]
        estimates.append(Estimate(float(values[0]), values[1:]))
    kind = "logistic" if logistic else "linear"
    return _defined(query.name, estimates, n, f"{kind} model on {', '.join(on)}")


def _truth(
    comparison: Comparison, described: pl.DataFrame, name: str, column: str
) -> tuple[NDArray[np.float64], NDArray[np.float64], bool] | Unanswered:
    """What is modelled: the greater of two values, or a number."""
    values = comparison.original[column].drop_nulls().unique().sort()
    if len(values) == 2:
        (greater,) = labels(values[1:])
        before, after = _has_value(comparison, described, name, column, greater)
        return before, after, True
    pair = raw_pair(comparison, described[column], column)
    if pair is None:
        return Unanswered(name, "not-measured", f'"{column}" is neither of two values nor of numbers', 0)
    before, after = (np.where(usable(side), side, np.nan) for side in pair)
    return before, after, False
