"""The chance that more people than are spared are in parts that fail."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
#: Parts by their people and their chances to fail, shape (runs,).
Parts = Sequence[tuple[int, Floats]]
#: Cases at a time, which bounds the memory.
_CASES = 64


@dataclass(frozen=True)
class Odds:
    """In each of some runs the chances of 0, 1, ... people in parts that fail, as many as are spared.

    ``few`` has shape (runs, spared + 1), ``many``, the chances of more, (runs,).
    """

    few: Floats
    many: Floats

    @classmethod
    def none(cls, spared: int, runs: int) -> Odds:
        """No part, so that nobody is in one that fails."""
        few = np.zeros((runs, spared + 1))
        few[:, 0] = 1.0
        return cls(few, np.zeros(runs))

    def with_parts(self, parts: Parts) -> Odds:
        """With more parts.

        >>> Odds.none(2, 1).with_parts([(2, np.array([0.5])), (1, np.array([0.5]))]).many
        array([0.25])
        """
        few, many = self.few, self.many
        for people, chance in parts:
            many = many + few[:, max(0, few.shape[1] - people) :].sum(axis=1) * chance
            after = few * (1 - chance)[:, None]
            after[:, people:] += few[:, : max(0, few.shape[1] - people)] * chance[:, None]
            few = after
        return Odds(few, many)

    def with_each(self, groups: Mapping[int, Parts]) -> Iterator[tuple[int, Odds]]:
        """Each group with the odds of all others."""
        names = list(groups)
        if len(names) <= 1:
            yield from ((name, self) for name in names)
            return
        halves = names[: len(names) // 2], names[len(names) // 2 :]
        for own, other in (halves, halves[::-1]):
            rest = self.with_parts([part for name in other for part in groups[name]])
            yield from rest.with_each({name: groups[name] for name in own})

    def passed(self, sizes: Sequence[int], chances: Sequence[Floats]) -> Floats:
        """The chance of too many people with parts of such sizes, whose chances have shape (runs, cases)."""
        # By how many people are in the new parts that fail, one more than spared standing for all there are.
        over = np.cumsum(np.hstack([self.many[:, None], self.few[:, ::-1]]), axis=1)
        most = min(self.few.shape[1], sum(sizes)) + 1
        found = []
        for start in range(0, chances[0].shape[1], _CASES):
            sums = np.zeros((most, *chances[0][:, start : start + _CASES].shape))
            sums[0] = 1.0
            for people, chance in zip(sizes, chances, strict=True):
                failing = sums * chance[:, start : start + _CASES]
                sums = sums - failing
                stay = max(0, most - people)
                sums[most - stay :] += failing[:stay]
                sums[-1] += failing[stay:].sum(axis=0)
            found.append(np.einsum("rn,nrc->rc", over[:, :most], sums))
        return np.hstack(found)
