"""Rows field by field, from heads that foretell a field from those before it; some fields may be fixed.

Where the order lets what is fixed come first, the others are drawn given it, exactly. Elsewhere several rows
are drawn for each one and one of them is chosen by how well it fits (sampling, importance, resampling: Rubin
1987): the more there are, the nearer.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sfumato.core.errors import InputError
from sfumato.synth.coded import Field, Given

#: Weights by name.
Arrays = Mapping[str, NDArray[Any]]

_AT_ONCE = 2048
#: Scores that are worked out in one go: as many as a processor has at hand.
_SCORES_AT_ONCE = 2**19
_CANDIDATES = 32
_MANY = 512
_STRETCH = 64
#: Scores beyond are near the end of what the exponential of a number of 32 bits can be.
_FAR = 20


class Told(Protocol):
    """Rows of which some fields are told, one after another."""

    def tell(self, place: int, codes: NDArray[np.int32]) -> None:
        """The codes of one more field, shape (rows,)."""

    def scores(self, place: int, rows: slice) -> NDArray[np.float32]:
        """Logarithms of a field's probabilities but for a constant a row, (size, rows), by what was told."""


class Scores(Protocol):
    """What is learned of fields, as arithmetic on codes."""

    def begun(self, rows: int) -> Told:
        """So many rows of which nothing is told."""


@dataclass(frozen=True)
class Drawer:
    """Draws rows.

    Args:
        order: the places of the fields as they are drawn where nothing is given.
        any_order: do the scores hold for other orders as well?
    """

    network: Scores
    fields: tuple[Field, ...]
    order: tuple[int, ...]
    any_order: bool

    def rows(self, count: int, random: np.random.Generator, given: Given) -> NDArray[np.int32]:
        """Codes, shape (count, fields), column after column in memory.

        Raises:
            InputError: ``usage``: what is given is of the wrong shape, or allows nothing.
        """
        from threadpoolctl import threadpool_limits

        self._check(count, given)
        made = np.empty((count, len(self.fields)), dtype=np.int32, order="F")
        with threadpool_limits(1, user_api="blas"):
            for begin in range(0, count, _AT_ONCE):
                end = min(count, begin + _AT_ONCE)
                part = {
                    place: fixed if fixed.dtype == np.bool_ else fixed[begin:end]
                    for place, fixed in given.items()
                }
                made[begin:end] = self._some(end - begin, random, part)
        return made

    def _check(self, count: int, given: Given) -> None:
        for place, fixed in given.items():
            size = self.fields[place].size
            if fixed.dtype == np.bool_:
                fits = fixed.shape == (size,) and bool(fixed.any())
            else:
                fits = fixed.shape == (count,) and bool(((fixed >= 0) & (fixed < size)).all())
            if not fits:
                raise InputError(
                    "usage",
                    "what is given is no code for each row, and no choice of codes either",
                    where=self.fields[place].name,
                )

    def _some(self, count: int, random: np.random.Generator, given: Given) -> NDArray[np.int32]:
        order = self._ordered(given)
        bound = max((order.index(place) for place in given), default=-1) + 1
        many = 1 if self._exact(order[:bound], given) else _CANDIDATES
        made = np.empty((count, len(order)), dtype=np.int32, order="F")
        if bound:
            for begin, end in _pieces(count, _AT_ONCE // many):
                part = {
                    p: fixed if fixed.dtype == np.bool_ else fixed[begin:end] for p, fixed in given.items()
                }
                made[begin:end] = self._bound(end - begin, many, order[:bound], random, part)
        told = self.network.begun(count)
        for place in order[:bound]:
            told.tell(place, made[:, place])
        for place in order[bound:]:
            self._draw(made, told, place, random, None)
            told.tell(place, made[:, place])
        return made

    def _ordered(self, given: Given) -> tuple[int, ...]:
        """What is fixed row by row, then choices, then the rest; or the only order there is."""
        if not self.any_order:
            return self.order
        kinds = {place: 1 if fixed.dtype == np.bool_ else 0 for place, fixed in given.items()}
        return tuple(sorted(self.order, key=lambda place: kinds.get(place, 2)))

    def _exact(self, begin: Sequence[int], given: Given) -> bool:
        """Whether nothing before a fixed field is drawn: then no row fits better than another."""
        drawn = [place for place in begin if place not in given or given[place].dtype == np.bool_]
        return not drawn or drawn == [begin[-1]]

    def _bound(
        self, count: int, many: int, order: Sequence[int], random: np.random.Generator, given: Given
    ) -> NDArray[np.int32]:
        """Rows up to the last fixed field, each chosen among as many as there are candidates."""
        made = np.empty((count * many, len(self.fields)), dtype=np.int32, order="F")
        told, weights = self.network.begun(len(made)), np.zeros(len(made))
        for place in order:
            fixed = given.get(place)
            if fixed is not None and fixed.dtype != np.bool_:
                made[:, place] = np.repeat(fixed, many)
                fixed = made[:, place]
            if many > 1 or fixed is None or fixed.dtype == np.bool_:
                weights += self._draw(made, told, place, random, fixed)
            told.tell(place, made[:, place])
        if many == 1:
            return made
        fits = weights.reshape(count, many)
        chosen = _chosen(np.exp((fits - fits.max(axis=1, keepdims=True)).T), random)
        rows: NDArray[np.int32] = made[np.arange(count) * many + chosen]
        return rows

    def _draw(
        self,
        made: NDArray[np.int32],
        told: Told,
        place: int,
        random: np.random.Generator,
        fixed: NDArray[Any] | None,
    ) -> NDArray[np.float64]:
        """Draw a field given what was told; the logarithm of how likely what is fixed was."""
        likely = np.zeros(len(made))
        for begin, end in _pieces(len(made), max(1, _SCORES_AT_ONCE // self.fields[place].size)):
            scores = told.scores(place, slice(begin, end))
            if fixed is None:
                made[begin:end, place] = _chosen(_shares(scores), random)
                continue
            shares = np.exp(scores - scores.max(axis=0))
            total = shares.sum(axis=0, dtype=np.float64)
            if fixed.dtype == np.bool_:
                shares = np.maximum(shares, np.float32(1e-30))
                shares[~fixed] = 0
                made[begin:end, place] = _chosen(shares, random)
                met = shares.sum(axis=0, dtype=np.float64)
            else:
                met = shares[fixed[begin:end], np.arange(end - begin)].astype(np.float64)
            likely[begin:end] = np.log(np.maximum(met, 1e-300) / total)
        return likely


def _pieces(count: int, most: int) -> Iterator[tuple[int, int]]:
    for begin in range(0, count, most):
        yield begin, min(count, begin + most)


def _shares(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """Exponentials of scores, of each column's scores less a number; the largest is far from both ends."""
    likely = scores[scores[:, 0].argmax()]
    if not (scores.max() < _FAR and likely.min() > -_FAR):
        scores = scores - scores.max(axis=0)
    found: NDArray[np.float32] = np.exp(scores)
    return found


def _chosen(shares: NDArray[Any], random: np.random.Generator) -> NDArray[np.int64]:
    """A row for each column, by shares that need not add up to one; never one whose share is zero.

    Of very many rows a stretch is drawn first, and then one of its rows: few sums are kept.
    """
    size, count = shares.shape
    if size <= _MANY:
        return _met(shares, random.random((count,)))
    whole = size - size % _STRETCH
    sums = np.ones(_STRETCH, dtype=shares.dtype) @ shares[:whole].reshape(-1, _STRETCH, count)
    if whole < size:
        sums = np.vstack([sums, shares[whole:].sum(axis=0)])
    stretch = _met(sums, random.random((count,)))
    places = stretch[:, None] * _STRETCH + np.arange(_STRETCH)
    within = shares[np.minimum(places, size - 1), np.arange(count)[:, None]].T
    within[(places >= size).T] = 0
    found: NDArray[np.int64] = stretch * _STRETCH + _met(within, random.random((count,)))
    return found


def _met(shares: NDArray[Any], marks: NDArray[np.float64]) -> NDArray[np.int64]:
    """The row of each column where its shares, from the first on, pass the mark's part of their sum."""
    heaps = shares.astype(np.float64)
    for before, heap in itertools.pairwise(heaps):
        heap += before
    # Below the sum: rounding could else lead behind the last share that is not zero.
    at = np.minimum(marks * heaps[-1], np.nextafter(heaps[-1], 0.0))
    kind = np.uint8 if len(heaps) < 256 else np.int64
    found: NDArray[np.int64] = np.add.reduce((heaps <= at).view(np.uint8), axis=0, dtype=kind)
    return found.astype(np.int64)


def softened(counts: NDArray[np.int64], half: float = 0.5) -> NDArray[np.float64]:
    """Logarithms of shares, no share zero."""
    shares = counts + half
    logs: NDArray[np.float64] = np.log(shares / shares.sum())
    return logs


def buckets(sizes: Sequence[int]) -> list[tuple[int, list[int]]]:
    """Fields whose heads are computed together: a width for all, and their places.

    >>> buckets([2, 30, 3, 32])
    [(3, [0, 2]), (32, [1, 3])]
    """
    found: dict[int, list[int]] = {}
    for place, size in enumerate(sizes):
        found.setdefault(4 ** max(1, math.ceil(math.log(max(2, size), 4))), []).append(place)
    return [(max(sizes[one] for one in places), places) for _, places in sorted(found.items())]


def shapes_of(field: Field, most: int) -> NDArray[np.float32]:
    """A description of each code, (size, at most ``most`` or so), from what everybody knows of the field.

    >>> shapes_of(Field("sex", "sex", 2, False), 16)
    array([[1., 0.],
           [0., 1.]], dtype=float32)
    >>> shapes_of(Field("age", "age", 5, True), 3)[1]
    array([0.5, 0.5, 0. ], dtype=float32)
    """
    if field.size <= most:
        return np.eye(field.size, dtype=np.float32)
    if not field.ordered:
        signs = np.random.default_rng(field.size).integers(0, 2, (field.size, most)) * 2 - 1
        return (signs / math.sqrt(most)).astype(np.float32)
    known = np.array([code for code in range(field.size) if code != field.missing])
    places = np.arange(len(known)) * ((most - 1) / max(1, len(known) - 1))
    hats = np.maximum(0, 1 - np.abs(places[:, None] - np.arange(most)))
    shapes = np.zeros((field.size, most + (field.missing is not None)), dtype=np.float32)
    shapes[known, :most] = hats
    if field.missing is not None:
        shapes[field.missing, most] = 1
    return shapes
