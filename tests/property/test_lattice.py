"""The lattice search against brute force, and classes against NumPy."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from lattice_support import Reference, brute_force, ladder, model, problem, tables
from sfumato.anonymity import MEASURES
from sfumato.anonymity.holding import holding
from sfumato.anonymity.lattice import EXHAUSTIVE, Problem, explain_cost, search
from sfumato.anonymity.lattice.grid import Grid
from sfumato.anonymity.lattice.search import Search
from sfumato.anonymity.models.k_anonymity import KAnonymity
from sfumato.classes.grouping import combine, group, group_rows
from sfumato.classes.table import ClassTable, Units
from sfumato.core.errors import InputError


def agree(asked: Problem, measure: str, holds) -> None:
    """The search finds the brute-force optimum, or that there is none."""
    expected = brute_force(asked, measure, holds)
    if expected is None:
        with pytest.raises(InputError, match="no node"):
            search(asked)
        return
    found = search(asked)
    assert found.optimal
    assert found.bound == found.score == pytest.approx(expected[0], rel=1e-8, abs=1e-9)
    reference = Reference(asked, found.levels, holds)
    assert reference.score(measure) == pytest.approx(found.score, rel=1e-9, abs=1e-9)
    assert found.suppressed == len(reference.gone) <= asked.limit
    assert found.classes == sum(reference.kept.values())
    assert int(asked.units.counts[found.kept].sum()) == asked.units.rows - found.suppressed
    assert not found.classes or found.smallest_class == min(
        len(who) for label, who in reference.classes.items() if reference.kept[label]
    )


@settings(max_examples=25, deadline=None)
@pytest.mark.parametrize("measure", MEASURES)
@given(table=tables(4), k=st.integers(2, 6), share=st.sampled_from([0, 0.1, 0.3, 0.6, 1]))
def test_every_measure_finds_what_brute_force_finds(measure: str, table, k: int, share: float) -> None:
    rows, counts = table
    asked = problem(rows, counts, int(share * counts.sum()), [model("k-anonymity", k=k)], measure)
    agree(asked, measure, lambda people: len(people) >= k)


@settings(max_examples=60, deadline=None)
@given(table=tables(), k=st.integers(2, 6), share=st.floats(0, 1))
def test_ties_go_to_fewer_levels_then_to_the_smaller_node(table, k: int, share: float) -> None:
    rows, counts = table
    asked = problem(rows, counts, int(share * counts.sum()), [model("k-anonymity", k=k)])
    expected = brute_force(asked, "loss", lambda people: len(people) >= k)
    if expected is not None:
        assert search(asked).levels == expected[2]


def _distinct(people: list[int]) -> bool:
    return len(set(people)) >= 2 and len(people) >= 2


def _close(overall: np.ndarray, t: float):
    def holds(people: list[int]) -> bool:
        here = np.bincount(people, minlength=len(overall)) / len(people)
        return len(people) >= 2 and 0.5 * float(np.abs(here - overall / overall.sum()).sum()) <= t + 1e-9

    return holds


def _entropy(people: list[int]) -> bool:
    shares = np.bincount(people) / len(people)
    shares = shares[shares > 0]
    return len(people) >= 2 and math.exp(-float((shares * np.log(shares)).sum())) >= 2 - 1e-9


@settings(max_examples=25, deadline=None)
@pytest.mark.parametrize("measure", ["loss", "entropy", "discernibility", "kl-divergence"])
@pytest.mark.parametrize("kind", ["distinct", "entropy", "t"])
@given(table=tables(4), share=st.sampled_from([0, 0.2, 0.5, 1]))
def test_sensitive_models_find_what_brute_force_finds(measure: str, kind: str, table, share: float) -> None:
    rows, counts = table
    base = model("k-anonymity", k=2)
    overall = np.bincount(rows[:, -1], counts)
    extra, holds = {
        "distinct": (model("l-diversity", on="s", l=2), _distinct),
        "entropy": (model("l-diversity", on="s", l=2, kind="entropy"), _entropy),
        "t": (model("t-closeness", on="s", t=0.3), _close(overall, 0.3)),
    }[kind]
    agree(problem(rows, counts, int(share * counts.sum()), [base, extra], measure), measure, holds)


@settings(max_examples=30, deadline=None)
@pytest.mark.parametrize("measure", ["loss", "entropy", "precision"])
@given(table=tables(), weights=st.tuples(*[st.floats(0.1, 5)] * 3))
def test_weights_move_the_optimum_as_by_brute_force(measure: str, table, weights) -> None:
    rows, counts = table
    named = dict(zip(["c0", "c1", "c2"], weights, strict=True))
    models = [model("k-anonymity", k=3)]
    asked = problem(rows, counts, int(counts.sum() / 4), models, measure, weights=named)
    agree(asked, measure, lambda people: len(people) >= 3)


@settings(max_examples=30, deadline=None)
@pytest.mark.parametrize("measure", MEASURES)
@given(table=tables(4), k=st.integers(2, 6), share=st.sampled_from([0, 0.2, 1]), checks=st.integers(1, 30))
def test_an_anytime_search_never_claims_too_much(
    measure: str, table, k: int, share: float, checks: int
) -> None:
    """Whatever its budget: its score is a node's, its bound below every node, and optimal is proved."""
    rows, counts = table
    asked = problem(rows, counts, int(share * counts.sum()), [model("k-anonymity", k=k)], measure)
    expected = brute_force(asked, measure, lambda people: len(people) >= k)
    found = Search(asked)
    found.checks = checks
    found.run()
    if found.best is None:
        assert expected is None or found.boxes
        return
    assert expected is not None
    solution = found.solution()
    slack = 1e-8 * abs(expected[0]) + 1e-9
    assert solution.bound <= expected[0] + slack
    assert solution.score >= expected[0] - slack
    assert solution.suppressed <= asked.limit
    if solution.optimal:
        assert solution.score == pytest.approx(expected[0], rel=1e-8, abs=1e-9)


def test_a_k_anonymizer_off_by_one_would_be_caught() -> None:
    """The broken twin: a model that also lets classes of k - 1 pass."""

    class OffByOne(KAnonymity):
        def holds(self, table: ClassTable) -> np.ndarray:
            return table.sizes >= self.k - 1

    rows, counts = np.array([[0, 0, 0], [7, 1, 7]]), np.array([2, 3])
    right = problem(rows, counts, 2, [model("k-anonymity", k=3)])
    wrong = replace(right, models=[OffByOne(OffByOne.Params(k=3))])
    assert search(right).suppressed != search(wrong).suppressed


def test_a_bound_too_high_would_be_caught() -> None:
    """The broken twin: costs that count suppressed rows twice prune the optimum."""
    random = np.random.Generator(np.random.PCG64(5))
    missed = 0
    for _ in range(40):
        rows = np.unique(random.integers(0, 8, (12, 3)), axis=0)
        counts = random.integers(1, 4, len(rows))
        asked = problem(rows, counts, int(counts.sum() / 3), [model("k-anonymity", k=4)])

        class Greedy(MEASURES.resolve("loss")):  # type: ignore[misc]
            def costs(self, gone, more=0):
                return 3 * super().costs(2 * gone, more)

            def score(self, classes):
                levels = self._columns.firsts + np.array(classes.levels)
                return self.total(float(super().costs(classes.gone)[levels].sum()), 0)

        expected = brute_force(asked, "loss", lambda people: len(people) >= 4)
        if expected is not None:
            missed += search(replace(asked, measure=Greedy)).score > expected[0] + 1e-9
    assert missed


@settings(max_examples=40, deadline=None)
@given(table=tables(4, most=40), node=st.tuples(*[st.integers(0, 3)] * 3), seed=st.integers(0, 9))
def test_merged_units_make_the_classes_of_single_ones(table, node: tuple[int, ...], seed: int) -> None:
    """Asked often enough that tuples are merged, a node has the classes it had before."""
    from sfumato.anonymity.lattice import merging

    rows, counts = table
    models = [model("k-anonymity", k=3), model("l-diversity", on="s", l=2)]
    grid = Grid(problem(rows, counts, int(counts.sum()), models))
    node = tuple(min(a, b) for a, b in zip(node, grid.top, strict=True))
    few, merging._FEW = merging._FEW, 0
    try:
        checks = [grid.check(node) for _ in range(12)]
    finally:
        merging._FEW = few
    first, last = checks[0], checks[-1]
    assert np.array_equal(first.numbers, last.numbers)
    assert np.array_equal(first.sizes, last.sizes)
    assert np.array_equal(first.stays, last.stays)
    table_of = grid.problem.units.classes(first.numbers, len(first.sizes))
    assert np.array_equal(last.stays, holding(models, table_of))


@settings(max_examples=60, deadline=None)
@given(
    codes=hnp.arrays(np.uint16, st.tuples(st.just(3), st.integers(0, 40)), elements=st.integers(0, 5)),
    widths=st.tuples(*[st.sampled_from([6, 2**15, 2**40])] * 3),
)
def test_rows_of_codes_group_as_their_combination(codes: np.ndarray, widths: tuple[int, ...]) -> None:
    """Directly, by hash, or numbered afresh where keys would overflow."""
    counts = np.arange(codes.shape[1], dtype=np.int64)
    numbers, sizes = group_rows(codes, [0, 1, 2], widths, counts)
    expected, totals = group(combine(list(codes)), counts)
    assert np.array_equal(numbers, expected)
    assert np.array_equal(sizes, totals)


@settings(deadline=None)
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


@settings(deadline=None)
@given(hnp.arrays(np.int64, st.integers(0, 80), elements=st.integers(-(2**62), 2**62)), st.data())
def test_groups_are_those_of_numpy(keys: np.ndarray, data) -> None:
    keys = np.concatenate([keys, keys[: len(keys) // 2]])
    counts = np.arange(1, len(keys) + 1, dtype=np.int64)
    classes, sizes = group(keys, counts)
    _, inverse = np.unique(keys, return_inverse=True)
    assert len(sizes) == len(set(keys.tolist()))
    for i in range(len(keys)):
        assert sizes[classes[i]] == counts[inverse == inverse[i]].sum()


def wide(columns: int, rows: int) -> Problem:
    """More columns than any search can try all levels of."""
    random = np.random.Generator(np.random.PCG64(3))
    table = np.unique(random.integers(0, 4, (rows, columns)), axis=0)
    models = [model("k-anonymity", k=5)]
    counts = np.ones(len(table), dtype=np.int64)
    return problem(table, counts, len(table) // 20, models, shapes=[(2,)] * columns)


def test_a_lattice_beyond_reach_is_searched_with_a_stated_bound() -> None:
    asked = wide(30, 300)
    found = search(asked, checks=400)
    assert found.lattice == 3**30 > EXHAUSTIVE
    assert found.checked <= 400 + 2
    assert not found.optimal
    assert 0 < found.bound < found.score < 1
    assert found.suppressed <= asked.limit
    assert found == replace(search(asked, checks=400), kept=found.kept)


def test_what_is_impossible_is_said_so_even_of_a_lattice_beyond_reach() -> None:
    asked = replace(wide(30, 60), models=[model("k-anonymity", k=100)])
    with pytest.raises(InputError, match="no node"):
        search(asked)


def test_what_is_not_found_in_a_lattice_beyond_reach_is_called_too_large() -> None:
    class Never(KAnonymity):
        monotone = absorbing = False

        def holds(self, table: ClassTable) -> np.ndarray:
            return np.zeros(len(table.sizes), dtype=bool)

    with pytest.raises(InputError) as caught:
        search(replace(wide(20, 30), models=[Never(Never.Params(k=2))]), checks=50)
    assert caught.value.code == "search-too-large"


def test_no_node_fits_when_k_exceeds_the_table() -> None:
    with pytest.raises(InputError, match="no node"):
        search(problem(np.array([[0, 0, 0]]), np.array([4]), 0, [model("k-anonymity", k=5)]))


def test_everything_may_go_if_the_limit_says_so() -> None:
    found = search(
        problem(np.array([[0, 0, 0], [1, 1, 1]]), np.array([2, 2]), 4, [model("k-anonymity", k=5)])
    )
    assert (found.classes, found.suppressed, found.smallest_class, found.levels) == (0, 4, 0, (0, 0, 0))


def test_a_table_of_nobody_has_a_solution() -> None:
    found = search(problem(np.zeros((1, 3), dtype=int), np.array([0]), 0, [model("k-anonymity", k=5)]))
    assert (found.classes, found.suppressed, found.score) == (0, 0, 0)


def test_levels_that_change_nothing_are_not_climbed() -> None:
    """A column of one value stays as it is, whatever its hierarchy."""
    rows = np.array([[3, 0, 0], [3, 1, 0], [3, 0, 4], [3, 1, 4]])
    asked = problem(rows, np.array([1, 1, 1, 1]), 0, [model("k-anonymity", k=2)])
    assert search(asked).levels[0] == 0
    assert Grid(asked).size < search(asked).lattice


def test_progress_ends_at_or_below_the_total() -> None:
    seen: list[tuple[int, int]] = []
    search(wide(12, 200), lambda done, total: seen.append((done, total)))
    assert seen
    assert all(0 <= done <= total for done, total in seen)


def test_very_many_distinct_values_of_one_column_are_no_trouble() -> None:
    values = np.arange(100_000)
    rows = np.column_stack([values, values % 2])
    asked = problem(
        rows, np.ones(len(rows), dtype=np.int64), 0, [model("k-anonymity", k=5)], shapes=[(64,), ()]
    )
    assert search(asked).levels == (1, 0)


@settings(max_examples=30, deadline=None)
@given(table=tables(), k=st.integers(2, 4))
def test_why_counts_what_another_level_would_change(table, k: int) -> None:
    rows, counts = table
    asked = problem(rows, counts, int(counts.sum() / 2), [model("k-anonymity", k=k)])
    try:
        solution = search(asked)
    except InputError:
        return
    why = explain_cost(asked, solution)
    assert why.suppressed == solution.suppressed
    for j, column in enumerate(why.columns):
        assert column.level == solution.levels[j]
        if column.finer is not None:
            assert column.finer >= solution.suppressed
            assert column.excess == max(0, column.finer - asked.limit)
        if column.saved is not None:
            assert 0 <= column.saved <= solution.suppressed
    saved = [column.saved or 0 for column in why.columns]
    assert (why.forcing is None) == (max(saved) == 0)
    assert sum(column.part for column in why.columns) == pytest.approx(1 if solution.score > 0 else 0)


def test_why_names_the_column_that_forces_the_suppression() -> None:
    rows = np.array([[0, 0, 0], [0, 0, 3], [0, 0, 6], [0, 1, 0]])
    asked = problem(rows, np.array([4, 4, 4, 1]), 1, [model("k-anonymity", k=3)])
    solution = search(asked)
    assert (solution.levels, solution.suppressed) == ((0, 0, 0), 1)
    why = explain_cost(asked, solution)
    assert why.forcing == "c1"
    assert [column.saved for column in why.columns] == [None, 1, 0]
    assert all(column.finer is None and column.excess == 0 for column in why.columns)


def test_units_of_the_population_alone_do_not_count_as_classes() -> None:
    asked = problem(np.array([[0, 0, 0], [5, 1, 5]]), np.array([3, 0]), 0, [model("k-anonymity", k=2)])
    population = Units(asked.units.counts, {}, np.array([9, 4]))
    found = search(replace(asked, units=population))
    assert (found.classes, found.suppressed, found.levels) == (1, 0, (0, 0, 0))


def test_ladder_of_the_support_has_the_levels_that_it_says() -> None:
    assert ladder("c", [0, 1, 2], (2,)).height == 3
