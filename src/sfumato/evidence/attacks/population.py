"""The share of people unique in the population, as a figure of a finding."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sfumato.classes import population
from sfumato.evidence.report import Figure


def population_unique(sizes: NDArray[np.int64], fraction: float) -> Figure | None:
    """:func:`sfumato.classes.population.population_unique`, Pitman's estimate with its interval."""
    found = population.population_unique(sizes, fraction)
    return None if found is None else Figure(*found)
