"""The worst case: people far from everybody else, and how well the release gives them away.

A mean over people like many others says nothing of the few who are like nobody. They are those whom a
generator learns by heart first (Stadler, Oprisanu & Troncoso 2022, *Synthetic data: anonymisation groundhog
day*, USENIX Security; Meeus et al. 2023, *Achilles' heels*, arXiv 2306.10308, who choose them by the distance
to their neighbours, as is done here). They are few, so all members are searched for them, and what is found
of them is held against people as far from everybody who are not in the release.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from sfumato import contracts
from sfumato.contracts import Comparison
from sfumato.core.keyed import derive
from sfumato.core.values import Finding
from sfumato.evidence.attacks.candidates import Candidates, held
from sfumato.evidence.attacks.controls import NO_EVIDENCE, TIE
from sfumato.evidence.attacks.copies import NEARER
from sfumato.evidence.attacks.density import Held, nearer, scores
from sfumato.evidence.attacks.membership import refused, sampled
from sfumato.evidence.attacks.people import LEAST_PEOPLE
from sfumato.evidence.columns import factual_columns
from sfumato.evidence.intervals import LEVEL, exact_difference, newcombe, wilson
from sfumato.evidence.report import Figure, Metric, Report, design_note
from sfumato.evidence.roc import Scored

REPORT = Report(
    "outliers",
    {
        "outliers.excess": Metric(
            "low",
            "difference",
            "people unlike others recognized at 1 % false alarms, less such people outside taken for members",
        ),
        "outliers.auc": Metric(
            "low", "auc", "the chance that such a member's score is greater than such a stranger's"
        ),
        "outliers.near_excess": Metric(
            "low",
            "difference",
            "people unlike others to whom a row comes nearer than anybody by far, less such people outside",
        ),
    },
)

#: The hundredths of people farthest from everybody, the first of them under the name of the release.
SHARES = {"release": 0.05, "rarest 1 %": 0.01}
RATE = 0.01
MOST_SEARCHED = 20_000
OVERLAPS = "labels overlap, so nobody outside the release can be put into its terms"
FEW_OUTLIERS = f"fewer than {LEAST_PEOPLE} people on a side are so far from everybody"


@dataclass(frozen=True)
class _Rare:
    """Candidates of whom the members are outliers, and which of all in question are, by target."""

    people: Candidates
    far: Mapping[str, tuple[NDArray[np.bool_], NDArray[np.bool_]]]


class Outliers:
    """Membership and nearness of the people farthest from everybody in a reference.

    The 5 % farthest, and the 1 %, by the distance to the nearest of the reference (half of the people held
    out) in every released column; the edge is that of the people outside. They are scored as in the
    membership attack. ``control`` is what the same finds of people outside who are as far from everybody.
    Ways are several, and the interval of the worst holds for the choice.
    """

    summary: ClassVar[str] = "people unlike all others, and who of them is in the release"
    metrics = REPORT.metrics
    units = REPORT.units
    rowwise: ClassVar[frozenset[str]] = frozenset()

    class Params(contracts.Params):
        """``people`` is the most of such members in question."""

        people: Annotated[int, Field(ge=100, le=20_000)] = 1_000

    def run(self, comparison: Comparison, params: Outliers.Params) -> list[Finding]:
        """Three findings on the 5 % and on the 1 % farthest from everybody."""
        columns = factual_columns(comparison)
        refusal = refused(comparison)
        if refusal is None and (not columns or set(columns) & set(comparison.overlapping)):
            refusal = "not-measured", OVERLAPS if columns else "no column of facts is released"
        if refusal is not None:
            return [REPORT.silent(metric, *refusal) for metric in REPORT.table]
        found, given = _attacked(comparison, columns, params.people)
        close = nearer(given.points, NEARER["copies.near_excess"])
        ways = scores(given)
        assumes = f"all of {len(columns)} columns of each person in question, and a reference"
        note = sampled(given) + design_note(comparison)
        return [
            finding.model_copy(update={"assumes": assumes, "note": _joined(finding.note, note)})
            for target in SHARES
            for finding in _findings(comparison, found, ways, close, target)
        ]


def _joined(own: str, note: str) -> str:
    return f"{own}; {note}" if own else note


def _attacked(comparison: Comparison, columns: Sequence[str], most: int) -> tuple[_Rare, Held]:
    """Outliers among the members, everybody outside, and what is held of them."""
    counted = comparison.count(columns)
    every = Candidates.of(comparison, MOST_SEARCHED)
    searched = held(comparison, columns, every, counted, comparison.describe)
    far = searched.points.to(searched.points.reference)
    split = len(every.members)
    inside, outside = far[:split], far[split:]
    edges = {target: _edge(outside, share) for target, share in SHARES.items()}
    chosen = np.flatnonzero(inside >= min(edges.values()))[:most]
    people = Candidates(every.members[chosen], every.outside, every.reference)
    found = {target: (inside[chosen] >= edge, outside >= edge) for target, edge in edges.items()}
    return _Rare(people, found), held(comparison, columns, people, counted, comparison.describe)


def _edge(far: NDArray[np.float64], share: float) -> float:
    """The distance from which on about this share of people are, and nobody who is like another."""
    return max(float(np.quantile(far, 1 - share, method="higher")), float(np.finfo(np.float32).tiny))


def _findings(
    comparison: Comparison,
    rare: _Rare,
    ways: Mapping[str, NDArray[np.float64]],
    close: NDArray[np.bool_],
    target: str,
) -> Iterator[Finding]:
    inside, outside = rare.far[target]
    n = int(inside.sum())
    if min(n, int(outside.sum())) < LEAST_PEOPLE:
        yield from (
            REPORT.silent(metric, "no-power", FEW_OUTLIERS, target=target, n=n) for metric in REPORT.table
        )
        return
    split, level = len(inside), 1 - (1 - LEVEL) / len(ways)
    excess: dict[str, tuple[Figure, float]] = {}
    areas: dict[str, Figure] = {}
    for way, found in ways.items():
        key = derive(comparison.key, "outliers", way)
        members, others = found[:split][inside], found[split:][outside]
        # The threshold is everybody's, so that few outliers outside are enough.
        ours, theirs = (Scored(part, found[split:], key).claimed(RATE).mean() for part in (members, others))
        figure = newcombe(wilson(float(ours), n, level), wilson(float(theirs), len(others), level))
        excess[way] = figure, float(theirs)
        areas[way] = Scored(members, others, key).auc(level)
    worst = max(excess, key=lambda way: excess[way][0].high)
    note = f"{worst}, the worst of {len(ways)} ways"
    figure, control = excess[worst]
    weak = NO_EVIDENCE.format("on people not in the release") if figure.value <= TIE else ""
    yield REPORT.measured(
        "outliers.excess", figure, n, target=target, baseline=0.0, control=control, note=weak + note
    )
    worst = max(areas, key=lambda way: areas[way].high)
    note = f"{worst}, the worst of {len(ways)} ways"
    yield REPORT.measured("outliers.auc", areas[worst], n, target=target, baseline=0.5, note=note)
    ours, theirs = close[:split][inside], close[split:][outside]
    figure = exact_difference(int(ours.sum()), n, int(theirs.sum()), len(theirs))
    yield REPORT.measured("outliers.near_excess", figure, n, target=target, control=float(theirs.mean()))
