"""What every kind of hierarchy must do: labels that nest, shares that add up, a place for what is missing."""

from __future__ import annotations

import datetime as dt
import json
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from sfumato.core.canonical import canonical_json
from sfumato.core.errors import InputError
from sfumato.hierarchies import HIERARCHIES
from sfumato.hierarchies.build import build, fitted, is_fitted, needs_target
from sfumato.hierarchies.ladder import ANY, Ladder

TREE = "".join(f"n{n},n{(n - 1) // 3}\n" for n in range(1, 17)) + "deep,n16\n"
FILE = "".join(f"{n};{n // 2};{n // 4};all\n" for n in range(16)) + ";unknown;unknown;all\n3;1;0;all\n"

WHOLE = st.integers(-(2**53), 2**53) | st.integers(-20, 130)
NUMBERS = st.floats(-1e9, 1e9, allow_nan=False) | st.floats(-20, 130)
DATES = st.dates(dt.date(1, 1, 1), dt.date(9999, 12, 31))
WRITTEN_DATES = DATES.map(lambda day: f"{day:%d/%m}/{day.year:04}")
TEXTS = st.text(st.sampled_from("abc123*; é"), max_size=6)
FIGURES = st.integers(0, 15)
GRADES = ["none", "primary", "secondary", "bachelor", "master", "doctor"]
NODES = st.sampled_from([f"n{n}" for n in range(6, 16)] + ["deep"])
ZIPS = st.sampled_from(["03601", "89001", "02139", "90210-1234", "no", ""]) | st.from_regex(
    r"[0-9]{5}", fullmatch=True
)
OUTWARD = st.sampled_from(["SW1A 1AA", "sw1a1ab", "SW1A", "M1 1AA", "M11 1AA", "M1", "B33 8TH", "x"])
PLACES = st.builds(
    lambda *place: "{:.4f}, {:.4f}".format(*place), st.floats(-95, 95), st.floats(-185, 185)
) | st.sampled_from(["8a1f90151ac7fff", "831f90fffffffff", "nowhere", "47,37;8,54"])

#: Parameters, the type of the column, its values; a new kind needs a line here, or the suite fails.
EXAMPLES: dict[str, list[tuple[dict[str, Any], Any, st.SearchStrategy[Any]]]] = {
    "file": [({"path": "h.csv"}, pl.Int64, FIGURES), ({"path": "h.csv"}, pl.String, FIGURES.map(str))],
    "intervals": [
        ({"widths": [1]}, pl.Int64, WHOLE),
        ({"widths": [5, 10, 20], "from": 20, "to": 100}, pl.Int64, WHOLE),
        ({"widths": [5, 10, 20], "from": 20, "to": 100}, pl.Float64, NUMBERS),
        ({"widths": [0.5, 1.5], "from": -0.5}, pl.Float64, NUMBERS),
    ],
    "quantiles": [
        ({"bins": [20, 5, 2]}, pl.Int64, WHOLE),
        ({"bins": [7, 2]}, pl.Float64, NUMBERS),
        ({"bins": [12, 3]}, pl.Date, DATES),
        ({"bins": [5], "format": "%d/%m/%Y"}, pl.String, WRITTEN_DATES),
    ],
    "order": [
        ({"values": GRADES, "sizes": [2, 4]}, pl.String, st.sampled_from(GRADES)),
        ({"values": [str(n) for n in range(16)], "sizes": [3]}, pl.Int64, FIGURES),
        (
            {
                "values": GRADES,
                "groups": [
                    {"low": GRADES[:2], "middle": GRADES[2:3], "high": GRADES[3:]},
                    {"no degree": ["low", "middle"], "degree": ["high"]},
                ],
            },
            pl.String,
            st.sampled_from(GRADES),
        ),
    ],
    "taxonomy": [
        ({"path": "tree.csv"}, pl.String, NODES),
        ({"path": "tree.csv", "branches": True}, pl.String, NODES | st.sampled_from(["n0", "n1", "n4"])),
        ({"tree": {"odd": ["1", "3"], "even": {"small": ["2"], "0": None}}}, pl.Int64, st.integers(0, 3)),
    ],
    "learned": [
        ({"groups": [6, 3, 2]}, pl.String, TEXTS),
        ({"groups": [4], "least": 30}, pl.Int64, FIGURES),
        ({"groups": [2]}, pl.Boolean, st.booleans()),
    ],
    "mask": [
        ({"hide": [2, 3]}, pl.String, TEXTS),
        ({"hide": [1, 4], "side": "start"}, pl.String, TEXTS),
        ({"hide": [3]}, pl.Int64, WHOLE),
        ({"positions": [[2], [1, -1], [5]]}, pl.String, TEXTS),
    ],
    "postcode": [
        ({"country": "US"}, pl.String, ZIPS),
        ({"country": "US", "areas": ["zip3"]}, pl.Int64, st.integers(-5, 10**9) | st.integers(500, 9999)),
        ({"country": "US", "path": "people.csv"}, pl.String, ZIPS),
        ({"country": "GB"}, pl.String, OUTWARD),
        ({"country": "CA"}, pl.String, st.sampled_from(["K1A 0B1", "k1a0b2", "K2P", "M5V-2T6", "12345"])),
        ({"country": "FR"}, pl.Int64, st.integers(0, 99_999)),
    ],
    "coordinates": [
        ({"resolutions": [9, 7, 3]}, pl.String, PLACES),
        ({"resolutions": [5]}, pl.Int64, st.sampled_from([0x8A1F90151AC7FFF, 0x831F90FFFFFFFFF, 5, -1])),
    ],
    "prefix": [({"keep": [4, 2, 1]}, pl.String, TEXTS), ({"keep": [2]}, pl.Int64, WHOLE)],
    "dates": [
        ({"levels": ["month", "quarter", "year", "decade"]}, pl.Date, DATES),
        ({"levels": ["quarter", "decade"]}, pl.Datetime("us"), DATES),
        ({"levels": ["day", "week"]}, pl.Datetime("us"), DATES),
        ({"levels": ["day", "half-year", "5-years", "decade"]}, pl.Date, DATES),
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
    (place / "tree.csv").write_text(TREE)
    (place / "people.csv").write_text("zip,people\n021,700000\n90210,19000\n90211,1001\n036,20000\n")
    return place


@cache
def learnt(name: str, written: str, dtype: Any) -> dict[str, Any]:
    """What a fitted kind learns of four hundred people, about fifty values and a target."""
    elements = {
        pl.Int64: [n % 16 if name == "learned" else n - 17 for n in range(47)],
        pl.Float64: [round(1.07**n - 3, 3) for n in range(47)],
        pl.Date: [dt.date(1930, 1, 5) + dt.timedelta(days=433 * n) for n in range(47)],
        pl.String: [f"{'abc123*; é'[n % 9]}{'' if n < 9 else 'b'}" for n in range(47)],
        pl.Boolean: [bool(n % 2) for n in range(47)],
    }[dtype]
    params = json.loads(written)
    if "format" in params:
        elements = [f"{n % 28 + 1:02}/03/{1930 + n}" for n in range(47)]
    rows = pl.DataFrame(
        {
            "value": pl.Series(
                [elements[n * n % 47] for n in range(400)], dtype=pl.String if "format" in params else dtype
            ),
            "target": [n * n * n % 3 for n in range(400)],
        }
    )
    keys = ["value", "target"] if needs_target({"kind": name}) else ["value"]
    return fitted({"kind": name, **params}, rows.group_by(keys).agg(pl.len().alias("count")))


def kind(name: str, params: dict[str, Any], folder: Path, dtype: Any = None) -> Any:
    spec = {"kind": name, **params}
    spec = learnt(name, json.dumps(params), dtype) if is_fitted(spec) else spec
    # As it is kept: in canonical JSON.
    return build(json.loads(canonical_json(spec)), folder)


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
    hierarchy = kind(name, params, folder, dtype)
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
    hierarchy = kind(name, params, folder, dtype)
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
    hierarchy = kind(name, params, folder, dtype)
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
    built = ladder(kind(name, params, folder, dtype), pl.Series("x", [None], dtype=dtype))
    assert built.labels[-1].to_list() in ([ANY], ["all"])


@pytest.mark.parametrize("name", HIERARCHIES)
def test_values_of_another_type_are_one_clear_error_or_are_treated(folder: Path, name: str) -> None:
    """Never a bare failure of a library, and never a value in the message."""
    (params, dtype, _), *_ = EXAMPLES[name]
    hierarchy = kind(name, params, folder, dtype)
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


@pytest.mark.parametrize("name", HIERARCHIES)
def test_its_height_is_known_before_it_is_fitted(folder: Path, name: str) -> None:
    for params, dtype, _ in EXAMPLES[name]:
        made = HIERARCHIES.resolve(name)
        unfitted = made(made.Params(**params), folder)
        assert unfitted.height == kind(name, params, folder, dtype).height


@pytest.mark.parametrize("name", [name for name in HIERARCHIES if is_fitted({"kind": name})])
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_what_a_fitted_kind_learns_is_json_and_does_not_depend_on_the_order_of_rows(
    name: str, data: st.DataObject
) -> None:
    made = HIERARCHIES.resolve(name)
    assert len(made.disclosed) > 20
    for params, dtype, elements in EXAMPLES[name]:
        drawn = data.draw(st.lists(st.none() | elements, max_size=12, unique=True))
        counts = data.draw(st.lists(st.integers(1, 40), min_size=len(drawn), max_size=len(drawn)))
        values = pl.DataFrame({"value": pl.Series(drawn, dtype=dtype), "count": counts}, strict=False)
        if needs_target({"kind": name}):
            values = values.with_columns(target=pl.col("count") % 3)
        values = values.with_columns(pl.col("count").cast(pl.UInt32))
        learned = made.fit(values, made.Params(**params))
        assert json.loads(json.dumps(learned, allow_nan=False)) == learned
        assert made.fit(values.reverse(), made.Params(**params)) == learned


@pytest.mark.parametrize(("name", "params", "dtype", "elements"), CASES)
@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_people_outside_the_snapshot_are_described_as_if_they_had_been_in_it(
    folder: Path, name: str, params: dict[str, Any], dtype: Any, elements: Any, data: st.DataObject
) -> None:
    """The label of a value in a ladder is the one that the kind alone gives it, and the ladders agree."""
    hierarchy = kind(name, params, folder, dtype)
    drawn = data.draw(st.lists(elements, min_size=2, max_size=8, unique=True))
    inside = pl.Series("x", drawn[: len(drawn) // 2], dtype=dtype)
    everybody = pl.Series("x", drawn, dtype=dtype)
    small, large = ladder(hierarchy, inside), ladder(hierarchy, everybody)
    for level in range(1, hierarchy.height):
        assert small.labels[level].to_list() == large.labels[level].to_list()[: len(inside)]
        assert large.labels[level].to_list() == hierarchy.labels(everybody, level).to_list()
