"""Kinds that learn from a column: what they learn, what their labels give away, and what they refuse."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal, localcontext
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydantic import ValidationError

from sfumato.core.errors import InputError
from sfumato.hierarchies.build import build, fitted, is_fitted, needs_target
from sfumato.hierarchies.cuts import coarser, date_of, find_cuts, roundest_day, roundest_number, windows
from sfumato.hierarchies.merging import merged

JOBS = {"clerk": 0.2, "nurse": 0.25, "doctor": 0.8, "lawyer": 0.85, "farmer": 0.1}


def table(values: Any, target: Any = None, dtype: Any = None) -> pl.DataFrame:
    rows = pl.DataFrame(
        {"value": pl.Series(values, dtype=dtype)} | ({} if target is None else {"target": target})
    )
    return rows.group_by(rows.columns).agg(pl.len().alias("count"))


def made(spec: dict[str, Any], values: Any, target: Any = None, dtype: Any = None) -> Any:
    return build(fitted(spec, table(values, target, dtype)), Path())


def labels(hierarchy: Any, values: list[Any], level: int, dtype: Any = None) -> list[Any]:
    return hierarchy.labels(pl.Series("x", values, dtype=dtype), level).to_list()


# The specification


def test_only_fitted_kinds_learn() -> None:
    spec = {"kind": "intervals", "widths": [5]}
    assert fitted(spec, table([1, 2])) == spec
    assert not is_fitted(spec)
    assert is_fitted({"kind": "quantiles"}) and not needs_target({"kind": "quantiles"})
    assert needs_target({"kind": "learned"})
    assert build({"kind": "quantiles", "bins": [9, 3]}, Path()).height == 4


# quantiles


def test_whole_numbers_in_bins_of_as_many_people() -> None:
    ages = made({"kind": "quantiles", "bins": [4, 2]}, [n for n in range(20, 100) for _ in range(5)])
    assert labels(ages, [3, 39, 40, 59, 60, 80, 99, 300, None], 1) == [
        "< 40", "< 40", "40-59", "40-59", "60-79", ">= 80", ">= 80", ">= 80", None,
    ]  # fmt: skip
    assert labels(ages, [3, 59, 60, None], 2) == ["< 60", "< 60", ">= 60", None]
    assert labels(ages, [3, None], 3) == ["*", "*"]
    assert ages.centers(pl.Series([3, 45, 99, None]), 1).to_list() == [40, 50, 80, None]
    assert ages.centers(pl.Series([3, None]), 0).to_list() == [3, None]
    assert ages.centers(pl.Series([3]), 3) is None


def test_other_numbers_and_dates() -> None:
    lengths = made({"kind": "quantiles", "bins": [3]}, [n / 100 for n in range(100, 400)])
    assert labels(lengths, [1.5, 2.0, 2.9, float("inf"), float("nan"), None], 1) == [
        "< 2", "[2, 3)", "[2, 3)", ">= 3", None, None,
    ]  # fmt: skip
    days = [dt.date(1940, 1, 1) + dt.timedelta(days=7 * n) for n in range(2600)]
    for born, read in (
        (made({"kind": "quantiles", "bins": [3]}, days), lambda day: day),
        (made({"kind": "quantiles", "bins": [3], "format": "%d.%m.%Y"}, [f"{day:%d.%m.%Y}" for day in days]),
         lambda day: f"{day:%d.%m.%Y}"),
    ):  # fmt: skip
        assert labels(born, [read(day) for day in (days[0], days[1300], days[-1])], 1) == [
            "< 1960-01-01", "[1960-01-01, 1970-01-01)", ">= 1970-01-01",
        ]  # fmt: skip
        middle = pl.Series([read(days[1300])])
        assert born.centers(middle, 1).to_list() == [pytest.approx(1965, abs=0.01)]
        assert born.centers(middle, 0).to_list() == [pytest.approx(1964.92, abs=0.01)]


def test_few_people_have_no_bounds() -> None:
    few = made({"kind": "quantiles", "bins": [5, 2]}, list(range(19)))
    assert labels(few, [3, None], 1) == ["*", None]
    assert few.centers(pl.Series([3]), 1) is None
    assert labels(made({"kind": "quantiles", "bins": [2]}, [], dtype=pl.Int64), [3], 1) == ["*"]
    assert labels(made({"kind": "quantiles", "bins": [2]}, [7] * 1000), [7], 1) == ["*"]


def test_a_bound_is_nobodys_value_beside_a_value_that_many_have() -> None:
    """A thousand people without income and few with one: no bound follows one of the few."""
    cuts = [
        fitted(
            {"kind": "quantiles", "bins": [4]},
            table([0.0] * 1000 + [lone] + [30_000.0 + n for n in range(40)]),
        )
        for lone in (1.2345, 123.45, 12_345.67)
    ]
    assert cuts[0]["fit"]["cuts"] == cuts[1]["fit"]["cuts"] == cuts[2]["fit"]["cuts"] == [[20_000.0]]


@pytest.mark.parametrize(
    ("spec", "values", "words"),
    [
        ({"bins": [4]}, ["ZZSECRETZZ"], "quantiles need numbers or dates"),
        ({"bins": [4]}, [True], "quantiles need numbers or dates"),
        ({"bins": [4], "format": "%Y"}, ["ZZSECRETZZ"], "not dates of the format"),
    ],
)
def test_columns_that_have_no_quantiles(spec: dict[str, Any], values: list[Any], words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        made({"kind": "quantiles", **spec}, values)
    assert caught.value.code == "column-values"
    assert "ZZSECRETZZ" not in str(caught.value)


def test_a_batch_of_another_type_than_the_fit_is_refused() -> None:
    with pytest.raises(InputError, match="numbers or dates throughout"):
        labels(made({"kind": "quantiles", "bins": [2]}, list(range(100))), [dt.date(2020, 1, 1)], 1)


@pytest.mark.parametrize(
    ("kind", "params", "words"),
    [
        ("quantiles", {"bins": []}, "at least 1"),
        ("quantiles", {"bins": [1]}, "greater than or equal to 2"),
        ("quantiles", {"bins": [5, 5]}, "bins must fall"),
        ("quantiles", {"bins": [5], "least": 9}, "greater than or equal to 10"),
        ("learned", {"groups": [5, 5]}, "groups must fall"),
        ("learned", {"groups": [1]}, "greater than or equal to 2"),
        ("learned", {"groups": [3], "least": 1}, "greater than or equal to 10"),
        ("learned", {"groups": [3], "fit": {}}, "Extra inputs"),
    ],
)
def test_parameters_that_cannot_be_used(kind: str, params: dict[str, Any], words: str) -> None:
    from sfumato.hierarchies import HIERARCHIES

    with pytest.raises(ValidationError, match=words):
        HIERARCHIES.resolve(kind).Params(**params)


PEOPLE = st.lists(
    st.tuples(st.integers(-50, 50) | st.floats(-1e6, 1e6), st.integers(1, 60)), min_size=1, max_size=60,
    unique_by=lambda pair: pair[0],
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(PEOPLE, st.integers(2, 30), st.integers(10, 40))
def test_every_bin_has_enough_people_and_every_bound_enough_around_it(
    drawn: list[tuple[float, int]], bins: int, least: int
) -> None:
    drawn = sorted(drawn)
    values = np.array([float(value) for value, _ in drawn])
    people = np.array([count for _, count in drawn])
    cuts = find_cuts(values, people, bins, least, roundest_number)
    assert cuts == sorted(set(cuts)) and len(cuts) < bins
    edges = [-np.inf, *cuts, np.inf]
    for low, high in pairwise(edges):
        assert people[(values >= low) & (values < high)].sum() >= (least if cuts else 0)
    for fewer in range(2, bins):
        assert set(coarser(values, people, cuts, fewer)) <= set(cuts)
        assert len(coarser(values, people, cuts, fewer)) < fewer


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.integers(1, 60), min_size=2, max_size=40), st.integers(2, 30), st.integers(10, 40), st.data()
)
def test_no_few_people_decide_a_bound(people: list[int], bins: int, least: int, data: st.DataObject) -> None:
    """Enough lie on either side of it within its window; at the ends of the data there is no bound at all."""
    below = np.concatenate([[0], np.cumsum(people)])
    rank = below[-1] * data.draw(st.integers(1, bins - 1)) / bins
    for low, high, near in windows(below, rank, max(least / 2, below[-1] / bins / 4), least):
        assert low <= near <= high and low < high
        above_low, below_high = below[high + 1] - below[low + 1], below[high] - below[low]
        assert above_low >= least or high == len(people) - 1
        assert below_high >= least or low == 0


@settings(max_examples=300, deadline=None)
@given(st.floats(-1e12, 1e12), st.floats(-1e12, 1e12), st.floats(0, 1))
def test_the_roundest_number_lies_between_and_none_is_rounder(one: float, other: float, where: float) -> None:
    low, high = sorted((one, other))
    if low == high:
        return
    near = min(max(low + (high - low) * where, low), high)
    found = roundest_number(low, high, near)
    assert low < found <= high
    if found:
        steps = (Decimal(digit).scaleb(power) for power in range(13, -330, -1) for digit in (5, 2, 1))
        with localcontext(prec=400):
            for step in steps:
                below, above = (
                    (Decimal(repr(end)) / step).to_integral_value("ROUND_FLOOR") for end in (low, high)
                )
                if above > below:
                    break
            assert Decimal(repr(found)) % step == 0


@settings(max_examples=200, deadline=None)
@given(st.dates(), st.dates(), st.floats(0, 1))
def test_the_roundest_day_lies_between_and_begins_a_unit(one: dt.date, other: dt.date, where: float) -> None:
    low, high = sorted((day.toordinal() - dt.date(1970, 1, 1).toordinal()) for day in (one, other))
    if low == high:
        return
    found = roundest_day(low, high, low + int((high - low) * where))
    assert low < found <= high
    day = date_of(int(found))
    years = range(date_of(low).year, date_of(high).year + 1)
    inside = [
        year
        for year in years
        if low < dt.date(year, 1, 1).toordinal() - dt.date(1970, 1, 1).toordinal() <= high
    ]
    if inside:
        assert (day.month, day.day) == (1, 1)
        assert any(year % 10 == 0 for year in inside) == (day.year % 10 == 0)


# learned


def people(jobs: dict[str, float] = JOBS, each: int = 100) -> tuple[list[str], list[bool]]:
    """So many people of every job, of whom a share has the target."""
    rows = [(job, i < share * each) for job, share in jobs.items() for i in range(each)]
    return [job for job, _ in rows], [yes for _, yes in rows]


def test_categories_alike_in_the_target_share_a_label() -> None:
    jobs = made({"kind": "learned", "groups": [3, 2]}, *people())
    low, high = "{clerk, farmer, nurse}", "{doctor, lawyer}"
    assert labels(jobs, [*JOBS, None], 1) == ["{clerk, nurse}"] * 2 + [high] * 2 + ["farmer", None]
    assert labels(jobs, list(JOBS), 2) == [low, low, high, high, low]
    assert labels(jobs, ["clerk", None], 3) == ["*", "*"]
    # Nobody was rare, so nothing is said of a value that was not there.
    assert labels(jobs, ["astronaut"], 1) == [None]


def test_rare_categories_are_one_whatever_their_target_and_are_not_named() -> None:
    values, target = people()
    rare = [f"rare{n}" for n in range(12)]
    fits = []
    for yes in (False, True):
        spec = fitted({"kind": "learned", "groups": [6, 2]}, table(values + rare, target + [yes] * 12))
        assert "rare" not in str(spec)
        assert labels(build(spec, Path()), [*rare, "new"], 1) == ["other"] * 13
        fits.append(spec["fit"]["groups"][0])
    # What the rare ones do decides where they all go, and not where one of them goes.
    assert labels(build(spec, Path()), ["new", "doctor"], 2) == ["{doctor, lawyer, other}"] * 2
    assert fits[0] == fits[1]


def test_too_few_rare_people_take_the_next_rarest_with_them() -> None:
    values, target = people({**JOBS, "cook": 0.5})
    keep = [i for i, value in enumerate(values) if value != "cook" or i % 5 == 0]
    values, target = [values[i] for i in keep], [target[i] for i in keep]
    jobs = made({"kind": "learned", "groups": [9]}, [*values, "pilot"], [*target, True])
    assert labels(jobs, ["pilot", "cook", "clerk"], 1) == ["other", "other", "clerk"]
    tiny = made({"kind": "learned", "groups": [9]}, ["pilot", "cook"], [True, False])
    assert labels(tiny, ["pilot", "cook", "new", None], 1) == ["other", "other", "other", None]
    nobody = made({"kind": "learned", "groups": [9]}, [None], [True], pl.String)
    assert labels(nobody, ["new", None], 1) == [None, None]


def test_labels_stay_apart_whatever_the_values_are() -> None:
    odd = ["a", "b, c", "a, b", "c", "other", "{a, c}", '"a"', ""]
    values, target = people({name: 0.1 * n for n, name in enumerate(odd)})
    for groups in range(2, 10):
        spec = fitted(
            {"kind": "learned", "groups": [groups]}, table([*values, *["rare"] * 11], [*target, *[True] * 11])
        )
        found = labels(build(spec, Path()), [*odd, "rare"], 1)
        assert len(set(found)) == groups
    assert labels(build(spec, Path()), ["rare", "a", "b, c", "other"], 1)[1:] == ["a", '"b, c"', '"other"']


def test_long_labels_are_cut() -> None:
    values, target = people({f"v{n:02}": 0.9 if n < 30 else 0.1 for n in range(40)}, each=10)
    found = labels(made({"kind": "learned", "groups": [2]}, values, target), ["v00", "v35"], 1)
    assert found[0].startswith("{v00, v01, ") and found[0].endswith("v11, 18 more}")
    assert found[1].startswith("{v30, ") and "more" not in found[1]


def test_more_categories_than_can_be_merged_are_taken_together() -> None:
    values = [f"v{n:04}" for n in range(1500) for _ in range(10 + (n < 100))]
    spec = fitted({"kind": "learned", "groups": [2]}, table(values, [n % 2 for n in range(len(values))]))
    assert len(spec["fit"]["values"]) == 999
    assert {f"v{n:04}" for n in range(100)} < set(spec["fit"]["values"])


def test_a_target_of_numbers_is_cut_into_tenths() -> None:
    values, _ = people({"low": 0, "lower": 0, "high": 0})
    income = [float(n % 100 + (5000 if value == "high" else 0)) for n, value in enumerate(values)]
    found = made({"kind": "learned", "groups": [2]}, values, income)
    assert labels(found, ["low", "lower", "high"], 1) == ["{low, lower}", "{low, lower}", "high"]


def test_targets_that_nothing_can_be_learned_from() -> None:
    with pytest.raises(InputError, match="needs a target") as caught:
        made({"kind": "learned", "groups": [2]}, ["a"])
    assert caught.value.code == "policy-mismatch"
    with pytest.raises(InputError, match="more than 100 categories") as caught:
        made({"kind": "learned", "groups": [2]}, ["a"] * 101, [f"ZZSECRETZZ{n}" for n in range(101)])
    assert "ZZSECRETZZ" not in str(caught.value)


def information_lost(counts: NDArray[np.float64], groups: NDArray[np.int64]) -> float:
    """People times the mutual information of row and column that grouping the rows loses."""

    def information(rows: NDArray[np.float64]) -> float:
        joint = rows / rows.sum()
        expected = joint.sum(axis=1, keepdims=True) * joint.sum(axis=0, keepdims=True)
        there = joint > 0
        return float((joint[there] * np.log(joint[there] / expected[there])).sum())

    together = np.stack([counts[groups == group].sum(axis=0) for group in np.unique(groups)])
    return float(counts.sum()) * (information(counts) - information(together))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.integers(0, 30), min_size=3, max_size=3), min_size=2, max_size=8))
def test_each_merge_is_the_one_that_loses_least(drawn: list[list[int]]) -> None:
    counts = np.array(drawn, dtype=np.float64) + 1
    steps = merged(counts, range(len(counts), 0, -1))
    assert [len(set(groups.tolist())) for groups in steps] == list(range(len(counts), 0, -1))
    for before, after in pairwise(steps):
        options = []
        for one, other in combinations(range(before.max() + 1), 2):
            joined = np.where(before == other, one, before)
            options.append(information_lost(counts, joined))
        assert information_lost(counts, after) == pytest.approx(min(options), abs=1e-6)
        # Groups only grow.
        assert len(set(zip(before.tolist(), after.tolist(), strict=True))) == before.max() + 1
