"""The chart of k as columns become known: what it draws, and what it says to readers who hear it."""

from __future__ import annotations

import re

import pytest

import release_example as example
from sfumato.core.values import Finding
from sfumato.release.charts import Mark, draw_trajectory, trajectory
from sfumato.release.dossier import dossier_html
from sfumato.release.steps import LARGEST, METRIC, Step, steps, steps_chart


def found(*chances: tuple[float | None, float | None]) -> list[Finding]:
    names = ["age", "sex, at birth", "region", "job"]
    return [
        example.finding(
            METRIC,
            value,
            low=value,
            high=value,
            before=before,
            unit="probability",
            target="1 column" if number == 1 else f"{number} columns",
            assumes=f"an attacker who knows {', '.join(names[:number])}",
        )
        for number, (value, before) in enumerate(chances, start=1)
    ]


def test_steps_are_in_order_and_name_the_column_that_is_new() -> None:
    made = found((0.008, 0.25), (0.05, 1.0), (0.2, 1.0))
    assert steps(made[::-1]) == [
        Step(1, "age", 125, 4),
        Step(2, "sex, at birth", 20, 1),
        Step(3, "region", 5, 1),
    ]


def test_ten_steps_come_after_nine() -> None:
    pairs = zip((10, 9), found((1, 1), (1, 1)), strict=True)
    made = [finding.model_copy(update={"target": f"{number} columns"}) for number, finding in pairs]
    assert [step.columns for step in steps(made)] == [9, 10]


def test_what_rounds_to_nothing_and_what_is_withheld() -> None:
    made = found((0.0, None), (None, None), (0.5, 0.0))
    assert [(step.columns, step.after, step.before) for step in steps(made)] == [
        (1, LARGEST, None),
        (3, 2, LARGEST),
    ]


def test_who_hears_it_is_told_every_figure() -> None:
    drawn = steps_chart(found((0.0, 0.25), (0.2, 1.0)))
    (title, again) = re.findall(r"<title[^>]*>([^<]*)</title>", drawn)
    assert title == again
    assert title == (
        "People in the smallest class as columns become known, in the worst order: "
        "1, age: 2,000 people or more, on the original rows 4 people; "
        "2, sex, at birth: 5 people, on the original rows 1 person."
    )
    assert drawn.count('role="img"') == 2
    assert not re.findall(r"#[0-9a-f]{6}", drawn)


def test_no_attack_no_chart() -> None:
    assert steps_chart([]) == ""
    assert steps_chart([example.finding("trajectory.unique", 0.5, target="1 column")]) == ""


@pytest.mark.parametrize(
    "marks",
    [[Mark("one", 1.0)], [Mark("a <b> & c", 3.0, before=1.0)] * 30, [Mark("huge", 1e9), Mark("", 1.0)]],
)
def test_odd_figures_still_make_a_chart(marks: list[Mark]) -> None:
    trajectory(marks, validate=True)
    drawn = draw_trajectory(marks, name="c", title="t")
    assert "NaN" not in drawn
    assert "Infinity" not in drawn
    assert drawn.count("<svg") == 2


def test_lines_go_from_step_to_step() -> None:
    """And not from the least figure to the greatest: k of the original may rise and fall in no order."""
    specified = trajectory(
        [Mark("a", 100.0, before=3.0), Mark("b", 5.0, before=30.0), Mark("c", 7.0, before=1)]
    )
    lines = [layer for layer in specified["layer"] if layer["mark"]["type"] == "line"]
    assert len(lines) == 2
    assert all(line["encoding"]["order"]["field"] == "row" for line in lines)


def test_the_dossier_has_it() -> None:
    page = dossier_html(example.account([*example.findings(), *found((0.05, 1.0), (0.2, 1.0))]), {}).decode()
    assert 'id="chart-trajectory-wide"' in page
    assert "the most telling first" in page
    assert "chart-trajectory" not in dossier_html(example.account(), {}).decode()
