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
from sfumato.evidence.attacks.likeness import EXACT, LIKE, Cells, Rows, Trust
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
        members = sample_rows(np.flatnonzero(comparison.members), most + TRIED, derive(key, "members"))
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
    rowwise: ClassVar[frozenset[str]] = frozenset()

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
        kept = comparison.original.filter(pl.Series(comparison.members))
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
    # The rows of those who are tried are among the rows, but made rows are nobody's.
    own = sides.tried[:0] if comparison.made else sides.tried
    others = np.setdiff1d(np.flatnonzero(comparison.kept), own)
    key = derive(comparison.key, "linkability", "rows")
    chosen = np.concatenate([own, sample_rows(others, TRIED_ROWS, key)])
    released = comparison.released[chosen]
    ones = np.ones(len(chosen), dtype=np.int64)
    rows = Rows.of(comparison, names, released, ones, original[chosen])
    members = rows.cells(original[sides.tried])
    strangers = rows.cells(control[sides.tried_controls])
    key = derive(comparison.key, "linkability", "splits")
    splits = [(split, _Halves.of_rows(rows, split, (members, strangers))) for split in _splits(rows, key)]
    found: tuple[float, Split, Trust] | None = None
    for trust in (EXACT, LIKE):
        for split, halves in splits:
            beyond = _share(_join(halves, members, trust))
            # What strangers are joined by can only make it less.
            if found is None or beyond > found[0]:
                beyond -= _share(_join(halves, strangers, trust))
            if found is None or beyond > found[0]:
                found = beyond, split, trust
    assert found is not None, "columns can always be split"
    return found[1], found[2]


def _share(joined: _Joined) -> float:
    return float(joined.hits.mean()) if len(joined.hits) else 0.0


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
    members, strangers = rows.cells(original[sides.members]), rows.cells(control[sides.controls])
    halves = _Halves.of_rows(rows, split, (members, strangers))
    return _join(halves, members, trust), _join(halves, strangers, trust)


@dataclass(frozen=True)
class _Halves:
    """The distinct halves of rows, those of the side that has fewer before the others.

    ``sides`` are the columns of both, ``shown`` a row with each distinct half. The rows are in the order of
    the fewer halves: ``starts`` is where those of each begin, and the number of rows; ``of`` is the other
    half of each row, and ``weights`` how many people it stands for. ``swapped`` says that the second
    party's is the side with fewer.
    """

    sides: Split
    shown: tuple[NDArray[np.int64], NDArray[np.int64]]
    starts: NDArray[np.int64]
    of: NDArray[np.int64]
    weights: NDArray[np.float32]
    swapped: bool

    @classmethod
    def of_rows(cls, rows: Rows, split: Split, people: Sequence[Cells]) -> _Halves:
        """The halves of rows, as far as they differ for the people."""
        one, other = (rows.distinct(half, people) for half in split)
        swapped = len(other[0]) < len(one[0])
        if swapped:
            split, one, other = (split[1], split[0]), other, one
        order = np.argsort(one[1], kind="stable")
        starts = np.searchsorted(one[1][order], np.arange(len(one[0]) + 1))
        return cls(split, (one[0], other[0]), starts, other[1][order], rows.weights[order], swapped)

    def ratio(self, people: Cells, trust: Trust) -> NDArray[np.float64]:
        """The likelihood that one row is behind a first half and a second one against that of a row for
        each, up to a factor of the first half's, shape (people, people)."""
        from sfumato.evidence.attacks.likeness_kernels import carried

        fewer = np.empty((len(people), len(self.shown[0])), dtype=np.float32)
        sums = np.empty_like(fewer)
        for part, found in people.likelihoods(trust, self.sides[0], self.shown[0]):
            fewer[part] = found
        for part, found in people.likelihoods(trust, self.sides[1], self.shown[1]):
            carried(found, self.starts, self.of, self.weights, sums[part])
        if not self.swapped:
            return np.asarray((fewer @ sums.T) / sums.sum(axis=1), dtype=np.float64)
        alone = fewer @ np.add.reduceat(self.weights, self.starts[:-1])
        return np.asarray((sums @ fewer.T) / alone, dtype=np.float64)


def _join(halves: _Halves, people: Cells, trust: Trust) -> _Joined:
    """Each person's first half joined to one of the people's second halves."""
    if not len(people):
        return _Joined(np.zeros(0), np.zeros(0))
    ratio = halves.ratio(people, trust)
    best = ratio.max(axis=1)
    tied = ratio >= (best * (1 - _SAME))[:, None]
    hits = np.where(np.diagonal(tied), 1 / tied.sum(axis=1), 0.0)
    total = ratio.sum(axis=1)
    return _Joined(hits, np.where(total > 0, best / np.maximum(total, 1e-300), 1 / len(people)))


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
