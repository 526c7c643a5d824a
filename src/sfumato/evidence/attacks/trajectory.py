"""How people become findable as an attacker knows one column more, and one more.

A class risk is of one set of columns. An attacker who knows fewer finds fewer, and how fast that rises says
which column to coarsen first and how much a leak of one more would cost. The worst order is greedy: each
column is the one that puts most people into small classes with those before. Beside it stands the
mean over keyed random orders, for who knows nothing about which columns are worst.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, ClassVar

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field

from sfumato import contracts
from sfumato.classes.grouping import group
from sfumato.classes.subjects import alike
from sfumato.contracts import COUNT, PERSON, Comparison
from sfumato.core.keyed import derive, generator
from sfumato.core.values import Finding
from sfumato.evidence.attacks.matching import Classes
from sfumato.evidence.columns import attack_columns
from sfumato.evidence.report import Figure, Metric, Report

REPORT = Report(
    "trajectory",
    {
        "trajectory.unique": Metric("low", "share", "people alone in their class, in the worst order"),
        "trajectory.at_risk": Metric("low", "share", "people in classes below 5, in the worst order"),
        "trajectory.worst_class": Metric(
            "low", "probability", "1 / people in the smallest class, in the worst order"
        ),
        "trajectory.median_class": Metric(
            "low", "probability", "1 / people in the class of the median person, in the worst order"
        ),
        "trajectory.unique_random": Metric("low", "share", "people alone in their class, any columns"),
        "trajectory.at_risk_random": Metric("low", "share", "people in classes below 5, any columns"),
    },
)

NO_ROWS = "nobody's row is in the release"
NO_COLUMNS = "an attacker who knows no column takes no step"
OVERLAP = "people are told apart by their labels, which overlap: an attacker tells no more people apart"
#: Classes of fewer people are small.
SMALL = 5
#: Tuples that the random orders may look at in all, and the fewest orders.
WORK = 200_000_000
LEAST_ORDERS = 3
#: Comparing the rows of people costs as much more.
COMPARING = 20

Walk = Callable[[Sequence[str]], Iterator[NDArray[np.int64]]]


class Trajectory:
    """Class sizes when one, two, three... of the columns that an attacker may know are known.

    Targets are ``1 column``, ``2 columns`` and so on, and ``release`` for all of them. The order is found on
    the evidence's sample; class sizes are complete counts over the whole release, of people where they
    have several rows. ``before`` is the same columns on the rows that the release was made from.
    """

    summary: ClassVar[str] = "how k falls as an attacker knows more columns"
    metrics = REPORT.metrics
    units = REPORT.units
    rowwise: ClassVar[frozenset[str]] = frozenset(REPORT.table)

    class Params(contracts.Params):
        """``steps`` is the most columns one after the other, ``orders`` how many random orders."""

        steps: Annotated[int, Field(ge=1, le=50)] = 12
        orders: Annotated[int, Field(ge=LEAST_ORDERS, le=1000)] = 20

    def run(self, comparison: Comparison, params: Trajectory.Params) -> list[Finding]:
        """The findings of each step and of all columns."""
        columns = attack_columns(comparison)
        if not columns or not comparison.kept.any():
            note = NO_COLUMNS if comparison.kept.any() and comparison.released.columns else NO_ROWS
            return [REPORT.silent(metric, "not-measured", note) for metric in REPORT.table]
        after, before = _walk(comparison, columns, released=True), _walk(comparison, columns, released=False)
        note = OVERLAP if set(columns) & set(comparison.overlapping) else ""
        order = worst_order(comparison.released.filter(pl.Series(comparison.kept)), columns)
        stages = list(zip(after(order), before(order), strict=True))
        findings = _all_known(*stages[-1], columns, note)
        for step, sizes in enumerate(stages[: params.steps], start=1):
            findings += _step(*sizes, order[:step], _target(step), note)
        return findings + _random_orders(comparison, columns, params, after, before, stages[-1][0], note)


def _target(step: int) -> str:
    return "1 column" if step == 1 else f"{step} columns"


def _walk(comparison: Comparison, columns: Sequence[str], *, released: bool) -> Walk:
    """The people of each class as the columns of an order become known one after the other."""
    histories = comparison.histories if released else comparison.histories_original
    count = comparison.count if released else comparison.count_original
    if histories is not None:
        return _several_rows(histories(columns), columns, linked=comparison.alike is not None)
    table = Classes.of(count(columns), columns)
    codes = dict(zip(table.columns, table.codes, strict=True))

    def walk(order: Sequence[str]) -> Iterator[NDArray[np.int64]]:
        classes = np.zeros(len(table.sizes), dtype=np.int64)
        for column in order:
            classes, found = split(classes, codes[column], table.sizes)
            yield found[found > 0]

    return walk


def _several_rows(rows: pl.DataFrame, columns: Sequence[str], *, linked: bool) -> Walk:
    """The same of people with several rows: those with a row in a class, or alike in all of them."""
    counted = rows.group_by([PERSON, *columns]).len(COUNT)
    table = Classes.of(counted, columns)
    codes = dict(zip(table.columns, table.codes, strict=True))
    _, firsts, whose = np.unique(counted[PERSON].to_numpy(), return_index=True, return_inverse=True)

    def walk(order: Sequence[str]) -> Iterator[NDArray[np.int64]]:
        classes = np.zeros(len(whose), dtype=np.int64)
        for column in order:
            classes, _ = split(classes, codes[column], table.sizes)
            if linked:
                people = alike(classes, whose, table.sizes)[firsts]
            else:
                people = np.unique(classes * len(firsts) + whose) // max(1, len(firsts))
            yield np.unique(people, return_counts=True)[1]

    return walk


def split(
    classes: NDArray[np.int64], codes: NDArray[np.int32], counts: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Classes split by one column more: the class of each tuple, and the people of each class.

    >>> split(np.array([0, 0, 1]), np.array([0, 1, 1], dtype=np.int32), np.array([2, 3, 4]))
    (array([0, 1, 2]), array([2, 3, 4]))
    """
    return group(classes * (int(codes.max(initial=0)) + 1) + codes, counts)


def worst_order(people: pl.DataFrame, columns: Sequence[str]) -> tuple[str, ...]:
    """Columns such that each, with those before, puts most people into classes below :data:`SMALL`.

    Of equal ones that with most classes comes first, then that which is first in ``columns``.

    >>> worst_order(pl.DataFrame({"sex": [0, 0, 1, 1], "age": [1, 2, 3, 4]}), ["sex", "age"])
    ('age', 'sex')
    """
    table = Classes.of(people.group_by(list(columns)).len(COUNT), columns)
    left, order = dict(zip(table.columns, table.codes, strict=True)), []
    classes = np.zeros(len(table.sizes), dtype=np.int64)
    while left:

        def harm(column: str, known: NDArray[np.int64] = classes) -> tuple[int, int]:
            _, sizes = split(known, left[column], table.sizes)
            return int(sizes[sizes < SMALL].sum()), len(sizes)

        worst = max(left, key=harm)
        classes, _ = split(classes, left.pop(worst), table.sizes)
        order.append(worst)
    return tuple(order)


def _figures(sizes: NDArray[np.int64]) -> dict[str, float]:
    people = sizes.sum()
    ordered = np.sort(sizes)
    median = ordered[np.searchsorted(np.cumsum(ordered), people / 2)]
    return {
        "trajectory.unique": float((sizes == 1).sum() / people),
        "trajectory.at_risk": float(sizes[sizes < SMALL].sum() / people),
        "trajectory.worst_class": 1 / int(ordered[0]),
        "trajectory.median_class": 1 / int(median),
    }


def _step(
    after: NDArray[np.int64], before: NDArray[np.int64], known: Sequence[str], target: str, note: str
) -> list[Finding]:
    earlier = _figures(before)
    return [
        REPORT.measured(
            metric,
            Figure.counted(value),
            int(after.sum()),
            target=target,
            before=earlier[metric],
            assumes=f"an attacker who knows {', '.join(known)}",
            note=note,
        )
        for metric, value in _figures(after).items()
    ]


def _all_known(
    after: NDArray[np.int64], before: NDArray[np.int64], columns: Sequence[str], note: str
) -> list[Finding]:
    """All columns known, in whatever order."""
    found = _step(after, before, columns, "release", note)
    same = {
        "trajectory.unique": "trajectory.unique_random",
        "trajectory.at_risk": "trajectory.at_risk_random",
    }
    return found + [
        finding.model_copy(update={"metric": same[finding.metric]})
        for finding in found
        if finding.metric in same
    ]


def _random_orders(
    comparison: Comparison,
    columns: Sequence[str],
    params: Trajectory.Params,
    after: Walk,
    before: Walk,
    classes: NDArray[np.int64],
    note: str,
) -> list[Finding]:
    """The mean of each step over random orders of the columns, with its interval."""
    steps, people = min(params.steps, len(columns)), int(classes.sum())
    work = len(classes) * steps * (COMPARING if comparison.histories is not None else 1)
    orders = max(LEAST_ORDERS, min(params.orders, WORK // max(1, work)))
    draw = generator(derive(comparison.key, "trajectory", "orders"))
    drawn = [[columns[i] for i in draw.permutation(len(columns))[:steps]] for _ in range(orders)]
    paths, earlier = (
        [[_figures(sizes) for sizes in walk(order)] for order in drawn] for walk in (after, before)
    )
    return [
        REPORT.measured(
            f"{metric}_random",
            _mean(np.array([path[step][metric] for path in paths])),
            people,
            target=_target(step + 1),
            before=float(np.mean([path[step][metric] for path in earlier])),
            assumes=f"an attacker who knows any {_target(step + 1)} of {len(columns)}",
            note="; ".join(filter(None, [f"the mean over {orders} random orders", note])),
        )
        for step in range(steps)
        for metric in ("trajectory.unique", "trajectory.at_risk")
    ]


def _mean(values: NDArray[np.float64]) -> Figure:
    """The mean over orders with Student's interval."""
    from scipy.special import stdtrit

    mean = float(values.mean())
    half = float(stdtrit(len(values) - 1, 0.975) * values.std(ddof=1) / math.sqrt(len(values)))
    return Figure(mean, max(0.0, mean - half), min(1.0, mean + half))
