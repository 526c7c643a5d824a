"""What the lattice search is asked, and what it answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from sfumato.anonymity.measures.columns import Columns
from sfumato.classes.subjects import Subjects
from sfumato.classes.table import Units
from sfumato.contracts import Measure, PrivacyModel
from sfumato.hierarchies.ladder import Ladder


@dataclass(frozen=True)
class Problem:
    """What the search works on: distinct tuples as positions in each ladder's values.

    ``positions`` has shape (columns, units); ``models`` must hold for every class that stays, and at
    most ``limit`` rows may go. ``weights`` say how much each column counts, by name; ``target`` has the
    code of each unit's value of what is to be learned, shape (units,), for measures that ask for it.
    ``allowed`` may refuse a node for what it suppresses: it is told which units stay, shape (units,).
    ``subjects`` say whose each unit is where a person may have several rows; then people count, and units
    are distinct in them too.
    """

    ladders: Sequence[Ladder]
    positions: NDArray[np.int64]
    units: Units
    models: Sequence[PrivacyModel]
    limit: int
    measure: Callable[[Columns], Measure]
    weights: Mapping[str, float] | None = None
    target: NDArray[np.int64] | None = None
    allowed: Callable[[NDArray[np.bool_]], bool] | None = None
    subjects: Subjects | None = None


@dataclass(frozen=True)
class Solution:
    """A node with everything said of it; ``kept`` says which tuples stay, shape (tuples,).

    No node scores less than ``bound``; the solution is ``optimal`` if that is proved to be its score.
    ``checked`` counts the nodes whose classes were made, of the ``lattice``.
    """

    levels: tuple[int, ...]
    kept: NDArray[np.bool_]
    classes: int
    smallest_class: int
    suppressed: int
    score: float
    raw_loss: float
    granularity: float
    lattice: int
    checked: int
    optimal: bool = False
    bound: float = 0.0


class Progress(Protocol):
    """Told how many nodes are settled, of how many."""

    def __call__(self, done: int, total: int) -> None: ...
