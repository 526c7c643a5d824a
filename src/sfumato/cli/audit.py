"""``sfumato audit``: tries to prove a claim of differential privacy wrong."""

from __future__ import annotations

import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from sfumato.evidence.audits.outcome import Audit


class Kind(StrEnum):
    """What can be audited."""

    MECHANISM = "mechanism"
    TRAINING = "training"
    RELEASE = "release"


def audit(
    kind: Annotated[Kind, typer.Argument(help="What is audited.", show_default=False)],
    subject: Annotated[
        str,
        typer.Argument(
            help="A mechanism (gaussian, laplace, choice, threshold); for training a table, path or pattern; "
            "for release the folder of a run.",
            show_default=False,
        ),
    ],
    epsilon: Annotated[float, typer.Option(help="The epsilon that is claimed.")] = 1.0,
    delta: Annotated[float, typer.Option(help="The delta that is claimed, if there is one.")] = 1e-6,
    target: Annotated[
        str | None, typer.Option(help="Training: the column to predict, of two values.")
    ] = None,
    estimator: Annotated[str, typer.Option(help="Training: which estimator.")] = "logistic-regression",
    canaries: Annotated[
        int, typer.Option(help="Training: rows that are in or out by a coin.", min=10)
    ] = 1000,
    runs: Annotated[
        int | None,
        typer.Option(help="How often it is run (20,000 for a mechanism, once for a training).", min=1),
    ] = None,
    trials: Annotated[
        int | None, typer.Option(help="Audits of twins with too little noise, for the power.", min=0)
    ] = None,
    noise: Annotated[
        float, typer.Option(help="Draw with this share of the noise: a broken twin, to see it caught.")
    ] = 1.0,
    level: Annotated[float, typer.Option(help="The level of the proof.", min=0.5, max=0.999999)] = 0.95,
    seed: Annotated[int, typer.Option(help="Of the audit's coins, not of the noise.")] = 0,
    project: Annotated[
        Path | None,
        typer.Option(
            "--project", help="Release: the project's folder (default: SFUMATO_HOME, else .sfumato)."
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Write one JSON document to stdout and nothing else.")
    ] = False,
) -> None:
    """Try to prove a claim of differential privacy wrong; exit code 1 if that succeeds.

    An audit can prove a claim wrong, never right. It says what it would have found.
    """
    from sfumato.core.errors import EXIT_GATE_REFUSED

    if kind is Kind.MECHANISM:
        found = _mechanism(subject, epsilon, delta, runs, trials, noise, level, seed)
    elif kind is Kind.TRAINING:
        found = _training(
            subject, epsilon, delta, target, estimator, canaries, runs, trials, noise, level, seed
        )
    else:
        found = _release(subject, project)
    if as_json:
        document = found.model_dump(mode="json") | {"violated": found.violated, "verdict": found.verdict}
        sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n")
    else:
        _show(found)
    if found.violated:
        raise typer.Exit(EXIT_GATE_REFUSED)


def _mechanism(
    name: str,
    epsilon: float,
    delta: float,
    runs: int | None,
    trials: int | None,
    noise: float,
    level: float,
    seed: int,
) -> Audit:
    from sfumato.evidence.audits.own import house

    return house(
        name,
        epsilon=epsilon,
        delta=delta,
        runs=20_000 if runs is None else runs,
        trials=40 if trials is None else trials,
        quieter=noise,
        level=level,
        seed=seed,
    )


def _release(folder: str, project: Path | None) -> Audit:
    from sfumato.pipeline.auditing import audit_release

    return audit_release(Path(folder), project=project)


def _training(
    source: str,
    epsilon: float,
    delta: float,
    target: str | None,
    estimator: str,
    canaries: int,
    runs: int | None,
    trials: int | None,
    noise: float,
    level: float,
    seed: int,
) -> Audit:
    from sfumato.core.errors import InputError
    from sfumato.engines.sources import FileSource, scan_files
    from sfumato.evidence.audits.tables import table_training

    if target is None:
        raise InputError("usage", "a training needs a target", remedy="say --target COLUMN")
    return table_training(
        scan_files(FileSource.find(source, Path())).collect(),
        target,
        name=estimator,
        epsilon=epsilon,
        delta=delta,
        canaries=canaries,
        runs=runs or 1,
        trials=3 if trials is None else trials,
        quieter=noise,
        level=level,
        seed=seed,
    )


def _show(found: Audit) -> None:
    from sfumato.cli.terminal import new_table, open_console, plain

    console = open_console()
    console.print(plain(f"{found.what}: {found.method}"), soft_wrap=True)
    table = new_table("", "figure", "value", right=("value",))
    table.add_row("claimed epsilon", f"{found.claimed_epsilon:.4g}")
    table.add_row("claimed delta", f"{found.claimed_delta:.3g}")
    if found.epsilon_lower is not None:
        table.add_row(f"epsilon is at least, at {100 * found.level:g} %", f"{found.epsilon_lower:.3f}")
        table.add_row("right guesses", f"{found.right:,} of {found.guesses:,}")
    if found.epsilon_estimate is not None:
        table.add_row(f"estimate, if it is {found.estimate_assumes}", f"{found.epsilon_estimate:.3f}")
    for power in found.powers:
        table.add_row(f"caught with {power.twin}", f"{power.caught} of {power.trials}")
    console.print(table)
    style = "bold red" if found.violated else ""
    console.print(plain(found.verdict, style=style), soft_wrap=True)
    for note in found.notes:
        console.print(plain(note, style="dim"), soft_wrap=True)
