"""What is asked of new rows: conditions that each must meet, and shares that groups must have."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import polars as pl

from sfumato.core.errors import InputError, nearest
from sfumato.synth.encoding.columns import Values, Wanted
from sfumato.synth.encoding.scales import instant

if TYPE_CHECKING:
    from sfumato.synth.encoding.encoder import Encoder

#: Of a column: a value, a list of them, or a pair (or {"from": ..., "to": ...}): a range with both ends in.
Where = Mapping[str, Any]
#: Of a column: the share of each value, or "even".
Balance = Mapping[str, Any]


def wanted(where: Where | None, schema: Mapping[str, pl.DataType]) -> dict[str, Wanted]:
    """The conditions by column.

    Raises:
        InputError: ``unknown-name``: no such column; ``usage``: an empty list.

    >>> wanted({"age": (30, 40), "sex": "F"}, {"age": pl.Int64(), "sex": pl.String()})["age"]
    Wanted(values=(), ranges=((30, 40),))
    """
    found = {}
    for name, asked in (where or {}).items():
        if name not in schema:
            raise InputError(
                "unknown-name", "there is no such column", where=name, remedy=nearest(name, schema)
            )
        found[name] = _instants(_wanted(name, asked), name, schema[name])
    return found


def matching(conditions: Mapping[str, Wanted]) -> pl.Expr:
    """Whether a row meets all conditions."""
    return pl.all_horizontal(pl.lit(True), *(_meets(name, each) for name, each in conditions.items()))


def cells(balance: Balance, rows: int, encoder: Encoder) -> Iterator[tuple[dict[str, Any], int]]:
    """Conditions with how many rows each gets, so that groups have the shares asked for.

    Several columns are balanced as if they had nothing to do with each other.

    Raises:
        InputError: ``unknown-name``; ``usage``: shares that are none, or "even" of a column without values.
    """
    columns = [_shares(name, asked, encoder) for name, asked in balance.items()]
    groups = list(itertools.product(*(shares.items() for shares in columns)))
    share = [1.0] * len(groups)
    for place, group in enumerate(groups):
        for _, part in group:
            share[place] *= part
    names = list(balance)
    for group, many in zip(groups, _whole(share, rows), strict=True):
        if many:
            yield {name: [value] for name, (value, _) in zip(names, group, strict=True)}, many


def _instants(each: Wanted, name: str, dtype: pl.DataType) -> Wanted:
    """The condition with dates and times as the column has them."""
    try:
        return Wanted(
            tuple(instant(value, dtype) for value in each.values),
            tuple((instant(low, dtype), instant(high, dtype)) for low, high in each.ranges),
        )
    except (TypeError, ValueError):
        raise InputError("usage", "this is no date or time in ISO 8601", where=name) from None


def _wanted(name: str, asked: Any) -> Wanted:
    if isinstance(asked, Mapping):
        if not asked or not set(asked) <= {"from", "to"}:
            raise InputError("usage", 'a range has "from", "to" or both', where=name)
        return Wanted(ranges=((asked.get("from"), asked.get("to")),))
    if isinstance(asked, tuple):
        if len(asked) != 2:
            raise InputError("usage", "a range is a pair; several values are a list", where=name)
        return Wanted(ranges=(asked,))
    if isinstance(asked, list | set | frozenset | range):
        if not asked:
            raise InputError("usage", "the list of wanted values is empty", where=name)
        return Wanted(tuple(asked))
    return Wanted((asked,))


def _meets(name: str, each: Wanted) -> pl.Expr:
    column = pl.col(name)
    ways = [column.is_null()] if None in each.values else []
    ways += [column == pl.lit(value) for value in each.values if value is not None]
    for low, high in each.ranges:
        inside = column.is_not_null()
        inside = inside if low is None else inside & (column >= pl.lit(low))
        ways.append(inside if high is None else inside & (column <= pl.lit(high)))
    return pl.any_horizontal(ways).fill_null(False)


def _shares(name: str, asked: Any, encoder: Encoder) -> dict[Any, float]:
    coding = next((column for column in encoder.columns if column.field.column == name), None)
    if coding is None:
        names = [field.column for field in encoder.fields]
        raise InputError("unknown-name", "there is no such column", where=name, remedy=nearest(name, names))
    if asked == "even":
        if not isinstance(coding, Values) or not coding.values:
            raise InputError(
                "usage",
                "only groups of a category can be even",
                where=name,
                remedy="give shares of its values",
            )
        return dict.fromkeys(coding.values, 1 / len(coding.values))
    shares = {value: float(share) for value, share in asked.items()} if isinstance(asked, Mapping) else {}
    total = sum(shares.values())
    if not shares or min(shares.values()) < 0 or not total > 0:
        raise InputError("usage", 'shares are "even", or numbers from 0 for some values', where=name)
    return {value: share / total for value, share in shares.items()}


def _whole(shares: Sequence[float], rows: int) -> list[int]:
    """Whole numbers that sum to ``rows``, by largest remainders."""
    found = [int(share * rows) for share in shares]
    order = sorted(range(len(shares)), key=lambda place: found[place] - shares[place] * rows)
    for place in itertools.islice(itertools.cycle(order), rows - sum(found)):
        found[place] += 1
    return found
