"""What every kind of hierarchy must do: labels that nest, shares that add up, a place for what is missing."""

from __future__ import annotations

import datetime as dt
import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from sfumato.core.errors import InputError
from sfumato.hierarchies import HIERARCHIES
from sfumato.hierarchies.ladder import ANY, Ladder

FILE = "".join(f"{n};{n // 2};{n // 4};all\n" for n in range(16)) + ";unknown;unknown;all\n3;1;0;all\n"

WHOLE = st.integers(-(2**53), 2**53) | st.integers(-20, 130)
NUMBERS = st.floats(-1e9, 1e9, allow_nan=False) | st.floats(-20, 130)
DATES = st.dates(dt.date(1, 1, 1), dt.date(9999, 12, 31))
WRITTEN_DATES = DATES.map(lambda day: f"{day:%d/%m}/{day.year:04}")
TEXTS = st.text(st.sampled_from("abc123*; é"), max_size=6)
FIGURES = st.integers(0, 15)

#: Parameters, the type of the column, its values; a new kind needs a line here, or the suite fails.
EXAMPLES: dict[str, list[tuple[dict[str, Any], Any, st.SearchStrategy[Any]]]] = {
    "file": [({"path": "h.csv"}, pl.Int64, FIGURES), ({"path": "h.csv"}, pl.String, FIGURES.map(str))],
    "intervals": [
        ({"widths": [1]}, pl.Int64, WHOLE),
        ({"widths": [5, 10, 20], "from": 20, "to": 100}, pl.Int64, WHOLE),
        ({"widths": [5, 10, 20], "from": 20, "to": 100}, pl.Float64, NUMBERS),
        ({"widths": [0.5, 1.5], "from": -0.5}, pl.Float64, NUMBERS),
    ],
    "prefix": [({"keep": [4, 2, 1]}, pl.String, TEXTS), ({"keep": [2]}, pl.Int64, WHOLE)],
    "dates": [
        ({"levels": ["month", "quarter", "year", "decade"]}, pl.Date, DATES),
        ({"levels": ["quarter", "decade"]}, pl.Datetime("us"), DATES),
        ({"levels": ["year"], "format": "%d/%m/%Y"}, pl.String, WRITTEN_DATES),
    ],
    "suppress": [({}, pl.Int64, WHOLE), ({}, pl.String, TEXTS), ({}, pl.Boolean, st.booleans())],
}  # fmt: skip

CASES = [
    pytest.param(name, *example, id=f"{name}-{i}")
    for name, examples in EXAMPLES.items()
    for i, example in enumerate(examples)
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("hierarchies")
    (place / "h.csv").write_text(FILE)
    return place


def kind(name: str, params: dict[str, Any], folder: Path) -> Any:
    made = HIERARCHIES.resolve(name)
    return made(made.Params(**params), folder)


def ladder(hierarchy: Any, values: pl.Series) -> Ladder:
    return Ladder.build(hierarchy, values, pl.Series(range(len(values)), dtype=pl.UInt32))


def test_every_kind_has_an_example() -> None:
    assert set(EXAMPLES) == set(HIERARCHIES)


@pytest.mark.parametrize("name", HIERARCHIES)
def test_it_says_what_it_does_and_knows_its_parameters(name: str) -> None:
    (params, *_), *_ = EXAMPLES[name]
    assert 10 < len(HIERARCHIES.resolve(name).summary) < 110
    with pytest.raises(ValidationError, match="no_such"):
        HIERARCHIES.resolve(name).Params(**params, no_such=1)


@pytest.mark.parametrize(("name", "params", "dtype", "elements"), CASES)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_levels_nest_and_shares_are_those_of_counting(
    folder: Path, name: str, params: dict[str, Any], dtype: Any, elements: Any, data: st.DataObject
) -> None:
    hierarchy = kind(name, params, folder)
    drawn = data.draw(st.lists(st.none() | elements, min_size=1, max_size=10, unique=True))
    values = pl.Series("x", drawn, dtype=dtype)
    built = ladder(hierarchy, values)
    domain = hierarchy.domain()
    leaves = values if domain is None else domain

    assert built.height == hierarchy.height >= 2
    assert built.size == len(leaves)
    # Level 0 is the value itself.
    assert built.codes[0].tolist() == list(range(len(values)))
    assert built.labels[0].equals(values, null_equal=True)
    for level in range(1, hierarchy.height):
        labels = hierarchy.labels(values, level)
        assert labels.dtype == pl.String
        assert built.labels[level].to_list() == labels.to_list()
        # Equal labels, equal codes, and the other way round.
        pairs = set(zip(labels, built.codes[level].tolist(), strict=True))
        assert len(pairs) == len({label for label, _ in pairs}) == len({code for _, code in pairs})
        # Who shares a label shares the one above it.
        below, above = built.codes[level - 1], built.codes[level]
        assert len(set(zip(below.tolist(), above.tolist(), strict=True))) == len(set(below.tolist()))
        # A label's share is that of the leaves under it, by counting them one by one.
        counted = Counter(hierarchy.labels(leaves, level).to_list())
        expected = [max(1, counted[label]) / len(leaves) for label in labels]
        assert built.shares[level] == pytest.approx(expected)
        assert (built.shares[level] >= built.shares[level - 1] - 1e-12).all()
    assert len(set(built.codes[-1].tolist())) == 1
    assert built.shares[-1] == pytest.approx(1)


@pytest.mark.parametrize(("name", "params", "dtype", "elements"), CASES)
@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_labels_are_a_pure_function_of_the_value(
    folder: Path, name: str, params: dict[str, Any], dtype: Any, elements: Any, data: st.DataObject
) -> None:
    """Whatever the other values of a batch are; a batch without rows has the same type."""
    hierarchy = kind(name, params, folder)
    drawn = data.draw(st.lists(st.none() | elements, max_size=8))
    values = pl.Series("x", drawn, dtype=dtype)
    for level in range(1, hierarchy.height):
        whole = hierarchy.labels(values, level)
        assert hierarchy.labels(values.reverse(), level).to_list() == whole.to_list()[::-1]
        assert hierarchy.labels(values[:0], level).dtype == whole.dtype == pl.String
        assert [hierarchy.labels(values[i : i + 1], level)[0] for i in range(len(values))] == whole.to_list()


@pytest.mark.parametrize(("name", "params", "dtype", "elements"), CASES)
@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_centers_stand_for_labels(
    folder: Path, name: str, params: dict[str, Any], dtype: Any, elements: Any, data: st.DataObject
) -> None:
    """One number for each label, the same for all of its values, or none for any."""
    hierarchy = kind(name, params, folder)
    drawn = data.draw(st.lists(st.none() | elements, min_size=1, max_size=8))
    values = pl.Series("x", drawn, dtype=dtype)
    for level in range(1, hierarchy.height):
        centers = hierarchy.centers(values, level)
        if centers is None:
            continue
        assert len(centers) == len(values)
        assert np.isfinite(centers.drop_nulls().to_numpy()).all()
        by_label: dict[Any, set[Any]] = {}
        for label, center in zip(hierarchy.labels(values, level), centers, strict=True):
            by_label.setdefault(label, set()).add(center)
        assert all(len(found) == 1 for found in by_label.values())
    assert hierarchy.centers(values, hierarchy.height - 1) is None


@pytest.mark.parametrize(("name", "params", "dtype", "elements"), CASES)
def test_a_column_of_missing_values_alone(
    folder: Path, name: str, params: dict[str, Any], dtype: Any, elements: Any
) -> None:
    built = ladder(kind(name, params, folder), pl.Series("x", [None], dtype=dtype))
    assert built.labels[-1].to_list() in ([ANY], ["all"])


@pytest.mark.parametrize("name", HIERARCHIES)
def test_values_of_another_type_are_one_clear_error_or_are_treated(folder: Path, name: str) -> None:
    """Never a bare failure of a library, and never a value in the message."""
    (params, *_), *_ = EXAMPLES[name]
    hierarchy = kind(name, params, folder)
    for values in (
        pl.Series("x", ["ZZSECRETZZ"]),
        pl.Series("x", [271828182845]),
        pl.Series("x", [2.718281828]),
        pl.Series("x", [True]),
        pl.Series("x", [dt.date(1828, 4, 27)]),
        pl.Series("x", [dt.datetime(1828, 4, 27, 18, 28)]),
    ):
        try:
            ladder(hierarchy, values)
        except InputError as error:
            assert "column x" in error.where
            assert error.remedy
            assert str(values[0]) not in str(error)


def test_parameters_can_be_kept_as_json() -> None:
    for name, examples in EXAMPLES.items():
        for params, *_ in examples:
            made = HIERARCHIES.resolve(name).Params(**params)
            kept = json.loads(made.model_dump_json(by_alias=True))
            assert HIERARCHIES.resolve(name).Params(**kept) == made
