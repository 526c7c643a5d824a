"""People of several rows: their classes, and the best node for them, against trying everything."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable
from itertools import product
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lattice_support import model
from lattice_support import problem as plain
from sfumato.anonymity.lattice import Problem, search
from sfumato.anonymity.lattice.search import Search
from sfumato.classes.contingency import Sensitive
from sfumato.classes.subjects import Subjects, alike
from sfumato.classes.table import Units
from sfumato.contracts import COUNT
from sfumato.core.errors import InputError
from sfumato.pipeline.snapshot import UNIT
from sfumato.pipeline.subjects import people_alike, people_of

ROWS = st.integers(1, 16).flatmap(
    lambda n: st.tuples(
        hnp.arrays(np.int64, (n, 4), elements=st.integers(0, 4)),
        hnp.arrays(np.int64, n, elements=st.integers(0, 7)),
    )
)


def asked(rows: np.ndarray, people: np.ndarray, models: list[Any], limit: int, linked: bool) -> Problem:
    """The rows as tuples distinct in their person too; the last column is sensitive."""
    table, counts = np.unique(np.column_stack([rows, people]), axis=0, return_counts=True)
    asked = plain(table[:, :4], counts.astype(np.int64), limit, models)
    codes = table[:, 3].astype(np.int64)
    units = Units(counts.astype(np.int64), {"s": Sensitive(codes, np.bincount(codes, minlength=5))})
    return Problem(
        asked.ladders, asked.positions, units, models, limit, asked.measure,
        subjects=Subjects(table[:, 4].astype(np.int64), linked),
    )  # fmt: skip


def suppressed(asked: Problem, node: tuple[int, ...], k: int, l: int) -> int:  # noqa: E741
    """The rows that a node suppresses, by dictionaries of people."""
    assert asked.subjects is not None
    labels = [
        tuple(
            str(step.labels[level][int(at[i])])
            for step, level, at in zip(asked.ladders, node, asked.positions, strict=True)
        )
        for i in range(len(asked.units.counts))
    ]
    people, counts = asked.subjects.people.tolist(), asked.units.counts.tolist()
    classes: list[Hashable] = list(labels)
    if asked.subjects.linked:
        wholes: dict[int, Counter[Hashable]] = defaultdict(Counter)
        for person, label, count in zip(people, labels, counts, strict=True):
            wholes[person][label] += count
        classes = [frozenset(wholes[person].items()) for person in people]
    members, values = defaultdict(set), defaultdict(set)
    for which, person, code in zip(classes, people, asked.units.sensitive["s"].codes, strict=True):
        members[which].add(person)
        values[which].add(int(code))
    gone = {which for which in members if len(members[which]) < k or len(values[which]) < l}
    return sum(count for which, count in zip(classes, counts, strict=True) if which in gone)


@given(ROWS, st.booleans(), st.integers(2, 3), st.integers(1, 2), st.integers(0, 6))
@settings(max_examples=60, deadline=None)
def test_the_best_node_for_people_is_found(
    drawn: tuple[np.ndarray, np.ndarray], linked: bool, k: int, l: int, limit: int  # noqa: E741
) -> None:  # fmt: skip
    rows, people = drawn
    models = [model("k-anonymity", k=k)] + ([model("l-diversity", on="s", l=l)] if l > 1 else [])
    problem = asked(rows, people, models, limit, linked)
    nodes = product(*(range(step.height) for step in problem.ladders))
    possible = {node: gone for node in nodes if (gone := suppressed(problem, node, k, l)) <= limit}
    try:
        found = search(problem)
    except InputError:
        assert not possible
        return
    assert found.levels in possible
    assert found.suppressed == possible[found.levels]
    assert found.optimal
    # Levels that put together the same values are one to the search; the finest of them costs least.
    at = [{level: i for i, level in enumerate(levels)} for levels in Search(problem).grid.levels]
    differ = [node for node in possible if all(level in own for level, own in zip(node, at, strict=True))]
    rated = [Search(problem)._rate(tuple(own[n] for n, own in zip(node, at, strict=True))) for node in differ]
    assert [checked.suppressed for checked, _ in rated] == [possible[node] for node in differ]
    assert found.score == pytest.approx(min(score for _, score in rated), abs=1e-9)


@settings(deadline=None)
@given(
    hnp.arrays(np.int64, 12, elements=st.integers(0, 3)),
    hnp.arrays(np.int64, 12, elements=st.integers(0, 4)),
    hnp.arrays(np.int64, 12, elements=st.integers(1, 2)),
)
def test_people_are_alike_if_all_their_rows_are(
    tuples: np.ndarray, people: np.ndarray, counts: np.ndarray
) -> None:
    found = alike(tuples, people, counts)
    wholes: dict[int, Counter[int]] = defaultdict(Counter)
    for person, which, count in zip(people.tolist(), tuples.tolist(), counts.tolist(), strict=True):
        wholes[person][which] += count
    for i, j in product(range(12), repeat=2):
        assert (found[i] == found[j]) == (wholes[people[i]] == wholes[people[j]])


def test_a_row_more_of_the_same_tells_a_person_apart() -> None:
    """Whoever knows that somebody came three times finds the one who did."""
    frame = pl.LazyFrame({UNIT: [1, 1, 1, 2, 3], "town": ["a"] * 5})
    assert sorted(people_alike(frame, ["town"])) == [1, 2]
    assert people_of(frame, ["town"])[COUNT].to_list() == [3]
    assert people_of(frame, [])[COUNT].to_list() == [3]


def test_rows_counted_as_people_would_be_too_many() -> None:
    """The broken twin: five rows of one person are a class of five to somebody who counts rows."""
    rows = np.zeros((5, 4), dtype=np.int64)
    people = np.zeros(5, dtype=np.int64)
    models = [model("k-anonymity", k=2)]
    counted = plain(rows[:1], np.array([5]), 0, models)
    assert search(counted).smallest_class == 5
    with pytest.raises(InputError, match="anonymity-impossible"):
        search(asked(rows, people, models, 0, linked=False))


def test_a_person_with_two_values_counts_with_both_and_once() -> None:
    units = Units(np.array([1, 1, 1]), {"s": Sensitive(np.array([0, 1, 0]), np.array([2, 1]))})
    table = Subjects(np.array([0, 0, 1]), linked=False).table(units, np.zeros(3, dtype=np.int64), 1)
    assert table.sizes.tolist() == [2]
    assert table.sensitive["s"].counts.tolist() == [2, 1]
