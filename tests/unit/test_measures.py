"""Measures on tables small enough to work out by hand, and weights from a target."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lattice_support import ladder, model, problem
from sfumato.anonymity.lattice import search
from sfumato.anonymity.lattice.grid import Grid
from sfumato.anonymity.measures.columns import Columns, target_weights
from sfumato.anonymity.measures.loss import Loss, granularity, raw_loss
from sfumato.core.errors import InputError

#: Four people at (0, 0), two at (0, 1), one each at (2, 0) and (2, 1); the first column by intervals of 2.
ROWS = np.array([[0, 0, 0], [0, 1, 1], [2, 0, 0], [2, 1, 1]])
COUNTS = np.array([4, 2, 1, 1])


def score(measure: str, node: tuple[int, int], k: int = 2) -> float:
    asked = problem(ROWS, COUNTS, 8, [model("k-anonymity", k=k)], measure, shapes=[(4,), ()])
    grid = Grid(asked)
    found: float = asked.measure(grid.columns).score(grid.classes(node, grid.check(node)))
    return found


def test_discernibility_by_hand() -> None:
    # Classes of 4 and 2 stay, two rows are confused with all 8.
    assert score("discernibility", (0, 0)) == 16 + 4 + 2 * 8
    assert score("discernibility", (1, 1)) == 64


def test_average_class_size_by_hand() -> None:
    assert score("average-class-size", (0, 0)) == pytest.approx(8 / 3)
    assert score("average-class-size", (1, 0)) == 4


def test_precision_by_hand() -> None:
    # Heights 2 and 1: the first column at 1 of 2, nothing suppressed.
    assert score("precision", (1, 0)) == pytest.approx((1 / 2 + 0) / 2)
    assert score("precision", (0, 0)) == pytest.approx(2 / 8)


def test_ambiguity_by_hand() -> None:
    # Two values in each column: a suppressed row may be any of 4 tuples, a merged one any of 2.
    assert score("ambiguity", (0, 0)) == pytest.approx((6 + 2 * 4) / 8)
    assert score("ambiguity", (1, 0)) == pytest.approx(2)


def test_kl_divergence_by_hand() -> None:
    # (5, 3) people spread over two values each, for tuples of 4, 2, 1 and 1.
    shares, spread = np.array([4, 2, 1, 1]) / 8, np.array([5, 3, 5, 3]) / 16
    assert score("kl-divergence", (1, 0)) == pytest.approx(float((shares * np.log2(shares / spread)).sum()))


def test_classification_by_hand() -> None:
    assert score("classification", (0, 0)) == pytest.approx(2 / 8)
    assert score("classification", (1, 1)) == pytest.approx(3 / 8)


def test_entropy_by_hand() -> None:
    # Suppressing the two rows of (2, 0) and (2, 1): their first labels are alike, their second ones not.
    assert score("entropy", (0, 0)) == pytest.approx(2.0)
    assert score("entropy", (1, 0)) == pytest.approx(-6 * np.log2(6 / 8) - 2 * np.log2(2 / 8))


def test_loss_of_untouched_and_of_gone() -> None:
    assert score("loss", (0, 0), k=2) > 0
    assert score("loss", (0, 0), k=1_000) == pytest.approx(1)
    assert score("loss", (1, 1)) == pytest.approx(1)
    sizes = np.array([4.0, 10.0])
    assert raw_loss(np.ones(2)) == 1
    assert granularity(1 / sizes, sizes) == pytest.approx(1)
    assert granularity(np.ones(2), sizes) == pytest.approx(0)


def test_a_column_of_one_value_costs_nothing() -> None:
    columns = Columns.of([ladder("c", [5], ())], np.zeros((1, 1), dtype=int), np.array([3]))
    assert Loss(columns).costs(np.array([3.0])).tolist() == [0, 0]
    assert granularity(np.array([1.0]), np.array([1.0])) == 1


def test_classification_needs_a_target() -> None:
    with pytest.raises(InputError, match="target"):
        search(
            problem(ROWS[:, :2], COUNTS, 0, [model("k-anonymity", k=2)], "classification", shapes=[(2,), ()])
        )


@pytest.mark.parametrize("weights", [{"c0": 1}, {"c0": 0, "c1": 0}, {"c0": -1, "c1": 2}, {"c0": 1, "x": 1}])
def test_weights_that_do_not_fit_are_refused(weights: dict[str, float]) -> None:
    asked = problem(ROWS, COUNTS, 0, [model("k-anonymity", k=2)], shapes=[(2,), ()])
    with pytest.raises(InputError, match="weights"):
        search(replace(asked, weights=weights))


def test_weights_come_from_what_columns_say_of_the_target() -> None:
    ladders = [ladder("noise", [0, 1], ()), ladder("signal", [0, 1], ()), ladder("same", [0], ())]
    positions = np.array([[0, 1, 0, 1], [0, 0, 1, 1], [0, 0, 0, 0]])
    found = target_weights(ladders, positions, np.array([50, 50, 50, 50]), positions[1], floor=0.3)
    assert found == pytest.approx({"noise": 0.1, "signal": 0.8, "same": 0.1}, abs=1e-9)
    assert sum(found.values()) == pytest.approx(1)


def test_a_target_that_nothing_tells_weighs_all_columns_alike() -> None:
    ladders = [ladder("a", [0, 1], ()), ladder("b", [0, 1], ())]
    positions = np.array([[0, 1, 0, 1], [0, 0, 1, 1]])
    found = target_weights(ladders, positions, np.ones(4, dtype=int), np.zeros(4, dtype=int))
    assert found == {"a": 0.5, "b": 0.5}


def test_weights_let_generalization_fall_elsewhere() -> None:
    rows = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    asked = problem(rows, np.ones(4, dtype=int), 0, [model("k-anonymity", k=2)], shapes=[(), ()])
    assert search(replace(asked, weights={"c0": 9, "c1": 1})).levels == (0, 1)
    assert search(replace(asked, weights={"c0": 1, "c1": 9})).levels == (1, 0)


def test_a_missing_value_outside_the_domain_keeps_volumes_in_order() -> None:
    """What a label covers is at least what the labels below it cover together."""
    asked = problem(ROWS, COUNTS, 0, [model("k-anonymity", k=2)], shapes=[(2, 4), ()])
    columns = Columns.of(asked.ladders, asked.positions, asked.units.counts)
    short = replace(columns, leaves=np.minimum(columns.leaves, 1.0))
    top = short.at([2, 1], 0)
    assert short.volumes[top].tolist() == [2.0, 2.0]
    assert short.domains.tolist() == [2.0, 2.0]
