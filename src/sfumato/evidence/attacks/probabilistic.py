"""Probabilistic linkage: how often a register errs is learned from the pairs, without the truth.

Fellegi & Sunter (1969, *JASA* 64:1183-1210) weigh a pair by log(m / u), column by column: m is how often
a person's own row shows that level of agreement, u how often anybody's does, for that label (Winkler
1988). Levels are nested here: a cell agrees, or is within a distance of the label, or is anything. With
probability a(l) a register cell is drawn from the people of level l or nearer to the own label, of whom
there is a share U(l); then m / u at a level is the sum of a / U over the levels that hold it, and nearer
never weighs less. The a are found by expectation and maximization over all pairs (Dempster, Laird & Rubin
1977; Winkler 1988), where a person has one row or none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from sfumato.evidence.attacks.matching import Claims, posterior
from sfumato.evidence.attacks.pairs import Beside, Pairs, Scored, known_values, resolution

#: People from whom the errors are learned, and the passes over their pairs.
LEARNERS = 300
PASSES = 20
SETTLED = 3e-3
#: What an attacker believes before: errors and near misses in a cell, as if seen in so many people.
WRONG = 0.1
NEAR = 0.1
BELIEF = 5.0
#: Distances that are told apart in a column of numbers.
MOST_LIMITS = 11


@dataclass(frozen=True)
class Levels:
    """The levels of agreement of a column: 0 agrees, then nearer than each limit, the last is anything.

    ``limits`` are distances, rising, shape (levels - 2,).
    """

    column: Beside
    limits: NDArray[np.float64]

    @classmethod
    def of(cls, column: Beside) -> Levels:
        """Limits double from the least difference of two labels up to half their range."""
        none = np.empty(0)
        if column.label_numbers is None or column.covers is not None:
            return cls(column, none)
        known, span = np.unique(column.label_numbers[np.isfinite(column.label_numbers)]), column.span
        if len(known) < 3 or not np.isfinite(span):
            return cls(column, none)
        least = max(float(np.diff(known).min()), span / 2**MOST_LIMITS)
        limits = least * 2.0 ** np.arange(MOST_LIMITS) * (1 + 1e-9)
        return cls(column, limits[limits < span / 2])

    @property
    def count(self) -> int:
        """The number of levels."""
        return len(self.limits) + 2

    @property
    def belief(self) -> NDArray[np.float64]:
        """What is believed of a before anything is seen, shape (levels,)."""
        near = np.full(len(self.limits), NEAR / max(1, len(self.limits)))
        return np.asarray(np.r_[1 - WRONG - near.sum(), near, WRONG])

    @property
    def tabled(self) -> bool:
        """Whether the level of a pair is more than whether a value is the label."""
        return bool(len(self.limits)) or self.column.covers is not None

    def at(self, values: NDArray[np.int64]) -> NDArray[np.int8]:
        """The level of some values with all labels, shape (values, labels)."""
        from sfumato.evidence.attacks.pair_kernels import near_levels

        if self.column.covers is not None:
            return np.where(self.column.covers(values), 0, 1).astype(np.int8)
        assert self.column.value_numbers is not None and self.column.label_numbers is not None
        found = near_levels(self.column.value_numbers[values], self.column.label_numbers, self.limits)
        codes = self.column.codes[values]
        found[np.flatnonzero(codes >= 0), codes[codes >= 0]] = 0
        return found

    @cached_property
    def within(self) -> NDArray[np.float64]:
        """U: the share of released people at each level of each label or nearer, shape (labels, levels)."""
        shares = self.column.shares
        found = np.ones((len(shares), self.count))
        found[:, 0] = np.clip(shares, 1e-12, 1.0)
        if len(self.limits):
            assert self.column.label_numbers is not None
            number = self.column.label_numbers
            order = np.argsort(number, kind="stable")  # NaN last
            known = number[order][: int(np.isfinite(number).sum())]
            mass = np.r_[0.0, np.cumsum(shares[order])]
            for level, limit in enumerate(self.limits, start=1):
                low = np.searchsorted(known, number - limit, side="left")
                high = np.searchsorted(known, number + limit, side="right")
                near = np.where(np.isfinite(number), mass[high] - mass[np.minimum(low, high)], 0.0)
                found[:, level] = np.clip(np.maximum(near, found[:, level - 1]), 1e-12, 1.0)
        return found

    def ratios(self, mixture: NDArray[np.float64]) -> NDArray[np.float64]:
        """m / u of each label and level, shape (labels, levels)."""
        return np.asarray(np.cumsum((mixture / self.within)[:, ::-1], axis=1)[:, ::-1])

    def scored(self, mixture: NDArray[np.float64], at: NDArray[np.int8] | None = None) -> Scored:
        """The weights of pairs; ``at`` are the levels of the values that will be asked for, if known."""
        weights = np.log(self.ratios(mixture))
        every, most = np.arange(len(weights)), float(np.abs(weights).max(initial=0.0))

        def table(values: NDArray[np.int64]) -> NDArray[np.float64]:
            return np.asarray(weights[every, self.at(values) if at is None else at])

        return Scored(weights[:, 0], float(np.log(mixture[-1])), table if self.tabled else None, most)

    def learned(self, expected: NDArray[np.float64], mixture: NDArray[np.float64]) -> NDArray[np.float64]:
        """The mixture that makes most of what is expected.

        Args:
            expected: how many own rows are expected at each label and level, shape (labels, levels).
            mixture: with which that was expected.
        """
        at_level = expected / self.ratios(mixture)
        # A pair at a level may come from that level or from any wider one.
        from_level = np.cumsum(at_level, axis=1) * mixture / self.within
        total = from_level.sum(axis=0) + BELIEF * self.belief
        return np.asarray(total / total.sum())


def claim_probable(
    pairs: Pairs, mixtures: Sequence[NDArray[np.float64]], own: NDArray[np.int32] | None = None
) -> tuple[Claims, NDArray[np.float64]]:
    """The claims of an attacker who weighs agreement by what :func:`learn` found.

    Returns:
        The claims, and the weight of each person with the own row (label codes, shape (people, columns)).
    """
    levels = [Levels.of(column) for column in pairs.columns]
    found = pairs.best([level.scored(a) for level, a in zip(levels, mixtures, strict=True)], own)
    confidence = posterior(found.score, np.maximum(found.mass, 1.0), int(pairs.sizes.sum()))
    nothing = np.zeros(len(found.rows), dtype=bool)
    return Claims(found.score, found.rows, confidence, nothing), found.own


def learn(pairs: Pairs) -> list[NDArray[np.float64]]:
    """For each column how often a register cell agrees, is near, or is anything: a, shape (levels,).

    At most :data:`LEARNERS` people are looked at, the first of the register.
    """
    levels = [Levels.of(column) for column in pairs.columns]
    mixtures = [level.belief for level in levels]
    if not len(pairs.sizes) or not len(pairs.people) or not levels:
        return mixtures
    scored = [level.scored(a) for level, a in zip(levels, mixtures, strict=True)]
    teachers = pairs[: min(LEARNERS, pairs.affordable(scored))]
    at = [
        level.at(known_values(people)) if level.tabled else np.zeros((1, len(level.within)), dtype=np.int8)
        for level, people in zip(levels, teachers.people.T, strict=True)
    ]
    for _ in range(PASSES):
        expected = _expected(teachers, levels, at, mixtures)
        found = [level.learned(*seen) for level, *seen in zip(levels, expected, mixtures, strict=True)]
        moved = max(float(np.abs(new - old).max()) for new, old in zip(found, mixtures, strict=True))
        mixtures = found
        if moved < SETTLED:
            break
    return mixtures


def _expected(
    pairs: Pairs,
    levels: Sequence[Levels],
    at: Sequence[NDArray[np.int8]],
    mixtures: Sequence[NDArray[np.float64]],
) -> list[NDArray[np.float64]]:
    """How many own rows are expected at each label and level of each column."""
    from sfumato.evidence.attacks.pair_kernels import expected_levels

    scored = [level.scored(a, known) for level, a, known in zip(levels, mixtures, at, strict=True)]
    bits = resolution(scored)
    layout = pairs.layout(scored, bits, pairs.people, np.arange(len(levels)))
    flat = np.concatenate([known.ravel() for known in at])
    counts = np.array([level.count for level in levels], dtype=np.int64)
    places = np.cumsum([0, *(level.within.size for level in levels)], dtype=np.int64)
    found = expected_levels(
        layout.people, layout.tabled, layout.flat, flat, layout.starts, layout.widths, layout.misses,
        pairs.classes, pairs.sizes, bits, places, counts,
    )  # fmt: skip
    return [
        found[place : place + level.within.size].reshape(level.within.shape)
        for place, level in zip(places[:-1], levels, strict=True)
    ]
