"""Rows that made ones repeat but for trifles, one by one and all of a person's together.

Two rows are near if they say the same in all that is no number, and differ by at most 5 % in each number and
half a hundredth of the range in each time. All rows of two people are if they are as many and near in the
order of what they say, those after the first few on average.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sfumato.contracts import PERSON, Tables
from sfumato.core.keyed import draws
from sfumato.evidence.attacks.repeats import (
    CHANCE,
    EXPECTED,
    HIT,
    MADE,
    OTHER,
    OTHERS,
    OWN,
    ROW,
    ROWS,
    SHARING,
    SIDE,
    TAUGHT,
    Found,
    Repeats,
    beyond_chance,
    codes,
    own,
    seen_once,
)
from sfumato.evidence.attacks.trifles import APART, TIME, middle_size, near, placed, sized
from sfumato.evidence.features import numbers

#: The rows of a person that are compared one by one.
SHOWN = 6
#: The part of times, at either end, that their range is taken without.
_ENDS = 0.01
#: How wide boxes are in which rows are about near, and in which it is seen how many are around; near is 2.
_NEAR, _AROUND = 2.0, 8.0
#: So many near rows are looked at first; more where they are all of one person.
_FIRST = 8
_LABELS, _PLACE, _SAME = "__sfumato_labels__", "__sfumato_place__", "__sfumato_same__"
_BOX, _WIDE = "__sfumato_box__", "__sfumato_wide__"


@dataclass(frozen=True)
class NearRepeats:
    """The rows of a table in each person's order: side, person, a number for all that is no number, and
    coordinates in columns that ``places`` names, within one of each other if they are a trifle apart;
    ``people`` are the numbers of who taught and of others, with rows or without."""

    repeats: Repeats
    rows: pl.DataFrame
    places: tuple[str, ...]
    people: Mapping[int, pl.Series]

    @classmethod
    def of(cls, tables: Tables, name: str, columns: Sequence[str], repeats: Repeats) -> NearRepeats:
        """The rows of a table in some of its columns, as ``repeats`` has them."""
        sides = tables.taught, tables.made, tables.others
        parts = [side[name].select(PERSON, *columns) for side in sides]
        table = pl.concat(
            [part.with_columns(pl.lit(side, pl.Int8).alias(SIDE)) for side, part in enumerate(parts)]
        )
        labels = [pl.zeros(table.height, pl.UInt32, eager=True).alias(_LABELS)]
        found, places = table.select(SIDE, PERSON), list[str]()
        for place, column in enumerate(columns):
            figures = numbers(table[column])
            if figures is None:
                labels.append(codes(table[column]).alias(f"__sfumato_label {place}__"))
                continue
            where = _scaled(figures, parts[0].height, is_time=table[column].dtype.is_temporal())
            places.append(f"__sfumato_at {place}__")
            found = found.with_columns(pl.Series(places[-1], placed(where)))
        found = found.with_columns(_kinds(pl.DataFrame(labels)).alias(_LABELS))
        people = {side: sides[side][tables.people][PERSON] for side in (TAUGHT, OTHERS)}
        return cls(repeats, found.sort(SIDE, PERSON, _LABELS, *places), tuple(places), people)

    def by_whole(self) -> tuple[Found, Found]:
        """Who has two rows or more that are a made person's but for trifles, and nobody else's who taught is
        as near, where chance would hardly do it."""
        whole, points = self._people()
        side = whole[SIDE].to_numpy()
        taught, made = (points[side == one] for one in (TAUGHT, MADE))
        known, mine = side != MADE, side[side != MADE] == TAUGHT
        people = whole.filter(pl.Series(known)).with_columns(
            # Whoever taught is near to itself.
            pl.Series(SHARING, np.maximum(near(points[known], taught, 3), mine).astype(np.int64)),
            pl.Series(HIT, near(points[known], made, 1) > 0),
        )
        found = self.repeats.expecting(people, self._about_near())
        alone = own(found) & (found[EXPECTED].to_numpy() < CHANCE)
        return self.repeats.counted(found[SIDE], alone & found[HIT].to_numpy(), alone)

    def by_row(self, most: int, key: bytes) -> tuple[Found, Found]:
        """Who has more rows repeated but for trifles than chance would do, of those that no row of anybody
        else who taught is as near to.

        How many are to be expected follows from how many there are around, and from what Good says.

        Args:
            most: so many people of each side are looked at, a keyed sample.
        """
        mine = (pl.col(SIDE) == TAUGHT).cast(pl.Int64)
        rows = self.rows.with_columns(self._boxes(_NEAR).alias(_BOX), self._boxes(_AROUND).alias(_WIDE))
        rows = rows.with_columns(
            mine.sum().over(_WIDE).alias(ROWS) - pl.len().over(SIDE, PERSON, _WIDE) * mine,
            pl.col(PERSON).rank("dense").over(SIDE).cast(pl.Int64).alias(OWN) * mine,
        )
        taught, made = (rows.filter(pl.col(SIDE) == side) for side in (TAUGHT, MADE))
        chosen = pl.concat([_drawn(people, side, most, key) for side, people in self.people.items()])
        # Rows of a person that are near to each other are one.
        asked = rows.join(chosen, on=[SIDE, PERSON], how="semi", maintain_order="left")
        asked = asked.unique([SIDE, PERSON, _BOX], keep="first", maintain_order=True)
        points, theirs = self._points(asked), self._points(taught)
        others, other = _others(points, asked[OWN].to_numpy(), theirs, taught[OWN].to_numpy())
        found = asked.with_columns(
            pl.Series(SHARING, others) + mine,
            pl.Series(OTHER, other),
            pl.Series(HIT, near(points, self._points(made), 1) > 0),
        )
        ratio, part = made.height / max(1, taught.height), (_NEAR / _AROUND) ** len(self.places)
        around = ratio * part * np.maximum(asked[ROWS].to_numpy() - others, 0)
        found = found.with_columns(pl.Series(EXPECTED, seen_once(around, found, ratio)))
        of = {side: min(most, len(people)) for side, people in self.people.items()}
        many = self.repeats.people
        sampled = replace(self.repeats, people=(of[TAUGHT], many[MADE], of[OTHERS]))
        return sampled.counted(*beyond_chance(found, many[MADE] / max(1, many[TAUGHT]), of[TAUGHT]))

    def _points(self, rows: pl.DataFrame) -> NDArray[np.float64]:
        """Shape (rows, coordinates)."""
        found = rows.select(pl.col(_LABELS).cast(pl.Float64) * APART, *self.places)
        return np.ascontiguousarray(found.to_numpy())

    def _people(self) -> tuple[pl.DataFrame, NDArray[np.float64]]:
        """Everybody with two rows or more: side, person, how many; points, shape (people, coordinates)."""
        rows = self.rows.with_columns(
            pl.len().cast(pl.Int64).over(SIDE, PERSON).alias(ROWS),
            pl.int_range(pl.len()).over(SIDE, PERSON).alias(_PLACE),
        )
        first = [
            pl.col(name).filter(pl.col(_PLACE) == place).first().alias(f"{name}{place}")
            for name in self.places
            for place in range(SHOWN)
        ]
        later = [
            pl.col(name).filter(pl.col(_PLACE) >= SHOWN).mean().alias(f"{name}+") for name in self.places
        ]
        labels = pl.col(_LABELS).cast(pl.String).str.join("+")
        people = rows.filter(pl.col(ROWS) > 1).group_by(SIDE, PERSON, maintain_order=True)
        found = people.agg(pl.col(ROWS).first(), labels, *first, *later)
        kind = found[_LABELS].rank("dense").cast(pl.Float64) * APART
        points = found.select(kind, pl.exclude(SIDE, PERSON, ROWS, _LABELS).fill_null(0.0)).to_numpy()
        return found.select(SIDE, PERSON, ROWS), np.ascontiguousarray(points)

    def _about_near(self) -> pl.DataFrame:
        """Rows of people; those that are about near say the same, and one that is near to no other is
        expected as often as any single one."""
        boxed = self.rows.with_columns(self._boxes(_NEAR).alias(ROW)).filter(pl.col(SIDE) != MADE)
        told = boxed.group_by(SIDE, PERSON, ROW, maintain_order=True).agg(pl.len().cast(pl.Int64).alias(OWN))
        taught = max(1, boxed.filter(pl.col(SIDE) == TAUGHT).height)
        return told.with_columns(pl.lit(self.repeats.made.height / taught).alias(EXPECTED))

    def _boxes(self, width: float) -> pl.Series:
        """A number for the box in which each row lies."""
        return _kinds(self.rows.select(_LABELS, *((pl.col(name) / width).floor() for name in self.places)))


def _kinds(columns: pl.DataFrame) -> pl.Series:
    """A number for each row, the same where columns say the same."""
    numbered = columns.unique(maintain_order=True).with_row_index(_SAME)
    return columns.join(numbered, on=columns.columns, how="left", maintain_order="left")[_SAME]


def _drawn(people: pl.Series, side: int, most: int, key: bytes) -> pl.DataFrame:
    """A keyed sample of a side's people."""
    chosen = people.gather(np.argsort(draws(key, people.to_numpy()), kind="stable")[:most])
    return pl.DataFrame(
        {SIDE: pl.Series([side], dtype=pl.Int8).new_from_index(0, len(chosen)), PERSON: chosen}
    )


def _scaled(figures: NDArray[np.float64], taught: int, *, is_time: bool) -> NDArray[np.float64]:
    """Numbers, those of who taught first, so that within one of each other are those a trifle apart."""
    known = figures[:taught][np.isfinite(figures[:taught])]
    if not is_time:
        return sized(figures, middle_size(known))
    low, high = np.quantile(known, [_ENDS, 1 - _ENDS]) if len(known) else (0.0, 0.0)
    return np.asarray((figures - low) / max(TIME * (high - low), 1.0))


def _others(
    points: NDArray[np.float64], own: NDArray[np.int64], rows: NDArray[np.float64], of: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """How many people other than its own have rows near to each point, counted up to 2, and one of them.

    Args:
        own: whose each point is, 0 of nobody's who has rows.
        of: whose each row is.
    """
    from scipy.spatial import cKDTree

    found, one = np.zeros((2, len(points)), dtype=np.int64)
    if not len(rows) or not len(points):
        return found, one
    tree, left, many = cKDTree(rows), np.arange(len(points)), min(_FIRST, len(rows))
    while len(left):
        away, at = tree.query(points[left], k=range(1, many + 1), p=np.inf, distance_upper_bound=1 + 1e-9)
        there = np.isfinite(away)
        whose = np.where(there, np.append(of, 0)[at], 0)
        other = there & (whose != own[left, None])
        first = whose[np.arange(len(left)), other.argmax(axis=1)]
        one[left] = first
        found[left] = other.any(axis=1).astype(np.int64) + (other & (whose != first[:, None])).any(axis=1)
        # Where all that were seen are of one person or two, there may be more.
        left = left[there[:, -1] & (found[left] < 2)] if many < len(rows) else left[:0]
        many = min(many * _FIRST, len(rows))
    return found, one
