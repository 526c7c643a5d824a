"""The inventory's figures against brute force, and that no value is ever in it."""

from __future__ import annotations

from collections import Counter
from itertools import combinations
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from sfumato.inventory import take_inventory
from sfumato.inventory.dependence import LEAST_SURPRISES, binned, determines, functions, information
from sfumato.inventory.detectors import DETECTORS
from sfumato.inventory.detectors.base import Examined
from sfumato.inventory.profile import measure
from sfumato.inventory.quasi import quasi_sets
from sfumato.inventory.take import detect

values = st.one_of(
    st.lists(st.none() | st.integers(-3, 6), min_size=1, max_size=30),
    st.lists(st.none() | st.text("ab", max_size=2), min_size=1, max_size=30),
    st.lists(st.none() | st.booleans(), min_size=1, max_size=30),
)


@settings(deadline=None)
@given(values)
def test_figures_of_a_column_by_brute_force(column: list[Any]) -> None:
    measured, n = measure(pl.Series("x", column)), len(column)
    counts = Counter(column)
    pairs = [(a, b) for a, b in combinations(range(n), 2)]
    apart = sum(column[a] != column[b] for a, b in pairs)
    assert measured.missing == counts[None]
    assert measured.distinct == len(set(column) - {None})
    assert measured.distinction == pytest.approx(measured.distinct / n)
    assert measured.separation == pytest.approx(apart / len(pairs) if pairs else 0.0)
    assert measured.unique == pytest.approx(sum(counts[value] == 1 for value in column) / n)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 6)), min_size=1, max_size=30))
def test_unique_by_person_by_brute_force(rows: list[tuple[int, int]]) -> None:
    column, person = [row[0] for row in rows], np.array([row[1] for row in rows])
    holders = {value: {int(p) for v, p in zip(column, person, strict=True) if v == value} for value in column}
    expected = sum(len(holders[value]) == 1 for value in column) / len(column)
    assert measure(pl.Series("x", column), person).unique == pytest.approx(expected)


codes = st.lists(st.integers(0, 3), min_size=25, max_size=40)


@settings(deadline=None)
@given(codes, st.data())
def test_dependence_by_brute_force(x: list[int], data: st.DataObject) -> None:
    mapped = data.draw(st.lists(st.integers(0, 3), min_size=4, max_size=4))
    broken = data.draw(st.booleans())
    y = [mapped[value] for value in x]
    if broken:
        y[data.draw(st.integers(0, len(y) - 1))] += 1
    expected = len(set(zip(x, y, strict=True))) == len(set(x))
    assert determines(np.array(x), np.array(y), 4) == expected
    columns = [measure(pl.Series("x", x)), measure(pl.Series("y", y))]
    surprising = (len(x) - len(set(x))) * columns[1].separation >= LEAST_SURPRISES
    assert (functions(columns)["y"] == ("x",)) == (expected and surprising)


def test_a_dependency_broken_beyond_the_rows_first_tried_is_none() -> None:
    x = [i % 50 for i in range(6000)]
    y = [value // 5 for value in x]
    assert functions([measure(pl.Series("x", x)), measure(pl.Series("y", y))])["y"] == ("x",)
    y[-1] += 1
    assert functions([measure(pl.Series("x", x)), measure(pl.Series("y", y))])["y"] == ()


def test_nearly_unique_and_missing_values_prove_no_dependency() -> None:
    rows = 500
    key = [i if i % 2 else None for i in range(rows)]
    flag = [i % 2 for i in range(rows)]
    found = functions([measure(pl.Series("key", key)), measure(pl.Series("flag", flag))])
    assert found == {"key": (), "flag": ()}


tables = st.integers(2, 5).flatmap(
    lambda width: st.lists(
        st.tuples(*[st.none() | st.integers(0, 3) for _ in range(width)]), min_size=2, max_size=40
    )
)


@settings(max_examples=60, deadline=None)
@given(tables, st.booleans())
def test_sets_by_brute_force(rows: list[tuple[Any, ...]], several: bool) -> None:
    """The best set of each size at most 4 is found, up to one that gains less than 1 % of the rows."""
    names = [f"c{i}" for i in range(len(rows[0]))]
    table = pl.DataFrame(rows, schema=dict.fromkeys(names, pl.Int64), orient="row")
    person = np.arange(len(rows)) // 2 if several else np.arange(len(rows))
    # Where there is one person only, even a constant column singles them out; it is no set to show.
    assume(person[0] != person[-1])

    def unique(columns: tuple[str, ...]) -> float:
        tuples = list(table.select(columns).iter_rows())
        holders: dict[tuple[Any, ...], set[int]] = {}
        for each, who in zip(tuples, person, strict=True):
            holders.setdefault(each, set()).add(int(who))
        return sum(len(holders[each]) == 1 for each in tuples) / len(tuples)

    measured = [measure(table[name], person) for name in names]
    found = quasi_sets(measured, {}, person if several else None)
    assert len(found) <= 15
    for each in found:
        assert each.unique_share == pytest.approx(unique(each.columns))
    for size in range(1, min(4, len(names)) + 1):
        best = max(unique(columns) for k in range(1, size + 1) for columns in combinations(names, k))
        shown = max((each.unique_share for each in found if len(each.columns) <= size), default=0.0)
        assert shown >= best - 0.01 * size - 1e-9
    assert [len(each.columns) for each in found] == sorted(len(each.columns) for each in found)


def test_a_function_adds_nothing_to_a_set() -> None:
    draw = np.random.default_rng(3)
    table = {f"c{i}": draw.integers(0, 30, 400) for i in range(4)}
    table["square"] = table["c0"] ** 2
    table["coarse"] = table["c1"] // 10
    columns = [measure(pl.Series(name, each)) for name, each in table.items()]
    for found in quasi_sets(columns, functions(columns)):
        assert not {"c0", "square"} <= set(found.columns)
        assert not {"c1", "coarse"} <= set(found.columns)


def test_many_columns_stay_within_the_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    from sfumato.inventory import quasi

    counted: list[int] = []
    real = quasi.unique_share
    monkeypatch.setattr(quasi, "unique_share", lambda *args: counted.append(1) or real(*args))
    draw = np.random.default_rng(4)
    columns = [measure(pl.Series(f"c{i}", draw.integers(0, 4, 300))) for i in range(120)]
    sets = quasi_sets(columns, {})
    assert len(counted) <= quasi.MOST_SETS
    assert max(found.unique_share for found in sets) >= 0.95


@settings(deadline=None)
@given(
    st.lists(st.integers(0, 5), min_size=2, max_size=60),
    st.lists(st.integers(0, 5), min_size=60, max_size=60),
)
def test_information_by_brute_force(x: list[int], y: list[int]) -> None:
    y = y[: len(x)]
    n, both, of_x, of_y = len(x), Counter(zip(x, y, strict=True)), Counter(x), Counter(y)
    expected = sum(c / n * np.log(c * n / (of_x[a] * of_y[b])) for (a, b), c in both.items())
    assert information(np.array(x), np.array(y)) == pytest.approx(expected, abs=1e-9)


@settings(deadline=None)
@given(st.lists(st.none() | st.floats(-100, 100), min_size=1, max_size=300))
def test_bins_keep_values_together_in_order(column: list[float | None]) -> None:
    measured = measure(pl.Series("x", column, dtype=pl.Float64))
    bins = binned(measured, 10)
    assert len(set(bins[measured.codes > 0].tolist())) <= 10
    assert set(bins[measured.codes == 0].tolist()) <= {0}
    order = np.argsort(measured.codes, kind="stable")
    assert (np.diff(bins[order]) >= 0).all()


# --- no value ever -------------------------------------------------------------------------------------

secret = st.text("qxzjkvw", min_size=6, max_size=12)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(secret, st.integers(0, 99), secret), min_size=1, max_size=40), st.booleans())
def test_no_value_is_in_the_inventory(rows: list[tuple[str, int, str]], repeated: bool) -> None:
    rows = rows * (10 if repeated else 1)
    forms = {
        "name": [f"Anna {a.title()}" for a, _, _ in rows],
        "email": [f"{a}@{b}.example.org" for a, _, b in rows],
        "note": [f"{a} came by and spoke of {b} and of {a}{b} at length" for a, _, b in rows],
        "category": [b for _, _, b in rows],
        "code": [f"{a}{n}" for a, n, _ in rows],
        "city": [a for a, _, _ in rows],
        "site": [f"https://{a}.org/{b}" for a, _, b in rows],
    }
    inventory = take_inventory(pl.DataFrame(forms), target="category")
    written = inventory.to_json().decode().lower()
    for a, _, b in rows:
        assert a not in written
        assert b not in written


def test_the_search_for_values_would_find_one() -> None:
    """The twin that quotes is caught: the check above is able to fail."""

    class Quoting:
        def examine(self, column: Examined) -> Any:
            return column.detection("email", 1, f"look like {column.values[0]}")

    table = pl.DataFrame({"email": ["qxzjkv@example.org"] * 20})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DETECTORS, "resolve", dict.fromkeys(DETECTORS, Quoting).get)
        quoted = detect(measure(table["email"]), bytes(32))
    assert "qxzjkv" in quoted[0].evidence


@settings(max_examples=20, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 50), st.text("abc", max_size=3)), min_size=1, max_size=40), st.randoms()
)
def test_same_rows_same_bytes_in_any_order(rows: list[tuple[int, str]], random: Any) -> None:
    """Everything but the information about a shuffled target is the same for any order of the rows."""
    table = pl.DataFrame(rows, schema=["a", "b"], orient="row")
    again = take_inventory(table, target="a")
    assert take_inventory(table, target="a").to_json() == again.to_json()
    shuffled = list(rows)
    random.shuffle(shuffled)
    other = pl.DataFrame(shuffled, schema=["a", "b"], orient="row")
    assert take_inventory(table).to_json() == take_inventory(other).to_json()
