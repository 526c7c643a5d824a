"""Rows that are people's own, one by one and all of a person's together, and made ones that repeat them.

Whoever has many rows has some that others have too, and some that a made row repeats by chance. So of each
row that nobody else who taught has, it is worked out how many made ones like it are to be expected; and who
has more of them repeated than chance would do. A person counts once, however many rows there are.

What is to be expected is taken from the other people who taught, in two ways of which the larger counts. The
share of rows alike in all columns but one, times that of those alike in this one; the most over the columns.
And what Good (1953, *Biometrika* 40:237-264) says of kinds that were seen once, from how many were seen
twice, among rows for which the first way says about as much: so that a number is not taken for somebody's own
where any is as rare as the next.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from sfumato.contracts import PERSON, Tables

#: What happens to fewer people than this by chance, chance does not do.
CHANCE = 0.0005
#: So many of those that one person has stand together when those that two have are counted; at most so many
#: such groups.
_GROUP, _GROUPS = 200, 20
#: People who taught, made ones, others.
TAUGHT, MADE, OTHERS = 0, 1, 2
#: Columns: the side, what a row says, how often a person has it, how many who taught do, how many made ones
#: are expected, whether there is one, how many rows a person has, who else who taught has one of two's.
SIDE, ROW, OWN, SHARING = "__sfumato_side__", "__sfumato_row__", "__sfumato_own__", "__sfumato_sharing__"
EXPECTED, HIT, ROWS, OTHER = (
    "__sfumato_expected__",
    "__sfumato_hit__",
    "__sfumato_rows__",
    "__sfumato_other__",
)
_SAME = "__sfumato_same__"

Values = NDArray[np.float64]
Marks = NDArray[np.bool_]


class Found(NamedTuple):
    """Of how many people of a side something was found, of how many it could be, and how many there are."""

    hits: int
    tellable: int
    people: int


@dataclass(frozen=True)
class Repeats:
    """The rows of a table below, each person's different ones once.

    ``rows`` has the columns above for people who taught and for others, ``made`` for made people the first
    three; ``people`` says how many each side has.
    """

    rows: pl.DataFrame
    made: pl.DataFrame
    people: tuple[int, int, int]

    @classmethod
    def of(cls, tables: Tables, name: str, columns: Sequence[str]) -> Repeats:
        """The rows of a table in some of its columns."""
        sides = tables.taught, tables.made, tables.others
        seen, named = _numbered([side[name].select(PERSON, *columns) for side in sides])
        taught, made, others = (side[tables.people].height for side in sides)
        known, written = (seen.filter((pl.col(SIDE) == MADE) == is_made) for is_made in (False, True))
        return cls(
            known.with_columns(pl.Series(EXPECTED, _expected(known, named, written.height))),
            written.select(SIDE, PERSON, ROW, OWN),
            (taught, made, others),
        )

    def by_row(self) -> tuple[Found, Found]:
        """Who has more rows repeated than chance would do, of those that nobody else who taught has."""
        taught, made, _ = self.people
        return self.counted(*beyond_chance(self.rows, made / max(1, taught), taught))

    def by_whole(self) -> tuple[Found, Found]:
        """Who has two rows or more that are exactly a made person's, and nobody else's who taught, where
        chance would hardly do it."""
        whole = self._whole()
        alone, unexpected = own(whole), whole[EXPECTED].to_numpy() < CHANCE
        return self.counted(whole[SIDE], alone & unexpected & whole[HIT].to_numpy(), alone & unexpected)

    def counted(self, side: pl.Series, hit: Marks, tellable: Marks) -> tuple[Found, Found]:
        """Counts of who taught and of others, from marks of some people with their sides."""
        inside, outside = (
            Found(int(hit[of].sum()), int(tellable[of].sum()), self.people[one])
            for one, of in ((one, (side == one).to_numpy()) for one in (TAUGHT, OTHERS))
        )
        return inside, outside

    def _whole(self) -> pl.DataFrame:
        """People with two rows or more, and how many made people with exactly these are to be expected."""
        every = pl.concat([self.rows.select(self.made.columns), self.made])
        whole = (
            every.sort(SIDE, PERSON, ROW)
            .group_by(SIDE, PERSON, maintain_order=True)
            .agg(
                pl.concat_str(ROW, OWN, separator="*").str.join("+").alias(_SAME),
                pl.col(OWN).sum().alias(ROWS),
            )
            .filter(pl.col(ROWS) > 1)
        )
        is_taught, is_made = pl.col(SIDE) == TAUGHT, pl.col(SIDE) == MADE
        whole = whole.with_columns(
            is_taught.sum().over(_SAME).cast(pl.Int64).alias(SHARING), is_made.any().over(_SAME).alias(HIT)
        )
        return self.expecting(whole.filter(~is_made).drop(_SAME), self.rows)

    def expecting(self, whole: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
        """People with how many made ones like them are to be expected.

        By how many people who taught have as many rows, and how many of their rows are like each of
        somebody's, as if rows of a person had nothing to do with each other; and as Good says. Whoever is
        like somebody is left out of both, so that two who are alike say what one alone may expect.

        Args:
            whole: of each person the side, how many rows, and how many people who taught are like them.
            rows: of people what their rows say, how often they do, and how many made ones are expected.
        """
        taught = rows.filter(pl.col(SIDE) == TAUGHT)
        often = taught.group_by(ROW).agg(pl.col(OWN).sum().alias(_SAME))
        each = rows.select(SIDE, PERSON, ROW, OWN, EXPECTED).join(
            whole.select(SIDE, PERSON, ROWS, SHARING), on=[SIDE, PERSON], maintain_order="left"
        )
        each = each.join(often, on=ROW, how="left", maintain_order="left")
        people, times = each[SHARING].to_numpy(), each[OWN].to_numpy()
        total = int(taught[OWN].sum()) - people * each[ROWS].to_numpy()
        share = (each[_SAME].fill_null(0).to_numpy() - people * times) / np.maximum(total, 1)
        alone = each[EXPECTED].to_numpy() / max(self.made.height, 1)
        with np.errstate(divide="ignore"):
            parts = times * np.log(np.clip(share, alone, 1)) - _log_factorial(times)
        by = (
            each.select(SIDE, PERSON, pl.Series(EXPECTED, parts))
            .group_by(SIDE, PERSON, maintain_order=True)
            .sum()
        )
        found = whole.join(by, on=[SIDE, PERSON], maintain_order="left")
        many, like = found[ROWS].to_numpy(), found[SHARING].to_numpy()
        lengths = taught.group_by(PERSON).agg(pl.col(OWN).sum())[OWN].to_numpy()
        counts = np.bincount(lengths, minlength=int(many.max(initial=0)) + 1)
        ratio = self.people[MADE] / max(self.people[TAUGHT], 1)
        with np.errstate(divide="ignore"):
            as_long = np.log(np.maximum(counts[many] - like, 0) * ratio)
        logs = as_long + found[EXPECTED].to_numpy() + _log_factorial(many)
        expected = np.exp(np.minimum(logs, np.log(max(self.people[MADE], 1))))
        return found.with_columns(pl.Series(EXPECTED, seen_once(expected, found, ratio)))


def own(found: pl.DataFrame) -> Marks:
    """What nobody else who taught has."""
    return (found[SHARING] == (found[SIDE] == TAUGHT).cast(pl.Int64)).to_numpy()


def beyond_chance(rows: pl.DataFrame, ratio: float, people: int) -> tuple[pl.Series, Marks, Marks]:
    """Of people with rows of their own their sides, of whom more of these are hit than chance would do, and
    of whom it would be more if all were.

    Chance is that of so many hits or more where so many are expected, as if rows had nothing to do with each
    other (Poisson), and less than that where they have: half as many pairs of people who taught would pass
    for one who repeats the other as may be found by chance.

    Args:
        rows: with all columns; ``OTHER`` is who else has a row that two who taught have.
        ratio: made people for each of who taught.
        people: of who taught so many are looked at.
    """
    alone = rows.filter(pl.Series(own(rows)))
    by = alone.group_by(SIDE, PERSON, maintain_order=True).agg(
        pl.col(HIT).sum(), pl.len().alias(ROWS), pl.col(EXPECTED).sum()
    )
    taught = by.filter(pl.col(SIDE) == TAUGHT).select(PERSON, pl.col(EXPECTED).alias(_SAME))
    both = rows.filter((pl.col(SIDE) == TAUGHT) & (pl.col(SHARING) == 2))
    pairs = (
        both.group_by(PERSON, OTHER, maintain_order=True)
        .agg(pl.len().alias(ROWS), pl.col(EXPECTED).sum())
        .join(taught, on=PERSON, how="left", maintain_order="left")
        .with_columns(pl.col(EXPECTED) + pl.col(_SAME).fill_null(0.0))
    )
    passing = np.sort(_chance(pairs[ROWS], pairs))
    # Of as many pairs a person is found who is made anew.
    allowed = int(CHANCE / 2 * people / ratio) if ratio > 0 else len(passing)
    most = min(CHANCE, float(passing[allowed])) if allowed < len(passing) else CHANCE
    found = (by[HIT] > 0).to_numpy() & (_chance(by[HIT], by) < most)
    return by[SIDE], found, _chance(by[ROWS], by) < most


def _chance(hits: pl.Series, by: pl.DataFrame) -> Values:
    """The chance of so many hits or more where so many are expected; 1 of none."""
    from scipy.special import gammainc

    many = hits.to_numpy().astype(np.float64)
    return np.where(many > 0, gammainc(np.maximum(many, 1), by[EXPECTED].to_numpy()), 1.0)


def seen_once(expected: Values, found: pl.DataFrame, ratio: float) -> Values:
    """What is expected, and no less than Good says of what one person has.

    Args:
        expected: of each row, or person, as worked out in another way.
        found: with their sides, and how many people who taught have the same.
        ratio: made ones for each of who taught.
    """
    taught, sharing = (found[SIDE] == TAUGHT).to_numpy(), found[SHARING].to_numpy()
    once, twice = taught & (sharing == 1), taught & (sharing == 2)
    some = expected[once & (expected > 0)]
    groups = min(_GROUPS, len(some) // _GROUP)
    edges = np.quantile(some, np.arange(1, groups) / groups) if groups else np.zeros(0)
    group = np.where(expected > 0, 1 + np.searchsorted(edges, expected), 0)
    counts = (np.bincount(group[part], minlength=len(edges) + 2) for part in (twice, once))
    pairs, singles = counts
    return np.asarray(np.maximum(expected, (ratio * pairs / np.maximum(singles, 1))[group]))


def _numbered(sides: Sequence[pl.DataFrame]) -> tuple[pl.DataFrame, list[str]]:
    """Each person's different rows with the columns above but what is expected, and with codes of the values
    in columns whose names come along."""
    table = pl.concat(
        [part.with_columns(pl.lit(side, pl.Int8).alias(SIDE)) for side, part in enumerate(sides)]
    )
    nothing = pl.zeros(table.height, pl.UInt32, eager=True)
    told = [codes(table[name]) for name in sides[0].columns[1:]] or [nothing]
    names = [f"__sfumato_code {place}__" for place in range(len(told))]
    coded = table.select(SIDE, PERSON).with_columns(
        each.alias(name) for name, each in zip(names, told, strict=True)
    )
    seen = coded.group_by(SIDE, PERSON, *names, maintain_order=True).agg(pl.len().cast(pl.Int64).alias(OWN))
    like = seen.group_by(names, maintain_order=True).agg(
        (pl.col(SIDE) == TAUGHT).sum().cast(pl.Int64).alias(SHARING), (pl.col(SIDE) == MADE).any().alias(HIT)
    )
    seen = seen.join(like.with_row_index(ROW), on=names, maintain_order="left")
    both = seen.filter((pl.col(SIDE) == TAUGHT) & (pl.col(SHARING) == 2)).select(PERSON, ROW)
    other = both.with_columns(pl.col(PERSON).reverse().over(ROW).alias(OTHER))
    return seen.join(other, on=[PERSON, ROW], how="left", maintain_order="left"), names


def codes(values: pl.Series) -> pl.Series:
    """The place of each value among the different ones; all that is missing is one."""
    plain = values.fill_nan(None) if values.dtype.is_float() else values
    return plain.rank("dense").fill_null(0).cast(pl.UInt32)


def _expected(seen: pl.DataFrame, named: Sequence[str], made: int) -> Values:
    """How many made rows are like each that one or two people have; 0 of others, which nobody asks for."""
    taught = seen.filter(pl.col(SIDE) == TAUGHT)
    rows, mine = taught.height, (pl.col(SIDE) == TAUGHT).cast(pl.Int64)
    few = (pl.col(SHARING) - mine) <= 1
    asked = seen.with_columns(pl.len().over(SIDE, PERSON).alias(ROWS)).filter(few)
    is_mine, sharing = asked.select(mine).to_series().to_numpy(), asked[SHARING].to_numpy()
    most = np.zeros(asked.height)
    for code in named:
        others = [name for name in named if name != code]
        alike = taught.select(PERSON, *others).unique().group_by(others).len(_SAME) if others else None
        like = (
            np.full(asked.height, max(rows, 1))
            if alike is None
            else _looked_up(asked, alike, others) - sharing
        )
        counts = np.bincount(taught[code].to_numpy(), minlength=int(seen[code].max() or 0) + 1)  # type: ignore[arg-type]
        of_person = seen.group_by(SIDE, PERSON, code).len(_SAME)
        theirs = _looked_up(asked, of_person, [SIDE, PERSON, code]) * is_mine
        same = counts[asked[code].to_numpy()] - theirs - (sharing - is_mine)
        left = np.maximum(rows - is_mine * asked[ROWS].to_numpy().astype(np.int64), 1)
        most = np.maximum(most, made * np.maximum(like, 0) / max(rows, 1) * np.maximum(same, 0) / left)
    found = np.zeros(seen.height)
    found[seen.select(few).to_series().to_numpy()] = seen_once(most, asked, made / max(rows, 1))
    return found


def _looked_up(asked: pl.DataFrame, counts: pl.DataFrame, on: Sequence[str]) -> NDArray[np.int64]:
    found = asked.join(counts, on=on, how="left", maintain_order="left")[_SAME]
    return found.fill_null(0).cast(pl.Int64).to_numpy()


def _log_factorial(many: NDArray[np.int64]) -> Values:
    from scipy.special import gammaln

    return np.asarray(gammaln(many + 1.0), dtype=np.float64)
