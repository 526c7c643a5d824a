"""Attacks that found much and that no threshold was about are named beside the decision."""

from __future__ import annotations

import pytest

from sfumato.core.values import Decision, Finding, Reason
from sfumato.release.unjudged import MUCH, unjudged


def found(metric: str = "singling_out.excess", low: float | None = 0.6, **more: object) -> Finding:
    told = {"value": 0.7, "low": low, "unit": "difference", "goal": "low", "n": 500, "source": "singling-out"}
    return Finding(metric=metric, **{**told, **more})  # type: ignore[arg-type]


def decision(*metrics: str) -> Decision:
    return Decision(
        passed=True,
        reasons=tuple(
            Reason(metric=metric, target="release", threshold="at most 1", passed=True, words="")
            for metric in metrics
        ),
    )


def test_what_nobody_asked_about_is_named_the_most_first() -> None:
    findings = [found(value=0.65), found("linkage.excess", value=0.9)]
    names = [one.metric for one in unjudged(findings, decision("risk.worst_class"))]
    assert names == ["linkage.excess", "singling_out.excess"]


@pytest.mark.parametrize("asked", ["singling_out.excess", "singling_out.risk"])
def test_a_threshold_on_any_figure_of_the_attack_asks_about_it(asked: str) -> None:
    assert unjudged([found()], decision(asked)) == []


@pytest.mark.parametrize(
    "more",
    [
        {"low": MUCH},
        {"low": None, "value": MUCH},
        {"target": "sex: f"},
        {"status": "no-power", "value": None, "low": None},
        {"value": None, "low": None},
        {"metric": "learning.excess", "goal": "high"},
        {"metric": "singling_out.risk", "unit": "share"},
    ],
)
def test_little_parts_and_what_was_not_measured_are_not(more: dict[str, object]) -> None:
    assert unjudged([found(**more)], decision()) == []  # type: ignore[arg-type]
