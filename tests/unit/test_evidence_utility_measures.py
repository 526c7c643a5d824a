"""Marginal tables, tails, propensity, regression and named findings: known answers and broken twins."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import polars as pl
import pytest
from pydantic import ValidationError

from evidence_support import by_cuts, compare, local, one, people
from sfumato.core.errors import InputError
from sfumato.evidence.overlap import Spread
from sfumato.evidence.utility import kernels
from sfumato.evidence.utility.distributions import Distributions
from sfumato.evidence.utility.findings import Findings
from sfumato.evidence.utility.glm import fit, overlaps
from sfumato.evidence.utility.marginals import Marginals, score
from sfumato.evidence.utility.propensity import Propensity
from sfumato.evidence.utility.regression import Regression
from sfumato.evidence.utility.tails import Tails
from sfumato.evidence.utility.terms import dealt

ROWS = 2000


def survey(rows: int = ROWS, seed: int = 0) -> pl.DataFrame:
    draw = np.random.default_rng(seed)
    age = draw.integers(20, 60, rows)
    town = np.where(age > 40, draw.choice(["a", "b"], rows), draw.choice(["c", "d"], rows))
    income = np.round(age * 50 + (town == "a") * 400 + draw.normal(0, 300, rows), 1)
    works = (draw.random(rows) < 1 / (1 + np.exp(-(age - 40) / 8))).astype(int)
    return pl.DataFrame({"age": age, "income": income, "town": town, "works": works})


FRAME = survey()


def shuffled(frame: pl.DataFrame) -> pl.DataFrame:
    """Every column right by itself, every dependence gone."""
    draw = np.random.default_rng(1)
    return pl.DataFrame([frame[name].gather(draw.permutation(frame.height)) for name in frame.columns])


def resampled(frame: pl.DataFrame) -> pl.DataFrame:
    return frame[np.random.default_rng(2).integers(0, frame.height, frame.height)]


def run(kind, comparison, **params):
    return kind().run(comparison, kind.Params(**params))


QUERIES = [
    {"name": "gap", "mean": "income", "by": "town", "between": ["a", "c"]},
    {"name": "tie", "correlation": ["age", "income"]},
    {"name": "slope", "coefficient": "age", "of": "works", "on": ["income"]},
]


@pytest.mark.parametrize(
    ("kind", "metric", "target", "params"),
    [
        (Marginals, "marginals.two", "release", {}),
        (Marginals, "marginals.three", "release", {}),
        (Marginals, "marginals.worst", "release", {}),
        (Marginals, "marginals.score", "release", {}),
        (Marginals, "marginals.score", "release", {"k": 2}),
        (Tails, "tails.combinations", "release", {"rare": 0.02}),
        (Propensity, "propensity.pmse_ratio", "release", {}),
        (Propensity, "propensity.auc", "release", {}),
        (Regression, "regression.overlap", "release", {}),
        (Regression, "regression.difference", "release", {}),
        (Regression, "regression.same_sign", "release", {}),
        (Findings, "findings.overlap", "tie", {"queries": QUERIES}),
        (Findings, "findings.change", "gap", {"queries": QUERIES}),
        (Findings, "findings.change", "slope", {"queries": QUERIES}),
    ],
)
def test_a_release_without_dependence_is_told_from_a_resample(kind, metric, target, params) -> None:
    broken, sound = (
        one(run(kind, compare(FRAME, released=made(FRAME), target="works"), **params), metric, target)
        for made in (shuffled, resampled)
    )
    if sound.goal == "low":
        assert broken.low > sound.high
        assert sound.low <= max(2 * sound.baseline, 3.0 * (kind is Findings))
    else:
        assert broken.high < sound.low or broken.value < sound.value - 0.3
        # One figure, or the sign of two coefficients of which one is hardly clear, may be off by chance.
        single = kind is Findings or metric == "regression.same_sign"
        assert single or sound.high >= sound.baseline - 0.35


@pytest.mark.parametrize("kind", [Marginals, Tails, Regression, Distributions])
def test_an_unchanged_release_is_perfect(kind) -> None:
    found = run(kind, compare(FRAME, target="works"))
    for finding in found:
        if finding.status == "measured":
            assert finding.value == pytest.approx(finding.before)
            # Whether a sign is clear may hang on a few people, unchanged as it is.
            if finding.metric != "regression.same_sign":
                assert finding.low == pytest.approx(finding.high)


def test_nists_score_by_hand() -> None:
    # Shares of the four cells .5 0 0 .5 against .25 each: differences sum to 1, and (2 - 1) * 500 = 500.
    before = pl.DataFrame({"a": [0, 0, 1, 1] * 25, "b": [0, 0, 1, 1] * 25})
    after = pl.DataFrame({"a": [0, 0, 1, 1] * 25, "b": [0, 1, 0, 1] * 25})
    found = run(Marginals, compare(before, released=after), k=2)
    assert one(found, "marginals.two").value == pytest.approx(0.5)
    assert one(found, "marginals.score").value == pytest.approx(500.0)
    assert one(found, "marginals.worst").note == "between a and b"
    assert one(found, "marginals.three").status == "not-measured"
    assert score(0.0) == 1000.0


def test_tables_of_three_are_those_of_brute_force() -> None:
    frame, other = people(500, 4, 3, seed=1), people(500, 4, 3, seed=2)
    kept = np.arange(500) % 3 != 0
    found = one(run(Marginals, compare(frame, released=other, kept=kept)), "marginals.three")
    distances = []
    for columns in combinations(frame.columns, 3):
        p = frame.group_by(columns).len("p")
        q = other.filter(pl.Series(kept)).group_by(columns).len("q")
        both = p.join(q, on=columns, how="full").fill_null(0)
        distances.append((both["p"] / 500 - both["q"] / kept.sum()).abs().sum() / 2)
    assert found.value == pytest.approx(np.mean(distances))


def test_the_interval_of_tables_covers_what_other_people_would_show() -> None:
    values, halves = [], []
    for seed in range(30):
        frame = survey(600, seed)
        kept = (frame["town"] != "a").to_numpy() | (np.random.default_rng(seed).random(600) < 0.3)
        found = one(run(Marginals, compare(frame, kept=kept)), "marginals.two")
        values.append(found.value)
        halves.append((found.high - found.low) / 2)
    assert 0.6 < np.mean(halves) / (1.96 * np.std(values)) < 1.6


def test_only_a_keyed_sample_of_many_tables() -> None:
    wide = people(200, 12, 3)
    found = run(Marginals, compare(wide), tables=20)
    assert one(found, "marginals.three").note == "mean over 20 tables"
    assert found == run(Marginals, compare(wide), tables=20)


def test_a_label_that_overlaps_is_dealt_in_equal_parts() -> None:
    spread = Spread(np.array([0] * 30 + [1] * 7, dtype=np.int32), np.array([[0.5, 0.5, 0], [0, 0, 1.0]]))
    codes = dealt(spread, b"k" * 32)
    assert np.bincount(codes[:30]).tolist() == [15, 15]
    assert set(codes[30:]) == {2}
    thirds = Spread(np.zeros(10, dtype=np.int32), np.array([[0.7, 0.1 + 0.2, 0.0]]))
    assert set(dealt(thirds, b"k" * 32)) == {0, 1}


@pytest.mark.parametrize("kind", [Marginals, Tails, Propensity, Regression, Distributions])
def test_labels_that_overlap_keep_what_they_say(kind) -> None:
    frame = survey(1500)
    given = local(frame, by_cuts(frame.select("town", "age"), 5), ["age", "town"], target="works")
    for finding in run(kind, given):
        assert finding.status != "error"
    if kind is Marginals:
        found = one(run(kind, given), "marginals.two")
        assert found.value < 3 * found.baseline


def test_top_coding_cuts_the_tail_off() -> None:
    capped = FRAME.with_columns(pl.col("income").clip(upper_bound=FRAME["income"].quantile(0.95)))
    found = run(Tails, compare(FRAME, released=capped))
    assert one(found, "tails.extremes", "income").value == pytest.approx(0.5)
    assert one(found, "tails.extremes", "income").low > 0.3
    assert one(found, "tails.extremes", "age").value == 0.0


def test_rare_categories_count_only_under_their_own_label() -> None:
    town = ["a"] * 1940 + ["b"] * 20 + ["c"] * 40
    frame = pl.DataFrame({"town": town, "n": range(2000)})
    merged = run(
        Tails,
        compare(frame, lambda f: f.with_columns(pl.col("town").replace({"a": "ab", "b": "ab"}))),
        rare=0.05,
    )
    assert one(merged, "tails.categories", "town").value == pytest.approx(40 / 60)
    kept = np.array(town) != "c"
    gone = one(run(Tails, compare(frame, kept=kept), rare=0.05), "tails.categories", "town")
    assert gone.value == pytest.approx(20 / 60)
    assert gone.low <= gone.value <= gone.high


def test_numbers_moved_are_measured_in_deviations() -> None:
    frame = pl.DataFrame({"x": np.arange(1000.0)})
    moved = run(Distributions, compare(frame, released=frame + 25.0))
    # A mean deviation of 250 from the median; a fortieth of the values is beyond all before.
    assert one(moved, "distributions.wasserstein", "x").value == pytest.approx(0.1)
    assert one(moved, "distributions.ks", "x").value == pytest.approx(0.025)
    found = one(moved, "distributions.ks", "x")
    assert found.baseline > 0


def test_distances_of_numbers_are_those_of_scipy() -> None:
    from scipy.stats import ks_2samp, wasserstein_distance

    draw = np.random.default_rng(3)
    before, after = draw.normal(size=500), draw.gamma(2.0, size=500)
    found = run(Distributions, compare(pl.DataFrame({"x": before}), released=pl.DataFrame({"x": after})))
    assert one(found, "distributions.ks").value == pytest.approx(ks_2samp(before, after).statistic)
    deviation = np.abs(before - np.median(before)).mean()
    expected = wasserstein_distance(before, after) / deviation
    assert one(found, "distributions.wasserstein").value == pytest.approx(expected)


def test_detail_of_a_sample_is_no_complete_count() -> None:
    given = compare(FRAME, lambda f: f.with_columns(pl.col("age") // 10))
    counted = one(run(Distributions, given), "distributions.precision", "age")
    assert counted.low == counted.value == counted.high
    from dataclasses import replace

    sampled = replace(given, plan=given.plan.model_copy(update={"rows": 50_000}))
    found = one(run(Distributions, sampled), "distributions.precision", "age")
    assert found.low < found.value < found.high
    assert found.value == counted.value


def test_the_propensity_of_main_effects_would_be_blind() -> None:
    # The broken twin: a linear model sees nothing where boosting sees everything.
    from sklearn.linear_model import LogisticRegression

    codes = FRAME.select(pl.col("town").rank("dense"), "age", "income").to_numpy().astype(float)
    gone = shuffled(FRAME).select(pl.col("town").rank("dense"), "age", "income").to_numpy().astype(float)
    both = np.vstack([codes, gone])
    both = (both - both.mean(axis=0)) / both.std(axis=0)
    blind = LogisticRegression().fit(both, np.arange(len(both)) >= ROWS).predict_proba(both)[:, 1]
    assert ((blind - 0.5) ** 2).mean() < 0.001
    found = one(run(Propensity, compare(FRAME, released=shuffled(FRAME))), "propensity.pmse_ratio")
    assert found.low > 2


def test_intervals_overlap_by_hand() -> None:
    # 0..2 and 1..5: the common 1 is half of the first and a quarter of the second.
    assert overlaps(*(np.array([x]) for x in (1.0, 1.0, 3.0, 2.0)))[0] == pytest.approx(0.375)
    assert overlaps(*(np.array([x]) for x in (0.0, 1.0, 3.0, 1.0)))[0] == 0.0
    assert overlaps(*(np.array([x]) for x in (1.0, 0.0, 1.0, 0.0)))[0] == 1.0


@pytest.mark.parametrize("logistic", [False, True])
def test_coefficients_are_those_of_the_library(logistic: bool) -> None:
    from sklearn.linear_model import LogisticRegression, Ridge

    draw = np.random.default_rng(4)
    matrix = draw.normal(size=(800, 3))
    linear = matrix @ [1.0, -0.5, 0.0] + 0.3
    target = (
        (draw.random(800) < 1 / (1 + np.exp(-linear))) * 1.0 if logistic else linear + draw.normal(size=800)
    )
    found = fit(matrix, target, np.arange(800) % 20, logistic)
    model = LogisticRegression(C=1.0, tol=1e-8) if logistic else Ridge(1.0)
    assert found.coefficients[0] == pytest.approx(np.ravel(model.fit(matrix, target).coef_), abs=1e-4)
    # Without a group: one step is near, and exact for a linear model.
    left = np.arange(800) % 20 != 7
    again = np.ravel(model.fit(matrix[left], target[left]).coef_)
    assert found.coefficients[8] == pytest.approx(again, abs=2e-3 if logistic else 1e-9)
    assert found.errors[0] == pytest.approx(found.errors[1:].mean(axis=0), rel=0.1)


def test_a_regression_of_numbers_and_of_many_classes() -> None:
    frame = FRAME.with_columns(kind=pl.col("age") // 15)
    for target in ("income", "kind"):
        found = run(Regression, compare(frame, released=shuffled(frame), target=target))
        assert one(found, "regression.overlap").value < 0.6
        assert one(found, "regression.same_sign").value < 1.0


def asked(comparison, *queries):
    return run(Findings, comparison, queries=queries)


def test_figures_of_the_original_and_of_the_release() -> None:
    kept = (FRAME["town"] != "d").to_numpy()
    found = asked(
        compare(FRAME, kept=kept),
        {"name": "pay", "mean": "income"},
        {"name": "works", "share": "works", "value": 1},
    )
    value = one(found, "findings.value", "pay")
    half_error = FRAME["income"].std() / np.sqrt(kept.sum())
    assert value.value == pytest.approx(FRAME.filter(pl.Series(kept))["income"].mean(), abs=half_error)
    assert value.before == pytest.approx(FRAME["income"].mean(), abs=half_error)
    assert one(found, "findings.overlap", "pay").value < 0.1
    assert one(found, "findings.change", "pay").low > 2
    assert one(found, "findings.value", "works").before == pytest.approx(FRAME["works"].mean(), abs=0.02)
    assert one(found, "findings.same_sign").status == "not-measured"


def test_one_person_cannot_be_seen_in_the_figure_before() -> None:
    # With and without one who was suppressed the mean before would differ by their part.
    kept = np.ones(ROWS, dtype=bool)
    kept[FRAME["income"].arg_max()] = False
    found = one(asked(compare(FRAME, kept=kept), {"name": "pay", "mean": "income"}), "findings.value", "pay")
    assert found.before == found.value
    step = FRAME["income"].std() / np.sqrt(ROWS) / 2
    assert abs(FRAME["income"].mean() - FRAME.filter(pl.Series(kept))["income"].mean()) < step / 2


def test_figures_by_group_need_labels_that_tell_the_group() -> None:
    merged = compare(FRAME, lambda f: f.with_columns(pl.col("town").replace({"a": "ab", "b": "ab"})))
    found = asked(merged, {"name": "pay", "mean": "income", "by": "town"})
    assert one(found, "findings.value", "pay: town=a").status == "no-power"
    assert one(found, "findings.value", "pay: town=c").status == "measured"


def test_a_sign_that_turned() -> None:
    turned = FRAME.with_columns(income=-pl.col("income"))
    found = asked(compare(FRAME, released=turned), QUERIES[1])
    assert one(found, "findings.same_sign", "tie").value == 0.0
    assert one(found, "findings.overlap", "tie").value == 0.0


def test_columns_that_do_not_leave_have_no_figure() -> None:
    found = asked(compare(FRAME, lambda f: f.drop("income")), QUERIES[0])
    assert {finding.status for finding in found} == {"not-measured"}
    assert "income" in found[0].note


@pytest.mark.parametrize(
    ("query", "word"),
    [
        ({"name": "q", "mean": "incme"}, "incme"),
        ({"name": "q", "mean": "town"}, "town"),
        ({"name": "q", "share": "town", "value": "nowhere"}, "town"),
        ({"name": "q", "mean": "age", "by": "tow"}, "tow"),
    ],
)
def test_a_query_that_does_not_fit_is_one_clear_error(query, word: str) -> None:
    with pytest.raises(InputError) as wrong:
        asked(compare(FRAME), query)
    assert wrong.value.code == "policy-mismatch"
    assert word in str(wrong.value)
    assert "nowhere" not in str(wrong.value)


@pytest.mark.parametrize(
    "query",
    [
        {"name": "q"},
        {"name": "q", "mean": "a", "median": "b"},
        {"name": "q", "share": "a"},
        {"name": "q", "coefficient": "a"},
        {"name": "q", "mean": "a", "between": ["x", "y"]},
        {"name": "q", "correlation": ["a", "b"], "by": "c"},
        {"name": "a=b", "mean": "a"},
    ],
)
def test_a_query_must_ask_for_one_thing(query) -> None:
    with pytest.raises(ValidationError):
        Findings.Params(queries=[query])
    with pytest.raises(ValidationError):
        Findings.Params(queries=[{"name": "q", "mean": "a"}] * 2)


def test_kernels_count_as_python_does() -> None:
    draw = np.random.default_rng(5)
    before = draw.integers(0, 3, (3, 60)).astype(np.uint16)
    after = before[:, :40]
    weights = np.bincount(draw.integers(0, 60, 40), minlength=60).astype(np.int32)
    arguments = (before, after, weights, np.array([3, 3, 3]), np.array([[0, 1, 2]]))
    compiled = kernels.marginal_distances(*arguments)
    plain = kernels.marginal_distances.py_func(*arguments)
    for one_, other in zip(compiled, plain, strict=True):
        assert np.asarray(one_) == pytest.approx(np.asarray(other))
    rare = (before, after, weights, np.array([3, 3, 3]), np.array([[0, 1], [1, 2]]), 5, 12.0)
    for one_, other in zip(
        kernels.rare_combinations(*rare), kernels.rare_combinations.py_func(*rare), strict=True
    ):
        assert np.asarray(one_) == pytest.approx(np.asarray(other))
