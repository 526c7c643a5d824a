"""``sfumato budget``: what people and programs see of a privacy budget."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import Ask
from dp_accounting import dp_event as dp

from sfumato.dp.budget import Budget
from sfumato.project import Project


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("budget")
    project = Project.open(place / ".sfumato")
    budget = Budget.open("study", project, epsilon=2.0, delta=1e-6)
    budget.spend(dp.GaussianDpEvent(6.0), place="histogram of age", by="Ann", why="yearly report")
    budget.unbounded(place="release of May", by="Bob", why="a file for partners")
    budget.raise_to(3.0, by="Eve", why="the board said so")
    Budget.open("\x1b[31mred[/] odd", project, epsilon=1.0, delta=0.0, filter="basic")
    return place


def test_a_budget_as_people_read_it(ask: Ask, folder: Path) -> None:
    said = ask("budget", "study", cwd=folder).passes().out
    for words in (
        "study: epsilon 3 and delta 1e-06 for all releases together, per row",
        "spent 8.14 %",
        "left 91.9 %",
        "if one person is replaced",
        "no epsilon bounds: release of May",
        "raised to epsilon 3",
        "histogram of age; yearly report; Gaussian noise",
    ):
        assert words in said


def test_all_budgets_and_odd_names(ask: Ask, folder: Path) -> None:
    said = ask("budget", cwd=folder).passes().out
    assert "study:" in said
    assert "red[/] odd: epsilon 1 and delta 0" in said
    assert "\x1b" not in said


def test_one_document_for_programs(ask: Ask, folder: Path) -> None:
    document = json.loads(ask("budget", "--json", "--project", ".sfumato", cwd=folder).passes().out)
    study = next(each for each in document["budgets"] if each["dataset"] == "study")
    assert (study["epsilon"], study["filter"], study["relation"]) == (3.0, "rdp", "add-remove")
    assert [each["by"] for each in study["entries"]] == ["Ann"]
    assert [each["place"] for each in study["unbounded"]] == ["release of May"]
    assert study["estimate"]["replace_epsilon"] > study["estimate"]["epsilon"]


def test_a_dataset_without_a_budget(ask: Ask, folder: Path) -> None:
    answer = ask("budget", "other", cwd=folder)
    assert answer.code == 2
    assert "budget-undeclared" in answer.err
    assert "study" in answer.err


def test_no_budget_at_all(ask: Ask, tmp_path: Path) -> None:
    assert "No dataset" in ask("budget", cwd=tmp_path).passes().out
    assert json.loads(ask("budget", "--json", cwd=tmp_path).passes().out) == {"budgets": []}
    assert not any(tmp_path.iterdir())
