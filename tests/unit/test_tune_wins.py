"""Which confirmed policy may win, and when columns may be left out."""

from __future__ import annotations

import pytest

from sfumato.tuning.aims import Aim, Aims, Limit
from sfumato.tuning.asked import Vary
from sfumato.tuning.confirm import Confirmed, Gain, Word
from sfumato.tuning.verb import _wins

RISK = Aim(metric="linkage.success", goal="low", unit="share", side="risk")
SKILL = Aim(metric="learning.skill_ratio", goal="high", unit="ratio", side="use")
ERROR = Aim(metric="correlations.error", goal="low", unit="correlation", side="use")


def gain(aim: Aim, value: float, word: Word = "no difference told") -> Gain:
    return Gain(
        aim=aim.name, searched=0.1, value=value, low=value - 1, high=value + 1, word=word, held_up="lost",
    )  # fmt: skip


@pytest.mark.parametrize(("use", "wins"), [(0.01, True), (0.0, True), (-0.01, False)])
def test_a_policy_of_less_use_than_the_given_one_does_not_win(use: float, wins: bool) -> None:
    found = Confirmed(trial=1, gains=(gain(RISK, -0.1), gain(SKILL, use)))
    assert _wins(Aims(aims=(RISK, SKILL), limits=()), found) is wins
    limit = Limit(metric="linkage.success", at_most=0.1)
    assert _wins(Aims(aims=(RISK, SKILL), limits=(limit,)), found)
    assert not _wins(Aims(aims=(RISK, SKILL), limits=(limit,)), found.model_copy(update={"broken": ("it",)}))


def test_less_of_one_use_within_noise_is_made_up_by_more_of_another_beyond_it() -> None:
    wanted = Aims(aims=(RISK, SKILL, ERROR), limits=())

    def wins(risk: Word, skill: Word, error: Word) -> bool:
        gains = (gain(RISK, 0.1, risk), gain(SKILL, -0.01, skill), gain(ERROR, 0.02, error))
        return _wins(wanted, Confirmed(trial=1, gains=gains))

    same: Word = "no difference told"
    assert wins("better", same, "better")
    assert not wins("better", same, same)
    assert not wins("better", "worse", "better")
    assert not wins("worse", same, "better")


def test_columns_are_left_out_only_where_it_is_seen_what_that_costs() -> None:
    assert Aims(aims=(RISK, SKILL), limits=()).counts_dropped
    assert not Aims(aims=(RISK, ERROR), limits=()).counts_dropped
    assert not Aims(aims=(RISK, SKILL, ERROR), limits=()).counts_dropped
    assert Vary().keeping_columns().drop == ()
    assert Vary(drop=("age",)).keeping_columns().drop == ("age",)
