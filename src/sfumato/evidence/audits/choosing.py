"""From what came out to scores: how much each output looks as if the person had been in.

The score and the number of guesses are chosen on one half of the runs and used on the other, so that the
choice costs nothing but runs (Ding et al. 2018, StatDP; Bichsel et al. 2021, DP-Sniper).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sfumato.core.canonical import canonical_json
from sfumato.core.errors import InputError
from sfumato.evidence.audits.onerun import Guesses, epsilon_lower
from sfumato.evidence.intervals import LEVEL

#: Coordinates of an output that are looked at, and cells of each.
_MOST_COLUMNS = 64
_CELLS = 32
#: Share of outputs at each end that a direction does not see: one far value must not turn it.
_FAR = 0.001
_LARGEST = 1e100
#: Sizes of guesses that are tried, from few and sure to everybody.
_FEWEST, _SIZES = 10, 16
#: Runs that can be parted into choosing and testing.
LEAST_RUNS = 100

Score = Callable[[NDArray[np.float64]], NDArray[np.float64]]


def encode(outputs: Sequence[Any]) -> NDArray[np.float64]:
    """Outputs as numbers, shape (runs, columns): numbers and arrays as they are, all else as its kind.

    Raises:
        InputError: ``usage`` where some outputs are arrays of another length than others.
    """
    try:
        found = np.asarray(outputs, dtype=np.float64)
    except (TypeError, ValueError):
        return _kinds(outputs)
    return found.reshape(len(outputs), -1)


def _kinds(outputs: Sequence[Any]) -> NDArray[np.float64]:
    try:
        written = [canonical_json(output) for output in outputs]
    except (TypeError, ValueError):
        raise InputError(
            "usage",
            "an output is neither a number, an array of always the same shape, nor plain data",
            remedy="have the mechanism under audit return numbers, texts, lists or dictionaries",
        ) from None
    return np.unique(written, return_inverse=True)[1].astype(np.float64).reshape(len(outputs), 1)


@dataclass(frozen=True)
class Event:
    """What was chosen: a score, the shares of runs to guess "in" and "out", and what it is called."""

    score: Score
    into: float
    out: float
    words: str

    def guesses(
        self, outputs: NDArray[np.float64], inside: NDArray[np.bool_], draw: np.random.Generator
    ) -> Guesses:
        """The guesses on other runs than those it was chosen on."""
        n = len(inside)
        out = min(n, round(self.out * n))
        into = min(n - out, round(self.into * n))
        return Guesses.of(self.score(outputs), inside, into + out, draw, out=out)


def choose(
    outputs: NDArray[np.float64], inside: NDArray[np.bool_], delta: float, draw: np.random.Generator
) -> Event:
    """The score and numbers of guesses with the largest bound, learned and compared on halves of these."""
    half = len(inside) // 2
    events = []
    for words, fit in (
        ("a threshold on a direction", _direction),
        ("a ratio of likelihoods in cells", _ratio),
    ):
        score = fit(outputs[:half], inside[:half])
        events.append(_sized(score, words, outputs[half:], inside[half:], delta, draw))
    return max(events, key=lambda event: event[0])[1]


def _sized(
    score: Score,
    words: str,
    outputs: NDArray[np.float64],
    inside: NDArray[np.bool_],
    delta: float,
    draw: np.random.Generator,
) -> tuple[float, Event]:
    n = len(inside)
    order = np.lexsort((draw.random(n), score(outputs)))
    sizes = np.geomspace(min(_FEWEST, n), n, _SIZES).astype(np.int64)
    sizes = np.unique(np.concatenate([[0], sizes]))
    # Each end for itself: one of them may tell much and the other nothing.
    into, out = (side.ravel() for side in np.meshgrid(sizes, sizes))
    possible = (into + out <= n) & (into + out > 0)
    into, out = into[possible], out[possible]
    lowest = np.concatenate([[0], np.cumsum(~inside[order])])
    highest = np.concatenate([[0], np.cumsum(inside[order[::-1]])])
    bounds = epsilon_lower(n, into + out, lowest[out] + highest[into], delta, level=LEVEL)
    best = int(np.argmax(bounds))
    return float(bounds[best]), Event(score, into[best] / n, out[best] / n, words)


def _direction(outputs: NDArray[np.float64], inside: NDArray[np.bool_]) -> Score:
    """The linear score that tells the two apart best if they differ by their means (Fisher 1936)."""
    found = _known(outputs)
    low, high = np.quantile(found, (_FAR, 1 - _FAR), axis=0)
    width = np.where(high > low, high - low, 1.0)
    near = (np.clip(found, low, high) - low) / width
    both = 0 < inside.sum() < len(inside)
    apart = near[inside].mean(axis=0) - near[~inside].mean(axis=0) if both else np.zeros(len(width))
    spread = np.atleast_2d(np.cov(near, rowvar=False)) + 1e-9 * np.eye(len(width))
    weights = np.linalg.lstsq(spread, apart, rcond=None)[0] / width
    return lambda others: np.asarray(_known(others) @ weights, dtype=np.float64)


def _known(outputs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Columns without what is no number and without what no square can be taken of."""
    bounded = np.clip(outputs[:, :_MOST_COLUMNS], -_LARGEST, _LARGEST)
    return np.nan_to_num(bounded, nan=0.0)


def _ratio(outputs: NDArray[np.float64], inside: NDArray[np.bool_]) -> Score:
    """The log-ratio of the shares in cells of each column, summed over columns."""
    columns = [_cells(column, inside) for column in outputs[:, :_MOST_COLUMNS].T]

    def score(found: NDArray[np.float64]) -> NDArray[np.float64]:
        parts = zip(found.T, columns, strict=False)
        return np.asarray(
            sum(logs[_placed(column, edges)] for column, (edges, logs) in parts), dtype=np.float64
        )

    return score


def _cells(column: NDArray[np.float64], inside: NDArray[np.bool_]) -> tuple[NDArray[Any], NDArray[Any]]:
    values = np.unique(column[~np.isnan(column)])
    if len(values) > 2 * _CELLS:
        values = np.unique(np.quantile(values, np.linspace(0, 1, _CELLS + 1)[1:-1]))
        values = np.unique(np.concatenate([values, _heavy(column)]))
    cell = _placed(column, values)
    counts = [np.bincount(cell[side], minlength=2 * len(values) + 2) + 0.5 for side in (inside, ~inside)]
    shares = [count / count.sum() for count in counts]
    return values, np.log(shares[0]) - np.log(shares[1])


def _heavy(column: NDArray[np.float64]) -> NDArray[np.float64]:
    """Single values that come out often: a mechanism that sometimes tells the truth has some."""
    values, counts = np.unique(column[~np.isnan(column)], return_counts=True)
    return values[counts > len(column) / (4 * _CELLS)]


def _placed(column: NDArray[np.float64], edges: NDArray[np.float64]) -> NDArray[np.int64]:
    """Cells between the edges and at each of them; one more for what is no number."""
    cell = np.searchsorted(edges, column, side="left") + np.searchsorted(edges, column, side="right")
    return np.where(np.isnan(column), 2 * len(edges) + 1, cell).astype(np.int64)
