"""How k falls as an attacker knows more columns: the chart of the attack ``trajectory``, and its words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from sfumato.core.values import Finding
from sfumato.release.charts import Mark, draw_trajectory

METRIC = "trajectory.worst_class"
#: A chance that rounds to nothing is of classes of at least so many people.
LARGEST = 2000
_KNOWS = "an attacker who knows "


@dataclass(frozen=True)
class Step:
    """One column more: how many are known with it, which it is, and the people of the smallest class."""

    columns: int
    column: str
    after: int
    before: int | None

    @property
    def words(self) -> str:
        """The step for readers who hear it."""
        was = "" if self.before is None else f", on the original rows {_people(self.before)}"
        return f"{self.columns}, {self.column}: {_people(self.after)}{was}"


def steps(findings: Sequence[Finding]) -> list[Step]:
    """The steps of the worst order, as far as they were published."""
    by_number: Mapping[int, Finding] = {
        int(finding.target.partition(" ")[0]): finding
        for finding in findings
        if finding.metric == METRIC and finding.value is not None and finding.target[:1].isdigit()
    }
    found, known = [], _KNOWS
    for number in sorted(by_number):
        finding = by_number[number]
        assert finding.value is not None
        column = finding.assumes.removeprefix(known).removeprefix(", ")
        known = finding.assumes
        before = None if finding.before is None else _class(finding.before)
        found.append(Step(number, column, _class(finding.value), before))
    return found


def _class(chance: float) -> int:
    return round(1 / chance) if chance > 1 / LARGEST else LARGEST


def _people(many: int) -> str:
    return (
        f"{LARGEST:,} people or more"
        if many >= LARGEST
        else f"{many:,} {'person' if many == 1 else 'people'}"
    )


def steps_chart(findings: Sequence[Finding]) -> Markup:
    """The chart with all its figures in its title; empty where the attack was not made."""
    found = steps(findings)
    marks = [
        Mark(
            label=f"{step.columns}. {step.column}",
            value=float(step.after),
            before=None if step.before is None else float(step.before),
        )
        for step in found
    ]
    told = "; ".join(step.words for step in found)
    title = f"People in the smallest class as columns become known, in the worst order: {told}."
    return draw_trajectory(marks, name="chart-trajectory", title=title)
