"""Does the made log give customers away: copies of histories, membership of whole customers, the extremes.

A customer is one person with all purchases. Everything is measured beside customers who taught nothing: a
history of one purchase is made again by chance, and as often of those.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sfumato.core.keyed import derive, generator
from sfumato.core.values import Finding
from sfumato.demos.shop_log import Purchases
from sfumato.evidence.attacks.people import LEAST_PEOPLE
from sfumato.evidence.intervals import clopper_pearson, newcombe
from sfumato.evidence.report import Figure, Metric, Report
from sfumato.evidence.roc import Scored

REPORT = Report(
    "shop-privacy",
    {
        "copies.excess": Metric(
            "low",
            "difference",
            "people alone with their history that is made again, less people who taught nothing",
        ),
        "copies.close_excess": Metric(
            "low", "difference", "the same of histories but for 3 days and 5 % of each amount"
        ),
        "copies.share": Metric("low", "share", "people alone with their history that is made again"),
        "membership.auc": Metric(
            "low", "auc", "the chance that somebody taught looks more like it than others"
        ),
        "membership.tpr_at_1": Metric("low", "share", "people taught who are recognized at 1 % false alarms"),
        "extremes.beyond": Metric(
            "low", "share", "made histories longer, or with more spent at once, than ten people taught reach"
        ),
    },
)
#: Who has so many of something is not alone with it.
LEAST = 10
_DAYS, _PART = 3.0, 0.05
#: Purchases of a history that the attacker compares one by one.
_COMPARED = 8
_SCALE = {"nearest": "a made history near it", "relative": "a made history nearer than others of their kind"}


def judged_privacy(taught: Purchases, made: Purchases, held: Purchases, key: bytes) -> list[Finding]:
    """Findings; the control are people held out."""
    return [
        *_copies("copies.excess", 1e-9, taught, made, held),
        *_copies("copies.close_excess", 1.0, taught, made, held),
        *_membership(taught, made, held, key),
        _extremes(taught, made),
    ]


def _copies(metric: str, near: float, taught: Purchases, made: Purchases, held: Purchases) -> list[Finding]:
    """People alone with their history (nobody else taught is ``near``), and whom a made one repeats."""
    counts = {}
    for name, people, alike in (("taught", taught, 2), ("held", held, 1)):
        alone, again = np.zeros(people.people, dtype=bool), np.zeros(people.people, dtype=bool)
        for length in np.unique(people.lengths):
            who = np.flatnonzero(people.lengths == length)
            points = _points(people, int(length))
            # The nearest of those taught is, of somebody taught, oneself.
            alone[who] = _within(points, _points(taught, int(length)), near, alike) < alike
            again[who] = _within(points, _points(made, int(length)), near, 1) > 0
        counts[name] = int((alone & again).sum()), int(alone.sum())
    (found, n), (chance, others) = counts["taught"], counts["held"]
    assumes = "the whole history of a customer"
    if min(n, others) < LEAST_PEOPLE:
        return [
            REPORT.silent(
                metric, "no-power", "too few people are alone with their history", n=n, assumes=assumes
            )
        ]
    share, control = clopper_pearson(found, n), clopper_pearson(chance, others)
    figure = newcombe(share, control)
    told = [
        REPORT.measured(metric, figure, n, baseline=0.0, control=control.value, assumes=assumes),
    ]
    if metric == "copies.excess":
        told.append(REPORT.measured("copies.share", share, n, control=control.value, assumes=assumes))
    return told


def _points(people: Purchases, length: int) -> NDArray[np.float64]:
    """Histories of so many purchases as points: a step is 3 days, 5 % of an amount, a CD."""
    starts = people.starts[:-1][people.lengths == length]
    at = starts[:, None] + np.arange(length)
    spent = np.log(np.maximum(people.spent[at], 0.01)) / np.log1p(_PART)
    return np.concatenate([people.days[at] / _DAYS, spent, people.cds[at]], axis=1)


def _within(
    points: NDArray[np.float64], others: NDArray[np.float64], near: float, most: int
) -> NDArray[np.int64]:
    """How many others lie within ``near`` of each point in every coordinate, counted up to ``most``."""
    from scipy.spatial import cKDTree

    if not len(others) or not len(points):
        return np.zeros(len(points), dtype=np.int64)
    found, _ = cKDTree(others).query(points, k=most, p=np.inf, distance_upper_bound=near * (1 + 1e-9) + 1e-12)
    return np.asarray(np.isfinite(found.reshape(len(points), -1)).sum(axis=1), dtype=np.int64)


def _membership(taught: Purchases, made: Purchases, held: Purchases, key: bytes) -> list[Finding]:
    """Whole customers told from others by the nearest made history; the worse of two attackers."""
    draw = generator(derive(key, "membership")).permutation(held.people)
    # The second attacker knows some people who taught nothing, and for them nothing is measured.
    known, others = draw[: held.people // 3], draw[held.people // 3 :]
    points = {name: _whole(one) for name, one in (("taught", taught), ("held", held), ("made", made))}
    reference = points["held"][known]
    scores: dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]] = {}
    asked = np.concatenate([points["taught"], points["held"][others]])
    nearest = _nearest(asked, points["made"])
    apart = np.log((nearest + 1e-6) / (_nearest(asked, reference) + 1e-6))
    for name, distance in (("nearest", nearest), ("relative", apart)):
        scores[name] = -distance[: taught.people], -distance[taught.people :]
    groups = {"release": np.ones(taught.people, dtype=bool), "the longest hundredth": _top(taught.lengths)}
    groups["the largest hundredth"] = _top(taught.totals())
    other_groups = {
        "release": np.ones(len(others), dtype=bool),
        "the longest hundredth": _top(held.lengths[others]),
    }
    other_groups["the largest hundredth"] = _top(held.totals()[others])
    return [
        finding
        for target, inside in groups.items()
        for finding in _worst(scores, inside, other_groups[target], target, key)
    ]


def _worst(
    scores: dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]],
    inside: NDArray[np.bool_],
    outside: NDArray[np.bool_],
    target: str,
    key: bytes,
) -> list[Finding]:
    n = int(inside.sum())
    if min(n, int(outside.sum())) < LEAST_PEOPLE:
        return [REPORT.silent("membership.auc", "no-power", "too few people", target=target, n=n)]
    told: dict[str, tuple[Figure, Figure]] = {}
    for name, (members, others) in scores.items():
        scored = Scored(members[inside], others[outside], derive(key, name, target))
        told[name] = scored.auc(), scored.recognized(0.01)
    worst = max(told, key=lambda name: told[name][0].value)
    surest = max(told, key=lambda name: told[name][1].value if np.isfinite(told[name][1].value) else -1)
    return [
        REPORT.measured(
            "membership.auc", told[worst][0], n, target=target, baseline=0.5, assumes=_assumes(worst)
        ),
        REPORT.measured(
            "membership.tpr_at_1", told[surest][1], n, target=target, baseline=0.01, assumes=_assumes(surest)
        ),
    ]  # fmt: skip


def _assumes(attack: str) -> str:
    return f"the whole history of a customer; takes for a sign of having taught {_SCALE[attack]}"


def _top(figures: NDArray[np.int64] | NDArray[np.float64]) -> NDArray[np.bool_]:
    return np.asarray(figures >= np.quantile(figures, 0.99))


def _whole(people: Purchases) -> NDArray[np.float64]:
    """Each history as one point: how many, how much, and the first purchases one by one."""
    columns = [2 * np.log(people.lengths), np.log1p(people.totals()), people.days[people.starts[1:] - 1] / 30]
    spent = np.log1p(people.spent)
    for step in range(_COMPARED):
        there = people.lengths > step
        at = np.where(there, people.starts[:-1] + step, 0)
        columns += [np.where(there, people.days[at] / 30, 20.0), np.where(there, spent[at], 0.0)]
    return np.stack(columns, axis=1)


def _nearest(points: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    from scipy.spatial import cKDTree

    return np.asarray(cKDTree(others).query(points, k=1, p=1)[0])


def _extremes(taught: Purchases, made: Purchases) -> Finding:
    """Nobody's longest history or largest purchase shows where ten people do not reach as far."""
    largest, longest = (_reached(_most(taught), LEAST), _reached(taught.lengths, LEAST))
    beyond = (made.lengths > longest) | (_most(made) > largest)
    return REPORT.measured(
        "extremes.beyond", clopper_pearson(int(beyond.sum()), made.people), made.people, baseline=0.0,
        note="by construction none is; the figure checks it",
    )  # fmt: skip


def _reached(figures: NDArray[np.int64] | NDArray[np.float64], people: int) -> float:
    return float(np.sort(figures)[::-1][min(people, len(figures)) - 1])


def _most(people: Purchases) -> NDArray[np.float64]:
    return np.asarray(np.maximum.reduceat(people.spent, people.starts[:-1]))
