"""Distributions and correlations: what they must see, and what they must not mistake for a loss."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from evidence_support import as_is, compare, one, people, profile, starred
from sfumato.core.values import Role
from sfumato.evidence.features import LabelBins, NumberBins, categories, numbers
from sfumato.evidence.utility.correlations import Correlations, cramers_v
from sfumato.evidence.utility.distributions import Distributions


def survey(rows: int = 2000, seed: int = 0) -> pl.DataFrame:
    """Dependent columns of every kind."""
    draw = np.random.default_rng(seed)
    age = draw.integers(20, 60, rows)
    income = np.round(age * 50 + draw.normal(0, 300, rows), 1)
    town = np.where(age > 40, draw.choice(["a", "b"], rows), draw.choice(["c", "d"], rows))
    curve = np.abs(age - 40) + draw.integers(0, 3, rows)
    return pl.DataFrame({"age": age, "income": income, "town": town, "curve": curve})


def distances(comparison):
    return Distributions().run(comparison, Distributions.Params())


def associations(comparison, **params):
    return Correlations().run(comparison, Correlations.Params(**params))


def decades(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns((pl.col("age") // 10 * 10).cast(pl.String) + "s")


def test_an_unchanged_release_has_no_distance_and_all_detail() -> None:
    found = distances(compare(survey()))
    assert {finding.value for finding in found if finding.metric == "distributions.tv"} == {0.0}
    assert {finding.value for finding in found if finding.metric == "distributions.precision"} == {1.0}
    assert all(finding.baseline > 0 for finding in found if finding.metric == "distributions.tv")


def test_an_honest_coarse_label_costs_detail_and_distorts_nothing() -> None:
    found = distances(compare(survey(), decades))
    assert one(found, "distributions.tv", "age").value == 0.0
    precision = one(found, "distributions.precision", "age").value
    assert 0.5 < precision < 0.9
    # The share of pairs told apart, by brute force.
    ages = survey()["age"].to_numpy()
    apart = ages[:, None] != ages[None, :]
    still = (ages // 10)[:, None] != (ages // 10)[None, :]
    assert precision == pytest.approx(still.sum() / apart.sum())


def test_suppressing_one_group_distorts() -> None:
    frame = survey()
    kept = (frame["town"] != "a").to_numpy()
    found = distances(compare(frame, decades, kept=kept))
    share = 1 - kept.mean()
    town = one(found, "distributions.tv", "town")
    assert town.value == pytest.approx(share)
    assert town.low < town.value < town.high
    assert town.value > 5 * town.baseline
    assert one(found, "distributions.tv", "age").value > 5 * one(found, "distributions.tv", "age").baseline


def test_suppressing_at_random_stays_at_the_noise_floor() -> None:
    kept = np.random.default_rng(1).random(2000) < 0.5
    for column in ("age", "income", "town"):
        finding = one(distances(compare(survey(), kept=kept)), "distributions.tv", column)
        assert finding.value < 2 * finding.baseline


def test_changed_numbers_are_seen() -> None:
    frame = survey()
    rounded = distances(compare(frame, lambda f: f.with_columns((pl.col("income") / 1000).round() * 1000)))
    capped = distances(compare(frame, lambda f: f.with_columns(pl.col("income").clip(upper_bound=1500))))
    for found in (rounded, capped):
        assert one(found, "distributions.tv", "income").value > 0.3
        assert one(found, "distributions.tv", "town").value == 0.0


def test_saying_nothing_keeps_no_detail() -> None:
    found = distances(compare(survey(), starred))
    assert one(found, "distributions.precision").value == 0.0


def test_a_constant_column_has_no_detail_to_lose() -> None:
    frame = survey().with_columns(same=pl.lit(1))
    found = distances(compare(frame))
    assert one(found, "distributions.precision", "same").status == "no-power"
    assert one(found, "distributions.precision").value == 1.0


def test_identifiers_are_no_facts() -> None:
    frame = survey().with_columns(id=pl.int_range(2000))
    found = distances(compare(frame, profiles={"id": profile("id", Role.DIRECT_IDENTIFIER)}))
    assert not [finding for finding in found if finding.target == "id"]


def test_independent_columns_destroy_every_dependence() -> None:
    frame = survey()
    draw = np.random.default_rng(2)
    shuffled = pl.DataFrame([frame[name].gather(draw.permutation(2000)) for name in frame.columns])
    resampled = frame[draw.integers(0, 2000, 2000)]
    broken = associations(compare(frame, released=shuffled))
    sound = associations(compare(frame, released=resampled))
    error = one(broken, "correlations.error")
    assert error.low > 5 * error.baseline
    assert one(sound, "correlations.error").value < 2 * one(sound, "correlations.error").baseline
    assert error.low > 5 * one(sound, "correlations.error").high
    # Every column by itself is still right: the distributions cannot tell.
    assert one(distances(compare(frame, released=shuffled)), "distributions.tv").value == 0.0


def test_curved_dependence_counts() -> None:
    frame = survey().select("age", "curve")
    draw = np.random.default_rng(3)
    shuffled = frame.with_columns(curve=frame["curve"].gather(draw.permutation(2000)))
    assert abs(np.corrcoef(frame["age"], frame["curve"])[0, 1]) < 0.1
    assert one(associations(compare(frame, released=shuffled)), "correlations.error").value > 0.5


def test_the_worst_pair_is_named() -> None:
    frame = survey().with_columns(free=pl.Series(np.random.default_rng(4).integers(0, 5, 2000)))
    shuffled = frame.with_columns(town=frame["town"].gather(np.random.default_rng(5).permutation(2000)))
    worst = one(associations(compare(frame, released=shuffled)), "correlations.worst_error")
    assert worst.note == "between age and town"


def test_centers_make_numbers_of_labels() -> None:
    centers = {"age": {f"{decade}s": decade + 5.0 for decade in (20, 30, 40, 50)}}
    frame = survey()
    found = associations(compare(frame, decades, centers=centers))
    assert one(found, "correlations.error").value < 0.15
    assert numbers(decades(frame)["age"], centers["age"]).tolist() == (frame["age"] // 10 * 10 + 5).to_list()
    assert numbers(pl.Series(["20s", "*", None]), centers["age"])[1:].tolist() == pytest.approx(
        [np.nan] * 2, nan_ok=True
    )


def test_fewer_columns_or_rows_than_needed() -> None:
    assert {f.status for f in associations(compare(survey().select("age")))} == {"not-measured"}
    assert {f.status for f in associations(compare(survey(30)))} == {"no-power"}
    nobody = np.zeros(2000, dtype=bool)
    assert {f.status for f in distances(compare(survey(), kept=nobody))} == {"not-measured"}


def test_more_pairs_than_allowed_are_a_keyed_sample() -> None:
    wide = people(300, 12, 4)
    found = associations(compare(wide), pairs=10)
    assert one(found, "correlations.error").note == "mean over 10 pairs of columns"
    assert found == associations(compare(wide), pairs=10)


def test_cramers_v_has_the_uncorrected_value_on_large_tables() -> None:
    from scipy.stats.contingency import association

    draw = np.random.default_rng(6)
    table = draw.integers(1, 60, (4, 3))
    expected = association(table, method="cramer")
    assert cramers_v(table[None].astype(float) * 10_000)[0] == pytest.approx(expected, abs=1e-4)


def test_cramers_v_is_zero_on_average_without_dependence() -> None:
    draw = np.random.default_rng(7)
    tables = draw.multinomial(200, np.full(100, 0.01), size=300).reshape(300, 10, 10).astype(float)
    plain = np.sqrt((tables**2 / (tables.sum(2)[:, :, None] * tables.sum(1)[:, None, :])).sum((1, 2)) - 1) / 3
    assert cramers_v(tables).mean() < 0.04
    assert plain.mean() > 0.18


def test_bins_have_a_place_for_everything() -> None:
    values = np.array([0.0] * 50 + [np.inf, -np.inf, np.nan] + list(np.arange(100.0)))
    bins = NumberBins.fit(values)
    codes = bins.codes(values)
    assert codes.min() == 0
    assert codes.max() == bins.size - 1 == codes[52]
    assert len(set(codes[:50])) == 1
    label_bins = LabelBins.fit(pl.Series([f"v{i % 40}" for i in range(400)] + ["often"] * 50 + [None]))
    found = label_bins.codes(pl.Series(["often", "never seen", None]))
    assert found.tolist() == [0, label_bins.size - 2, label_bins.size - 1]


def test_dates_and_booleans_are_numbers() -> None:
    from datetime import date

    assert numbers(pl.Series([date(1970, 1, 2), None])).tolist()[0] == 1.0
    assert numbers(pl.Series([True, False])).tolist() == [1.0, 0.0]
    codes, size = categories(pl.Series([True, False, None]))
    assert codes.tolist() == [1, 0, size - 1]


def test_the_method_is_asked_for_the_original_in_the_release_terms() -> None:
    asked = []

    def describe(frame: pl.DataFrame) -> pl.DataFrame:
        asked.append(frame.height)
        return as_is(frame)

    distances(compare(survey(), describe))
    assert asked
