"""The gate fails closed."""

from __future__ import annotations

from typing import Any

import pytest

from sfumato.core.values import Finding
from sfumato.gate import FLOOR, decide, loosened, thresholds
from sfumato.policy.load import policy_from
from sfumato.policy.model import Policy

BASE: dict[str, Any] = {
    "sfumato": 1,
    "dataset": {"name": "d", "source": {"path": "x.csv"}},
    "columns": {"a": {"role": "insensitive", "why": "w"}},
}


def policy(**more: Any) -> Policy:
    return policy_from(BASE | more)


def finding(
    metric: str, value: float | None, low: float | None = None, high: float | None = None, **more: Any
) -> Finding:
    low, high = (value if low is None else low), (value if high is None else high)
    fields = {"unit": "share", "goal": "low", "n": 1000, "source": "s"} | more
    return Finding(metric=metric, value=value, low=low, high=high, **fields)


WORST = finding("risk.worst_class", 0.2)


def test_the_floor_holds_without_a_gate_section() -> None:
    assert decide(policy(), [WORST]).passed
    assert not decide(policy(), [finding("risk.worst_class", 0.21)]).passed


def test_nothing_measured_passes_nothing() -> None:
    decision = decide(policy(), [])
    assert not decision.passed
    assert decision.reasons[0].words == "nothing measured it"


def test_plausibility_is_no_evidence() -> None:
    """A release of 5 % copies looks plausible: the distance to the closest record misses them."""
    held = policy(gate=[{"metric": "plausibility.closer_to_train", "at_most": 0.55}])
    decision = decide(held, [WORST, finding("plausibility.closer_to_train", 0.526)])
    assert not decision.passed
    assert "no evidence" in decision.reasons[-1].words


@pytest.mark.parametrize("status", ["not-measured", "no-power", "error"])
def test_a_finding_that_could_not_tell_passes_nothing(status: str) -> None:
    assert not decide(policy(), [finding("risk.worst_class", 0.0, status=status)]).passed


def test_the_unfavourable_end_counts_at_most() -> None:
    held = policy(gate=[{"metric": "linkage.excess", "at_most": 0.05}])
    assert decide(held, [WORST, finding("linkage.excess", 0.04, 0.03, 0.05)]).passed
    assert not decide(held, [WORST, finding("linkage.excess", 0.04, 0.03, 0.051)]).passed


def test_the_unfavourable_end_counts_at_least() -> None:
    held = policy(gate=[{"metric": "learning.skill_ratio", "at_least": 0.9}])
    assert decide(held, [WORST, finding("learning.skill_ratio", 0.95, 0.9, 1.0)]).passed
    assert not decide(held, [WORST, finding("learning.skill_ratio", 0.95, 0.89, 1.0)]).passed


def test_a_value_without_an_interval_passes_nothing() -> None:
    bare = WORST.model_copy(update={"high": None})
    assert not decide(policy(), [bare]).passed


def test_too_few_people_pass_nothing() -> None:
    held = policy(gate=[{"metric": "m", "at_most": 1, "least_n": 500}])
    assert not decide(held, [WORST, finding("m", 0.0, n=499)]).passed
    assert decide(held, [WORST, finding("m", 0.0, n=500)]).passed


def test_two_figures_for_one_threshold_pass_nothing() -> None:
    assert not decide(policy(), [WORST, finding("risk.worst_class", 0.1)]).passed


def test_a_threshold_may_ask_for_one_group() -> None:
    held = policy(gate=[{"metric": "m", "at_most": 0.5, "target": "white=0"}])
    assert not decide(held, [WORST, finding("m", 0.1)]).passed
    assert decide(held, [WORST, finding("m", 0.1, target="white=0")]).passed


def test_a_policy_may_tighten_the_floor() -> None:
    tight = policy(gate=[{"metric": "risk.worst_class", "at_most": 0.1}])
    assert not decide(tight, [WORST]).passed
    assert loosened(tight, FLOOR[0]) is None
    assert len(thresholds(tight)) == 1


def test_a_looser_floor_needs_a_name() -> None:
    loose = {"gate": [{"metric": "risk.worst_class", "at_most": 0.5, "least_n": 1}]}
    unique = [finding("risk.worst_class", 0.5)]
    assert loosened(policy(**loose), FLOOR[0]) is not None
    assert not decide(policy(**loose), unique).passed
    named = policy(**loose, approvals=[{"by": "N. N.", "what": "gate risk.worst_class", "why": "pilot"}])
    assert decide(named, unique).passed
    wrong = policy(**loose, approvals=[{"by": "N. N.", "what": "gate risk.unique", "why": "pilot"}])
    assert not decide(wrong, unique).passed


def test_asking_the_opposite_does_not_replace_the_floor() -> None:
    turned = policy(gate=[{"metric": "risk.worst_class", "at_least": 0.0}])
    assert not decide(turned, [finding("risk.worst_class", 1.0)]).passed
