"""The estimators of population uniqueness: known answers, drawn populations, and none where there is none."""

from __future__ import annotations

from math import comb

import numpy as np
import pytest

from sfumato.classes import population
from sfumato.classes.population import dankar, population_unique, snb, unique_share, zayatz


def sizes_of(people: np.ndarray) -> np.ndarray:
    return np.unique(people, return_counts=True)[1]


def drawn(classes: np.ndarray, fraction: float, seed: int) -> tuple[np.ndarray, float]:
    """The classes of a sample, and the share of people who are unique in the population."""
    draw = np.random.default_rng(seed)
    everybody = np.repeat(np.arange(len(classes)), classes)
    sample = draw.choice(everybody, round(len(everybody) * fraction), replace=False)
    return sizes_of(sample), float((classes == 1).sum() / classes.sum())


@pytest.mark.parametrize("model", population.ESTIMATORS)
def test_nobody_unique_and_everybody_seen_need_no_model(model: population.Estimator) -> None:
    assert unique_share(np.array([2, 3, 7]), 0.1, model) == 0
    assert unique_share(np.array([1, 1, 2, 6]), 1.0, model) == 0.2


def test_zayatz_is_its_hypergeometric_sum() -> None:
    sizes, fraction = np.array([1] * 30 + [2] * 11 + [3] * 5 + [9]), 0.25
    rows = int(sizes.sum())
    people = round(rows / fraction)
    assert rows / fraction == people

    def one_of(i: int) -> float:
        return comb(i, 1) * comb(people - i, rows - 1) / comb(people, rows)

    expected = 30 / rows * (30 * one_of(1)) / sum(one_of(int(i)) for i in sizes)
    assert zayatz(sizes, fraction) == pytest.approx(expected, rel=1e-9)


def test_zayatz_with_a_class_that_cannot_have_one_in_the_sample() -> None:
    few, huge = np.array([1, 1, 2]), np.array([1, 1, 2, 5_000_000])
    assert zayatz(huge, 0.5) == pytest.approx(
        2 / huge.sum() * (2 * 0.5) / (2 * 0.5 + 2 * 0.5 * 0.5), rel=1e-5
    )
    assert zayatz(few, 0.5) > zayatz(huge, 0.5)


@pytest.mark.parametrize(("shape", "chance", "fraction"), [(0.5, 0.1, 0.2), (1.0, 0.3, 0.3), (3.0, 0.5, 0.5)])
def test_snb_on_samples_of_its_own_population(shape: float, chance: float, fraction: float) -> None:
    classes = 1 + np.random.default_rng(3).negative_binomial(shape, chance, 50_000)
    sizes, truly = drawn(classes, fraction, 4)
    assert snb(sizes, fraction) == pytest.approx(truly, rel=0.25)


def test_snb_solves_its_two_equations() -> None:
    shape, chance, fraction = 0.7, 0.2, 0.3
    q = 1 - fraction
    u = (1 - chance) * q
    alone = (chance / (1 - u)) ** shape
    single = fraction * alone * (1 + shape * u / (1 - u))
    double = fraction**2 * shape * (1 - chance) * alone * (2 - (1 - shape) * u) / (2 * (1 - u) ** 2)
    assert population._slide(single, double, fraction) == pytest.approx(chance**shape, rel=1e-9)


@pytest.mark.parametrize("sizes", [[1] * 40, [1] * 40 + [5] * 5])
def test_without_a_class_of_two_there_is_no_fit(sizes: list[int]) -> None:
    assert snb(np.array(sizes), 0.05) is None
    assert population_unique(np.array(sizes), 0.05) is None


def test_equations_without_a_solution_are_no_answer_and_never_zero() -> None:
    assert population._slide(0.9, 0.9, 0.05) is None
    found = snb(np.array([1] + [2] * 400), 0.05)
    assert found is None or found > 0


def test_an_empty_sample_has_no_estimate() -> None:
    nothing = np.array([], dtype=np.int64)
    assert zayatz(nothing, 0.5) is None
    assert snb(nothing, 0.5) is None
    assert dankar(nothing, 0.05) in (None, 0.0)


def test_the_decision_rule() -> None:
    draw = np.random.default_rng(5)
    sizes = sizes_of(draw.choice(draw.zipf(1.5, 200_000) % 100_000, 20_000, replace=False))
    pitman = population_unique(sizes, 0.1)
    assert pitman is not None
    assert dankar(sizes, 0.1) == pitman.value
    both = [snb(sizes, 0.3), zayatz(sizes, 0.3)]
    assert dankar(sizes, 0.3) == min(share for share in both if share is not None)
    # All different: Pitman has no answer, and Zayatz takes everybody to be unique.
    assert population_unique(np.ones(50, dtype=np.int64), 0.05) is None
    assert dankar(np.ones(50, dtype=np.int64), 0.05) == zayatz(np.ones(50, dtype=np.int64), 0.05) == 1


def test_pitman_expects_what_its_formula_gives() -> None:
    # E[S1] of a Chinese restaurant with discount, drawn many times over.
    theta, alpha, people = 3.0, 0.4, 60
    draw = np.random.default_rng(1)
    alone = []
    for _ in range(500):
        tables: list[int] = []
        for seated in range(people):
            weights = np.array([size - alpha for size in tables] + [theta + alpha * len(tables)])
            chosen = draw.choice(len(weights), p=weights / (seated + theta))
            if chosen == len(tables):
                tables.append(1)
            else:
                tables[chosen] += 1
        alone.append(tables.count(1) / people)
    expected = np.exp(population._log_share(theta, alpha, people)[0])
    assert np.mean(alone) == pytest.approx(expected, abs=5 * np.std(alone) / np.sqrt(500))


def test_classes_of_nobody_count_for_nothing() -> None:
    sizes = np.array([1] * 30 + [2] * 9 + [3] * 4)
    padded = np.append(sizes, [0, 0, 0])
    for model in population.ESTIMATORS:
        assert unique_share(padded, 0.05, model) == unique_share(sizes, 0.05, model)
