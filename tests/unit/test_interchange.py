"""Tables of callers, in and out."""

from __future__ import annotations

from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from sfumato.core.errors import InputError
from sfumato.engines.interchange import like, to_polars

TABLE = pl.DataFrame({"age": [41, 17, None], "name": ["Ann", None, "Bo"]})


class Capsule:
    """Any object with the Arrow PyCapsule interface."""

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        return TABLE.to_arrow().__arrow_c_stream__(requested_schema)


KINDS = {
    "polars": TABLE,
    "lazy": TABLE.lazy(),
    "pandas": TABLE.to_pandas(),
    "pyarrow": TABLE.to_arrow(),
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_kind_goes_out_that_came_in(kind: str) -> None:
    given = KINDS[kind]
    inside = to_polars(given)
    assert isinstance(inside, pl.DataFrame)
    assert inside["name"].to_list() == ["Ann", None, "Bo"]
    assert inside["age"].to_list() == [41, 17, None]
    assert type(like(inside, given)) is type(given)
    assert to_polars(like(inside, given)).equals(inside, null_equal=True)


def test_anything_with_the_arrow_interface_is_taken() -> None:
    assert to_polars(Capsule()).equals(TABLE, null_equal=True)
    assert isinstance(like(TABLE, Capsule()), pl.DataFrame)
    assert isinstance(like(TABLE, None), pl.DataFrame)


@pytest.mark.parametrize("thing", [None, 42, "people.csv", [1, 2], {"a": [1]}, pd.Series([1])])
def test_what_is_no_table_is_refused_by_its_type_alone(thing: Any) -> None:
    with pytest.raises(InputError) as caught:
        to_polars(thing)
    assert caught.value.code == "usage"
    assert type(thing).__name__ in caught.value.what
    assert "people.csv" not in str(caught.value)


@pytest.mark.parametrize(
    "table",
    [
        pd.DataFrame([[1, 2]], columns=["a", "a"]),
        pa.table([pa.array([1]), pa.array([2])], names=["a", "a"]),
        pd.DataFrame({"a": [1, "ZZSECRETZZ"]}),
        pd.DataFrame({0: [1], 1: [2]}),
    ],
    ids=["pandas twice", "pyarrow twice", "mixed", "numbers for names"],
)
def test_odd_tables_are_taken_or_refused_and_never_quoted(table: Any) -> None:
    try:
        assert to_polars(table).height >= 1
    except InputError as error:
        assert error.remedy
        assert "ZZSECRETZZ" not in str(error)
