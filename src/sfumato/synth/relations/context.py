"""What of a parent's row says something of its children's rows, and rows that follow it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sfumato.synth.coded import Field

if TYPE_CHECKING:
    from sfumato.contracts import SynthesisModel

#: Levels of an ordered field where two are compared.
_LEVELS = 16
#: Levels of an ordered field where rows of like parents are looked for: of the most telling, of the others.
_NEAREST, _NEAR = 24, 6
#: Rows made at once.
_BATCH = 20_000
#: Rows made freely for each that is wanted, and in all, where a model cannot be told what is given.
_POOL, _LEAST_POOL, _MOST_POOL = 4, 10_000, 200_000


def telling(
    fields: Sequence[Field],
    codes: NDArray[np.int32],
    above: Sequence[Field],
    given: NDArray[np.int32],
    people: int,
    most: int,
) -> list[int]:
    """The places of a parent's fields that say most of its children's, the most telling first.

    By the sum of mutual information with the children's fields, less what it is of unrelated fields by chance
    (Miller 1955); people are what is counted there, for siblings are no news of a parent.

    Args:
        codes: the children's, shape (rows, fields).
        given: their parents', shape (rows, fields above).
        most: so many at most.
    """
    own = [_coarse(field, codes[:, place], _LEVELS) for place, field in enumerate(fields)]
    score = np.zeros(len(above))
    for place, field in enumerate(above):
        if field.size > 1:
            one = _coarse(field, given[:, place], _LEVELS)
            score[place] = sum(_information(one, other, people) for other in own)
    order = np.argsort(-score, kind="stable")
    return [int(place) for place in order[:most] if score[place] > 0]


def stand_ins(field: Field, codes: NDArray[np.int32]) -> list[int]:
    """For each code of a parent's field one that children were seen with: itself, the nearest, or the most
    frequent where codes have no order."""
    counts = np.bincount(codes, minlength=field.size)
    seen = np.flatnonzero(counts)
    frequent = int(np.argmax(counts))
    if not field.ordered:
        return [code if counts[code] else frequent for code in range(field.size)]
    numbers = seen[seen != field.missing] if field.missing is not None else seen
    found = []
    for code in range(field.size):
        away = code == field.missing or not len(numbers)
        near = frequent if away else int(numbers[np.argmin(np.abs(numbers - code))])
        found.append(code if counts[code] else near)
    return found


def following(
    model: SynthesisModel, fields: Sequence[Field], given: NDArray[np.int32], random: np.random.Generator
) -> NDArray[np.int32]:
    """Codes of new rows whose first fields are given, shape (rows, fields).

    A model that cannot be told makes rows freely, and for each that is wanted one is drawn from those whose
    first fields agree with it as far as any do. It is bounded how many are made.
    """
    rows, known = given.shape
    if not model.conditional and known:
        many = min(max(_POOL * rows, _LEAST_POOL), _MOST_POOL)
        pool = np.concatenate([model.sample(part, random, {}) for part in _parts(many)])
        codes = pool[nearest(fields[:known], pool[:, :known], given, random)]
        codes[:, :known] = given
        return codes
    made, at = [], 0
    for part in _parts(rows):
        some = given[at : at + part]
        made.append(model.sample(part, random, {place: some[:, place].copy() for place in range(known)}))
        at += part
    return np.concatenate(made)


def nearest(
    fields: Sequence[Field],
    pool: NDArray[np.int32],
    given: NDArray[np.int32],
    random: np.random.Generator,
) -> NDArray[np.int64]:
    """For each given row a row of the pool that agrees in as many of the first fields as any does.

    Numbers agree if they are in the same part of their codes. Both have shape (rows, fields).

    >>> fields = [Field("a", "a", 2, False), Field("b", "b", 2, False)]
    >>> pool, given = np.array([[0, 0], [1, 0], [1, 1]]), np.array([[1, 1], [0, 1]])
    >>> nearest(fields, pool, given, np.random.default_rng(0)).tolist()
    [2, 0]
    """
    both = np.concatenate([pool, given])
    levels = np.zeros((len(both), len(fields)), dtype=np.int64)
    for place, field in enumerate(fields):
        levels[:, place] = _coarse(field, both[:, place], _NEAR if place else _NEAREST)
    chosen = np.full(len(given), -1, dtype=np.int64)
    at = random.random(len(given))
    for known in range(len(fields), -1, -1):
        left = np.flatnonzero(chosen < 0)
        if not len(left):
            break
        group = np.zeros(len(both), dtype=np.int64)
        if known:
            group = np.unique(levels[:, :known], axis=0, return_inverse=True)[1].reshape(-1)
        order = np.argsort(group[: len(pool)], kind="stable")
        counts = np.bincount(group[: len(pool)], minlength=int(group.max()) + 1)
        begins = np.cumsum(counts) - counts
        mine = group[len(pool) :][left]
        there = counts[mine] > 0
        picked = begins[mine[there]] + (at[left[there]] * counts[mine[there]]).astype(np.int64)
        chosen[left[there]] = order[picked]
    return chosen


def _parts(rows: int) -> list[int]:
    return [min(_BATCH, rows - begin) for begin in range(0, rows, _BATCH)]


def _coarse(field: Field, codes: NDArray[np.int32], levels: int) -> NDArray[np.int64]:
    """Codes of an ordered field in fewer levels; missing is one of its own."""
    if not field.ordered:
        return codes.astype(np.int64)
    size = field.size - (field.missing is not None)
    found: NDArray[Any] = codes.astype(np.int64) * min(levels, size) // max(size, 1)
    return found if field.missing is None else np.where(codes == field.missing, levels, found)


def _information(one: NDArray[np.int64], other: NDArray[np.int64], people: int) -> float:
    """The mutual information of two fields, in nats, less what chance makes of it; 0 or more."""
    _, a = np.unique(one, return_inverse=True)
    _, b = np.unique(other, return_inverse=True)
    rows, columns = int(a.max()) + 1, int(b.max()) + 1
    _, counts = np.unique(a * columns + b, return_counts=True)

    def entropy(many: NDArray[Any]) -> float:
        share = many[many > 0] / len(a)
        return float(-(share * np.log(share)).sum())

    found = entropy(np.bincount(a)) + entropy(np.bincount(b)) - entropy(counts)
    return max(0.0, found - (rows - 1) * (columns - 1) / (2 * max(people, 1)))
