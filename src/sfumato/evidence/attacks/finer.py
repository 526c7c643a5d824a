"""Tables one level finer than a release, and the chance that they would have done.

Who is in which part of a class is known from the quasi-identifiers, who has which value of a sensitive column
is not: every way to deal the values of a class to its people is as likely.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import comb

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sfumato.contracts import COUNT, Comparison
from sfumato.evidence.attacks.partings import Promise, breaks, breaks_given
from sfumato.evidence.attacks.secret_classes import located

#: A finer table as sure to fail as this for anybody says nothing.
SURE = 0.9999
#: Parts of classes worked out, the likeliest to fail first, and steps that this may take; that others cannot
#: fail makes what these give away rather more than it is.
MOST_PARTS = 200
STEPS = 15_000
_TINY = 1e-300


@dataclass(frozen=True)
class Asked:
    """What the privacy models ask: people at least, and a promise for each sensitive column."""

    people: int
    promises: Mapping[str, Promise]


@dataclass(frozen=True)
class Groups:
    """Some grouping of the people: its sizes, and of each sensitive column who has which value.

    ``of`` is the group of each tuple; ``pairs`` has for each column the groups, the values and the people of
    each pair that occurs.
    """

    of: NDArray[np.int64]
    sizes: NDArray[np.int64]
    pairs: Mapping[str, tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]]

    @classmethod
    def by(
        cls, of: NDArray[np.int64], people: NDArray[np.int64], secrets: Mapping[str, NDArray[np.int64]]
    ) -> Groups:
        """Of tuples that so many people have, with the code of each tuple's value in sensitive columns."""
        pairs = {}
        for name, codes in secrets.items():
            width = int(codes.max(initial=0)) + 1
            both, at = np.unique(of * width + codes, return_inverse=True)
            pairs[name] = both // width, both % width, np.bincount(at, people).astype(np.int64)
        return cls(of, np.bincount(of, people).astype(np.int64), pairs)

    def holds(self, asked: Asked) -> NDArray[np.bool_]:
        """Which groups keep every promise."""
        held = self.sizes >= asked.people
        for name, promise in asked.promises.items():
            groups, _, people = self.pairs[name]
            most = np.zeros(len(self.sizes), dtype=np.int64)
            np.maximum.at(most, groups, people)
            many = len(self.sizes)
            spread = np.bincount(groups, people * np.log(people), many).astype(np.float64)
            held &= promise.holds(self.sizes, np.bincount(groups, minlength=many), most, spread)
        return held

    def contents(self, name: str, group: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The values in a group and the people who have each."""
        groups, values, people = self.pairs[name]
        start, stop = np.searchsorted(groups, [group, group + 1])
        return values[start:stop], people[start:stop]


@dataclass(frozen=True)
class Table:
    """The people by classes, as the attacker sees them and as they are."""

    frame: pl.DataFrame
    people: NDArray[np.int64]
    secrets: Mapping[str, NDArray[np.int64]]
    classes: Groups
    held: NDArray[np.bool_]

    @classmethod
    def of(cls, comparison: Comparison, columns: Sequence[str], asked: Asked) -> Table:
        """From a count of the original rows."""
        counted = comparison.count_original([*dict.fromkeys([*columns, *asked.promises])])
        described = comparison.describe(counted.drop(COUNT))
        people = counted[COUNT].cast(pl.Int64).to_numpy()
        secrets = {name: numbered(described.select(name)) for name in asked.promises}
        classes = Groups.by(numbered(described.select(columns)), people, secrets)
        return cls(counted.drop(COUNT), people, secrets, classes, classes.holds(asked))

    @property
    def suppressed(self) -> int:
        """The people of classes that do not hold."""
        return int(self.classes.sizes[~self.held].sum())


@dataclass(frozen=True)
class Finer:
    """One column a level finer: the parts of classes that are large enough, and how many rows may fail.

    ``inside`` is the class that each part lies in, ``open`` says whether its fate depends on the secrets.
    With at most ``spare`` people in open parts that fail the table would have done.
    """

    table: Table
    asked: Asked
    groups: Groups
    inside: NDArray[np.int64]
    open: NDArray[np.bool_]
    spare: int

    @classmethod
    def of(cls, table: Table, asked: Asked, labels: pl.Series, limit: int) -> Finer | None:
        """None where this table tells nothing: it would have done, or some of its classes are too small."""
        classes = table.classes.of
        parts = numbered(pl.DataFrame([pl.Series("class", classes), labels.alias("label")]))
        groups = Groups.by(parts, table.people, table.secrets)
        inside = np.zeros(len(groups.sizes), dtype=np.int64)
        inside[parts] = classes
        fails = ~groups.holds(asked) | ~table.held[inside]
        surely = (groups.sizes < asked.people) | ~table.held[inside]
        spare = limit - int(groups.sizes[surely].sum())
        if spare < 0 or groups.sizes[fails].sum() <= limit:
            return None
        return cls(table, asked, groups, inside, ~surely, spare)

    @cached_property
    def likely(self) -> dict[int, float]:
        """The parts that may fail with their chance; none if it is sure that enough of them fail."""
        bounds = np.zeros(len(self.inside))
        for name, promise in self.asked.promises.items():
            bounds = np.maximum(bounds, self._bounds(name, promise))
        order = np.argsort(-bounds, kind="stable")
        chances: dict[int, float] = {}
        state, steps = _none(self.spare), 0
        for part in order[bounds[order] > 0][:MOST_PARTS].tolist():
            if steps > STEPS:
                break
            steps += int(self.groups.sizes[part]) * sum(
                len(self._contents(name, part)) for name in self.asked.promises
            )
            chances[part] = self._fails(part)
            state = _with_parts(state, [(int(self.groups.sizes[part]), chances[part])])
            if state[1] > SURE:
                return {}
        return {part: chance for part, chance in chances.items() if chance > 0}

    def _bounds(self, name: str, promise: Promise) -> NDArray[np.float64]:
        """No part fails with a greater chance: Hoeffding (1963) for each value, and for few values."""
        groups, _, people = self.table.classes.pairs[name]
        whole = self.table.classes.sizes
        found = np.zeros(len(self.inside))
        parts = np.flatnonzero(self.open)
        at = self.inside[parts]
        drawn = self.groups.sizes[parts]
        starts = np.searchsorted(groups, np.arange(len(whole) + 1))
        widths = (starts[1:] - starts[:-1])[at]
        each = np.repeat(np.arange(len(parts)), widths)
        offset = np.arange(len(each)) - np.repeat(np.cumsum(widths) - widths, widths)
        share = people[starts[at][each] + offset] / whole[at][each]
        over = (np.floor(promise.heaviest * drawn + 1e-9) + 1)[each] / drawn[each]
        tails = np.where(over > 1, 0.0, np.exp(-drawn[each] * _divergence(over, share)))
        found[parts] = np.bincount(each, tails, len(parts))
        if promise.least > 1:
            order = np.lexsort((-share, each))
            top = share[order] * (
                (np.arange(len(each)) - (np.cumsum(widths) - widths)[each]) < promise.least - 1
            )
            heaviest = np.minimum(1.0, np.bincount(each, top, len(parts)))
            ways = np.array([_choose(int(width), promise.least - 1) for width in widths], dtype=np.float64)
            # Without replacement it is less likely still that all are of few values.
            found[parts] += ways * heaviest**drawn
        return found

    def _fails(self, part: int) -> float:
        """The chance that a part fails; its columns' secrets are taken as independent."""
        drawn = int(self.groups.sizes[part])
        return _either(
            [breaks(self._contents(name, part), drawn, asked) for name, asked in self.asked.promises.items()]
        )

    def _fails_given(self, part: int, name: str, people: int, inside: bool) -> float:
        """:meth:`_fails` if somebody has a value that so many people of the class have."""
        drawn, found = int(self.groups.sizes[part]), []
        for other, promise in self.asked.promises.items():
            contents = self._contents(other, part)
            if other == name:
                found.append(breaks_given(contents, drawn, promise, people, inside))
            else:
                found.append(breaks(contents, drawn, promise))
        return _either(found)

    def _contents(self, name: str, part: int) -> list[int]:
        found: list[int] = self.table.classes.contents(name, int(self.inside[part]))[1].tolist()
        return found

    def posteriors(self, name: str) -> Iterator[tuple[int, NDArray[np.float64]]]:
        """For each part that the choice says something of: its number, the probabilities of values."""
        chances = self.likely
        for here in sorted({int(self.inside[part]) for part in chances}):
            own = [part for part in chances if self.inside[part] == here]
            others = [part for part in chances if self.inside[part] != here]
            state = _with_parts(_none(self.spare), self._weighed(others, [chances[part] for part in others]))
            people = self.table.classes.contents(name, here)[1]
            for part in np.flatnonzero(self.inside == here).tolist():
                likelier = {
                    many: _with_parts(state, self._weighed(own, self._given(own, part, name, many)))[1]
                    for many in set(people.tolist())
                }
                shares = people * np.array([likelier[many] for many in people.tolist()])
                if shares.sum() > 0:
                    yield part, shares / shares.sum()

    def _given(self, parts: Sequence[int], where: int, name: str, people: int) -> list[float]:
        """The chances of parts to fail if somebody in one of the class has a value of so many people."""
        return [self._fails_given(part, name, people, part == where) for part in parts]

    def _weighed(self, parts: Sequence[int], chances: Sequence[float]) -> list[tuple[int, float]]:
        return [(int(self.groups.sizes[part]), chance) for part, chance in zip(parts, chances, strict=True)]


def _divergence(share: NDArray[np.float64], of: NDArray[np.float64]) -> NDArray[np.float64]:
    """How unlikely a share is (Kullback & Leibler) that is greater than it should be; else 0."""
    share = np.clip(share, _TINY, 1.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        above = share * np.log(share / of)
        below = np.where(share < 1, (1 - share) * np.log((1 - share) / (1 - of)), 0.0)
    return np.where(share > of, above + below, 0.0)


def _choose(of: int, many: int) -> float:
    """Ways to choose, as far as a float goes."""
    return float(min(comb(of, min(many, of)), 10**300))


def _either(chances: Sequence[float]) -> float:
    """The chance that one of several independent things happens, right where it is tiny."""
    found = 0.0
    for chance in chances:
        found += (1 - found) * chance
    return found


#: The chances of 0, 1, ... people in parts that fail, as many as are spared; and that of more.
_State = tuple[NDArray[np.float64], float]


def _none(spare: int) -> _State:
    """No part, so that nobody is in one that fails."""
    return np.eye(1, spare + 1)[0], 0.0


def _with_parts(state: _State, parts: Sequence[tuple[int, float]]) -> _State:
    """With more parts, of so many people and such a chance to fail each."""
    found, over = state
    for people, chance in parts:
        over += float(found[max(0, len(found) - people) :].sum()) * chance
        after = found * (1 - chance)
        after[people:] += found[: max(0, len(found) - people)] * chance
        found = after
    return found, over


def numbered(frame: pl.DataFrame) -> NDArray[np.int64]:
    """Equal rows by equal numbers from 0, missing values being equal."""
    if not frame.width:
        return np.zeros(frame.height, dtype=np.int64)
    distinct = frame.unique(maintain_order=True)
    return located(frame, distinct)
