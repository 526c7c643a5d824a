"""What people see in the terminal: progress on stderr, tables on stdout."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from sfumato.anonymity.assess import Assessment
from sfumato.core.errors import Problem
from sfumato.core.printable import printable
from sfumato.core.values import AnonymityPlan, ColumnProfile, Finding, Inventory, Role
from sfumato.pipeline.verbs import COMPOSITION, Outcome, Watch
from sfumato.release.verify import Verification
from sfumato.release.words import STATUSES, interval, title, value_words
from sfumato.tuning.outcome import Tuned

_ROLE_STYLES = {
    Role.DIRECT_IDENTIFIER: "bold red",
    Role.QUASI_IDENTIFIER: "yellow",
    Role.INSENSITIVE: "green",
}

_ROLE_NAMES = {
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
_USES = (
    "learning.auc",
    "learning.r2",
    "learning.skill_ratio",
    "distributions.tv",
    "correlations.error",
    "marginals.three",
)
_GAPS = tuple(f"fairness.{rate}_gap" for rate in ("selection", "fnr", "fpr", "suppression"))

#: What stands beside a figure, and what the terminal calls it.
_OF_ATTACKS = {"guessing": "by chance alone", "not there": "the same attack on people who were left out"}
_OF_USES = {"by chance": "what nothing but chance gives", "resample": "the original drawn again"}


class _Bar(Watch):
    """Progress on stderr: a line for the step, a bar where its length is known."""

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.task = progress.add_task("starting", total=None)

    def stage(self, name: str) -> None:
        self.progress.update(self.task, description=name, total=None, completed=0)

    def within(self, name: str, done: int, total: int) -> None:
        self.progress.update(self.task, description=name, total=total, completed=done)


@contextmanager
def watching(quiet: bool) -> Iterator[Watch]:
    """A watch that shows progress on stderr, if that is a terminal and nothing but JSON was asked for."""
    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield Watch()
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        yield _Bar(progress)


class _Console(Console):
    """A console whose reader may go away, which is not for it to make an exit code of."""

    def on_broken_pipe(self) -> None:
        raise


def _console() -> Console:
    return _Console(highlight=False)


def _text(content: str, style: str = "") -> Text:
    """Words with names in them: no markup, and nothing that a terminal obeys."""
    return Text(printable(content), style=style)


def _table(title: str, *columns: str, right: Sequence[str] = ()) -> Table:
    table = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        header_style="bold",
        box=None,
        pad_edge=False,
        collapse_padding=True,
    )
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", overflow="fold")
    return table


def inventory(found: Inventory, draft: Path | None) -> None:
    """The inventory as tables."""
    console = _console()
    sampled = "" if found.examined == found.rows else f" (figures from {found.examined:,} of them)"
    console.print(f"[bold]{found.rows:,}[/] rows, [bold]{len(found.columns)}[/] columns{sampled}\n")
    figures = ("missing", "values", "distinct", "separates", "unique", "target")
    table = _table("Columns (* sensitive)", "column", "role", "type", *figures, right=figures)
    for heading in table.columns[1:]:
        heading.no_wrap = True
    for column in found.columns:
        table.add_row(
            _text(column.name),
            _text(
                _ROLE_NAMES[column.role] + (" *" if column.sensitive else ""), style=_ROLE_STYLES[column.role]
            ),
            column.dtype,
            _share(column.missing / max(1, found.examined)),
            f"{column.distinct:,}",
            _share(column.distinction),
            _share(column.separation),
            _share(column.unique),
            "" if column.target_information is None else _share(column.target_information),
        )
    console.print(table)
    console.print()
    reasons = _table("What was found", "column", "evidence")
    for column in found.columns:
        if evidence := _evidence(column):
            reasons.add_row(_text(column.name), _text("; ".join(evidence)))
    console.print(reasons)
    if found.quasi_sets:
        console.print()
        both = ("unique rows", "separation")
        sets = _table("Sets of columns that single people out", "columns", *both, right=both)
        for quasi in found.quasi_sets:
            sets.add_row(
                _text(", ".join(quasi.columns)), _share(quasi.unique_share), _share(quasi.separation)
            )
        console.print(sets)
    console.print()
    if draft is None:
        console.print("To get a complete draft policy: add [bold]-o policy.yaml[/]")
    else:
        console.print(
            _text(f"A complete draft policy is in {draft}. Read every why, then: sfumato check {draft}")
        )


def _evidence(column: ColumnProfile) -> list[str]:
    evidence = [f"{hit.kind}: {hit.evidence}" for hit in column.detections[:2]]
    if column.function_of:
        evidence.append(f"given away by {', '.join(column.function_of[:3])}")
    if column.determines_target:
        evidence.append("determines the target")
    return evidence


def assessment(found: Assessment) -> None:
    """Every privacy model's figure, the sensitive columns side by side."""
    console = _console()
    known = ", ".join(found.quasi) or "no column"
    console.print(f"[bold]{found.people:,}[/] people in [bold]{found.classes:,}[/] classes over ", end="")
    console.print(_text(known), soft_wrap=True)
    console.print()
    whole = _table("Everybody", "model", "figure", "what it is", right=("figure",))
    for row in found.rows():
        if row.others_known is None:
            whole.add_row(row.model, _figure(row.figure), row.meaning)
    console.print(whole)
    for column in dict.fromkeys(exposure.on for exposure in found.exposures):
        rows = [row for row in found.rows() if row.on == column]
        both = any(row.others_known for row in rows)
        headings = ("model", "figure", *(("others known",) if both else ()), "what it is")
        table = _table(f"Sensitive: {printable(column)}", *headings, right=("figure", "others known"))
        unknown, told = ([row for row in rows if row.others_known is known] for known in (False, True))
        for i, row in enumerate(unknown):
            other = (_figure(told[i].figure),) if both else ()
            table.add_row(row.model, _figure(row.figure), *other, row.meaning)
        console.print()
        console.print(table)
    console.print("\na dash: no parameter makes the model hold, or an estimate did not converge")


def _figure(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"


def problems(found: Sequence[Problem], dropped: Sequence[str], policy: Path) -> None:
    """The problems of a policy, or that there are none."""
    console = _console()
    for problem in found:
        console.print(Text(str(problem)), soft_wrap=True)
    if dropped:
        console.print(_text(f"nobody decided about {', '.join(dropped)}: dropped"), soft_wrap=True)
    if not found:
        console.print(_text(f"{policy}: no problems found"), style="green")


def plan(outcome: Outcome) -> None:
    """What a plan would do."""
    console = _console()
    _steps(console, outcome)
    if outcome.plan.anonymity is not None:
        console.print()
        _anonymity(console, outcome.plan.anonymity)
        _why(console, outcome.plan.anonymity)


def outcome(found: Outcome) -> None:
    """What a run found, did, measured and decided, and where everything lies."""
    console = _console()
    inventory = found.inventory
    direct, quasi = inventory.named(Role.DIRECT_IDENTIFIER), inventory.named(Role.QUASI_IDENTIFIER)
    sensitive = [column.name for column in inventory.columns if column.sensitive]
    console.rule("Found", align="left")
    console.print(f"{inventory.rows:,} rows of {len(inventory.columns)} columns")
    for what, names in (
        ("direct identifiers", direct),
        ("quasi-identifiers", quasi),
        ("sensitive", sensitive),
    ):
        console.print(_text(f"{len(names)} {what}: {', '.join(names) or 'none'}"), soft_wrap=True)
    telling = max(inventory.quasi_sets, key=lambda quasi: quasi.unique_share, default=None)
    if telling is not None:
        unique = f"{_share(telling.unique_share)} of rows are unique on {', '.join(telling.columns)}"
        console.print(_text(unique), soft_wrap=True)
    console.print()
    console.rule("Done", align="left")
    plan(found)
    console.print()
    console.rule("Measured", align="left")
    _summary(console, "What an attacker gets", found.findings, _RISKS, _OF_ATTACKS)
    if any(finding.metric in _USES for finding in found.findings):
        console.print()
        _summary(console, "What the data are still good for", found.findings, _USES, _OF_USES)
    # Of groups of two columns crossed, and of calibration, the dossier tells.
    gaps = [f for f in found.findings if f.metric in _GAPS and " & " not in f.target]
    if gaps:
        console.print()
        _findings(console, "For whom it got worse", gaps)
    console.print()
    _decision(console, found)


def findings(found: Sequence[Finding], heading: str) -> None:
    """Findings as one table."""
    _findings(_console(), heading, found)


def verification(found: Verification, expected: Path) -> None:
    """Whether a release is what was signed; ``expected`` is the key or project it was compared with."""
    console = _console()
    console.print(_text(found.words), style="green" if found.intact else "bold red", soft_wrap=True)
    for problem in found.problems[1:]:
        console.print(_text(f"  {problem}"), soft_wrap=True)
    if found.signer_checked:
        console.print(_text(f"the signer was compared with {expected}"), soft_wrap=True)


def _steps(console: Console, outcome: Outcome) -> None:
    table = _table("Columns", "column", "role", "action", "level", "why", right=("level",))
    anonymity = outcome.plan.anonymity
    for step in outcome.plan.steps:
        if step.action == "drop":
            continue
        level = "" if anonymity is None else _level(anonymity, step.column)
        role = _text(_ROLE_NAMES[step.role], style=_ROLE_STYLES[step.role])
        table.add_row(_text(step.column), role, step.action, level, _text(step.why))
    console.print(table)
    dropped = [step.column for step in outcome.plan.steps if step.action == "drop"]
    if dropped:
        console.print(_text(f"dropped: {', '.join(dropped)}"), soft_wrap=True)


def _level(found: AnonymityPlan, column: str) -> str:
    """How far a column was coarsened: its level, or what labels of its own for each class lost."""
    if column in found.levels:
        return f"{found.levels[column]} of {found.heights[column] - 1}"
    return f"{_share(found.losses[column])} lost" if column in found.losses else ""


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
    table = _table("Why: rows suppressed if", "column", *figures, right=figures)
    for cost in found.why:
        finer = "" if cost["finer"] is None else f"{cost['finer']:,}"
        if cost["excess"]:
            finer += f" ({cost['excess']:,} too many)"
        coarser = "" if cost["saved"] is None else f"{found.suppressed_rows - cost['saved']:,}"
        table.add_row(_text(cost["column"]), str(cost["level"]), _share(cost["loss"]), finer, coarser)
    console.print(table)


#: What is counted in a class, where it is not just rows.
_UNITS = {"row": "", "person": " people", "whole person": " people with the same rows"}


def _anonymity(console: Console, found: AnonymityPlan) -> None:
    models = _text(", ".join(map(_model, found.models)), style="bold")
    console.print(models, f"by {found.method}{_searched(found)}", soft_wrap=True)
    console.print(
        f"{found.classes:,} classes, the smallest of {found.smallest_class}{_UNITS[found.unit]}; "
        f"{found.suppressed_rows:,} of {found.rows:,} rows suppressed ({_share(found.suppressed_share)}); "
        f"granularity {found.granularity:.3f}"
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
        if f.metric == metric and f.target == "release" and (f.status != "not-measured" or metrics is _RISKS)
    ]
    _findings(console, heading, chosen, beside)


def _findings(
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
    table = _table(heading, "figure", *shown, right=tuple(shown))
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
        console.print(_text("; ".join(words), style="dim"))


def _words(finding: Finding, figure: float | None) -> str:
    if figure is None or finding.status != "measured":
        return ""
    return value_words(figure, finding.unit).replace("points", "pts")


def _measured(finding: Finding) -> Text:
    if finding.status != "measured":
        return _text(f"{STATUSES[finding.status]}: {finding.note}", style="yellow")
    value = _text(_words(finding, finding.value), style="bold")
    if interval(finding):
        low, high = (value_words(end, finding.unit).split()[0] for end in (finding.low, finding.high))
        value += Text(f"\n{low} to {high}", style="dim")
    return value


def _decision(console: Console, found: Outcome) -> None:
    assert found.decision is not None
    assert found.release is not None
    passed = found.decision.passed
    console.rule("Gate", align="left")
    for reason in found.decision.reasons:
        mark = _text("passed  ", style="green") if reason.passed else _text("refused ", style="bold red")
        console.print(mark + _text(f"{reason.threshold}: {reason.words}"), soft_wrap=True)
    console.print()
    for finding in found.findings:
        if finding.metric == COMPOSITION:
            console.print(_text(finding.note, style="yellow"), soft_wrap=True)
    word = (
        "[bold green]The gate passed the release.[/]"
        if passed
        else "[bold red]The gate refused the release.[/]"
    )
    console.print(word)
    if not passed:
        console.print("The folder has the evidence and a signed refusal, and no data.")
    console.print(_text(f"release: {found.release.folder}"), soft_wrap=True)
    console.print(_text(f"dossier: {found.release.dossier}"), soft_wrap=True)
    console.print(_text(f"as PDF: {found.release.pdf}"), soft_wrap=True)
    console.print(_text(f"custody: {found.release.custody} (stays in the house)"), soft_wrap=True)


def _share(value: float) -> str:
    return f"{value:.1%}"


def tuned(found: Tuned) -> None:
    """The frontier, what is left of its gains on other people, and why no better policy is there."""
    console = _console()
    searched, confirmed = found.people
    everything = ", all there are," if found.exhausted else ""
    console.print(f"[bold]{len(found.trials)}[/] policies{everything} tried on {searched:,} people", end="")
    console.print(f", the best measured again on {confirmed:,} others")
    figures = [title(aim.metric) for aim in found.aims.aims]
    table = _table("\nFrontier", "policy", *figures, "what differs", right=figures)
    for kept in found.shown:
        values = [
            _interval_below(found.trials[kept.trial].figure(aim.metric, aim.target))
            for aim in found.aims.aims
        ]
        name = kept.file or f"trial {kept.trial + 1}"
        style = "bold" if kept.trial == found.best else ""
        table.add_row(
            _text(name, style=style), *values, _text(", ".join(kept.differs) or "the policy as it is")
        )
    if table.row_count:
        console.print(table)
    if hidden := len(found.frontier) - len(found.shown):
        console.print(f"{hidden} more are no worse as far as can be told.")
    _gains(console, found)
    console.print()
    winner = found.winner
    if winner is None:
        console.print("[bold red]No policy that was tried holds everything that must hold.[/]")
        if found.missed is not None:
            words = ", ".join(found.differs[found.missed]) or "the policy as it is"
            console.print(_text(f"Nearest is trial {found.missed + 1} ({words}):"), soft_wrap=True)
        for missing in found.missing:
            console.print(_text(f"  {missing}"), soft_wrap=True)
    else:
        words = ", ".join(winner.differs) or "the policy as it is; nothing better was found"
        console.print(_text(f"Best: {winner.file}: {words}", style="bold green"), soft_wrap=True)
        for one in found.why:
            short = "" if one.short is None else f" by {one.short:.3g}"
            console.print(
                _text(f"  more useful is trial {one.trial + 1}, which breaks {one.limit}{short}"),
                soft_wrap=True,
            )
    if found.folder is not None:
        console.print(_text(f"page: {Path(found.folder) / 'tune.html'}"), soft_wrap=True)


def _interval_below(finding: Finding | None) -> Text:
    if finding is None or finding.value is None:
        return Text("not measured", style="dim")
    between = interval(finding)
    return Text(value_words(finding.value, finding.unit) + (f"\n{between}" if between else ""))


def _gains(console: Console, found: Tuned) -> None:
    """What the best policies gain over the given one, on people that the search never saw."""
    figures = ("in the search", "confirmed")
    table = _table(
        "\nGains over the given policy, on other people",
        "policy",
        "figure",
        *figures,
        "beyond noise",
        "held up",
        right=figures,
    )
    for kept in found.confirmed:
        assert kept.confirmed is not None
        for aim, gain in zip(found.aims.aims, kept.confirmed.gains, strict=False):
            told = "–" if gain.value is None else f"{gain.value:+.3f}\n{gain.low:+.3f} to {gain.high:+.3f}"
            searched = "–" if gain.searched is None else f"{gain.searched:+.3f}"
            table.add_row(
                _text(kept.file or "given"), title(aim.metric), searched, told, gain.word, gain.held_up
            )
        for broken in (*kept.confirmed.broken, kept.confirmed.note):
            if broken:
                table.add_row(
                    _text(kept.file or "given"), _text(f"does not hold there: {broken}"), "", "", "", ""
                )
    if table.row_count:
        console.print(table)
