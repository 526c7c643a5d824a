"""What published aggregates tell of the small counts behind them: proven bounds for each.

Every published figure is a linear constraint on counts of people: a rounded count says between which
two numbers it lies, a mean that the values add up to so much, a table that its cells add up to its margin.
All data that satisfy every constraint could be the truth; the smallest and the largest number that a
count has among them are its bounds, found by integer programming (Dinur & Nissim, *Revealing information
while preserving privacy*, PODS 2003; Garfinkel, Abowd & Martindale, *Understanding database
reconstruction attacks on public data*, CACM 2019). A count whose bounds are equal is reconstructed.
Nothing is assumed that an attacker would not know: the bounds hold whatever the data are.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sfumato.core.disclosure import BASE, LEAST

Name = tuple[str, ...]

#: Sums of floats may be wrong by as much.
_ROUNDING = 1e-6


@dataclass(frozen=True)
class Constraint:
    """``low <= sum of weights * counts <= high``; ``weights`` maps names of counts to numbers."""

    weights: Mapping[Name, float]
    low: float
    high: float


def rounded(counts: Iterable[Name], published: float, base: int = BASE) -> Constraint:
    """That some counts add up to what is published, rounded to the nearest multiple of ``base``, halves up.

    >>> found = rounded([("a",), ("b",)], 15)
    >>> found.low, found.high
    (13.0, 17.0)
    """
    low, high = math.ceil(published - base / 2), math.ceil(published + base / 2) - 1
    return Constraint(dict.fromkeys(counts, 1.0), float(low), float(high))


def total(parts: Iterable[Name], whole: Name) -> Constraint:
    """That counts add up to another one."""
    return Constraint(dict.fromkeys(parts, 1.0) | {whole: -1.0}, 0.0, 0.0)


def mean(values: Mapping[Name, float], published: float, half: float) -> tuple[Constraint, Constraint]:
    """That the people counted have a mean of ``published``, give or take ``half`` of its last digit.

    Args:
        values: the value of the people whom each count is of.
    """
    above = {name: value - (published - half) for name, value in values.items()}
    below = {name: value - (published + half) for name, value in values.items()}
    return Constraint(above, 0.0, math.inf), Constraint(below, -math.inf, 0.0)


@dataclass(frozen=True)
class Reconstruction:
    """The bounds of each count: the truth lies between ``low`` and ``high``, both of which are possible."""

    names: tuple[Name, ...]
    low: NDArray[np.float64]
    high: NDArray[np.float64]

    @property
    def determined(self) -> float:
        """The share of counts that are known exactly."""
        return float((self.low == self.high).mean()) if self.names else math.nan

    @property
    def contradicts(self) -> bool:
        """Whether no data can be so: the constraints are of different people."""
        return bool((self.low > self.high).any())

    def of(self, name: Name) -> tuple[float, float]:
        """The bounds of one count."""
        at = self.names.index(name)
        return float(self.low[at]), float(self.high[at])

    def small(self, within: int = BASE, least: int = LEAST) -> tuple[Name, ...]:
        """The counts proven to be below ``least`` and known to be one of fewer than ``within`` numbers.

        Those that may be 0 and round to it are left out. With a ``within`` of 2 they are known exactly,
        with :data:`BASE` better than the rounding of one figure leaves them.
        """
        nothing = (self.low == 0) & (self.high <= BASE // 2)
        proven = (self.high < least) & (self.high - self.low + 1 < within) & ~nothing
        return tuple(name for name, found in zip(self.names, proven, strict=True) if found)


def tightened(constraints: Sequence[Constraint], rounds: int = 100) -> Reconstruction:
    """Bounds of every count that follow from one constraint after the other: quick, and never too narrow.

    Each count of a constraint is bounded by what the others leave it, again and again until nothing changes
    (Savelsbergh 1994, *Preprocessing and probing techniques for mixed integer programming problems*).

    >>> parts = [rounded([("a",)], 5), rounded([("b",)], 5), rounded([("a",), ("b",)], 15)]
    >>> tightened(parts).of(("a",))
    (6.0, 7.0)
    """
    problem = _Problem(tuple(constraints))
    low, high = np.zeros(len(problem.names)), np.full(len(problem.names), math.inf)
    if not problem.names:
        return Reconstruction((), low, high)
    matrix = problem.matrix.tocoo()
    rows, columns, weights = matrix.row, matrix.col, matrix.data
    ends = [np.array([getattr(found, end) for found in problem.constraints]) for end in ("low", "high")]
    for _ in range(rounds):
        before = low.copy(), high.copy()
        # That a sum is at most so much bounds each part from above by the least of the others.
        for sign, end in ((1.0, ends[1]), (-1.0, -ends[0])):
            signed = sign * weights
            least = np.where(signed > 0, low[columns], high[columns]) * signed
            endless = np.isinf(least)
            open_ends = np.bincount(rows, endless, len(end))
            sums = np.bincount(rows, np.where(endless, 0.0, least), len(end))
            told = (open_ends[rows] - endless == 0) & np.isfinite(end[rows])
            left = (end[rows] - sums[rows] + np.where(endless, 0.0, least))[told] / signed[told]
            above = signed[told] > 0
            np.minimum.at(high, columns[told][above], np.floor(left[above] + _ROUNDING))
            np.maximum.at(low, columns[told][~above], np.ceil(left[~above] - _ROUNDING))
        if (low > high).any() or ((low == before[0]).all() and (high == before[1]).all()):
            break
    return Reconstruction(problem.names, low, high)


def reconstruct(constraints: Sequence[Constraint]) -> Reconstruction:
    """The bounds of every count that constraints are about; counts are whole and not negative.

    Raises:
        ValueError: the constraints contradict each other.
    """
    return _Problem(tuple(constraints)).solved()


@dataclass(frozen=True)
class _Problem:
    constraints: tuple[Constraint, ...]

    @cached_property
    def names(self) -> tuple[Name, ...]:
        return tuple(dict.fromkeys(name for found in self.constraints for name in found.weights))

    @cached_property
    def matrix(self) -> Any:
        from scipy.sparse import csr_array

        at = {name: number for number, name in enumerate(self.names)}
        entries = [
            (row, at[name], weight)
            for row, found in enumerate(self.constraints)
            for name, weight in found.weights.items()
        ]
        rows, columns, weights = zip(*entries, strict=True)
        return csr_array((weights, (rows, columns)), shape=(len(self.constraints), len(self.names)))

    def solved(self) -> Reconstruction:
        from scipy.sparse.csgraph import connected_components

        if not self.names:
            return Reconstruction((), np.empty(0), np.empty(0))
        low = np.zeros(len(self.names))
        high = np.full(len(self.names), math.inf)
        touching = abs(self.matrix)
        parts, part = connected_components(touching.T @ touching, directed=False)
        lows = np.array([found.low for found in self.constraints])
        highs = np.array([found.high for found in self.constraints])
        rows_of = part[touching.argmax(axis=1)]
        for number in range(parts):
            columns, rows = np.flatnonzero(part == number), np.flatnonzero(rows_of == number)
            matrix = self.matrix[rows][:, columns]
            for column in range(len(columns)):
                for sign, bounds in ((1.0, low), (-1.0, high)):
                    bounds[columns[column]] = _extreme(matrix, lows[rows], highs[rows], column, sign)
        return Reconstruction(self.names, low, high)


def _extreme(
    matrix: Any, low: NDArray[np.float64], high: NDArray[np.float64], column: int, sign: float
) -> float:
    """The least value of a count (``sign`` 1), or the greatest (-1)."""
    from scipy.optimize import LinearConstraint, milp

    objective = np.zeros(matrix.shape[1])
    objective[column] = sign
    found = milp(
        objective,
        constraints=LinearConstraint(matrix, low, high),
        integrality=np.ones(len(objective)),
        options={"mip_rel_gap": 0},
    )
    if found.status == 0:
        return float(round(found.x[column]))
    # HiGHS says of a greatest value that there is none in one of two ways.
    if sign < 0 and found.status in (3, 4):
        return math.inf
    raise ValueError("no data satisfy all constraints")


#: Whom a metric's figures count: those they are about, those counted as found, and those found before.
_COUNTS: Mapping[str, tuple[str, str, str]] = {
    "fairness.suppressed": ("offered", "suppressed", ""),
    "fairness.selection": ("tested", "selected", "selected before"),
    "fairness.fnr": ("positive", "missed", "missed before"),
    "fairness.fpr": ("negative", "taken", "taken before"),
    "fairness.auc": ("tested", "", ""),
    "fairness.calibration": ("tested", "", ""),
    "risk.at_risk": ("released", "at risk", ""),
    "risk.marketer": ("released", "", ""),
}
#: Sums that hold in every group: how many times each kind of count adds up to nothing.
_IDENTITIES: Sequence[Mapping[str, float]] = (
    {"positive": 1, "negative": 1, "tested": -1},
    {"suppressed": 1, "released": 1, "offered": -1},
    {"positive": 1, "missed": -1, "taken": 1, "selected": -1},
    {"positive": 1, "missed before": -1, "taken before": 1, "selected before": -1},
)
_WHOLE = "release"
#: Between the columns, and the values, of crossed groups.
CROSS = " & "


def dossier(evidence: Mapping[str, Any], plan: Mapping[str, Any]) -> list[Constraint]:
    """What ``evidence.json`` and ``plan.json`` of a release say of counts of people, as constraints.

    A count is named by its kind and by its group: ``("tested", "race=a")``. The people that a figure is
    about are there for every metric, and those that it counts where they are whole people; that kinds of
    them add up (the tested are positive or negative) is used, and that the groups of a column do.
    """
    findings = [finding for finding in evidence["findings"] if _is_group(finding["target"])]
    found = [constraint for finding in findings for constraint in _figures(finding)]
    found += _wholes(plan)
    known = {name for constraint in found for name in constraint.weights}
    found += list(_identities(known))
    found += list(_margins(known))
    return found


def _is_group(target: str) -> bool:
    return target == _WHOLE or "=" in target


def _figures(finding: Mapping[str, Any]) -> Iterator[Constraint]:
    """The people that a finding is about, and those that its shares count."""
    metric, group, n = finding["metric"], finding["target"], finding["n"]
    about, *counts = _COUNTS.get(metric, (f"{metric} n", "", ""))
    people = (about, group)
    # A figure about few people is withheld with their number; nothing else is about nobody.
    withheld = finding["value"] is None and (finding["status"] == "measured" or n == 0)
    # Withheld: it may be about few, or stand beside one that is.
    yield Constraint({people: 1.0}, 0.0, math.inf) if withheld else rounded([people], n)
    for kind, share in zip(counts, (finding["value"], finding["before"]), strict=True):
        if not kind:
            continue
        found = (kind, group)
        yield Constraint({people: 1.0, found: -1.0}, 0.0, math.inf)
        if share is not None and share < 1:
            yield rounded([found], round(share * n))
        elif share is not None:
            yield Constraint({found: 1.0}, n - BASE // 2, math.inf)


def counted_by(metric: str, group: str) -> set[Name]:
    """The counts that a figure of a group tells of."""
    kinds = _COUNTS.get(metric, (f"{metric} n", "", ""))
    return {(kind, group) for kind in kinds if kind}


def _wholes(plan: Mapping[str, Any]) -> Iterator[Constraint]:
    if plan["holdout_rows"]:
        yield rounded([("tested", _WHOLE)], plan["holdout_rows"])
    anonymity = plan.get("anonymity") or {}
    for kind, name in (("offered", "rows"), ("suppressed", "suppressed_rows")):
        if anonymity.get(name) is not None:
            yield rounded([(kind, _WHOLE)], anonymity[name])


def _identities(known: set[Name]) -> Iterator[Constraint]:
    groups = dict.fromkeys(name[1] for name in sorted(known))
    for group in groups:
        for identity in _IDENTITIES:
            if any((kind, group) in known for kind in identity):
                yield Constraint({(kind, group): weight for kind, weight in identity.items()}, 0.0, 0.0)


def _margins(known: set[Name]) -> Iterator[Constraint]:
    """The groups of a column add up to everybody, those of crossed columns to the groups of each."""
    tables: dict[tuple[str, str], list[Name]] = {}
    for kind, group in sorted(known):
        column, equals, _ = group.partition("=")
        if equals:
            tables.setdefault((kind, column), []).append((kind, group))
    for (kind, column), groups in tables.items():
        if (kind, _WHOLE) in known:
            yield total(groups, (kind, _WHOLE))
        yield from _crossed(kind, column, groups, known)


def _crossed(kind: str, column: str, groups: Sequence[Name], known: set[Name]) -> Iterator[Constraint]:
    """What the groups of crossed columns add up to; those pooled may be of any group."""
    columns = column.split(CROSS)
    names = [group.partition("=")[2].split(CROSS) for _, group in groups]
    pooled = any(len(parts) < len(columns) for parts in names)
    # A name that has the sign in it cannot be told from two.
    if len(columns) < 2 or any(len(parts) > len(columns) for parts in names):
        return
    for place, single in enumerate(columns):
        cells: dict[Name, list[Name]] = {}
        for group, parts in zip(groups, names, strict=True):
            if len(parts) == len(columns):
                cells.setdefault((kind, f"{single}={parts[place]}"), []).append(group)
        for whole, inside in cells.items():
            if whole in known:
                yield Constraint(
                    dict.fromkeys(inside, 1.0) | {whole: -1.0}, -math.inf if pooled else 0.0, 0.0
                )
