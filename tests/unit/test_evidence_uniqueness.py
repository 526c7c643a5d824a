"""Class risks on small tables that can be counted by hand, and the population estimates."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import polars as pl
import pytest

from evidence_support import compare, one, people, profile, starred, suppress_small
from sfumato.classes.population import expected_inverse_size, population_unique, smallest_sample
from sfumato.contracts import COUNT, PERSON, ROW
from sfumato.core.values import Role
from sfumato.evidence.attacks.class_risk import k_map
from sfumato.evidence.attacks.people import SUREST
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


def test_the_distribution_of_class_sizes() -> None:
    # Classes of 1, 2, 7 and 10 people; before, everybody is alone.
    released = pl.DataFrame({"a": ["a"] + ["b"] * 2 + ["c"] * 7 + ["d"] * 10})
    found = risks(compare(pl.DataFrame({"a": range(20)}), released=released))
    shares = {f.target: (f.value, f.before) for f in found if f.metric == "risk.class_share"}
    assert shares == {
        "class of 1": (0.05, 1.0),
        "class of 2-4": (0.1, 0.0),
        "class of 5-9": (0.35, 0.0),
        "class of 10-19": (0.5, 0.0),
        "class of 20-49": (0.0, 0.0),
        "class of 50+": (0.0, 0.0),
    }
    assert shares["class of 1"][0] == one(found, "risk.unique").value


def test_twenty_alike_are_ranked_above_two() -> None:
    original = skewed(3000).with_columns(g=pl.int_range(3000) % 2)
    by_k = {
        k: risks(compare(original, kept=suppress_small(original, ["a", "g"], k), population=0.05))
        for k in (2, 20)
    }
    for metric in ("risk.worst_class", "risk.marketer", "risk.at_risk", "risk.k_map", "risk.k_map_at_risk"):
        assert one(by_k[20], metric).value < one(by_k[2], metric).value
    assert one(by_k[20], "risk.class_share", "class of 2-4").value == 0.0


def test_estimators_stand_beside_one_another_and_are_named_if_they_fail() -> None:
    names = ("Pitman", "Zayatz", "SNB", "Dankar's rule")
    found = risks(compare(skewed(3000), population=0.1))
    given = {name: one(found, "risk.population_unique", name) for name in names}
    assert {name: finding.status for name, finding in given.items()} == dict.fromkeys(names, "measured")
    assert given["Pitman"].value == one(found, "risk.population_unique").value
    assert given["Dankar's rule"].value == given["Pitman"].value
    different = risks(compare(pl.DataFrame({"a": range(300)}), population=0.1))
    failed = one(different, "risk.population_unique", "Pitman")
    assert (failed.status, failed.value) == ("no-power", None)
    assert failed.note.startswith("Pitman")
    assert one(different, "risk.population_unique", "Zayatz").value > 0


def test_the_k_map_is_counted_where_there_is_a_population() -> None:
    released = pl.DataFrame({"a": [1] * 2 + [2] * 5})
    everybody = pl.DataFrame({"a": [1] * 3 + [2] * 9 + [3] * 1})
    count = {name: lambda columns: everybody.group_by(columns).len(COUNT)
             for name in ("count_population", "count_population_original")}  # fmt: skip
    found = risks(compare(released, **count))
    assert one(found, "risk.k_map").value == pytest.approx(1 / 3)
    assert one(found, "risk.k_map_at_risk").value == pytest.approx(2 / 7)
    assert one(risks(compare(released, **count), below=3), "risk.k_map_at_risk").value == 0.0


@pytest.mark.parametrize(("size", "fraction"), [(1, 0.1), (2, 0.01), (4, 0.05), (9, 0.5), (3, 1.0)])
def test_the_estimated_k_is_the_largest_that_the_sample_bears_out(size: int, fraction: float) -> None:
    k = k_map(size, fraction)
    assert smallest_sample(k, fraction, 0.05) <= size < smallest_sample(k + 1, fraction, 0.05)


def test_class_risk_by_group_and_for_the_most_exposed() -> None:
    # Everybody of one group is alone, the others are all alike.
    draw = {"g": ["a"] * 100 + ["b"] * 3900, "x": [*range(100), *[-1] * 3900]}
    kept: dict[str, np.ndarray] = {}
    given = compare(pl.DataFrame(draw), groups=("g",), record=lambda name, _, risk: kept.update({name: risk}))
    found = risks(given)
    assert one(found, "risk.marketer", "g=a").value == 1.0
    assert one(found, "risk.marketer", "g=b").value == pytest.approx(1 / 3900)
    assert one(found, "risk.disparity", "g").value == pytest.approx(1 - 1 / 3900)
    assert one(found, "risk.at_risk", "g=a").value == 1.0
    assert one(found, "risk.at_risk_disparity", "g").value == 1.0
    assert one(found, "risk.marketer", SUREST).value == 1.0
    assert one(found, "risk.marketer", SUREST).n == 40
    assert kept["risk.marketer"].sum() == pytest.approx(one(found, "risk.marketer").value * 4000)


def linked(histories: list[list[int]], **more):
    """People of linked rows, one of which stands for each."""
    rows = pl.DataFrame({"a": [a for history in histories for a in history]}, schema={"a": pl.Int64})
    whose = np.repeat(np.arange(len(histories), dtype=np.uint64), [len(each) for each in histories])

    def told(columns):
        return rows.select(columns).with_columns(
            pl.Series(PERSON, whose), pl.Series(ROW, np.arange(len(whose), dtype=np.uint32))
        )

    def sizes(columns):
        wholes = Counter(tuple(sorted(history)) for history in histories)
        return np.array(list(wholes.values()), dtype=np.int64)

    firsts = rows[np.searchsorted(whose, np.arange(len(histories))).tolist()]
    return compare(firsts, histories=told, histories_original=told, alike=sizes, alike_original=sizes,
                   people=np.arange(len(histories), dtype=np.uint64), **more)  # fmt: skip


def test_whole_histories_are_classes_of_people_too() -> None:
    histories = [[1, 2]] * 40 + [[2, 1]] * 20 + [[1, 1, 2]] * 10
    kept: dict[str, np.ndarray] = {}
    found = risks(linked(histories, record=lambda name, _, risk: kept.update({name: risk})))
    assert one(found, "risk.worst_class").value == pytest.approx(1 / 10)
    assert kept["risk.marketer"] == pytest.approx([1 / 60] * 60 + [1 / 10] * 10)
