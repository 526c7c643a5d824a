"""What people see in the terminal: progress on stderr, tables on stdout."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from sfumato.cli.terminal import new_table, open_console, percent, plain
from sfumato.core.errors import Problem
from sfumato.core.values import AnonymityPlan, Finding, Role, SynthesisPlan
from sfumato.evidence.images.judging import RISKS as RISKS_OF_IMAGES
from sfumato.evidence.images.pictures import SPACES
from sfumato.pipeline.outcome import Outcome
from sfumato.pipeline.verbs import COMPOSITION
from sfumato.release.unjudged import unjudged
from sfumato.release.verify import Verification
from sfumato.release.withdrawal import Withdrawal
from sfumato.release.words import METHODS, STATUSES, UNIT_WORDS, interval, title, value_words

ROLE_STYLES = {
    Role.DIRECT_IDENTIFIER: "bold red",
    Role.QUASI_IDENTIFIER: "yellow",
    Role.INSENSITIVE: "green",
}

ROLE_NAMES = {
    Role.DIRECT_IDENTIFIER: "identifier",
    Role.QUASI_IDENTIFIER: "quasi",
    Role.INSENSITIVE: "insensitive",
}

#: Room for the longest name of a figure; the words above it wrap.
_FIGURE_WIDTH = 28

#: What the summary of a run shows, in its order; everything else is in the dossier.
_RISKS = (
    "risk.worst_class",
    "risk.unique",
    "risk.at_risk",
    "risk.marketer",
    "linkage.success",
    "linkage.excess",
    "singling_out.excess",
    "linkability.excess",
    "attribute_inference.excess",
    "membership.tpr_at_1",
)
#: The same of rows that were made, in which there are no classes of people.
_MADE_RISKS = (
    "copies.excess",
    "copies.close_excess",
    "retelling.excess",
    "retelling.close_excess",
    "relations.rows_excess",
    "relations.whole_excess",
    "relations.close_excess",
    "outliers.excess",
    *RISKS_OF_IMAGES,
    *(metric for metric in _RISKS if not metric.startswith(("risk.", "linkage."))),
)
_USES = (
    "learning.auc",
    "learning.r2",
    "learning.skill_ratio",
    "histories.length_ks",
    "histories.gap_ks",
    "histories.amount_ks",
    "histories.transitions_tv",
    "tables.count_ks",
    "tables.column_tv",
    "tables.across_tv",
    "distributions.tv",
    "correlations.error",
    "marginals.three",
    "images.classifier_accuracy",
    "images.classifier_auc",
    "images.class_balance",
    "images.variety",
)
_GAPS = tuple(f"fairness.{rate}_gap" for rate in ("selection", "fnr", "fpr", "suppression"))

#: What stands beside a figure, and what the terminal calls it.
_OF_ATTACKS = {"guessing": "by chance alone", "not there": "the same attack on people who were left out"}
_OF_MADE_USES = {
    "by chance": "what nothing but chance gives",
    "held out": "people held out, in the place of the made rows",
}
_OF_USES = {"by chance": "what nothing but chance gives", "resample": "the original drawn again"}


def lines(told: Sequence[str]) -> None:
    """An outcome that is told in lines."""
    console = open_console()
    for line in told:
        console.print(plain(line))


def problems(found: Sequence[Problem], dropped: Sequence[str], policy: Path) -> None:
    """The problems of a policy, or that there are none."""
    console = open_console()
    for problem in found:
        console.print(Text(str(problem)), soft_wrap=True)
    if dropped:
        console.print(plain(f"nobody decided about {', '.join(dropped)}: dropped"), soft_wrap=True)
    if not found:
        console.print(plain(f"{policy}: no problems found"), style="green")


def plan(outcome: Outcome) -> None:
    """What a plan would do."""
    console = open_console()
    _steps(console, outcome)
    if outcome.plan.anonymity is not None:
        console.print()
        _anonymity(console, outcome.plan.anonymity)
        _why(console, outcome.plan.anonymity)
    if outcome.plan.synthesis is not None:
        console.print()
        _made(console, outcome.plan.synthesis)


def outcome(found: Outcome) -> None:
    """What a run found, did, measured and decided, and where everything lies."""
    console = open_console()
    inventory = found.inventory
    assert inventory is not None
    direct, quasi = inventory.named(Role.DIRECT_IDENTIFIER), inventory.named(Role.QUASI_IDENTIFIER)
    sensitive = [column.name for column in inventory.columns if column.sensitive]
    console.rule("Found", align="left")
    console.print(f"{inventory.rows:,} rows of {len(inventory.columns)} columns")
    for what, names in (
        ("direct identifiers", direct),
        ("quasi-identifiers", quasi),
        ("sensitive", sensitive),
    ):
        console.print(plain(f"{len(names)} {what}: {', '.join(names) or 'none'}"), soft_wrap=True)
    telling = max(inventory.quasi_sets, key=lambda quasi: quasi.unique_share, default=None)
    if telling is not None:
        unique = f"{percent(telling.unique_share)} of rows are unique on {', '.join(telling.columns)}"
        console.print(plain(unique), soft_wrap=True)
    console.print()
    console.rule("Done", align="left")
    plan(found)
    console.print()
    console.rule("Measured", align="left")
    measured = (*found.findings, *found.kept)
    if found.kept:
        console.print("What follows was measured on people and stays in the house: nobody charged it.")
    risks = _RISKS if found.plan.synthesis is None else _MADE_RISKS
    _summary(console, "What an attacker gets", measured, risks, _OF_ATTACKS)
    if any(finding.metric in _USES for finding in measured):
        console.print()
        beside = _OF_USES if found.plan.synthesis is None else _OF_MADE_USES
        _summary(console, "What the data are still good for", measured, _USES, beside)
    # Of groups of two columns crossed, and of calibration, the dossier tells.
    made = found.plan.synthesis is not None
    gaps = [
        f
        for f in measured
        if f.metric in _GAPS and " & " not in f.target and not (made and f.status == "not-measured")
    ]
    if gaps:
        console.print()
        found_table(console, "For whom it got worse", gaps)
    console.print()
    decided(console, found)


def findings(found: Sequence[Finding], heading: str) -> None:
    """Findings as one table."""
    found_table(open_console(), heading, found)


def verification(found: Verification, expected: Path) -> None:
    """Whether a release is what was signed; ``expected`` is the key or project it was compared with."""
    console = open_console()
    console.print(plain(found.words), style="bold red" if found.exit_code else "green", soft_wrap=True)
    for problem in found.problems[1:]:
        console.print(plain(f"  {problem}"), soft_wrap=True)
    if found.signer_checked:
        console.print(plain(f"the signer was compared with {expected}"), soft_wrap=True)


def withdrawal(found: Withdrawal, folder: Path) -> None:
    """What was withdrawn, and what that cannot do."""
    console, runs = open_console(), len(found.runs)
    made = "the one run" if runs == 1 else f"all {runs} runs"
    for line in (
        f"withdrawn: {made} of this release of {found.dataset}, by {found.by}",
        f"its data are no longer in {folder}; later releases of the same people are not tested with it",
        "Nothing calls back what left: if a copy turns up, run the same policy again, and it counts again.",
        "What it cost of a privacy budget stays spent.",
    ):
        console.print(plain(line), soft_wrap=True)


def _steps(console: Console, outcome: Outcome) -> None:
    table = new_table("Columns", "column", "role", "action", "level", "why", right=("level",))
    anonymity, made = outcome.plan.anonymity, outcome.plan.synthesis
    for step in outcome.plan.steps:
        if step.action == "drop":
            continue
        action = step.action if made is None else made.action(step)
        level = "" if anonymity is None else _level(anonymity, step.column)
        role = plain(ROLE_NAMES[step.role], style=ROLE_STYLES[step.role])
        table.add_row(plain(step.column), role, action, level, plain(step.why))
    console.print(table)
    dropped = [step.column for step in outcome.plan.steps if step.action == "drop"]
    if dropped:
        console.print(plain(f"dropped: {', '.join(dropped)}"), soft_wrap=True)


def _level(found: AnonymityPlan, column: str) -> str:
    """How far a column was coarsened: its level, or what labels of its own for each class lost."""
    if column in found.levels:
        return f"{found.levels[column]} of {found.heights[column] - 1}"
    return f"{percent(found.losses[column])} lost" if column in found.losses else ""


def _model(model: Mapping[str, Any]) -> str:
    """A privacy model with its parameters as the policy wrote them."""
    params = [f"{name} {value}" for name, value in model.items() if name not in ("model", "hierarchy")]
    return f"{model['model']} ({', '.join(params)})" if params else str(model["model"])


def _searched(found: AnonymityPlan) -> str:
    """How the recoding was found, and how good it is known to be."""
    if found.checked is None or found.lattice is None:
        return ""
    counted = f": {found.checked:,} of {found.lattice:,} nodes checked"
    if found.optimal:
        return f", optimal{counted}"
    return f"{counted}, score {found.score:.3f}; none is below {found.bound or 0:.3f}"


def _why(console: Console, found: AnonymityPlan) -> None:
    """What each column costs, and what a level more or less of it would change."""
    if not found.why:
        return
    figures = ("level", "lost", "one level finer", "one level coarser")
    table = new_table("Why: rows suppressed if", "column", *figures, right=figures)
    for cost in found.why:
        finer = "" if cost["finer"] is None else f"{cost['finer']:,}"
        if cost["excess"]:
            finer += f" ({cost['excess']:,} too many)"
        coarser = "" if cost["saved"] is None else f"{found.suppressed_rows - cost['saved']:,}"
        table.add_row(plain(cost["column"]), str(cost["level"]), percent(cost["loss"]), finer, coarser)
    console.print(table)


#: What is counted in a class, where it is not just rows.
_UNITS = {"row": "", "person": " people", "whole person": " people with the same rows"}


def _anonymity(console: Console, found: AnonymityPlan) -> None:
    models = plain(", ".join(map(_model, found.models)), style="bold")
    console.print(models, f"by {found.method}{_searched(found)}", soft_wrap=True)
    console.print(
        f"{found.classes:,} classes, the smallest of {found.smallest_class}{_UNITS[found.unit]}; "
        f"{found.suppressed_rows:,} of {found.rows:,} rows suppressed ({percent(found.suppressed_share)}); "
        f"granularity {found.granularity:.3f}"
    )


def _made(console: Console, made: SynthesisPlan) -> None:
    """Who makes the rows, and what it costs."""
    console.print(plain(made.method, style="bold"), METHODS.get(made.method, ""), soft_wrap=True)
    what, who = ("images", "images") if made.images else ("rows", "people")
    taught = f"a number of {who} that is not told" if made.taught is None else f"{made.taught:,} {who}"
    rows = f"{made.rows:,} {what}" if made.rows else f"about as many {what}"
    if made.people is not None:
        rows = f"{made.people:,} people" + (f" with {rows}" if made.rows else "")
        rows += f" in {len(made.tables)} tables" if made.tables else ""
    console.print(f"{rows} made, learned from {taught}")
    if made.private is not None:
        cost, unit = made.private, UNIT_WORDS[made.private.unit]
        console.print(
            f"epsilon {cost.epsilon:.3g} and delta {cost.delta:g} for each {unit}; of the dataset's budget "
            f"{percent(float(cost.budget['spent']))} is spent",
            soft_wrap=True,
        )


def _summary(
    console: Console,
    heading: str,
    found: Sequence[Finding],
    metrics: Sequence[str],
    beside: Mapping[str, str],
) -> None:
    chosen = [
        f
        for metric in metrics
        for f in found
        if f.metric == metric
        and f.target in ("release", *SPACES)
        and (f.status != "not-measured" or metrics is not _USES)
    ]
    found_table(console, heading, chosen, beside)


def found_table(
    console: Console, heading: str, found: Sequence[Finding], beside: Mapping[str, str] = _OF_ATTACKS
) -> None:
    """Findings as a table: what a figure is in words, and under it the name that a gate knows it by.

    Columns that no finding has anything for are left out, for terminals are narrow.
    """
    baseline, control = beside
    columns: dict[str, list[str] | list[Text]] = {
        "original": [_words(finding, finding.before) for finding in found],
        "release": [_measured(finding) for finding in found],
        baseline: [_words(finding, finding.baseline) for finding in found],
        control: [_words(finding, finding.control) for finding in found],
        "people": [f"{finding.n:,}" for finding in found],
    }
    shown = {name: cells for name, cells in columns.items() if any(str(cell) for cell in cells)}
    table = new_table(heading, "figure", *shown, right=tuple(shown))
    table.columns[0].min_width = table.columns[0].max_width = _FIGURE_WIDTH
    for column in table.columns[1:]:
        column.no_wrap = column.header != "release"
    previous = ""
    for i, finding in enumerate(found):
        name = Text()
        if finding.metric != previous:
            name = Text(title(finding.metric)) + Text(f"\n{finding.metric}", style="dim")
        if finding.target != "release":
            name += Text(f"\n  {finding.target}" if name else f"  {finding.target}")
        previous = finding.metric
        cells = [shown_cells[i] for shown_cells in shown.values()]
        table.add_row(name, *(Text(cell) if isinstance(cell, str) else cell for cell in cells))
    console.print(table)
    words = [f"{name}: {meaning}" for name, meaning in beside.items() if name in shown]
    if words:
        console.print(plain("; ".join(words), style="dim"))


def _words(finding: Finding, figure: float | None) -> str:
    if figure is None or finding.status != "measured":
        return ""
    return value_words(figure, finding.unit).replace("points", "pts")


def _measured(finding: Finding) -> Text:
    if finding.status != "measured":
        return plain(f"{STATUSES[finding.status]}: {finding.note}", style="yellow")
    value = plain(_words(finding, finding.value), style="bold")
    if interval(finding):
        low, high = (value_words(end, finding.unit).split()[0] for end in (finding.low, finding.high))
        value += Text(f"\n{low} to {high}", style="dim")
    return value


def decided(console: Console, found: Outcome) -> None:
    assert found.decision is not None
    assert found.release is not None
    passed = found.decision.passed
    console.rule("Gate", align="left")
    for reason in found.decision.reasons:
        mark = plain("passed  ", style="green") if reason.passed else plain("refused ", style="bold red")
        console.print(mark + plain(f"{reason.threshold}: {reason.words}"), soft_wrap=True)
    for finding in unjudged(found.findings, found.decision):
        words = f"{finding.metric}: {_words(finding, finding.value)} beyond people not there"
        console.print(plain("not asked about  ", style="yellow") + plain(words), soft_wrap=True)
    console.print()
    for finding in found.findings:
        if finding.metric == COMPOSITION:
            console.print(plain(finding.note, style="yellow"), soft_wrap=True)
    word = (
        "[bold green]The gate passed the release.[/]"
        if passed
        else "[bold red]The gate refused the release.[/]"
    )
    console.print(word)
    if not passed:
        console.print("The folder has the evidence and a signed refusal, and no data.")
    console.print(plain(f"release: {found.release.folder}"), soft_wrap=True)
    console.print(plain(f"dossier: {found.release.dossier}"), soft_wrap=True)
    console.print(plain(f"as PDF: {found.release.pdf}"), soft_wrap=True)
    console.print(plain(f"custody: {found.release.custody} (stays in the house)"), soft_wrap=True)
