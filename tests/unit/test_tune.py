"""The parts of the search: what is wanted, what may differ, who dominates whom, what is kept."""

from __future__ import annotations

from pathlib import Path

import pytest
from ruamel.yaml import YAML

from sfumato.core.errors import InputError
from sfumato.core.values import Finding
from sfumato.policy.load import LoadedPolicy, load_policy, policy_from
from sfumato.tuning.aims import Aim, Aims, Limit, aims_of, limit_from
from sfumato.tuning.asked import Asked, Vary, asked_from, load_asked
from sfumato.tuning.budget import budget_of, seconds
from sfumato.tuning.choices import choices, chosen, differences
from sfumato.tuning.confirm import _half, _held_up, pooled
from sfumato.tuning.frontier import (
    dominates,
    frontier,
    is_better,
    is_plain,
    nearest_miss,
    noise,
    obstacles,
    ranked,
)
from sfumato.tuning.proposals import starts
from sfumato.tuning.study import Header, Study, Trial
from sfumato.tuning.written import plain, policy_text

RISK = Aim(metric="linkage.success", goal="low", unit="share", side="risk")
USE = Aim(metric="learning.skill_ratio", goal="high", unit="ratio", side="use")

POLICY = {
    "sfumato": 1,
    "dataset": {"name": "people", "source": {"path": "people.csv"}, "target": "work"},
    "columns": {
        "age": {
            "role": "quasi-identifier",
            "hierarchy": {"kind": "intervals", "widths": [5, 10], "from": 0, "to": 100},
            "why": "registers have it",
        },
        "town": {"role": "quasi-identifier", "why": "neighbours know it"},
        "wage": {"role": "insensitive", "action": {"do": "round", "to": 10}, "why": "use"},
        "ill": {"role": "insensitive", "sensitive": True, "why": "the question"},
        "work": {"role": "insensitive", "sensitive": True, "why": "the target"},
    },
    "anonymity": {
        "models": [{"model": "k-anonymity", "k": 5}, {"model": "l-diversity", "on": "ill", "l": 2}],
        "suppression": 0.04,
        "weights": {"age": 2},
    },
    "evidence": {"attacks": ["linkage"], "utility": ["learning", "correlations"]},
    "gate": [{"metric": "linkage.excess", "at_most": 0.05}],
}


def loaded(**changes) -> LoadedPolicy:
    return LoadedPolicy(policy_from({**POLICY, **changes}), Path("policy.yaml"), {})


def finding(aim: Aim, value: float | None, half: float = 0.0, n: int = 500, **more) -> Finding:
    status = "measured" if value is not None else "no-power"
    low, high = (None, None) if value is None else (value - half, value + half)
    return Finding(
        **{
            "metric": aim.metric, "value": value, "low": low, "high": high, "unit": aim.unit,
            "goal": aim.goal, "n": n, "status": status, "source": "x", **more,
        }
    )  # fmt: skip


def trial(number: int, risk: float | None, use: float | None, half: float = 0.0, **more) -> Trial:
    figures = (finding(RISK, risk, half), finding(USE, use, half))
    return Trial(**{"number": number, "params": {}, "status": "measured", "figures": figures, **more})


def aims(*limits: Limit) -> Aims:
    return Aims(aims=(RISK, USE), limits=limits)


# What is wanted.


def test_without_a_word_a_risk_and_a_use_of_the_policys_evidence_and_its_gate() -> None:
    found = aims_of(loaded().policy)
    assert [aim.name for aim in found.aims] == [
        "linkage.success",
        "learning.skill_ratio",
        "correlations.error",
    ]
    assert [str(limit) for limit in found.limits] == [
        "risk.worst_class at most 0.2",
        "linkage.excess at most 0.05",
    ]
    assert not found.asked
    assert set(found.probes(loaded().policy)) == {"uniqueness", "linkage", "learning", "correlations"}


def test_an_aim_says_which_way_is_good_and_stands_in_for_the_default_of_its_side() -> None:
    found = aims_of(loaded().policy, minimize=["correlations.error", "risk.marketer"])
    assert [(aim.metric, aim.side) for aim in found.aims] == [
        ("risk.marketer", "risk"),
        ("correlations.error", "use"),
    ]


@pytest.mark.parametrize(
    ("minimize", "limits", "code", "words"),
    [
        (["linkage.sucess"], [], "unknown-name", "linkage.success"),
        (["membership.auc"], [], "unknown-name", "membership.auc"),
        (["learning.auc"], [], "usage", "maximize"),
        ([], ["linkage.excess=-0.1"], "usage", None),
        ([], ["learning.auc=0.5"], "usage", "contrary"),
        ([], ["linkage.success=-1"], "usage", "between 0 and 1"),
        ([], ["linkage.excess=.1", "linkage.excess=.2"], "usage", "two limits"),
        ([], ["nothing.such=.1"], "unknown-name", "nothing.such"),
    ],
)
def test_what_cannot_be_meant_is_refused(minimize, limits, code, words) -> None:
    asked = [limit_from(one, "at_most") for one in limits]
    if words is None:
        assert aims_of(loaded().policy, minimize, (), asked).asked
        return
    with pytest.raises(InputError) as error:
        aims_of(loaded().policy, minimize, (), asked)
    assert error.value.code == code
    assert words in str(error.value)


def test_without_evidence_there_is_nothing_to_choose_by() -> None:
    with pytest.raises(InputError, match="no evidence section"):
        aims_of(loaded(evidence=None).policy)


@pytest.mark.parametrize(
    ("written", "metric", "target", "bound", "of_original"),
    [
        ("linkage.excess=0.05", "linkage.excess", "release", 0.05, False),
        ("fairness.auc@white=0=.7", "fairness.auc", "white=0", 0.7, False),
        (" learning.auc = 97% ", "learning.auc", "release", 0.97, True),
    ],
)
def test_limits_are_read(written, metric, target, bound, of_original) -> None:
    found = limit_from(written, "at_least")
    assert (found.metric, found.target, found.at_least, found.of_original) == (
        metric,
        target,
        bound,
        of_original,
    )


@pytest.mark.parametrize("written", ["", "k", "a.b", "a.b=", "a.b=x", "a.b=nan", "=1", "a.b=1 2"])
def test_what_is_no_limit_is_refused(written) -> None:
    with pytest.raises(InputError, match="a limit is a figure and a number"):
        limit_from(written, "at_most")


def test_a_limit_is_held_by_the_unfavourable_end_and_by_nothing_that_is_not_there() -> None:
    limit = Limit(metric=RISK.metric, at_most=0.1, least_n=100)
    assert limit.judge(finding(RISK, 0.05, 0.05)).holds
    broken = limit.judge(finding(RISK, 0.05, 0.06))
    assert not broken.holds
    assert broken.short == pytest.approx(0.01)
    assert not limit.judge(None).holds
    assert not limit.judge(finding(RISK, None)).holds
    assert not limit.judge(finding(RISK, 0.01, n=99)).holds
    assert limit.judge(finding(RISK, 0.01, n=50), people=0.5).holds


def test_hopeless_is_what_even_its_favourable_end_puts_far_beyond() -> None:
    most, least = Limit(metric="a.b", at_most=0.1), Limit(metric="a.b", at_least=0.8)
    assert most.is_hopeless(finding(RISK, 0.3, 0.05))
    assert not most.is_hopeless(finding(RISK, 0.3, 0.15))
    assert least.is_hopeless(finding(USE, 0.3, 0.05))
    assert not least.is_hopeless(finding(USE, 0.5))
    assert not most.is_hopeless(None)
    assert not most.is_hopeless(finding(RISK, None))


def test_figures_of_people_held_out_are_judged_as_all_people_would_make_them() -> None:
    limit = Limit(metric=USE.metric, at_least=0.7)
    noisy = finding(USE, 0.85, 0.2)
    assert not limit.judge(noisy, people=0.5).holds
    assert limit.judge(noisy.model_copy(update={"source": "learning"}), people=0.5).holds
    assert not limit.judge(noisy.model_copy(update={"source": "learning"})).holds


def test_a_share_of_the_originals_figure() -> None:
    limit = Limit(metric=USE.metric, at_least=0.97, of_original=True)
    assert limit.judge(finding(USE, 0.78, before=0.8)).holds
    assert not limit.judge(finding(USE, 0.77, before=0.8)).holds
    assert not limit.judge(finding(USE, 0.78)).holds


@pytest.mark.parametrize(("text", "length"), [("30s", 30), ("10m", 600), ("1.5h", 5400), (" 2 m ", 120)])
def test_a_budget_of_time(text, length) -> None:
    assert seconds(text) == length


@pytest.mark.parametrize("text", ["", "10", "m", "10x", "-5m", "0s", "1e3s", "9999h", "ten minutes"])
def test_what_is_no_budget(text) -> None:
    with pytest.raises(InputError, match="a budget is a time"):
        seconds(text)


def test_a_budget_is_of_time_or_of_trials() -> None:
    assert budget_of(None, None).trials == 40
    assert budget_of("10s", None).seconds == 10
    for given in (("10s", 4), (None, 0), (None, -3)):
        with pytest.raises(InputError):
            budget_of(*given)


@pytest.mark.parametrize(
    "data",
    [
        [],
        {"subject_to": [{"metric": "a.b"}]},
        {"vari": {}},
        {"vary": {"k": [1]}},
        {"vary": {"k": "five"}},
        {"confirm": {"share": 0.95}},
        "x",
    ],
)
def test_a_space_that_is_none_is_refused(data) -> None:
    with pytest.raises(InputError) as error:
        asked_from(data, "space.yaml")
    assert error.value.code == "usage"


def test_a_space_file_and_the_command_line_together(tmp_path: Path) -> None:
    path = tmp_path / "space.yaml"
    path.write_text("minimize: [risk.marketer]\nsubject_to: [{metric: learning.auc, at_least: 97%}]\n")
    asked = load_asked(path).aiming((), ("learning.auc",), ("linkage.excess=.1",), ())
    assert asked.minimize == ("risk.marketer",)
    assert asked.maximize == ("learning.auc",)
    assert [str(limit) for one in asked.subject_to for limit in (one.limit(),)] == [
        "learning.auc at least 97 % of the original's",
        "linkage.excess at most 0.1",
    ]
    path.write_text("a: [")
    with pytest.raises(InputError, match="not valid YAML"):
        load_asked(path)
    with pytest.raises(InputError, match="cannot be read"):
        load_asked(tmp_path / "none.yaml")


# What may differ.


def test_by_default_a_policy_is_only_made_stricter_and_what_is_needed_stays() -> None:
    every = {choice.name: choice for choice in choices(loaded(), Vary())}
    assert every["models.0.k"].values[0] == 5
    assert every["models.1.l"].values == (2, 3, 4)
    assert max(every["suppression"].values) == 0.04
    assert every["weights"].values == ("own", "none", "target")
    assert every["round.wage"].values == (10, 20, 50)
    assert {name for name in every if name.startswith("drop.")} == {"drop.age", "drop.town"}
    assert set(every["method"].values) == {"lattice", "partition", "cells", "microaggregation"}


def test_what_is_named_has_its_values_and_one_value_leaves_it_as_it_is() -> None:
    vary = Vary(k=(20, 10), method=(), drop=(), levels={"age": (0, 1, 9)}, measure=(), weights=(), round={})
    every = {choice.name: choice for choice in choices(loaded(), vary)}
    assert set(every) == {"models.0.k", "models.1.l", "suppression", "level.age"}
    assert every["models.0.k"].values == (5, 10, 20)
    assert every["level.age"].values == (None, 0, 1)


def test_names_that_are_none_and_a_policy_that_cannot_differ_are_refused() -> None:
    for vary in (
        Vary(method=("latice",)),
        Vary(drop=("agee",)),
        Vary(weights=("goal",)),
        Vary(measure=("x",)),
    ):
        with pytest.raises(InputError, match="is none of them"):
            choices(loaded(), vary)
    nothing = Vary(
        k=(), l=(), method=(), suppression=(), measure=(), weights=(), drop=(), round={}, levels={}
    )
    with pytest.raises(InputError, match="nothing to search"):
        choices(loaded(), nothing)


def test_every_start_is_a_policy_that_loads() -> None:
    every = choices(loaded(), Vary())
    for params in starts(every):
        policy = policy_from(chosen(plain(POLICY), every, params))
        assert policy.anonymity is not None
    assert starts(every)[0] == {choice.name: choice.start for choice in every if choice.applies("lattice")}


def test_what_was_chosen_is_changed_and_nothing_else() -> None:
    every = choices(loaded(), Vary(levels={"age": (1,)}))
    params = {"method": "partition", "models.0.k": 15, "drop.town": True, "round.wage": 50, "level.age": 1}
    found = chosen(plain(POLICY), every, params)
    assert found["anonymity"] == {
        "models": [{"model": "k-anonymity", "k": 15}, POLICY["anonymity"]["models"][1]],
        "suppression": 0.04,
        "method": "partition",
    }
    assert found["columns"]["town"]["action"] == {"do": "drop"}
    assert found["columns"]["town"]["why"].startswith("neighbours know it")
    assert found["columns"]["wage"]["action"]["to"] == 50
    assert found["columns"]["age"]["action"] == {"do": "generalize", "level": 1}
    assert found["columns"]["ill"] == POLICY["columns"]["ill"]
    assert differences(every, params) == (
        "method partition (was lattice)",
        "k 15 (was 5)",
        "level of age 1 (was chosen by the search)",
        "without town",
        "wage rounded to 50 (was 10)",
    )
    assert chosen(plain(POLICY), every, {}) == POLICY


def test_a_written_policy_keeps_comments_and_reasons_and_leads_to_the_same_files(tmp_path: Path) -> None:
    text = (
        "# Of the survey.\nsfumato: 1\ndataset: {name: p, source: {path: people.csv}}\ncolumns:\n"
        "  # Known to all.\n"
        "  age: {role: quasi-identifier, hierarchy: {kind: file, path: age.csv}, why: a register}\n"
        "  town: {role: quasi-identifier, why: seen}\n"
        "anonymity: {models: [{model: k-anonymity, k: 5}]}  # the promise\n"
    )
    (tmp_path / "policy.yaml").write_text(text)
    (tmp_path / "age.csv").write_text("1;*\n")
    given = load_policy(tmp_path / "policy.yaml")
    every = choices(given, Vary())
    out = tmp_path / "deep" / "out"
    tree = YAML(typ="rt", pure=True).load(text)
    written = policy_text(tree, every, {"models.0.k": 10}, base=tmp_path, folder=out, head="Found.\nRun it.")
    for words in (
        "# Found.\n# Run it.\n",
        "# Of the survey.",
        "# Known to all.",
        "why: a register",
        "# the promise",
        "k: 10",
    ):
        assert words in written.decode()
    assert "path: ../../people.csv" in written.decode()
    others = policy_text(tree, every, {}, base=tmp_path, folder=out, head="", source="others.csv").decode()
    assert "path: ../../others.csv" in others
    assert "people.csv" not in others
    out.mkdir(parents=True)
    (out / "policy-1.yaml").write_bytes(written)
    assert (
        load_policy(out / "policy-1.yaml").policy.columns["age"].hierarchy.params["path"] == "../../age.csv"
    )


# Who dominates whom.


def test_only_a_difference_beyond_noise_dominates() -> None:
    assert dominates((RISK, USE), trial(0, 0.1, 0.9), trial(1, 0.1, 0.8))
    assert not dominates((RISK, USE), trial(0, 0.1, 0.9), trial(1, 0.1, 0.9))
    assert not dominates((RISK, USE), trial(0, 0.1, 0.9), trial(1, 0.05, 0.8))
    assert not dominates((RISK, USE), trial(0, 0.1, 0.9, 0.05), trial(1, 0.12, 0.88, 0.05))
    assert dominates((RISK, USE), trial(0, 0.1, 0.9, 0.05), trial(1, 0.2, 0.9, 0.05))
    assert not dominates((RISK, USE), trial(0, 0.1, None), trial(1, 0.2, 0.9))


def test_the_noise_of_a_difference_is_that_of_both_ends_that_count() -> None:
    one, other = finding(RISK, 0.1, 0.03), finding(RISK, 0.2, 0.04)
    assert noise(RISK, one, other) == pytest.approx(0.05)
    assert is_better(RISK, one, other)
    assert not is_better(RISK, other, one)
    assert not is_better(RISK, one, finding(RISK, 0.149, 0.04))


def test_the_frontier_has_who_holds_and_is_not_dominated_each_once() -> None:
    tried = [
        trial(0, 0.20, 0.80),
        trial(1, 0.10, 0.90),
        trial(2, 0.05, 0.70),
        trial(3, 0.10, 0.90, like=1),
        trial(4, 0.01, 0.99, status="hopeless"),
        trial(5, 0.30, 0.99),
    ]
    limit = Limit(metric=RISK.metric, at_most=0.25)
    assert [one.number for one in frontier(aims(limit), tried, 1.0)] == [2, 1]
    assert is_plain(aims(), tried[1], tried[:3])
    assert not is_plain(aims(), tried[0], tried[:3])


def test_the_best_gains_on_every_axis_or_is_the_most_useful_that_holds() -> None:
    own, balanced, useful = trial(0, 0.20, 0.80), trial(1, 0.10, 0.90), trial(2, 0.19, 0.99)
    assert ranked(aims(), [own, balanced, useful], own)[0] is balanced
    asked = aims(Limit(metric=RISK.metric, at_most=0.2))
    assert ranked(asked, [own, balanced, useful], own)[0] is useful
    assert ranked(aims(), [own, trial(1, 0.1, 0.7), trial(2, 0.3, 0.9)], own)[0] is own


def test_why_no_better_one_names_the_nearest_behind_each_limit() -> None:
    limit = Limit(metric=RISK.metric, at_most=0.15)
    tried = [trial(0, 0.10, 0.80), trial(1, 0.30, 0.99), trial(2, 0.16, 0.90), trial(3, 0.9, 0.1)]
    (found,) = obstacles(aims(limit), tried, tried[0], 1.0)
    assert (found.trial, found.use) == (2, 0.90)
    assert found.short == pytest.approx(0.01)
    assert obstacles(aims(limit), tried[:1], tried[0], 1.0) == []
    assert nearest_miss(aims(limit), tried[1:], 1.0) is tried[2]
    assert nearest_miss(aims(limit), [trial(0, 1, 1, status="impossible")], 1.0) is None


# What is kept, and what is measured again.


def header(policy: str = "p") -> Header:
    return Header.of(policy, "s", {"k": [5]}, "1")


def test_a_study_goes_on_after_half_a_line(tmp_path: Path) -> None:
    path = tmp_path / "tune" / "people.jsonl"
    study = Study.open(path, header(), resume=False)
    study.add(trial(0, 0.1, 0.9))
    study.add(trial(1, 0.2, 0.8))
    with path.open("ab") as file:
        file.write(b'{"number":2,"par')
    again = Study.open(path, header(), resume=True)
    assert [one.number for one in again.kept] == [0, 1]
    again.add(trial(2, 0.3, 0.7))
    assert [one.number for one in Study.open(path, header(), resume=True).kept] == [0, 1, 2]
    assert Study.open(path, header(), resume=False).kept == ()
    assert path.stat().st_mode & 0o77 == 0


def test_a_study_of_something_else_is_not_resumed(tmp_path: Path) -> None:
    path = tmp_path / "people.jsonl"
    with pytest.raises(InputError, match="no search to resume"):
        Study.open(path, header(), resume=True)
    Study.open(path, header(), resume=False)
    with pytest.raises(InputError, match="the policy has changed"):
        Study.open(path, header("q"), resume=True)
    path.write_bytes(b"nothing\n")
    with pytest.raises(InputError, match="damaged"):
        Study.open(path, header(), resume=True)


def test_figures_of_splits_are_pooled_and_one_that_is_silent_silences_all() -> None:
    found = pooled([[finding(USE, 0.8, 0.1)], [finding(USE, 0.9, 0.2)]], USE.metric, "release")
    assert (found.value, found.low) == (pytest.approx(0.85), pytest.approx(0.7))
    assert pooled([[finding(USE, 0.8)], [finding(USE, None)]], USE.metric, "release").status == "no-power"
    assert pooled([[finding(USE, 0.8)], []], USE.metric, "release").status == "not-measured"


def test_the_interval_of_gains_counts_what_the_splits_share() -> None:
    gains = [0.1, 0.2, 0.3, 0.2, 0.2]
    # Student's t on 4 degrees times sqrt(variance x (1/5 + tested / taught)).
    assert _half(gains, 200, 800) == pytest.approx(2.7764 * (0.005 * (0.2 + 0.25)) ** 0.5, rel=1e-3)
    assert _half([0.1] * 5, 200, 800) == 0.0
    assert _half(gains, 200, 800) > _half(gains, 100, 900)


def test_a_gain_that_shrank_or_was_lost_is_told() -> None:
    words = [_held_up(0.1, value) for value in (0.09, 0.04, -0.01)]
    assert words == ["confirmed", "shrunk", "lost"]
    assert _held_up(-0.1, 0.2) == "no gain"
    assert _held_up(None, 0.2) == "not measured"


def test_what_is_asked_has_defaults_for_everything() -> None:
    assert Asked() == asked_from({}, "space")


def test_of_a_time_half_is_the_searchs_and_the_confirmation_makes_do_with_the_rest() -> None:
    budget = budget_of("100s", None)
    assert budget.allows(3, 1.0, 1000, free=False)
    assert not budget.allows(3, 60.0, 1000, free=False)
    assert budget.allows(0, 60.0, 1000, free=False)
    assert budget.allows(3, 60.0, 1000, free=True)
    assert 9 < budget.affords(10.0) <= 10
    whole = Asked().confirm
    assert whole.within(1000) == whole
    assert whole.within(whole.measurements - 1).whole == 2
    least = whole.within(0)
    assert (least.splits, least.policies, least.again, least.whole) == (1, 1, 1, 0)
