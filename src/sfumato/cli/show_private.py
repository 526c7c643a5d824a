"""What people see in the terminal of releases under differential privacy."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from sfumato.cli.show import decided, found_table
from sfumato.cli.terminal import new_table, open_console, plain
from sfumato.core.values import Finding, PrivatePlan
from sfumato.pipeline.outcome import Outcome
from sfumato.release.words import UNIT_WORDS, parameter_words, plain_figure, title, value_words

#: Of more figures the rest is in the data file and the dossier.
_MOST_FIGURES = 20


def plan(found: Outcome) -> None:
    """What would be asked, and what it would cost."""
    console = open_console()
    _asked(console, _private(found))
    console.print()
    _cost(console, found.findings, _private(found))


def outcome(found: Outcome) -> None:
    """What was asked, what it cost, what it came to, and where everything lies."""
    console = open_console()
    console.rule("Asked", align="left")
    _asked(console, _private(found))
    console.print()
    console.rule("Charged", align="left")
    _cost(console, found.findings, _private(found))
    if found.answers:
        console.print()
        console.rule("Answered", align="left")
        _answers(console, found)
    if found.kept:
        console.print()
        found_table(console, "For the house alone: nobody charged these figures", found.kept)
    console.print()
    decided(console, found)


def _private(found: Outcome) -> PrivatePlan:
    assert found.plan.private is not None
    return found.plan.private


def _asked(console: Console, private: PrivatePlan) -> None:
    table = new_table("Questions", "question", "declared", "why")
    for asked in private.asked:
        table.add_row(plain(asked["query"]), plain(parameter_words(asked)), plain(str(asked.get("why", ""))))
    console.print(table)


def _cost(console: Console, findings: Sequence[Finding], private: PrivatePlan) -> None:
    table = new_table("What it costs", "figure", "value", right=("value",))
    for finding in findings:
        table.add_row(title(finding.metric), value_words(finding.value, finding.unit))
    console.print(table)
    words = f"for each {UNIT_WORDS[private.unit]}, by {private.event}; accounting: {private.accounting}"
    console.print(plain(words), soft_wrap=True)


def _answers(console: Console, found: Outcome) -> None:
    table = new_table(
        "Answers", "answer", "cell", "figure", "95 % interval", right=("figure", "95 % interval")
    )
    for answer in found.answers[:_MOST_FIGURES]:
        between = f"{plain_figure(answer['low'])} to {plain_figure(answer['high'])}"
        table.add_row(
            plain(answer["name"]), plain(answer["cell"] or ""), plain_figure(answer["value"]), between
        )
    console.print(table)
    more = len(found.answers) - _MOST_FIGURES
    if more > 0:
        console.print(f"and {more:,} more in the data file")
    console.print("Intervals cover the noise alone.")
