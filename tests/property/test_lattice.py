"""The lattice search against brute force, and classes against NumPy."""

from __future__ import annotations

from itertools import product

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from sfumato.anonymity.lattice import LARGEST_LATTICE, Problem, search
from sfumato.anonymity.measures.loss import Loss, granularity, raw_loss
from sfumato.anonymity.models.k_anonymity import KAnonymity
from sfumato.classes.grouping import combine, group
from sfumato.classes.table import ClassTable, Units
from sfumato.core.errors import InputError
from sfumato.hierarchies.intervals import IntervalHierarchy
from sfumato.hierarchies.ladder import Ladder
from sfumato.hierarchies.suppress import SuppressHierarchy

FOLDER = None


def ladder(column: str, values: list[int], widths: tuple[int, ...]) -> Ladder:
    series = pl.Series(column, values)
    kind = (
        IntervalHierarchy(IntervalHierarchy.Params.model_validate({"widths": widths}), FOLDER)
        if widths
        else SuppressHierarchy(SuppressHierarchy.Params(), FOLDER)
    )
    return Ladder.build(kind, series, pl.Series(range(len(values))))


def problem(rows: np.ndarray, counts: np.ndarray, k: int, limit: int) -> Problem:
    """Three columns of small integers with ladders of different heights."""
    shapes: list[tuple[int, ...]] = [(2, 4), (), (3,)]
    ladders, positions = [], []
    for j, widths in enumerate(shapes):
        values, at = np.unique(rows[:, j], return_inverse=True)
        ladders.append(ladder(f"c{j}", values.tolist(), widths))
        positions.append(at)
    models = [KAnonymity(KAnonymity.Params(k=k))]
    return Problem(ladders, np.stack(positions), Units(counts), models, limit, Loss)


def brute_force(asked: Problem, k: int) -> tuple[float, tuple[int, ...], int] | None:
    """Every node, each class counted in a dictionary."""
    best = None
    sizes = np.array([ladder.size for ladder in asked.ladders], dtype=float)
    total = asked.units.counts.sum()
    for node in product(*(range(ladder.height) for ladder in asked.ladders)):
        labels = [
            tuple(
                str(step.labels[v][int(at[i])])
                for step, v, at in zip(asked.ladders, node, asked.positions, strict=True)
            )
            for i in range(len(asked.units.counts))
        ]
        classes: dict[tuple[str, ...], int] = {}
        for label, count in zip(labels, asked.units.counts, strict=True):
            classes[label] = classes.get(label, 0) + int(count)
        kept = np.array([classes[label] >= k for label in labels])
        suppressed = int(asked.units.counts[~kept].sum())
        if suppressed > asked.limit:
            continue
        shares = np.array(
            [
                sum(
                    float(c) * (float(step.shares[v][int(p)]) if keep else 1.0)
                    for c, p, keep in zip(asked.units.counts, at, kept, strict=True)
                )
                / total
                for step, v, at in zip(asked.ladders, node, asked.positions, strict=True)
            ]
        )
        score = float(Loss(sizes).score(shares))
        key = (round(score, 12), sum(node), node)
        if best is None or key < best[0]:
            best = (key, suppressed)
    return None if best is None else (best[0][0], best[0][2], best[1])


tables = st.integers(2, 14).flatmap(
    lambda n: st.tuples(
        hnp.arrays(np.int64, (n, 3), elements=st.integers(0, 7)),
        hnp.arrays(np.int64, n, elements=st.integers(1, 4)),
    )
)


@settings(max_examples=60, deadline=None)
@given(tables, st.integers(2, 6), st.floats(0, 1))
def test_the_search_finds_what_brute_force_finds(table, k: int, share: float) -> None:
    rows, first = np.unique(table[0], axis=0, return_index=True)
    counts = table[1][first]
    limit = int(share * counts.sum())
    asked = problem(rows, counts, k, limit)
    expected = brute_force(asked, k)
    if expected is None:
        with pytest.raises(InputError, match="no node"):
            search(asked)
        return
    found = search(asked)
    assert round(found.score, 12) == expected[0]
    assert found.levels == expected[1]
    assert found.suppressed == expected[2] <= limit
    assert not found.classes or found.smallest_class >= k


def test_a_k_anonymizer_off_by_one_would_be_caught() -> None:
    """The broken twin: a model that also lets classes of k - 1 pass."""

    class OffByOne(KAnonymity):
        def holds(self, table: ClassTable) -> np.ndarray:
            return table.sizes >= self.k - 1

    rows, counts = np.array([[0, 0, 0], [7, 1, 7]]), np.array([2, 3])
    right = problem(rows, counts, 3, 2)
    wrong = Problem(right.ladders, right.positions, Units(counts), [OffByOne(OffByOne.Params(k=3))], 2, Loss)
    assert search(right).suppressed != search(wrong).suppressed


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=60))
def test_combined_keys_are_equal_exactly_for_equal_tuples(tuples: list[tuple[int, int, int]]) -> None:
    columns = [np.array(column, dtype=np.int64) for column in zip(*tuples, strict=True)]
    keys = combine(columns)
    for i, one in enumerate(tuples):
        for j, other in enumerate(tuples):
            assert (keys[i] == keys[j]) == (one == other)


def test_combined_keys_do_not_overflow() -> None:
    big = 2**40
    columns = [np.array([0, big, 0, big], dtype=np.int64), np.array([big, 0, big, 1], dtype=np.int64)] * 2
    keys = combine(columns)
    assert keys[0] == keys[2]
    assert len(set(keys.tolist())) == 3


@given(hnp.arrays(np.int64, st.integers(0, 80), elements=st.integers(-(2**62), 2**62)), st.data())
def test_groups_are_those_of_numpy(keys: np.ndarray, data) -> None:
    keys = np.concatenate([keys, keys[: len(keys) // 2]])
    counts = np.arange(1, len(keys) + 1, dtype=np.int64)
    classes, sizes = group(keys, counts)
    _, inverse = np.unique(keys, return_inverse=True)
    assert len(sizes) == len(set(keys.tolist()))
    for i in range(len(keys)):
        assert sizes[classes[i]] == counts[inverse == inverse[i]].sum()


def test_a_lattice_too_large_is_refused_before_any_work() -> None:
    values = list(range(4))
    ladders = [ladder(f"c{i}", values, (2,)) for i in range(15)]
    positions = np.zeros((15, 1), dtype=np.int64)
    model = KAnonymity(KAnonymity.Params(k=2))
    with pytest.raises(InputError, match="lattice has"):
        search(Problem(ladders, positions, Units(np.array([5])), [model], 0, Loss))
    assert LARGEST_LATTICE < 3**15


def test_no_node_fits_when_k_exceeds_the_table() -> None:
    with pytest.raises(InputError, match="no node"):
        search(problem(np.array([[0, 0, 0]]), np.array([4]), 5, 0))


def test_loss_of_untouched_and_of_gone() -> None:
    sizes = np.array([4.0, 10.0])
    assert Loss(sizes).score(1 / sizes) == pytest.approx(0)
    assert Loss(sizes).score(np.ones(2)) == pytest.approx(1)
    assert raw_loss(np.ones(2)) == 1
    assert granularity(1 / sizes, sizes) == pytest.approx(1)
    assert granularity(np.ones(2), sizes) == pytest.approx(0)


def test_a_column_of_one_value_costs_nothing() -> None:
    assert Loss(np.array([1.0])).score(np.array([1.0])) == 0
    assert granularity(np.array([1.0]), np.array([1.0])) == 1
