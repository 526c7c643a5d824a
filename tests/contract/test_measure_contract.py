"""What every measure must do, whatever it is."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lattice_support import model, problem, tables
from sfumato.anonymity import MEASURES
from sfumato.anonymity.lattice.grid import Grid


def grid_and_measure(name: str, table, k: int):
    rows, counts = table
    asked = problem(rows, counts, int(counts.sum()), [model("k-anonymity", k=k)], name)
    grid = Grid(asked)
    return grid, asked.measure(grid.columns)


def scored(grid: Grid, measure, node: tuple[int, ...]):
    classes = grid.classes(node, grid.check(node))
    return classes, measure.score(classes)


@pytest.mark.parametrize("name", MEASURES)
def test_a_measure_describes_itself(name: str) -> None:
    assert MEASURES.resolve(name).summary


@settings(max_examples=15, deadline=None)
@pytest.mark.parametrize("name", MEASURES)
@given(table=tables(4), k=st.integers(2, 5))
def test_no_score_is_below_zero_and_a_node_bounds_itself(name: str, table, k: int) -> None:
    grid, measure = grid_and_measure(name, table, k)
    for node in product(*(range(level + 1) for level in grid.top)):
        classes, score = scored(grid, measure, node)
        levels = grid.columns.firsts + np.array(classes.levels)
        bound = measure.total(float(measure.costs(classes.gone)[levels].sum()), classes.suppressed)
        assert 0 <= bound <= score * (1 + 1e-9) + 1e-9
        assert measure.floor(classes) <= score * (1 + 1e-9) + 1e-9


@settings(max_examples=15, deadline=None)
@pytest.mark.parametrize("name", MEASURES)
@given(table=tables(4), k=st.integers(2, 5))
def test_what_coarser_nodes_tell_bounds_the_finer_ones(name: str, table, k: int) -> None:
    """The bound of a box: each column's least cost, with the rows that its coarsest node suppresses."""
    grid, measure = grid_and_measure(name, table, k)
    nodes = list(product(*(range(level + 1) for level in grid.top)))
    scores = {node: scored(grid, measure, node)[1] for node in nodes}
    for high in nodes:
        classes, _ = scored(grid, measure, high)
        costs = measure.costs(classes.gone)
        firsts = grid.columns.firsts.tolist()
        least = sum(
            min(costs[first + level] for level in levels[: top + 1])
            for first, levels, top in zip(firsts, grid.levels, high, strict=True)
        )
        bound = measure.total(float(least), classes.suppressed)
        for node in nodes:
            if all(a <= b for a, b in zip(node, high, strict=True)):
                assert bound <= scores[node] * (1 + 1e-9) + 1e-9


@settings(max_examples=15, deadline=None)
@pytest.mark.parametrize("name", [name for name in MEASURES if MEASURES.resolve(name).nested])
@given(table=tables(4), k=st.integers(2, 5))
def test_the_floor_of_fine_classes_holds_for_all_that_merge_them(name: str, table, k: int) -> None:
    """With the rows suppressed that a coarser node suppresses, which every node between does too."""
    grid, measure = grid_and_measure(name, table, k)
    nodes = list(product(*(range(level + 1) for level in grid.top)))
    checks = {node: grid.check(node) for node in nodes}
    scores = {node: scored(grid, measure, node)[1] for node in nodes}
    for low, high in [(grid.bottom, grid.top), *zip(nodes[::2], nodes[1::2], strict=False)]:
        if any(a > b for a, b in zip(low, high, strict=True)):
            continue
        kept = checks[high].stays[checks[high].numbers]
        fine = grid.classes(low, checks[low])
        stays = np.ones(len(fine.sizes), dtype=bool)
        stays[fine.numbers[~kept]] = False
        floor = measure.floor(
            type(fine)(
                fine.levels, fine.numbers, fine.sizes, stays, grid.gone(checks[high], checks[high].stays)
            )
        )
        for node in nodes:
            if all(a <= b <= c for a, b, c in zip(low, node, high, strict=True)):
                assert floor <= scores[node] * (1 + 1e-9) + 1e-9


@pytest.mark.parametrize("name", MEASURES)
def test_totals_never_fall_when_costs_or_suppressed_rows_rise(name: str) -> None:
    rows = np.unique(np.random.Generator(np.random.PCG64(1)).integers(0, 3, (12, 4)), axis=0)
    _, measure = grid_and_measure(name, (rows, np.full(len(rows), 2)), 3)
    for suppressed in range(0, 24, 3):
        totals = [measure.total(cost, suppressed) for cost in np.linspace(-5, 3, 30)]
        assert totals == sorted(totals)
    for cost in (-4.0, -1.0, 0.0, 2.0):
        totals = [measure.total(cost, suppressed) for suppressed in range(24)]
        assert totals == sorted(totals)
