"""What is proposed, by which figures a policy is chosen, and how it stands to the given one in all others."""

from __future__ import annotations

import numpy as np
import pytest
from test_tune import POLICY, RISK, USE, aims, finding, loaded, trial

from sfumato.core.values import Plan
from sfumato.policy.load import policy_from
from sfumato.tuning.aims import Aim, Aims
from sfumato.tuning.asked import Vary
from sfumato.tuning.choices import choices, chosen, differences
from sfumato.tuning.confirm import Confirmed, Gain, elsewhere
from sfumato.tuning.frontier import choosing, ranked, signal
from sfumato.tuning.measuring import Figures
from sfumato.tuning.outcome import Kept, Tuned
from sfumato.tuning.proposals import _coded, neighbour, starts
from sfumato.tuning.written import plain

ERROR = Aim(metric="correlations.error", goal="low", unit="correlation", side="use")


NOT_TOLD = "no difference told"

# What is proposed.


def test_other_methods_start_with_classes_as_large_as_the_policys() -> None:
    every = choices(loaded(), Vary(k=(10, 20, 40, 80)))
    first = {params["method"]: params["models.0.k"] for params in reversed(starts(every, people=24.0))}
    # 24 people on average are what classes of at least 20 have; the policy's own method begins with its k.
    assert first == {"lattice": 5, "partition": 20, "cells": 20, "microaggregation": 20}
    beyond = [params["models.0.k"] for params in starts(every, people=1e6) if params["method"] == "cells"]
    assert max(beyond) == beyond[0] == 80


def test_starts_have_free_labels_for_a_partition_alone() -> None:
    every = choices(loaded(), Vary())
    told = [params.get("labels") for params in starts(every) if params["method"] == "partition"]
    assert {None, "free"} == set(told)
    assert all("labels" not in params for params in starts(every) if params["method"] != "partition")


def test_levels_are_varied_near_the_frontier_and_the_sampler_does_not_draw_them() -> None:
    every = choices(loaded(), Vary())
    near = {choice.name: choice.values for choice in every if choice.near}
    assert near == {"level.age": (None, 0, 1, 2, 3), "level.town": (None, 0, 1)}
    params = dict(starts(every)[0]) | {"level.age": 2}
    assert not set(_coded(every, params)) & set(near)
    assert not [one for one in choices(loaded(), Vary(levels={})) if one.name.startswith("level.")]


def test_a_level_that_the_policy_fixes_becomes_no_finer_and_a_column_left_out_has_none() -> None:
    columns = {**POLICY["columns"]}  # type: ignore[dict-item]
    columns["age"] = {**columns["age"], "action": {"do": "generalize", "level": 2}}
    every = choices(loaded(columns=columns), Vary(drop=("age",)))
    assert next(one.values for one in every if one.name == "level.age") == (2, 3)
    found = chosen(plain({**POLICY, "columns": columns}), every, {"drop.age": True, "level.age": 3})
    assert found["columns"]["age"]["action"] == {"do": "drop"}


def test_a_neighbour_differs_in_one_choice_and_loads() -> None:
    every = choices(loaded(), Vary())
    draw = np.random.default_rng(5)
    own = dict(starts(every)[0])
    for _ in range(200):
        found = dict(neighbour(every, own, draw))
        differs = [name for name in {*found, *own} if found.get(name) != own.get(name)]
        if found["method"] == own["method"]:
            assert len(differs) == 1
            assert differs != ["models.0.k"] or found["models.0.k"] == 8
        assert policy_from(chosen(plain(POLICY), every, found)).anonymity is not None


def test_free_labels_are_written_for_a_partition_and_told() -> None:
    every = choices(loaded(), Vary())
    params = {"method": "partition", "models.0.k": 5, "labels": "free"}
    assert chosen(plain(POLICY), every, params)["anonymity"]["labels"] == "free"
    assert "free labels" in differences(every, params)


def test_what_no_method_that_is_tried_looks_at_is_no_choice() -> None:
    names = {one.name for one in choices(loaded(), Vary(method=()))}
    assert "labels" not in names
    assert "measure" in names
    cells = {**POLICY["anonymity"], "method": "cells"}  # type: ignore[dict-item]
    names = {one.name for one in choices(loaded(anonymity=cells), Vary(method=()))}
    assert not names & {"labels", "measure", "suppression", "level.age"}
    assert "weights" in names


# By which figures a policy is chosen.


def noisy(number: int, risk: float, use: float):
    figures = (finding(RISK, risk, 0.001), finding(USE, use, 0.2))
    return trial(number, None, None).model_copy(update={"figures": figures})


def test_a_figure_that_is_mostly_noise_does_not_choose() -> None:
    tried = [noisy(0, 0.10, 0.90), noisy(1, 0.05, 0.88), noisy(2, 0.099, 1.02)]
    assert signal(RISK, tried) > 0.99
    assert signal(USE, tried) == 0.0
    assert choosing(aims(), tried) == (RISK,)
    # By both the luckiest in the noisy figure would be first.
    assert ranked(aims(), tried, tried[0])[0].number == 2
    assert ranked(aims(), tried, tried[0], choosing(aims(), tried))[0].number == 1


def test_where_nothing_can_be_told_apart_all_aims_choose() -> None:
    same = [noisy(number, 0.1, 0.9) for number in range(3)]
    assert choosing(aims(), same) == (RISK, USE)
    assert signal(RISK, []) == 0.0


# How it stands to the given one.


def tuned(*words: str) -> Tuned:
    wanted = Aims(aims=(RISK, USE, ERROR), limits=())
    gains = tuple(
        Gain(
            aim=aim.name, searched=0.1, value=0.1, low=0.0, high=0.2,
            word=word, held_up="confirmed",  # type: ignore[arg-type]
        )
        for aim, word in zip(wanted.aims, words, strict=True)
    )  # fmt: skip
    best = Kept(trial=1, differs=("k 9",), plain=True, confirmed=Confirmed(trial=1, gains=gains))
    return Tuned(
        dataset="p", aims=wanted, people=(1, 1), splits=1, trials=(), differs=(), frontier=(best,),
        best=1, own=None,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("better", NOT_TOLD, "better"), "less risk and more use"),
        (("better", NOT_TOLD, NOT_TOLD), "less risk and no difference in use that can be told"),
        ((NOT_TOLD, "worse", "worse"), "no difference in risk that can be told and less use"),
        (("worse", "worse", "better"), "more risk and more of one use, less of another"),
    ],
)
def test_the_verdict_says_no_more_than_is_beyond_noise(words: tuple[str, ...], told: str) -> None:
    assert tuned(*words).standing == told


def figures(*splits: float) -> list[Figures]:
    plan = Plan(dataset="p", policy_digest="", inventory_digest="", rows=100, holdout_rows=20, steps=())
    silent = finding(RISK, None, metric="linkage.excess")
    return [Figures((finding(ERROR, one), finding(RISK, one / 2), silent), plan, "") for one in splits]


def test_everything_else_is_told_with_its_interval_whether_it_is_better_or_worse() -> None:
    (error,) = elsewhere(aims(), figures(0.11, 0.12), figures(0.01, 0.02))
    # The aims are told elsewhere, and a figure that is not there tells nothing.
    assert (error.metric, error.side, error.word) == ("correlations.error", "use", "worse")
    assert (error.given, error.value) == (pytest.approx(0.015), pytest.approx(0.115))
    assert error.gain == pytest.approx(-0.1)
    (same,) = elsewhere(aims(), figures(0.11, 0.01), figures(0.01, 0.11))
    assert same.word == "no difference told"
