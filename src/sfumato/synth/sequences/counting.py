"""Counts of what people add to tables: exact, or bounded for each person and with noise."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from dp_accounting import DpEvent

Counts = NDArray[np.float64]
Places = NDArray[np.int64]
#: A person's scaled counts are whole numbers of this grid.
GRID = 2**20


@dataclass(frozen=True, eq=False)
class Part:
    """What is counted in one table: for each count its context and code, shape (n,), and whose it is.

    ``shape`` is (contexts, codes). With noise a person's counts have an L2 norm of at most ``clip``, and
    ``favour`` is how much nearer than others the table shall be.
    """

    shape: tuple[int, int]
    context: Places
    code: Places
    of: Places
    clip: float = 1.0
    favour: float = 1.0

    @property
    def size(self) -> int:
        """How many cells the table has."""
        return math.prod(self.shape)

    @property
    def cells(self) -> Places:
        """The place of each count in the flat table."""
        return np.asarray(self.context.astype(np.int64) * self.shape[1] + self.code)


@dataclass(frozen=True, eq=False)
class Table:
    """Counts, shape (contexts, codes), and the standard deviation of their noise, 0 where they are exact."""

    counts: Counts
    noise: float


def exact(parts: Mapping[str, Part]) -> dict[str, Table]:
    """The counts as they are."""
    found = {}
    for name, part in parts.items():
        counts = np.bincount(part.cells, minlength=part.size).astype(np.float64)
        found[name] = Table(counts.reshape(part.shape), 0.0)
    return found


def noisy_event(multiplier: float) -> DpEvent:
    """What :func:`noisy` costs, whatever the tables are."""
    from sfumato.dp.mechanisms import gaussian_event

    return gaussian_event(_sigma(multiplier), GRID)


def noisy(parts: Mapping[str, Part], multiplier: float) -> dict[str, Table]:
    """The counts with noise, one draw for all tables, charged by the caller."""
    from sfumato.dp.mechanisms import gaussian

    shares, sigma = shares_of(parts), _sigma(multiplier)
    drawn = gaussian(steps(parts), sigma)
    found, at = {}, 0
    for name, part in parts.items():
        unit = part.clip / (shares[name] * GRID)
        counts = drawn[at : at + part.size].astype(np.float64).reshape(part.shape)
        found[name] = Table(counts * unit, sigma * unit)
        at += part.size
    return found


def steps(parts: Mapping[str, Part]) -> Places:
    """All tables as one vector of whole numbers, in which nobody adds a vector longer than :data:`GRID`."""
    shares = shares_of(parts)
    return np.concatenate(
        [scaled(part.cells, part.of, part.size, part.clip, shares[name]) for name, part in parts.items()]
    )


def shares_of(parts: Mapping[str, Part]) -> dict[str, float]:
    """Each table's part of the bound on what a person adds; their squares sum to a hair less than one.

    They go by the square root of how many cells there are, for as much noise is on all of a table together.
    """
    weights = {name: part.favour * math.sqrt(part.size) for name, part in parts.items()}
    total = math.sqrt(sum(weight**2 for weight in weights.values())) * (1 + 1e-12)
    return {name: weight / total for name, weight in weights.items()}


def scaled(cells: Places, of: Places, size: int, clip: float, share: float = 1.0) -> Places:
    """Counts of cells, in steps of which a norm of ``clip`` has ``share`` times :data:`GRID`.

    Nobody adds a vector of a larger L2 norm: who has more counts for less in each.

    Args:
        cells: shape (n,), what is counted.
        of: shape (n,), whose it is.

    >>> counts = scaled(np.array([0, 0, 1]), np.zeros(3, dtype=np.int64), 2, 1.0)
    >>> bool(np.linalg.norm(counts / GRID) <= 1)
    True
    """
    both, counts = np.unique(of * size + cells, return_counts=True)
    person, cell = both // size, both % size
    norms = np.sqrt(np.bincount(person, counts.astype(np.float64) ** 2))[person]
    # Rounded towards nothing, so that the norm cannot rise; a hair less, for the root is rounded too.
    whole = np.floor(counts * np.minimum(1 / clip, (1 - 1e-12) / norms) * (share * GRID))
    return np.bincount(cell, whole, minlength=size).astype(np.int64)


def _sigma(multiplier: float) -> float:
    from sfumato.dp.mechanisms import gaussian_sigma

    return gaussian_sigma(multiplier, GRID)
