"""Whether batches look like Poisson samples, each row in each for itself: exact tests, nothing asymptotic.

Amplification by sampling is charged for Poisson samples. A shuffled loader takes each row once an epoch, a
fixed batch has always the same size, a reused one the same rows: each of them costs more than was charged
(Chua et al. 2024, arXiv 2403.17673), by an amount that no guessing of canaries would see soon.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

#: Simulated statistics of a test; with the observed one they make its p-value exact (Barnard 1963).
_SIMULATED = 19_999
#: Batches whose rows are compared with each other.
_MOST_COMPARED = 400


def poisson_p_values(
    batches: Sequence[NDArray[np.int64]], population: int, rate: float, draw: np.random.Generator
) -> Iterator[tuple[str, float]]:
    """What is tested, in words that say the fault, and how likely a Poisson sample looks as much like it.

    Args:
        batches: the numbers of the rows in each batch, as drawn.
        population: how many rows there are.
        rate: the probability that was charged for.
    """
    sizes = np.array([len(batch) for batch in batches])
    yield (
        "more rows are drawn than the sampling rate says",
        _total(int(sizes.sum()), population * len(sizes), rate),
    )
    yield "a row is in the same batch twice", 0.0 if _twice(batches) else 1.0
    if rate >= 1 or len(sizes) < 2:
        return
    simulated = draw.binomial(population, rate, (_SIMULATED, len(sizes)))
    yield (
        "the sizes of batches do not vary as those of Poisson samples",
        _two_sided(_spread(sizes, population * rate), _spread(simulated, population * rate), draw),
    )
    yield (
        "rows are in as many batches as no Poisson sample leaves them",
        _of_rows(batches, population, rate, draw),
    )
    yield "two batches share more rows than Poisson samples do", _shared(batches, population, rate)


def _twice(batches: Sequence[NDArray[np.int64]]) -> bool:
    return any(len(np.unique(batch)) < len(batch) for batch in batches)


def _total(drawn: int, trials: int, rate: float) -> float:
    """The chance of so many draws or more."""
    from scipy.special import betainc

    return float(betainc(drawn, trials - drawn + 1, rate)) if 0 < drawn <= trials else float(drawn <= trials)


def _spread(counts: NDArray[np.int64], mean: float) -> NDArray[np.float64]:
    return np.asarray(((counts - mean) ** 2).sum(axis=-1), dtype=np.float64)


def _two_sided(seen: NDArray[np.float64], simulated: NDArray[np.float64], draw: np.random.Generator) -> float:
    """Twice the smaller rank of what was seen among the simulated, ties broken by draws."""
    ties = int((simulated == seen).sum())
    below = int((simulated < seen).sum()) + int(draw.integers(0, ties + 1))
    total = len(simulated) + 1
    return min(1.0, 2 * min(below + 1, total - below) / total)


def _of_rows(
    batches: Sequence[NDArray[np.int64]], population: int, rate: float, draw: np.random.Generator
) -> float:
    """In how many batches rows are: under Poisson sampling independent binomials, one a row."""
    from scipy.stats import binom

    times = len(batches)
    seen = np.bincount(np.concatenate(batches), minlength=population)
    if len(seen) > population or seen.max(initial=0) > times:
        return 0.0
    mean = times * rate
    chances = binom.pmf(np.arange(times + 1), times, rate)
    counted = draw.multinomial(population, chances / chances.sum(), _SIMULATED)
    spread = (np.arange(times + 1) - mean) ** 2
    return _two_sided(_spread(seen, mean), np.asarray(counted @ spread, dtype=np.float64), draw)


def _shared(batches: Sequence[NDArray[np.int64]], population: int, rate: float) -> float:
    """The chance that some two of the batches share as many rows as the two that share most (Bonferroni)."""
    from scipy.special import betainc

    compared = batches[:_MOST_COMPARED]
    inside = np.zeros((len(compared), population), dtype=np.float32)
    for row, batch in zip(inside, compared, strict=True):
        row[batch[batch < population]] = 1
    common = np.triu(inside @ inside.T, 1)
    most, pairs = int(common.max()), len(compared) * (len(compared) - 1) / 2
    return min(1.0, pairs * float(betainc(most, population - most + 1, rate * rate))) if most else 1.0
