"""What every column transform must do, whatever it is: a pure function of a batch, and quiet about gaps."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import polars as pl
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from sfumato.core.errors import InputError
from sfumato.transforms import TRANSFORMS

KEY = bytes(range(32))

#: The types that the engine gives columns, with values at their ends.
COLUMNS: dict[str, tuple[Any, st.SearchStrategy[Any]]] = {
    "integer": (pl.Int64, st.integers(-(2**63), 2**63 - 1) | st.integers(-50, 50)),
    "number": (pl.Float64, st.floats(allow_nan=False, allow_infinity=False) | st.floats(-50, 50)),
    "text": (pl.String, st.text(st.characters(exclude_categories=["Cs"]), max_size=8)),
    "boolean": (pl.Boolean, st.booleans()),
    "date": (pl.Date, st.dates()),
    "datetime": (pl.Datetime("us"), st.datetimes(dt.datetime(1, 1, 1), dt.datetime(9999, 12, 31))),
}
EVERY = tuple(COLUMNS)

#: Parameters to try and the types they are for; a new transform needs a line here, or the suite fails.
EXAMPLES: dict[str, list[tuple[dict[str, Any], tuple[str, ...]]]] = {
    "keep": [({}, EVERY)],
    "drop": [({}, EVERY)],
    "pseudonymize": [({"domain": "person"}, EVERY), ({"domain": "person", "length": 16}, ("text",))],
    "mask": [({}, EVERY), ({"keep_first": 1, "keep_last": 2, "with": "#"}, ("text",))],
    "generalize": [
        ({}, EVERY),
        ({"level": 0}, EVERY),
        ({"level": 1}, EVERY),
        ({"level": 1, "hierarchy": {"kind": "intervals", "widths": [5, 10]}}, ("integer", "number")),
        ({"level": 1, "hierarchy": {"kind": "dates", "levels": ["month"]}}, ("date", "datetime")),
        ({"level": 1, "hierarchy": {"kind": "prefix", "keep": [2]}}, ("text", "integer")),
    ],
    "round": [({"to": 5}, ("integer", "number")), ({"to": 0.25}, ("integer", "number"))],
    "top-bottom-code": [
        ({"bottom": -3, "top": 9}, ("integer", "number")),
        ({"bottom": -2.5}, ("integer", "number")),
        ({"top": 1e30}, ("integer", "number")),
    ],
    "microaggregate": [({"k": 2}, ("integer", "number"))],
    "suppress-items": [({"k": 2}, ("text",)), ({"k": 2, "m": 1, "separator": " "}, ("text",))],
    "truncate-date": [
        ({"to": unit}, ("date", "datetime")) for unit in ("week", "month", "quarter", "year", "decade")
    ],
}

CASES = [
    pytest.param(name, params, column, id=f"{name}-{json.dumps(params)}-{column}")
    for name, examples in EXAMPLES.items()
    for params, columns in examples
    for column in columns
]


def series(column: str, values: list[Any]) -> pl.Series:
    return pl.Series("x", values, dtype=COLUMNS[column][0])


def fitted(name: str, params: dict[str, Any], values: pl.Series) -> tuple[Any, dict[str, Any]]:
    transform = TRANSFORMS.resolve(name)()
    asked = transform.Params(**params)
    # Only a transform that says so gets to see values.
    seen = values if transform.reads(asked) else values.clear()
    counts = seen.alias("value").to_frame().group_by("value").len("count")
    return transform, transform.fit(counts, asked, KEY)


def test_every_transform_has_an_example() -> None:
    assert set(EXAMPLES) == set(TRANSFORMS)


@pytest.mark.parametrize("name", TRANSFORMS)
def test_it_says_what_it_does(name: str) -> None:
    summary = TRANSFORMS.resolve(name).summary
    assert 10 < len(summary) < 110
    assert "\n" not in summary


@pytest.mark.parametrize("name", TRANSFORMS)
def test_parameters_that_it_does_not_know_are_refused(name: str) -> None:
    (params, _), *_ = EXAMPLES[name]
    TRANSFORMS.resolve(name).Params(**params)
    with pytest.raises(ValidationError, match="no_such"):
        TRANSFORMS.resolve(name).Params(**params, no_such=1)


@pytest.mark.parametrize(("name", "params", "column"), CASES)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_it_is_a_pure_function_of_a_batch(
    name: str, params: dict[str, Any], column: str, data: st.DataObject
) -> None:
    drawn = data.draw(st.lists(st.none() | COLUMNS[column][1], max_size=12))
    cut = data.draw(st.integers(0, len(drawn)))
    values = series(column, drawn)
    assume(name != "microaggregate" or len(values.drop_nulls()) != 1)  # no class of two in one
    transform, state = fitted(name, params, values)
    whole = transform.apply(values, state, KEY)

    assert whole.name == "x"
    assert len(whole) == len(values)
    # The same rows for any batching, batches without rows included, and in any order.
    parts = [transform.apply(part, state, KEY) for part in (values[:cut], values[:0], values[cut:])]
    assert all(part.dtype == whole.dtype for part in parts)
    assert pl.concat(parts).equals(whole, null_equal=True)
    assert transform.apply(values.reverse(), state, KEY).equals(whole.reverse(), null_equal=True)
    # Missing stays missing, or becomes what everything becomes; nothing else goes missing but by drop.
    if not (name == "generalize" and set(whole.drop_nulls()) <= {"*"}):
        assert whole.filter(values.is_null()).null_count() == values.null_count()
    if name != "drop":
        assert whole.filter(values.is_not_null()).null_count() == 0
    # What comes out can be written and read by everybody.
    if whole.dtype.is_float():
        assert whole.is_finite().all()


@pytest.mark.parametrize(("name", "params", "column"), CASES)
def test_its_state_is_plain_json_and_holds_no_value(name: str, params: dict[str, Any], column: str) -> None:
    example = {
        "integer": [271828182845],
        "number": [27182818.28459],
        "text": ["ZZSECRETZZ"],
        "boolean": [True],
        "date": [dt.date(1828, 4, 27)],
        "datetime": [dt.datetime(1828, 4, 27, 18, 28)],
    }[column]
    values = series(column, example * 2)
    transform, state = fitted(name, params, values)
    read = json.loads(json.dumps(state, allow_nan=False))
    assert transform.apply(values, read, KEY).equals(transform.apply(values, state, KEY), null_equal=True)
    # The mean of people who share a value is that value, and items that enough people have are listed.
    if column != "boolean" and name not in ("microaggregate", "suppress-items"):
        assert str(example[0]) not in json.dumps(state)


@pytest.mark.parametrize("name", TRANSFORMS)
@pytest.mark.parametrize("column", COLUMNS)
def test_a_column_that_it_cannot_treat_is_one_clear_error(name: str, column: str) -> None:
    """Refused when it is fitted, also on a table of no rows, and in words that hold no value."""
    refused = [columns for _, columns in EXAMPLES[name] if column in columns]
    (params, _), *_ = EXAMPLES[name]
    empty = series(column, [])
    if refused:
        fitted(name, params, empty)
        return
    with pytest.raises(InputError) as caught:
        fitted(name, params, empty)
    assert caught.value.code == "column-values"
    assert caught.value.remedy
