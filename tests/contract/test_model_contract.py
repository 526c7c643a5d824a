"""What every privacy model must do, whatever it is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from model_support import CASES, EXAMPLES, class_table, crowds, few
from sfumato.anonymity import MODELS
from sfumato.anonymity.holding import holding, only
from sfumato.classes.table import ClassTable

every_case = pytest.mark.parametrize(("name", "params"), CASES)


def model(name: str, params: dict):
    kind = MODELS.resolve(name)
    return kind(kind.Params(**params))


def cases(flag: str) -> list[tuple[str, dict]]:
    return [case for case in CASES if getattr(model(*case), flag)]


def merged(crowd, numbers: list[int]) -> ClassTable:
    """The table with classes put together that have one number; the whole table stays the same."""
    matrix, outside = crowd
    groups = sorted(set(numbers))
    put = [
        np.sum([row for row, number in zip(matrix, numbers, strict=True) if number == group], axis=0)
        for group in groups
    ]
    beside = [
        sum(extra for extra, number in zip(outside, numbers, strict=True) if number == group)
        for group in groups
    ]
    return class_table(put, outside=beside)


def held(asked, crowd) -> tuple[tuple[list, list], ClassTable] | None:
    """The crowd without the classes that do not hold, and its table as one of the whole table."""
    table = class_table(crowd[0], outside=crowd[1])
    (staying,) = np.nonzero(holding([asked], table))
    if not len(staying):
        return None
    return ([crowd[0][i] for i in staying], [crowd[1][i] for i in staying]), only(table, staying)


def as_part_of(table: ClassTable, whole: ClassTable) -> ClassTable:
    """Classes with the table that they are compared with."""
    return replace(
        table,
        sensitive={
            name: replace(column, overall=whole.sensitive[name].overall)
            for name, column in table.sensitive.items()
        },
    )


def test_every_model_has_an_example() -> None:
    assert set(EXAMPLES) == set(MODELS)


@every_case
@few
@given(crowd=crowds())
def test_a_verdict_for_each_class(name: str, params: dict, crowd) -> None:
    verdict = model(name, params).holds(class_table(crowd[0], outside=crowd[1]))
    assert verdict.shape == (len(crowd[0]),)
    assert verdict.dtype == bool


@every_case
def test_a_table_without_classes_is_no_error(name: str, params: dict) -> None:
    nothing = only(class_table([[1, 2]]), np.array([], dtype=np.int64))
    assert model(name, params).holds(nothing).shape == (0,)


@every_case
@few
@given(crowd=crowds())
def test_what_stays_holds_again(name: str, params: dict, crowd) -> None:
    asked = model(name, params)
    staying = held(asked, crowd)
    assert staying is None or holding([asked], staying[1]).all()


@pytest.mark.parametrize(("name", "params"), cases("monotone"))
@few
@given(crowd=crowds(), data=st.data())
def test_merging_classes_that_hold_gives_ones_that_hold(name: str, params: dict, crowd, data) -> None:
    asked = model(name, params)
    staying = held(asked, crowd)
    if staying is not None:
        rest, table = staying
        size = len(rest[0])
        numbers = data.draw(st.lists(st.integers(0, size), min_size=size, max_size=size))
        assert holding([asked], as_part_of(merged(rest, numbers), table)).all()


@pytest.mark.parametrize(("name", "params"), cases("absorbing"))
@few
@given(crowd=crowds(), data=st.data())
def test_classes_that_hold_do_so_with_anybody_added(name: str, params: dict, crowd, data) -> None:
    asked = model(name, params)
    staying = held(asked, crowd)
    if staying is not None:
        rest, _ = staying
        added = data.draw(hnp.arrays(np.int64, np.shape(rest[0]), elements=st.integers(0, 5)))
        # Only those who can be in it come: a class of nobody stays one, for it is in no release.
        added[np.sum(rest[0], axis=1) == 0] = 0
        more = data.draw(st.lists(st.integers(0, 5), min_size=len(added), max_size=len(added)))
        grown = class_table(np.array(rest[0]) + added, outside=np.array(rest[1]) + more)
        assert holding([asked], grown).all()


@pytest.mark.parametrize(("name", "params"), cases("absorbing"))
@few
@given(crowd=crowds(), data=st.data())
def test_a_coarser_table_never_loses_more_people(name: str, params: dict, crowd, data) -> None:
    # What searches prune on: a node that must suppress too many rules out all below it.
    asked = model(name, params)
    fine = class_table(crowd[0], outside=crowd[1])
    size = len(crowd[0])
    coarse = merged(crowd, data.draw(st.lists(st.integers(0, size), min_size=size, max_size=size)))
    lost = [int(table.sizes[~holding([asked], table)].sum()) for table in (coarse, fine)]
    assert lost[0] <= lost[1]


@pytest.mark.parametrize(("name", "params"), [case for case in CASES if not model(*case).whole])
@few
@given(crowd=crowds(), data=st.data())
def test_a_class_is_judged_by_itself(name: str, params: dict, crowd, data) -> None:
    asked = model(name, params)
    table = class_table(crowd[0], outside=crowd[1])
    order = np.array(data.draw(st.permutations(range(len(crowd[0])))))
    verdict = asked.holds(table)
    assert (asked.holds(only(table, order)) == verdict[order]).all()
    assert (asked.holds(only(table, order[:1])) == verdict[order[:1]]).all()


@every_case
def test_a_model_explains_itself(name: str, params: dict) -> None:
    asked = model(name, params)
    assert asked.summary
    assert asked.explain()
    assert (asked.on is None) == ("on" not in params)
    assert asked.on is None or asked.on in asked.explain()


@every_case
def test_a_model_refuses_unknown_parameters(name: str, params: dict) -> None:
    with pytest.raises(ValueError, match="extra"):
        MODELS.resolve(name).Params(**params, nonsense=1)
