"""Fitting a mixture of products to noisy shares, by Adam (Kingma & Ba 2015) on logits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sfumato.synth.marginals.tables import Singles, Tables

#: How far components are from the independent fields at first, in logits, and the rate of learning. Close to
#: each other they first learn what moves many fields, and noise last.
_SPREAD, _RATE = 0.2, 0.1
_FIRST, _SECOND = 0.9, 0.99
#: Where less than this part of all cells was measured, pair by pair is quicker than all at once.
_SPARSE = 0.2


@dataclass(frozen=True)
class Fit:
    """``weights`` of components, shape (components,), and ``shares`` of groups in each, (components, groups).

    The groups of field i are those from ``starts[i]`` to ``starts[i + 1]``.
    """

    weights: NDArray[np.float64]
    shares: NDArray[np.float32]
    starts: NDArray[np.int64]

    def of(self, place: int) -> NDArray[np.float32]:
        """The shares of one field's groups, shape (components, groups of the field)."""
        return self.shares[:, self.starts[place] : self.starts[place + 1]]

    def says(self, tables: Tables) -> NDArray[np.float32]:
        """What the mixture says in place of ``tables.shares``."""
        sums = _Sums(tables, self.starts)
        joined = sums.merge(self.shares)
        weights = self.weights.astype(np.float32)
        return np.stack([(joined * part[:, None]).T @ joined for part in sums.parts(self.shares, weights)])


def fitted(
    singles: Singles,
    tables: Sequence[Tables],
    random: np.random.Generator,
    *,
    components: int,
    steps: int,
    start: Fit | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Fit:
    """The mixture that is likeliest to have had the noisy shares, as far as so many steps go.

    Args:
        singles: of every field.
        random: breaks the symmetry of the components.
        start: where to go on from.
    """
    from threadpoolctl import threadpool_limits

    starts = np.concatenate([[0], np.cumsum([len(each) for each in singles.shares])])
    # One thread: the same sums on every machine.
    with threadpool_limits(1):
        return _Descent(singles, tables, starts, components, random, start).run(steps, progress)


class _Sums:
    """Sums of groups over the groups of one :class:`Tables`, and gradients back."""

    def __init__(self, tables: Tables, starts: NDArray[np.int64]) -> None:
        self.tables, self.starts = tables, starts
        ends = tables.starts
        self.into = np.concatenate([each + ends[place] for place, each in enumerate(tables.groups)])
        self.order = np.argsort(self.into, kind="stable")
        self.begins = np.searchsorted(self.into[self.order], np.arange(ends[-1]))
        self.whole = len(self.begins) == len(self.into)
        self.pairs = [(slice(ends[i], ends[i + 1]), slice(ends[j], ends[j + 1])) for i, j in tables.pairs]
        self.sparse = (tables.precision > 0).mean() < _SPARSE

    def merge(self, shares: NDArray[np.float32]) -> NDArray[np.float32]:
        if self.whole:
            return shares
        return np.add.reduceat(shares[:, self.order], self.begins, axis=1)

    def layers(self, shares: NDArray[np.float32]) -> NDArray[np.float32]:
        """The context's groups in each component, shape (components, contexts)."""
        if self.tables.context is None:
            return np.ones((len(shares), 1), dtype=np.float32)
        place, layer = self.tables.context
        part = shares[:, self.starts[place] : self.starts[place + 1]]
        return np.stack([part[:, layer == each].sum(axis=1) for each in range(int(layer.max()) + 1)], axis=1)

    def parts(self, shares: NDArray[np.float32], weights: NDArray[np.float32]) -> NDArray[np.float32]:
        """The components' weights within each context, shape (contexts, components)."""
        return (weights[:, None] * self.layers(shares)).T

    def back(
        self,
        shares: NDArray[np.float32],
        weights: NDArray[np.float32],
        slope: NDArray[np.float32],
        pull: NDArray[np.float32],
    ) -> None:
        """Add the gradients of half the weighted squares to those of shares and weights."""
        joined, layers = self.merge(shares), self.layers(shares)
        slopes = np.zeros_like(joined)
        rise = np.empty_like(layers)
        for each in range(layers.shape[1]):
            part = weights * layers[:, each]
            weighted = joined * part[:, None]
            across = self._across(joined, weighted, self.tables.shares[each])
            slopes += across * part[:, None]
            # Each pair stands in the symmetric matrix twice.
            rise[:, each] = np.einsum("kg,kg->k", joined, across) / 2
        pull += (rise * layers).sum(axis=1)
        slope += slopes if self.whole else slopes[:, self.into]
        if self.tables.context is not None:
            place, layer = self.tables.context
            slope[:, self.starts[place] : self.starts[place + 1]] += (weights[:, None] * rise)[:, layer]

    def _across(
        self, joined: NDArray[np.float32], weighted: NDArray[np.float32], shares: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """For each component and group, by how much the other groups' shares are off; the shape of joined."""
        precision = self.tables.precision
        if not self.sparse:
            return joined @ ((weighted.T @ joined - shares) * precision)
        across = np.zeros_like(joined)
        for a, b in self.pairs:
            off = (weighted[:, a].T @ joined[:, b] - shares[a, b]) * precision[a, b]
            across[:, a] += joined[:, b] @ off.T
            across[:, b] += joined[:, a] @ off
        return across


class _Descent:
    def __init__(
        self,
        singles: Singles,
        tables: Sequence[Tables],
        starts: NDArray[np.int64],
        components: int,
        random: np.random.Generator,
        start: Fit | None,
    ) -> None:
        self.starts = starts
        self.sums = [_Sums(each, starts) for each in tables if each.precision.any()]
        self.shares = np.concatenate(singles.shares)
        self.precision = np.concatenate(singles.precision)
        self.field = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
        if start is None:
            about = np.log(np.maximum(self.shares, 1e-6)).astype(np.float32)
            noise = random.standard_normal((components, starts[-1]), dtype=np.float32)
            self.logits = about + np.float32(_SPREAD) * noise
            self.heights = np.zeros(components, dtype=np.float32)
        else:
            self.logits = np.log(np.maximum(start.shares, 1e-12))
            self.heights = np.log(np.maximum(start.weights, 1e-12)).astype(np.float32)

    def run(self, steps: int, progress: Callable[[int, int], None] | None) -> Fit:
        first = [np.zeros_like(self.logits), np.zeros_like(self.heights)]
        second = [np.zeros_like(self.logits), np.zeros_like(self.heights)]
        for step in range(steps):
            rate = _RATE * min(1.0, 3 * (1 - step / steps))
            slopes = self._slopes()
            for value, slope, mean, square in zip(
                (self.logits, self.heights), slopes, first, second, strict=True
            ):
                mean += (1 - _FIRST) * (slope - mean)
                square += (1 - _SECOND) * (slope * slope - square)
                size = np.sqrt(square / (1 - _SECOND ** (step + 1)))
                value -= np.float32(rate / (1 - _FIRST ** (step + 1))) * mean / (size + np.float32(1e-12))
            if progress is not None and step % 50 == 0:
                progress(step, steps)
        shares, weights = self._shares(), _softmax(self.heights.astype(np.float64))
        return Fit(weights, shares, self.starts)

    def _shares(self) -> NDArray[np.float32]:
        begins = self.starts[:-1]
        top = np.maximum.reduceat(self.logits, begins, axis=1)
        raised = np.exp(self.logits - top[:, self.field])
        return np.asarray(raised / np.add.reduceat(raised, begins, axis=1)[:, self.field])

    def _slopes(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        shares, weights = self._shares(), _softmax(self.heights)
        off = (weights @ shares - self.shares) * self.precision
        slope, pull = weights[:, None] * off, shares @ off
        for each in self.sums:
            each.back(shares, weights, slope, pull)
        begins = self.starts[:-1]
        slope -= np.add.reduceat(shares * slope, begins, axis=1)[:, self.field]
        slope *= shares
        return slope, weights * (pull - weights @ pull)


def _softmax(heights: NDArray[Any]) -> NDArray[Any]:
    raised = np.exp(heights - heights.max())
    return np.asarray(raised / raised.sum())
