"""Class risks on small tables that can be counted by hand, and the population estimates."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest

from evidence_support import compare, one, people, profile, starred
from sfumato.classes.population import expected_inverse_size, population_unique
from sfumato.core.values import Role
from sfumato.evidence.attacks.uniqueness import Uniqueness

PLAIN = Role.INSENSITIVE


def risks(comparison, **params):
    return Uniqueness().run(comparison, Uniqueness.Params(**params))


def test_risks_of_a_table_counted_by_hand() -> None:
    # Classes of 1, 2 and 7 of 10 people; before, the year tells everybody apart.
    original = pl.DataFrame({"year": range(10), "sex": ["f"] + ["m"] * 2 + ["x"] * 7})
    released = original.with_columns(year=pl.lit("*"))
    found = risks(compare(original, released=released))
    assert one(found, "risk.worst_class").value == 1.0
    assert one(found, "risk.marketer").value == pytest.approx(0.3)
    assert one(found, "risk.at_risk").value == pytest.approx(0.3)
    assert one(found, "risk.unique").value == pytest.approx(0.1)
    for metric in ("risk.worst_class", "risk.marketer", "risk.at_risk", "risk.unique"):
        finding = one(found, metric)
        assert (finding.before, finding.n) == (1.0, 10)
        assert finding.low == finding.value == finding.high


def test_suppressed_rows_do_not_count_in_the_release() -> None:
    original = pl.DataFrame({"a": [1, 2, 2, 2, 2, 2]})
    found = risks(compare(original, kept=np.array([False] + [True] * 5)))
    assert one(found, "risk.worst_class").value == pytest.approx(0.2)
    assert one(found, "risk.worst_class").before == 1.0


def test_below_sets_who_is_at_risk() -> None:
    original = pl.DataFrame({"a": [1] * 3 + [2] * 7})
    assert one(risks(compare(original)), "risk.at_risk").value == pytest.approx(0.3)
    assert one(risks(compare(original), below=2), "risk.at_risk").value == 0.0


def test_the_all_knowing_attacker_sees_what_the_policy_calls_harmless() -> None:
    original = pl.DataFrame({"q": [1] * 10, "x": range(10)})
    comparison = compare(original, profiles={"x": profile("x", PLAIN)})
    found = risks(comparison)
    assert one(found, "risk.worst_class").value == pytest.approx(0.1)
    assert one(found, "risk.worst_class_all_columns").value == 1.0
    assert one(found, "risk.unique_all_columns").value == 1.0


def test_no_known_column_is_one_class_of_everybody() -> None:
    original = pl.DataFrame({"x": range(8)})
    found = risks(compare(original, profiles={"x": profile("x", PLAIN)}))
    assert one(found, "risk.worst_class").value == pytest.approx(1 / 8)
    assert one(found, "risk.unique").value == 0.0


@pytest.mark.parametrize("kept", [np.zeros(4, dtype=bool), np.zeros(0, dtype=bool)])
def test_no_rows_are_never_a_good_figure(kept: np.ndarray) -> None:
    original = pl.DataFrame({"a": [1, 2, 3, 4][: len(kept)]}, schema={"a": pl.Int64})
    found = risks(compare(original, kept=kept))
    assert {finding.status for finding in found} == {"not-measured"}
    assert {finding.metric for finding in found} == set(Uniqueness.metrics)


def test_population_risks_need_a_population() -> None:
    found = risks(compare(people(50, 2, 5)))
    for metric in ("risk.journalist", "risk.population_unique"):
        assert one(found, metric).status == "not-measured"
        assert "population" in one(found, metric).note


def skewed(rows: int) -> pl.DataFrame:
    """A few common kinds of people and a long tail of rare ones, as in real populations."""
    draw = np.random.default_rng(7)
    return pl.DataFrame({"a": draw.zipf(1.7, rows) % 10_000})


def test_population_risks_with_one() -> None:
    original = skewed(3000)
    found = risks(compare(original, population=0.1))
    unique = one(found, "risk.population_unique")
    assert unique.status == "measured"
    assert 0 < unique.low < unique.value < unique.high <= one(found, "risk.unique").value
    assert one(found, "risk.journalist").value == pytest.approx(expected_inverse_size(1, 0.1))
    everybody = risks(compare(original, population=1.0))
    assert one(everybody, "risk.population_unique").value == one(everybody, "risk.unique").value
    assert one(everybody, "risk.journalist").value == one(everybody, "risk.worst_class").value


def test_a_model_that_does_not_converge_is_no_power_and_never_zero() -> None:
    # Everybody is different: any population fits.
    found = risks(compare(pl.DataFrame({"a": range(300)}), population=0.1))
    assert one(found, "risk.population_unique").status == "no-power"
    assert one(found, "risk.population_unique").value is None


def test_nobody_unique_in_the_release_means_nobody_in_it_unique_outside() -> None:
    found = risks(compare(skewed(3000), starred, population=0.1))
    assert one(found, "risk.population_unique").value == 0.0
    assert one(found, "risk.population_unique").before > 0


@pytest.mark.parametrize(("size", "fraction"), [(1, 0.1), (1, 0.9), (3, 0.05), (7, 0.5), (20, 0.01)])
def test_the_expected_inverse_size_is_its_sum(size: int, fraction: float) -> None:
    # F - size is negative binomial; summed over its probabilities.
    total, probability = 0.0, fraction**size
    for others in range(200_000):
        total += probability / (size + others)
        probability *= (1 - fraction) * (size + others) / (others + 1)
    assert expected_inverse_size(size, fraction) == pytest.approx(total, rel=1e-6)


def test_pitman_finds_the_maximum_of_its_likelihood() -> None:
    from sfumato.classes.population import _fit, _Likelihood

    sizes = skewed(2000)
    sizes = sizes.group_by(sizes.columns).len()["len"].cast(pl.Int64).to_numpy()
    theta, alpha, _ = _fit(sizes)
    likelihood = _Likelihood(sizes)
    best = likelihood(np.array([theta, alpha]))[0]
    for shift in (0.999, 1.001):
        assert likelihood(np.array([theta * shift, alpha]))[0] < best
        assert likelihood(np.array([theta, alpha * shift]))[0] < best
    # The gradient is the slope.
    point, step = np.array([theta * 1.3, alpha * 0.8]), 1e-6
    for axis in range(2):
        nudge = np.zeros(2)
        nudge[axis] = step
        slope = (likelihood(point + nudge)[0] - likelihood(point - nudge)[0]) / (2 * step)
        assert slope == pytest.approx(likelihood(point)[1][axis], rel=1e-4, abs=1e-6)


def test_pitman_on_a_sample_of_a_known_population() -> None:
    draw = np.random.default_rng(5)
    population = draw.zipf(1.5, 200_000) % 100_000
    sample = draw.choice(population, 20_000, replace=False)
    truly = np.unique(population, return_counts=True)[1]
    figure = population_unique(np.unique(sample, return_counts=True)[1], 0.1)
    assert figure is not None
    assert figure.value == pytest.approx((truly == 1).sum() / 200_000, rel=0.25)
    assert figure.low < figure.value < figure.high
    assert math.isfinite(figure.value)
