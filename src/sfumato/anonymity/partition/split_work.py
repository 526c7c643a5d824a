"""A partition's problem laid out for compiled code: points, people, and what a class must keep."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sfumato.anonymity.holding import holding
from sfumato.anonymity.models.k_anonymity import KAnonymity
from sfumato.anonymity.partition.problem import Problem
from sfumato.anonymity.partition.split_space import Bits, Space
from sfumato.classes.contingency import Sensitive
from sfumato.classes.grouping import combine, group
from sfumato.classes.table import ClassTable, Units
from sfumato.contracts import PrivacyModel


@dataclass(frozen=True)
class Work:
    """A problem laid out for the kernels.

    Units of equal ranks are one point: ``points`` has their ranks, shape (points, columns), ``counts``
    the people of each, ``point`` the point of each unit. ``least`` people are in every class; ``local``
    models look at a class by itself beyond that, ``whole`` says that others look at all classes.
    """

    space: Space
    bits: Bits
    units: Units
    models: Sequence[PrivacyModel]
    local: Sequence[PrivacyModel]
    whole: bool
    least: int
    ranks: NDArray[np.int32]
    point: NDArray[np.int64]
    points: NDArray[np.int32]
    counts: NDArray[np.int64]

    @classmethod
    def of(
        cls,
        problem: Problem,
        units: Units,
        staying: NDArray[np.int64],
        weights: NDArray[np.float64] | None,
    ) -> Work:
        """Lay out a problem's units that are staying; ``weights`` has what each axis counts."""
        columns = len(problem.axes)
        shares = np.ones(columns) if weights is None else weights
        space = Space.of(problem.axes, shares / max(1e-300, float(shares.sum())))
        ranks = space.points(problem.positions[:, staying])
        point, counts = (
            group(combine([column.astype(np.int64) for column in ranks.T]), units.counts)
            if columns
            else (np.zeros(len(staying), dtype=np.int64), np.array([units.rows]))
        )
        firsts = np.flatnonzero(np.diff(np.maximum.accumulate(point), prepend=-1))
        return cls(
            space,
            Bits.of(space),
            units,
            problem.models,
            [model for model in problem.models if not model.whole and not _least(model)],
            any(model.whole for model in problem.models),
            max([1, *map(_least, problem.models)]),
            ranks,
            point,
            np.ascontiguousarray(ranks[firsts]),
            counts,
        )

    @property
    def arrays(self) -> tuple[Any, ...]:
        """The space as the kernels take it."""
        space = self.space
        return space.kinds, space.starts, space.weights, space.numbers, space.labels, space.losses

    def hold(self, now: NDArray[np.int64], units: Units) -> bool:
        """Whether all classes together satisfy all models; ``now`` has the class of each unit."""
        (there,) = np.nonzero(units.counts > 0)
        _, numbers = np.unique(now[there], return_inverse=True)
        table: ClassTable = some(units, there).classes(numbers, int(numbers.max()) + 1)
        return bool(holding(self.models, table).all())


def _least(model: Any) -> int:
    """The k of k-anonymity itself, which says all that it asks; 0 of any other model."""
    return model.k if type(model) is KAnonymity else 0


def some(units: Units, chosen: NDArray[np.int64]) -> Units:
    """Some of the units; the people of a population have no place in classes of one's own."""
    return Units(
        units.counts[chosen],
        {
            name: Sensitive(column.codes[chosen], column.overall, column.tree)
            for name, column in units.sensitive.items()
        },
    )
