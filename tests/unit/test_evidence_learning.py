"""What a model still learns, and for whom it got worse."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from evidence_support import as_is, compare, one, profile, starred, step
from sfumato.core.errors import InputError
from sfumato.core.values import Role
from sfumato.evidence import learners
from sfumato.evidence.fairness import AFTER, Fairness, _resampled, _test
from sfumato.evidence.groups import Crossing, Grouping
from sfumato.evidence.intervals import auc
from sfumato.evidence.learners import Learned, Unlearned, learned, share_learners
from sfumato.evidence.utility.learning import Learning


@pytest.fixture(autouse=True)
def few_models(monkeypatch: pytest.MonkeyPatch) -> None:
    """One model a learner: quicker, and the figures asked for here do not need more."""
    monkeypatch.setattr(learners, "BAGS", 1)


def survey(rows: int = 3000, seed: int = 0) -> pl.DataFrame:
    """A target that depends on age and town; a rare group of which the data say less."""
    draw = np.random.default_rng(seed)
    age = draw.integers(20, 60, rows)
    town = draw.choice(["a", "b", "c"], rows)
    rare = draw.random(rows) < 0.15
    logit = (age - 40) / 8 * np.where(rare, 0.3, 1.0) + (town == "a") * 1.5
    works = draw.random(rows) < 1 / (1 + np.exp(-logit))
    return pl.DataFrame({"age": age, "town": town, "rare": rare.astype(int), "works": works.astype(int)})


FRAME = survey()
ORIGINAL, CONTROL = FRAME[:2000], FRAME[2000:]


def comparison(describe=as_is, **more):
    return compare(ORIGINAL, describe, **{"control": CONTROL, "target": "works", **more})


def learn(given, models=()):
    return Learning().run(given, Learning.Params(models=models))


def judge(given, *groups, **params):
    return Fairness().run(given, Fairness.Params(groups=groups, **params))


def but_target(frame: pl.DataFrame) -> pl.DataFrame:
    return starred(frame).with_columns(frame["works"])


def decades(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.with_columns((pl.col("age") // 10 * 10).cast(pl.String) + "s")


MODELS = ("forest", "linear")
CENTERS = {"age": {f"{decade}s": decade + 5.0 for decade in (20, 30, 40, 50)}}


def test_an_unchanged_release_teaches_as_much_as_the_original() -> None:
    found = learn(comparison())
    score, ratio = one(found, "learning.auc"), one(found, "learning.skill_ratio")
    assert score.value == score.before > 0.7
    assert score.low < score.value < score.high
    assert (ratio.value, ratio.low, ratio.high) == pytest.approx((1.0, 1.0, 1.0))
    assert score.n == ratio.n == 1000


def test_a_release_that_says_nothing_teaches_nothing() -> None:
    found = learn(comparison(but_target))
    assert one(found, "learning.auc").value == pytest.approx(0.5, abs=0.02)
    assert one(found, "learning.skill_ratio").high < 0.2


def test_coarse_labels_teach_a_part() -> None:
    found = learn(comparison(decades, centers=CENTERS))
    ratio = one(found, "learning.skill_ratio")
    assert 0.7 < ratio.value < 1.0
    assert ratio.low < ratio.value < ratio.high


def test_a_shuffled_target_is_found_out() -> None:
    released = ORIGINAL.with_columns(ORIGINAL["works"].shuffle(seed=1))
    assert one(learn(comparison(released=released)), "learning.skill_ratio").high < 0.5


def test_no_skill_to_keep_has_no_power() -> None:
    noise = FRAME.with_columns(FRAME["works"].shuffle(seed=2))
    found = learn(compare(noise[:2000], control=noise[2000:], target="works"))
    assert one(found, "learning.auc").status == "measured"
    assert one(found, "learning.skill_ratio").status == "no-power"
    assert one(found, "learning.skill_ratio").value is None


def test_what_gives_the_target_away_and_identifiers_are_not_learned_from() -> None:
    leak = FRAME.with_columns(leak="works", name=pl.col("works").cast(pl.String), text=pl.col("works") * 2.0)
    profiles = {
        "leak": profile("leak", determines_target=True),
        "name": profile("name", Role.DIRECT_IDENTIFIER),
        "text": profile("text", dtype="text", distinction=0.9),
    }
    hidden = compare(leak[:2000], control=leak[2000:], target="works", profiles=profiles)
    assert one(learn(hidden), "learning.auc").before < 0.9
    assert one(learn(replace(hidden, inventory=comparison().inventory)), "learning.auc").before == 1.0
    by_plan = replace(hidden, inventory=comparison().inventory.model_copy(update={"columns": ()}))
    steps = [step(name, Role.DIRECT_IDENTIFIER) for name in ("leak", "name", "text")]
    planned = replace(by_plan, plan=hidden.plan.model_copy(update={"steps": tuple(steps)}))
    assert one(learn(planned), "learning.auc").before < 0.9


@pytest.mark.parametrize(
    ("given", "status"),
    [
        (comparison(target=None), "not-measured"),
        (comparison(control=CONTROL.clear()), "not-measured"),
        (comparison(released=ORIGINAL.drop("works")), "not-measured"),
        (comparison(kept=np.zeros(2000, dtype=bool)), "not-measured"),
        (comparison(released=ORIGINAL.with_columns(works=pl.lit("*"))), "not-measured"),
        (compare(ORIGINAL.with_columns(works=1), control=CONTROL, target="works"), "no-power"),
        (comparison(control=CONTROL.with_columns(works=1)), "no-power"),
        (compare(ORIGINAL.with_columns(works=pl.lit(None)), control=CONTROL, target="works"), "no-power"),
    ],
)
def test_what_cannot_be_learned_has_no_figure(given, status: str) -> None:
    found = learn(given)
    assert {finding.status for finding in found} == {status}
    assert {finding.value for finding in found} == {None}
    assert {finding.metric for finding in found} == set(Learning.metrics)
    rates = [f for f in judge(given, "town") if "suppress" not in f.metric]
    assert {finding.status for finding in rates} == {status}


def test_a_release_of_one_class_teaches_nothing() -> None:
    kept = (ORIGINAL["works"] == 1).to_numpy()
    assert one(learn(comparison(kept=kept)), "learning.auc").value == 0.5


def test_more_than_two_classes_are_averaged() -> None:
    frame = FRAME.with_columns(works=pl.col("works") + (pl.col("town") == "b").cast(pl.Int64))
    given = compare(frame[:2000], control=frame[2000:], target="works")
    outcome = learned(given)
    assert isinstance(outcome, Learned)
    expected = np.mean([auc(outcome.truth == c, outcome.after[:, c]) for c in range(3)])
    assert one(learn(given), "learning.auc").value == pytest.approx(expected)
    assert outcome.after.sum(axis=1) == pytest.approx(np.ones(1000))
    rates = [f for f in judge(given, "town") if "suppress" not in f.metric]
    assert {finding.status for finding in rates} == {"not-measured"}


def test_missing_targets_are_left_out_and_text_targets_learned() -> None:
    frame = FRAME.with_columns(
        works=pl.when(pl.col("age") == 30)
        .then(None)
        .otherwise(pl.col("works").replace_strict({0: "no", 1: "yes"}))
    )
    given = compare(frame[:2000], control=frame[2000:], target="works")
    outcome = learned(given)
    assert isinstance(outcome, Learned)
    assert outcome.classes == ("no", "yes")
    assert len(outcome.truth) == (frame[2000:]["age"] != 30).sum()
    assert one(learn(given), "learning.auc").value > 0.7


def test_learners_are_taught_once_for_all_probes(monkeypatch: pytest.MonkeyPatch) -> None:
    taught = []
    real = learners._learn
    monkeypatch.setattr(learners, "_learn", lambda given: taught.append(1) or real(given))
    shared = share_learners(comparison())
    learn(shared)
    judge(shared, "rare", "town")
    assert len(taught) == 1


def test_the_original_teaches_once_for_several_releases_of_the_same_people(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def learn(given):
        return Learning().run(given, Learning.Params(models=(), floor=False))

    taught = []
    real = learners.teach
    monkeypatch.setattr(learners, "teach", lambda *args: taught.append(1) or real(*args))
    memory: dict = {}
    releases = [comparison(), comparison(decades, centers=CENTERS)]
    found = [learn(share_learners(one_of, memory)) for one_of in releases]
    assert len(taught) == 3
    assert found == [learn(one_of) for one_of in releases]
    # Other people, another key or target are another lesson.
    others = compare(CONTROL, as_is, control=ORIGINAL, target="works")
    for other in (others, replace(comparison(), key=b"other"), comparison(target="rare")):
        assert learn(share_learners(other, memory)) == learn(other)


def test_importance_is_left_out_where_it_is_not_asked_for() -> None:
    found = Learning().run(comparison(), Learning.Params(models=(), importance=False))
    silent = one(found, "learning.importance")
    assert (silent.status, silent.value) == ("not-measured", None)
    assert [f for f in found if f != silent] == [
        f for f in learn(comparison()) if f.metric != "learning.importance"
    ]


def test_same_key_same_figures() -> None:
    assert learn(comparison()) == learn(comparison())
    assert judge(comparison(), "rare") == judge(comparison(), "rare")


def test_an_unchanged_release_is_as_fair_as_the_original() -> None:
    found = judge(comparison(), "rare")
    for finding in found:
        assert finding.status == "measured"
        if "suppress" not in finding.metric:
            assert finding.value == pytest.approx(finding.before)
            assert finding.low <= finding.value <= finding.high
    assert one(found, "fairness.suppression_gap", "rare").value == 0.0


def test_a_release_without_the_rare_group_is_worse_for_it() -> None:
    frame = FRAME.with_columns(age=pl.when(pl.col("rare") == 1).then(79 - pl.col("age")).otherwise("age"))
    original, control = frame[:2000], frame[2000:]
    kept = (original["rare"] == 0).to_numpy()
    found = judge(compare(original, kept=kept, control=control, target="works"), "rare")
    rare = one(found, "fairness.suppressed", "rare=1")
    assert rare.value == 1.0
    assert one(found, "fairness.suppressed", "rare=0").value == 0.0
    assert one(found, "fairness.suppression_gap", "rare").low > 0.9
    score = one(found, "fairness.auc", "rare=1")
    assert score.value < score.before


def test_rates_are_those_of_the_selected() -> None:
    given = comparison()
    tested = _test(learned(given), None, b"k" * 32)
    assert not isinstance(tested, Unlearned)
    assert tested.selected[AFTER].sum() == round(ORIGINAL["works"].mean() * 1000)
    member = CONTROL["rare"].to_numpy()
    once = _resampled(tested, member, np.array([0, 1]), np.ones((1, 1000)))[:, :, 0]
    found = judge(given, "rare")
    for i, metric in enumerate(("fairness.auc", "fairness.selection", "fairness.fnr", "fairness.fpr")):
        for group in (0, 1):
            assert one(found, metric, f"rare={group}").value == pytest.approx(once[i, group])
    truth, selected = tested.truth[member == 1], tested.selected[AFTER][member == 1]
    assert one(found, "fairness.fnr", "rare=1").value == pytest.approx((~selected[truth]).mean())
    gap = abs(once[1, 0] - once[1, 1])
    assert one(found, "fairness.selection_gap", "rare").value == pytest.approx(gap)


def test_the_positive_value_can_be_named() -> None:
    found = judge(comparison(), "rare", positive="0")
    assert one(found, "fairness.selection", "rare=0").value < 0.6
    with pytest.raises(InputError) as wrong:
        judge(comparison(), "rare", positive="maybe")
    assert "maybe" not in str(wrong.value)


def test_groups_too_small_have_no_power_and_stay_out_of_gaps() -> None:
    frame = FRAME.with_columns(
        town=pl.when(pl.int_range(pl.len()) % 150 == 0).then(pl.lit("tiny")).otherwise("town")
    )
    found = judge(compare(frame[:2000], control=frame[2000:], target="works"), "town")
    assert one(found, "fairness.selection", "town=tiny").status == "no-power"
    assert "1 group(s) too small" in one(found, "fairness.selection_gap", "town").note
    assert one(found, "fairness.suppressed", "town=tiny").status == "measured"


def test_one_group_has_no_gap() -> None:
    frame = FRAME.with_columns(town=pl.lit("a"))
    found = judge(compare(frame[:2000], control=frame[2000:], target="works"), "town")
    assert one(found, "fairness.selection_gap", "town").status == "no-power"
    assert one(found, "fairness.suppression_gap", "town").status == "no-power"


def test_no_name_of_a_group_stands_for_fewer_than_ten_people() -> None:
    series = pl.Series("town", ["a"] * 30 + ["b"] * 9 + ["c"] * 10 + [None] * 3)
    grouping = Grouping.fit(series)
    assert grouping.names == ("a", "c", "others", "missing")
    assert np.bincount(grouping.of(series)).tolist() == [30, 10, 9, 3]
    assert grouping.of(pl.Series(["b", "never seen", None, "c"])).tolist() == [2, 2, 3, 1]


def test_many_numbers_are_cut_into_quarters() -> None:
    grouping = Grouping.fit(FRAME["age"])
    assert grouping.targets()[:2] == ["age=Q1", "age=Q2"]
    counts = np.bincount(grouping.of(FRAME["age"]), minlength=5)
    assert counts[4] == 0
    assert counts[:4].min() > 500
    assert Grouping.fit(pl.Series("n", [10, 9] * 20)).names == ("9", "10", "others", "missing")


def test_a_group_column_that_is_not_there_is_one_clear_error() -> None:
    with pytest.raises(InputError) as wrong:
        judge(comparison(), "toun")
    assert wrong.value.code == "policy-mismatch"
    assert "town" in wrong.value.remedy


def test_an_error_rate_rests_on_the_people_of_its_class_alone() -> None:
    findings = judge(comparison(), "rare")
    for group in (0, 1):
        of_group = CONTROL.filter(pl.col("rare") == group)["works"]
        n = {
            rate: one(findings, f"fairness.{rate}", f"rare={group}").n for rate in ("fnr", "fpr", "selection")
        }
        assert n == {"fnr": of_group.sum(), "fpr": (1 - of_group).sum(), "selection": len(of_group)}
    # A gap is known no better than its smallest group.
    employed = [CONTROL.filter(pl.col("rare") == group)["works"].sum() for group in (0, 1)]
    assert one(findings, "fairness.fnr_gap", "rare").n == min(employed)


def test_a_target_of_numbers_is_measured_by_the_variance_explained() -> None:
    frame = FRAME.with_columns(pay=pl.col("age") * 30.0 + pl.col("works") * 200 + pl.int_range(pl.len()) % 97)
    given = compare(frame[:2000], control=frame[2000:], target="pay")
    found = learn(given, MODELS)
    explained = one(found, "learning.r2")
    assert explained.value == explained.before > 0.8
    assert explained.low < explained.value < explained.high
    assert explained.control > 0.8
    assert one(found, "learning.skill_ratio").value == pytest.approx(1.0)
    assert one(found, "learning.auc").status == "not-measured"
    assert {one(found, "learning.r2", model).status for model in ("random forest", "linear model")} == {
        "measured"
    }
    outcome = learned(given)
    said, truth = outcome.after[:, 0], outcome.truth
    assert explained.value == pytest.approx(1 - ((truth - said) ** 2).mean() / truth.var())
    shuffled = frame[:2000].with_columns(frame[:2000]["pay"].shuffle(seed=1))
    broken = learn(compare(frame[:2000], released=shuffled, control=frame[2000:], target="pay"))
    assert one(broken, "learning.skill_ratio").high < 0.2
    rates = [finding for finding in judge(given, "town") if "suppress" not in finding.metric]
    assert {finding.status for finding in rates} == {"not-measured"}


def test_a_generalized_target_of_numbers_counts_by_its_centers() -> None:
    frame = FRAME.with_columns(pay=(pl.col("age") * 30 + pl.col("works") * 100).cast(pl.Float64))
    levels = {f"p{i}": 600.0 + 100 * i for i in range(14)}

    def steps(f: pl.DataFrame) -> pl.DataFrame:
        return f.with_columns(
            pl.format("p{}", ((pl.col("pay") - 550) // 100).clip(0, 13).cast(pl.Int64)).alias("pay")
        )

    given = compare(frame[:2000], steps, control=frame[2000:], target="pay", centers={"pay": levels})
    assert one(learn(given), "learning.skill_ratio").value > 0.9
    lost = compare(frame[:2000], steps, control=frame[2000:], target="pay")
    assert {finding.status for finding in learn(lost)} == {"not-measured"}


def test_more_than_ten_classes_are_learned_and_rare_ones_are_one() -> None:
    names = pl.Series([f"k{i:02d}" for i in range(45)])
    frame = FRAME.with_columns(kind=names.gather(FRAME["age"] - 20))
    given = share_learners(compare(frame[:2000], control=frame[2000:], target="kind"))
    outcome = learned(given)
    assert len(outcome.classes) == learners.MOST_FREQUENT + 1
    assert outcome.truth.max() == learners.MOST_FREQUENT
    found = Learning().run(given, Learning.Params(resamples=100, models=(), floor=False))
    assert one(found, "learning.auc").value > 0.9


def test_other_models_and_what_a_resample_teaches() -> None:
    found = learn(comparison(), MODELS)
    for model in ("random forest", "linear model"):
        assert one(found, "learning.auc", model).value == one(found, "learning.auc", model).before > 0.7
        assert one(found, "learning.skill_ratio", model).value == pytest.approx(1.0)
    assert 0.9 < one(found, "learning.skill_ratio").control < 1.1
    gone = learn(comparison(released=ORIGINAL.with_columns(ORIGINAL["works"].shuffle(seed=1))), MODELS)
    # Three coefficients of noise may still rank people by chance, so the linear model is not asked.
    for target in ("release", "random forest"):
        assert one(gone, "learning.skill_ratio", target).high < 0.5
    assert one(gone, "learning.brier").low > one(found, "learning.brier").high
    assert one(gone, "learning.importance").value < 1.0
    alone = Learning().run(comparison(), Learning.Params(models=(), floor=False))
    assert {finding.target for finding in alone} == {"release"}
    assert one(alone, "learning.auc").control is None


def test_probabilities_that_promise_too_much() -> None:
    found = learn(comparison())
    assert one(found, "learning.calibration").value == one(found, "learning.calibration").before
    assert one(found, "learning.importance").value == pytest.approx(1.0)
    # Twice the positives: the model of the release says more than comes true.
    works = ORIGINAL["works"].to_numpy().copy()
    works[np.random.default_rng(1).random(2000) < 0.5] = 1
    more = learn(comparison(released=ORIGINAL.with_columns(works=works)))
    assert one(more, "learning.calibration").low > 2 * one(more, "learning.calibration").baseline
    brier = one(more, "learning.brier")
    outcome = learned(comparison(released=ORIGINAL.with_columns(works=works)))
    assert brier.value == pytest.approx(((outcome.after[:, 1] - outcome.truth) ** 2).mean())
    gap = judge(comparison(released=ORIGINAL.with_columns(works=works)), "rare")
    assert one(gap, "fairness.calibration", "rare=0").low > 0.1


def test_groups_that_are_alike_in_two_columns() -> None:
    found = judge(comparison(), "rare", "town")
    crossed = one(found, "fairness.selection", "rare & town=1 & a")
    inside = (CONTROL["rare"] == 1) & (CONTROL["town"] == "a")
    assert crossed.n == inside.sum()
    assert (
        one(found, "fairness.selection_gap", "rare & town").value
        >= one(found, "fairness.selection_gap", "town").value
    )
    assert not [f for f in judge(comparison(), "rare", "town", intersections=False) if "&" in f.target]
    # Whoever is suppressed in one crossing alone is seen there.
    kept = ~((ORIGINAL["rare"] == 1) & (ORIGINAL["town"] == "a")).to_numpy()
    lost = judge(comparison(kept=kept), "rare", "town")
    assert one(lost, "fairness.suppressed", "rare & town=1 & a").value == 1.0
    assert one(lost, "fairness.suppressed", "rare & town=1 & b").value == 0.0
    assert one(lost, "fairness.suppression_gap", "rare & town").low > 0.9


def test_no_name_of_a_crossing_stands_for_fewer_than_ten_people() -> None:
    frame = pl.DataFrame({"a": [0] * 30 + [1] * 30, "b": ["x"] * 25 + ["y"] * 5 + ["x"] * 30})
    parts = [Grouping.fit(frame[name]) for name in ("a", "b")]
    crossing = Crossing.fit(parts, frame)
    assert crossing.column == "a & b"
    assert crossing.names == ("0 & x", "1 & x", "others")
    assert np.bincount(crossing.members(frame)).tolist() == [25, 30, 5]
    assert crossing.members(pl.DataFrame({"a": [1], "b": ["z"]})).tolist() == [2]
    assert crossing.targets()[0] == "a & b=0 & x"
