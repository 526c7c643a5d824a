"""What an attack does to single people: its success by group and for those it is surest of.

A mean over everybody hides the few who are found. Each attack says of every person attacked how far it
succeeded and how sure the attacker was, and this module makes the figures by group, for the hundredth
part that the attacker is surest of, and the largest difference between groups.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sfumato.contracts import Comparison
from sfumato.core.values import Finding
from sfumato.evidence.groups import Grouping
from sfumato.evidence.intervals import newcombe, wilson
from sfumato.evidence.report import Figure, Report

#: The target of the figure on those whom the attacker is surest of, and what part of everybody they are.
SUREST = "surest 1 %"
SUREST_SHARE = 0.01
#: Fewer people than this tell nothing of a group.
LEAST_PEOPLE = 30
FEW = f"fewer than {LEAST_PEOPLE} people of the group were attacked"
FEW_SUREST = f"fewer than {LEAST_PEOPLE} people are the surest hundredth"
ONE_GROUP = "fewer than two groups are large enough to compare"


def by_person(
    report: Report,
    metric: str,
    comparison: Comparison,
    rows: NDArray[np.int64],
    success: NDArray[np.float64],
    confidence: NDArray[np.float64],
    *,
    disparity: str,
    assumes: str = "",
) -> list[Finding]:
    """An attack's success by group, for the surest hundredth, and the largest difference between groups.

    Args:
        report: the probe's, with ``metric`` (a share) and ``disparity`` (a difference) in its table.
        comparison: whose ``groups`` are compared.
        rows: positions in ``comparison.original`` of the people attacked, shape (people,).
        success: how far the attack succeeded on each, in 0..1.
        confidence: how sure the attacker was, before knowing whether it was right; ties count in part.

    Returns:
        Findings on targets like ``white=0``, on :data:`SUREST`, and of ``disparity`` on each group column.
    """
    comparison.record(metric, rows, success)
    return [
        _surest(report, metric, success, confidence, assumes),
        *(
            finding
            for column in comparison.groups
            for finding in _groups(report, metric, disparity, comparison, column, rows, success, assumes)
        ),
    ]


def _surest(
    report: Report, metric: str, success: NDArray[np.float64], confidence: NDArray[np.float64], assumes: str
) -> Finding:
    surest = round(SUREST_SHARE * len(success))
    if surest < LEAST_PEOPLE:
        return report.silent(metric, "no-power", FEW_SUREST, target=SUREST, n=surest, assumes=assumes)
    share = surest_share(confidence, success, surest)
    return report.measured(metric, wilson(share, surest), surest, target=SUREST, assumes=assumes)


def surest_share(confidence: NDArray[np.float64], right: NDArray[np.float64], surest: int) -> float:
    """The mean of ``right`` over the ``surest`` people of greatest confidence.

    Those who tie at the edge count as far as there is room for them, so that no order of the people
    makes a difference.

    >>> surest_share(np.array([0.9, 0.5, 0.5]), np.array([1.0, 1.0, 0.0]), 2)
    0.75
    """
    edge = np.sort(confidence)[len(confidence) - surest]
    above, at = confidence > edge, confidence == edge
    room = surest - int(above.sum())
    return float((right[above].sum() + room * right[at].mean()) / surest)


def _groups(
    report: Report,
    metric: str,
    disparity: str,
    comparison: Comparison,
    column: str,
    rows: NDArray[np.int64],
    success: NDArray[np.float64],
    assumes: str,
) -> Iterator[Finding]:
    grouping = Grouping.fit(comparison.original[column])
    group = grouping.of(comparison.original[column].gather(pl.Series(rows)))
    figures: list[tuple[Figure, int]] = []
    for number, target in enumerate(grouping.targets()):
        chosen = success[group == number]
        if not len(chosen):
            continue
        if len(chosen) < LEAST_PEOPLE:
            yield report.silent(metric, "no-power", FEW, target=target, n=len(chosen), assumes=assumes)
            continue
        figure = wilson(float(chosen.mean()), len(chosen))
        figures.append((figure, len(chosen)))
        yield report.measured(metric, figure, len(chosen), target=target, assumes=assumes)
    yield _widest(report, disparity, column, figures, assumes)


def _widest(
    report: Report, disparity: str, column: str, figures: Sequence[tuple[Figure, int]], assumes: str
) -> Finding:
    """The difference between the group most and the group least found."""
    if len(figures) < 2:
        return report.silent(disparity, "no-power", ONE_GROUP, target=column, assumes=assumes)
    most = max(figures, key=lambda figure: figure[0].value)
    least = min(figures, key=lambda figure: figure[0].value)
    n = min(most[1], least[1])
    return report.measured(disparity, newcombe(most[0], least[0]), n, target=column, assumes=assumes)
