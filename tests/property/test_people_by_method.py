"""k people, not k rows, by every method with labels of its own: counted by dictionaries on small tables."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from people_support import METHODS_OF_CLASSES, PERSON, people_of_classes, recoded, shown, task
from sfumato.anonymity.histories import blocks, dealt_to_people, in_places
from sfumato.anonymity.partition.problem import Assignment, Axis
from sfumato.core.errors import InputError
from sfumato.pipeline.methods import people as methods_people
from sfumato.pipeline.methods.partition import problem_of
from sfumato.pipeline.methods.task import all_or_nothing

TABLES = st.integers(1, 24).flatmap(
    lambda n: st.tuples(
        hnp.arrays(np.int64, (n, 3), elements=st.integers(0, 7)),
        hnp.arrays(np.int64, n, elements=st.integers(0, 9)),
    )
)


def table(drawn: tuple[np.ndarray, np.ndarray]) -> pl.DataFrame:
    rows, people = drawn
    return pl.DataFrame({"a": rows[:, 0], "b": rows[:, 1], "s": rows[:, 2] % 3, PERSON: people})


def most(one: dict[Any, set[Any]]) -> int:
    """The people of a class who have its most frequent value."""
    return max(Counter(value for values in one.values() for value in values).values())


def spread(one: dict[Any, set[Any]], overall: Counter[Any]) -> float:
    """Half the sum of the differences of shares, people counting with each value that they have."""
    had = Counter(value for values in one.values() for value in values)
    return sum(abs(had[v] / had.total() - overall[v] / overall.total()) for v in overall) / 2


@pytest.mark.parametrize("linked", [False, True])
@pytest.mark.parametrize("method", METHODS_OF_CLASSES)
@given(drawn=TABLES, k=st.integers(2, 3))
@settings(max_examples=25, deadline=None)
def test_every_class_has_k_people(
    method: str, linked: bool, drawn: tuple[np.ndarray, np.ndarray], k: int
) -> None:
    rows = table(drawn)
    asked = METHODS_OF_CLASSES[method] | {
        "models": [{"model": "k-anonymity", "k": k}], "suppression": 1.0 if linked else 0.0
    }  # fmt: skip
    try:
        found = recoded(task(rows, asked, linked))
    except InputError as error:
        assert error.code == "anonymity-impossible"
        each = Counter(rows[PERSON].to_list())
        # Nobody can be hidden: too few people, or too few with as many rows.
        people = max(Counter(each.values()).values()) if linked else len(each)
        assert people < k
        return
    left = shown(found, rows)
    sizes = [len(one) for one in people_of_classes(left, linked)]
    assert min(sizes) >= k
    assert found.plan.smallest_class == min(sizes)
    assert found.plan.classes == len(sizes)
    assert found.plan.suppressed_rows == rows.height - left.height
    if linked:
        each = Counter(rows[PERSON].to_list())
        there = Counter(left[PERSON].to_list())
        # A person leaves wholly or not at all, and stays if k have as many rows.
        assert all(there[person] in (0, number) for person, number in each.items())
        alike = Counter(each.values())
        assert left.height == sum(number for number in each.values() if alike[number] >= k)
    else:
        assert left.height == rows.height


@pytest.mark.parametrize("linked", [False, True])
@pytest.mark.parametrize("method", METHODS_OF_CLASSES)
@given(drawn=TABLES)
@settings(max_examples=15, deadline=None)
def test_no_value_is_had_by_too_many_people(
    method: str, linked: bool, drawn: tuple[np.ndarray, np.ndarray]
) -> None:
    rows = table(drawn)
    model = {"model": "alpha-k", "on": "s", "alpha": 0.75, "k": 2}
    asked = METHODS_OF_CLASSES[method] | {"models": [model], "suppression": 1.0 if linked else 0.0}
    try:
        found = recoded(task(rows, asked, linked))
    except InputError as error:
        assert error.code == "anonymity-impossible"
        return
    for one in people_of_classes(shown(found, rows), linked):
        assert len(one) >= 2
        assert most(one) <= 0.75 * len(one) + 1e-9


@pytest.mark.parametrize("model", [
    {"model": "l-diversity", "on": "s", "l": 2},
    {"model": "t-closeness", "on": "s", "t": 0.3},
], ids=["l", "t"])  # fmt: skip
@pytest.mark.parametrize("method", METHODS_OF_CLASSES)
@given(drawn=TABLES)
@settings(max_examples=15, deadline=None)
def test_values_are_counted_in_people(
    method: str, model: dict[str, Any], drawn: tuple[np.ndarray, np.ndarray]
) -> None:
    """Classes that hold may fail together, for they have people in common; none such is written."""
    rows = table(drawn)
    asked = METHODS_OF_CLASSES[method] | {"models": [{"model": "k-anonymity", "k": 2}, model]}
    try:
        found = recoded(task(rows, asked, linked=False))
    except InputError as error:
        assert error.code == "anonymity-impossible"
        return
    overall = Counter(s for s, _ in set(zip(rows["s"].to_list(), rows[PERSON].to_list(), strict=True)))
    for one in people_of_classes(shown(found, rows), linked=False):
        assert len(one) >= 2
        if model["model"] == "l-diversity":
            assert len(set.union(*one.values())) >= 2
        else:
            assert spread(one, overall) <= 0.3 + 1e-9


def often() -> pl.DataFrame:
    """Eight people, each of whom comes four times with nearly the same row."""
    who = np.repeat(np.arange(8), 4)
    return pl.DataFrame({"a": who, "b": np.tile([0, 0, 0, 1], 8), "s": who % 3, PERSON: who})


@pytest.mark.parametrize("method", METHODS_OF_CLASSES)
def test_a_search_that_counts_rows_is_caught(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The broken twin: rows for people make classes of too few, by each method."""
    asked = METHODS_OF_CLASSES[method] | {"models": [{"model": "k-anonymity", "k": 3}]}
    rows = often()
    by_rows = shown(recoded(task(rows, asked, None)), rows)
    assert min(len(one) for one in people_of_classes(by_rows, linked=False)) < 3
    assert (
        min(len(one) for one in people_of_classes(shown(recoded(task(rows, asked, False)), rows), False)) >= 3
    )
    # Even where the search takes rows for people, what is written is looked at as people's.
    monkeypatch.setattr(methods_people, "_of_people", lambda *given: given[3](given[2]))
    held = recoded(task(rows, asked, False))
    assert min(len(one) for one in people_of_classes(shown(held, rows), linked=False)) >= 3


def test_people_alike_are_dealt_in_their_order() -> None:
    pieces = Assignment(np.array([0, 1, 0]), np.array([1, 1, 0]), np.array([2, 1, 1]))
    assert dealt_to_people(pieces, np.array([1, 0, 0, 0])).tolist() == [1, 0, 1, 1]
    nobody = Assignment(*(np.zeros(0, dtype=np.int64) for _ in range(3)))
    assert dealt_to_people(nobody, np.array([0, 0])).tolist() == [-1, -1]


def test_a_place_is_a_class_of_its_own() -> None:
    """Two people with two rows each in one group: two classes of rows, whose people are the same."""
    asked = METHODS_OF_CLASSES["cells"] | {"models": [{"model": "k-anonymity", "k": 2}]}
    given_ = task(often().head(8), asked, linked=True)
    axes = tuple(Axis(all_or_nothing(given_.table, name)) for name in given_.table.columns)
    problem = problem_of(given_, axes)
    assert given_.subjects is not None
    (block,) = blocks(axes, problem.positions, given_.subjects.people, problem.units.counts)
    assert block.units.shape == (4, 2)
    found = in_places([(block, np.zeros(2, dtype=np.int64))], problem.units.counts)
    assert found.size == 4
    assert np.bincount(found.classes).tolist() == [2, 2, 2, 2]
    assert in_places([(block, np.full(2, -1))], problem.units.counts).size == 0
