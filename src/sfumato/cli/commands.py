"""The commands. Each reads its arguments, calls one verb and shows the outcome."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sfumato.cli.audit import audit
from sfumato.cli.budget import budget

if TYPE_CHECKING:
    from sfumato.pipeline.snapshot import Snapshot
    from sfumato.policy.load import LoadedPolicy

PolicyArgument = Annotated[Path, typer.Argument(help="The policy file (YAML).", show_default=False)]
FolderArgument = Annotated[
    Path, typer.Argument(help="The folder of a run: it holds release/ and custody/.", show_default=False)
]
JsonOption = Annotated[
    bool, typer.Option("--json", help="Write one JSON document to stdout and nothing else.")
]
ProjectOption = Annotated[
    Path | None,
    typer.Option(
        "--project", help="The project's folder (default: SFUMATO_HOME, else .sfumato beside the policy)."
    ),
]
OutputOption = Annotated[
    Path,
    typer.Option("--output", "-o", help="The folder that gets release/ and custody/.", show_default=False),
]


def demo(
    name: Annotated[str, typer.Argument(help="Which demo.")] = "alcohol",
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="The folder for everything it makes: demo, or demo-NAME."),
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option(
            help="For the demo hospital: a folder with DICOM files and labels.csv, or an .npz file."
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Walk the whole way on a real survey, a shop's purchases or a hospital's images: nothing to prepare."""
    from sfumato.cli import terminal
    from sfumato.demos import folder_of, run_demo

    with terminal.watching(as_json) as watch:
        outcome = run_demo(name, output or folder_of(name), watch, images)
    _finish(outcome, as_json)


def inspect(
    source: Annotated[str, typer.Argument(help="A path, pattern or folder: csv, tsv, parquet, ndjson.")],
    target: Annotated[str | None, typer.Option(help="The column that a model is to predict.")] = None,
    subject: Annotated[
        str | None, typer.Option(help="The column that says which rows are one person's.")
    ] = None,
    separator: Annotated[str | None, typer.Option(help="The separator of a csv file.")] = None,
    encoding: Annotated[
        str, typer.Option(help="The encoding of a text file: utf-8, latin-1, cp1252.")
    ] = "utf-8",
    missing: Annotated[
        list[str] | None, typer.Option(help="A text that means missing; may be repeated.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write a complete draft policy to this file.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the draft policy if there is one.")] = False,
    as_json: JsonOption = False,
) -> None:
    """See what a dataset is: what identifies people, what is sensitive, what the target needs."""
    from sfumato.cli import show_data, terminal
    from sfumato.engines.sources import FileSource
    from sfumato.pipeline.verbs import inspect_source
    from sfumato.policy.draft import write_draft

    found = FileSource.find(source, Path(), separator=separator, encoding=encoding, missing=missing or ())
    with terminal.watching(as_json) as watch:
        inventory = inspect_source(found, target=target, subject=subject, watch=watch)
    if output is not None:
        write_draft(inventory, found, place=Path(source), path=output, subject=subject, replace=force)
    if as_json:
        _print_json(inventory.model_dump(mode="json"))
    else:
        show_data.inventory(inventory, output)


def risk(
    source: Annotated[str, typer.Argument(help="A path, pattern or folder: csv, tsv, parquet, ndjson.")],
    quasi: Annotated[
        str | None,
        typer.Option(help="Columns that outsiders may know, with commas (default: as inspect finds them)."),
    ] = None,
    sensitive: Annotated[
        str, typer.Option(help="Columns that would harm a person if learned, with commas.")
    ] = "",
    fraction: Annotated[
        float | None, typer.Option(help="The rows' share of the population, for the risks in it.")
    ] = None,
    subject: Annotated[
        str | None, typer.Option(help="The column that says which rows are one person's.")
    ] = None,
    linked: Annotated[
        bool, typer.Option("--linked", help="Who sees the data can tell which rows are one person's.")
    ] = False,
    separator: Annotated[str | None, typer.Option(help="The separator of a csv file.")] = None,
    encoding: Annotated[
        str, typer.Option(help="The encoding of a text file: utf-8, latin-1, cp1252.")
    ] = "utf-8",
    missing: Annotated[
        list[str] | None, typer.Option(help="A text that means missing; may be repeated.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Check data as they are against every privacy model at once; nothing is changed."""
    from sfumato.cli import show_data, terminal
    from sfumato.engines.sources import FileSource
    from sfumato.pipeline.verbs import assess_source

    found = FileSource.find(source, Path(), separator=separator, encoding=encoding, missing=missing or ())
    with terminal.watching(as_json) as watch:
        assessment = assess_source(
            found,
            None if quasi is None else _names(quasi),
            _names(sensitive),
            fraction=fraction,
            subject=subject,
            linked=linked,
            watch=watch,
        )
    if as_json:
        _print_json(assessment.to_dict())
    else:
        show_data.assessment(assessment)


def check(policy: PolicyArgument, project: ProjectOption = None, as_json: JsonOption = False) -> None:
    """Find what is wrong with a policy, with file, line and remedy."""
    from sfumato.cli import show, terminal
    from sfumato.core.errors import EXIT_WRONG_INPUT, PolicyError
    from sfumato.pipeline import verbs
    from sfumato.policy.checks import undecided

    try:
        loaded, snapshot = _opened(policy, project)
        with terminal.watching(as_json) as watch:
            watch.stage("checking the policy against its source")
            problems = verbs.check(loaded, snapshot)
        dropped = undecided(loaded.policy, snapshot.columns, snapshot.columns_below)
    except PolicyError as error:
        problems, dropped = error.problems, ()
    if as_json:
        _print_json(
            {
                "problems": [{"where": p.where, "what": p.what, "remedy": p.remedy} for p in problems],
                "undecided": list(dropped),
            }
        )
    else:
        show.problems(problems, dropped, policy)
    if problems:
        raise typer.Exit(EXIT_WRONG_INPUT)


def plan(policy: PolicyArgument, project: ProjectOption = None, as_json: JsonOption = False) -> None:
    """Fit a policy and show what would happen; nothing is written."""
    from sfumato.cli import show, show_private, terminal
    from sfumato.pipeline import verbs

    loaded, snapshot = _opened(policy, project)
    with terminal.watching(as_json) as watch:
        outcome = verbs.plan(loaded, snapshot, watch)
    if as_json:
        _print_json(outcome.summary())
    else:
        shown = show_private if outcome.plan.private is not None else show
        shown.plan(outcome)


def run(
    policy: PolicyArgument, output: OutputOption, project: ProjectOption = None, as_json: JsonOption = False
) -> None:
    """Go the whole way: transform, attack the result, decide, release or refuse."""
    from sfumato.cli import terminal
    from sfumato.pipeline import verbs

    loaded, snapshot = _opened(policy, project)
    with terminal.watching(as_json) as watch:
        outcome = verbs.run(loaded, snapshot, output, watch)
    _finish(outcome, as_json)


def tune(
    policy: PolicyArgument,
    output: Annotated[
        Path,
        typer.Option("--output", "-o", help="The folder that gets page, pictures and policies."),
    ] = Path("tuned"),
    budget: Annotated[str | None, typer.Option(help="How long it may take: 30s, 10m, 1h.")] = None,
    trials: Annotated[
        int | None,
        typer.Option(help="How many policies to try, the same ones every time (40 unless a time is given)."),
    ] = None,
    minimize: Annotated[
        list[str] | None, typer.Option(help="A figure of risk to make small; may be repeated.")
    ] = None,
    maximize: Annotated[
        list[str] | None, typer.Option(help="A figure of use to make large; may be repeated.")
    ] = None,
    at_most: Annotated[
        list[str] | None, typer.Option(help="What must hold: FIGURE=0.05; may be repeated.")
    ] = None,
    at_least: Annotated[
        list[str] | None,
        typer.Option(help="What must hold: FIGURE=0.7, or FIGURE=97% of the original's; may be repeated."),
    ] = None,
    space: Annotated[
        Path | None, typer.Option(help="A file (YAML) with aims, limits and the values to vary.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the search that was interrupted.")
    ] = False,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Search policies for the frontier of measured risk and measured use; nothing is released."""
    from sfumato.cli import show_tuned, terminal
    from sfumato.core.errors import EXIT_GATE_REFUSED
    from sfumato.tuning.asked import load_asked
    from sfumato.tuning.budget import budget_of
    from sfumato.tuning.verb import tune as search

    limit = budget_of(budget, trials)
    asked = load_asked(space).aiming(minimize or (), maximize or (), at_most or (), at_least or ())
    loaded, snapshot = _opened(policy, project)
    with terminal.watching(as_json) as watch:
        tuned = search(loaded, snapshot, asked, budget=limit, folder=output, resume=resume, watch=watch)
    if as_json:
        _print_json(tuned.document())
    else:
        show_tuned.tuned(tuned)
    if tuned.best is None:
        raise typer.Exit(EXIT_GATE_REFUSED)


def attack(
    folder: FolderArgument,
    against: Annotated[
        str | None,
        typer.Option(help="An external register (a table of people with columns of the same names)."),
    ] = None,
    truth: Annotated[
        str | None, typer.Option(help="A column of register and original that says who is who.")
    ] = None,
    policy: Annotated[Path | None, typer.Option(help="The policy, if it has moved since the run.")] = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Attack a release again, with custody and the original at hand."""
    from sfumato.cli import terminal
    from sfumato.pipeline import revisit

    with terminal.watching(as_json) as watch:
        findings = revisit.attack(
            folder, against=against, truth=truth, policy=policy, project=project, watch=watch
        )
    _show_findings(findings, "attacks", as_json)


def evaluate(
    folder: FolderArgument,
    policy: Annotated[Path | None, typer.Option(help="The policy, if it has moved since the run.")] = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Measure utility and fairness of a release against the original."""
    from sfumato.cli import terminal
    from sfumato.pipeline import revisit

    with terminal.watching(as_json) as watch:
        findings = revisit.evaluate(folder, policy=policy, project=project, watch=watch)
    _show_findings(findings, "utility and fairness", as_json)


def verify(
    release: Annotated[Path, typer.Argument(help="The folder release/.", show_default=False)],
    key: Annotated[Path | None, typer.Option(help="The public key that must have signed it (PEM).")] = None,
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check a release against its signed manifest, offline."""
    from sfumato.cli import show
    from sfumato.pipeline.revisit import expected_key, find_project
    from sfumato.pipeline.withdrawing import withdrawn_at_home
    from sfumato.release.verify import verify as verify_release

    expected, withdrawn = expected_key(release, key, project), withdrawn_at_home(release, project)
    found = verify_release(release, key_pem=expected, withdrawn=withdrawn)
    if as_json:
        _print_json(found.model_dump(mode="json"))
    else:
        show.verification(found, key or find_project(release, None, project))
    if found.exit_code:
        raise typer.Exit(found.exit_code)


def withdraw(
    release: Annotated[
        Path, typer.Argument(help="The folder release/; its data are destroyed.", show_default=False)
    ],
    why: Annotated[str, typer.Option(help="How it is known that nobody outside has a copy.")],
    by: Annotated[str, typer.Option(help="The name of the person who answers for that.")],
    project: ProjectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take back a release that never left: it is destroyed, and no longer counted beside later ones.

    What left cannot be taken back: whoever has it keeps what it tells, and it must go on being counted.
    """
    from sfumato.cli import show
    from sfumato.pipeline.withdrawing import withdraw as take_back

    found = take_back(release, why=why, by=by, project=project)
    if as_json:
        _print_json(found.model_dump(mode="json"))
    else:
        show.withdrawal(found, release)


def _names(written: str) -> tuple[str, ...]:
    """Names between commas, without the blanks around them."""
    return tuple(name.strip() for name in written.split(",") if name.strip())


def _opened(policy: Path, project: Path | None) -> tuple[LoadedPolicy, Snapshot]:
    from sfumato.pipeline.snapshot import Snapshot
    from sfumato.policy.load import load_policy
    from sfumato.project import Project, locate

    loaded = load_policy(policy)
    snapshot = Snapshot.open(loaded.policy, loaded.folder, Project.open(locate(loaded.folder, project)))
    return loaded, snapshot


def _finish(outcome: Any, as_json: bool) -> None:
    from sfumato.cli import show, show_private
    from sfumato.core.errors import EXIT_GATE_REFUSED

    if as_json:
        _print_json(outcome.summary())
    elif hasattr(outcome, "told"):
        show.lines(outcome.told())
    else:
        shown = show_private if outcome.plan.private is not None else show
        shown.outcome(outcome)
    if outcome.decision is not None and not outcome.decision.passed:
        raise typer.Exit(EXIT_GATE_REFUSED)


def _show_findings(findings: Any, title: str, as_json: bool) -> None:
    from sfumato.cli import show

    if as_json:
        _print_json({"findings": [finding.model_dump(mode="json") for finding in findings]})
    else:
        show.findings(findings, title)


def _print_json(document: Any) -> None:
    from sfumato.core.printable import json_printable

    text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)
    sys.stdout.write(json_printable(text) + "\n")


ALL: tuple[Callable[..., None], ...] = (
    demo,
    inspect,
    risk,
    check,
    plan,
    run,
    tune,
    attack,
    evaluate,
    verify,
    withdraw,
    budget,
    audit,
)
