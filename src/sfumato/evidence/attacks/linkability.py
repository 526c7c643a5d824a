"""Linkability: two parties who each know half of the columns of the same people join them by the release.

The second of the three criteria of the Article 29 Working Party's Opinion 05/2014 (WP216). Of n people one
party holds one half of the columns, the other the other half. For each person the first party looks among
the n half rows of the second for the one that belongs: the one for which the release speaks most, that is
with the greatest likelihood of coming from the same released row against that of two rows. People who are
not in the release are joined as well as its general dependences allow; only what exceeds that is the
release's doing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field

from sfumato import contracts
from sfumato.contracts import COUNT, Comparison
from sfumato.core.keyed import derive, generator
from sfumato.core.values import Finding
from sfumato.evidence.attacks.controls import (
    NO_EVIDENCE,
    NO_GROUPS,
    NOBODY,
    SAMPLE_ONLY,
    TIE,
    overlaps,
    without_control,
)
from sfumato.evidence.attacks.likeness import EXACT, LIKE, Rows, Trust
from sfumato.evidence.attacks.people import by_person
from sfumato.evidence.attacks.registers import sample_rows
from sfumato.evidence.columns import factual_columns
from sfumato.evidence.intervals import newcombe, wilson
from sfumato.evidence.report import Metric, Report, design_note

REPORT = Report(
    "linkability",
    {
        "linkability.risk": Metric(
            "low",
            "share",
            "people whose two halves are joined by the release, by the worst split of the columns",
        ),
        "linkability.excess": Metric(
            "low", "difference", "that share less the share of as many people not released who are joined"
        ),
        "linkability.disparity": Metric(
            "low", "difference", "the group most often joined less the group least often"
        ),
    },
)

#: Fewer people to join make no figure.
LEAST = 20
TOO_FEW = f"fewer than {LEAST} people to join"
ONE_COLUMN = "fewer than two columns leave, so that there are no halves"
#: People and released rows on whom splits are tried, who are not among those on whom the figure rests.
TRIED = 60
TRIED_ROWS = 5_000
#: Splits drawn by chance, beside the informed ones.
DRAWN = 6
#: Distinct released rows up to which all of them are used and not those of the sample.
MOST_ROWS = 60_000
#: Pairs whose likelihoods differ by less are ties.
_SAME = 1e-4

Split = tuple[tuple[int, ...], tuple[int, ...]]


class _Joined(NamedTuple):
    """The chance that each person is joined rightly, and how sure the attacker is, shape (people,)."""

    hits: NDArray[np.float64]
    confidence: NDArray[np.float64]


@dataclass(frozen=True)
class _Sides:
    """Positions in the original and in the control: those to try splits on, and those for the figure."""

    tried: NDArray[np.int64]
    members: NDArray[np.int64]
    tried_controls: NDArray[np.int64]
    controls: NDArray[np.int64]

    @classmethod
    def of(cls, comparison: Comparison, most: int, *, control: bool) -> _Sides:
        key = derive(comparison.key, "linkability")
        members = sample_rows(np.flatnonzero(comparison.kept), most + TRIED, derive(key, "members"))
        everybody = np.arange(comparison.control.height if control else 0)
        controls = sample_rows(everybody, most + TRIED, derive(key, "controls"))
        many = min(len(members), len(controls)) if len(controls) >= 2 * LEAST else len(members)
        tried = min(TRIED, many // 2)
        size = min(most, many - tried)
        return cls(members[:tried], members[tried:][:size], controls[:tried], controls[tried:][:size])


class Linkability:
    """How many people's halves are joined by the release, beyond chance and strangers.

    The columns are split by what they tell and by chance, the attacker trusts equal values only or like
    ones too; all of that is tried on some people, and the split that joins most beyond the control is
    measured on others. Ties are shared. ``baseline`` is a half row drawn blindly, ``control`` the same
    attack on equally many people who are not in the release.
    """

    summary: ClassVar[str] = "linkability: two halves of the columns joined by the release"
    metrics = REPORT.metrics
    units = REPORT.units

    class Params(contracts.Params):
        """``people`` is the most of each side who are joined with each other."""

        people: Annotated[int, Field(ge=100, le=2_000)] = 300

    def run(self, comparison: Comparison, params: Linkability.Params) -> list[Finding]:
        """The findings of the worst split, and by group."""
        names = factual_columns(comparison)
        if not comparison.kept.any() or not names:
            return [REPORT.silent(metric, "not-measured", NOBODY) for metric in REPORT.table]
        if len(names) < 2:
            return [REPORT.silent(metric, "not-measured", ONE_COLUMN) for metric in REPORT.table]
        overlap = overlaps(comparison)
        sides = _Sides.of(comparison, params.people, control=not overlap)
        if len(sides.members) < LEAST:
            return [REPORT.silent(metric, "no-power", TOO_FEW) for metric in REPORT.table]
        described = comparison.describe(comparison.original), comparison.describe(comparison.control)
        split, trust = _worst(comparison, names, sides, *described)
        rows, words = _rows(comparison, names, described[0])
        after = _both(rows, *described, sides, split, trust)
        plain = replace(comparison, overlapping=(), covers=None, centers={})
        kept = comparison.original.filter(pl.Series(comparison.kept))
        raw = Rows.of(plain, names, kept, np.ones(kept.height, dtype=np.int64), kept)
        before = _both(raw, comparison.original, comparison.control, sides, split, trust)
        assumes = f"one party knows {_named(names, split[0])}, the other {_named(names, split[1])}"
        where = f"{trust.name}; {words}{design_note(comparison)}"
        return _findings(comparison, sides, after, before, assumes, where, overlap)


def _named(names: Sequence[str], half: Sequence[int]) -> str:
    first = ", ".join(names[j] for j in half[:8])
    return first if len(half) <= 8 else f"{first} and {len(half) - 8} more"


def _rows(comparison: Comparison, names: Sequence[str], described: pl.DataFrame) -> tuple[Rows, str]:
    """The whole release if its distinct rows are few enough, else the sample's, and words on it."""
    counted = comparison.count(list(names))
    if counted.height <= MOST_ROWS:
        counted = counted.sort(list(names), nulls_last=True)
        weights, words = counted[COUNT].cast(pl.Int64).to_numpy(), ""
    else:
        counted = comparison.released.filter(pl.Series(comparison.kept))
        weights, words = np.ones(counted.height, dtype=np.int64), SAMPLE_ONLY
    return Rows.of(comparison, names, counted, weights, described), words


def _worst(
    comparison: Comparison,
    names: Sequence[str],
    sides: _Sides,
    original: pl.DataFrame,
    control: pl.DataFrame,
) -> tuple[Split, Trust]:
    """The split and the trust that join most beyond the control, on people kept aside to try them."""
    others = np.setdiff1d(np.flatnonzero(comparison.kept), sides.tried)
    key = derive(comparison.key, "linkability", "rows")
    chosen = np.concatenate([sides.tried, sample_rows(others, TRIED_ROWS, key)])
    released = comparison.released[chosen]
    ones = np.ones(len(chosen), dtype=np.int64)
    rows = Rows.of(comparison, names, released, ones, original[chosen])
    splits = tuple(_splits(rows, derive(comparison.key, "linkability", "splits")))
    found = []
    for trust in (EXACT, LIKE):
        members = _tried(rows, original[sides.tried], splits, trust)
        strangers = _tried(rows, control[sides.tried_controls], splits, trust)
        found += [
            (more - less, split, trust) for split, more, less in zip(splits, members, strangers, strict=True)
        ]
    best = max(range(len(found)), key=lambda i: found[i][0])
    return found[best][1], found[best][2]


def _tried(rows: Rows, people: pl.DataFrame, splits: Sequence[Split], trust: Trust) -> list[float]:
    """The share of people joined by each split."""
    if not people.height:
        return [0.0] * len(splits)
    scores = rows.each_column(people, trust)
    found = []
    for split in splits:
        halves = (scores[list(half)].sum(axis=0) for half in split)
        first, second = (np.exp(half - half.max(axis=1, keepdims=True)) for half in halves)
        found.append(float(_joined(first, second, rows.weights).hits.mean()))
    return found


def _splits(rows: Rows, key: bytes) -> Iterator[Split]:
    """Columns dealt by how much they tell, the most telling one against all others, and drawn ones."""
    telling = [-float(np.log(column.shares @ column.shares)) for column in rows.columns]
    order = sorted(range(len(telling)), key=lambda j: (-telling[j], j))
    halves: list[Sequence[int]] = [
        [j for place, j in enumerate(order) if place % 4 in (0, 3)],
        order[::2],
        order[:1],
        range(len(order) // 2),
    ]
    draw = generator(key)
    halves += [draw.permutation(len(order))[: len(order) // 2].tolist() for _ in range(DRAWN)]
    seen = set()
    for half in halves:
        one = tuple(sorted(half))
        other = tuple(j for j in range(len(order)) if j not in one)
        if frozenset((one, other)) not in seen:
            seen.add(frozenset((one, other)))
            yield one, other


def _both(
    rows: Rows, original: pl.DataFrame, control: pl.DataFrame, sides: _Sides, split: Split, trust: Trust
) -> tuple[_Joined, _Joined]:
    return (
        _join(rows, original[sides.members], split, trust),
        _join(rows, control[sides.controls], split, trust),
    )


def _join(rows: Rows, people: pl.DataFrame, split: Split, trust: Trust) -> _Joined:
    """Each person's first half joined to one of the people's second halves."""
    if not people.height:
        return _Joined(np.zeros(0), np.zeros(0))
    first, second = (rows.likelihoods(people, half, trust) for half in split)
    return _joined(first, second, rows.weights)


def _joined(first: NDArray[np.float32], second: NDArray[np.float32], weights: NDArray[np.float32]) -> _Joined:
    """Joined by the likelihoods of the rows for either half, shape (people, rows) each."""
    alone = second @ weights
    # The likelihood of one row behind both halves against that of a row for each.
    ratio = ((first * weights) @ second.T).astype(np.float64) / alone
    best = ratio.max(axis=1)
    tied = ratio >= (best * (1 - _SAME))[:, None]
    hits = np.where(np.diagonal(tied), 1 / tied.sum(axis=1), 0.0)
    total = ratio.sum(axis=1)
    return _Joined(hits, np.where(total > 0, best / np.maximum(total, 1e-300), 1 / len(first)))


def _findings(
    comparison: Comparison,
    sides: _Sides,
    after: tuple[_Joined, _Joined],
    before: tuple[_Joined, _Joined],
    assumes: str,
    where: str,
    overlap: bool,
) -> list[Finding]:
    (members, strangers), many = after, len(sides.members)
    risk = wilson(float(members.hits.mean()), many)
    baseline = 1 / many
    control = float(strangers.hits.mean()) if len(strangers.hits) else None
    findings = [
        REPORT.measured(
            "linkability.risk",
            risk,
            many,
            before=float(before[0].hits.mean()),
            baseline=baseline,
            control=control,
            assumes=assumes,
            note=(NO_EVIDENCE.format("blind guessing") if risk.value <= baseline + TIE else "") + where,
        ),
        _excess(members, strangers, before, assumes, where)
        if control is not None
        else without_control(REPORT, "linkability.excess", overlap, n=many, assumes=assumes),
        *by_person(
            REPORT,
            "linkability.risk",
            comparison,
            sides.members,
            members.hits,
            members.confidence,
            disparity="linkability.disparity",
            assumes=assumes,
        ),
    ]
    if not comparison.groups:
        findings.append(REPORT.silent("linkability.disparity", "not-measured", NO_GROUPS))
    return findings


def _excess(
    members: _Joined, strangers: _Joined, before: tuple[_Joined, _Joined], assumes: str, where: str
) -> Finding:
    many = len(strangers.hits)
    control = float(strangers.hits.mean())
    figure = newcombe(wilson(float(members.hits.mean()), many), wilson(control, many))
    weak = NO_EVIDENCE.format("on people who were not released") if figure.value <= TIE else ""
    return REPORT.measured(
        "linkability.excess",
        figure,
        many,
        before=float(before[0].hits.mean() - before[1].hits.mean()),
        control=control,
        assumes=assumes,
        note=weak + where,
    )
