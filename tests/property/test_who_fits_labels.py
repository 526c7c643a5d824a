"""Models that count the population where labels overlap: everybody who fits a label counted by hand."""

from __future__ import annotations

from collections import Counter
from itertools import product
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from people_support import METHODS_OF_CLASSES, PERSON, QUASI, recoded, shown, task
from sfumato.anonymity.holding import holding
from sfumato.classes.table import Units
from sfumato.contracts import COUNT
from sfumato.core.errors import InputError
from sfumato.pipeline.methods import partition as by_partition
from sfumato.pipeline.methods.task import Anonymized

IGNORING = {"model": "delta-disclosure", "on": "s", "delta": 0.9, "absent": "ignored"}
#: Tables in which classes that hold apart come to have the same labels, and fail together.
TELLING = (26, 82, 99, 208, 267)
OF_LABELS = [method for method in METHODS_OF_CLASSES if method != "microaggregation"]
PAIRS = hnp.arrays(np.int64, st.tuples(st.integers(6, 40), st.just(2)), elements=st.integers(0, 7))


def fits(label: str, value: int) -> bool:
    """Whether a label of a whole number covers one: itself, an interval with both ends, or anything."""
    if label == "*":
        return True
    low, _, high = label.partition("-")
    return int(low) <= value <= int(high or low)


def drawn_from(population: np.ndarray, many: int) -> pl.DataFrame:
    """The first so many people of a population."""
    rows = population[: min(many, len(population))]
    return pl.DataFrame({"a": rows[:, 0], "b": rows[:, 1], "s": rows.sum(axis=1) % 2}).with_columns(
        pl.int_range(pl.len()).alias(PERSON)
    )


def asked_of(method: str, models: list[dict[str, Any]], population: np.ndarray, many: int) -> Any:
    rows = drawn_from(population, many)
    everybody = pl.DataFrame({"a": population[:, 0], "b": population[:, 1]}).group_by(QUASI).len(COUNT)
    found = recoded(task(rows, METHODS_OF_CLASSES[method] | {"models": models}, None, everybody.sort(QUASI)))
    return rows, found, shown(found, rows)


@pytest.mark.parametrize("method", OF_LABELS)
@given(population=PAIRS, many=st.integers(1, 12), k=st.integers(2, 5), alone=st.booleans())
@settings(max_examples=25, deadline=None)
def test_k_people_of_the_population_fit_every_row(
    method: str, population: np.ndarray, many: int, k: int, alone: bool
) -> None:
    models: list[dict[str, Any]] = [{"model": "k-map", "k": k}]
    models += [] if alone else [{"model": "k-anonymity", "k": 2}]
    try:
        rows, found, left = asked_of(method, models, population, many)
    except InputError as error:
        assert error.code == "anonymity-impossible"
        assert not alone and many < 2
        return
    labels = Counter(left.select(QUASI).rows())
    assert sum(labels.values()) == rows.height
    for a, b in labels:
        assert sum(fits(a, x) and fits(b, y) for x, y in population.tolist()) >= k
    if not alone:
        assert min(labels.values()) >= 2
    # Whoever has the same values has the same labels: who is in the data decides nothing.
    of_values = set(zip(rows.select(QUASI).rows(), left.sort(PERSON).select(QUASI).rows(), strict=True))
    assert len(of_values) == rows.select(QUASI).n_unique()
    assert found.plan.classes == len(labels)
    assert found.plan.smallest_class == min(labels.values())


@pytest.mark.parametrize("method", OF_LABELS)
@given(population=PAIRS, many=st.integers(1, 20), low=st.sampled_from([0.0, 0.1]))
@settings(max_examples=25, deadline=None)
def test_nobody_is_too_surely_in_the_data(method: str, population: np.ndarray, many: int, low: float) -> None:
    high = 0.6
    models = [{"model": "delta-presence", "low": low, "high": high}]
    share = min(many, len(population)) / len(population)
    try:
        _, _, left = asked_of(method, models, population, many)
    except InputError as error:
        assert error.code == "anonymity-impossible"
        assert not low <= share <= high
        return
    labels = Counter(left.select(QUASI).rows())
    behind = {(a, b): sum(fits(a, x) and fits(b, y) for x, y in population.tolist()) for a, b in labels}
    for x, y in product(range(8), repeat=2):
        if [x, y] in population.tolist():
            expected = sum(
                number / behind[a, b] for (a, b), number in labels.items() if fits(a, x) and fits(b, y)
            )
            assert low - 1e-9 <= expected <= high + 1e-9


@pytest.mark.parametrize("method", OF_LABELS)
def test_people_whom_the_table_lacks_are_not_counted(method: str) -> None:
    """Five people who are not in the population do not hide each other there."""
    population = np.array([[0, 0]] * 6 + [[1, 1]] * 6)
    rows = pl.DataFrame({"a": [7] * 5 + [0], "b": [7] * 5 + [0], "s": [0] * 6, PERSON: list(range(6))})
    everybody = pl.DataFrame({"a": population[:, 0], "b": population[:, 1]}).group_by(QUASI).len(COUNT)
    asked = METHODS_OF_CLASSES[method] | {"models": [{"model": "k-map", "k": 4}]}
    left = shown(recoded(task(rows, asked, None, everybody.sort(QUASI))), rows)
    for a, b in left.select(QUASI).unique().rows():
        assert sum(fits(a, x) and fits(b, y) for x, y in population.tolist()) >= 4


@pytest.mark.parametrize("method", METHODS_OF_CLASSES)
@pytest.mark.parametrize("model", [
    {"model": "l-diversity", "on": "s", "l": 1.5, "kind": "entropy-grassberger"},
    {"model": "delta-disclosure", "on": "s", "delta": 0.9, "absent": "ignored"},
    {"model": "population-uniqueness", "fraction": 0.5, "at_most": 0.9},
], ids=["grassberger", "disclosure", "uniqueness"])  # fmt: skip
@given(drawn=hnp.arrays(np.int64, st.tuples(st.integers(2, 30), st.just(3)), elements=st.integers(0, 7)))
@settings(max_examples=12, deadline=None)
def test_models_that_are_not_monotone_hold_for_classes_as_written(
    method: str, model: dict[str, Any], drawn: np.ndarray
) -> None:
    """Classes with the same labels are one, and that one holds too."""
    rows = pl.DataFrame({"a": drawn[:, 0] // 3, "b": drawn[:, 1] // 3, "s": drawn[:, 2] % 3})
    rows = rows.with_columns(pl.int_range(pl.len()).alias(PERSON))
    given_ = task(rows, METHODS_OF_CLASSES[method] | {"models": [model]}, None)
    try:
        found = recoded(given_)
    except InputError as error:
        assert error.code == "anonymity-impossible"
        return
    left = shown(found, rows)
    assert as_written(found, left).all()
    assert left.height == rows.height - found.plan.suppressed_rows


def as_written(found: Anonymized, left: pl.DataFrame) -> np.ndarray:
    """Which classes of the same labels keep the models."""
    counted = left.group_by(*QUASI, "s").len(COUNT).sort(*QUASI, "s")
    numbers = counted.select(pl.struct(QUASI).rank("dense")).to_series().cast(pl.Int64).to_numpy() - 1
    sensitive = found.coded(counted) if found.scales else {}
    table = Units(counted[COUNT].cast(pl.Int64).to_numpy(), sensitive).classes(
        numbers, int(numbers.max()) + 1
    )
    return holding(found.models, table)


def test_classes_that_hold_apart_would_break_a_model_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """The broken twin: whoever checks classes and not labels writes classes that fail."""

    def broken() -> int:
        found = 0
        for seed in TELLING:
            draw = np.random.default_rng(seed)
            n = int(draw.integers(6, 40))
            columns = {"a": draw.integers(0, 3, n), "b": draw.integers(0, 3, n), "s": draw.integers(0, 4, n)}
            rows = pl.DataFrame(columns).with_columns(pl.int_range(pl.len()).alias(PERSON))
            asked = METHODS_OF_CLASSES["partition"] | {"models": [IGNORING]}
            recoding = recoded(task(rows, asked, None))
            found += int((~as_written(recoding, shown(recoding, rows))).sum())
        return found

    assert broken() == 0
    monkeypatch.setattr(by_partition, "_settled", lambda *given: given[2])
    assert broken() > 0
