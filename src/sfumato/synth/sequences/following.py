"""What a Markov renewal model counts: codes one by one, and what follows what among groups of codes."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from sfumato.synth.sequences.chances import groups, readable
from sfumato.synth.sequences.counting import Part, Places, Table
from sfumato.synth.sequences.histories import Coding, Histories
from sfumato.synth.sequences.memory import REPEATED, Rows

#: What a gap hangs on: how many events the history has in all, and the room for each that is still to come,
#: as a share of the window.
_LENGTHS, _ROOM = (2, 4, 10), (0.002, 0.005, 0.01, 0.02, 0.04, 0.08)
STATES = len(_LENGTHS) * (len(_ROOM) + 1)
#: Gaps are told apart only so much: their fine order is in the codes one by one.
_GAPS_FAVOUR = 0.5
#: Groups of codes, at least with noise and at most; of times of entry, exact and with noise.
_FEWEST, _MOST, _ENTRIES, _NOISY_ENTRIES = 4, 512, 16, 4
#: With noise lengths are counted in steps that widen by so much.
_WIDER = 1.35


def state_of(lengths: Places, left: NDArray[np.float64], more: Places, window: float) -> Places:
    """What a gap hangs on, as one number.

    Args:
        lengths: of whole histories, shape (n,).
        left: ticks until the window closes.
        more: how many events are still to come.
        window: its length in ticks.
    """
    long = np.clip(np.searchsorted(_LENGTHS, lengths, side="right") - 1, 0, None)
    room = np.searchsorted(_ROOM, left / np.maximum(more, 1) / max(window, 1.0), side="right")
    return np.asarray(long * (len(_ROOM) + 1) + room, dtype=np.int64)


def single(coding: Coding, histories: Histories, rows: Rows, clip: float) -> dict[str, Part]:
    """Codes one by one."""
    first, seen = np.flatnonzero(rows.first), np.flatnonzero(~rows.first & ~rows.over)
    events, people = np.flatnonzero(~rows.over), np.arange(histories.people)

    def part(size: int, codes: NDArray[np.int32], of: Places, most: float) -> Part:
        return Part((1, size), np.zeros(len(codes), dtype=np.int64), codes.astype(np.int64), of, most)

    once = min(clip, 1.0)
    found = {
        "entry": part(coding.entry.size, rows.gap[first], rows.of[first], once),
        "gap": part(coding.gap.size, rows.gap[seen], rows.of[seen], clip),
    }
    for place, own in enumerate(coding.statics):
        found[f"own {place}"] = part(own.size, histories.statics[:, place], people, once)
    for place, field in enumerate(coding.fields):
        found[f"field {place}"] = part(field.size, rows.fields[events, place], rows.of[events], clip)
    return found


def grouped(coding: Coding, tables: Mapping[str, Table]) -> dict[str, Places]:
    """For each code, and for each length from 1, its group: as many groups as the noise leaves readable.

    Args:
        tables: of :func:`single`.
    """
    ordered = {"gap", "entry"} | {
        f"{kind} {place}"
        for kind, some in (("own", coding.statics), ("field", coding.fields))
        for place, field in enumerate(some)
        if hasattr(field, "knots")
    }
    found = {}
    for name, table in tables.items():
        # Gaps are followed by none, and values without an order cannot be told by their neighbours.
        wide = readable(table) * (2 if name == "gap" else 1 if name in ordered else 4)
        most = round(min(_MOST, max(_FEWEST, wide)))
        if name == "entry":
            most = _NOISY_ENTRIES if table.noise else _ENTRIES
        found[name] = groups(table, most, ordered=name in ordered)
    noise = any(table.noise for table in tables.values())
    found["length"] = _steps(coding.longest, _WIDER if noise else 1.0)
    return found


def many(group: Places) -> int:
    """How many groups there are."""
    return int(group.max(initial=0)) + 1


def with_none(group: Places) -> Places:
    """Groups of codes and, as one more, of no event."""
    return np.append(group, many(group))


def pairs(
    coding: Coding, histories: Histories, rows: Rows, group: Mapping[str, Places], lags: int, clip: float
) -> dict[str, Part]:
    """What follows what, in groups."""
    once, people = min(clip, 1.0), np.arange(histories.people)

    def beside(place: int, kind: str, codes: NDArray[np.int32], of: Places, most: float) -> Part:
        before, own = group[f"{kind} {place - 1}"], group[f"{kind} {place}"]
        return Part((many(before), many(own)), before[codes[:, place - 1]], own[codes[:, place]], of, most)

    found = {
        "length": Part(
            (many(group["entry"]), many(group["length"])), group["entry"][rows.gap[rows.first]],
            group["length"][histories.lengths - 1], people, once,
        ),
        "gap after": _gaps(coding, histories, rows, group["gap"], clip),
    }  # fmt: skip
    for place in range(1, len(coding.statics)):
        found[f"own {place} beside"] = beside(place, "own", histories.statics, people, once)
    events, fields = np.flatnonzero(~rows.over), len(coding.fields)
    past = rows.codes[:, len(coding.statics) :].reshape(len(rows.of), REPEATED, fields)[events]
    codes, of = rows.fields[events], rows.of[events]
    for place in range(fields):
        own = group[f"field {place}"]
        for lag in range(lags):
            found[f"field {place} lag {lag + 1}"] = Part(
                (many(own) + 1, many(own)),
                with_none(own)[past[:, lag, place]],
                own[codes[:, place]],
                of,
                clip,
            )
        if place:
            found[f"field {place} beside"] = beside(place, "field", codes, of, clip)
    return found


def _gaps(coding: Coding, histories: Histories, rows: Rows, own: Places, clip: float) -> Part:
    seen = np.flatnonzero(~rows.first & ~rows.over)
    lengths = histories.lengths[rows.of[seen]]
    states = state_of(lengths, rows.left[seen], lengths - rows.count[seen], coding.clock.length)
    return Part((STATES, many(own)), states, own[rows.gap[seen]], rows.of[seen], clip, _GAPS_FAVOUR)


def _steps(longest: int, wider: float) -> Places:
    """For each length from 1 the number of its step.

    >>> _steps(8, 1.35)
    array([0, 1, 2, 3, 4, 5, 5, 6])
    """
    ends = [1]
    while ends[-1] < longest:
        ends.append(ends[-1] + max(1, math.floor(ends[-1] * (wider - 1) + 0.5)))
    return np.searchsorted(ends, np.arange(1, longest + 1)).astype(np.int64)
