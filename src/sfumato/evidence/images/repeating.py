"""Of how many people was an image made again? All that was made counts: whoever has ten sets has all of them.

A share of the images made says nothing of that: a generator that repeats each person once among a hundred
images repeats everybody in time. So people are counted, and those held out are the measure of chance.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from sfumato.core.disclosure import round_count
from sfumato.core.values import Finding
from sfumato.evidence.images.nearness import LEAST, NEARER, neighbours
from sfumato.evidence.images.pictures import SPACES, Pictures
from sfumato.evidence.intervals import exact_difference
from sfumato.evidence.report import Report

_ASSUMES = "has all made images, and images of somebody to compare them with"


def repeating(
    report: Report, metric: str, made: Sequence[Pictures], learned: Pictures, held: Pictures
) -> Iterator[Finding]:
    """The share of people one of whose images was made again, less that of people held out, in each space.

    Args:
        made: the images of one release, or of several.
    """
    people, fresh = (len(np.unique(some.of)) for some in (learned, held))
    for space in SPACES:
        if min(people, fresh) < LEAST or sum(map(len, made)) < LEAST:
            few = f"fewer than {LEAST} people taught or were held out, or so few images were made"
            yield report.silent(metric, "no-power", few, target=space, n=people, assumes=_ASSUMES)
            continue
        own: set[int] = set()
        others: set[int] = set()
        for some in made:
            again = _again(some.space(space), learned.space(space), held.space(space))
            own.update(learned.of[again[0]].tolist())
            others.update(held.of[again[1]].tolist())
        yield report.measured(
            metric,
            exact_difference(len(own), people, len(others), fresh),
            people,
            target=space,
            control=len(others) / fresh,
            assumes=_ASSUMES,
            note=f"a made image is at least {NEARER:g} times nearer to theirs than to any of the others;"
            f" against about {round_count(fresh)} people held out",
        )


def _again(
    made: NDArray[np.float64], learned: NDArray[np.float64], held: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The places of the images learned from that made ones are copies of, and the same of those held out."""
    if not len(made):
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
    (near, places), (far, others) = neighbours(made, learned), neighbours(made, held)
    return places[near * NEARER < far], others[far * NEARER < near]
