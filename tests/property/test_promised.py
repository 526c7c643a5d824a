"""Classes that keep models, by microaggregation and by cells: on small random tables, against definitions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sfumato.anonymity import MODELS
from sfumato.anonymity.cells_promised import suppress_promised
from sfumato.anonymity.microaggregation import cluster, loss
from sfumato.anonymity.microaggregation.promised import Promise, _merged, promised
from sfumato.anonymity.others_known import OthersKnown
from sfumato.classes.contingency import Sensitive
from sfumato.classes.table import Units
from sfumato.core.errors import InputError

ASKED: dict[str, dict[str, Any]] = {
    "distinct": {"model": "l-diversity", "on": "s", "l": 2},
    "entropy": {"model": "l-diversity", "on": "s", "l": 1.5, "kind": "entropy"},
    "close": {"model": "t-closeness", "on": "s", "t": 0.3},
    "ordered": {"model": "t-closeness", "on": "s", "t": 0.2, "distance": "ordered"},
    "alpha": {"model": "alpha-k", "on": "s", "alpha": 0.7, "k": 2},
    "average": {"model": "average-risk", "at_most": 0.3},
}


def model(params: dict[str, Any]) -> Any:
    kind = MODELS.resolve(params["model"])
    return kind(kind.Params(**{name: value for name, value in params.items() if name != "model"}))


def column(codes: Sequence[int]) -> Sensitive:
    values = np.unique(codes, return_inverse=True)[1].astype(np.int64)
    return Sensitive(values, np.bincount(values))


def distance(one: Counter[int], everybody: Counter[int], ordered: bool) -> float:
    gaps = [one[v] / one.total() - everybody[v] / everybody.total() for v in sorted(everybody)]
    if not ordered:
        return sum(map(abs, gaps)) / 2
    return float(np.abs(np.cumsum(gaps)[:-1]).sum() / (len(gaps) - 1)) if len(gaps) > 1 else 0.0


def keeps(name: str, classes: list[Counter[int]], everybody: Counter[int]) -> bool:
    if name == "distinct":
        return all(len(one) >= 2 for one in classes)
    if name == "entropy":
        shares = [np.array(list(one.values())) / one.total() for one in classes]
        return all(-(p * np.log(p)).sum() >= np.log(1.5) - 1e-6 for p in shares)
    if name == "alpha":
        return all(max(one.values()) <= 0.7 * one.total() + 1e-6 for one in classes)
    if name == "average":
        return len(classes) <= 0.3 * everybody.total() + 1e-6
    bound = ASKED[name]["t"] + 1e-6
    return all(distance(one, everybody, name == "ordered") <= bound for one in classes)


def members(classes: np.ndarray, values: np.ndarray, counts: np.ndarray | None = None) -> list[Counter[int]]:
    found: dict[int, Counter[int]] = {}
    weights = np.ones(len(classes), dtype=int) if counts is None else counts
    for number, value, weight in zip(classes, values, weights, strict=True):
        found.setdefault(int(number), Counter())[int(value)] += int(weight)
    return list(found.values())


tables = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(0, 3)), min_size=2, max_size=40)


@settings(max_examples=60, deadline=None)
@given(tables, st.integers(1, 4), st.sampled_from(sorted(ASKED)))
def test_classes_of_points_keep_what_all_of_them_keep(
    rows: list[tuple[int, int, int]], k: int, name: str
) -> None:
    k = min(k, len(rows))
    points, values = np.array([row[:2] for row in rows], dtype=float), column([row[2] for row in rows])
    promise = Promise([model({"model": "k-anonymity", "k": max(2, k)}), model(ASKED[name])], {"s": values})
    everybody = Counter(values.codes.tolist())
    if not keeps(name, [everybody], everybody) or len(rows) < max(2, k):
        with pytest.raises(InputError, match="anonymity-impossible"):
            promised(points, k, promise)
        return
    classes = promised(points, k, promise)
    assert sorted(set(classes)) == list(range(max(classes) + 1))
    found = members(classes, values.codes)
    assert min(one.total() for one in found) >= max(2, k)
    assert keeps(name, found, everybody)
    assert classes.tolist() == promised(points.copy(), k, promise).tolist()


@settings(max_examples=60, deadline=None)
@given(tables, st.integers(1, 3), st.sampled_from(sorted(ASKED)))
def test_blanks_keep_what_a_blank_table_keeps(
    rows: list[tuple[int, int, int]], weight: int, name: str
) -> None:
    distinct, counts = np.unique(np.array(rows), axis=0, return_counts=True)
    counts, values = counts * weight, column(distinct[:, 2])
    values = Sensitive(values.codes, np.bincount(values.codes, counts).astype(np.int64))
    units = Units(counts, {"s": values})
    models = [model({"model": "k-anonymity", "k": 2}), model(ASKED[name])]
    everybody = Counter(np.repeat(values.codes, counts).tolist())
    if not keeps(name, [everybody], everybody):
        with pytest.raises(InputError, match="anonymity-impossible"):
            suppress_promised(distinct[:, :2].T, units, 2, models)
        return
    found = suppress_promised(distinct[:, :2].T, units, 2, models)
    assert np.bincount(found.units, found.counts, len(counts)).tolist() == counts.tolist()
    shown = np.where(found.blanks, -1, distinct[:, :2].T[:, found.units])
    classes = np.unique(shown, axis=1, return_inverse=True)[1].ravel()
    told = members(classes, values.codes[found.units], found.counts)
    assert min(one.total() for one in told) >= 2
    assert keeps(name, told, everybody)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(*[st.integers(0, 2)] * 4), min_size=1, max_size=40),
    st.sampled_from(["distinct", "entropy", "close", "alpha"]),
)
def test_with_others_known_a_class_holds_if_each_part_of_it_does(
    rows: list[tuple[int, ...]], name: str
) -> None:
    """Against a model asked of the parts one by one; two other columns are known."""
    sensitive = {"s": column([row[0] for row in rows])}
    sensitive |= {f"o{i}": column([row[i] for row in rows]) for i in (1, 2)}
    known = OthersKnown(model(ASKED[name]), ("o1", "o2"))
    ones = np.ones(len(rows), dtype=np.int64)
    numbers = np.unique([row[3] for row in rows], return_inverse=True)[1].astype(np.int64)
    count = int(numbers.max()) + 1
    joined = sensitive | {known.on: known.joined(sensitive)}
    found = known.holds(Units(ones, joined).classes(numbers, count))
    keys = np.array([(n, *row[1:3]) for n, row in zip(numbers, rows, strict=True)])
    fine = np.unique(keys, axis=0, return_inverse=True)[1].ravel().astype(np.int64)
    parts = known.model.holds(Units(ones, sensitive).classes(fine, int(fine.max()) + 1))
    assert found.tolist() == [bool(parts[np.unique(fine[numbers == c])].all()) for c in range(count)]


def test_the_local_search_and_the_strata_are_worth_it() -> None:
    """Classes that ignore the values, merged until they hold, lose several times as much."""
    draw = np.random.default_rng(4)
    points = draw.normal(size=(2000, 2))
    values = column(np.digitize(0.5 * points[:, 0] + draw.normal(size=2000), [-1, 0, 1]).tolist())
    promise = Promise([model({"model": "t-closeness", "on": "s", "t": 0.1})], {"s": values})
    plain = cluster(points, 5)
    found, merged = (
        loss(points, one) for one in (promised(points, 5, promise), _merged(points, plain, promise))
    )
    assert loss(points, plain) < found < merged / 3


def test_too_many_combinations_of_values_are_refused() -> None:
    many = column(range(6000))
    known = OthersKnown(model(ASKED["distinct"]), ("o",))
    with pytest.raises(InputError, match="too many combinations"):
        known.joined({"s": many, "o": many})
