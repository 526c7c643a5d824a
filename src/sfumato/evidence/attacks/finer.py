"""Tables one level finer than a release, and the chance that they would have done.

Who is in which part of a class is known from the quasi-identifiers, who has which value of a sensitive column
is not: every way to deal the values of a class to its people is as likely.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import comb

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sfumato.contracts import COUNT, Comparison
from sfumato.core.keyed import derive
from sfumato.evidence.attacks.failing import RUNS, UNSEEN, Failing, failing
from sfumato.evidence.attacks.odds import Odds
from sfumato.evidence.attacks.partings import Promise, breaks, breaks_given
from sfumato.evidence.attacks.secret_classes import located
from sfumato.evidence.attacks.spreads import Close, Scale, well_spread

#: A finer table as sure to fail as this for anybody says nothing.
SURE = 0.9999
#: Parts of classes worked out, the likeliest to fail first, and steps that this may take; that others cannot
#: fail makes what these give away rather more than it is.
MOST_PARTS = 200
STEPS = 15_000
#: Swaps that count as a step.
_A_STEP = 1_000
_TINY = 1e-300


@dataclass(frozen=True)
class Asked:
    """What the privacy models ask: people at least, and a promise for each sensitive column."""

    people: int
    promises: Mapping[str, Promise]

    @property
    def adds_up(self) -> bool:
        """Whether no chance has to be sampled."""
        return all(promise.adds_up for promise in self.promises.values())

    @property
    def close(self) -> list[Close]:
        """How close columns are to be to the whole table."""
        return [one for promise in self.promises.values() for one in promise.close]


@dataclass(frozen=True)
class Groups:
    """Some grouping of the people: its sizes, and of each sensitive column who has which value.

    ``of`` is the group of each tuple; ``pairs`` has for each column the groups, the values and the people of
    each pair that occurs, in ascending order; ``scales`` what the whole table has of it.
    """

    of: NDArray[np.int64]
    sizes: NDArray[np.int64]
    pairs: Mapping[str, tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]]
    scales: Mapping[str, Scale]

    @classmethod
    def by(
        cls,
        of: NDArray[np.int64],
        people: NDArray[np.int64],
        secrets: Mapping[str, NDArray[np.int64]],
        scales: Mapping[str, Scale],
    ) -> Groups:
        """Of tuples that so many people have, with the code of each tuple's value in sensitive columns."""
        pairs = {}
        for name, codes in secrets.items():
            width = int(codes.max(initial=0)) + 1
            both, at = np.unique(of * width + codes, return_inverse=True)
            pairs[name] = both // width, both % width, np.bincount(at, people).astype(np.int64)
        return cls(of, np.bincount(of, people).astype(np.int64), pairs, scales)

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
            if not promise.adds_up:
                whole = self.scales[name].contingency(*self.pairs[name], many)
                held &= well_spread(whole, promise.tails, promise.close)
        return held

    def contents(self, name: str, group: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The values in a group and the people who have each."""
        groups, values, people = self.pairs[name]
        start, stop = np.searchsorted(groups, [group, group + 1])
        return values[start:stop], people[start:stop]


@dataclass(frozen=True)
class Table:
    """The people by classes, as the attacker sees them and as they are.

    ``shown`` is what the released classes together have of each sensitive column, all that the attacker knows
    of the whole table; ``key`` is for draws.
    """

    frame: pl.DataFrame
    people: NDArray[np.int64]
    secrets: Mapping[str, NDArray[np.int64]]
    classes: Groups
    held: NDArray[np.bool_]
    shown: Mapping[str, Scale]
    key: bytes

    @classmethod
    def of(cls, comparison: Comparison, columns: Sequence[str], asked: Asked) -> Table:
        """From a count of the original rows."""
        counted = comparison.count_original([*dict.fromkeys([*columns, *asked.promises])])
        described = comparison.describe(counted.drop(COUNT))
        people = counted[COUNT].cast(pl.Int64).to_numpy()
        secrets, scales = {}, {}
        for name in asked.promises:
            values = described[name].unique().sort(nulls_last=True)
            secrets[name] = located(described.select(name), values.to_frame())
            tree = None if comparison.tree is None else comparison.tree(name, values)
            scales[name] = Scale(_counted(secrets[name], people, len(values)), tree)
        classes = Groups.by(numbered(described.select(columns)), people, secrets, scales)
        held = classes.holds(asked)
        kept = np.where(held[classes.of], people, 0)
        shown = {
            name: replace(scale, overall=_counted(secrets[name], kept, len(scale.overall)))
            for name, scale in scales.items()
        }
        return cls(counted.drop(COUNT), people, secrets, classes, held, shown, comparison.key)

    @property
    def suppressed(self) -> int:
        """The people of classes that do not hold."""
        return int(self.classes.sizes[~self.held].sum())


@dataclass(frozen=True)
class Finer:
    """One column a level finer: the parts of classes that are large enough, and how many rows may fail.

    ``column`` is the finer one; ``inside`` is the class that each part lies in, ``open`` says whether its
    fate depends on the secrets. With at most ``spare`` people in open parts that fail the table would have
    done. Chances have the shape (runs,), one where none is sampled. ``steps`` is the work that may be done.
    """

    table: Table
    asked: Asked
    column: str
    groups: Groups
    inside: NDArray[np.int64]
    open: NDArray[np.bool_]
    spare: int
    steps: int
    _sampled: dict[tuple[str, int], Failing] = field(default_factory=dict, repr=False)

    @classmethod
    def of(
        cls, table: Table, asked: Asked, column: str, labels: pl.Series, limit: int, steps: int = STEPS
    ) -> Finer | None:
        """None where this table tells nothing: it would have done, or some of its classes are too small."""
        classes = table.classes.of
        parts = numbered(pl.DataFrame([pl.Series("class", classes), labels.alias("label")]))
        groups = Groups.by(parts, table.people, table.secrets, table.classes.scales)
        inside = np.zeros(len(groups.sizes), dtype=np.int64)
        inside[parts] = classes
        fails = ~groups.holds(asked) | ~table.held[inside]
        surely = (groups.sizes < asked.people) | ~table.held[inside]
        spare = limit - int(groups.sizes[surely].sum())
        if spare < 0 or groups.sizes[fails].sum() <= limit:
            return None
        some = groups.sizes < table.classes.sizes[inside]
        return cls(table, asked, column, groups, inside, ~surely & some, spare, steps)

    @cached_property
    def runs(self) -> int:
        """How often each chance is worked out."""
        return 1 if self.asked.adds_up else 1 + RUNS

    @cached_property
    def likely(self) -> dict[int, NDArray[np.float64]]:
        """The parts that may fail with their chances; none if it is sure that enough of them fail."""
        chances, enough, _ = self._weighed
        return {} if enough > SURE else chances

    @property
    def unexplained(self) -> bool:
        """Whether no parts were found that could have made this table fail, though it did."""
        return self._weighed[1] <= 0

    @property
    def cut(self) -> bool:
        """Whether something is said though parts were left out for the work that they are."""
        return bool(self.likely) and self._weighed[2]

    @property
    def sampled(self) -> bool:
        """Whether chances were sampled of which something is said."""
        return bool(self.likely) and any(not found.exact for found in self._sampled.values())

    @cached_property
    def _weighed(self) -> tuple[dict[int, NDArray[np.float64]], float, bool]:
        """Parts that may fail, the chance that more are in them than are spared, and are there others?"""
        bounds = np.zeros(len(self.inside))
        for name, promise in self.asked.promises.items():
            bounds = np.maximum(bounds, self._bounds(name, promise))
        order = np.argsort(-bounds, kind="stable")
        chances: dict[int, NDArray[np.float64]] = {}
        odds, steps, cut = Odds.none(self.spare, self.runs), 0, False
        least = 0.0 if self.asked.adds_up else UNSEEN
        for part in order[bounds[order] > least].tolist():
            cut = steps > self.steps or len(chances) == MOST_PARTS
            if cut or odds.many[0] > SURE:
                break
            chance = self._fails(part)
            steps += self._steps(part)
            if chance[0] > 0:
                chances[part] = chance
                odds = odds.with_parts([(int(self.groups.sizes[part]), chance)])
        return chances, float(odds.many[0]), cut

    def _steps(self, part: int) -> int:
        """What a part took."""
        found = 0
        for name, promise in self.asked.promises.items():
            if promise.adds_up:
                found += int(self.groups.sizes[part]) * len(self._contents(name, part))
            else:
                found += self._failing(name, part).work // _A_STEP
        return found

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
        for t, distance in promise.close:
            here = self.table.shown[name].distances(distance, *self.table.classes.pairs[name], len(whole))
            # No distance is greater than the equal one (Bretagnolle, Huber & Carol for a part and its class).
            room = np.maximum(0.0, t - here[at])
            found[parts] += np.exp(np.minimum(700.0, widths * np.log(2) - 2 * drawn * room**2))
        return found

    def _fails(self, part: int) -> NDArray[np.float64]:
        """The chance that a part fails; its columns' secrets are taken as independent."""
        return _either([self._breaks(name, part) for name in self.asked.promises])

    def _breaks(self, name: str, part: int) -> NDArray[np.float64]:
        promise = self.asked.promises[name]
        if not promise.adds_up:
            return self._failing(name, part).chance
        drawn = int(self.groups.sizes[part])
        return np.full(self.runs, breaks(self._contents(name, part), drawn, promise))

    def _fails_given(self, part: int, name: str, inside: bool) -> NDArray[np.float64]:
        """:meth:`_fails` if somebody, inside the part or not, has a value of the class, (runs, values)."""
        others = [self._breaks(other, part)[:, None] for other in self.asked.promises if other != name]
        return _either([self._breaks_given(part, name, inside), *others])

    def _breaks_given(self, part: int, name: str, inside: bool) -> NDArray[np.float64]:
        drawn, promise = int(self.groups.sizes[part]), self.asked.promises[name]
        contents = self._contents(name, part)
        if not promise.adds_up:
            return self._failing(name, part).given(np.array(contents), drawn, inside=inside)
        each = {many: breaks_given(contents, drawn, promise, many, inside) for many in set(contents)}
        return np.tile([each[many] for many in contents], (self.runs, 1))

    def _failing(self, name: str, part: int) -> Failing:
        found = self._sampled.get((name, part))
        if found is None:
            values, people = self.table.classes.contents(name, int(self.inside[part]))
            found = failing(
                values,
                people,
                int(self.groups.sizes[part]),
                self.asked.promises[name],
                self.table.shown[name],
                derive(self.table.key, "minimality", self.column, name, str(part)),
            )
            self._sampled[name, part] = found
        return found

    def _contents(self, name: str, part: int) -> list[int]:
        found: list[int] = self.table.classes.contents(name, int(self.inside[part]))[1].tolist()
        return found

    def posteriors(
        self, name: str
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]]:
        """For parts that the choice says the same of: their numbers, values and their probabilities.

        These have shape (runs, values), and are NaN in a run that has no explanation.
        """
        chances, groups = self.likely, dict[int, list[int]]()
        for part in chances:
            groups.setdefault(int(self.inside[part]), []).append(part)
        parts = {
            here: [(int(self.groups.sizes[part]), chances[part]) for part in own]
            for here, own in groups.items()
        }
        for here, odds in Odds.none(self.spare, self.runs).with_each(parts):
            own, sizes = groups[here], [size for size, _ in parts[here]]
            values, people = self.table.classes.contents(name, here)
            given = {
                (part, inside): self._fails_given(part, name, inside)
                for part in own
                for inside in (False, True)
            }
            # Of all who are in none of the parts that may fail the same is known.
            others = np.setdiff1d(np.flatnonzero(self.inside == here), own)
            for where in [np.array([part]) for part in own] + [others] * bool(len(others)):
                shares = people * odds.passed(sizes, [given[part, part in where] for part in own])
                total = shares.sum(axis=1, keepdims=True)
                if total[0] > 0:
                    yield where, values, shares / np.where(total > 0, total, np.nan)


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


def _either(chances: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """The chance that one of several independent things happens, right where it is tiny."""
    found = np.zeros_like(chances[0])
    for chance in chances:
        found = found + (1 - found) * chance
    return found


def _counted(codes: NDArray[np.int64], people: NDArray[np.int64], width: int) -> NDArray[np.int64]:
    return np.bincount(codes, people, width).astype(np.int64)


def numbered(frame: pl.DataFrame) -> NDArray[np.int64]:
    """Equal rows by equal numbers from 0, missing values being equal."""
    if not frame.width:
        return np.zeros(frame.height, dtype=np.int64)
    distinct = frame.unique(maintain_order=True)
    return located(frame, distinct)
