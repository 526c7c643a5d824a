"""The review of parameters: what a reader should ask of an epsilon, and what it finds."""

from __future__ import annotations

import pytest
from dp_accounting import dp_event as dp

from sfumato.dp.budget import Budget
from sfumato.dp.review import DEPLOYMENTS, Remark, review


def remarks(budget: Budget, **words: object) -> dict[str, Remark]:
    found = review(budget.statement(), **words)  # type: ignore[arg-type]
    assert len({each.question for each in found}) == len(found)
    for each in found:
        for word in ("anonymous", "safe", "compliant"):
            assert word not in each.finding
    return {each.question: each for each in found}


@pytest.mark.parametrize(
    ("epsilon", "level"), [(0.5, "fine"), (1.0, "fine"), (3.0, "note"), (19.0, "warning")]
)
def test_epsilon_beside_published_ones(epsilon: float, level: str) -> None:
    found = remarks(Budget(epsilon, 1e-6))["Is epsilon what is usual?"]
    assert found.level == level
    assert "published for comparison" in found.finding


def test_certainty_in_words() -> None:
    found = remarks(Budget(1.0, 1e-6))["Is epsilon what is usual?"].finding
    assert "up to 73 % certain" in found


@pytest.mark.parametrize(
    ("delta", "people", "level"),
    [(1e-6, 10_000, "fine"), (1e-5, 50_000, "note"), (1e-5, 200_000, "warning"), (1e-6, None, "note")],
)
def test_delta_beside_one_over_the_people(delta: float, people: int | None, level: str) -> None:
    assert remarks(Budget(1.0, delta), people=people)["Is delta small enough?"].level == level


def test_without_delta() -> None:
    assert remarks(Budget(1.0, 0.0))["Is delta small enough?"].level == "fine"


def test_what_was_left_out_of_the_account_is_a_warning() -> None:
    budget = Budget(1.0, 1e-6)
    found = remarks(budget)
    for question in (
        "Was every look at the data charged?",
        "Were settings chosen by the data?",
        "Can the noise be guessed?",
    ):
        assert found[question].level == "warning"
    assert "none for people" in found["Was every look at the data charged?"].finding
    better = remarks(budget, tuning="charged", secure=True, charged_upstream=True)
    assert "warning" not in {each.level for each in better.values()}
    assert remarks(budget, tuning="none")["Were settings chosen by the data?"].level == "fine"


def test_replacing_is_always_said() -> None:
    budget = Budget(2.0, 1e-6)
    budget.spend(dp.GaussianDpEvent(9.0), place="sum")
    assert "replace-one" in remarks(budget)["Between which data does it hold?"].finding
    other = remarks(Budget(1.0, 1e-6, relation="replace-one", unit="subject"))
    assert other["Between which data does it hold?"].level == "fine"
    assert other["What is protected?"].level == "fine"


def test_releases_without_noise_and_raises_are_warnings() -> None:
    budget = Budget(1.0, 1e-6)
    budget.unbounded(place="May")
    budget.raise_to(2.0, by="Ann", why="more")
    found = remarks(budget)
    assert found["What else was released of these people?"].level == "warning"
    assert "Ann (more)" in found["Was the budget raised?"].finding


def test_deployments_are_in_order() -> None:
    assert [each[0] for each in DEPLOYMENTS] == sorted(each[0] for each in DEPLOYMENTS)
