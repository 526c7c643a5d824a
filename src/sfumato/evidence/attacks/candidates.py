"""The people in question where somebody asks who is in a release, and what is held of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sfumato.contracts import Comparison
from sfumato.core.keyed import derive
from sfumato.evidence.attacks.density import Held
from sfumato.evidence.attacks.registers import sample_rows

MOST_OUTSIDE = 5_000
MOST_REFERENCE = 10_000
#: Fewer people than this on either side of a comparison tell nothing.
LEAST = 20


@dataclass(frozen=True)
class Candidates:
    """Positions of members in the original, of people outside and of the reference in the control."""

    members: NDArray[np.int64]
    outside: NDArray[np.int64]
    reference: NDArray[np.int64]

    @classmethod
    def of(cls, comparison: Comparison, most: int) -> Candidates:
        """Drawn by key: at most so many members, and half of the control for the reference."""
        key = derive(comparison.key, "membership")
        held_out = np.arange(comparison.control.height)
        drawn = sample_rows(held_out, len(held_out), derive(key, "outside"))
        half = len(drawn) // 2
        return cls(
            sample_rows(np.flatnonzero(comparison.members), most, derive(key, "members")),
            drawn[half:][:MOST_OUTSIDE],
            drawn[:half][:MOST_REFERENCE],
        )

    def cut(self, most: int) -> Candidates:
        """The first of each kind, so that there are at most about so many people in question."""
        people = len(self.members) + len(self.outside)
        keep = [max(LEAST, len(part) * most // people) for part in (self.members, self.outside)]
        return Candidates(self.members[: keep[0]], self.outside[: keep[1]], self.reference)


def held(
    comparison: Comparison,
    columns: Sequence[str],
    people: Candidates,
    counted: pl.DataFrame,
    describe: Callable[[pl.DataFrame], pl.DataFrame],
) -> Held:
    """What an attacker holds: counted rows, the reference, and the candidates, members first."""
    members = describe(comparison.original[people.members])
    outside = describe(comparison.control[people.outside])
    return Held(
        release=counted,
        reference=describe(comparison.control[people.reference]),
        people=pl.concat([members.select(columns), outside.select(columns)], how="vertical_relaxed"),
        columns=tuple(columns),
        centers=comparison.centers,
        key=derive(comparison.key, "membership", "rows"),
    )
